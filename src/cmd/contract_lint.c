/* contract lint: the schemas, and then the rules, over a set of documents. */
#include "cmd/contract.h"

#include "base/file.h"
#include "cmd/tell.h"
#include "contract/catalogue.h"
#include "contract/document.h"
#include "contract/explain.h"
#include "contract/rules.h"
#include "contract/validate.h"

enum { OPTION_LIST, OPTION_JSON, OPTION_LIMITS };

const struct option_row contract_lint_options[CONTRACT_LINT_OPTION_COUNT] = {
    [OPTION_LIST] = { "list", 0, NULL, "print the rules and what each is about" },
    [OPTION_JSON] = { "json", 'j', NULL, "print a JSON object for each finding" },
    [OPTION_LIMITS] = LIMIT_OPTIONS,
};
static_assert(CONTRACT_LINT_OPTION_COUNT == OPTION_LIMITS + LIMIT_OPTION_COUNT,
              "the limits stand last");

struct run {
    const struct invocation *invocation;
    struct json_limits limits;
    struct catalogue *catalogue;
    struct lint *lint;
    struct document *documents;
    size_t count, capacity;
    size_t *linted; /* by index in the lint, which has what the schemas accept: in documents */
    size_t linted_count;
    size_t errors, warnings;
};

static const char *severity_name(enum severity severity)
{
    return severity == SEVERITY_ERROR ? "error" : "warning";
}

static void say(struct run *run, const struct document *document, const char *pointer, bool key,
                enum severity severity, const char *rule, const char *message)
{
    struct json_position at = document_position(document, str_from(pointer), key);
    bool is_error = severity == SEVERITY_ERROR;
    run->errors += is_error;
    run->warnings += !is_error;
    if (run->invocation->values[OPTION_JSON]) {
        struct buf out = BUF_INIT;
        buf_add_text(&out, "{\"file\":");
        json_add_string(&out, str_from(document->name));
        buf_addf(&out, ",\"line\":%zu,\"column\":%zu,\"pointer\":", at.line, at.column);
        json_add_string(&out, str_from(pointer));
        buf_addf(&out, ",\"severity\":\"%s\",\"rule\":\"%s\",\"message\":", severity_name(severity),
                 rule);
        json_add_string(&out, str_from(message));
        buf_add_text(&out, "}");
        puts(out.data);
        buf_release(&out);
        return;
    }
    fputs(tell_colour(stdout, COLOUR_DIM), stdout);
    tell_text(stdout, document->name);
    printf(":%zu:%zu:%s %s%s%s [%s] ", at.line, at.column, tell_colour_end(stdout),
           tell_colour(stdout, is_error ? COLOUR_BAD : COLOUR_WARN), severity_name(severity),
           tell_colour_end(stdout), rule);
    tell_text(stdout, pointer);
    fputs(pointer[0] ? ": " : "", stdout);
    tell_text(stdout, message);
    fputc('\n', stdout);
}

/* What the schema says of a document; 1 where it accepts. */
static int validate_document(struct run *run, const struct document *document,
                             const struct embedded_schema *schema, struct err *err)
{
    const struct program *program;
    struct report *report;
    const yyjson_val *root = yyjson_doc_get_root(document->doc);
    int r = catalogue_program(run->catalogue, schema, &program, err);
    if (r == 0)
        r = report_new(program, root, &report, err);
    if (r < 0)
        return r;
    for (size_t i = 0; !report->valid && i < report->count; i += 1 + report->units[i].inner_count) {
        const struct report_unit *unit = &report->units[i];
        struct buf words = BUF_INIT;
        explain_fault(program_set(program), report, unit, &words);
        say(run, document, unit->instance, unit->keyword == KEYWORD_ADDITIONAL_PROPERTIES,
            SEVERITY_ERROR, "schema", words.data);
        buf_release(&words);
    }
    r = report->valid;
    report_free(report);
    return r;
}

static int keep_document(struct run *run, struct document *document, struct err *err)
{
    if (run->count == run->capacity) {
        size_t larger = run->capacity ? run->capacity * 2 : 64;
        struct document *documents = realloc(run->documents, larger * sizeof(*documents));
        if (documents)
            run->documents = documents;
        size_t *linted = realloc(run->linted, larger * sizeof(*linted));
        if (linted)
            run->linted = linted;
        if (!documents || !linted)
            return err_set(err, ERR_MEMORY, "lint", "there is not enough memory");
        run->capacity = larger;
    }
    run->documents[run->count++] = *document;
    *document = (struct document){ 0 };
    return 0;
}

static int visit_document(void *context, const char *path, struct err *err)
{
    struct run *run = context;
    struct document document = { 0 };
    int r = document_read(path, &run->limits, &document, err);
    if (r < 0)
        return r;
    r = keep_document(run, &document, err);
    if (r < 0) {
        document_release(&document);
        return r;
    }
    const struct document *kept = &run->documents[run->count - 1];
    const yyjson_val *root = yyjson_doc_get_root(kept->doc);
    const struct embedded_schema *schema = catalogue_type_of(root, err);
    if (!schema) {
        err_where(err, "%s", kept->name);
        return -EBADMSG;
    }
    r = validate_document(run, kept, schema, err);
    if (r <= 0)
        return r;
    r = lint_add(run->lint, kept->name, root, schema, err);
    if (r == 0)
        run->linted[run->linted_count++] = run->count - 1;
    return r;
}

static int visit_named(void *context, const char *path, struct err *err)
{
    struct str name = str_from(path);
    bool is_document =
        str_ends(name, STR(".json")) || str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml"));
    return is_document || strcmp(path, "-") == 0 ? visit_document(context, path, err) : 0;
}

static int lint_operands(struct run *run, struct err *err)
{
    const struct invocation *invocation = run->invocation;
    int r = 0;
    for (int i = 0; r == 0 && i < invocation->operand_count; i++)
        r = file_walk(invocation->operands[i], visit_named, run, err);
    if (r == 0)
        r = lint_run(run->lint, err);
    for (size_t i = 0; r == 0 && i < lint_finding_count(run->lint); i++) {
        const struct finding *finding = lint_finding(run->lint, i);
        say(run, &run->documents[run->linted[finding->document]], finding->pointer, false,
            finding->rule->severity, finding->rule->id, finding->message);
    }
    if (r == 0 && !invocation->values[OPTION_JSON])
        printf("%zu document%s, %zu error%s, %zu warning%s\n", run->count,
               run->count == 1 ? "" : "s", run->errors, run->errors == 1 ? "" : "s", run->warnings,
               run->warnings == 1 ? "" : "s");
    return r;
}

static void list_rules(bool as_json)
{
    for (size_t i = 0; i < rules_count; i++) {
        const struct rule *rule = &rules_table[i];
        if (!as_json) {
            printf("%-36s %-7s %s\n", rule->id, severity_name(rule->severity), rule->sentence);
            continue;
        }
        struct buf out = BUF_INIT;
        buf_addf(&out,
                 "{\"id\":\"%s\",\"types\":\"%s\",\"severity\":\"%s\",\"sentence\":", rule->id,
                 rule->types, severity_name(rule->severity));
        json_add_string(&out, str_from(rule->sentence));
        buf_addf(&out, ",\"accepted\":\"%s\",\"refused\":\"%s\"}", rule->accepted, rule->refused);
        puts(out.data);
        buf_release(&out);
    }
}

int run_contract_lint(const struct invocation *invocation)
{
    struct run run = { .invocation = invocation };
    struct compile_options options = { 0 };
    struct err err = { 0 };
    if (invocation->values[OPTION_LIST]) {
        list_rules(invocation->values[OPTION_JSON]);
        return EXIT_OK;
    }
    if (!invocation->operand_count)
        return tell_usage(invocation->path, "name a FILE, a folder, or - for standard input");
    int r = verb_limits(invocation, OPTION_LIMITS, &run.limits, &err);
    if (r == 0)
        r = catalogue_new(&options, &run.catalogue, &err);
    if (r == 0)
        r = lint_new(&run.lint, &err);
    if (r == 0)
        r = lint_operands(&run, &err);
    int status = r < 0 ? tell_error(invocation, &err) : run.errors ? EXIT_INVALID : EXIT_OK;
    lint_free(run.lint);
    for (size_t i = 0; i < run.count; i++)
        document_release(&run.documents[i]);
    free(run.documents);
    free(run.linted);
    catalogue_free(run.catalogue);
    return status;
}
