/*
 * contract_bench: how long this engine takes for one instance, warm.
 *
 *     contract_bench SCHEMA INSTANCES.jsonl REPEATS
 *
 * Reading and compiling are not timed. Each instance is validated REPEATS
 * times in a row, as the peers' own benchmarks do it. Prints, with the mean
 * over the instances, {"instances": N, "valid": N, "ns": N}.
 */
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "contract/compile.h"
#include "contract/schema.h"
#include "contract/validate.h"

#define INPUT_BYTES_MAX ((size_t)1 << 30)

struct instances {
    yyjson_doc **docs;
    size_t count;
};

static int read_instances(const char *path, struct instances *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(INPUT_BYTES_MAX);
    int r = file_read(path, &text, err);
    struct str rest = buf_str(&text);
    while (r == 0 && rest.len) {
        const char *newline = memchr(rest.ptr, '\n', rest.len);
        struct str line = str_make(rest.ptr, newline ? (size_t)(newline - rest.ptr) : rest.len);
        rest = str_from_offset(rest, line.len + (newline != NULL));
        yyjson_doc **docs = realloc(ret->docs, (ret->count + 1) * sizeof(*docs));
        if (!docs)
            return err_set(err, ERR_MEMORY, "read the instances", "%zu of them", ret->count);
        ret->docs = docs;
        r = json_read(line, &json_limits_default, &ret->docs[ret->count], err);
        ret->count += r == 0;
    }
    return r;
}

static int compile_file(const char *path, struct schema_set *set, struct program **ret,
                        struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SCHEMA_BYTES_MAX);
    yyjson_doc *doc = NULL;
    uint32_t location = 0;
    int r = file_read(path, &text, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r == 0)
        r = schema_set_add(set, STR(SCHEMA_ANONYMOUS_URI), doc, &location, err);
    if (r == 0)
        r = program_new(set, location, &(struct compile_options){ 0 }, ret, err);
    return r;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Mean nanoseconds for one instance; the number of valid ones goes to *ret_valid. */
static int run_round(const struct program *program, const struct instances *instances,
                     unsigned long repeats, size_t *ret_valid, double *ret_ns, struct err *err)
{
    double total_ns = 0;
    size_t valid = 0;
    for (size_t i = 0; i < instances->count; i++) {
        const yyjson_val *value = yyjson_doc_get_root(instances->docs[i]);
        int r = 0;
        double begin_ns = now_ns();
        for (unsigned long j = 0; j < repeats && r >= 0; j++)
            r = validate(program, value, err);
        total_ns += (now_ns() - begin_ns) / (double)repeats;
        if (r < 0)
            return r;
        valid += (size_t)r;
    }
    *ret_valid = valid;
    *ret_ns = total_ns / (double)instances->count;
    return 0;
}

static int measure(const char *schema_path, const char *instances_path, unsigned long repeats,
                   struct err *err)
{
    struct instances instances = { 0 };
    struct schema_set *set = NULL;
    struct program *program = NULL;
    double ns = 0;
    size_t valid = 0;
    int r = read_instances(instances_path, &instances, err);
    if (r == 0)
        r = schema_set_new(NULL, NULL, &set, err);
    if (r == 0)
        r = compile_file(schema_path, set, &program, err);
    if (r == 0)
        r = run_round(program, &instances, repeats, &valid, &ns, err);
    if (r == 0)
        printf("{\"instances\": %zu, \"valid\": %zu, \"ns\": %.2f}\n", instances.count, valid, ns);
    program_free(program);
    schema_set_free(set);
    for (size_t i = 0; i < instances.count; i++)
        yyjson_doc_free(instances.docs[i]);
    free(instances.docs);
    return r;
}

int main(int argc, char **argv)
{
    unsigned long repeats = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    struct err err = { 0 };
    if (!repeats) {
        fprintf(stderr, "usage: contract_bench SCHEMA INSTANCES.jsonl REPEATS\n");
        return 2;
    }
    if (measure(argv[1], argv[2], repeats, &err) < 0) {
        fprintf(stderr, "contract_bench: %s: %s\n", err.where, err.cause);
        return 1;
    }
    return 0;
}
