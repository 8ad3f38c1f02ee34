/*
 * yaml: see the header.
 *
 * Theory of operation. yaml_text says what part of the text is the document,
 * yaml_reader makes events of it, yaml_scalar says what a plain scalar means.
 * Here the events are written down as JSON text, of which json_read then makes
 * values: a number means the same in both. Limits are checked and duplicate
 * keys refused on the way, where their places in the text are known. Locating
 * runs the events again and follows the pointer.
 *
 * Invariants:
 *   1. The JSON has at most JSON_GROWTH bytes for each byte of the text, and a
 *      few: "{a," becomes `{"a":null,`.
 *   2. There are never more than limits->depth frames. Every loop over events
 *      ends with the text; nothing recurses.
 *
 * Threats: keys that collide on purpose (the hash is seeded), values that grow
 * by reference (there are no aliases), and those that yaml_text keeps away.
 */
#include "contract/yaml.h"

#include "base/arena.h"
#include "base/map.h"
#include "contract/yaml_reader.h"
#include "contract/yaml_scalar.h"
#include "contract/yaml_text.h"

#define JSON_GROWTH     6
#define JSON_SIZE_EMPTY 64
#define FRAMES_MIN      16
#define KEY_SHOWN_BYTES 80 /* of a key, in a message */

static_assert(YAML_SIZE_MAX <= UINT32_MAX, "the places of keys are kept in 32 bits");

enum limit { LIMIT_DEPTH, LIMIT_ARRAY, LIMIT_MEMBERS, LIMIT_STRING, LIMIT_DIGITS };

static const struct limit_words {
    const char *subject, *unit, *flag;
    bool is_counted; /* there may be more than have been seen */
} limit_words[] = {
    [LIMIT_DEPTH] = { "the nesting", "levels", "--max-depth", true },
    [LIMIT_ARRAY] = { "the array", "items", "--max-array", true },
    [LIMIT_MEMBERS] = { "the object", "members", "--max-members", true },
    [LIMIT_STRING] = { "the string", "bytes", "--max-string", false },
    [LIMIT_DIGITS] = { "the number", "characters", "--max-digits", false },
};
static_assert(ARRAY_LEN(limit_words) == LIMIT_DIGITS + 1, "every limit has its words");

/* An open mapping or sequence. */
struct frame {
    bool is_mapping;
    bool has_key; /* the next event is a value */
    size_t offset;
    size_t count;    /* of members or items so far */
    struct map keys; /* with their offsets */
};

struct reading {
    struct yaml_reader reader;
    const struct json_limits *limits;
    struct err *err;
    struct buf json;
    struct arena keys;
    struct frame *frames;
    size_t depth;
    size_t capacity;
};

static int read_events(struct reading *reading);

static void release(struct reading *reading)
{
    yaml_reader_close(&reading->reader);
    buf_release(&reading->json);
    arena_release(&reading->keys);
    for (size_t i = 0; i < reading->depth; i++)
        map_release(&reading->frames[i].keys);
    free(reading->frames);
}

int yaml_read(struct str text, const struct json_limits *limits, yyjson_doc **ret_doc,
              struct err *err)
{
    if (text.len > limits->size_bytes)
        return err_set(err, ERR_LIMIT, YAML_STEP,
                       "the text has %zu bytes; the limit is %zu (--max-size raises it)", text.len,
                       limits->size_bytes);
    struct reading reading = { .limits = limits, .err = err, .keys = ARENA_INIT };
    int r = yaml_reader_open(text, &reading.reader, err);
    if (r == 0) {
        reading.json = BUF_INIT_LIMIT(JSON_SIZE_EMPTY + JSON_GROWTH * text.len);
        r = read_events(&reading);
    }
    if (r == 0) {
        struct json_limits json_limits = *limits;
        json_limits.size_bytes = reading.json.limit;
        r = json_read(buf_str(&reading.json), &json_limits, ret_doc, err);
    }
    release(&reading);
    return r;
}

static int take_event(struct reading *reading, const struct yaml_event *event);

static int out_of_memory(struct reading *reading)
{
    return err_set(reading->err, ERR_MEMORY, YAML_STEP, "a text of %zu bytes",
                   reading->reader.body.len);
}

/* One value, then the end. */
static int read_events(struct reading *reading)
{
    struct yaml_event event;
    do {
        int r = yaml_reader_next(&reading->reader, &event, reading->err);
        if (r == 0)
            r = take_event(reading, &event);
        if (r < 0)
            return reading->json.error ? out_of_memory(reading) : r;
    } while (reading->depth);
    int r = yaml_reader_next(&reading->reader, &event, reading->err);
    if (r == 0 && event.type != YAML_END)
        r = yaml_refuse(reading->reader.body, event.offset, ERR_SYNTAX, reading->err,
                        "expected the end of the text behind the document's value");
    return r;
}

static int refuse(struct reading *reading, const struct yaml_event *event, const char *cause)
{
    return yaml_refuse(reading->reader.body, event->offset, ERR_SYNTAX, reading->err, "%s", cause);
}

/* `found` is what has been seen so far. */
static int refuse_limit(struct reading *reading, size_t offset, enum limit limit, size_t found,
                        size_t allowed)
{
    const struct limit_words *words = &limit_words[limit];
    return yaml_refuse(reading->reader.body, offset, ERR_LIMIT, reading->err,
                       "%s has %s%zu %s; the limit is %zu (%s raises it)", words->subject,
                       words->is_counted ? "at least " : "", found, words->unit, allowed,
                       words->flag);
}

/* --- mappings and sequences ------------------------------------------------- */

static int open_frame(struct reading *reading, const struct yaml_event *event)
{
    if (reading->depth >= reading->limits->depth)
        return refuse_limit(reading, event->offset, LIMIT_DEPTH, reading->depth + 1,
                            reading->limits->depth);
    if (reading->depth == reading->capacity) {
        size_t capacity = reading->capacity ? reading->capacity * 2 : FRAMES_MIN;
        struct frame *frames = realloc(reading->frames, capacity * sizeof(*frames));
        if (!frames)
            return out_of_memory(reading);
        reading->frames = frames;
        reading->capacity = capacity;
    }
    bool is_mapping = event->type == YAML_MAPPING;
    reading->frames[reading->depth++] = (struct frame){
        .is_mapping = is_mapping,
        .offset = event->offset,
        .keys = MAP_INIT,
    };
    return buf_add_char(&reading->json, is_mapping ? '{' : '[');
}

static int close_frame(struct reading *reading, const struct yaml_event *event)
{
    struct frame *frame = reading->depth ? &reading->frames[reading->depth - 1] : NULL;
    bool is_mapping = event->type == YAML_MAPPING_END;
    if (!frame || frame->is_mapping != is_mapping || frame->has_key)
        return refuse(reading, event, "found the end of something that is not open");
    map_release(&frame->keys);
    reading->depth--;
    return buf_add_char(&reading->json, is_mapping ? '}' : ']');
}

static int start_item(struct reading *reading, struct frame *frame)
{
    if (frame->count == reading->limits->array_items)
        return refuse_limit(reading, frame->offset, LIMIT_ARRAY, frame->count + 1,
                            reading->limits->array_items);
    return frame->count++ ? buf_add_char(&reading->json, ',') : 0;
}

/* --- keys --------------------------------------------------------------------- */

static void add_shown(struct buf *shown, struct str key)
{
    bool is_cut = key.len > KEY_SHOWN_BYTES;
    if (is_cut)
        key.len = KEY_SHOWN_BYTES;
    json_add_string(shown, key);
    if (is_cut)
        buf_add_text(shown, "…");
}

static int refuse_duplicate(struct reading *reading, const struct yaml_event *key, size_t first)
{
    struct str body = reading->reader.body;
    struct json_position before = json_position(body, first);
    _cleanup_(buf_release) struct buf shown = BUF_INIT;
    add_shown(&shown, key->text);
    return yaml_refuse(body, key->offset, ERR_SYNTAX, reading->err,
                       "the key %s stands twice in one mapping, first at %zu:%zu; keys are unique",
                       shown.data, before.line, before.column);
}

static const char *const meaning_text[] = {
    [YAML_MEANS_STRING] = "a string",  [YAML_MEANS_NULL] = "null",
    [YAML_MEANS_TRUE] = "true",        [YAML_MEANS_FALSE] = "false",
    [YAML_MEANS_DECIMAL] = "a number", [YAML_MEANS_OCTAL] = "a number",
    [YAML_MEANS_HEX] = "a number",     [YAML_MEANS_NOT_FINITE] = "a number",
};
static_assert(ARRAY_LEN(meaning_text) == YAML_MEANS_NOT_FINITE + 1, "every meaning has its text");

/* A key is a scalar, and a string. */
static int check_key(struct reading *reading, const struct yaml_event *key)
{
    if (key->type != YAML_SCALAR)
        return refuse(reading, key, "a key is a string; found a mapping or a sequence");
    if (key->text.len > reading->limits->string_bytes)
        return refuse_limit(reading, key->offset, LIMIT_STRING, key->text.len,
                            reading->limits->string_bytes);
    if (!key->is_plain)
        return 0;
    if (str_equal(key->text, STR("<<")))
        return refuse(reading, key,
                      "merge keys (<<) are not accepted: write the members out; a key that is "
                      "called << is put in quotes");
    enum yaml_meaning meaning = yaml_scalar_meaning(key->text);
    if (meaning == YAML_MEANS_STRING)
        return 0;
    if (key->text.len == 0)
        return refuse(reading, key, "expected a key; an empty one is written \"\"");
    _cleanup_(buf_release) struct buf shown = BUF_INIT;
    add_shown(&shown, key->text);
    return yaml_refuse(reading->reader.body, key->offset, ERR_SYNTAX, reading->err,
                       "a key is a string, and this is %s; write %s", meaning_text[meaning],
                       shown.data);
}

static int take_key(struct reading *reading, struct frame *frame, const struct yaml_event *key)
{
    int r = check_key(reading, key);
    if (r < 0)
        return r;
    if (frame->count == reading->limits->members)
        return refuse_limit(reading, frame->offset, LIMIT_MEMBERS, frame->count + 1,
                            reading->limits->members);
    uint32_t first;
    if (map_get(&frame->keys, key->text, &first))
        return refuse_duplicate(reading, key, first);
    char *copy = arena_copy(&reading->keys, key->text);
    if (!copy || map_put(&frame->keys, str_make(copy, key->text.len), (uint32_t)key->offset) < 0)
        return out_of_memory(reading);
    if (frame->count++)
        buf_add_char(&reading->json, ',');
    frame->has_key = true;
    json_add_string(&reading->json, key->text);
    return buf_add_char(&reading->json, ':');
}

/* --- scalars ------------------------------------------------------------------ */

static int add_string(struct reading *reading, const struct yaml_event *scalar)
{
    if (scalar->text.len > reading->limits->string_bytes)
        return refuse_limit(reading, scalar->offset, LIMIT_STRING, scalar->text.len,
                            reading->limits->string_bytes);
    return json_add_string(&reading->json, scalar->text);
}

static int add_number(struct reading *reading, const struct yaml_event *scalar,
                      enum yaml_meaning meaning)
{
    size_t allowed = reading->limits->number_digits;
    if (scalar->text.len > allowed)
        return refuse_limit(reading, scalar->offset, LIMIT_DIGITS, scalar->text.len, allowed);
    size_t start = reading->json.len;
    int r = yaml_scalar_add_number(&reading->json, scalar->text, meaning);
    if (r == -E2BIG)
        return yaml_refuse(reading->reader.body, scalar->offset, ERR_LIMIT, reading->err,
                           "a number that is not decimal has at most %d digits",
                           YAML_RADIX_DIGITS_MAX);
    size_t len = reading->json.len - start;
    return len > allowed ? refuse_limit(reading, scalar->offset, LIMIT_DIGITS, len, allowed) : r;
}

static int add_scalar(struct reading *reading, const struct yaml_event *scalar)
{
    struct buf *json = &reading->json;
    enum yaml_meaning meaning =
        scalar->is_plain ? yaml_scalar_meaning(scalar->text) : YAML_MEANS_STRING;
    switch (meaning) {
    case YAML_MEANS_STRING:
        return add_string(reading, scalar);
    case YAML_MEANS_NULL:
        return buf_add_text(json, "null");
    case YAML_MEANS_TRUE:
        return buf_add_text(json, "true");
    case YAML_MEANS_FALSE:
        return buf_add_text(json, "false");
    case YAML_MEANS_DECIMAL:
    case YAML_MEANS_OCTAL:
    case YAML_MEANS_HEX:
        return add_number(reading, scalar, meaning);
    case YAML_MEANS_NOT_FINITE:
        break;
    }
    return refuse(reading, scalar,
                  "infinity and NaN are no numbers of a contract; a string is put in quotes");
}

static int take_event(struct reading *reading, const struct yaml_event *event)
{
    struct frame *frame = reading->depth ? &reading->frames[reading->depth - 1] : NULL;
    if (event->type == YAML_END)
        return refuse(reading, event, "the text ends, expected a value");
    if (event->type == YAML_MAPPING_END || event->type == YAML_SEQUENCE_END)
        return close_frame(reading, event);
    if (frame && frame->is_mapping && !frame->has_key)
        return take_key(reading, frame, event);
    if (frame && !frame->is_mapping) {
        int r = start_item(reading, frame);
        if (r < 0)
            return r;
    }
    if (frame)
        frame->has_key = false;
    return event->type == YAML_SCALAR ? add_scalar(reading, event) : open_frame(reading, event);
}

/* --- locating ------------------------------------------------------------------- */

/* Whether a key is what a pointer's token names; "~" and "/" are "~0" and "~1" in it. */
static bool token_names(struct str token, struct str key)
{
    size_t at = 0;
    for (size_t i = 0; i < token.len; i++, at++) {
        char c = token.ptr[i];
        if (c == '~') {
            char escaped = ++i < token.len ? token.ptr[i] : '\0';
            if (escaped != '0' && escaped != '1')
                return false;
            c = escaped == '0' ? '~' : '/';
        }
        if (at == key.len || key.ptr[at] != c)
            return false;
    }
    return at == key.len;
}

static int token_index(struct str token, size_t *ret)
{
    size_t index = 0;
    if (token.len == 0 || (token.ptr[0] == '0' && token.len > 1))
        return -ENOENT;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9' || index > YAML_SIZE_MAX)
            return -ENOENT;
        index = index * 10 + (size_t)(token.ptr[i] - '0');
    }
    *ret = index;
    return 0;
}

static int next(struct yaml_reader *reader, struct yaml_event *ret)
{
    int r = yaml_reader_next(reader, ret, NULL);
    return r == 0 && ret->type == YAML_END ? -ENOENT : r;
}

/* Passes over what is left of a value whose first event has been read. */
static int pass_over(struct yaml_reader *reader, struct yaml_event event)
{
    size_t depth = 0;
    for (;;) {
        if (event.type == YAML_MAPPING || event.type == YAML_SEQUENCE)
            depth++;
        else if (event.type == YAML_MAPPING_END || event.type == YAML_SEQUENCE_END)
            depth -= depth > 0;
        if (depth == 0)
            return 0;
        int r = next(reader, &event);
        if (r < 0)
            return r;
    }
}

/* Reads up to the first event of the member that the token names. */
static int find_member(struct yaml_reader *reader, struct str token, size_t *ret_key,
                       struct yaml_event *ret)
{
    for (;;) {
        struct yaml_event event;
        int r = next(reader, &event);
        if (r < 0 || event.type != YAML_SCALAR)
            return r < 0 ? r : -ENOENT;
        bool found = token_names(token, event.text);
        *ret_key = event.offset;
        r = next(reader, ret);
        if (r < 0 || found)
            return r;
        r = pass_over(reader, *ret);
        if (r < 0)
            return r;
    }
}

static int find_item(struct yaml_reader *reader, struct str token, size_t *ret_key,
                     struct yaml_event *ret)
{
    size_t index;
    int r = token_index(token, &index);
    while (r == 0) {
        r = next(reader, ret);
        if (r == 0 && ret->type == YAML_SEQUENCE_END)
            r = -ENOENT;
        *ret_key = ret->offset;
        if (r < 0 || index-- == 0)
            break;
        r = pass_over(reader, *ret);
    }
    return r;
}

/* Follows the pointer to the first event of what it names. */
static int follow(struct yaml_reader *reader, struct str pointer, size_t *ret_key,
                  struct yaml_event *ret)
{
    int r = next(reader, ret);
    *ret_key = ret->offset;
    for (size_t at = 0; r == 0 && at < pointer.len;) {
        if (pointer.ptr[at] != '/')
            return -ENOENT;
        size_t end = str_index(pointer, '/', at + 1);
        struct str token = str_make(pointer.ptr + at + 1, end - at - 1);
        if (ret->type == YAML_MAPPING)
            r = find_member(reader, token, ret_key, ret);
        else if (ret->type == YAML_SEQUENCE)
            r = find_item(reader, token, ret_key, ret);
        else
            r = -ENOENT;
        at = end;
    }
    return r;
}

int yaml_locate(struct str text, struct str pointer, bool key, struct json_position *ret)
{
    struct yaml_reader reader;
    struct yaml_event event = { 0 };
    size_t key_offset = 0;
    int r = yaml_reader_open(text, &reader, NULL);
    if (r == 0)
        r = follow(&reader, pointer, &key_offset, &event);
    if (r == 0)
        *ret = json_position(reader.body, key ? key_offset : event.offset);
    yaml_reader_close(&reader);
    return r;
}
