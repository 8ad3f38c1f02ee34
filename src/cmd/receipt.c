/*
 * receipt: the verbs that show and verify what a run leaves behind.
 *
 * A receipt is named by its run in the ledger, or is a file from elsewhere.
 * `verify` says of each check whether it holds, fails or was not made, and
 * why not: with a key that is named, neither home nor ledger need be there.
 */
#include "plane/receipt.h"

#include "base/file.h"
#include "base/place.h"
#include "cmd/ledger.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "contract/vocabulary.h"

#define STEP_RECEIPT   "read a receipt"
#define LABEL_COLUMNS  13
#define DIGEST_COLUMNS 8  /* before a digest, which is not to be broken */
#define CHECK_COLUMNS  26 /* a check's name and outcome */

/* --- finding one --------------------------------------------------------------------------- */

/* A file, standard input, or the receipt of a run in the ledger. */
static int open_envelope(const char *given, const char *state, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    char urn[PLANE_URN_MAX];
    int64_t revision;
    bool is_file = strcmp(given, "-") == 0 || strchr(given, '/') || access(given, F_OK) == 0;
    if (is_file)
        return file_read(given, ret, err);
    struct str local =
        str_starts(str_from(given), STR("urn:")) ? urn_local(str_from(given)) : str_from(given);
    snprintf(urn, sizeof(urn), "urn:srcos:" RECEIPT_SLUG ":%.*s", STR_ARG(local));
    int r = ledger_verb_open(state, &ledger, err);
    if (r == 0)
        r = ledger_get_document(ledger, str_from(urn), ret, &revision, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, STEP_RECEIPT,
                       "there is no file and no receipt %s; see `agent-machine receipt list`",
                       given);
    return r;
}

static int open_statement(struct str envelope, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(RECEIPT_BYTES_MAX);
    int r = dsse_peek(envelope, &payload, err);
    if (r == 0)
        r = json_read(buf_str(&payload), &json_limits_default, ret, err);
    if (r == 0 && !text_is(at(yyjson_doc_get_root(*ret), "/predicateType"), RECEIPT_PREDICATE))
        r = err_set(err, ERR_DOCUMENT, STEP_RECEIPT, "the envelope holds no run receipt");
    return r;
}

/* --- show ---------------------------------------------------------------------------------- */

enum { SHOW_JSON, SHOW_ENVELOPE, SHOW_STATE, SHOW_COUNT };

static const struct option_row show_options[SHOW_COUNT] = {
    [SHOW_JSON] = { "json", 'j', NULL, "print the statement" },
    [SHOW_ENVELOPE] = { "envelope", 'e', NULL, "print the signed envelope, to be kept elsewhere" },
    [SHOW_STATE] = STATE_OPTION,
};

static void show_text(const yyjson_val *root, const char *label, const char *pointer)
{
    struct str text = text_of(at(root, pointer));
    bool is_digest = str_starts(text, STR("sha256:"));
    if (text.len)
        op_print_wrapped(label, is_digest ? DIGEST_COLUMNS : LABEL_COLUMNS, text);
}

static void show_line(const char *label, const struct buf *line)
{
    if (line->len)
        op_print_wrapped(label, LABEL_COLUMNS, buf_str(line));
}

static long long number(const yyjson_val *root, const char *pointer)
{
    return (long long)yyjson_get_sint(at(root, pointer));
}

static void describe_exit(const yyjson_val *root, struct buf *ret)
{
    buf_add_str(ret, text_of(at(root, "/predicate/exit/reason")));
    if (at(root, "/predicate/exit/status"))
        buf_addf(ret, ", status %lld", number(root, "/predicate/exit/status"));
}

static void show_counts(const yyjson_val *root)
{
    _cleanup_(buf_release) struct buf end = BUF_INIT, probes = BUF_INIT, used = BUF_INIT;
    _cleanup_(buf_release) struct buf changes = BUF_INIT;
    char pointer[64];
    describe_exit(root, &end);
    show_line("exit", &end);
    buf_addf(&probes, "%lld contained, %lld escaped, %lld skipped",
             number(root, "/predicate/probes/contained"), number(root, "/predicate/probes/escaped"),
             number(root, "/predicate/probes/skipped"));
    show_line("probes", &probes);
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        snprintf(pointer, sizeof(pointer), "/predicate/usage/%s", dimension_names[i]);
        if (number(root, pointer))
            buf_addf(&used, "%s%s %lld", used.len ? ", " : "", dimension_names[i],
                     number(root, pointer));
    }
    show_line("used", &used);
    if (at(root, "/predicate/changeSet"))
        buf_addf(&changes, "%lld added, %lld modified, %lld deleted",
                 number(root, "/predicate/changeSet/added"),
                 number(root, "/predicate/changeSet/modified"),
                 number(root, "/predicate/changeSet/deleted"));
    show_line("changes", &changes);
    show_text(root, "", "/predicate/changeSet/digest");
}

static void show_statement(const yyjson_val *root)
{
    static const struct {
        const char *label, *pointer;
    } rows[] = {
        { "receipt", "/predicate/id" },
        { "operation", "/predicate/operationRef" },
        { "subject", "/predicate/subjectRef" },
        { "started", "/predicate/startedAt" },
        { "ended", "/predicate/endedAt" },
        { "tier", "/predicate/isolationTier" },
        { "delegation", "/predicate/delegation/ref" },
        { "", "/predicate/delegation/digest" },
        { "profile", "/predicate/profile/ref" },
        { "", "/predicate/profile/digest" },
        { "policy", "/predicate/policy/digest" },
        { "plan", "/predicate/planDigest" },
        { "fingerprint", "/predicate/fingerprint/ref" },
        { "", "/predicate/fingerprint/digest" },
        { "execution", "/predicate/execution/ref" },
        { "", "/predicate/execution/digest" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        show_text(root, rows[i].label, rows[i].pointer);
    show_counts(root);
    struct str note = text_of(at(root, "/predicate/checkpoint"));
    struct str origin = str_make(note.ptr, str_index(note, '\n', 0));
    struct str rest = str_from_offset(note, origin.len + 1);
    _cleanup_(buf_release) struct buf ledger = BUF_INIT;
    buf_addf(&ledger, "%.*s", STR_ARG(origin));
    show_line("ledger", &ledger);
    buf_reset(&ledger);
    buf_addf(&ledger, "%.*s events before the end of the run", (int)str_index(rest, '\n', 0),
             rest.ptr);
    show_line("", &ledger);
    printf("Nothing of this was verified: `agent-machine receipt verify` does that.\n");
}

static int run_show(const struct invocation *invocation)
{
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(RECEIPT_BYTES_MAX), out = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct err err = { 0 };
    int r = open_envelope(invocation->operands[0], invocation->values[SHOW_STATE], &envelope, &err);
    if (r == 0)
        r = open_statement(buf_str(&envelope), &doc, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (invocation->values[SHOW_ENVELOPE])
        buf_add_str(&out, buf_str(&envelope));
    else if (invocation->values[SHOW_JSON])
        json_add_value(&out, yyjson_doc_get_root(doc), 2);
    else
        show_statement(yyjson_doc_get_root(doc));
    if (out.len)
        printf("%.*s%s", STR_ARG(buf_str(&out)), str_ends(buf_str(&out), STR("\n")) ? "" : "\n");
    return EXIT_OK;
}

/* --- list ---------------------------------------------------------------------------------- */

enum { LIST_JSON, LIST_STATE, LIST_COUNT };

static const struct option_row list_options[LIST_COUNT] = {
    [LIST_JSON] = { "json", 'j', NULL, "print a JSON object for each receipt" },
    [LIST_STATE] = STATE_OPTION,
};

static int list_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    const struct invocation *invocation = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    (void)revision;
    int r = open_statement(json, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    struct str ended = text_of(at(root, "/predicate/endedAt"));
    if (!invocation->values[LIST_JSON]) {
        buf_addf(&line, "%.*s ", STR_ARG(ended));
        describe_exit(root, &line);
        char label[64];
        snprintf(label, sizeof(label), "%.*s ", STR_ARG(urn_local(id)));
        op_print_wrapped(label, 30, buf_str(&line));
        return 0;
    }
    buf_add_text(&line, "{\"receipt\":");
    json_add_string(&line, id);
    buf_add_text(&line, ",\"operation\":");
    json_add_string(&line, text_of(at(root, "/predicate/operationRef")));
    buf_add_text(&line, ",\"endedAt\":");
    json_add_string(&line, ended);
    buf_add_text(&line, ",\"exit\":");
    json_add_value(&line, at(root, "/predicate/exit"), 0);
    printf("%.*s}\n", STR_ARG(buf_str(&line)));
    return 0;
}

static int run_list(const struct invocation *invocation)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    struct err err = { 0 };
    int r = ledger_verb_open(invocation->values[LIST_STATE], &ledger, &err);
    if (r == 0)
        r = ledger_each_document(ledger, STR(RECEIPT_TYPE), STR(""), list_one, (void *)invocation,
                                 &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- verify -------------------------------------------------------------------------------- */

enum { VERIFY_KEY, VERIFY_DOCUMENT, VERIFY_STATE, VERIFY_JSON, VERIFY_COUNT };

static const struct option_row verify_options[VERIFY_COUNT] = {
    [VERIFY_KEY] = { "key", 'k', "KEY",
                     "the public key, ed25519:… or a file that holds it (your own)" },
    [VERIFY_DOCUMENT] = { "document", 'd', "FILE",
                          "also hold a document against it that it binds; may be repeated" },
    [VERIFY_STATE] = STATE_OPTION,
    [VERIFY_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

struct verification {
    const struct invocation *invocation;
    struct receipt receipt;
    char key[SIGN_PUBLIC_TEXT_MAX];
    char no_ledger[256]; /* why it was not compared */
};

static int compare_documents(struct verification *verification, struct err *err)
{
    const struct invocation *invocation = verification->invocation;
    int r = 0;
    for (size_t i = 0; i < invocation->given_count && r == 0; i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
        if (invocation->given[i].option != VERIFY_DOCUMENT)
            continue;
        r = file_read(invocation->given[i].value, &text, err);
        if (r == 0)
            r = receipt_compare_document(&verification->receipt, buf_str(&text), err);
        if (r < 0)
            err_where(err, "%s", invocation->given[i].value);
    }
    return r;
}

/* Where there is no ledger, or another one, that is told and no fault; one that was named must do.
 */
static int compare_ledger(struct verification *verification, struct err *err)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    const char *state = verification->invocation->values[VERIFY_STATE];
    char folder[PLACE_SIZE];
    struct err why = { 0 };
    int r = state || place_state(folder, sizeof(folder), &why) == 0 ? 0 : -ENOENT;
    if (r == 0)
        r = ledger_open(state ? state : folder, LEDGER_READ, &ledger, &why);
    if (r < 0 && !state && (r == -ENOENT || why.code == ERR_NOT_FOUND)) {
        snprintf(verification->no_ledger, sizeof(verification->no_ledger),
                 "there is no ledger here");
        return 0;
    }
    int is_its = r < 0 ? r : receipt_is_of(&verification->receipt, ledger, &why);
    if (is_its < 0) {
        *err = why;
        return is_its;
    }
    if (is_its > 0)
        return receipt_compare_ledger(&verification->receipt, ledger, err);
    snprintf(verification->no_ledger, sizeof(verification->no_ledger),
             "the ledger here is another one");
    return state ? err_set(err, ERR_CONFLICT, STEP_RECEIPT,
                           "%s is not ledger %s, which the checkpoint is of", state,
                           verification->receipt.head.ledger)
                 : 0;
}

/* A few words about a check that holds, or was not made; none where there is nothing to say. */
static void describe(const struct verification *verification, enum receipt_check check,
                     struct buf *ret)
{
    const struct receipt *receipt = &verification->receipt;
    enum receipt_outcome outcome = receipt->outcomes[check];
    if (check == RECEIPT_SIGNED)
        buf_addf(ret, "%s", verification->key);
    else if (check == RECEIPT_CHECKPOINT && outcome == RECEIPT_HOLDS)
        buf_addf(ret, "ledger %s, %lld events before the end of the run", receipt->head.ledger,
                 (long long)receipt->head.size);
    else if (check == RECEIPT_DOCUMENTS && outcome == RECEIPT_HOLDS)
        buf_addf(ret, "%d of %d: fingerprint, execution, delegation",
                 __builtin_popcount(receipt->documents), RECEIPT_BOUND_COUNT);
    else if (check == RECEIPT_LEDGER && outcome == RECEIPT_HOLDS)
        buf_add_text(ret, "whole, continues the checkpoint, has this receipt and its events");
    else if (outcome == RECEIPT_HOLDS)
        buf_add_text(ret, check == RECEIPT_FORM ? "a run receipt, as in-toto has statements"
                                                : "what it says of one thing twice agrees");
    else if (outcome == RECEIPT_NOT_CHECKED && !verification->no_ledger[0])
        buf_add_text(ret, "because of what fails above");
    else if (check == RECEIPT_DOCUMENTS && outcome == RECEIPT_NOT_CHECKED)
        buf_add_text(ret, "none is here; --document gives one");
    else if (outcome == RECEIPT_NOT_CHECKED)
        buf_add_text(ret, verification->no_ledger);
    else
        buf_add_text(ret, "see below");
}

static void print_verification(const struct verification *verification, bool valid)
{
    static const enum colour colours[RECEIPT_OUTCOME_COUNT] = {
        [RECEIPT_NOT_CHECKED] = COLOUR_WARN,
        [RECEIPT_HOLDS] = COLOUR_GOOD,
        [RECEIPT_FAILS] = COLOUR_BAD,
    };
    for (size_t i = 0; i < RECEIPT_CHECK_COUNT; i++) {
        _cleanup_(buf_release) struct buf words = BUF_INIT;
        enum receipt_outcome outcome = verification->receipt.outcomes[i];
        char label[64];
        describe(verification, (enum receipt_check)i, &words);
        snprintf(label, sizeof(label), "%-12s %s%-12s%s ", receipt_check_names[i],
                 tell_colour(stdout, colours[outcome]), receipt_outcome_names[outcome],
                 tell_colour_end(stdout));
        op_print_wrapped(label, CHECK_COLUMNS, buf_str(&words));
    }
    if (valid)
        printf("the receipt holds%s\n",
               verification->receipt.outcomes[RECEIPT_LEDGER] == RECEIPT_HOLDS
                   ? ""
                   : "; what the ledger has was not compared");
    else
        printf("the receipt does not hold\n");
}

static void print_verification_json(const struct verification *verification, const struct err *err)
{
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    const struct receipt *receipt = &verification->receipt;
    buf_addf(&out, "{\"valid\":%s,\"key\":\"%s\"", err ? "false" : "true", verification->key);
    if (receipt->doc) {
        buf_add_text(&out, ",\"receipt\":");
        json_add_string(&out, text_of(at(yyjson_doc_get_root(receipt->doc), "/predicate/id")));
    }
    buf_add_text(&out, ",\"checks\":{");
    for (size_t i = 0; i < RECEIPT_CHECK_COUNT; i++)
        buf_addf(&out, "%s\"%s\":\"%s\"", i ? "," : "", receipt_check_names[i],
                 receipt_outcome_names[receipt->outcomes[i]]);
    buf_add_char(&out, '}');
    if (receipt->outcomes[RECEIPT_CHECKPOINT] == RECEIPT_HOLDS)
        buf_addf(&out, ",\"ledger\":\"%s\",\"checkpointEvents\":%lld", receipt->head.ledger,
                 (long long)receipt->head.size);
    if (err) {
        buf_add_text(&out, ",\"where\":");
        json_add_string(&out, str_from(err->where));
        buf_add_text(&out, ",\"fault\":");
        json_add_string(&out, str_from(err->cause));
    }
    printf("%.*s}\n", STR_ARG(buf_str(&out)));
}

static int verify(struct verification *verification, struct err *err)
{
    const struct invocation *invocation = verification->invocation;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(RECEIPT_BYTES_MAX);
    struct sign_public key;
    int r = ledger_verb_key(invocation->values[VERIFY_KEY], &key, err);
    if (r == 0)
        r = sign_public_text(&key, verification->key);
    if (r == 0)
        r = open_envelope(invocation->operands[0], invocation->values[VERIFY_STATE], &envelope,
                          err);
    if (r == 0)
        r = receipt_verify(buf_str(&envelope), &key, &verification->receipt, err);
    if (r == 0)
        r = compare_documents(verification, err);
    return r < 0 ? r : compare_ledger(verification, err);
}

static int run_receipt_verify(const struct invocation *invocation)
{
    struct verification verification = { .invocation = invocation };
    struct err err = { 0 };
    int r = verify(&verification, &err);
    bool looked = verification.receipt.outcomes[RECEIPT_SIGNED] != RECEIPT_NOT_CHECKED;
    if (looked && invocation->values[VERIFY_JSON])
        print_verification_json(&verification, r < 0 ? &err : NULL);
    else if (looked)
        print_verification(&verification, r == 0);
    receipt_release(&verification.receipt);
    if (r == 0)
        return EXIT_OK;
    return looked && invocation->values[VERIFY_JSON] ? err_exit_status(err.code)
                                                     : tell_error(invocation, &err);
}

/* --- the table ----------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {
        .name = "show",
        .operands = "RUN|FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Show a receipt",
        .description =
            "Shows what a receipt says: of a run in the ledger, by the run's name, or of a file. "
            "With --envelope it prints the receipt itself, for somebody else to verify.",
        .options = show_options,
        .option_count = SHOW_COUNT,
        .run = run_show,
    },
    {
        .name = "verify",
        .operands = "FILE|RUN",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Verify a receipt, anywhere",
        .description =
            "With the public key alone: the signature, the statement's form, that what it says "
            "of one thing twice agrees, and the ledger's checkpoint, which the same key must have "
            "signed. Documents that it binds are held against their digests with --document.\n\n"
            "Where the ledger of the run is, its documents are, and the ledger must be whole, "
            "continue the checkpoint, hold this receipt, and bind fingerprint and execution by "
            "events before and behind it. What was not checked is said.\n\n"
            "The exit status is 0 if all that was checked holds, 65 if it is no receipt, 77 if "
            "the key has not signed it as it is, 1 if it contradicts itself, a document or the "
            "ledger.",
        .options = verify_options,
        .option_count = VERIFY_COUNT,
        .run = run_receipt_verify,
    },
    {
        .name = "list",
        .summary = "List the receipts in the ledger",
        .description = "Lists the receipts of all runs, oldest first.",
        .options = list_options,
        .option_count = LIST_COUNT,
        .run = run_list,
    },
};

const struct verb verb_receipt = {
    .name = "receipt",
    .summary = "Show and verify what a run leaves behind",
    .description =
        "A receipt is an in-toto statement in a DSSE envelope, signed with the user's key when a "
        "run has ended, where its profile says so. It binds under what delegation and policy the "
        "run stood, what was launched, what became of it, and where that stands in the ledger.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
