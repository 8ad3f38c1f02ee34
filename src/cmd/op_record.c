/* op_record: see the header. */
#include "cmd/op_record.h"

#include "authority/key.h"
#include "base/file.h"
#include "base/place.h"
#include "cmd/ledger.h"
#include "cmd/runs.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "plane/record_export.h"

#define STEP_RECORD  "read a record"
#define STEP_PUT     "write a file"
#define CHECK_COLUMN 20 /* behind a check's name and outcome */

struct str op_short(struct str urn)
{
    struct str prefix = STR("urn:srcos:");
    return str_starts(urn, prefix) ? str_from_offset(urn, prefix.len) : urn;
}

void op_describe_run(const yyjson_val *command, struct buf *ret)
{
    const yyjson_val *start = runs_parameters(command);
    yyjson_val *shown = at(start, "/arguments/safe");
    size_t next = 0, all = count_of(at(start, "/arguments/count"));
    if (!start)
        return;
    buf_add_str(ret, text_of(member(start, "executable")));
    for (size_t i = 0; i < yyjson_arr_size(shown); i++) {
        const yyjson_val *safe = yyjson_arr_get(shown, i);
        size_t index = count_of(member(safe, "index"));
        buf_addf(ret, "%s %.*s", index > next ? " ..." : "",
                 STR_ARG(text_of(member(safe, "text"))));
        next = index + 1;
    }
    if (all > next)
        buf_add_text(ret, " ...");
    buf_addf(ret, " (%zu argument%s)", all, all == 1 ? "" : "s");
}

const yyjson_val *op_record_execution(const struct operation_record *record, struct str operation)
{
    const yyjson_val *execution = record_of(record, "LocalAgentExecution", operation);
    return execution ? execution : record_of(record, "ContainerExecutionRecord", operation);
}

size_t op_record_chain(const struct operation_record *record, const yyjson_val *operation,
                       const yyjson_val *ret[], size_t most)
{
    struct str urn = text_of(member(operation, "delegationRef"));
    size_t count = 0;
    while (urn.len && count < most) {
        const struct record_document *delegation = record_find(record, urn);
        if (!delegation)
            break;
        ret[count++] = delegation->root;
        urn = text_of(at(delegation->root, "/parent/delegationRef"));
    }
    return count;
}

/* --- reading one --------------------------------------------------------------------------- */

static bool is_file(const char *given)
{
    return strcmp(given, "-") == 0 || strchr(given, '/') || access(given, F_OK) == 0;
}

static int read_file_record(const char *path, struct operation_record *record, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(RECORD_EXPORT_BYTES_MAX);
    int r = file_read(path, &text, err);
    if (r == 0)
        r = record_open(buf_str(&text), record, err);
    for (size_t i = 0; i < record->operation_count && r == 0; i++)
        if (!record_find(record, record->operations[i]))
            r = err_set(err, ERR_DOCUMENT, STEP_RECORD, "%.*s is not in it",
                        STR_ARG(record->operations[i]));
    if (r < 0)
        err_where(err, "%s", path);
    return r;
}

int op_record_read(const char *given, struct operation_record *record, struct err *err)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    char urn[PLANE_URN_MAX];
    if (is_file(given))
        return read_file_record(given, record, err);
    op_urn("workspace-operation", given, urn);
    int r = ledger_verb_open(NULL, &ledger, err);
    return r < 0 ? r : record_add(record, ledger, str_from(urn), err);
}

/* --- export -------------------------------------------------------------------------------- */

enum { EXPORT_OUTPUT };

const struct option_row op_export_options[OP_EXPORT_OPTION_COUNT] = {
    [EXPORT_OUTPUT] = { "output", 'o', "FILE", "write it there, which must not exist" },
};

int op_put(const char *path, const struct buf *text, struct err *err)
{
    size_t done = 0;
    if (!path) {
        fwrite(text->data, 1, text->len, stdout);
        return 0;
    }
    _cleanup_(cleanup_close) int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, STEP_PUT, "%s", path);
    while (done < text->len) {
        ssize_t n = write(fd, text->data + done, text->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int r = err_set_errno(err, errno, STEP_PUT, "%s", path);
            (void)!unlink(path);
            return r;
        }
        done += (size_t)n;
    }
    return 0;
}

static void cleanup_key(struct sign_key **key)
{
    sign_key_free(*key);
}

int run_op_export(const struct invocation *invocation)
{
    _cleanup_(cleanup_record) struct operation_record record = { 0 };
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    _cleanup_(cleanup_key) struct sign_key *key = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(RECORD_EXPORT_BYTES_MAX + 1);
    char config[PLACE_SIZE], urn[PLANE_URN_MAX];
    struct err err = { 0 };
    int r = place_config(config, sizeof(config), &err);
    if (r == 0)
        r = key_open_user(config, &key, &err);
    if (r == 0)
        r = ledger_verb_open(NULL, &ledger, &err);
    for (int i = 0; i < invocation->operand_count && r == 0; i++) {
        op_urn("workspace-operation", invocation->operands[i], urn);
        if (!record_find(&record, str_from(urn)))
            r = record_add(&record, ledger, str_from(urn), &err);
    }
    if (r == 0)
        r = record_export(&record, ledger, key, &text, &err);
    if (r == 0)
        r = buf_add_char(&text, '\n');
    if (r == 0)
        r = op_put(invocation->values[EXPORT_OUTPUT], &text, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- import -------------------------------------------------------------------------------- */

enum { IMPORT_KEY, IMPORT_JSON };

const struct option_row op_import_options[OP_IMPORT_OPTION_COUNT] = {
    [IMPORT_KEY] = { "key", 'k', "KEY",
                     "the public key, ed25519:… or a file that holds it (your own)" },
    [IMPORT_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

static void describe(const struct operation_record *record, const struct record_verified *verified,
                     enum record_check check, struct buf *ret)
{
    switch (check) {
    case RECORD_FORM:
        buf_addf(ret, "%zu operations, %zu documents, %zu events", record->operation_count,
                 record->document_count, record->event_count);
        break;
    case RECORD_SEAL:
        buf_add_text(ret, "all of it is as the key signed it");
        break;
    case RECORD_CHECKPOINT:
        buf_addf(ret, "of ledger %s, at %lld events", verified->head.ledger,
                 (long long)verified->head.size);
        break;
    case RECORD_EVENTS:
        buf_add_text(ret, "each is in that ledger");
        break;
    case RECORD_DOCUMENTS:
        buf_addf(ret, "%zu bound by digest, %zu agree with the events", verified->bound,
                 verified->agreeing);
        break;
    case RECORD_DELEGATIONS:
        buf_addf(ret, "%zu, up to the key", verified->delegations);
        break;
    case RECORD_RECEIPTS:
        buf_addf(ret, "%zu, of these documents", verified->receipts);
        break;
    case RECORD_CHECK_COUNT:
        break;
    }
}

static const char *const outcome_names[RECORD_OUTCOME_COUNT] = {
    [RECORD_NOT_CHECKED] = "not checked", [RECORD_HOLDS] = "holds", [RECORD_FAILS] = "fails"
};

static void print_verified(const struct operation_record *record,
                           const struct record_verified *verified)
{
    for (size_t i = 0; i < RECORD_CHECK_COUNT; i++) {
        _cleanup_(buf_release) struct buf words = BUF_INIT;
        char label[64];
        if (verified->outcomes[i] == RECORD_HOLDS)
            describe(record, verified, (enum record_check)i, &words);
        else
            buf_add_text(&words, outcome_names[verified->outcomes[i]]);
        snprintf(label, sizeof(label), "%-12s %s", record_check_names[i],
                 verified->outcomes[i] == RECORD_HOLDS ? "holds" : "");
        op_print_wrapped(label, CHECK_COLUMN, buf_str(&words));
    }
}

static void print_verified_json(const struct operation_record *record,
                                const struct record_verified *verified, const struct err *fault)
{
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    buf_addf(&out, "{\"valid\":%s,\"operations\":[", fault ? "false" : "true");
    for (size_t i = 0; i < record->operation_count; i++) {
        buf_add_text(&out, i ? "," : "");
        json_add_string(&out, record->operations[i]);
    }
    buf_add_text(&out, "],\"checks\":{");
    for (size_t i = 0; i < RECORD_CHECK_COUNT; i++)
        buf_addf(&out, "%s\"%s\":\"%s\"", i ? "," : "", record_check_names[i],
                 outcome_names[verified->outcomes[i]]);
    buf_add_char(&out, '}');
    if (fault) {
        json_add_text(&out, "where", str_from(fault->where));
        json_add_text(&out, "fault", str_from(fault->cause));
    }
    printf("%.*s}\n", STR_ARG(buf_str(&out)));
}

int run_op_import(const struct invocation *invocation)
{
    _cleanup_(cleanup_record) struct operation_record record = { 0 };
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(RECORD_EXPORT_BYTES_MAX);
    struct record_verified verified = { 0 };
    struct sign_public key;
    struct err err = { 0 };
    int r = ledger_verb_key(invocation->values[IMPORT_KEY], &key, &err);
    if (r == 0)
        r = file_read(invocation->operands[0], &text, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    r = record_verify(buf_str(&text), &key, &record, &verified, &err);
    if (invocation->values[IMPORT_JSON])
        print_verified_json(&record, &verified, r < 0 ? &err : NULL);
    else
        print_verified(&record, &verified);
    if (r < 0)
        return invocation->values[IMPORT_JSON] ? err_exit_status(err.code)
                                               : tell_error(invocation, &err);
    if (!invocation->values[IMPORT_JSON])
        printf("the export holds\n");
    return EXIT_OK;
}
