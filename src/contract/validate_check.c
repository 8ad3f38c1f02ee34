/*
 * validate_check: see the header.
 *
 * Bounds. Comparisons of uniqueItems cost a step each, time in patterns is measured.
 */
#include "contract/validate_check.h"

#include <time.h>

#define PAIRWISE_ITEMS_MAX 8  /* larger arrays are hashed for uniqueItems */
#define PATTERN_CLOCK_EACH 64 /* the clock is read once in so many patterns */

/* --- bounds -------------------------------------------------------------------------------- */

bool validate_give_up(struct vm *vm, enum err_code code, const char *why)
{
    if (!vm->error)
        vm->error = err_set(vm->err, code, VALIDATE_STEP, "%s", why);
    return false;
}

bool validate_out_of_memory(struct vm *vm)
{
    return validate_give_up(vm, ERR_MEMORY, "there is not enough memory");
}

/* --- patterns ------------------------------------------------------------------------------ */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool validate_search(struct vm *vm, const struct regex *regex, struct str subject)
{
    bool timed = subject.len > 256 || ++vm->pattern_count % PATTERN_CLOCK_EACH == 0;
    uint64_t start = timed ? now_ns() : 0;
    int r = regex_search(regex, subject, vm->err);
    if (r < 0) {
        vm->error = vm->error ? vm->error : r;
        return false;
    }
    if (timed) {
        vm->pattern_ns += (now_ns() - start) * (subject.len > 256 ? 1 : PATTERN_CLOCK_EACH);
        if (vm->pattern_ns / 1000000 > VALIDATE_PATTERN_MS_MAX)
            return validate_give_up(vm, ERR_LIMIT,
                                    "the schema's patterns take longer than the limit "
                                    "allows");
    }
    return r == 1;
}

/* --- items and members of sets ------------------------------------------------------------- */

static bool unique_pairwise(yyjson_val *array)
{
    yyjson_val *items[PAIRWISE_ITEMS_MAX];
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(array, index, count, item)
    {
        for (size_t i = 0; i < index; i++)
            if (value_equal(items[i], item))
                return false;
        items[index] = item;
    }
    return true;
}

struct hashed_item {
    uint64_t hash;
    const yyjson_val *value;
};

/* Open addressing by seeded hashes; equal hashes are compared, and paid for. */
static bool unique_hashed(struct vm *vm, yyjson_val *array)
{
    size_t capacity = 32;
    while (capacity < yyjson_arr_size(array) * 2)
        capacity *= 2;
    _cleanup_(cleanup_free) struct hashed_item *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return validate_out_of_memory(vm);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(array, index, count, item)
    {
        uint64_t hash = value_hash(item);
        size_t at = hash & (capacity - 1);
        for (; slots[at].value; at = (at + 1) & (capacity - 1)) {
            if (!charge(vm, 1))
                return false;
            if (slots[at].hash == hash && value_equal(slots[at].value, item))
                return false;
        }
        slots[at] = (struct hashed_item){ hash, item };
    }
    return true;
}

bool validate_unique(struct vm *vm, yyjson_val *array)
{
    return yyjson_arr_size(array) <= PAIRWISE_ITEMS_MAX ? unique_pairwise(array)
                                                        : unique_hashed(vm, array);
}

bool validate_in_set(const struct value_set *set, yyjson_val *value)
{
    if (yyjson_is_str(value) && (set->types & TYPE_STRING))
        return name_table_find(&set->table, json_str(value)) >= 0;
    if (set->all_strings || !(set->types & value_type(value)))
        return false;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)set->array, index, count, item)
    {
        if (value_equal(item, value))
            return true;
    }
    return false;
}
