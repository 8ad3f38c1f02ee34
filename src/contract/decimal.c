/* decimal: see the header. Zeros that say nothing are cut away, so that equal is identical. */
#include "contract/decimal.h"

#include "contract/number.h"

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str read_digits(struct str text, size_t *at)
{
    size_t start = *at;
    while (*at < text.len && is_digit(text.ptr[*at]))
        (*at)++;
    return str_make(text.ptr + start, *at - start);
}

static int64_t read_exponent(struct str text, size_t at)
{
    bool negative = at < text.len && text.ptr[at] == '-';
    at += at < text.len && !is_digit(text.ptr[at]);
    int64_t exponent = 0;
    for (; at < text.len && exponent < NUMBER_EXPONENT_MAX; at++)
        exponent = exponent * 10 + (text.ptr[at] - '0');
    if (exponent > NUMBER_EXPONENT_MAX)
        exponent = NUMBER_EXPONENT_MAX;
    return negative ? -exponent : exponent;
}

static size_t leading_zeros(struct str digits)
{
    size_t n = 0;
    while (n < digits.len && digits.ptr[n] == '0')
        n++;
    return n;
}

static void cut_trailing_zeros(struct str *digits)
{
    while (digits->len && digits->ptr[digits->len - 1] == '0')
        digits->len--;
}

struct decimal decimal_read(struct str text)
{
    struct decimal decimal = { 0 };
    size_t at = 0;
    decimal.negative = text.len && text.ptr[0] == '-';
    at += decimal.negative;
    decimal.whole = read_digits(text, &at);
    decimal.fraction = str_make(text.ptr + at, 0);
    if (at < text.len && text.ptr[at] == '.') {
        at++;
        decimal.fraction = read_digits(text, &at);
    }
    decimal.whole = str_from_offset(decimal.whole, leading_zeros(decimal.whole));
    decimal.point = (int64_t)decimal.whole.len;
    if (decimal.whole.len == 0) {
        size_t zeros = leading_zeros(decimal.fraction);
        decimal.fraction = str_from_offset(decimal.fraction, zeros);
        decimal.point = -(int64_t)zeros;
    }
    cut_trailing_zeros(&decimal.fraction);
    if (decimal.fraction.len == 0)
        cut_trailing_zeros(&decimal.whole);
    decimal.count = decimal.whole.len + decimal.fraction.len;
    if (decimal.count == 0)
        decimal.point = 0;
    else if (at < text.len)
        decimal.point += read_exponent(text, at + 1);
    return decimal;
}

static int compare_magnitude(const struct decimal *a, const struct decimal *b)
{
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        char x = decimal_digit(a, i), y = decimal_digit(b, i);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a->count > b->count) - (a->count < b->count);
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    int sign_a = a->count == 0 ? 0 : a->negative ? -1 : 1;
    int sign_b = b->count == 0 ? 0 : b->negative ? -1 : 1;
    if (sign_a != sign_b)
        return sign_a < sign_b ? -1 : 1;
    return sign_a * compare_magnitude(a, b);
}

char *decimal_digits(const struct decimal *decimal, char *ret)
{
    if (decimal->whole.len)
        memcpy(ret, decimal->whole.ptr, decimal->whole.len);
    ret += decimal->whole.len;
    if (decimal->fraction.len)
        memcpy(ret, decimal->fraction.ptr, decimal->fraction.len);
    return ret + decimal->fraction.len;
}
