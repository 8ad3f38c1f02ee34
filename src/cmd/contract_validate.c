/*
 * contract validate: documents against their schemas.
 *
 * Three ways to answer: for people (a line for each fault, with its place),
 * as JSON (the draft's own outputs, or one object for each document), and for
 * JSON Lines, where each line is a document and each answer is one word.
 */
#include "cmd/contract.h"

#include <limits.h>

#include "base/file.h"
#include "cmd/tell.h"
#include "contract/catalogue.h"
#include "contract/document.h"
#include "contract/explain.h"
#include "contract/output.h"
#include "contract/uri.h"
#include "contract/validate.h"

#define LINES_READ_BYTES ((size_t)1 << 20)

enum {
    OPTION_SCHEMA,
    OPTION_FORMATS,
    OPTION_OUTPUT,
    OPTION_JSON,
    OPTION_JSONL,
    OPTION_QUIET,
    OPTION_LIMITS
};

const struct option_row contract_validate_options[CONTRACT_VALIDATE_OPTION_COUNT] = {
    [OPTION_SCHEMA] = { "schema", 's', "SCHEMA",
                        "check against this schema: a type of the catalogue, or a file" },
    [OPTION_FORMATS] = { "assert-formats", 'f', NULL,
                         "let `format` refuse, and not only describe" },
    [OPTION_OUTPUT] = { "output", 'o', "FORM",
                        "print the draft's JSON output, `flag` or `basic`, a line per document" },
    [OPTION_JSON] = { "json", 'j', NULL, "print a JSON object with file and faults per document" },
    [OPTION_JSONL] = { "jsonl", 'l', "FILE",
                       "each line of FILE is a document; print true or false for each" },
    [OPTION_QUIET] = { "quiet", 'q', NULL, "say nothing of valid documents" },
    [OPTION_LIMITS] = LIMIT_OPTIONS,
};
static_assert(CONTRACT_VALIDATE_OPTION_COUNT == OPTION_LIMITS + LIMIT_OPTION_COUNT,
              "the limits stand last");

enum answer { ANSWER_WORDS, ANSWER_FLAG, ANSWER_BASIC, ANSWER_JSON };

struct run {
    const struct invocation *invocation;
    struct json_limits limits;
    struct catalogue *catalogue;
    struct named_schema schema; /* without a program: each document's own type */
    enum answer answer;
    bool quiet;
    size_t valid, invalid;
    int status; /* the worst so far */
};

/* --- a schema by name ---------------------------------------------------------------------- */

/* Brings a schema that another one refers to by a file's URI. */
static int fetch_file(void *context, struct str uri, yyjson_doc **ret_doc, struct err *err)
{
    (void)context;
    _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(PATH_MAX);
    if (!str_starts(uri, STR("file:///")) ||
        !uri_percent_decode(str_from_offset(uri, strlen("file://")), &path) || path.error ||
        strlen(path.data) != path.len)
        return -ENOENT;
    struct json_limits limits = json_limits_default;
    limits.size_bytes = SCHEMA_BYTES_MAX;
    struct document document;
    int r = document_read(path.data, &limits, &document, err);
    if (r < 0)
        return r;
    *ret_doc = TAKE_PTR(document.doc);
    document_release(&document);
    return 0;
}

static int fetch_any(void *context, struct str uri, yyjson_doc **ret_doc, struct err *err)
{
    int r = catalogue_fetch(uri, ret_doc, err);
    return r == -ENOENT ? fetch_file(context, uri, ret_doc, err) : r;
}

/* The URI of what was named: one of the catalogue's, a URI as it is, or a file's. */
static int uri_of_name(const char *name, struct buf *ret, struct err *err)
{
    const struct embedded_schema *schema = catalogue_find(str_from(name));
    char path[PATH_MAX];
    if (schema)
        return buf_addf(ret, CATALOGUE_URI_PREFIX "%s.json", schema->type);
    if (strstr(name, "://") || strncmp(name, "urn:", 4) == 0)
        return buf_add_text(ret, name);
    const char *hash = strchr(name, '#');
    char file[PATH_MAX];
    snprintf(file, sizeof(file), "%.*s", hash ? (int)(hash - name) : (int)strlen(name), name);
    if (!realpath(file, path))
        return err_set_errno(err, errno, "open the schema",
                             "%s is neither a type of the catalogue nor a file", name);
    buf_add_text(ret, "file://");
    for (const char *c = path; *c; c++)
        if (strchr("%?# ", *c))
            buf_addf(ret, "%%%02X", (unsigned char)*c);
        else
            buf_add_char(ret, *c);
    return buf_add_text(ret, hash ? hash : "");
}

int named_schema_open(const char *name, const struct compile_options *options,
                      struct named_schema *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf uri = BUF_INIT;
    struct named_schema schema = { 0 };
    uint32_t location = 0;
    int r = uri_of_name(name, &uri, err);
    if (r == 0)
        r = schema_set_new(fetch_any, NULL, &schema.set, err);
    if (r == 0)
        r = schema_set_find(schema.set, buf_str(&uri), &location, err);
    if (r == 0)
        r = program_new(schema.set, location, options, &schema.program, err);
    if (r < 0) {
        named_schema_close(&schema);
        return r;
    }
    *ret = schema;
    return 0;
}

void named_schema_close(struct named_schema *schema)
{
    program_free(schema->program);
    schema_set_free(schema->set);
    *schema = (struct named_schema){ 0 };
}

/* --- one document -------------------------------------------------------------------------- */

static int program_for(struct run *run, const yyjson_val *root, const struct program **ret_program,
                       const char **ret_type, struct err *err)
{
    *ret_type = NULL;
    if (run->schema.program) {
        *ret_program = run->schema.program;
        return 0;
    }
    const struct embedded_schema *schema = catalogue_type_of(root, err);
    if (!schema)
        return -EBADMSG;
    *ret_type = schema->type;
    return catalogue_program(run->catalogue, schema, ret_program, err);
}

static bool is_about_key(const struct report_unit *unit)
{
    return unit->keyword == KEYWORD_ADDITIONAL_PROPERTIES ||
           unit->keyword == KEYWORD_UNEVALUATED_PROPERTIES;
}

static void say_fault(const struct document *document, const struct schema_set *set,
                      const struct report *report, const struct report_unit *unit)
{
    struct json_position at =
        document_position(document, str_from(unit->instance), is_about_key(unit));
    struct buf words = BUF_INIT;
    explain_fault(set, report, unit, &words);
    fputs(tell_colour(stdout, COLOUR_DIM), stdout);
    tell_text(stdout, document->name);
    printf(":%zu:%zu:%s ", at.line, at.column, tell_colour_end(stdout));
    tell_text(stdout, unit->instance);
    fputs(unit->instance[0] ? ": " : "", stdout);
    tell_text(stdout, words.data);
    fputc('\n', stdout);
    buf_release(&words);
}

static void say_in_words(struct run *run, const struct document *document, const char *type,
                         const struct schema_set *set, const struct report *report)
{
    for (size_t i = 0; !report->valid && i < report->count; i += 1 + report->units[i].inner_count)
        say_fault(document, set, report, &report->units[i]);
    if (report->valid && run->quiet)
        return;
    tell_text(stdout, document->name);
    printf(": %s%s%s%s%s%s\n", tell_colour(stdout, report->valid ? COLOUR_GOOD : COLOUR_BAD),
           report->valid ? "valid" : "invalid", tell_colour_end(stdout), type ? " (" : "",
           type ? type : "", type ? ")" : "");
}

static void add_json_fault(struct buf *out, const struct document *document,
                           const struct schema_set *set, const struct report *report,
                           const struct report_unit *unit)
{
    struct json_position at =
        document_position(document, str_from(unit->instance), is_about_key(unit));
    struct buf words = BUF_INIT;
    explain_fault(set, report, unit, &words);
    buf_addf(out, "{\"line\":%zu,\"column\":%zu,\"pointer\":", at.line, at.column);
    json_add_string(out, str_from(unit->instance));
    buf_add_text(out, ",\"keyword\":");
    json_add_string(out, unit->keyword == KEYWORD_NONE ? STR("false")
                                                       : keyword_rows[unit->keyword].name);
    buf_add_text(out, ",\"message\":");
    json_add_string(out, buf_str(&words));
    buf_add_char(out, '}');
    buf_release(&words);
}

static void say_as_object(const struct document *document, const char *type,
                          const struct schema_set *set, const struct report *report)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"file\":");
    json_add_string(&out, str_from(document->name));
    if (type)
        buf_addf(&out, ",\"type\":\"%s\"", type);
    buf_addf(&out, ",\"valid\":%s", report->valid ? "true" : "false");
    buf_add_text(&out, ",\"faults\":[");
    for (size_t i = 0; !report->valid && i < report->count; i += 1 + report->units[i].inner_count) {
        buf_add_text(&out, i ? "," : "");
        add_json_fault(&out, document, set, report, &report->units[i]);
    }
    buf_add_text(&out, "]}\n");
    fwrite(out.data, 1, out.len, stdout);
    buf_release(&out);
}

static void say_as_output(struct run *run, const struct schema_set *set,
                          const struct report *report)
{
    struct buf out = BUF_INIT;
    if (run->answer == ANSWER_FLAG)
        output_flag(&out, report->valid);
    else
        output_basic(&out, set, report);
    puts(out.data);
    buf_release(&out);
}

/* A document that cannot be read, or has no type, is invalid and says so in the form asked for. */
static void say_unreadable(struct run *run, const char *name, const struct err *err)
{
    struct buf out = BUF_INIT;
    if (run->answer == ANSWER_FLAG) {
        output_flag(&out, false);
        puts(out.data);
    } else if (run->answer != ANSWER_WORDS) {
        bool basic = run->answer == ANSWER_BASIC;
        buf_add_text(&out, basic ? "{\"valid\":false,\"errors\":[{\"valid\":false,"
                                   "\"keywordLocation\":\"\",\"instanceLocation\":\"\",\"error\":"
                                 : "{\"file\":");
        if (!basic) {
            json_add_string(&out, str_from(name));
            buf_addf(&out,
                     ",\"valid\":false,\"error\":{\"code\":\"%s\",\"where\":", err_id(err->code));
            json_add_string(&out, str_from(err->where));
            buf_add_text(&out, ",\"message\":");
        }
        json_add_string(&out, str_from(err->cause));
        buf_add_text(&out, basic ? "}]}" : "}}");
        puts(out.data);
    }
    buf_release(&out);
    int status =
        run->answer == ANSWER_WORDS ? tell_error(run->invocation, err) : err_exit_status(err->code);
    run->invalid++;
    run->status = run->status > status ? run->status : status;
}

static int visit_document(void *context, const char *path, struct err *ignored)
{
    struct run *run = context;
    struct err err = { 0 };
    struct document document = { 0 };
    struct report *report = NULL;
    const struct program *program = NULL;
    const char *type = NULL;
    (void)ignored;
    int r = document_read(path, &run->limits, &document, &err);
    if (r == 0) {
        const yyjson_val *root = yyjson_doc_get_root(document.doc);
        r = program_for(run, root, &program, &type, &err);
        if (r == 0)
            r = report_new(program, root, &report, &err);
        if (r < 0 && !err.where[0])
            err_where(&err, "%s", document.name);
    }
    if (r < 0) {
        say_unreadable(run, path, &err);
    } else {
        const struct schema_set *set = program_set(program);
        if (run->answer == ANSWER_WORDS)
            say_in_words(run, &document, type, set, report);
        else if (run->answer == ANSWER_JSON)
            say_as_object(&document, type, set, report);
        else
            say_as_output(run, set, report);
        run->valid += report->valid;
        run->invalid += !report->valid;
        if (!report->valid && run->status < EXIT_INVALID)
            run->status = EXIT_INVALID;
    }
    report_free(report);
    document_release(&document);
    return 0;
}

static bool is_document_name(const char *path)
{
    struct str name = str_from(path);
    return str_ends(name, STR(".json")) || str_ends(name, STR(".yaml")) ||
           str_ends(name, STR(".yml"));
}

static int visit_below_folder(void *context, const char *path, struct err *err)
{
    return is_document_name(path) ? visit_document(context, path, err) : 0;
}

static bool is_folder(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int validate_operands(struct run *run, struct err *err)
{
    for (int i = 0; i < run->invocation->operand_count; i++) {
        const char *path = run->invocation->operands[i];
        int r = is_folder(path) ? file_walk(path, visit_below_folder, run, err)
                                : visit_document(run, path, err);
        if (r < 0)
            return r;
    }
    size_t all = run->valid + run->invalid;
    if (run->answer == ANSWER_WORDS && !run->quiet && all > 1)
        printf("%zu valid, %zu invalid\n", run->valid, run->invalid);
    return 0;
}

/* --- JSON Lines ---------------------------------------------------------------------------- */

/* A line that is no JSON, or of no known type, is false like one that is invalid. */
static int validate_line(struct run *run, struct str line, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    const struct program *program;
    const char *type;
    struct err inner = { 0 };
    bool valid = false;
    if (json_read(line, &run->limits, &doc, &inner) == 0 &&
        program_for(run, yyjson_doc_get_root(doc), &program, &type, &inner) == 0) {
        int r = validate(program, yyjson_doc_get_root(doc), err);
        if (r < 0)
            return r;
        valid = r == 1;
    }
    fputs(valid ? "true\n" : "false\n", stdout);
    run->valid += valid;
    run->invalid += !valid;
    return 0;
}

/* Answers the whole lines at the start of the text; returns how many bytes they took. */
static int validate_whole_lines(struct run *run, struct str text, bool at_end, size_t *ret_used,
                                struct err *err)
{
    size_t used = 0;
    while (used < text.len) {
        size_t end = str_index(text, '\n', used);
        if (end == text.len && !at_end)
            break;
        int r = validate_line(run, str_make(text.ptr + used, end - used), err);
        if (r < 0)
            return r;
        used = end < text.len ? end + 1 : end;
    }
    *ret_used = used;
    return 0;
}

static int validate_lines(struct run *run, const char *path, struct err *err)
{
    static const char step[] = "read JSON Lines";
    bool is_stdin = strcmp(path, "-") == 0;
    _cleanup_(cleanup_close) int opened = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    int fd = is_stdin ? STDIN_FILENO : opened;
    if (fd < 0)
        return err_set_errno(err, errno, step, "%s", path);
    _cleanup_(buf_release) struct buf text =
        BUF_INIT_LIMIT(run->limits.size_bytes + LINES_READ_BYTES);
    for (bool at_end = false; !at_end;) {
        char *room = buf_reserve(&text, LINES_READ_BYTES);
        if (!room)
            return err_set(err, ERR_LIMIT, step, "a line is longer than %zu bytes (--max-size)",
                           run->limits.size_bytes);
        ssize_t n = read(fd, room, LINES_READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, step, "%s", path);
        text.len += (size_t)n;
        at_end = n == 0;
        size_t used;
        int r = validate_whole_lines(run, buf_str(&text), at_end, &used, err);
        if (r < 0)
            return r;
        memmove(text.data, text.data + used, text.len - used);
        text.len -= used;
    }
    if (run->invalid)
        run->status = EXIT_INVALID;
    fprintf(stderr, "%zu valid, %zu invalid\n", run->valid, run->invalid);
    return 0;
}

/* --- the verb ------------------------------------------------------------------------------ */

static int choose_answer(const struct invocation *invocation, enum answer *ret, struct err *err)
{
    const char *output = invocation->values[OPTION_OUTPUT];
    *ret = invocation->values[OPTION_JSON] ? ANSWER_JSON : ANSWER_WORDS;
    if (!output)
        return 0;
    if (strcmp(output, "flag") != 0 && strcmp(output, "basic") != 0)
        return err_set(err, ERR_USAGE, "read the options", "--output takes `flag` or `basic`");
    *ret = output[0] == 'f' ? ANSWER_FLAG : ANSWER_BASIC;
    return 0;
}

int run_contract_validate(const struct invocation *invocation)
{
    struct run run = { .invocation = invocation, .quiet = invocation->values[OPTION_QUIET] };
    struct compile_options options = { .assert_formats = invocation->values[OPTION_FORMATS] };
    const char *schema = invocation->values[OPTION_SCHEMA];
    const char *lines = invocation->values[OPTION_JSONL];
    struct err err = { 0 };
    if (!lines && !invocation->operand_count)
        return tell_usage(invocation->path, "name a FILE, a folder, or - for standard input");
    if (lines && invocation->operand_count)
        return tell_usage(invocation->path, "--jsonl names the one file that is read");
    int r = verb_limits(invocation, OPTION_LIMITS, &run.limits, &err);
    if (r == 0)
        r = choose_answer(invocation, &run.answer, &err);
    if (r == 0)
        r = schema ? named_schema_open(schema, &options, &run.schema, &err)
                   : catalogue_new(&options, &run.catalogue, &err);
    if (r == 0)
        r = lines ? validate_lines(&run, lines, &err) : validate_operands(&run, &err);
    int status = r < 0 ? tell_error(invocation, &err) : run.status;
    named_schema_close(&run.schema);
    catalogue_free(run.catalogue);
    return status;
}
