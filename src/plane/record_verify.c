/*
 * record_verify: see record_export.h (reading and verifying).
 *
 * Theory of operation. The text is hostile until the seal holds: it is read
 * within limits and held against its schema, and each document and event
 * against its own. The seal then says that all of it is the key's. What the
 * seal cannot say is that its maker told the truth; that is what the rest is
 * for: events lie in the tree that the checkpoint signs, documents have the
 * digests that events bind, and what no event binds by digest (an operation, a
 * task, an account) has to agree with what the events tell of it.
 *
 * A card that is pending counts how often it is asked without an event; so the
 * count is left out where it would not fit.
 */
#include "authority/delegation.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/explain.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/receipt.h"
#include "plane/record_export.h"

#define STEP_IMPORT "verify an export"

const char *const record_check_names[RECORD_CHECK_COUNT] = {
#define X(check, name) [check] = name,
    RECORD_CHECKS(X)
#undef X
};

struct verifying {
    const struct operation_record *record;
    const struct sign_public *key;
    struct record_verified *ret;
    const yyjson_val *root;                 /* of the export */
    const struct record_document *document; /* that is looked at */
};

typedef int check_function(struct verifying *verifying, struct err *err);

static int damaged(struct err *err, struct str what, const char *how)
{
    int r = err_set(err, ERR_DAMAGED, STEP_IMPORT, "%.*s %s", STR_ARG(what), how);
    err_where(err, "%.*s", STR_ARG(what));
    return r;
}

/* --- form ---------------------------------------------------------------------------------- */

static int check_schema(struct catalogue *catalogue, const yyjson_val *value, struct str type,
                        struct str what, struct err *err)
{
    const struct embedded_schema *schema = catalogue_find(type);
    const struct program *program;
    if (!schema)
        return err_set(err, ERR_DOCUMENT, STEP_IMPORT, "%.*s is of no type that is known: %.*s",
                       STR_ARG(what), STR_ARG(type));
    int r = catalogue_program(catalogue, schema, &program, err);
    if (r == 0)
        r = explain_check(program, value, schema->type, STEP_IMPORT, err);
    return r;
}

/* Each document is of the type and has the name under which it is here. */
static int check_document_form(struct catalogue *catalogue, const struct record_document *document,
                               struct err *err)
{
    if (str_equal(document->type, STR(RECEIPT_TYPE)))
        return document->envelope ? 0 : damaged(err, document->id, "is a receipt without envelope");
    int r = check_schema(catalogue, document->root, document->type, document->id, err);
    if (r < 0)
        return r;
    return str_equal(catalogue_id_of(document->root), document->id)
               ? 0
               : damaged(err, document->id, "is another document than its entry says");
}

static int check_form(const struct operation_record *record, struct catalogue *catalogue,
                      struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < record->document_count && r == 0; i++)
        r = check_document_form(catalogue, &record->documents[i], err);
    for (size_t i = 0; i < record->event_count && r == 0; i++)
        r = check_schema(catalogue, record->events[i].root, STR("OperationEvent"), STR("an event"),
                         err);
    return r;
}

int record_open(struct str text, struct operation_record *record, struct err *err)
{
    struct catalogue *catalogue = NULL;
    struct compile_options options = { .assert_formats = true };
    struct json_limits limits = json_limits_default;
    yyjson_doc *doc = NULL;
    limits.size_bytes = RECORD_EXPORT_BYTES_MAX;
    int r = catalogue_new(&options, &catalogue, err);
    if (r == 0)
        r = json_read(text, &limits, &doc, err);
    if (r == 0)
        r = check_schema(catalogue, yyjson_doc_get_root(doc), STR(RECORD_TYPE), STR("it"), err);
    if (r == 0)
        r = record_take_export(record, TAKE_PTR(doc), err);
    if (r == 0)
        r = check_form(record, catalogue, err);
    yyjson_doc_free(doc);
    catalogue_free(catalogue);
    return r;
}

/* --- seal and checkpoint ------------------------------------------------------------------- */

static int digest_without(const yyjson_val *root, const char *left_out, char ret[DIGEST_TEXT_SIZE],
                          struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *bare = NULL;
    yyjson_mut_doc *copy = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *value = copy ? yyjson_val_mut_copy(copy, (yyjson_val *)root) : NULL;
    if (value) {
        yyjson_mut_obj_remove_key(value, left_out);
        yyjson_mut_doc_set_root(copy, value);
        bare = yyjson_mut_doc_imut_copy(copy, NULL);
    }
    yyjson_mut_doc_free(copy);
    return bare ? jcs_digest(yyjson_doc_get_root(bare), ret, err)
                : err_set(err, ERR_MEMORY, STEP_IMPORT, "there is not enough memory");
}

/* What a signature says of its key is not signed; it is no other's word either. */
static int check_signer(const struct verifying *verifying, struct err *err)
{
    char key[SIGN_PUBLIC_TEXT_MAX];
    int r = sign_public_text(verifying->key, key);
    if (r < 0)
        return err_set(err, ERR_MEMORY, STEP_IMPORT, "there is not enough memory");
    return text_is(at(verifying->root, "/seal/signatures/0/keyid"), key)
               ? 0
               : err_set(err, ERR_DENIED, STEP_IMPORT, "its seal names another key than %s", key);
}

static int check_seal(struct verifying *verifying, struct err *err)
{
    _cleanup_(buf_release) struct buf envelope = BUF_INIT, payload = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char digest[DIGEST_TEXT_SIZE];
    json_add_value(&envelope, member(verifying->root, "seal"), 0);
    int r = envelope.error ? err_set(err, ERR_MEMORY, STEP_IMPORT, "there is not enough memory")
                           : dsse_open(buf_str(&envelope), verifying->key, STR(RECORD_SEAL_TYPE),
                                       &payload, err);
    if (r == 0)
        r = check_signer(verifying, err);
    if (r == 0)
        r = json_read(buf_str(&payload), &json_limits_default, &doc, err);
    if (r == 0)
        r = digest_without(verifying->root, "seal", digest, err);
    if (r < 0)
        return r;
    return text_is(member(yyjson_doc_get_root(doc), "digest"), digest)
               ? 0
               : err_set(err, ERR_DENIED, STEP_IMPORT,
                         "it was changed since it was sealed: its digest is %s", digest);
}

static int check_checkpoint(struct verifying *verifying, struct err *err)
{
    int r = proof_read_checkpoint(text_of(member(verifying->root, "checkpoint")), verifying->key,
                                  &verifying->ret->head, err);
    if (r < 0)
        err_where(err, "/checkpoint");
    return r;
}

/* --- events -------------------------------------------------------------------------------- */

/* The states of an operation (or a task) as its events tell them, to the one that it is in. */
static int check_states(struct verifying *verifying, const struct record_document *document,
                        const char *of, const char *ref, struct err *err)
{
    const struct operation_record *record = verifying->record;
    struct str state = STR("");
    for (size_t i = 0; i < record->event_count; i++) {
        const yyjson_val *event = record->events[i].root;
        const yyjson_val *transition = member(event, "transition");
        if (!text_is(member(transition, "of"), of) ||
            !str_equal(text_of(member(event, ref)), document->id))
            continue;
        if (!str_equal(text_of(member(transition, "from")), state))
            return damaged(err, document->id, "lacks an event: its states do not follow");
        state = text_of(member(transition, "to"));
    }
    return str_equal(state, text_of(member(document->root, "state")))
               ? 0
               : damaged(err, document->id, "is in another state than its events say");
}

static int check_events(struct verifying *verifying, struct err *err)
{
    const struct operation_record *record = verifying->record;
    yyjson_val *entry;
    size_t index, count;
    int64_t before = -1;
    yyjson_arr_foreach(member(verifying->root, "events"), index, count, entry)
    {
        int64_t sequence = record->events[index].sequence;
        if (sequence <= before)
            return err_set(err, ERR_DAMAGED, STEP_IMPORT, "event %lld is out of place",
                           (long long)sequence);
        int r = proof_check_event(member(entry, "event"), entry, &verifying->ret->head, err);
        if (r < 0)
            return r;
        before = sequence;
    }
    return 0;
}

/* --- documents ----------------------------------------------------------------------------- */

/* The digest that the last event about a document binds; empty where none does. */
static struct str bound_digest(const struct operation_record *record, struct str id)
{
    for (size_t i = record->event_count; i-- > 0;) {
        yyjson_val *documents = member(record->events[i].root, "documents"), *entry;
        size_t index, count;
        if (!documents)
            continue;
        yyjson_arr_foreach(documents, index, count, entry)
        {
            if (str_equal(text_of(member(entry, "documentRef")), id))
                return text_of(member(entry, "digest"));
        }
    }
    return STR("");
}

static int check_bound(struct verifying *verifying, struct str bound, struct err *err)
{
    const struct record_document *document = verifying->document;
    char digest[DIGEST_TEXT_SIZE];
    int r = jcs_digest(document->root, digest, err);
    if (r < 0)
        return r;
    if (!str_equal(bound, str_from(digest)) && str_equal(document->type, STR("DecisionCard")))
        r = digest_without(document->root, "asked", digest, err);
    if (r == 0 && !str_equal(bound, str_from(digest)))
        return damaged(err, document->id, "is not what its event binds");
    verifying->ret->bound++;
    return r;
}

static int check_account(struct verifying *verifying, struct err *err)
{
    const struct operation_record *record = verifying->record;
    const struct record_document *document = verifying->document;
    uint64_t used[DIMENSION_COUNT] = { 0 };
    for (size_t i = 0; i < record->event_count; i++) {
        yyjson_val *usage = member(record->events[i].root, "usage"), *entry;
        size_t index, count;
        if (!usage)
            continue;
        yyjson_arr_foreach(usage, index, count, entry)
        {
            int dimension = vocabulary_index(dimension_names, DIMENSION_COUNT,
                                             text_of(member(entry, "dimension")));
            if (dimension >= 0 && text_is(member(entry, "movement"), "settle") &&
                str_equal(text_of(member(entry, "budgetRef")), document->id))
                used[dimension] += count_of(member(entry, "amount"));
        }
    }
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        const yyjson_val *row = member(member(document->root, "dimensions"), dimension_names[i]);
        if (row && count_of(member(row, "used")) != used[i])
            return damaged(err, document->id, "says it used other amounts than its events settle");
    }
    return 0;
}

/* A command that changed nothing but a state or an answer is named by the event of that. */
static bool is_named_command(const struct operation_record *record, struct str id)
{
    for (size_t i = 0; i < record->event_count; i++)
        if (str_equal(text_of(member(record->events[i].root, "commandRef")), id))
            return true;
    return false;
}

/* An account of a delegation is shared with operations that are not here. */
static int check_untold(struct verifying *verifying, struct err *err)
{
    const struct operation_record *record = verifying->record;
    const struct record_document *document = verifying->document;
    struct str holder = text_of(member(document->root, "holderRef"));
    if (str_equal(document->type, STR("WorkspaceOperation")))
        return check_states(verifying, document, "operation", "operationRef", err);
    if (str_equal(document->type, STR("OperationTask")))
        return check_states(verifying, document, "task", "taskRef", err);
    if (str_equal(document->type, STR("Budget")))
        return record_find(record, holder) &&
                       str_starts(holder, STR("urn:srcos:workspace-operation:"))
                   ? check_account(verifying, err)
                   : 0;
    if (str_equal(document->type, STR(RECEIPT_TYPE)))
        return 0; /* signed by itself, and checked below */
    if (str_equal(document->type, STR("OperationCommand")) &&
        is_named_command(record, document->id))
        return 0;
    return damaged(err, document->id, "is bound by no event that is here");
}

static int check_digest(struct verifying *verifying, const yyjson_val *entry, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = jcs_digest(verifying->document->root, digest, err);
    if (r < 0 || text_is(member(entry, "digest"), digest))
        return r;
    return damaged(err, verifying->document->id, "has another digest than its entry says");
}

static int check_documents(struct verifying *verifying, struct err *err)
{
    const struct operation_record *record = verifying->record;
    const yyjson_val *entries = member(verifying->root, "documents");
    int r = 0;
    for (size_t i = 0; i < record->operation_count && r == 0; i++)
        if (!record_find(record, record->operations[i]))
            r = damaged(err, record->operations[i], "is not among the documents");
    for (size_t i = 0; i < record->document_count && r == 0; i++) {
        verifying->document = &record->documents[i];
        struct str bound = bound_digest(record, verifying->document->id);
        r = check_digest(verifying, yyjson_arr_get((yyjson_val *)entries, i), err);
        if (r == 0 && bound.len)
            r = check_bound(verifying, bound, err);
        else if (r == 0) {
            r = check_untold(verifying, err);
            verifying->ret->agreeing += r == 0;
        }
    }
    return r;
}

/* --- delegations --------------------------------------------------------------------------- */

static int fetch(void *context, struct str urn, struct buf *ret, struct err *err)
{
    const struct record_document *found = record_find(context, urn);
    if (!found || !found->envelope)
        return err_set(err, ERR_NOT_FOUND, STEP_IMPORT, "the delegation %.*s is not here",
                       STR_ARG(urn));
    json_add_value(ret, found->envelope, 0);
    return ret->error ? err_set(err, ERR_MEMORY, STEP_IMPORT, "there is not enough memory") : 0;
}

/* What became of it afterwards does not undo what it let happen. */
static int is_revoked(void *context, struct str urn, struct err *err)
{
    (void)context;
    (void)urn;
    (void)err;
    return 0;
}

static int check_delegation(struct verifying *verifying, const yyjson_val *operation,
                            struct err *err)
{
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    struct delegation_source source = { .fetch = fetch,
                                        .revoked = is_revoked,
                                        .context = (void *)verifying->record,
                                        .root = *verifying->key };
    struct delegation delegation;
    struct str urn = text_of(member(operation, "delegationRef"));
    struct str began = text_of(member(operation, "startedAt"));
    int64_t moment;
    if (!urn.len || !began.len) /* it was refused before anything happened under one */
        return 0;
    int r = clock_parse(began, &moment) ? fetch(source.context, urn, &envelope, err)
                                        : damaged(err, began, "is no moment");
    if (r == 0)
        r = delegation_verify(buf_str(&envelope), &source, moment, &delegation, err);
    if (r < 0)
        return r;
    verifying->ret->delegations += delegation.chain_count;
    delegation_release(&delegation);
    return 0;
}

static int check_delegations(struct verifying *verifying, struct err *err)
{
    const struct operation_record *record = verifying->record;
    int r = 0;
    for (size_t i = 0; i < record->operation_count && r == 0; i++)
        r = check_delegation(verifying, record_find(record, record->operations[i])->root, err);
    return r;
}

/* --- receipts ------------------------------------------------------------------------------ */

static int compare_receipt(struct verifying *verifying, struct receipt *receipt, struct err *err)
{
    static const char *const bound[] = { "fingerprint", "execution", "delegation" };
    const yyjson_val *predicate = at(yyjson_doc_get_root(receipt->doc), "/predicate");
    int r = strcmp(receipt->head.ledger, verifying->ret->head.ledger) == 0
                ? 0
                : damaged(err, verifying->document->id, "is of another ledger");
    for (size_t i = 0; i < ARRAY_LEN(bound) && r == 0; i++) {
        struct str ref = text_of(member(member(predicate, bound[i]), "ref"));
        const struct record_document *document = record_find(verifying->record, ref);
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        if (!document)
            return damaged(err, ref, "is bound by the receipt, and is not here");
        json_add_value(&text, document->root, 0);
        r = text.error ? err_set(err, ERR_MEMORY, STEP_IMPORT, "there is not enough memory")
                       : receipt_compare_document(receipt, buf_str(&text), err);
    }
    return r;
}

static int check_receipts(struct verifying *verifying, struct err *err)
{
    const struct operation_record *record = verifying->record;
    int r = 0;
    for (size_t i = 0; i < record->document_count && r == 0; i++) {
        _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(RECEIPT_BYTES_MAX);
        struct receipt receipt;
        verifying->document = &record->documents[i];
        if (!str_equal(verifying->document->type, STR(RECEIPT_TYPE)))
            continue;
        json_add_value(&envelope, verifying->document->envelope, 0);
        r = receipt_verify(buf_str(&envelope), verifying->key, &receipt, err);
        if (r == 0)
            r = compare_receipt(verifying, &receipt, err);
        receipt_release(&receipt);
        verifying->ret->receipts += r == 0;
    }
    return r;
}

/* --- all of it ----------------------------------------------------------------------------- */

int record_verify(struct str text, const struct sign_public *key, struct operation_record *record,
                  struct record_verified *ret, struct err *err)
{
    static check_function *const checks[RECORD_CHECK_COUNT] = {
        [RECORD_SEAL] = check_seal,
        [RECORD_CHECKPOINT] = check_checkpoint,
        [RECORD_EVENTS] = check_events,
        [RECORD_DOCUMENTS] = check_documents,
        [RECORD_DELEGATIONS] = check_delegations,
        [RECORD_RECEIPTS] = check_receipts,
    };
    struct verifying verifying = { .record = record, .key = key, .ret = ret };
    *ret = (struct record_verified){ 0 };
    int r = record_open(text, record, err);
    ret->outcomes[RECORD_FORM] = r < 0 ? RECORD_FAILS : RECORD_HOLDS;
    verifying.root = r < 0 ? NULL : yyjson_doc_get_root(record->docs[0]);
    for (size_t i = RECORD_SEAL; i < RECORD_CHECK_COUNT && r == 0; i++) {
        r = checks[i](&verifying, err);
        ret->outcomes[i] = r < 0 ? RECORD_FAILS : RECORD_HOLDS;
    }
    return r;
}
