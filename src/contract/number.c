/*
 * number: see the header.
 *
 * Theory of operation. A value takes the cheapest path on which it stays
 * exact:
 *   - integers of 64 bits are compared and divided as they are;
 *   - a real is the double nearest to a decimal of at most 15 digits (json.h),
 *     and no two such decimals share a double. Therefore doubles order and
 *     equal as their decimals do, and the decimal m / 10^k behind a double is
 *     found as the m and k that divide to that very double;
 *   - everything else is compared digit by digit (decimal.h), and divided by
 *     remainders: with a = m·10^d in units of b, b divides a just when it
 *     divides (m mod b)·(10^d mod b). Both factors stay below b, whatever d is.
 *     Only a divisor of more than 64 bits needs libcrypto's big numbers.
 *
 * Limits: comparing is linear in the digits, which json_read bounds; division
 * refuses operands of more than DIVISION_DIGITS_MAX digits, since reading them
 * as big numbers is quadratic.
 */
#include "contract/number.h"

#include <openssl/bn.h>

#include "base/json.h"
#include "base/lazy.h"
#include "base/map.h"
#include "contract/decimal.h"

/* clang-format off */
#define BN_FUNCTIONS(X) \
    X(BN_CTX_new) X(BN_CTX_free) X(BN_new) X(BN_free) X(BN_dec2bn) X(BN_set_word) X(BN_div) \
    X(BN_mod_mul) X(BN_mod_exp) X(BN_is_zero)
/* clang-format on */
LAZY_LIBRARY(crypto, "libcrypto.so.3", BN_FUNCTIONS)

#define DIVISION_DIGITS_MAX ((size_t)1 << 16)
#define SCALED_DIGITS_MAX   19   /* any number of so many digits fits uint64_t */
#define REAL_EXACT_MAX      1e15 /* integers up to here are decimals of 15 digits themselves */
#define POWER_EXACT_MAX     22   /* 10^22 is the last power that a double holds */
#define STEP_DIVIDE         "divide two numbers"

static inline yyjson_type type_of(const yyjson_val *value)
{
    return unsafe_yyjson_get_type((void *)value);
}

static inline bool is_real(const yyjson_val *value)
{
    return unsafe_yyjson_is_real((void *)value);
}

static inline bool is_binary_integer(const yyjson_val *value)
{
    return unsafe_yyjson_is_int((void *)value);
}

/* An integer of 64 bits, as sign and magnitude; zero is not negative. */
struct integer {
    bool negative;
    uint64_t magnitude;
};

static inline struct integer integer_of(const yyjson_val *value)
{
    bool negative = unsafe_yyjson_is_sint((void *)value) && value->uni.i64 < 0;
    return (struct integer){ negative, negative ? 0 - value->uni.u64 : value->uni.u64 };
}

/* The decimal of any number; `text` is room for that of a binary one. */
static struct decimal decimal_of(const yyjson_val *value, char text[JSON_NUMBER_TEXT_SIZE])
{
    if (type_of(value) == YYJSON_TYPE_RAW)
        return decimal_read(json_str(value));
    return decimal_read(str_make(text, json_number_text(value, text)));
}

bool number_is(const yyjson_val *value)
{
    return type_of(value) == YYJSON_TYPE_NUM || type_of(value) == YYJSON_TYPE_RAW;
}

bool number_is_integer(const yyjson_val *value)
{
    if (is_binary_integer(value))
        return true;
    if (is_real(value)) {
        double real = value->uni.f64;
        return real >= REAL_EXACT_MAX || real <= -REAL_EXACT_MAX || (double)(int64_t)real == real;
    }
    struct decimal decimal = decimal_read(json_str(value));
    return decimal.point >= (int64_t)decimal.count;
}

/* --- comparing ---------------------------------------------------------- */

static int compare_integers(struct integer a, struct integer b)
{
    if (a.negative != b.negative)
        return a.negative ? -1 : 1;
    int order = (a.magnitude > b.magnitude) - (a.magnitude < b.magnitude);
    return a.negative ? -order : order;
}

/* The double that stands for a number in comparisons of exact decimals, if there is one. */
static inline bool exact_real(const yyjson_val *value, double *ret)
{
    if (is_real(value)) {
        *ret = value->uni.f64;
        return true;
    }
    if (!is_binary_integer(value))
        return false;
    struct integer integer = integer_of(value);
    *ret = integer.negative ? -(double)integer.magnitude : (double)integer.magnitude;
    return integer.magnitude <= (uint64_t)REAL_EXACT_MAX;
}

int number_compare(const yyjson_val *a, const yyjson_val *b)
{
    if (is_binary_integer(a) && is_binary_integer(b))
        return compare_integers(integer_of(a), integer_of(b));
    double x, y;
    if (exact_real(a, &x) && exact_real(b, &y))
        return (x > y) - (x < y);
    char text_a[JSON_NUMBER_TEXT_SIZE], text_b[JSON_NUMBER_TEXT_SIZE];
    struct decimal decimal_a = decimal_of(a, text_a), decimal_b = decimal_of(b, text_b);
    return decimal_compare(&decimal_a, &decimal_b);
}

/* --- dividing ----------------------------------------------------------- */

/* Magnitude mantissa × 10^exponent. */
struct scaled {
    uint64_t mantissa;
    int64_t exponent;
};

static const double powers_of_ten[POWER_EXACT_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* The decimal behind a double: see the theory of operation. */
static bool scale_real(double real, struct scaled *ret)
{
    double magnitude = real < 0 ? -real : real;
    for (int k = 0; k <= POWER_EXACT_MAX; k++) {
        double scaled = magnitude * powers_of_ten[k];
        if (scaled >= REAL_EXACT_MAX)
            return false;
        uint64_t mantissa = (uint64_t)(scaled + 0.5);
        if ((double)mantissa / powers_of_ten[k] == magnitude) {
            *ret = (struct scaled){ mantissa, -k };
            return true;
        }
    }
    return false;
}

static uint64_t mantissa_of(const struct decimal *decimal)
{
    uint64_t mantissa = 0;
    for (size_t i = 0; i < decimal->count; i++)
        mantissa = mantissa * 10 + (uint64_t)(decimal_digit(decimal, i) - '0');
    return mantissa;
}

static inline int64_t exponent_of(const struct decimal *decimal)
{
    return decimal->point - (int64_t)decimal->count;
}

static inline uint64_t multiply_modulo(uint64_t a, uint64_t b, uint64_t modulus)
{
    return (uint64_t)((__uint128_t)a * b % modulus);
}

/* 10^exponent mod modulus, in as many steps as the exponent has bits. */
static uint64_t power_of_ten_modulo(uint64_t exponent, uint64_t modulus)
{
    uint64_t power = 1 % modulus;
    uint64_t square = 10 % modulus;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            power = multiply_modulo(power, square, modulus);
        square = multiply_modulo(square, square, modulus);
    }
    return power;
}

/* Whether b divides a, both above 0. */
static bool scaled_is_multiple(struct scaled a, struct scaled b)
{
    int64_t shift = a.exponent - b.exponent;
    if (shift >= 0) {
        uint64_t power = power_of_ten_modulo((uint64_t)shift, b.mantissa);
        return multiply_modulo(a.mantissa % b.mantissa, power, b.mantissa) == 0;
    }
    /* b grows instead; once it is past a, it cannot divide it. */
    for (; shift < 0; shift++)
        if (__builtin_mul_overflow(b.mantissa, 10, &b.mantissa) || b.mantissa > a.mantissa)
            return false;
    return a.mantissa % b.mantissa == 0;
}

static uint64_t digits_modulo(const struct decimal *decimal, uint64_t modulus)
{
    uint64_t rest = 0;
    for (size_t i = 0; i < decimal->count; i++) {
        __uint128_t next = (__uint128_t)rest * 10 + (uint64_t)(decimal_digit(decimal, i) - '0');
        rest = (uint64_t)(next % modulus);
    }
    return rest;
}

struct big {
    BN_CTX *context;
    BIGNUM *dividend, *divisor, *power, *rest;
};

static bool big_init(struct big *big)
{
    *big = (struct big){ .context = crypto.BN_CTX_new() };
    big->dividend = crypto.BN_new();
    big->divisor = crypto.BN_new();
    big->power = crypto.BN_new();
    big->rest = crypto.BN_new();
    return big->context && big->dividend && big->divisor && big->power && big->rest;
}

static void big_release(struct big *big)
{
    crypto.BN_free(big->rest);
    crypto.BN_free(big->power);
    crypto.BN_free(big->divisor);
    crypto.BN_free(big->dividend);
    crypto.BN_CTX_free(big->context);
}

static bool big_read(const struct decimal *decimal, BIGNUM **number)
{
    _cleanup_(cleanup_free) char *digits = malloc(decimal->count + 1);
    if (!digits)
        return false;
    *decimal_digits(decimal, digits) = '\0';
    return crypto.BN_dec2bn(number, digits) > 0;
}

/* As scaled_is_multiple, for a shift of at least 0; -1 without memory. */
static int big_is_multiple(struct big *big, const struct decimal *a, const struct decimal *b,
                           uint64_t shift)
{
    bool ok = big_read(a, &big->dividend) && big_read(b, &big->divisor) &&
              crypto.BN_div(NULL, big->dividend, big->dividend, big->divisor, big->context) &&
              crypto.BN_set_word(big->power, 10) && crypto.BN_set_word(big->rest, shift) &&
              crypto.BN_mod_exp(big->power, big->power, big->rest, big->divisor, big->context) &&
              crypto.BN_mod_mul(big->rest, big->dividend, big->power, big->divisor, big->context);
    return ok ? crypto.BN_is_zero(big->rest) : -1;
}

static int divide_big(const struct decimal *a, const struct decimal *b, uint64_t shift,
                      struct err *err)
{
    int r = lazy_load(&crypto_library, err);
    if (r < 0)
        return r;
    struct big big;
    r = big_init(&big) ? big_is_multiple(&big, a, b, shift) : -1;
    big_release(&big);
    return r < 0 ? err_set(err, ERR_MEMORY, STEP_DIVIDE, "a divisor of %zu digits", b->count) : r;
}

/* Digits end with one other than 0: a shift below 0 leaves a remainder. */
static int divide_decimals(const struct decimal *a, const struct decimal *b, struct err *err)
{
    int64_t shift = exponent_of(a) - exponent_of(b);
    if (a->count == 0 || b->count == 0)
        return a->count == 0;
    if (shift < 0)
        return 0;
    size_t longer = a->count > b->count ? a->count : b->count;
    if (longer > DIVISION_DIGITS_MAX)
        return err_set(err, ERR_LIMIT, STEP_DIVIDE,
                       "a number has %zu digits; no more than %zu can be divided exactly", longer,
                       DIVISION_DIGITS_MAX);
    if (b->count > SCALED_DIGITS_MAX)
        return divide_big(a, b, (uint64_t)shift, err);
    uint64_t modulus = mantissa_of(b);
    uint64_t power = power_of_ten_modulo((uint64_t)shift, modulus);
    return multiply_modulo(digits_modulo(a, modulus), power, modulus) == 0;
}

static bool scale(const yyjson_val *value, struct scaled *ret)
{
    if (is_binary_integer(value)) {
        *ret = (struct scaled){ integer_of(value).magnitude, 0 };
        return true;
    }
    return is_real(value) && scale_real(value->uni.f64, ret);
}

int number_is_multiple(const yyjson_val *value, const yyjson_val *divisor, struct err *err)
{
    struct scaled a, b;
    if (scale(value, &a) && scale(divisor, &b)) {
        if (a.mantissa == 0 || b.mantissa == 0)
            return a.mantissa == 0;
        return scaled_is_multiple(a, b);
    }
    char text_a[JSON_NUMBER_TEXT_SIZE], text_b[JSON_NUMBER_TEXT_SIZE];
    struct decimal decimal_a = decimal_of(value, text_a), decimal_b = decimal_of(divisor, text_b);
    return divide_decimals(&decimal_a, &decimal_b, err);
}

/* --- hashing ------------------------------------------------------------ */

static uint64_t hash_integer(struct integer integer)
{
    return hash_mix(integer.magnitude, integer.negative);
}

/* The integer of 64 bits that a decimal is, if it is one. */
static bool decimal_to_integer(const struct decimal *decimal, struct integer *ret)
{
    int64_t zeros = exponent_of(decimal);
    if (zeros < 0 || decimal->point > SCALED_DIGITS_MAX + 1 ||
        decimal->count > SCALED_DIGITS_MAX + 1)
        return false;
    uint64_t magnitude = 0;
    for (int64_t i = 0; i < decimal->point; i++) {
        size_t at = (size_t)i;
        unsigned digit = at < decimal->count ? (unsigned)(decimal_digit(decimal, at) - '0') : 0;
        if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
            __builtin_add_overflow(magnitude, digit, &magnitude))
            return false;
    }
    *ret = (struct integer){ decimal->negative && magnitude, magnitude };
    return true;
}

static uint64_t hash_decimal(const struct decimal *decimal)
{
    struct integer integer;
    if (decimal_to_integer(decimal, &integer))
        return hash_integer(integer);
    uint64_t hash = hash_mix((uint64_t)decimal->point, 2 + decimal->negative);
    hash = hash_mix(hash, decimal->count);
    uint64_t chunk = 0;
    for (size_t i = 0; i < decimal->count; i++) {
        chunk = chunk * 10 + (uint64_t)(decimal_digit(decimal, i) - '0');
        if (i % SCALED_DIGITS_MAX == SCALED_DIGITS_MAX - 1 || i == decimal->count - 1) {
            hash = hash_mix(hash, chunk);
            chunk = 0;
        }
    }
    return hash;
}

uint64_t number_hash(const yyjson_val *value)
{
    if (is_binary_integer(value))
        return hash_integer(integer_of(value));
    if (is_real(value) && value->uni.f64 > -REAL_EXACT_MAX && value->uni.f64 < REAL_EXACT_MAX) {
        int64_t whole = (int64_t)value->uni.f64;
        bool negative = whole < 0;
        if ((double)whole == value->uni.f64)
            return hash_integer(
                (struct integer){ negative, negative ? 0 - (uint64_t)whole : (uint64_t)whole });
    }
    char text[JSON_NUMBER_TEXT_SIZE];
    struct decimal decimal = decimal_of(value, text);
    return hash_decimal(&decimal);
}
