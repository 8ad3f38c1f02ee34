/*
 * Input: a JSON text. Its canonical form must be JSON, with every key behind
 * the one before it, and its own canonical form. Its numbers must order and
 * hash as numbers do.
 */
#include "contract/jcs.h"

#include "base/json.h"
#include "contract/number.h"

#define FUZZ_NUMBERS 24 /* of a document, compared in pairs */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(bool condition)
{
    if (!condition)
        abort();
}

static void check_stable(struct str form)
{
    yyjson_doc *doc = NULL;
    struct buf again = BUF_INIT;
    insist(json_read(form, &json_limits_default, &doc, NULL) == 0);
    insist(jcs_add(&again, doc->root, NULL) == 0);
    insist(str_equal(form, buf_str(&again)));
    buf_release(&again);
    yyjson_doc_free(doc);
}

static void check_pair(const yyjson_val *a, const yyjson_val *b)
{
    int order = number_compare(a, b), opposite = number_compare(b, a);
    insist((order > 0) == (opposite < 0) && (order < 0) == (opposite > 0));
    insist((order == 0) == (number_hash(a) == number_hash(b)));
    if (order == 0)
        insist(number_is_integer(a) == number_is_integer(b));
    static const yyjson_val zero = { .tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT };
    if (number_compare(b, &zero) <= 0)
        return;
    int multiple = number_is_multiple(a, b, NULL);
    insist(multiple == 0 || multiple == 1);
    if (order == 0)
        insist(multiple == 1);
    else if (order < 0 && number_compare(a, &zero) > 0)
        insist(multiple == 0);
}

static void check_numbers(const yyjson_doc *doc)
{
    const yyjson_val *numbers[FUZZ_NUMBERS];
    size_t count = 0;
    for (size_t i = 0; i < doc->val_read && count < FUZZ_NUMBERS; i++)
        if (number_is(&doc->root[i]))
            numbers[count++] = &doc->root[i];
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            check_pair(numbers[i], numbers[j]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yyjson_doc *doc = NULL;
    if (json_read(str_make((const char *)data, size), &json_limits_default, &doc, NULL) < 0)
        return 0;
    struct buf form = BUF_INIT;
    struct err err = { 0 };
    if (jcs_add(&form, doc->root, &err) == 0)
        check_stable(buf_str(&form));
    else
        insist(err.code == ERR_DOCUMENT);
    check_numbers(doc);
    buf_release(&form);
    yyjson_doc_free(doc);
    return 0;
}
