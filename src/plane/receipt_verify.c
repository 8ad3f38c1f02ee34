/*
 * receipt_verify: a receipt, held against a key, itself, documents and a ledger.
 *
 * Theory of operation. Nothing in an envelope is looked at before the key's
 * signature on it holds. Then a table says what a statement must have, and in
 * which form; members that it does not name are passed over. What is said of
 * one thing twice must agree: the subjects and the predicate, the ids of one
 * run. The checkpoint carries a signature of its own and must be the same
 * key's.
 *
 * Beside a ledger: every event is read (proof_verify) and the checkpoint must
 * be of a beginning of it. The events that bind the fingerprint and the
 * execution must be found, with the digests that the receipt has, the first
 * before the checkpoint and the second behind it. The documents themselves
 * must have these digests, and the receipt there must be this one.
 *
 * What it cannot find out: whether the key's holder tells the truth.
 */
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/receipt.h"
#include "plane/work.h"

#define STEP_VERIFY       "verify a receipt"
#define SHA256_HEX_DIGITS 64
#define REFERENCE_MAX     PLANE_URN_MAX

const char *const receipt_check_names[RECEIPT_CHECK_COUNT] = {
#define X(check, name) [check] = name,
    RECEIPT_CHECKS(X)
#undef X
};
const char *const receipt_outcome_names[RECEIPT_OUTCOME_COUNT] = {
    [RECEIPT_NOT_CHECKED] = "not-checked",
    [RECEIPT_HOLDS] = "holds",
    [RECEIPT_FAILS] = "fails",
};

/* What the receipt binds by id and digest, that a ledger has too. */
static const char *const bound[RECEIPT_BOUND_COUNT] = { "/predicate/fingerprint",
                                                        "/predicate/execution",
                                                        "/predicate/delegation" };

static const yyjson_val *root_of(const struct receipt *receipt)
{
    return yyjson_doc_get_root(receipt->doc);
}

static int note(struct receipt *receipt, enum receipt_check check, int r)
{
    receipt->outcomes[check] = r < 0 ? RECEIPT_FAILS : RECEIPT_HOLDS;
    return r;
}

void receipt_release(struct receipt *receipt)
{
    yyjson_doc_free(receipt->doc);
    *receipt = (struct receipt){ 0 };
}

/* --- the statement's form ------------------------------------------------------------------ */

enum form {
    FORM_TEXT,
    FORM_URN,
    FORM_RUN,
    FORM_DIGEST,
    FORM_MOMENT,
    FORM_OBJECT,
    FORM_LIST,
    FORM_COUNT
};

struct form_row {
    const char *pointer;
    enum form form;
    const char *text; /* what a text is, or the type of a URN; NULL: any */
};

static const struct form_row forms[] = {
    { "/_type", FORM_TEXT, RECEIPT_STATEMENT },
    { "/predicateType", FORM_TEXT, RECEIPT_PREDICATE },
    { "/subject", FORM_LIST, NULL },
    { "/predicate/id", FORM_URN, RECEIPT_SLUG },
    { "/predicate/issuedAt", FORM_MOMENT, NULL },
    { "/predicate/operationRef", FORM_URN, "workspace-operation" },
    { "/predicate/subjectRef", FORM_TEXT, NULL },
    { "/predicate/delegation/ref", FORM_URN, "delegation" },
    { "/predicate/delegation/digest", FORM_DIGEST, NULL },
    { "/predicate/profile/ref", FORM_TEXT, NULL },
    { "/predicate/profile/digest", FORM_DIGEST, NULL },
    { "/predicate/policy/digest", FORM_DIGEST, NULL },
    { "/predicate/policy/layers", FORM_LIST, NULL },
    { "/predicate/planDigest", FORM_DIGEST, NULL },
    { "/predicate/fingerprint/ref", FORM_URN, "agent-machine-fingerprint" },
    { "/predicate/fingerprint/digest", FORM_DIGEST, NULL },
    { "/predicate/probes/contained", FORM_COUNT, NULL },
    { "/predicate/probes/escaped", FORM_COUNT, NULL },
    { "/predicate/probes/skipped", FORM_COUNT, NULL },
    { "/predicate/execution/ref", FORM_RUN, NULL },
    { "/predicate/execution/digest", FORM_DIGEST, NULL },
    { "/predicate/isolationTier", FORM_TEXT, NULL },
    { "/predicate/startedAt", FORM_MOMENT, NULL },
    { "/predicate/endedAt", FORM_MOMENT, NULL },
    { "/predicate/exit/reason", FORM_TEXT, NULL },
    { "/predicate/usage", FORM_OBJECT, NULL },
    { "/predicate/checkpoint", FORM_TEXT, NULL },
};

static bool is_digest(struct str text)
{
    struct str hex = str_from_offset(text, strlen("sha256:"));
    if (!str_starts(text, STR("sha256:")) || hex.len != SHA256_HEX_DIGITS)
        return false;
    for (size_t i = 0; i < hex.len; i++)
        if (!((hex.ptr[i] >= '0' && hex.ptr[i] <= '9') || (hex.ptr[i] >= 'a' && hex.ptr[i] <= 'f')))
            return false;
    return true;
}

static bool is_urn(struct str text, const char *slug)
{
    char prefix[PLANE_URN_MAX];
    snprintf(prefix, sizeof(prefix), "urn:srcos:%s:", slug);
    return text.len < REFERENCE_MAX && str_starts(text, str_from(prefix)) && urn_local(text).len;
}

static bool has_form(const yyjson_val *value, const struct form_row *row)
{
    int64_t moment;
    switch (row->form) {
    case FORM_TEXT:
        return row->text ? text_is(value, row->text) : text_of(value).len > 0;
    case FORM_URN:
        return is_urn(text_of(value), row->text);
    case FORM_RUN: /* of a container of its own, its record is the run's */
        return is_urn(text_of(value), "local-agent-execution") ||
               is_urn(text_of(value), "container-execution-record");
    case FORM_DIGEST:
        return is_digest(text_of(value));
    case FORM_MOMENT:
        return clock_parse(text_of(value), &moment);
    case FORM_OBJECT:
        return yyjson_is_obj((yyjson_val *)value);
    case FORM_LIST:
        return yyjson_is_arr((yyjson_val *)value);
    case FORM_COUNT:
        return yyjson_is_uint((yyjson_val *)value);
    }
    return false;
}

static int check_form(const struct receipt *receipt, struct err *err)
{
    static const char *const expected[] = {
        [FORM_TEXT] = "a text",     [FORM_URN] = "a reference",  [FORM_RUN] = "a reference",
        [FORM_DIGEST] = "a digest", [FORM_MOMENT] = "a time",    [FORM_OBJECT] = "an object",
        [FORM_LIST] = "a list",     [FORM_COUNT] = "an integer",
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (has_form(at(root_of(receipt), forms[i].pointer), &forms[i]))
            continue;
        err_set(err, ERR_DOCUMENT, STEP_VERIFY, "%s: a run receipt has %s%s%s here",
                forms[i].pointer, expected[forms[i].form], forms[i].text ? ", " : "",
                forms[i].text ? forms[i].text : "");
        err_where(err, "%s", forms[i].pointer);
        return -EBADMSG;
    }
    return 0;
}

/* --- what it says twice -------------------------------------------------------------------- */

static int contradict(struct err *err, const char *pointer, const char *what)
{
    int r = err_set(err, ERR_DAMAGED, STEP_VERIFY, "%s: %s", pointer, what);
    err_where(err, "%s", pointer);
    return r;
}

/* Whether a subject is this thing with this digest. */
static bool subject_is(const yyjson_val *subject, struct str name, struct str digest)
{
    return name.len && is_digest(digest) && str_equal(text_of(member(subject, "name")), name) &&
           str_equal(text_of(at(subject, "/digest/sha256")),
                     str_from_offset(digest, strlen("sha256:")));
}

static int check_subjects(const struct receipt *receipt, struct err *err)
{
    const yyjson_val *root = root_of(receipt), *changes = at(root, "/predicate/changeSet");
    if (yyjson_arr_size(member(root, "subject")) != (changes ? 2 : 1))
        return contradict(err, "/subject",
                          "it is about the execution, and the change set where there is one");
    if (!subject_is(at(root, "/subject/0"), text_of(at(root, "/predicate/execution/ref")),
                    text_of(at(root, "/predicate/execution/digest"))))
        return contradict(err, "/subject/0", "it is not the execution of the predicate");
    if (changes && !subject_is(at(root, "/subject/1"), text_of(member(changes, "changeSetRef")),
                               text_of(member(changes, "digest"))))
        return contradict(err, "/subject/1", "it is not the change set of the predicate");
    return 0;
}

/* The documents of one run are named alike. */
static int check_names(const struct receipt *receipt, struct err *err)
{
    static const char *const alike[] = { "/predicate/id", "/predicate/fingerprint/ref",
                                         "/predicate/execution/ref" };
    struct str run = urn_local(text_of(at(root_of(receipt), "/predicate/operationRef")));
    for (size_t i = 0; i < ARRAY_LEN(alike); i++)
        if (!str_equal(urn_local(text_of(at(root_of(receipt), alike[i]))), run))
            return contradict(err, alike[i], "it is of another run than /predicate/operationRef");
    return 0;
}

/* Each layer once, with a digest. */
static int check_layers(const struct receipt *receipt, struct err *err)
{
    yyjson_val *layers = at(root_of(receipt), "/predicate/policy/layers"), *item;
    bool seen[LAYER_COUNT] = { false };
    size_t index, count;
    yyjson_arr_foreach(layers, index, count, item)
    {
        int layer = vocabulary_index(layer_names, LAYER_COUNT, text_of(member(item, "layer")));
        if (layer < 0 || seen[layer] || !is_digest(text_of(member(item, "digest"))))
            return contradict(err, "/predicate/policy/layers", "these are no layers of a policy");
        seen[layer] = true;
    }
    return 0;
}

static int check_digests(const struct receipt *receipt, struct err *err)
{
    int r = check_subjects(receipt, err);
    if (r == 0)
        r = check_names(receipt, err);
    return r < 0 ? r : check_layers(receipt, err);
}

/* --- with the key alone -------------------------------------------------------------------- */

static int check_signature(struct receipt *receipt, struct str envelope,
                           const struct sign_public *key, struct err *err)
{
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(RECEIPT_BYTES_MAX);
    if (envelope.len > RECEIPT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, STEP_VERIFY, "a receipt is no longer than %zu bytes",
                       RECEIPT_BYTES_MAX);
    int r = dsse_open(envelope, key, STR(RECEIPT_PAYLOAD_TYPE), &payload, err);
    return r < 0 ? r : json_read(buf_str(&payload), &json_limits_default, &receipt->doc, err);
}

static int check_checkpoint(struct receipt *receipt, const struct sign_public *key, struct err *err)
{
    struct str text = text_of(at(root_of(receipt), "/predicate/checkpoint"));
    int r = proof_read_checkpoint(text, key, &receipt->head, err);
    if (r < 0)
        err_where(err, "/predicate/checkpoint");
    return r;
}

int receipt_verify(struct str envelope, const struct sign_public *key, struct receipt *ret,
                   struct err *err)
{
    *ret = (struct receipt){ 0 };
    int r = note(ret, RECEIPT_SIGNED, check_signature(ret, envelope, key, err));
    if (r == 0)
        r = note(ret, RECEIPT_FORM, check_form(ret, err));
    if (r == 0)
        r = note(ret, RECEIPT_DIGESTS, check_digests(ret, err));
    if (r == 0)
        r = note(ret, RECEIPT_CHECKPOINT, check_checkpoint(ret, key, err));
    return r;
}

/* --- with documents ------------------------------------------------------------------------ */

static int compare(struct receipt *receipt, size_t which, const yyjson_val *document,
                   struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    const yyjson_val *entry = at(root_of(receipt), bound[which]);
    struct str ref = text_of(member(entry, "ref"));
    int r = jcs_digest(document, digest, err);
    if (r == 0 && !str_equal(str_from(digest), text_of(member(entry, "digest"))))
        r = err_set(err, ERR_DAMAGED, STEP_VERIFY,
                    "%.*s is not the document that the receipt binds: its digest is %s",
                    STR_ARG(ref), digest);
    if (r == 0)
        receipt->documents |= 1u << which;
    return r;
}

int receipt_compare_document(struct receipt *receipt, struct str json, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    struct str id = text_of(member(root, "id"));
    for (size_t i = 0; i < ARRAY_LEN(bound); i++) {
        const yyjson_val *entry = at(root_of(receipt), bound[i]);
        if (id.len && str_equal(id, text_of(member(entry, "ref"))))
            return note(receipt, RECEIPT_DOCUMENTS, compare(receipt, i, root, err));
    }
    return note(receipt, RECEIPT_DOCUMENTS,
                err_set(err, ERR_NOT_FOUND, STEP_VERIFY,
                        "the receipt binds no document %.*s: only its fingerprint, execution and "
                        "delegation",
                        STR_ARG(id)));
}

/* --- with the ledger ----------------------------------------------------------------------- */

int receipt_is_of(const struct receipt *receipt, struct ledger *ledger, struct err *err)
{
    struct tree_head head;
    int r = proof_tree_head(ledger, &head, err);
    return r < 0 ? r : strcmp(head.ledger, receipt->head.ledger) == 0;
}

/* The document under an id; of a delegation, what its envelope holds. */
static int read_bound(struct ledger *ledger, struct str id, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct err inner = { 0 };
    int64_t revision;
    int r = is_urn(id, "delegation") ? delegation_get(ledger, id, ret, &inner)
                                     : ledger_get_document(ledger, id, &text, &revision, &inner);
    if (r == 0 && text.len)
        r = json_read(buf_str(&text), &json_limits_default, ret, &inner);
    if (r == -ENOENT)
        return err_set(err, ERR_DAMAGED, STEP_VERIFY, "the ledger does not hold %.*s any more",
                       STR_ARG(id));
    if (r < 0 && err)
        *err = inner;
    return r;
}

static int compare_bound(struct receipt *receipt, struct ledger *ledger, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(bound) && r == 0; i++) {
        _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
        const yyjson_val *entry = at(root_of(receipt), bound[i]);
        r = read_bound(ledger, text_of(member(entry, "ref")), &doc, err);
        if (r == 0)
            r = compare(receipt, i, yyjson_doc_get_root(doc), err);
    }
    return r;
}

/* Where the run's events bind its documents. */
struct places {
    const yyjson_val *fingerprint, *execution;
    int64_t begun, ended; /* -1: nowhere */
};

static bool binds(const yyjson_val *documents, const yyjson_val *entry)
{
    size_t index, count;
    yyjson_val *item;
    if (!yyjson_is_arr((yyjson_val *)documents))
        return false;
    yyjson_arr_foreach((yyjson_val *)documents, index, count, item)
    {
        if (yyjson_equals(member(item, "documentRef"), member(entry, "ref")) &&
            yyjson_equals(member(item, "digest"), member(entry, "digest")))
            return true;
    }
    return false;
}

static int find_places(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct places *places = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *documents = member(yyjson_doc_get_root(doc), "documents");
    if (places->begun < 0 && binds(documents, places->fingerprint))
        places->begun = sequence;
    if (places->ended < 0 && binds(documents, places->execution))
        places->ended = sequence;
    return 0;
}

static int compare_events(const struct receipt *receipt, struct ledger *ledger, struct err *err)
{
    const yyjson_val *root = root_of(receipt);
    struct places places = { .fingerprint = at(root, "/predicate/fingerprint"),
                             .execution = at(root, "/predicate/execution"),
                             .begun = -1,
                             .ended = -1 };
    int r = ledger_each_event(ledger, 0, text_of(at(root, "/predicate/operationRef")), find_places,
                              &places, err);
    if (r < 0)
        return r;
    if (places.begun < 0 || places.begun >= receipt->head.size)
        return err_set(err, ERR_DAMAGED, STEP_VERIFY,
                       "no event before the checkpoint binds the fingerprint");
    if (places.ended < receipt->head.size)
        return err_set(err, ERR_DAMAGED, STEP_VERIFY,
                       "no event behind the checkpoint binds the execution");
    return 0;
}

/* The receipt that the ledger has of this run says the same. */
static int compare_receipt(const struct receipt *receipt, struct ledger *ledger, struct err *err)
{
    _cleanup_(buf_release) struct buf envelope = BUF_INIT, payload = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct str id = text_of(at(root_of(receipt), "/predicate/id"));
    int64_t revision;
    struct err inner = { 0 };
    int r = ledger_get_document(ledger, id, &envelope, &revision, &inner);
    if (r == -ENOENT)
        return err_set(err, ERR_DAMAGED, STEP_VERIFY, "the ledger holds no receipt %.*s",
                       STR_ARG(id));
    if (r == 0)
        r = dsse_peek(buf_str(&envelope), &payload, &inner);
    if (r == 0)
        r = json_read(buf_str(&payload), &json_limits_default, &doc, &inner);
    if (r < 0) {
        if (err)
            *err = inner;
        return r;
    }
    return yyjson_equals(yyjson_doc_get_root(doc), (yyjson_val *)root_of(receipt))
               ? 0
               : err_set(err, ERR_DAMAGED, STEP_VERIFY, "the ledger holds another receipt %.*s",
                         STR_ARG(id));
}

int receipt_compare_ledger(struct receipt *receipt, struct ledger *ledger, struct err *err)
{
    int r = note(receipt, RECEIPT_DOCUMENTS, compare_bound(receipt, ledger, err));
    if (r < 0)
        return r;
    r = proof_verify(ledger, &receipt->head, NULL, NULL, err);
    if (r == 0)
        r = compare_events(receipt, ledger, err);
    if (r == 0)
        r = compare_receipt(receipt, ledger, err);
    return note(receipt, RECEIPT_LEDGER, r);
}
