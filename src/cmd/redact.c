/* redact: a text with its secrets masked. */
#include "base/redact.h"

#include "base/file.h"
#include "base/json.h"
#include "base/redact_shape.h"
#include "cmd/tell.h"
#include "cmd/verb.h"

#define READ_BYTES ((size_t)256 << 10)

enum { OPTION_REPORT, OPTION_JSON, OPTION_LIST, OPTION_AS };

static const struct option_row options[] = {
    [OPTION_REPORT] = { "report", 'r', NULL, "print the counts alone, not the text" },
    [OPTION_JSON] = { "json", 'j', NULL, "print the counts as a JSON object, on standard error" },
    [OPTION_LIST] = { "list", 0, NULL, "print the rules and the kinds they belong to" },
    [OPTION_AS] = { "as", 0, "FORM", "keep the form: json, or lines (logs, environments)" },
};

static int to_stdout(void *context, struct str bytes, struct err *err)
{
    const bool *quiet = context;
    if (*quiet || fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len)
        return 0;
    return err_set_errno(err, errno, "write the text", "standard output");
}

static int redact_fd(struct redactor *redactor, int fd, const char *name, struct err *err)
{
    _cleanup_(cleanup_free) char *bytes = malloc(READ_BYTES);
    if (!bytes)
        return err_set(err, ERR_MEMORY, "redact", "there is not enough memory");
    for (;;) {
        ssize_t n = read(fd, bytes, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, "read a text", "%s", name);
        if (n == 0)
            return redactor_end(redactor, err);
        int r = redactor_feed(redactor, str_make(bytes, (size_t)n), err);
        if (r < 0)
            return r;
    }
}

static int redact_file(struct redactor *redactor, const char *path, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return redact_fd(redactor, STDIN_FILENO, "standard input", err);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set_errno(err, errno, "open a text", "%s", path);
    return redact_fd(redactor, fd, path, err);
}

static void print_counts(const uint64_t counts[REDACT_KIND_COUNT], bool as_json)
{
    const char *separator = "";
    uint64_t all = 0;
    fputs(as_json ? "{" : "", stderr);
    for (size_t kind = 0; kind < REDACT_KIND_COUNT; kind++) {
        all += counts[kind];
        if (!counts[kind])
            continue;
        if (as_json)
            fprintf(stderr, "%s\"%s\":%llu", separator, redact_kind_name((enum redact_kind)kind),
                    (unsigned long long)counts[kind]);
        else
            fprintf(stderr, "%6llu %s\n", (unsigned long long)counts[kind],
                    redact_kind_name((enum redact_kind)kind));
        separator = ",";
    }
    if (as_json)
        fputs("}\n", stderr);
    else
        fprintf(stderr, "%6llu masked\n", (unsigned long long)all);
}

static int print_rules(void)
{
    for (size_t i = 0; i < redact_rule_count(); i++)
        printf("%-32s %s\n", redact_rule_at(i)->id, redact_kind_name(redact_rule_at(i)->kind));
    return EXIT_OK;
}

/* --- a stream ------------------------------------------------------------------------------ */

static int redact_streams(const struct invocation *invocation, struct redact_scanner *scanner,
                          uint64_t counts[REDACT_KIND_COUNT], struct err *err)
{
    bool quiet = invocation->values[OPTION_REPORT];
    struct redactor *redactor = NULL;
    int r = redactor_new(scanner, to_stdout, &quiet, &redactor, err);
    if (r == 0 && !invocation->operand_count)
        r = redact_file(redactor, "-", err);
    for (int i = 0; r == 0 && i < invocation->operand_count; i++)
        r = redact_file(redactor, invocation->operands[i], err);
    for (size_t kind = 0; r == 0 && kind < REDACT_KIND_COUNT; kind++)
        counts[kind] = redactor_count_of_kind(redactor, (enum redact_kind)kind);
    redactor_free(redactor);
    return r;
}

/* --- whole files whose form stays ---------------------------------------------------------- */

static int shape_file(struct redact_shape *shape, const char *path, bool is_json, bool quiet,
                      struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    int r = file_read(path, &text, err);
    if (r == 0)
        r = is_json ? redact_json(shape, buf_str(&text), &out, err)
                    : redact_lines(shape, buf_str(&text), &out, err);
    if (r == 0 && is_json)
        buf_add_char(&out, '\n');
    if (r < 0)
        err_where(err, "%s", path);
    return r < 0 ? r : to_stdout(&quiet, buf_str(&out), err);
}

static int shape_files(const struct invocation *invocation, struct redact_scanner *scanner,
                       uint64_t counts[REDACT_KIND_COUNT], struct err *err)
{
    bool is_json = strcmp(invocation->values[OPTION_AS], "json") == 0;
    bool quiet = invocation->values[OPTION_REPORT];
    struct redact_shape shape = { .scanner = scanner };
    int r = 0;
    if (!invocation->operand_count)
        r = shape_file(&shape, "-", is_json, quiet, err);
    for (int i = 0; r == 0 && i < invocation->operand_count; i++)
        r = shape_file(&shape, invocation->operands[i], is_json, quiet, err);
    memcpy(counts, shape.counts, sizeof(shape.counts));
    return r;
}

static int run_redact(const struct invocation *invocation)
{
    const char *form = invocation->values[OPTION_AS];
    uint64_t counts[REDACT_KIND_COUNT] = { 0 };
    struct redact_scanner *scanner = NULL;
    struct err err = { 0 };
    if (invocation->values[OPTION_LIST])
        return print_rules();
    if (form && strcmp(form, "json") != 0 && strcmp(form, "lines") != 0)
        return tell_usage(invocation->path, "--as takes json or lines");
    int r = redact_scanner_new(&scanner, &err);
    if (r == 0)
        r = form ? shape_files(invocation, scanner, counts, &err)
                 : redact_streams(invocation, scanner, counts, &err);
    if (r == 0)
        print_counts(counts, invocation->values[OPTION_JSON]);
    redact_scanner_free(scanner);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

const struct verb verb_redact = {
    .name = "redact",
    .operands = "[FILE…]",
    .operand_kind = OPERAND_FILE,
    .operands_max = 1000000,
    .summary = "Mask the secrets in a text",
    .description =
        "Copies files, or standard input, with every credential replaced by [redacted:KIND], and "
        "prints on standard error how many of each kind there were. Found is what has a "
        "well-known shape, and what stands as a secret does behind a name (password=…, "
        "\"apiKey\": \"…\"). What has neither, such as a password in prose, is not.\n\n"
        "With --as the text keeps its form: JSON stays JSON with the same members, a log has the "
        "same lines, an environment the same names; there whatever stands behind the name of a "
        "secret is masked, whatever it looks like.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_redact,
};
