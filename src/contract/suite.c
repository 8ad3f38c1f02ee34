/* suite: see the header. A group whose schema does not compile fails all its tests. */
#include "contract/suite.h"

#include <limits.h>

#include "base/file.h"
#include "base/json.h"
#include "contract/compile.h"
#include "contract/schema.h"
#include "contract/validate.h"

#define STEP "run the test-suite"

struct run {
    const struct suite_options *options;
    struct suite_result *result;
    const char *path;
    bool assert_formats;
};

static int run_file(void *context, const char *path, struct err *err);

int suite_run(const char *path, const struct suite_options *options, struct suite_result *result,
              struct err *err)
{
    struct run run = { .options = options, .result = result };
    return file_walk(path, run_file, &run, err);
}

static int read_json(const char *path, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SCHEMA_BYTES_MAX);
    int r = file_read(path, &text, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, ret, err);
    return r;
}

static int fetch_remote(void *context, struct str uri, yyjson_doc **ret_doc, struct err *err)
{
    const struct run *run = context;
    struct str below = str_from_offset(uri, strlen(SUITE_REMOTES_URI));
    if (!run->options->remotes || !str_starts(uri, STR(SUITE_REMOTES_URI)) ||
        memmem(below.ptr, below.len, "..", 2))
        return -ENOENT;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%.*s", run->options->remotes, STR_ARG(below));
    return access(path, R_OK) < 0 ? -ENOENT : read_json(path, ret_doc, err);
}

static void say_failure(struct run *run, yyjson_val *group, yyjson_val *test, const char *why)
{
    struct buf text = BUF_INIT;
    const char *of_group = yyjson_get_str(yyjson_obj_get(group, "description"));
    const char *of_test = yyjson_get_str(yyjson_obj_get(test, "description"));
    buf_addf(&text, "%s: %s: %s: %s", run->path, of_group ? of_group : "?",
             of_test ? of_test : "every test", why);
    if (run->options->failure)
        run->options->failure(run->options->context, text.data);
    buf_release(&text);
}

/* NULL if the test passes, else why not. */
static const char *fault_of(const struct program *program, yyjson_val *test, struct err *err)
{
    yyjson_val *data = yyjson_obj_get(test, "data");
    bool expected = yyjson_is_true(yyjson_obj_get(test, "valid"));
    struct report *report = NULL;
    if (!data)
        return "it has no data";
    int r = validate(program, data, err);
    if (r < 0 || report_new(program, data, &report, err) < 0)
        return err->cause;
    bool thorough = report->valid;
    bool empty = !thorough && !report->count;
    report_free(report);
    if (thorough != (r == 1))
        return "the fast and the thorough run disagree";
    if (empty)
        return "invalid without a fault";
    if (thorough == expected)
        return NULL;
    return expected ? "is valid, but was found invalid" : "is invalid, but was found valid";
}

static int compile_group(struct run *run, yyjson_val *group, struct schema_set **ret_set,
                         struct program **ret_program, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SCHEMA_BYTES_MAX);
    yyjson_doc *doc;
    uint32_t location;
    struct compile_options options = { .assert_formats = run->assert_formats };
    json_add_value(&text, yyjson_obj_get(group, "schema"), 0);
    int r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    r = schema_set_new(fetch_remote, run, ret_set, err);
    if (r < 0) {
        yyjson_doc_free(doc);
        return r;
    }
    r = schema_set_add(*ret_set, STR(SCHEMA_ANONYMOUS_URI), doc, &location, err);
    return r < 0 ? r : program_new(*ret_set, location, &options, ret_program, err);
}

static void run_group(struct run *run, yyjson_val *group)
{
    struct schema_set *set = NULL;
    struct program *program = NULL;
    struct err err = { 0 };
    yyjson_val *tests = yyjson_obj_get(group, "tests");
    if (!yyjson_is_arr(tests)) {
        say_failure(run, group, NULL, "the group has no tests");
        run->result->failed++;
        return;
    }
    int r = compile_group(run, group, &set, &program, &err);
    if (r < 0) {
        say_failure(run, group, NULL, err.cause);
        run->result->failed += yyjson_arr_size(tests);
    }
    size_t index, count;
    yyjson_val *test;
    yyjson_arr_foreach(tests, index, count, test)
    {
        const char *why = r < 0 ? NULL : fault_of(program, test, &err);
        if (why)
            say_failure(run, group, test, why);
        run->result->failed += why != NULL;
        run->result->passed += r >= 0 && !why;
    }
    program_free(program);
    schema_set_free(set);
}

static int run_file(void *context, const char *path, struct err *err)
{
    struct run *run = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (!str_ends(str_from(path), STR(".json")))
        return 0;
    int r = read_json(path, &doc, err);
    if (r < 0) {
        err_where(err, "%s", path);
        return r;
    }
    yyjson_val *groups = yyjson_doc_get_root(doc);
    if (!yyjson_is_arr(groups))
        return err_set(err, ERR_DOCUMENT, STEP, "%s is no array of test groups", path);
    run->path = path;
    run->assert_formats = run->options->assert_formats || strstr(path, "optional/format/");
    size_t index, count;
    yyjson_val *group;
    yyjson_arr_foreach(groups, index, count, group)
    {
        run_group(run, group);
    }
    return 0;
}
