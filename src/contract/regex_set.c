/*
 * regex_set: whatever stands for one code point in a pattern: literals, escapes, classes.
 *
 * Each reader below writes the same set for PCRE2 and returns what it holds, as
 * far as regex_steps can make use of that. Letters and digits are written as
 * they are and everything else as \x{…}, so that nothing is ever read as
 * PCRE2's own syntax.
 *
 * In ECMA-262, \d and \w are ASCII, \s is its own list of spaces, and . leaves
 * out four line terminators: all are written out as ranges. A surrogate on its
 * own matches nothing, because no text in UTF-8 holds one.
 */
#include "base/utf8.h"
#include "contract/regex_reader.h"

struct range {
    uint32_t low, high;
};

struct named_set {
    char letter;
    enum regex_beyond beyond, beyond_complement;
    struct range ranges[12]; /* in order; the rest is 0-0 */
};

static const struct named_set named_sets[] = {
    { 'd', BEYOND_NONE, BEYOND_ALL, { { '0', '9' } } },
    { 'w', BEYOND_NONE, BEYOND_ALL, { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
    { 's',
      BEYOND_SPACES,
      BEYOND_NOT_SPACES,
      { { 0x09, 0x0D },
        { 0x20, 0x20 },
        { 0xA0, 0xA0 },
        { 0x1680, 0x1680 },
        { 0x2000, 0x200A },
        { 0x2028, 0x2029 },
        { 0x202F, 0x202F },
        { 0x205F, 0x205F },
        { 0x3000, 0x3000 },
        { 0xFEFF, 0xFEFF } } },
    /* what . does not match */
    { '.', BEYOND_MIXED, BEYOND_NOT_LINES, { { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } } },
};

static const struct named_set *find_named_set(char letter)
{
    for (size_t i = 0; i < ARRAY_LEN(named_sets); i++) {
        if (named_sets[i].letter == (letter | 0x20) || named_sets[i].letter == letter)
            return &named_sets[i];
    }
    return NULL;
}

static enum regex_beyond beyond_union(enum regex_beyond a, enum regex_beyond b)
{
    if (a == BEYOND_NONE || a == b)
        return b;
    if (b == BEYOND_NONE)
        return a;
    if (a == BEYOND_MIXED || b == BEYOND_MIXED)
        return BEYOND_MIXED;
    if (a == BEYOND_ALL || b == BEYOND_ALL)
        return BEYOND_ALL;
    bool complements = (a == BEYOND_SPACES && b == BEYOND_NOT_SPACES) ||
                       (a == BEYOND_NOT_SPACES && b == BEYOND_SPACES);
    return complements ? BEYOND_ALL : BEYOND_MIXED;
}

static enum regex_beyond beyond_complement(enum regex_beyond beyond)
{
    switch (beyond) {
    case BEYOND_NONE:
        return BEYOND_ALL;
    case BEYOND_ALL:
        return BEYOND_NONE;
    case BEYOND_SPACES:
        return BEYOND_NOT_SPACES;
    case BEYOND_NOT_SPACES:
        return BEYOND_SPACES;
    case BEYOND_NOT_LINES:
    case BEYOND_MIXED:
        break;
    }
    return BEYOND_MIXED;
}

static bool is_surrogate(uint32_t c)
{
    return c >= 0xD800 && c <= 0xDFFF;
}

static void add_code_point(struct regex_reader *r, uint32_t c)
{
    if (c < 0x80 && (is_digit((char)c) || is_letter((char)c)))
        buf_add_char(&r->ret->pcre2, (char)c);
    else
        buf_addf(&r->ret->pcre2, "\\x{%x}", c);
    r->ret->utf = r->ret->utf || c >= 0x80;
}

/* Within brackets. Surrogates at either end, which PCRE2 refuses, match nothing and go. */
static void add_range(struct regex_reader *r, struct regex_set *set, uint32_t low, uint32_t high)
{
    if (is_surrogate(low))
        low = 0xE000;
    if (is_surrogate(high))
        high = 0xD7FF;
    if (low > high)
        return;
    add_code_point(r, low);
    if (low < high) {
        buf_add_char(&r->ret->pcre2, '-');
        add_code_point(r, high);
    }
    for (uint32_t c = low; c <= high && c < 0x80; c++)
        set->ascii[c / 64] |= (uint64_t)1 << c % 64;
    if (high >= 0x80)
        set->beyond = beyond_union(
            set->beyond, low <= 0x80 && high == REGEX_CODE_POINT_MAX ? BEYOND_ALL : BEYOND_MIXED);
}

/* Within brackets: a named set, or all but it. */
static void add_named_set(struct regex_reader *r, struct regex_set *set,
                          const struct named_set *named, bool complement)
{
    enum regex_beyond beyond = complement ? named->beyond_complement : named->beyond;
    beyond = beyond_union(set->beyond, beyond);
    uint32_t next = 0;
    for (size_t i = 0; i < ARRAY_LEN(named->ranges) && named->ranges[i].high; i++) {
        const struct range *range = &named->ranges[i];
        if (!complement)
            add_range(r, set, range->low, range->high);
        else if (next < range->low)
            add_range(r, set, next, range->low - 1);
        next = range->high + 1;
    }
    if (complement)
        add_range(r, set, next, REGEX_CODE_POINT_MAX);
    set->beyond = beyond;
}

static void complement_set(struct regex_reader *r, struct regex_set *set)
{
    set->ascii[0] = ~set->ascii[0];
    set->ascii[1] = ~set->ascii[1];
    set->beyond = beyond_complement(set->beyond);
    r->ret->utf = true;
}

/* As an atom of its own: PCRE2 does better with a negated class than with the gaps. */
static void add_named_atom(struct regex_reader *r, struct regex_set *set,
                           const struct named_set *named, bool complement)
{
    buf_add_text(&r->ret->pcre2, complement ? "[^" : "[");
    add_named_set(r, set, named, false);
    buf_add_char(&r->ret->pcre2, ']');
    if (complement) {
        complement_set(r, set);
        set->beyond = named->beyond_complement;
    }
}

/* Matches no code point (or each), at the width of one. */
static void add_nothing(struct regex_reader *r, bool complement)
{
    buf_add_text(&r->ret->pcre2, complement ? "[\\x{0}-\\x{10ffff}]" : "[^\\x{0}-\\x{10ffff}]");
    r->ret->utf = true;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Exactly `count` hexadecimal digits. */
static bool read_hex(struct regex_reader *r, size_t count, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = hex_digit(peek(r, i));
        if (digit < 0)
            return false;
        value = value * 16 + (uint32_t)digit;
    }
    r->at += count;
    *ret = value;
    return true;
}

/* Behind "\u": four digits, two times four that are a surrogate pair, or any number in braces. */
bool regex_read_unicode_escape(struct regex_reader *r, uint32_t *ret)
{
    static const char reason[] = "\"\\u\" wants four hexadecimal digits, or a code point in braces";
    size_t at = r->at;
    uint32_t value = 0, low;
    if (accept(r, '{')) {
        if (peek(r, 0) == '}')
            return fail(r, at, reason);
        while (!accept(r, '}')) {
            int digit = hex_digit(peek(r, 0));
            value = value * 16 + (uint32_t)digit;
            if (digit < 0 || value > REGEX_CODE_POINT_MAX)
                return fail(r, at, reason);
            r->at++;
        }
        *ret = value;
        return true;
    }
    if (!read_hex(r, 4, &value))
        return fail(r, at, reason);
    if (value >= 0xD800 && value <= 0xDBFF && peek(r, 0) == '\\' && peek(r, 1) == 'u') {
        size_t before = r->at;
        r->at += 2;
        if (read_hex(r, 4, &low) && low >= 0xDC00 && low <= 0xDFFF)
            value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
        else
            r->at = before;
    }
    *ret = value;
    return true;
}

/* Behind "\": what stands for one code point, in a class or outside. */
static bool read_character_escape(struct regex_reader *r, bool in_class, uint32_t *ret)
{
    static const char controls[] = "t\tn\nv\vf\fr\r";
    size_t at = r->at - 1;
    if (!more(r))
        return fail(r, at, "\"\\\" escapes nothing");
    char c = r->text.ptr[r->at++];
    for (size_t i = 0; i + 1 < sizeof(controls); i += 2) {
        if (c == controls[i]) {
            *ret = (uint32_t)controls[i + 1];
            return true;
        }
    }
    if (c == 'u')
        return regex_read_unicode_escape(r, ret);
    if (c == 'x')
        return read_hex(r, 2, ret) || fail(r, at, "\"\\x\" wants two hexadecimal digits");
    if (c == 'c') {
        if (!is_letter(peek(r, 0)))
            return fail(r, at, "\"\\c\" wants a letter");
        *ret = (uint32_t)r->text.ptr[r->at++] % 32;
        return true;
    }
    if (c == '0') {
        *ret = 0;
        return !is_digit(peek(r, 0)) || fail(r, at, "\"\\0\" with a digit behind it");
    }
    if (in_class && c == 'b') {
        *ret = '\b';
        return true;
    }
    if (!c || !(strchr("^$\\.*+?()[]{}|/", c) || (in_class && c == '-')))
        return fail(r, at, "this escape is not in ECMA-262");
    *ret = (uint32_t)c;
    return true;
}

/* The letters, digits and underlines ahead. */
static struct str take_word(struct regex_reader *r)
{
    size_t start = r->at;
    while (is_letter(peek(r, 0)) || is_digit(peek(r, 0)) || peek(r, 0) == '_')
        r->at++;
    return str_make(r->text.ptr + start, r->at - start);
}

/* Behind "\p" or "\P". */
static bool read_property(struct regex_reader *r, struct regex_set *set, bool complement)
{
    size_t at = r->at - 2;
    if (!accept(r, '{'))
        return fail(r, at, "\"\\p\" wants a property in braces");
    struct str name = take_word(r), value = { "", 0 };
    bool has_value = accept(r, '=');
    if (has_value)
        value = take_word(r);
    struct regex_property property;
    if (!accept(r, '}') || !regex_property(name, has_value, value, &property))
        return fail(r, at, "ECMA-262 knows no such property");
    if (!property.name.len)
        r->ret->unsupported = "PCRE2 does not know the property Changes_When_NFKC_Casefolded";
    buf_addf(&r->ret->pcre2, "\\%c{%s%.*s}", complement != property.negated ? 'P' : 'p',
             property.prefix, STR_ARG(property.name));
    r->ret->utf = true;
    set->beyond = beyond_union(set->beyond, BEYOND_MIXED);
    return true;
}

/* One member of a class: a code point, or a set, which is written at once. */
static bool read_class_member(struct regex_reader *r, struct regex_set *set, bool *ret_is_set,
                              uint32_t *ret)
{
    *ret_is_set = false;
    if (!accept(r, '\\')) {
        *ret = (uint32_t)utf8_next(r->text, &r->at);
        return true;
    }
    char c = peek(r, 0);
    const struct named_set *named = is_letter(c) ? find_named_set(c) : NULL;
    *ret_is_set = named || c == 'p' || c == 'P';
    if (!*ret_is_set)
        return read_character_escape(r, true, ret);
    r->at++;
    if (!named)
        return read_property(r, set, c == 'P');
    add_named_set(r, set, named, c != named->letter);
    return true;
}

/* A member, or the two that make a range. */
static bool read_class_members(struct regex_reader *r, struct regex_set *set)
{
    size_t at = r->at;
    bool low_is_set = false, high_is_set = false;
    uint32_t low = 0, high = 0;
    if (!read_class_member(r, set, &low_is_set, &low))
        return false;
    bool is_range = peek(r, 0) == '-' && r->text.len - r->at > 1 && peek(r, 1) != ']';
    if (!is_range) {
        if (!low_is_set)
            add_range(r, set, low, low);
        return true;
    }
    r->at++;
    if (!read_class_member(r, set, &high_is_set, &high))
        return false;
    if (low_is_set || high_is_set)
        return fail(r, at, "a range cannot start or end with a set");
    if (low > high)
        return fail(r, at, "the ends of the range are out of order");
    add_range(r, set, low, high);
    return true;
}

bool regex_read_class(struct regex_reader *r, struct regex_set *ret)
{
    struct buf *out = &r->ret->pcre2;
    size_t start = r->at - 1, out_start = out->len;
    bool complement = accept(r, '^');
    struct regex_set set = { 0 };
    buf_add_text(out, complement ? "[^" : "[");
    size_t out_members = out->len;
    while (!accept(r, ']')) {
        if (!more(r))
            return fail(r, start, "\"[\" is not closed");
        if (!read_class_members(r, &set))
            return false;
    }
    if (out->len == out_members) {
        buf_truncate(out, out_start);
        add_nothing(r, complement);
    } else {
        buf_add_char(out, ']');
    }
    if (complement)
        complement_set(r, &set);
    *ret = set;
    return true;
}

void regex_read_dot(struct regex_reader *r, struct regex_set *ret)
{
    r->at++;
    *ret = (struct regex_set){ 0 };
    add_named_atom(r, ret, find_named_set('.'), true);
}

static void add_literal(struct regex_reader *r, uint32_t c, struct regex_set *ret)
{
    struct regex_set set = { 0 };
    if (is_surrogate(c)) {
        add_nothing(r, false);
    } else {
        add_code_point(r, c);
        if (c < 0x80)
            set.ascii[c / 64] = (uint64_t)1 << c % 64;
        else
            set.beyond = BEYOND_MIXED;
    }
    *ret = set;
}

void regex_read_literal(struct regex_reader *r, struct regex_set *ret)
{
    add_literal(r, (uint32_t)utf8_next(r->text, &r->at), ret);
}

bool regex_read_escape(struct regex_reader *r, struct regex_set *ret)
{
    char c = peek(r, 0);
    const struct named_set *named = is_letter(c) ? find_named_set(c) : NULL;
    struct regex_set set = { 0 };
    uint32_t code_point = 0;
    if (named || c == 'p' || c == 'P') {
        r->at++;
        if (named)
            add_named_atom(r, &set, named, c != named->letter);
        else if (!read_property(r, &set, c == 'P'))
            return false;
        *ret = set;
        return true;
    }
    if (!read_character_escape(r, false, &code_point))
        return false;
    add_literal(r, code_point, ret);
    return true;
}
