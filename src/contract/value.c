/*
 * value: equality and hashing. Recursion follows the depth of a document,
 * which json_read has bounded.
 */
#include "contract/value.h"

#include "base/json.h"
#include "base/map.h"
#include "contract/number.h"

/* Members are compared in the order at hand first: equal objects mostly agree in it. */
static bool object_equal(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_obj_size(a) != yyjson_obj_size(b))
        return false;
    yyjson_obj_iter in_b = yyjson_obj_iter_with(b);
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(a, index, count, key, value)
    {
        yyjson_val *other =
            yyjson_obj_iter_getn(&in_b, unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key));
        if (!other || !value_equal(value, other))
            return false;
    }
    return true;
}

static bool array_equal(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_arr_size(a) != yyjson_arr_size(b))
        return false;
    yyjson_arr_iter in_b = yyjson_arr_iter_with(b);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(a, index, count, item)
    {
        if (!value_equal(item, yyjson_arr_iter_next(&in_b)))
            return false;
    }
    return true;
}

bool value_equal(const yyjson_val *left, const yyjson_val *right)
{
    yyjson_val *a = (yyjson_val *)left, *b = (yyjson_val *)right;
    if (number_is(a))
        return number_is(b) && number_compare(a, b) == 0;
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    switch (yyjson_get_type(a)) {
    case YYJSON_TYPE_STR:
        return str_equal(json_str(a), json_str(b));
    case YYJSON_TYPE_ARR:
        return array_equal(a, b);
    case YYJSON_TYPE_OBJ:
        return object_equal(a, b);
    default:
        return yyjson_get_tag(a) == yyjson_get_tag(b);
    }
}

uint64_t value_hash(const yyjson_val *value)
{
    yyjson_val *v = (yyjson_val *)value;
    size_t index, count;
    yyjson_val *key, *item;
    uint64_t hash = value_type(value) & TYPE_NUMBER ? TYPE_NUMBER : value_type(value);
    if (hash == TYPE_NUMBER)
        return hash_mix(hash, number_hash(value));
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_STR:
        return hash_mix(hash, hash_bytes(unsafe_yyjson_get_str(v), unsafe_yyjson_get_len(v)));
    case YYJSON_TYPE_ARR:
        yyjson_arr_foreach(v, index, count, item)
        {
            hash = hash_mix(hash, value_hash(item));
        }
        return hash;
    case YYJSON_TYPE_OBJ:
        /* Members commute: their order does not matter. */
        yyjson_obj_foreach(v, index, count, key, item)
        {
            hash += hash_mix(value_hash(key), value_hash(item));
        }
        return hash_mix(hash, count);
    default:
        return hash_mix(hash, yyjson_get_tag(v));
    }
}

unsigned value_type(const yyjson_val *value)
{
    switch (yyjson_get_type((yyjson_val *)value)) {
    case YYJSON_TYPE_NULL:
        return TYPE_NULL;
    case YYJSON_TYPE_BOOL:
        return TYPE_BOOLEAN;
    case YYJSON_TYPE_OBJ:
        return TYPE_OBJECT;
    case YYJSON_TYPE_ARR:
        return TYPE_ARRAY;
    case YYJSON_TYPE_STR:
        return TYPE_STRING;
    default:
        return number_is_integer(value) ? TYPE_INTEGER : TYPE_FRACTION;
    }
}

const char *value_type_name(unsigned type)
{
    static const struct {
        unsigned type;
        const char *name;
    } names[] = {
        { TYPE_NULL, "null" },     { TYPE_BOOLEAN, "boolean" }, { TYPE_OBJECT, "object" },
        { TYPE_ARRAY, "array" },   { TYPE_STRING, "string" },   { TYPE_INTEGER, "integer" },
        { TYPE_NUMBER, "number" }, { TYPE_FRACTION, "number" },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].type == type)
            return names[i].name;
    return "anything";
}
