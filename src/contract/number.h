/*
 * number: exact comparison and division of JSON numbers of any size.
 *
 * Works on yyjson values as json_read leaves them: uint, sint, real that is
 * exact to 15 digits, or RAW text. Values within 64 bits take a fast path;
 * the rest goes through decimals without rounding. Bounded by
 * JSON_NUMBER_DIGITS_MAX digits and by NUMBER_EXPONENT_MAX.
 */
#ifndef AM_CONTRACT_NUMBER_H
#define AM_CONTRACT_NUMBER_H

#include <yyjson.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define NUMBER_EXPONENT_MAX 1000000000 /* larger exponents are clamped: no document compares them */

/* RAW values are numbers too. */
bool number_is(const yyjson_val *value);
/* 1.0 and 1e3 are integers. */
bool number_is_integer(const yyjson_val *value);
/* <0, 0, >0 */
int number_compare(const yyjson_val *a, const yyjson_val *b);
/* 1 a multiple, 0 not, -errno libcrypto could not be loaded. The divisor is above 0. */
int number_is_multiple(const yyjson_val *value, const yyjson_val *divisor, struct err *err)
    MUST_CHECK;
/* Equal numbers have equal hashes, whatever their spelling (1, 1.0, 10e-1). */
uint64_t number_hash(const yyjson_val *value);

#endif
