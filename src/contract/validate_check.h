/*
 * validate_check: the keywords that look at a value alone.
 *
 * None of them applies a schema, so that a fault is theirs alone and has no place but the value's.
 * What one compare settles is INLINE; what takes longer is in the .c file.
 */
#ifndef AM_CONTRACT_VALIDATE_CHECK_H
#define AM_CONTRACT_VALIDATE_CHECK_H

#include "base/json.h"
#include "base/utf8.h"
#include "contract/format.h"
#include "contract/number.h"
#include "contract/validate_vm.h"
#include "contract/value.h"

/* A search whose time is sampled: long subjects always, short ones now and then. */
bool validate_search(struct vm *vm, const struct regex *regex, struct str subject);
bool validate_unique(struct vm *vm, yyjson_val *array);
bool validate_in_set(const struct value_set *set, yyjson_val *value);

/* The types of a mask that a value's own tag settles; numbers may need a look at the fraction. */
INLINE bool has_type(unsigned types, yyjson_val *value)
{
    static const uint8_t types_of[] = {
        [YYJSON_TYPE_NONE] = 0,          [YYJSON_TYPE_RAW] = TYPE_NUMBER,
        [YYJSON_TYPE_NULL] = TYPE_NULL,  [YYJSON_TYPE_BOOL] = TYPE_BOOLEAN,
        [YYJSON_TYPE_NUM] = TYPE_NUMBER, [YYJSON_TYPE_STR] = TYPE_STRING,
        [YYJSON_TYPE_ARR] = TYPE_ARRAY,  [YYJSON_TYPE_OBJ] = TYPE_OBJECT,
    };
    unsigned possible = types_of[yyjson_get_type(value)];
    if (!(possible & types))
        return false;
    return possible != TYPE_NUMBER || (types & TYPE_NUMBER) == TYPE_NUMBER ||
           (types & value_type(value));
}

/* Whether a string has at least (or at most) so many code points; bytes settle most cases. */
INLINE bool long_enough(struct str s, uint64_t min)
{
    return s.len / 4 >= min || (s.len >= min && utf8_length(s) >= min);
}

INLINE bool short_enough(struct str s, uint64_t max)
{
    return s.len <= max || (s.len / 4 <= max && utf8_length(s) <= max);
}

/* Keywords that check the value itself: a fault is theirs alone. */
INLINE bool run_check(struct vm *vm, const struct instruction *i, yyjson_val *value)
{
    int r;
    switch ((enum op)i->op) {
    case OP_MINIMUM:
        return number_compare(value, i->value) >= 0;
    case OP_EXCLUSIVE_MINIMUM:
        return number_compare(value, i->value) > 0;
    case OP_MAXIMUM:
        return number_compare(value, i->value) <= 0;
    case OP_EXCLUSIVE_MAXIMUM:
        return number_compare(value, i->value) < 0;
    case OP_MULTIPLE_OF:
        r = number_is_multiple(value, i->value, vm->err);
        vm->error = r < 0 && !vm->error ? r : vm->error;
        return r == 1;
    case OP_MIN_LENGTH:
        return long_enough(json_str(value), i->number);
    case OP_MAX_LENGTH:
        return short_enough(json_str(value), i->number);
    case OP_PATTERN:
        return validate_search(vm, i->regex, json_str(value));
    case OP_FORMAT:
        r = format_check(i->format, json_str(value), vm->err);
        vm->error = r < 0 && !vm->error ? r : vm->error;
        return r == 1;
    case OP_MIN_ITEMS:
        return yyjson_arr_size(value) >= i->number;
    case OP_MAX_ITEMS:
        return yyjson_arr_size(value) <= i->number;
    case OP_UNIQUE_ITEMS:
        return validate_unique(vm, value);
    case OP_MIN_PROPERTIES:
        return yyjson_obj_size(value) >= i->number;
    case OP_MAX_PROPERTIES:
        return yyjson_obj_size(value) <= i->number;
    case OP_CONST:
        return value_equal(value, i->value);
    case OP_ENUM:
        return validate_in_set(i->set, value);
    default: /* the applicators: run_instruction has them */
        return false;
    }
}

#endif
