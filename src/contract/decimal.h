/*
 * decimal: a JSON number as its significant digits and its exponent, exact.
 *
 * The digits are views into the number's text, which the caller keeps alive:
 * nothing is copied and no length is too long.
 */
#ifndef AM_CONTRACT_DECIMAL_H
#define AM_CONTRACT_DECIMAL_H

#include "base/base.h"
#include "base/str.h"

/* Magnitude 0.DDD × 10^point, where DDD starts and ends with a digit other than 0. */
struct decimal {
    bool negative;
    struct str whole, fraction; /* the digits before and behind the text's decimal point */
    size_t count;               /* of both together; 0 for zero, whose point is 0 */
    int64_t point;
};

/*
 * The text has the grammar of a JSON number. Exponents beyond
 * ±NUMBER_EXPONENT_MAX count as that.
 */
struct decimal decimal_read(struct str text);
/* <0, 0, >0; both zeros are equal. */
int decimal_compare(const struct decimal *a, const struct decimal *b);
/* Writes `count` digits without point, and no NUL; returns their end. */
char *decimal_digits(const struct decimal *decimal, char *ret);

static inline char decimal_digit(const struct decimal *decimal, size_t i)
{
    return i < decimal->whole.len ? decimal->whole.ptr[i]
                                  : decimal->fraction.ptr[i - decimal->whole.len];
}

#endif
