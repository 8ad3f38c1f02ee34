/* The examples: what must be accepted is, and what must be refused is, for the reason named. */
#include "base/file.h"
#include "base/test.h"
#include "contract/document.h"
#include "contract/rules.h"
#include "contract/validate.h"

#define EXAMPLES         "examples"
#define EXPECTATIONS     "tests/examples"
#define DOCUMENTS_MAX    4096
#define COMPANIONS_MAX   32
#define PATH_TEXT_MAX    512

struct loaded {
    struct document documents[DOCUMENTS_MAX];
    const struct embedded_schema *schemas[DOCUMENTS_MAX];
    size_t count;
    struct catalogue *catalogue;
};

static struct loaded *loaded_new(void)
{
    struct loaded *l = calloc(1, sizeof(*l));
    struct compile_options options = { 0 };
    if (!l || catalogue_new(&options, &l->catalogue, NULL) < 0)
        abort();
    return l;
}

static void loaded_free(struct loaded *l)
{
    for (size_t i = 0; i < l->count; i++)
        document_release(&l->documents[i]);
    catalogue_free(l->catalogue);
    free(l);
}

/* Reads a document; its index, or -1 with a failed check. */
static int load(struct loaded *l, const char *path)
{
    struct err err = { 0 };
    if (l->count == DOCUMENTS_MAX ||
        document_read(path, &json_limits_default, &l->documents[l->count], &err) < 0) {
        test_fail(__FILE__, __LINE__, "%s: %s", path, err.cause);
        return -1;
    }
    l->schemas[l->count] = catalogue_type_of(yyjson_doc_get_root(l->documents[l->count].doc), &err);
    if (l->schemas[l->count])
        return (int)l->count++;
    test_fail(__FILE__, __LINE__, "%s: %s", path, err.cause);
    document_release(&l->documents[l->count]);
    return -1;
}

static const yyjson_val *root_of(const struct loaded *l, int index)
{
    return yyjson_doc_get_root(l->documents[index].doc);
}

static struct report *report_of(struct loaded *l, int index)
{
    const struct program *program;
    struct report *report = NULL;
    struct err err = { 0 };
    if (catalogue_program(l->catalogue, l->schemas[index], &program, &err) < 0 ||
        report_new(program, root_of(l, index), &report, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", l->documents[index].name, err.cause);
    return report;
}

/* Whether a fault's pointer is the one expected, or that of the member of it that is at fault. */
static bool is_at(const char *pointer, struct str expected)
{
    struct str s = str_from(pointer);
    if (str_equal(s, expected))
        return true;
    return str_starts(s, expected) && str_index(s, '/', expected.len + 1) == s.len &&
           s.ptr[expected.len] == '/';
}

static void check_schema_refuses(struct loaded *l, int index, struct str keyword,
                                 struct str pointer)
{
    struct report *report = report_of(l, index);
    bool found = false;
    if (!report)
        return;
    for (size_t i = 0; !report->valid && i < report->count; i++) {
        const struct report_unit *unit = &report->units[i];
        struct str name =
            unit->keyword == KEYWORD_NONE ? STR("false") : keyword_rows[unit->keyword].name;
        bool about_names = str_equal(keyword, STR("propertyNames")) &&
                           strstr(unit->keyword_path, "/propertyNames/");
        found = found || ((about_names || str_equal(name, keyword)) &&
                          is_at(unit->instance, pointer));
    }
    if (!found)
        test_fail(__FILE__, __LINE__, "%s is not refused by `%.*s` at \"%.*s\"",
                  l->documents[index].name, STR_ARG(keyword), STR_ARG(pointer));
    report_free(report);
}

static struct lint *lint_of(struct loaded *l)
{
    struct lint *lint;
    struct err err = { 0 };
    CHECK_INT(lint_new(&lint, &err), 0);
    for (size_t i = 0; i < l->count; i++) {
        struct report *report = report_of(l, (int)i);
        if (report && !report->valid)
            test_fail(__FILE__, __LINE__, "%s is refused by its schema", l->documents[i].name);
        report_free(report);
        CHECK_INT(lint_add(lint, l->documents[i].name, root_of(l, (int)i), l->schemas[i], &err), 0);
    }
    if (lint_run(lint, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.cause);
    return lint;
}

static void check_rule_refuses(struct loaded *l, struct str rule, struct str pointer)
{
    struct lint *lint = lint_of(l);
    bool found = false;
    for (size_t i = 0; i < lint_finding_count(lint); i++) {
        const struct finding *f = lint_finding(lint, i);
        found = found || (f->document == 0 && str_equal(str_from(f->rule->id), rule) &&
                          str_equal(str_from(f->pointer), pointer));
    }
    if (!found)
        test_fail(__FILE__, __LINE__, "%s is not refused by %.*s at \"%.*s\"", l->documents[0].name,
                  STR_ARG(rule), STR_ARG(pointer));
    lint_free(lint);
}

/* One line of expectations: files, who refuses, by what, where. */
static void check_line(struct str line)
{
    struct str fields[4] = { 0 };
    size_t start = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t end = str_index(line, '\t', start);
        fields[i] = start <= line.len ? str_make(line.ptr + start, end - start) : STR("");
        start = end + 1;
    }
    struct loaded *l = loaded_new();
    int first = -1;
    start = 0;
    for (size_t i = 0; start < fields[0].len && i < COMPANIONS_MAX; i++) {
        size_t end = str_index(fields[0], ',', start);
        char path[PATH_TEXT_MAX];
        snprintf(path, sizeof(path), "%s/%.*s", i ? EXAMPLES : EXAMPLES "/refused",
                 (int)(end - start), fields[0].ptr + start);
        int index = load(l, path);
        first = i ? first : index;
        start = end + 1;
    }
    if (first == 0 && str_equal(fields[1], STR("schema")))
        check_schema_refuses(l, first, fields[2], fields[3]);
    else if (first == 0 && str_equal(fields[1], STR("rule")))
        check_rule_refuses(l, fields[2], fields[3]);
    else if (first == 0)
        test_fail(__FILE__, __LINE__, "neither schema nor rule: %.*s", STR_ARG(line));
    loaded_free(l);
}

struct expectations {
    struct buf text; /* all lines of all files */
};

static int add_expectations(void *context, const char *path, struct err *err)
{
    struct expectations *e = context;
    return str_ends(str_from(path), STR(".tsv")) ? file_read(path, &e->text, err) : 0;
}

static void read_expectations(struct expectations *e)
{
    e->text = BUF_INIT;
    CHECK_INT(file_walk(EXPECTATIONS, add_expectations, e, NULL), 0);
}

TEST(every_refused_example_is_refused_for_its_reason)
{
    struct expectations e;
    size_t lines = 0;
    read_expectations(&e);
    for (size_t start = 0; start < e.text.len;) {
        size_t end = str_index(buf_str(&e.text), '\n', start);
        if (end > start)
            check_line(str_make(e.text.data + start, end - start));
        lines += end > start;
        start = end + 1;
    }
    CHECK(lines > 100);
    buf_release(&e.text);
}

static int check_listed(void *context, const char *path, struct err *err)
{
    struct expectations *e = context;
    const char *name = strrchr(path, '/') + 1;
    struct buf needle = BUF_INIT;
    (void)err;
    buf_addf(&needle, "\n%s", name);
    const char *hit = e->text.data;
    bool found = strncmp(hit, name, strlen(name)) == 0;
    while (!found && (hit = strstr(hit, needle.data))) {
        hit += needle.len;
        found = *hit == '\t' || *hit == ',';
    }
    if (!found)
        test_fail(__FILE__, __LINE__, "%s stands in no list of expectations", path);
    buf_release(&needle);
    return 0;
}

TEST(every_refused_example_says_why_it_is_refused)
{
    struct expectations e;
    read_expectations(&e);
    CHECK_INT(file_walk(EXAMPLES "/refused", check_listed, &e, NULL), 0);
    buf_release(&e.text);
}

static int load_accepted(void *context, const char *path, struct err *err)
{
    (void)err;
    if (str_ends(str_from(path), STR(".json")) && !strstr(path, "/refused/"))
        load(context, path);
    return 0;
}

TEST(the_accepted_examples_pass_schemas_and_rules_together)
{
    struct loaded *l = loaded_new();
    CHECK_INT(file_walk(EXAMPLES, load_accepted, l, NULL), 0);
    CHECK(l->count > 40);
    struct lint *lint = lint_of(l);
    for (size_t i = 0; i < lint_finding_count(lint); i++) {
        const struct finding *f = lint_finding(lint, i);
        if (f->rule->severity == SEVERITY_ERROR)
            test_fail(__FILE__, __LINE__, "%s: %s: %s: %s", l->documents[f->document].name,
                      f->rule->id, f->pointer, f->message);
    }
    lint_free(lint);
    loaded_free(l);
}

TEST(every_type_has_an_accepted_example)
{
    struct loaded *l = loaded_new();
    CHECK_INT(file_walk(EXAMPLES, load_accepted, l, NULL), 0);
    for (size_t i = 0; i < embedded_schemas_count; i++) {
        bool found = false;
        for (size_t d = 0; d < l->count; d++)
            found = found || l->schemas[d] == &embedded_schemas[i];
        if (!found)
            test_fail(__FILE__, __LINE__, "%s has no example", embedded_schemas[i].type);
    }
    loaded_free(l);
}

TEST(every_rule_has_an_accepted_and_a_refused_example)
{
    struct expectations e;
    read_expectations(&e);
    for (size_t i = 0; i < rules_count; i++) {
        const struct rule *rule = &rules_table[i];
        struct buf line = BUF_INIT;
        char path[PATH_TEXT_MAX];
        buf_addf(&line, "\trule\t%s\t", rule->id);
        if (!strstr(e.text.data, line.data))
            test_fail(__FILE__, __LINE__, "no refused example shows %s", rule->id);
        snprintf(path, sizeof(path), EXAMPLES "/refused/%s", rule->refused);
        if (access(path, R_OK) < 0)
            test_fail(__FILE__, __LINE__, "%s of %s is missing", path, rule->id);
        snprintf(path, sizeof(path), EXAMPLES "/%s", rule->accepted);
        if (access(path, R_OK) < 0)
            test_fail(__FILE__, __LINE__, "%s of %s is missing", path, rule->id);
        for (size_t j = 0; j < i; j++)
            if (strcmp(rules_table[j].id, rule->id) == 0)
                test_fail(__FILE__, __LINE__, "%s stands twice in the table", rule->id);
        buf_release(&line);
    }
    buf_release(&e.text);
}
