/*
 * usage: see the header.
 *
 * Theory of operation. A scan of JSON (json_scan.h) runs over each document:
 * the body, the `data` of an event, or a line. One table says at which places of
 * which protocol a figure stands. Providers repeat figures while they grow, so
 * the largest of each is kept.
 *
 * Invariants: the result does not depend on how the bytes are cut; memory is that
 * of the struct; bytes that are not JSON change nothing.
 *
 * Limits: a figure above FIGURE_MAX is none, so that sums stay exact.
 */
#include "doors/model/usage.h"

#include <strings.h>

#define FIGURE_MAX (UINT64_C(1) << 40)

enum figure {
    FIGURE_INPUT,
    FIGURE_CACHE_WRITTEN,
    FIGURE_CACHE_READ,
    FIGURE_OUTPUT_SO_FAR,
    FIGURE_OUTPUT,
};

static const struct {
    enum model_protocol protocol;
    enum figure figure;
    const char *path;
} places[] = {
    { MODEL_OPENAI, FIGURE_INPUT, "usage/prompt_tokens" },
    { MODEL_OPENAI, FIGURE_OUTPUT, "usage/completion_tokens" },
    { MODEL_OPENAI, FIGURE_INPUT, "usage/input_tokens" }, /* responses */
    { MODEL_OPENAI, FIGURE_OUTPUT, "usage/output_tokens" },
    { MODEL_OPENAI, FIGURE_INPUT, "response/usage/input_tokens" }, /* and their events */
    { MODEL_OPENAI, FIGURE_OUTPUT, "response/usage/output_tokens" },
    { MODEL_ANTHROPIC, FIGURE_INPUT, "message/usage/input_tokens" }, /* message_start */
    { MODEL_ANTHROPIC, FIGURE_CACHE_WRITTEN, "message/usage/cache_creation_input_tokens" },
    { MODEL_ANTHROPIC, FIGURE_CACHE_READ, "message/usage/cache_read_input_tokens" },
    { MODEL_ANTHROPIC, FIGURE_OUTPUT_SO_FAR, "message/usage/output_tokens" },
    { MODEL_ANTHROPIC, FIGURE_INPUT, "usage/input_tokens" }, /* message_delta, and a whole body */
    { MODEL_ANTHROPIC, FIGURE_CACHE_WRITTEN, "usage/cache_creation_input_tokens" },
    { MODEL_ANTHROPIC, FIGURE_CACHE_READ, "usage/cache_read_input_tokens" },
    { MODEL_ANTHROPIC, FIGURE_OUTPUT, "usage/output_tokens" },
    { MODEL_OLLAMA, FIGURE_INPUT, "prompt_eval_count" },
    { MODEL_OLLAMA, FIGURE_OUTPUT, "eval_count" },
};

static void see(void *context, const struct json_scan *scan, const struct json_scan_value *value)
{
    struct usage_reader *reader = context;
    uint64_t number;
    if (value->kind != SCAN_NUMBER || !json_scan_unsigned(value, &number) || number > FIGURE_MAX)
        return;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (places[i].protocol != reader->protocol || !json_scan_is_at(scan, value, places[i].path))
            continue;
        reader->seen |= 1u << places[i].figure;
        if (number > reader->figures[places[i].figure])
            reader->figures[places[i].figure] = number;
        return;
    }
}

static void next_document(struct usage_reader *reader)
{
    if (reader->has_bytes && !reader->is_bad)
        (void)json_scan_end(&reader->scan);
    json_scan_init(&reader->scan, see, reader);
    reader->is_bad = reader->has_bytes = false;
}

static void feed_document(struct usage_reader *reader, struct str bytes)
{
    reader->has_bytes |= bytes.len > 0;
    if (!reader->is_bad && json_scan_feed(&reader->scan, bytes) < 0)
        reader->is_bad = true;
}

/* --- lines and events ------------------------------------------------------------------------ */

enum line_state {
    LINE_BEGINS,
    LINE_FIELD, /* so far it reads as `data:` */
    LINE_SPACE, /* behind the colon: one blank may stand there */
    LINE_DATA,
    LINE_OTHER,
};

static void end_event_line(struct usage_reader *reader)
{
    if (reader->line_state == LINE_BEGINS)
        next_document(reader); /* an empty line ends the event */
    else if (reader->line_state == LINE_DATA || reader->line_state == LINE_SPACE)
        feed_document(reader, STR("\n"));
    reader->line_state = LINE_BEGINS;
    reader->field_at = 0;
}

static void event_byte(struct usage_reader *reader, char c)
{
    static const char field[] = "data:";
    bool ends_return = c == '\n' && reader->after_return;
    reader->after_return = c == '\r';
    if (ends_return)
        return;
    if (c == '\n' || c == '\r') {
        end_event_line(reader);
        return;
    }
    if (reader->line_state == LINE_BEGINS)
        reader->line_state = LINE_FIELD;
    if (reader->line_state == LINE_SPACE) {
        reader->line_state = LINE_DATA;
        if (c == ' ')
            return;
    }
    if (reader->line_state == LINE_DATA) {
        feed_document(reader, str_make(&c, 1));
    } else if (reader->line_state == LINE_FIELD) {
        if (c != field[reader->field_at])
            reader->line_state = LINE_OTHER;
        else if (field[++reader->field_at] == '\0')
            reader->line_state = LINE_SPACE;
    }
}

/* What stands in a line of data up to its end goes on as one piece. */
static void feed_events(struct usage_reader *reader, struct str bytes)
{
    for (size_t i = 0; i < bytes.len;) {
        if (reader->line_state != LINE_DATA && reader->line_state != LINE_OTHER) {
            event_byte(reader, bytes.ptr[i++]);
            continue;
        }
        size_t from = i;
        while (i < bytes.len && bytes.ptr[i] != '\n' && bytes.ptr[i] != '\r')
            i++;
        if (reader->line_state == LINE_DATA)
            feed_document(reader, str_make(bytes.ptr + from, i - from));
        if (i < bytes.len)
            event_byte(reader, bytes.ptr[i++]);
    }
}

static void feed_lines(struct usage_reader *reader, struct str bytes)
{
    for (size_t from = 0; from < bytes.len;) {
        size_t to = str_index(bytes, '\n', from);
        feed_document(reader, str_make(bytes.ptr + from, to - from));
        if (to < bytes.len)
            next_document(reader);
        from = to + 1;
    }
}

/* --- the reader ------------------------------------------------------------------------------ */

enum answer_form answer_form_of(struct str content_type)
{
    static const struct {
        const char *type;
        enum answer_form form;
    } types[] = {
        { "text/event-stream", ANSWER_EVENTS },
        { "application/x-ndjson", ANSWER_LINES },
        { "application/ndjson", ANSWER_LINES },
        { "application/jsonl", ANSWER_LINES },
    };
    size_t len = str_index(content_type, ';', 0);
    while (len && content_type.ptr[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (len == strlen(types[i].type) && strncasecmp(content_type.ptr, types[i].type, len) == 0)
            return types[i].form;
    return ANSWER_DOCUMENT;
}

void usage_reader_init(struct usage_reader *reader, enum model_protocol protocol,
                       enum endpoint_kind kind, enum answer_form form)
{
    *reader = (struct usage_reader){ .protocol = protocol, .kind = kind, .form = form };
    next_document(reader);
}

void usage_reader_feed(struct usage_reader *reader, struct str bytes)
{
    switch (reader->form) {
    case ANSWER_DOCUMENT:
        feed_document(reader, bytes);
        break;
    case ANSWER_EVENTS:
        feed_events(reader, bytes);
        break;
    case ANSWER_LINES:
        feed_lines(reader, bytes);
        break;
    }
}

struct model_usage usage_reader_result(const struct usage_reader *reader)
{
    const uint64_t *figures = reader->figures;
    bool has_output = reader->seen & (1u << FIGURE_OUTPUT);
    bool has_input = reader->seen & (1u << FIGURE_INPUT);
    return (struct model_usage){
        .input = figures[FIGURE_INPUT] + figures[FIGURE_CACHE_WRITTEN] + figures[FIGURE_CACHE_READ],
        .output = has_output ? figures[FIGURE_OUTPUT] : figures[FIGURE_OUTPUT_SO_FAR],
        .has_input = has_input,
        .has_output = has_output || reader->seen & (1u << FIGURE_OUTPUT_SO_FAR),
        .is_final = has_input && (has_output || reader->kind == ENDPOINT_EMBEDDING),
    };
}
