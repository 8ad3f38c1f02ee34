/* value: equality and hashing of JSON values as JSON Schema means them. */
#ifndef AM_CONTRACT_VALUE_H
#define AM_CONTRACT_VALUE_H

#include <yyjson.h>

#include "base/base.h"

/* Numbers by value (1 equals 1.0), objects without regard to order. */
bool value_equal(const yyjson_val *a, const yyjson_val *b);
/* Equal values have equal hashes; the seed is the process's own. */
uint64_t value_hash(const yyjson_val *value);

/* The JSON types, as bits; an integer is a number that has no fraction. */
enum {
    TYPE_NULL = 1 << 0,
    TYPE_BOOLEAN = 1 << 1,
    TYPE_OBJECT = 1 << 2,
    TYPE_ARRAY = 1 << 3,
    TYPE_STRING = 1 << 4,
    TYPE_INTEGER = 1 << 5,
    TYPE_FRACTION = 1 << 6,
    TYPE_NUMBER = TYPE_INTEGER | TYPE_FRACTION,
    TYPE_ANY = (1 << 7) - 1,
};

/* The one bit of the value's type. */
unsigned value_type(const yyjson_val *value);
/* "string", "integer", …; the name of one bit, or of TYPE_NUMBER. */
const char *value_type_name(unsigned type);

#endif
