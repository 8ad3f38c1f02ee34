/*
 * json_scan: see the header.
 *
 * Theory of operation. One state for what the next byte may be, and a bit for
 * each open container. Strings are copied piece by piece into one small text
 * until it is full; so are numbers, whose grammar is checked when they end.
 *
 * Invariants: what is accepted is what RFC 8259 accepts, encoding apart, to a
 * depth of JSON_SCAN_DEPTH_MAX; the visits are the same however the bytes are
 * cut into pieces.
 *
 * Threats: the bytes are a client's or a provider's. Memory is that of the
 * struct; a byte is looked at once.
 */
#include "doors/model/json_scan.h"

enum scan_state {
    STATE_VALUE,
    STATE_VALUE_OR_END, /* behind [ */
    STATE_NAME_OR_END,  /* behind { */
    STATE_NAME,         /* behind a comma of an object */
    STATE_COLON,
    STATE_BEHIND, /* a value */
    STATE_STRING,
    STATE_ESCAPE,
    STATE_CODE, /* \u and its digits */
    STATE_NUMBER,
    STATE_LITERAL,
    STATE_DONE,
};

void json_scan_init(struct json_scan *scan, json_scan_visit *visit, void *context)
{
    /* Not the text: it is written before it is read. */
    memset(scan, 0, offsetof(struct json_scan, text));
    scan->visit = visit;
    scan->context = context;
    scan->state = STATE_VALUE;
}

static bool is_object(const struct json_scan *scan)
{
    return scan->level && scan->objects[scan->level / 64] >> (scan->level % 64) & 1;
}

static struct str name_of(const struct json_scan *scan, unsigned level)
{
    return level < JSON_SCAN_LEVELS ? str_make(scan->names[level].text, scan->names[level].len)
                                    : str_make(scan->deep_name.text, scan->deep_name.len);
}

/* --- values ---------------------------------------------------------------------------------- */

/* Shows a value that stands at `level`; `to` is behind its last byte. */
static void show(struct json_scan *scan, enum json_scan_kind kind, unsigned level, uint64_t from,
                 uint64_t to)
{
    bool has_text = kind == SCAN_STRING || kind == SCAN_NUMBER;
    bool is_end = kind == SCAN_OBJECT_END || kind == SCAN_ARRAY_END;
    struct json_scan_value value = {
        .kind = kind,
        .level = level,
        /* Of a container that ends far down the name has been forgotten. */
        .name = is_end && level >= JSON_SCAN_LEVELS ? STR("") : name_of(scan, level),
        .text = has_text ? str_make(scan->text, scan->text_len) : STR(""),
        .is_cut = kind == SCAN_STRING && scan->is_cut,
        .from = from,
        .to = to,
        .name_at = is_end ? 0 : scan->name_at,
        .comma = is_end ? 0 : scan->comma,
    };
    scan->visit(scan->context, scan, &value);
}

static void ended(struct json_scan *scan)
{
    scan->state = scan->level ? STATE_BEHIND : STATE_DONE;
}

static void forget_name(struct json_scan *scan, unsigned level)
{
    if (level < JSON_SCAN_LEVELS)
        scan->names[level].len = 0;
    else
        scan->deep_name.len = 0;
}

static int open_container(struct json_scan *scan, bool object)
{
    if (scan->level == JSON_SCAN_DEPTH_MAX)
        return -E2BIG;
    show(scan, object ? SCAN_OBJECT : SCAN_ARRAY, scan->level, scan->at, scan->at + 1);
    scan->level++;
    const uint64_t bit = UINT64_C(1) << (scan->level % 64);
    if (object)
        scan->objects[scan->level / 64] |= bit;
    else
        scan->objects[scan->level / 64] &= ~bit;
    scan->comma = scan->name_at = 0;
    forget_name(scan, scan->level);
    scan->state = object ? STATE_NAME_OR_END : STATE_VALUE_OR_END;
    return 0;
}

static int close_container(struct json_scan *scan, bool object)
{
    if (!scan->level || is_object(scan) != object)
        return -EBADMSG;
    scan->level--;
    show(scan, object ? SCAN_OBJECT_END : SCAN_ARRAY_END, scan->level, scan->at, scan->at + 1);
    ended(scan);
    return 0;
}

static void begin_text(struct json_scan *scan, enum scan_state state, bool is_name)
{
    scan->state = state;
    scan->is_name = is_name;
    scan->text_len = 0;
    scan->is_cut = false;
    scan->high_surrogate = 0;
    *(is_name ? &scan->name_at : &scan->value_from) = scan->at;
}

static void begin_literal(struct json_scan *scan, const char *literal)
{
    scan->state = STATE_LITERAL;
    scan->literal = literal;
    scan->literal_at = 1;
    scan->value_from = scan->at;
}

static int begin_value(struct json_scan *scan, char c)
{
    switch (c) {
    case '{':
        return open_container(scan, true);
    case '[':
        return open_container(scan, false);
    case '"':
        begin_text(scan, STATE_STRING, false);
        return 0;
    case 't':
        begin_literal(scan, "true");
        return 0;
    case 'f':
        begin_literal(scan, "false");
        return 0;
    case 'n':
        begin_literal(scan, "null");
        return 0;
    default:
        if (c != '-' && (c < '0' || c > '9'))
            return -EBADMSG;
        begin_text(scan, STATE_NUMBER, false);
        scan->text[scan->text_len++] = c;
        return 0;
    }
}

/* --- strings --------------------------------------------------------------------------------- */

static void add_text(struct json_scan *scan, const char *bytes, size_t len)
{
    size_t room = sizeof(scan->text) - scan->text_len;
    if (len > room) {
        scan->is_cut = true;
        len = room;
    }
    memcpy(scan->text + scan->text_len, bytes, len);
    scan->text_len += len;
}

static void add_code_point(struct json_scan *scan, uint32_t c)
{
    char bytes[4];
    size_t len;
    if (c < 0x80) {
        bytes[0] = (char)c;
        len = 1;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xc0 | c >> 6);
        len = 2;
    } else if (c < 0x10000) {
        bytes[0] = (char)(0xe0 | c >> 12);
        len = 3;
    } else {
        bytes[0] = (char)(0xf0 | c >> 18);
        len = 4;
    }
    for (size_t i = 1; i < len; i++)
        bytes[i] = (char)(0x80 | (c >> (6 * (len - 1 - i)) & 0x3f));
    add_text(scan, bytes, len);
}

/* Half of a pair that has no other half. */
static void end_surrogate(struct json_scan *scan)
{
    if (scan->high_surrogate)
        add_code_point(scan, 0xfffd);
    scan->high_surrogate = 0;
}

static void end_code(struct json_scan *scan)
{
    uint32_t c = scan->code_point;
    scan->state = STATE_STRING;
    if (scan->high_surrogate && c >= 0xdc00 && c <= 0xdfff) {
        c = 0x10000 + ((scan->high_surrogate - 0xd800) << 10) + (c - 0xdc00);
        scan->high_surrogate = 0;
        add_code_point(scan, c);
        return;
    }
    end_surrogate(scan);
    if (c >= 0xd800 && c <= 0xdbff)
        scan->high_surrogate = c;
    else
        add_code_point(scan, c >= 0xdc00 && c <= 0xdfff ? 0xfffd : c);
}

static void keep_name(struct json_scan *scan)
{
    size_t len = scan->text_len < JSON_SCAN_NAME_MAX ? scan->text_len : JSON_SCAN_NAME_MAX;
    if (scan->level < JSON_SCAN_LEVELS) {
        memcpy(scan->names[scan->level].text, scan->text, len);
        scan->names[scan->level].len = (unsigned char)len;
    } else {
        memcpy(scan->deep_name.text, scan->text, len);
        scan->deep_name.len = (unsigned char)len;
    }
}

static void end_string(struct json_scan *scan)
{
    end_surrogate(scan);
    if (scan->is_name) {
        keep_name(scan);
        scan->state = STATE_COLON;
        return;
    }
    show(scan, SCAN_STRING, scan->level, scan->value_from, scan->at + 1);
    ended(scan);
}

/* Takes what stands in a string as it is. How many bytes. */
static size_t take_plain(struct json_scan *scan, struct str bytes)
{
    size_t len = 0;
    while (len < bytes.len && bytes.ptr[len] != '"' && bytes.ptr[len] != '\\' &&
           (unsigned char)bytes.ptr[len] >= 0x20)
        len++;
    if (len) {
        end_surrogate(scan);
        add_text(scan, bytes.ptr, len);
    }
    return len;
}

static int string_byte(struct json_scan *scan, char c)
{
    if (c == '"')
        end_string(scan);
    else if (c == '\\')
        scan->state = STATE_ESCAPE;
    else
        return -EBADMSG; /* a control character */
    return 0;
}

static int escape_byte(struct json_scan *scan, char c)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        scan->state = STATE_CODE;
        scan->code_point = 0;
        scan->code_digits = 0;
        return 0;
    }
    const char *found = c ? strchr(escapes, c) : NULL;
    if (!found)
        return -EBADMSG;
    end_surrogate(scan);
    add_text(scan, &meanings[found - escapes], 1);
    scan->state = STATE_STRING;
    return 0;
}

static int code_byte(struct json_scan *scan, char c)
{
    unsigned digit;
    if (c >= '0' && c <= '9')
        digit = (unsigned)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        digit = (unsigned)((c | 0x20) - 'a') + 10;
    else
        return -EBADMSG;
    scan->code_point = scan->code_point << 4 | digit;
    if (++scan->code_digits == 4)
        end_code(scan);
    return 0;
}

/* --- numbers and words ----------------------------------------------------------------------- */

static size_t digits(struct str s, size_t at)
{
    size_t from = at;
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
        at++;
    return at - from;
}

static bool is_number(struct str s)
{
    size_t at = s.len && s.ptr[0] == '-';
    size_t whole = digits(s, at);
    if (!whole || (whole > 1 && s.ptr[at] == '0'))
        return false;
    at += whole;
    if (at < s.len && s.ptr[at] == '.') {
        size_t fraction = digits(s, at + 1);
        if (!fraction)
            return false;
        at += 1 + fraction;
    }
    if (at < s.len && (s.ptr[at] | 0x20) == 'e') {
        at++;
        at += at < s.len && (s.ptr[at] == '+' || s.ptr[at] == '-');
        size_t exponent = digits(s, at);
        if (!exponent)
            return false;
        at += exponent;
    }
    return at == s.len;
}

static int end_number(struct json_scan *scan)
{
    if (!is_number(str_make(scan->text, scan->text_len)))
        return -EBADMSG;
    show(scan, SCAN_NUMBER, scan->level, scan->value_from, scan->at);
    ended(scan);
    return 0;
}

static bool is_of_number(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || (c | 0x20) == 'e';
}

static int literal_byte(struct json_scan *scan, char c)
{
    if (c != scan->literal[scan->literal_at])
        return -EBADMSG;
    if (scan->literal[++scan->literal_at] == '\0') {
        show(scan,
             scan->literal[0] == 't'   ? SCAN_TRUE
             : scan->literal[0] == 'f' ? SCAN_FALSE
                                       : SCAN_NULL,
             scan->level, scan->value_from, scan->at + 1);
        ended(scan);
    }
    return 0;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static int structure_byte(struct json_scan *scan, char c)
{
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        return 0;
    switch ((enum scan_state)scan->state) {
    case STATE_VALUE:
        return begin_value(scan, c);
    case STATE_VALUE_OR_END:
        return c == ']' ? close_container(scan, false) : begin_value(scan, c);
    case STATE_NAME_OR_END:
    case STATE_NAME:
        if (c == '}' && scan->state == STATE_NAME_OR_END)
            return close_container(scan, true);
        if (c != '"')
            return -EBADMSG;
        begin_text(scan, STATE_STRING, true);
        return 0;
    case STATE_COLON:
        scan->state = STATE_VALUE;
        return c == ':' ? 0 : -EBADMSG;
    case STATE_BEHIND:
        if (c == ',') {
            scan->comma = scan->at;
            scan->name_at = 0;
            scan->state = is_object(scan) ? STATE_NAME : STATE_VALUE;
            return 0;
        }
        return c == '}' || c == ']' ? close_container(scan, c == '}') : -EBADMSG;
    case STATE_STRING:
    case STATE_ESCAPE:
    case STATE_CODE:
    case STATE_NUMBER:
    case STATE_LITERAL:
    case STATE_DONE:
        break;
    }
    return -EBADMSG;
}

static int take_byte(struct json_scan *scan, char c)
{
    int r;
    switch ((enum scan_state)scan->state) {
    case STATE_STRING:
        return string_byte(scan, c);
    case STATE_ESCAPE:
        return escape_byte(scan, c);
    case STATE_CODE:
        return code_byte(scan, c);
    case STATE_LITERAL:
        return literal_byte(scan, c);
    case STATE_NUMBER:
        if (is_of_number(c)) {
            add_text(scan, &c, 1);
            return scan->is_cut ? -E2BIG : 0;
        }
        r = end_number(scan);
        return r < 0 ? r : structure_byte(scan, c);
    case STATE_VALUE:
    case STATE_VALUE_OR_END:
    case STATE_NAME_OR_END:
    case STATE_NAME:
    case STATE_COLON:
    case STATE_BEHIND:
    case STATE_DONE:
        return structure_byte(scan, c);
    }
    return -EBADMSG;
}

int json_scan_feed(struct json_scan *scan, struct str bytes)
{
    for (size_t i = 0; i < bytes.len && scan->error == 0;) {
        if (scan->state == STATE_STRING) {
            size_t len = take_plain(scan, str_from_offset(bytes, i));
            i += len;
            scan->at += len;
            if (i == bytes.len)
                break;
        }
        scan->error = take_byte(scan, bytes.ptr[i++]);
        scan->at++;
    }
    return scan->error;
}

int json_scan_end(struct json_scan *scan)
{
    if (scan->error == 0 && scan->state == STATE_NUMBER)
        scan->error = end_number(scan);
    if (scan->error == 0 && scan->state != STATE_DONE)
        scan->error = -EBADMSG;
    return scan->error;
}

/* --- what a visitor asks --------------------------------------------------------------------- */

bool json_scan_is_at(const struct json_scan *scan, const struct json_scan_value *value,
                     const char *path)
{
    struct str rest = str_from(path);
    unsigned level = 0;
    /* Most values stand elsewhere: the last name decides first. */
    if (value->level >= JSON_SCAN_LEVELS || !str_ends(rest, value->name))
        return false;
    for (size_t from = 0; from <= rest.len && level < value->level;) {
        size_t to = str_index(rest, '/', from);
        level++;
        if (!str_equal(str_make(rest.ptr + from, to - from), name_of(scan, level)))
            return false;
        from = to + 1;
        if (to == rest.len)
            return level == value->level;
    }
    return false;
}

struct str json_scan_name(const struct json_scan *scan, unsigned level)
{
    return name_of(scan, level);
}

bool json_scan_unsigned(const struct json_scan_value *value, uint64_t *ret)
{
    uint64_t number = 0;
    if (value->kind != SCAN_NUMBER)
        return false;
    for (size_t i = 0; i < value->text.len; i++) {
        const char c = value->text.ptr[i];
        if (c < '0' || c > '9' || number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(c - '0');
    }
    *ret = number;
    return true;
}
