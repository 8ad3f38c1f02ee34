/*
 * Input: a JSON text. What is accepted must survive being written and read
 * again, and each of its values must be found by its pointer where the parser
 * found it. What is refused must be refused with a place and a cause, and the
 * search for the fault must agree with the parser that there is one.
 */
#include "base/json.h"
#include "base/json_text.h"

#define FUZZ_DEPTH  200
#define FUZZ_VALUES 100 /* whose pointers are tried: each costs a walk over the text */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits = {
    .size_bytes = (size_t)1 << 20,
    .depth = FUZZ_DEPTH,
    .array_items = 5000,
    .members = 5000,
    .string_bytes = 100000,
    .number_digits = JSON_NUMBER_DIGITS_MAX,
};

static void insist(bool condition)
{
    if (!condition)
        abort();
}

/* Reads what was written with an indent, and writes it minified again. */
static void check_round_trip(yyjson_val *root, unsigned indent, struct buf *minified)
{
    static const struct json_limits wide = {
        SIZE_MAX, FUZZ_DEPTH, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX,
    };
    struct buf text = BUF_INIT, again = BUF_INIT;
    yyjson_doc *doc = NULL;
    insist(json_add_value(&text, root, indent) == 0);
    insist(json_read(buf_str(&text), &wide, &doc, NULL) == 0);
    insist(json_add_value(&again, doc->root, 0) == 0);
    if (indent == 0)
        insist(str_equal(buf_str(&text), buf_str(&again)));
    else
        insist(str_equal(buf_str(minified), buf_str(&again)));
    if (indent == 0)
        insist(buf_add_str(minified, buf_str(&text)) == 0);
    yyjson_doc_free(doc);
    buf_release(&again);
    buf_release(&text);
}

struct walk {
    struct str text;
    struct buf pointer;
    const yyjson_val *root;
};

static void check_place(struct walk *walk, const yyjson_val *value, const yyjson_val *key)
{
    size_t at;
    insist(json_locate(walk->text, buf_str(&walk->pointer), false, &at) == 0);
    insist(at == json_value_offset(walk->text, (size_t)(value - walk->root)));
    insist(json_locate(walk->text, buf_str(&walk->pointer), true, &at) == 0);
    insist(!key || at == json_value_offset(walk->text, (size_t)(key - walk->root)));
    struct json_position position = json_position(walk->text, at);
    insist(position.line >= 1 && position.column >= 1);
}

/* Recurses no deeper than FUZZ_DEPTH. */
static void check_places(struct walk *walk, yyjson_val *value, yyjson_val *key)
{
    if (value - walk->root >= FUZZ_VALUES)
        return;
    check_place(walk, value, key);
    size_t len = walk->pointer.len, index, count;
    yyjson_val *name, *item;
    yyjson_arr_foreach(value, index, count, item)
    {
        json_pointer_add_index(&walk->pointer, index);
        check_places(walk, item, NULL);
        buf_truncate(&walk->pointer, len);
    }
    yyjson_obj_foreach(value, index, count, name, item)
    {
        json_pointer_add(&walk->pointer, json_str(name));
        check_places(walk, item, name);
        buf_truncate(&walk->pointer, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    struct json_fault fault;
    int r = json_read(text, &limits, &doc, &err);
    int seen = json_fault_find(text, FUZZ_DEPTH, &fault);
    if (r < 0) {
        bool duplicate = strstr(err.cause, "stands twice");
        insist(!doc && err.cause[0]);
        insist(err.where[0] || size > limits.size_bytes);
        insist(err.code == ERR_LIMIT || (err.code == ERR_SYNTAX && (seen == 0 || duplicate)));
        return 0;
    }
    insist(seen == -ENOENT);
    struct buf minified = BUF_INIT;
    check_round_trip(doc->root, 0, &minified);
    check_round_trip(doc->root, 3, &minified);
    struct walk walk = { .text = text, .pointer = BUF_INIT, .root = doc->root };
    check_places(&walk, doc->root, NULL);
    buf_release(&walk.pointer);
    buf_release(&minified);
    yyjson_doc_free(doc);
    return 0;
}
