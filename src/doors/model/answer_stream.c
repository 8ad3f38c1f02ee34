/*
 * answer_stream: see the header.
 *
 * Theory of operation. The end of an event is an empty line, that of a line its
 * newline. Bytes up to the last end that is there go on; what is behind is held
 * until its end comes. Only where usage is hidden each event is looked at by
 * itself: one whose `choices` is empty and whose `usage` is an object goes no
 * further, and of others a `"usage":null` is cut out, which the switch brings
 * with it.
 *
 * Invariants: without hiding, what goes on is what came; an event that cannot be
 * read goes on as it is; at most ANSWER_HELD_BYTES_MAX are held.
 */
#include "doors/model/answer_stream.h"

#include "doors/model/json_scan.h"

void answer_stream_init(struct answer_stream *stream, enum answer_form form, bool hides_usage)
{
    *stream = (struct answer_stream){
        .form = form,
        .hides_usage = hides_usage && form == ANSWER_EVENTS,
        .held = BUF_INIT_LIMIT(2 * ANSWER_HELD_BYTES_MAX),
        .out = BUF_INIT,
        .line_is_empty = true,
    };
}

void answer_stream_release(struct answer_stream *stream)
{
    buf_release(&stream->held);
    buf_release(&stream->out);
}

/* --- where events end ------------------------------------------------------------------------ */

/* Whether an event or a line ends with this byte. */
static bool ends_with(struct answer_stream *stream, char c)
{
    if (stream->form == ANSWER_LINES)
        return c == '\n';
    bool was_empty = stream->line_is_empty;
    bool is_pair = c == '\n' && stream->after_return; /* CR LF is one end of line */
    stream->after_return = c == '\r';
    if (is_pair)
        return false;
    stream->line_is_empty = c == '\n' || c == '\r';
    return was_empty && stream->line_is_empty;
}

/* --- hiding usage ---------------------------------------------------------------------------- */

struct found_usage {
    bool has_empty_choices, has_object, has_null;
    bool in_choices;
    uint64_t from, to; /* of the member that is null, with the comma before it */
};

static void see(void *context, const struct json_scan *scan, const struct json_scan_value *value)
{
    struct found_usage *found = context;
    if (json_scan_is_at(scan, value, "choices") && value->kind == SCAN_ARRAY)
        found->has_empty_choices = true;
    if (value->level == 2 && str_equal(json_scan_name(scan, 1), STR("choices")))
        found->has_empty_choices = false;
    if (!json_scan_is_at(scan, value, "usage"))
        return;
    found->has_object |= value->kind == SCAN_OBJECT;
    if (value->kind == SCAN_NULL && value->comma) {
        found->has_null = true;
        found->from = value->comma;
        found->to = value->to;
    }
}

/* The data of an event that has one line of it; empty where it is otherwise. */
static struct str data_of(struct str event)
{
    struct str data = STR("");
    for (size_t from = 0; from < event.len;) {
        size_t to = str_index(event, '\n', from);
        struct str line = str_make(event.ptr + from, to - from);
        from = to + 1;
        if (!str_starts(line, STR("data:")))
            continue;
        if (data.len)
            return STR("");
        data = str_from_offset(line, 5);
    }
    return data;
}

static void pass_without_usage(struct answer_stream *stream, struct str event)
{
    struct found_usage found = { 0 };
    struct json_scan scan;
    struct str data = data_of(event);
    json_scan_init(&scan, see, &found);
    if (!data.len || json_scan_feed(&scan, data) < 0 || json_scan_end(&scan) < 0) {
        buf_add_str(&stream->out, event);
        return;
    }
    if (found.has_object && found.has_empty_choices)
        return;
    if (!found.has_null) {
        buf_add_str(&stream->out, event);
        return;
    }
    const char *from = data.ptr + found.from, *to = data.ptr + found.to;
    buf_add(&stream->out, event.ptr, (size_t)(from - event.ptr));
    buf_add(&stream->out, to, (size_t)(event.ptr + event.len - to));
}

/* --- passing on ------------------------------------------------------------------------------ */

/* An event that is whole; what was held is its beginning. */
static void pass(struct answer_stream *stream, struct str rest)
{
    struct str event = rest;
    if (stream->held.len) {
        buf_add_str(&stream->held, rest);
        event = buf_str(&stream->held);
    }
    if (stream->hides_usage && !stream->is_long)
        pass_without_usage(stream, event);
    else
        buf_add_str(&stream->out, event);
    buf_truncate(&stream->held, 0);
    stream->is_long = false;
}

int answer_stream_feed(struct answer_stream *stream, struct str bytes, struct str *ret)
{
    size_t passed = 0, last = 0;
    buf_truncate(&stream->out, 0);
    for (size_t i = 0; i < bytes.len; i++) {
        if (!ends_with(stream, bytes.ptr[i]))
            continue;
        last = i + 1;
        if (stream->hides_usage) {
            pass(stream, str_make(bytes.ptr + passed, last - passed));
            passed = last;
        }
    }
    if (last == bytes.len && !stream->held.len && !stream->hides_usage) {
        stream->is_long = false;
        *ret = bytes; /* nothing is held, nothing is copied */
        return 0;
    }
    if (last > passed)
        pass(stream, str_make(bytes.ptr + passed, last - passed));
    buf_add_str(&stream->held, str_from_offset(bytes, last));
    if (stream->held.len > ANSWER_HELD_BYTES_MAX) {
        buf_add_str(&stream->out, buf_str(&stream->held));
        buf_truncate(&stream->held, 0);
        stream->is_long = true;
    }
    *ret = buf_str(&stream->out);
    return stream->held.error ? stream->held.error : stream->out.error;
}

struct str answer_stream_rest(const struct answer_stream *stream)
{
    return buf_str(&stream->held);
}

bool answer_stream_is_within(const struct answer_stream *stream)
{
    return stream->is_long;
}
