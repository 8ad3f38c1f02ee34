/*
 * Input: a YAML text. What is read must be what JSON can say, within the
 * limits, and every value of it must have a place.
 */
#include "contract/yaml.h"

#define PLACES_MAX 64 /* values looked for: each reads the text again */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits = {
    .size_bytes = 1 << 20,
    .depth = 32,
    .array_items = 1000,
    .members = 1000,
    .string_bytes = 1 << 16,
    .number_digits = 100,
};

struct visit {
    struct str text;
    struct buf pointer;
    size_t left;
};

static void check_place(struct visit *visit, bool key)
{
    struct json_position at = { 0 };
    if (yaml_locate(visit->text, buf_str(&visit->pointer), key, &at) < 0)
        abort();
    if (at.line == 0 || at.column == 0 || at.line > visit->text.len + 1 ||
        at.column > visit->text.len + 1)
        abort();
}

/* No deeper than the limits allow. */
static void visit_value(struct visit *visit, yyjson_val *value)
{
    if (visit->left == 0)
        return;
    visit->left--;
    check_place(visit, false);
    size_t len = visit->pointer.len, index, count;
    yyjson_val *key, *inner;
    yyjson_obj_foreach(value, index, count, key, inner)
    {
        json_pointer_add(&visit->pointer, json_str(key));
        check_place(visit, true);
        visit_value(visit, inner);
        buf_truncate(&visit->pointer, len);
    }
    yyjson_arr_foreach(value, index, count, inner)
    {
        json_pointer_add_index(&visit->pointer, index);
        visit_value(visit, inner);
        buf_truncate(&visit->pointer, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    yyjson_doc *doc = NULL, *again = NULL;
    struct err err = { 0 };
    if (yaml_read(text, &limits, &doc, &err) < 0) {
        struct json_position at;
        if (err.code == ERR_NONE || !err.cause[0] || doc)
            abort();
        if (yaml_locate(text, STR(""), false, &at) > 0)
            abort();
        return 0;
    }
    struct buf json = BUF_INIT;
    json_add_value(&json, yyjson_doc_get_root(doc), 0);
    if (json_read(buf_str(&json), &json_limits_default, &again, NULL) < 0)
        abort();
    struct visit visit = { .text = text, .pointer = BUF_INIT, .left = PLACES_MAX };
    visit_value(&visit, yyjson_doc_get_root(doc));
    buf_release(&visit.pointer);
    buf_release(&json);
    yyjson_doc_free(again);
    yyjson_doc_free(doc);
    return 0;
}
