/*
 * profile_diff: two documents beside one another, place by place.
 *
 * Objects are compared member by member. Of lists whose items are all texts or
 * numbers, what one has and the other has not is said; other lists differ as a
 * whole. json_read has bounded how deep both are.
 */
#include "base/json.h"
#include "cmd/op.h"
#include "cmd/profile.h"
#include "contract/rules.h"

struct comparison {
    struct buf pointer;
    size_t differences;
    bool as_json;
};

static void print_side(const struct comparison *comparison, const char *sign,
                       const yyjson_val *value)
{
    struct buf line = BUF_INIT;
    if (!value)
        return;
    buf_addf(&line, "%s ", comparison->pointer.len ? comparison->pointer.data : "/");
    json_add_value(&line, value, 0);
    op_print_wrapped(sign, 2, buf_str(&line));
    buf_release(&line);
}

static void add_member(struct buf *line, const char *name, const yyjson_val *value)
{
    if (!value)
        return;
    buf_addf(line, ",\"%s\":", name);
    json_add_value(line, value, 0);
}

static void differ(struct comparison *comparison, const yyjson_val *a, const yyjson_val *b)
{
    comparison->differences++;
    if (!comparison->as_json) {
        print_side(comparison, "-", a);
        print_side(comparison, "+", b);
        return;
    }
    struct buf line = BUF_INIT;
    buf_add_text(&line, "{\"pointer\":");
    json_add_string(&line, buf_str(&comparison->pointer));
    add_member(&line, "before", a);
    add_member(&line, "after", b);
    buf_add_char(&line, '}');
    puts(line.data);
    buf_release(&line);
}

static bool has_item(const yyjson_val *list, const yyjson_val *item)
{
    size_t index, count;
    yyjson_val *other;
    yyjson_arr_foreach((yyjson_val *)list, index, count, other)
    {
        if (yyjson_equals(other, (yyjson_val *)item))
            return true;
    }
    return false;
}

static bool is_plain_list(const yyjson_val *value)
{
    size_t index, count;
    yyjson_val *item;
    if (!yyjson_is_arr((yyjson_val *)value))
        return false;
    yyjson_arr_foreach((yyjson_val *)value, index, count, item)
    {
        if (yyjson_is_ctn(item))
            return false;
    }
    return true;
}

/* Where only the order differs there is no item to name, and the lists differ as a whole. */
static void compare_lists(struct comparison *comparison, const yyjson_val *a, const yyjson_val *b)
{
    size_t index, count, before = comparison->differences;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)a, index, count, item)
    {
        if (!has_item(b, item))
            differ(comparison, item, NULL);
    }
    yyjson_arr_foreach((yyjson_val *)b, index, count, item)
    {
        if (!has_item(a, item))
            differ(comparison, NULL, item);
    }
    if (comparison->differences == before)
        differ(comparison, a, b);
}

static void compare(struct comparison *comparison, const yyjson_val *a, const yyjson_val *b);

static void compare_member(struct comparison *comparison, struct str name, const yyjson_val *a,
                           const yyjson_val *b)
{
    size_t len = comparison->pointer.len;
    json_pointer_add(&comparison->pointer, name);
    compare(comparison, a, b);
    buf_truncate(&comparison->pointer, len);
}

static void compare_objects(struct comparison *comparison, const yyjson_val *a, const yyjson_val *b)
{
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach((yyjson_val *)a, index, count, key, value)
    {
        struct str name = json_str(key);
        compare_member(comparison, name, value,
                       yyjson_obj_getn((yyjson_val *)b, name.ptr, name.len));
    }
    yyjson_obj_foreach((yyjson_val *)b, index, count, key, value)
    {
        struct str name = json_str(key);
        if (!yyjson_obj_getn((yyjson_val *)a, name.ptr, name.len))
            compare_member(comparison, name, NULL, value);
    }
}

static void compare(struct comparison *comparison, const yyjson_val *a, const yyjson_val *b)
{
    if (a && b && yyjson_equals((yyjson_val *)a, (yyjson_val *)b))
        return;
    if (yyjson_is_obj((yyjson_val *)a) && yyjson_is_obj((yyjson_val *)b))
        compare_objects(comparison, a, b);
    else if (is_plain_list(a) && is_plain_list(b))
        compare_lists(comparison, a, b);
    else
        differ(comparison, a, b);
}

size_t profile_print_diff(const yyjson_val *a, const yyjson_val *b, bool as_json)
{
    struct comparison comparison = { .pointer = BUF_INIT, .as_json = as_json };
    compare(&comparison, a, b);
    buf_release(&comparison.pointer);
    return comparison.differences;
}
