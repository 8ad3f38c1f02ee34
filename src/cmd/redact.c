/* redact: a text with its secrets masked. */
#include "base/redact.h"

#include "cmd/tell.h"
#include "cmd/verb.h"

#define READ_BYTES ((size_t)256 << 10)

enum { OPTION_REPORT, OPTION_JSON, OPTION_LIST };

static const struct option_row options[] = {
    [OPTION_REPORT] = { "report", 'r', NULL, "print the counts alone, not the text" },
    [OPTION_JSON] = { "json", 'j', NULL, "print the counts as a JSON object, on standard error" },
    [OPTION_LIST] = { "list", 0, NULL, "print the rules and the kinds they belong to" },
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

static void print_counts(const struct redactor *redactor, bool as_json)
{
    const char *separator = "";
    uint64_t all = 0;
    fputs(as_json ? "{" : "", stderr);
    for (size_t kind = 0; kind < REDACT_KIND_COUNT; kind++) {
        uint64_t count = redactor_count_of_kind(redactor, (enum redact_kind)kind);
        all += count;
        if (!count)
            continue;
        if (as_json)
            fprintf(stderr, "%s\"%s\":%llu", separator, redact_kind_name((enum redact_kind)kind),
                    (unsigned long long)count);
        else
            fprintf(stderr, "%6llu %s\n", (unsigned long long)count,
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

static int run_redact(const struct invocation *invocation)
{
    bool quiet = invocation->values[OPTION_REPORT];
    struct redact_scanner *scanner = NULL;
    struct redactor *redactor = NULL;
    struct err err = { 0 };
    if (invocation->values[OPTION_LIST])
        return print_rules();
    int r = redact_scanner_new(&scanner, &err);
    if (r == 0)
        r = redactor_new(scanner, to_stdout, &quiet, &redactor, &err);
    if (r == 0 && !invocation->operand_count)
        r = redact_file(redactor, "-", &err);
    for (int i = 0; r == 0 && i < invocation->operand_count; i++)
        r = redact_file(redactor, invocation->operands[i], &err);
    if (r == 0)
        print_counts(redactor, invocation->values[OPTION_JSON]);
    redactor_free(redactor);
    redact_scanner_free(scanner);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

const struct verb verb_redact = {
    .name = "redact",
    .operands = "[FILE…]",
    .operand_kind = OPERAND_FILE,
    .operands_max = 1000000,
    .summary = "Mask the secrets in a text",
    .description = "Copies files, or standard input, with every credential of a well-known shape "
                   "replaced by [redacted:KIND], and prints on standard error how many of each "
                   "kind there were. What has no shape of its own, such as a password in prose, "
                   "is not found.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_redact,
};
