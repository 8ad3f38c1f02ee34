/*
 * json_write: the writing half of json.h.
 *
 * Theory of operation. A value is written in one linear walk over the array
 * that yyjson keeps it in, with an explicit stack of the open containers: no
 * recursion, however deep. Strings are copied in runs of bytes that need no
 * escape; bytes that are not UTF-8 (file names, captured output) become
 * U+FFFD, so that what is written can be read again. Reals are written by
 * yyjson: the shortest digits that read back the same.
 */
#include "base/json.h"
#include "base/utf8.h"

#define FRAMES_INLINE     64
#define NUMBER_POOL_BYTES 512 /* what yyjson needs to write one number */

/* What an ASCII byte becomes behind a backslash: 'u' stands for \u00XX, 0 for no escape. */
static const char escapes[128] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0b] = 'u',
    ['\f'] = 'f',          ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

static inline bool is_plain(unsigned char c)
{
    return c < 0x80 && !escapes[c];
}

/* Whether eight bytes are all plain; where they are, no subtraction borrows from the next byte. */
static inline bool are_plain(const char *eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t bytes;
    memcpy(&bytes, eight, sizeof(bytes));
    uint64_t odd = bytes | (bytes - ' ' * ones) | ((bytes ^ '"' * ones) - ones) |
                   ((bytes ^ '\\' * ones) - ones);
    return !(odd & 0x80 * ones);
}

static void add_escape(struct buf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[] = { '\\', escapes[c], '0', '0', hex[c >> 4], hex[c & 15] };
    buf_add(buf, text, escapes[c] == 'u' ? 6 : 2);
}

int json_add_string(struct buf *buf, struct str s)
{
    buf_reserve(buf, s.len + 2); /* at once what it takes where nothing is escaped */
    buf_add_char(buf, '"');
    size_t i = 0, start = 0; /* of the run not yet copied */
    while (i < s.len) {
        while (s.len - i >= 8 && are_plain(s.ptr + i))
            i += 8;
        if (i == s.len)
            break;
        unsigned char c = (unsigned char)s.ptr[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
        if (c >= 0x80 && utf8_next(s, &i) >= 0)
            continue;
        buf_add(buf, s.ptr + start, i - start);
        if (c >= 0x80)
            buf_add_text(buf, "\xef\xbf\xbd");
        else
            add_escape(buf, c);
        start = ++i;
    }
    if (i > start) /* an empty text may be nowhere */
        buf_add(buf, s.ptr + start, i - start);
    return buf_add_char(buf, '"');
}

int json_add_name(struct buf *object, const char *name)
{
    bool first = object->len == 0 || object->data[object->len - 1] == '{';
    return buf_addf(object, "%s\"%s\":", first ? "" : ",", name);
}

int json_add_text(struct buf *object, const char *name, struct str text)
{
    json_add_name(object, name);
    return json_add_string(object, text);
}

/* JSON cannot say infinity or NaN, which no document holds: they are written as null. */
size_t json_number_text(const yyjson_val *number, char ret_text[JSON_NUMBER_TEXT_SIZE])
{
    char pool[NUMBER_POOL_BYTES];
    yyjson_alc alc;
    size_t len = 0;
    const char *text = NULL;
    if (yyjson_alc_pool_init(&alc, pool, sizeof(pool)))
        text = yyjson_val_write_opts(number, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &alc, &len, NULL);
    if (!text || len >= JSON_NUMBER_TEXT_SIZE) {
        text = "null";
        len = strlen(text);
    }
    memcpy(ret_text, text, len);
    ret_text[len] = '\0';
    return len;
}

static int add_number(struct buf *buf, const yyjson_val *number)
{
    char text[JSON_NUMBER_TEXT_SIZE];
    return buf_add(buf, text, json_number_text(number, text));
}

static int add_scalar(struct buf *buf, const yyjson_val *value)
{
    switch (unsafe_yyjson_get_type((void *)value)) {
    case YYJSON_TYPE_STR:
        return json_add_string(buf, json_str(value));
    case YYJSON_TYPE_RAW:
        return buf_add_str(buf, json_str(value));
    case YYJSON_TYPE_NUM:
        return add_number(buf, value);
    case YYJSON_TYPE_BOOL:
        return buf_add_text(buf, unsafe_yyjson_get_bool((void *)value) ? "true" : "false");
    default:
        return buf_add_text(buf, "null");
    }
}

struct writer {
    struct buf *buf;
    unsigned indent;
    const yyjson_val **open; /* the containers around the next value, outermost first */
    size_t depth;
    size_t capacity;
    const yyjson_val *open_inline[FRAMES_INLINE];
};

static void add_line(struct writer *writer)
{
    if (!writer->indent)
        return;
    size_t len = 1 + writer->depth * writer->indent;
    char *room = buf_reserve(writer->buf, len);
    if (!room)
        return;
    room[0] = '\n';
    memset(room + 1, ' ', len - 1);
    writer->buf->len += len;
    room[len] = '\0';
}

static inline bool is_object(const yyjson_val *value)
{
    return unsafe_yyjson_is_obj((void *)value);
}

static int open_container(struct writer *writer, const yyjson_val *value)
{
    if (writer->depth == writer->capacity) {
        bool is_inline = writer->open == writer->open_inline;
        size_t capacity = writer->capacity * 2;
        void *open = realloc(is_inline ? NULL : writer->open, capacity * sizeof(*writer->open));
        if (!open)
            return -ENOMEM;
        if (is_inline)
            memcpy(open, writer->open_inline, sizeof(writer->open_inline));
        writer->open = open;
        writer->capacity = capacity;
    }
    writer->open[writer->depth++] = value;
    return buf_add_char(writer->buf, is_object(value) ? '{' : '[');
}

static void close_container(struct writer *writer)
{
    const yyjson_val *value = writer->open[--writer->depth];
    add_line(writer);
    buf_add_char(writer->buf, is_object(value) ? '}' : ']');
}

/* What stands before a value: the comma and the line, or behind a key its colon. */
static void add_lead(struct writer *writer, const yyjson_val *value, bool behind_key)
{
    if (behind_key) {
        buf_add_text(writer->buf, writer->indent ? ": " : ":");
    } else if (writer->depth) {
        if (value != writer->open[writer->depth - 1] + 1)
            buf_add_char(writer->buf, ',');
        add_line(writer);
    }
}

static int write_values(struct writer *writer, const yyjson_val *value)
{
    const yyjson_val *stop = unsafe_yyjson_get_next((yyjson_val *)value);
    bool behind_key = false;
    for (; value < stop; value++) {
        while (writer->depth &&
               value == unsafe_yyjson_get_next((yyjson_val *)writer->open[writer->depth - 1]))
            close_container(writer);
        add_lead(writer, value, behind_key);
        bool is_key = writer->depth && is_object(writer->open[writer->depth - 1]) && !behind_key;
        behind_key = is_key;
        int r;
        if (!unsafe_yyjson_is_ctn((void *)value))
            r = add_scalar(writer->buf, value);
        else if (unsafe_yyjson_get_len((void *)value) == 0)
            r = buf_add_text(writer->buf, is_object(value) ? "{}" : "[]");
        else
            r = open_container(writer, value);
        if (r < 0)
            return r;
    }
    while (writer->depth)
        close_container(writer);
    return writer->buf->error;
}

int json_add_value(struct buf *buf, const yyjson_val *value, unsigned indent)
{
    struct writer writer = { .buf = buf, .indent = indent, .capacity = FRAMES_INLINE };
    writer.open = writer.open_inline;
    int r = write_values(&writer, value);
    if (writer.open != writer.open_inline)
        free(writer.open);
    return r;
}

int json_pointer_add(struct buf *pointer, struct str token)
{
    buf_add_char(pointer, '/');
    size_t start = 0;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] != '~' && token.ptr[i] != '/')
            continue;
        buf_add(pointer, token.ptr + start, i - start);
        buf_add_text(pointer, token.ptr[i] == '~' ? "~0" : "~1");
        start = i + 1;
    }
    return buf_add(pointer, token.ptr + start, token.len - start);
}

int json_pointer_add_index(struct buf *pointer, size_t index)
{
    return buf_addf(pointer, "/%zu", index);
}
