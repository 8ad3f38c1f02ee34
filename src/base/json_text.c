/*
 * json_text: see the header.
 *
 * Theory of operation. Nothing here decides whether a text is JSON: yyjson
 * does. These functions look at a text again when somebody has to be told
 * where in it something stands. Locating trusts that the text was accepted
 * and walks it by its punctuation; finding a fault reads strictly, token by
 * token, with a stack of the open containers, and stops at the first thing
 * out of place. All stay within the text, whatever it is, and none recurses.
 */
#include "base/json_text.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"

#define WORD_SHOWN_MAX 24 /* bytes of an unexpected word, in a message */

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t skip_space(struct str text, size_t at)
{
    while (at < text.len && is_space(text.ptr[at]))
        at++;
    return at;
}

/* From an opening quote to behind the closing one. */
static size_t skip_string(struct str text, size_t at)
{
    for (at++; at < text.len; at++) {
        if (text.ptr[at] == '\\')
            at++;
        else if (text.ptr[at] == '"')
            return at + 1;
    }
    return text.len;
}

/* To behind a number or a literal. */
static size_t skip_scalar(struct str text, size_t at)
{
    while (at < text.len && !is_space(text.ptr[at]) && !strchr(",:]}[{\"", text.ptr[at]))
        at++;
    return at;
}

struct json_position json_position(struct str text, size_t offset)
{
    if (offset > text.len)
        offset = text.len;
    struct json_position position = { .line = 1 };
    size_t start = 0;
    for (size_t at; (at = str_index(text, '\n', start)) < offset; start = at + 1)
        position.line++;
    position.column = utf8_length(str_make(text.ptr + start, offset - start)) + 1;
    return position;
}

size_t json_value_offset(struct str text, size_t index)
{
    for (size_t at = 0; at < text.len;) {
        char c = text.ptr[at];
        if (is_space(c) || strchr(",:]}", c)) {
            at++;
            continue;
        }
        if (index-- == 0)
            return at;
        if (c == '"')
            at = skip_string(text, at);
        else if (c == '{' || c == '[')
            at++;
        else
            at = skip_scalar(text, at);
    }
    return text.len;
}

/* --- locating a JSON Pointer --------------------------------------------- */

/* From the first byte of a value to behind it. */
static size_t skip_value(struct str text, size_t at)
{
    size_t depth = 0;
    do {
        char c = at < text.len ? text.ptr[at] : '\0';
        if (c == '"') {
            at = skip_string(text, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (c == '}' || c == ']') {
            depth--;
            at++;
        } else if (is_space(c) || c == ',' || c == ':') {
            at++;
        } else {
            size_t next = skip_scalar(text, at);
            at = next > at ? next : at + 1;
        }
    } while (depth && at < text.len);
    return at;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four hexadecimal digits at `at`, or -1. */
static int32_t read_hex4(struct str text, size_t at)
{
    int32_t unit = 0;
    if (at > text.len || text.len - at < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_value(text.ptr[at + i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static inline bool is_high_surrogate(int32_t unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static inline bool is_low_surrogate(int32_t unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* The code point of an escape (at its backslash), and moves behind it; -1 where it is none. */
static int32_t next_escape(struct str text, size_t *at)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    size_t i = *at + 1;
    char c = i < text.len ? text.ptr[i++] : '\0';
    const char *name = c ? strchr(names, c) : NULL;
    int32_t code_point = name ? meanings[name - names] : c == 'u' ? read_hex4(text, i) : -1;
    if (code_point < 0 || is_low_surrogate(code_point))
        return -1;
    if (!name)
        i += 4;
    if (is_high_surrogate(code_point)) {
        bool escaped = i + 1 < text.len && text.ptr[i] == '\\' && text.ptr[i + 1] == 'u';
        int32_t low = escaped ? read_hex4(text, i + 2) : -1;
        if (!is_low_surrogate(low))
            return -1;
        code_point = 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
    }
    *at = i;
    return code_point;
}

/* The code point of a pointer's token, and moves behind it; -1 at its end or where malformed. */
static int32_t next_of_token(struct str token, size_t *at)
{
    if (*at < token.len && token.ptr[*at] == '~') {
        char c = *at + 1 < token.len ? token.ptr[*at + 1] : '\0';
        if (c != '0' && c != '1')
            return -1;
        *at += 2;
        return c == '0' ? '~' : '/';
    }
    return utf8_next(token, at);
}

/* Whether the string whose opening quote stands at `at` is the token. */
static bool key_is(struct str text, size_t at, struct str token)
{
    size_t i = 0;
    for (at++; at < text.len && text.ptr[at] != '"';) {
        int32_t c = text.ptr[at] == '\\' ? next_escape(text, &at) : utf8_next(text, &at);
        if (c < 0 || next_of_token(token, &i) != c)
            return false;
    }
    return i == token.len;
}

struct place {
    size_t key; /* the value itself where it has no key */
    size_t value;
};

static int find_member(struct str text, size_t object, struct str token, struct place *ret)
{
    size_t at = skip_space(text, object + 1);
    while (at < text.len && text.ptr[at] == '"') {
        size_t value = skip_space(text, skip_string(text, at));
        value = skip_space(text, value + 1);
        if (key_is(text, at, token)) {
            *ret = (struct place){ .key = at, .value = value };
            return 0;
        }
        at = skip_space(text, skip_value(text, value));
        if (at < text.len && text.ptr[at] == ',')
            at = skip_space(text, at + 1);
    }
    return -ENOENT;
}

static int find_item(struct str text, size_t array, struct str token, struct place *ret)
{
    size_t index = 0;
    if (token.len == 0 || (token.ptr[0] == '0' && token.len > 1))
        return -ENOENT;
    for (size_t i = 0; i < token.len; i++) {
        if (!is_digit(token.ptr[i]) || index > text.len)
            return -ENOENT;
        index = index * 10 + (size_t)(token.ptr[i] - '0');
    }
    size_t at = skip_space(text, array + 1);
    for (; at < text.len && text.ptr[at] != ']'; index--) {
        if (index == 0) {
            *ret = (struct place){ .key = at, .value = at };
            return 0;
        }
        at = skip_space(text, skip_value(text, at));
        if (at < text.len && text.ptr[at] == ',')
            at = skip_space(text, at + 1);
    }
    return -ENOENT;
}

int json_locate(struct str text, struct str pointer, bool key, size_t *ret_offset)
{
    struct place place;
    place.key = place.value = skip_space(text, 0);
    for (size_t at = 0; at < pointer.len;) {
        if (pointer.ptr[at] != '/' || place.value >= text.len)
            return -ENOENT;
        size_t end = str_index(pointer, '/', at + 1);
        struct str token = str_make(pointer.ptr + at + 1, end - at - 1);
        char c = text.ptr[place.value];
        int r = c == '{'   ? find_member(text, place.value, token, &place)
                : c == '[' ? find_item(text, place.value, token, &place)
                           : -ENOENT;
        if (r < 0)
            return r;
        at = end;
    }
    *ret_offset = key ? place.key : place.value;
    return 0;
}

/* --- finding a fault ------------------------------------------------------ */

/* What may stand at the reader's place. */
enum expect {
    EXPECT_ROOT,
    EXPECT_ITEM,       /* behind [ */
    EXPECT_ITEM_AGAIN, /* behind a comma */
    EXPECT_KEY,        /* behind { */
    EXPECT_KEY_AGAIN,  /* behind a comma */
    EXPECT_COLON,
    EXPECT_VALUE, /* behind a colon */
    EXPECT_ITEM_END,
    EXPECT_MEMBER_END,
    EXPECT_NOTHING,
};

static const char *const expect_text[] = {
    [EXPECT_ROOT] = "a value",
    [EXPECT_ITEM] = "a value or ']'",
    [EXPECT_ITEM_AGAIN] = "another value",
    [EXPECT_KEY] = "a key in double quotes or '}'",
    [EXPECT_KEY_AGAIN] = "another key in double quotes",
    [EXPECT_COLON] = "':' behind the key",
    [EXPECT_VALUE] = "a value",
    [EXPECT_ITEM_END] = "',' or ']'",
    [EXPECT_MEMBER_END] = "',' or '}'",
    [EXPECT_NOTHING] = "the end of the text",
};
static_assert(ARRAY_LEN(expect_text) == EXPECT_NOTHING + 1, "every expectation has its words");

struct finder {
    struct str text;
    size_t at;
    enum expect expect;
    size_t *open; /* offsets of the open containers, outermost first */
    size_t depth;
    size_t capacity;
    size_t depth_max;
    struct json_fault *fault;
};

#define FAULT_FOUND 1 /* beside 0, go on, and -errno */

static int PRINTF_LIKE(3, 4) fault_at(struct finder *finder, size_t offset, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    finder->fault->offset = offset;
    vsnprintf(finder->fault->cause, sizeof(finder->fault->cause), format, arguments);
    va_end(arguments);
    return FAULT_FOUND;
}

/* What stands at an offset, as a reader sees it. */
static void describe(struct str text, size_t at, char *ret, size_t size)
{
    size_t end = at;
    while (end < text.len && end - at < WORD_SHOWN_MAX && is_word(text.ptr[end]))
        end++;
    unsigned char c = (unsigned char)text.ptr[at];
    size_t next = at;
    if (end == at && c > ' ' && c != 0x7f && utf8_next(text, &next) >= 0)
        end = next;
    if (end > at)
        snprintf(ret, size, "'%.*s'", (int)(end - at), text.ptr + at);
    else
        snprintf(ret, size, "the byte 0x%02x", c);
}

static bool starts_word(struct str text, size_t at, const char *word)
{
    struct str rest = str_from_offset(text, at);
    size_t len = strlen(word);
    return str_starts(rest, str_make(word, len)) && (rest.len == len || !is_word(rest.ptr[len]));
}

/* What people and other languages write, and what JSON has for it. */
static const char *hint(const struct finder *finder)
{
    static const struct {
        const char *word, *hint;
    } words[] = {
        { "True", "; JSON writes true" },         { "False", "; JSON writes false" },
        { "None", "; JSON writes null" },         { "NULL", "; JSON writes null" },
        { "undefined", "; JSON writes null" },    { "NaN", "; JSON has no NaN" },
        { "Infinity", "; JSON has no Infinity" },
    };
    struct str text = finder->text;
    char c = text.ptr[finder->at];
    bool again = finder->expect == EXPECT_ITEM_AGAIN || finder->expect == EXPECT_KEY_AGAIN;
    if (again && (c == ']' || c == '}'))
        return "; the last one has no comma behind it";
    if (c == '\'')
        return "; strings stand in double quotes";
    if (c == '/' || c == '#')
        return "; JSON has no comments";
    if (c == '+')
        return "; JSON numbers have no plus sign";
    if (c == '.')
        return "; a digit stands before the decimal point";
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (starts_word(text, finder->at, words[i].word))
            return words[i].hint;
    return "";
}

static int unexpected(struct finder *finder)
{
    if (finder->at == 0 && str_starts(finder->text, STR("\xef\xbb\xbf")))
        return fault_at(finder, 0,
                        "the text starts with a byte order mark; save it as UTF-8 without one");
    char found[WORD_SHOWN_MAX + 8];
    describe(finder->text, finder->at, found, sizeof(found));
    return fault_at(finder, finder->at, "found %s, expected %s%s", found,
                    expect_text[finder->expect], hint(finder));
}

static int unexpected_end(struct finder *finder)
{
    if (finder->expect == EXPECT_ROOT)
        return fault_at(finder, finder->text.len, "the text is empty, expected a value");
    size_t open = finder->open[finder->depth - 1];
    struct json_position at = json_position(finder->text, open);
    return fault_at(finder, finder->text.len,
                    "the text ends, expected %s; the %s that starts at %zu:%zu is not closed",
                    expect_text[finder->expect], finder->text.ptr[open] == '{' ? "object" : "array",
                    at.line, at.column);
}

static int open_container(struct finder *finder)
{
    if (finder->depth == finder->depth_max) {
        finder->fault->offset = finder->at;
        return -E2BIG;
    }
    if (finder->depth == finder->capacity) {
        size_t capacity = finder->capacity ? finder->capacity * 2 : 64;
        size_t *open = realloc(finder->open, capacity * sizeof(*open));
        if (!open)
            return -ENOMEM;
        finder->open = open;
        finder->capacity = capacity;
    }
    finder->open[finder->depth++] = finder->at;
    finder->expect = finder->text.ptr[finder->at] == '{' ? EXPECT_KEY : EXPECT_ITEM;
    finder->at++;
    return 0;
}

/* A value is complete: what follows depends on what it stands in. */
static void value_done(struct finder *finder, size_t end)
{
    finder->at = end;
    if (finder->depth == 0)
        finder->expect = EXPECT_NOTHING;
    else if (finder->text.ptr[finder->open[finder->depth - 1]] == '{')
        finder->expect = EXPECT_MEMBER_END;
    else
        finder->expect = EXPECT_ITEM_END;
}

static int read_string(struct finder *finder, bool key)
{
    struct str text = finder->text;
    size_t at = finder->at + 1;
    for (;;) {
        unsigned char c = at < text.len ? (unsigned char)text.ptr[at] : '\0';
        size_t start = at;
        if (at == text.len)
            return fault_at(finder, finder->at, "the string that starts here is not closed");
        if (c == '"')
            break;
        if (c == '\n' || c == '\r')
            return fault_at(finder, at,
                            "a string ends before its closing quote; "
                            "a line break inside it is written \\n");
        if (c < ' ')
            return fault_at(finder, at, "found the byte 0x%02x in a string; it is written \\u%04x",
                            c, c);
        if (c == '\\' && next_escape(text, &at) < 0)
            return fault_at(finder, start,
                            text.len - at > 1 && text.ptr[at + 1] == 'u'
                                ? "found a malformed \\u escape; four hexadecimal digits follow "
                                  "it, and surrogates stand in pairs"
                                : "found a backslash that starts no escape of JSON; "
                                  "the backslash itself is written \\\\");
        if (c != '\\' && utf8_next(text, &at) < 0)
            return fault_at(finder, at, "the byte 0x%02x is not valid UTF-8 here", c);
    }
    if (key) {
        finder->expect = EXPECT_COLON;
        finder->at = at + 1;
    } else {
        value_done(finder, at + 1);
    }
    return 0;
}

static size_t skip_digits(struct str text, size_t at)
{
    while (at < text.len && is_digit(text.ptr[at]))
        at++;
    return at;
}

static int read_number(struct finder *finder)
{
    struct str text = finder->text;
    size_t start = finder->at + (text.ptr[finder->at] == '-');
    size_t end = skip_digits(text, start);
    if (end == start)
        return fault_at(finder, start, "expected a digit behind the minus sign");
    if (text.ptr[start] == '0' && end - start > 1)
        return fault_at(finder, start, "a number does not start with a zero that means nothing");
    if (end < text.len && text.ptr[end] == '.') {
        start = end + 1;
        end = skip_digits(text, start);
        if (end == start)
            return fault_at(finder, start, "expected a digit behind the decimal point");
    }
    if (end < text.len && (text.ptr[end] == 'e' || text.ptr[end] == 'E')) {
        start = end + 1;
        start += start < text.len && (text.ptr[start] == '-' || text.ptr[start] == '+');
        end = skip_digits(text, start);
        if (end == start)
            return fault_at(finder, start, "expected a digit in the exponent");
    }
    value_done(finder, end);
    return 0;
}

static int read_value(struct finder *finder)
{
    static const char *const literals[] = { "true", "false", "null" };
    char c = finder->text.ptr[finder->at];
    if (c == '{' || c == '[')
        return open_container(finder);
    if (c == '"')
        return read_string(finder, false);
    if (c == '-' || is_digit(c))
        return read_number(finder);
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        if (starts_word(finder->text, finder->at, literals[i])) {
            value_done(finder, finder->at + strlen(literals[i]));
            return 0;
        }
    }
    return unexpected(finder);
}

static int close_container(struct finder *finder)
{
    finder->depth--;
    value_done(finder, finder->at + 1);
    return 0;
}

static int punctuation(struct finder *finder, enum expect next)
{
    finder->expect = next;
    finder->at++;
    return 0;
}

/* Reads one token, the text not being at its end. */
static int step(struct finder *finder)
{
    char c = finder->text.ptr[finder->at];
    switch (finder->expect) {
    case EXPECT_ITEM:
        return c == ']' ? close_container(finder) : read_value(finder);
    case EXPECT_ROOT:
    case EXPECT_ITEM_AGAIN:
    case EXPECT_VALUE:
        return read_value(finder);
    case EXPECT_KEY:
        if (c == '}')
            return close_container(finder);
        return c == '"' ? read_string(finder, true) : unexpected(finder);
    case EXPECT_KEY_AGAIN:
        return c == '"' ? read_string(finder, true) : unexpected(finder);
    case EXPECT_COLON:
        return c == ':' ? punctuation(finder, EXPECT_VALUE) : unexpected(finder);
    case EXPECT_ITEM_END:
        if (c == ']')
            return close_container(finder);
        return c == ',' ? punctuation(finder, EXPECT_ITEM_AGAIN) : unexpected(finder);
    case EXPECT_MEMBER_END:
        if (c == '}')
            return close_container(finder);
        return c == ',' ? punctuation(finder, EXPECT_KEY_AGAIN) : unexpected(finder);
    case EXPECT_NOTHING:
        break;
    }
    return unexpected(finder);
}

int json_fault_find(struct str text, size_t depth, struct json_fault *ret)
{
    struct finder finder = { .text = text, .depth_max = depth, .fault = ret };
    int r = 0;
    while (r == 0) {
        finder.at = skip_space(text, finder.at);
        if (finder.at < text.len)
            r = step(&finder);
        else
            r = finder.expect == EXPECT_NOTHING ? -ENOENT : unexpected_end(&finder);
    }
    free(finder.open);
    return r == FAULT_FOUND ? 0 : r;
}
