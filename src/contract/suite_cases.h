/*
 * suite_cases: for tests, the cases of the official suite whose schema is one keyword.
 *
 * The suite lies in the folder that AM_TEST_DATA names; without it a test is
 * skipped.
 */
#ifndef AM_CONTRACT_SUITE_CASES_H
#define AM_CONTRACT_SUITE_CASES_H

#include "base/file.h"
#include "base/json.h"
#include "base/test.h"

typedef void suite_case_function(struct str keyword_value, struct str data, bool valid,
                                 const char *description);

static inline void suite_group(yyjson_val *group, const char *keyword, suite_case_function *check,
                               size_t *count)
{
    size_t index, size;
    yyjson_val *test;
    yyjson_val *schema = yyjson_obj_get(group, "schema");
    yyjson_val *value = yyjson_obj_get(schema, keyword);
    if (!yyjson_is_str(value) || yyjson_obj_get(schema, "$ref"))
        return;
    yyjson_arr_foreach(yyjson_obj_get(group, "tests"), index, size, test)
    {
        yyjson_val *data = yyjson_obj_get(test, "data");
        if (!yyjson_is_str(data))
            continue;
        check(json_str(value), json_str(data), yyjson_get_bool(yyjson_obj_get(test, "valid")),
              yyjson_get_str(yyjson_obj_get(test, "description")));
        ++*count;
    }
}

/* Calls check for each case; `path` is below the suite's draft2020-12. Returns how many. */
static inline size_t suite_each(const char *path, const char *keyword, suite_case_function *check)
{
    const char *data = getenv("AM_TEST_DATA");
    size_t index, size, count = 0;
    char name[4096];
    yyjson_val *group;
    if (!data) {
        test_skip("AM_TEST_DATA does not name a folder with the official suite");
        return 0;
    }
    snprintf(name, sizeof(name), "%s/json-schema-test-suite/tests/draft2020-12/%s", data, path);
    struct buf text = BUF_INIT;
    struct err err;
    if (file_read(name, &text, &err) < 0) {
        test_fail(name, 0, "%s", err.cause);
        return 0;
    }
    yyjson_doc *doc = yyjson_read(text.data, text.len, 0);
    if (!doc)
        test_fail(name, 0, "it is not JSON");
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, size, group)
    {
        suite_group(group, keyword, check, &count);
    }
    yyjson_doc_free(doc);
    buf_release(&text);
    return count;
}

#endif
