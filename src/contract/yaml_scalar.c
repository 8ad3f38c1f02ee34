/*
 * yaml_scalar: see the header. Sections 10.2.1 and 10.3.2 of YAML 1.2.2.
 *
 * A decimal loses only what JSON's grammar has not: the plus sign, leading
 * zeros, a point without digits before or behind it. An octal or hexadecimal
 * number becomes decimal by long multiplication, which is quadratic and
 * therefore bounded.
 */
#include "contract/yaml_scalar.h"

#define LIMB_BASE  1000000000u
#define LIMB_BITS  29 /* that a limb holds at least */
#define LIMBS_MAX  (YAML_RADIX_DIGITS_MAX * 4 / LIMB_BITS + 1)
#define RADIX_LEAD 2 /* bytes of "0o" and "0x" */

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t skip_digits(struct str s, size_t at)
{
    while (at < s.len && is_digit(s.ptr[at]))
        at++;
    return at;
}

static size_t skip_sign(struct str s, size_t at)
{
    return at + (at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+'));
}

static struct str part(struct str s, size_t from, size_t to)
{
    return str_make(s.ptr + from, to - from);
}

/* The parts of [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
struct decimal {
    bool is_negative;
    bool has_point;
    struct str whole, fraction;
    struct str exponent; /* with its sign; empty where there is none */
};

static bool split_decimal(struct str s, struct decimal *ret)
{
    size_t start = skip_sign(s, 0);
    size_t at = skip_digits(s, start);
    *ret = (struct decimal){ .is_negative = s.len && s.ptr[0] == '-', .whole = part(s, start, at) };
    if (at < s.len && s.ptr[at] == '.') {
        ret->has_point = true;
        start = at + 1;
        at = skip_digits(s, start);
        ret->fraction = part(s, start, at);
    }
    if (ret->whole.len == 0 && ret->fraction.len == 0)
        return false;
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        start = at + 1;
        size_t digits = skip_sign(s, start);
        at = skip_digits(s, digits);
        if (at == digits)
            return false;
        ret->exponent = part(s, start, at);
    }
    return at == s.len;
}

static bool is_radix(struct str s, char letter, int base)
{
    if (s.len <= RADIX_LEAD || s.ptr[0] != '0' || s.ptr[1] != letter)
        return false;
    for (size_t i = RADIX_LEAD; i < s.len; i++) {
        int digit = hex_value(s.ptr[i]);
        if (digit < 0 || digit >= base)
            return false;
    }
    return true;
}

enum yaml_meaning yaml_scalar_meaning(struct str text)
{
    static const struct {
        const char *text;
        enum yaml_meaning meaning;
    } words[] = {
        { "", YAML_MEANS_NULL },           { "~", YAML_MEANS_NULL },
        { "null", YAML_MEANS_NULL },       { "Null", YAML_MEANS_NULL },
        { "NULL", YAML_MEANS_NULL },       { "true", YAML_MEANS_TRUE },
        { "True", YAML_MEANS_TRUE },       { "TRUE", YAML_MEANS_TRUE },
        { "false", YAML_MEANS_FALSE },     { "False", YAML_MEANS_FALSE },
        { "FALSE", YAML_MEANS_FALSE },     { ".nan", YAML_MEANS_NOT_FINITE },
        { ".NaN", YAML_MEANS_NOT_FINITE }, { ".NAN", YAML_MEANS_NOT_FINITE },
    };
    static const char *const infinities[] = { ".inf", ".Inf", ".INF" };
    struct decimal decimal;
    if (split_decimal(text, &decimal))
        return YAML_MEANS_DECIMAL;
    if (is_radix(text, 'o', 8))
        return YAML_MEANS_OCTAL;
    if (is_radix(text, 'x', 16))
        return YAML_MEANS_HEX;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal(text, str_from(words[i].text)))
            return words[i].meaning;
    for (size_t i = 0; i < ARRAY_LEN(infinities); i++)
        if (str_equal(str_from_offset(text, skip_sign(text, 0)), str_from(infinities[i])))
            return YAML_MEANS_NOT_FINITE;
    return YAML_MEANS_STRING;
}

static int add_decimal(struct buf *buf, struct str text)
{
    struct decimal decimal;
    split_decimal(text, &decimal);
    struct str whole = decimal.whole;
    while (whole.len && whole.ptr[0] == '0')
        whole = str_from_offset(whole, 1);
    if (decimal.is_negative)
        buf_add_char(buf, '-');
    buf_add_str(buf, whole.len ? whole : STR("0"));
    if (decimal.has_point) {
        buf_add_char(buf, '.');
        buf_add_str(buf, decimal.fraction.len ? decimal.fraction : STR("0"));
    }
    if (decimal.exponent.len) {
        buf_add_char(buf, 'e');
        buf_add_str(buf, decimal.exponent);
    }
    return buf->error;
}

static int add_radix(struct buf *buf, struct str digits, uint64_t base)
{
    uint32_t limbs[LIMBS_MAX] = { 0 }; /* the least first */
    size_t count = 1;
    if (digits.len > YAML_RADIX_DIGITS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t carry = (uint64_t)hex_value(digits.ptr[i]);
        for (size_t j = 0; j < count; j++) {
            carry += limbs[j] * base;
            limbs[j] = (uint32_t)(carry % LIMB_BASE);
            carry /= LIMB_BASE;
        }
        if (carry)
            limbs[count++] = (uint32_t)carry;
    }
    buf_addf(buf, "%u", limbs[--count]);
    while (count)
        buf_addf(buf, "%09u", limbs[--count]);
    return buf->error;
}

int yaml_scalar_add_number(struct buf *buf, struct str text, enum yaml_meaning meaning)
{
    if (meaning == YAML_MEANS_DECIMAL)
        return add_decimal(buf, text);
    return add_radix(buf, str_from_offset(text, RADIX_LEAD), meaning == YAML_MEANS_OCTAL ? 8 : 16);
}
