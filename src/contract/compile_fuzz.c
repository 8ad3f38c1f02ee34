/*
 * Schema and instance, both hostile: the first line is the schema, the rest
 * the instance. Nothing may crash, hang or disagree between the two runs.
 */
#include "base/json.h"
#include "contract/compile.h"
#include "contract/output.h"
#include "contract/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const struct schema_set *set, const struct program *program, yyjson_val *value)
{
    struct report *report;
    struct err err = { 0 };
    int fast = validate(program, value, &err);
    if (report_new(program, value, &report, &err) < 0)
        return;
    if (fast >= 0 && report->valid != (fast == 1))
        abort();
    struct buf out = BUF_INIT_LIMIT(1 << 20);
    output_basic(&out, set, report);
    buf_release(&out);
    report_free(report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    size_t end = str_index(text, '\n', 0);
    yyjson_doc *schema, *instance = NULL;
    struct schema_set *set = NULL;
    struct program *program = NULL;
    uint32_t location;
    struct compile_options options = { .assert_formats = true };
    struct json_limits limits = json_limits_default;
    limits.size_bytes = 4096;
    if (json_read(str_make(text.ptr, end), &limits, &schema, NULL) < 0)
        return 0;
    if (schema_set_new(NULL, NULL, &set, NULL) < 0) {
        yyjson_doc_free(schema);
        return 0;
    }
    if (schema_set_add(set, STR(SCHEMA_ANONYMOUS_URI), schema, &location, NULL) == 0 &&
        program_new(set, location, &options, &program, NULL) == 0 &&
        json_read(str_from_offset(text, end + 1), &limits, &instance, NULL) == 0)
        run(set, program, yyjson_doc_get_root(instance));
    yyjson_doc_free(instance);
    program_free(program);
    schema_set_free(set);
    return 0;
}
