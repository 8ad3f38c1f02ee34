/*
 * receipt: a run's receipt, sealed.
 *
 * Theory of operation. The execution's record is written, the command and its
 * sandbox are gone, and the batch that ends the operation is being filled.
 * What the receipt says is taken from documents and not from the process that
 * ran: from the record, and from the fingerprint and the delegation as the
 * ledger has them, so that it binds what others can read. It joins the batch,
 * and costs no write of its own.
 *
 * The checkpoint in it is the ledger's from before that batch: it covers the
 * events with which the run was authorised and begun, the one that binds the
 * fingerprint among them. The events of its end come behind the checkpoint;
 * they are bound by the execution's digest, which one of them carries.
 *
 * The key is opened after the command has ended, and wiped at once.
 *
 * Who has the key can make any receipt. What a receipt keeps from changing is
 * a copy of it elsewhere.
 */
#include "plane/receipt.h"

#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "ledger/note.h"
#include "plane/work.h"

#define STEP_RECEIPT   "write a receipt"
#define DIGEST_PREFIX  "sha256:"
#define CHANGE_SET_REF "changeSetRef"

/* What a receipt is made of. */
struct sources {
    struct plane *plane;
    yyjson_doc *execution, *fingerprint;
    char execution_digest[DIGEST_TEXT_SIZE], fingerprint_digest[DIGEST_TEXT_SIZE];
    char delegation_digest[DIGEST_TEXT_SIZE];
    struct buf checkpoint;
};

static void release(struct sources *sources)
{
    yyjson_doc_free(sources->execution);
    yyjson_doc_free(sources->fingerprint);
    buf_release(&sources->checkpoint);
}

/* --- gathering ----------------------------------------------------------------------------- */

static int read_fingerprint(struct sources *sources, struct str id, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    int64_t revision;
    int r = ledger_get_document(sources->plane->ledger, id, &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &sources->fingerprint, err);
    return r < 0 ? r
                 : jcs_digest(yyjson_doc_get_root(sources->fingerprint),
                              sources->fingerprint_digest, err);
}

/* An envelope that delegation_seal made holds the canonical form: its bytes are what is digested.
 */
static int digest_delegation(struct sources *sources, struct str id, struct err *err)
{
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DELEGATION_BYTES_MAX);
    int64_t revision;
    int r = ledger_get_document(sources->plane->ledger, id, &envelope, &revision, err);
    if (r == 0)
        r = dsse_peek(buf_str(&envelope), &payload, err);
    return r < 0 ? r : digest_text(buf_str(&payload), sources->delegation_digest, err);
}

static int gather(struct sources *sources, struct str execution, struct err *err)
{
    int r = json_read(execution, &json_limits_default, &sources->execution, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(sources->execution);
    r = jcs_digest(root, sources->execution_digest, err);
    if (r == 0)
        r = read_fingerprint(sources, text_of(member(root, "fingerprintRef")), err);
    return r < 0 ? r : digest_delegation(sources, text_of(member(root, "delegationRef")), err);
}

/* --- writing ------------------------------------------------------------------------------- */

static bool ends_with(const struct buf *ret, char c)
{
    return ret->len && ret->data[ret->len - 1] == c;
}

static void add_name(struct buf *ret, const char *name)
{
    buf_addf(ret, "%s\"%s\":", ends_with(ret, '{') ? "" : ",", name);
}

static void add_text(struct buf *ret, const char *name, struct str text)
{
    add_name(ret, name);
    json_add_string(ret, text);
}

/* A member as another document has it, if it has it. */
static void copy(struct buf *ret, const yyjson_val *root, const char *name)
{
    const yyjson_val *value = member(root, name);
    if (!value)
        return;
    add_name(ret, name);
    json_add_value(ret, value, 0);
}

static void add_bound(struct buf *ret, const char *name, struct str ref, struct str digest)
{
    add_name(ret, name);
    buf_add_char(ret, '{');
    add_text(ret, "ref", ref);
    add_text(ret, "digest", digest);
    buf_add_char(ret, '}');
}

static void add_subject(struct buf *ret, struct str name, struct str digest)
{
    buf_add_text(ret, ends_with(ret, '[') ? "{" : ",{");
    add_text(ret, "name", name);
    add_name(ret, "digest");
    buf_addf(ret, "{\"sha256\":\"%.*s\"}}",
             STR_ARG(str_from_offset(digest, strlen(DIGEST_PREFIX))));
}

static void add_probes(struct buf *ret, const yyjson_val *fingerprint)
{
    size_t contained = 0, escaped = 0, skipped = 0, index, count;
    yyjson_val *probes = member(fingerprint, "probes"), *probe;
    if (!probes)
        return;
    yyjson_arr_foreach(probes, index, count, probe)
    {
        contained += text_is(member(probe, "outcome"), "contained");
        escaped += text_is(member(probe, "outcome"), "escaped");
        skipped += text_is(member(probe, "outcome"), "skipped");
    }
    add_name(ret, "probes");
    buf_addf(ret, "{\"contained\":%zu,\"escaped\":%zu,\"skipped\":%zu}", contained, escaped,
             skipped);
}

static void add_predicate(struct buf *ret, const struct sources *sources, const char *id)
{
    static const char *const from_execution[] = { "isolationTier", "startedAt", "endedAt",
                                                  "exit",          "usage",     "changeSet",
                                                  "promptEgress" };
    const yyjson_val *execution = yyjson_doc_get_root(sources->execution);
    const yyjson_val *fingerprint = yyjson_doc_get_root(sources->fingerprint);
    char now[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms(), now);
    add_name(ret, "predicate");
    buf_add_char(ret, '{');
    add_text(ret, "id", str_from(id));
    add_text(ret, "issuedAt", str_from(now));
    copy(ret, execution, "operationRef");
    copy(ret, execution, "subjectRef");
    add_bound(ret, "delegation", text_of(member(execution, "delegationRef")),
              str_from(sources->delegation_digest));
    add_bound(ret, "profile", text_of(member(fingerprint, "profileRef")),
              text_of(member(fingerprint, "profileDigest")));
    copy(ret, fingerprint, "policy");
    copy(ret, execution, "planDigest");
    copy(ret, fingerprint, "program");
    add_bound(ret, "fingerprint", text_of(member(execution, "fingerprintRef")),
              str_from(sources->fingerprint_digest));
    add_probes(ret, fingerprint);
    add_bound(ret, "execution", text_of(member(execution, "id")),
              str_from(sources->execution_digest));
    for (size_t i = 0; i < ARRAY_LEN(from_execution); i++)
        copy(ret, execution, from_execution[i]);
    add_text(ret, "checkpoint", buf_str(&sources->checkpoint));
    buf_add_char(ret, '}');
}

static void add_statement(struct buf *ret, const struct sources *sources, const char *id)
{
    const yyjson_val *execution = yyjson_doc_get_root(sources->execution);
    const yyjson_val *change_set = member(execution, "changeSet");
    buf_add_char(ret, '{');
    add_text(ret, "_type", STR(RECEIPT_STATEMENT));
    add_name(ret, "subject");
    buf_add_char(ret, '[');
    add_subject(ret, text_of(member(execution, "id")), str_from(sources->execution_digest));
    if (change_set)
        add_subject(ret, text_of(member(change_set, CHANGE_SET_REF)),
                    text_of(member(change_set, "digest")));
    buf_add_char(ret, ']');
    add_text(ret, "predicateType", STR(RECEIPT_PREDICATE));
    add_predicate(ret, sources, id);
    buf_add_char(ret, '}');
}

/* --- sealing ------------------------------------------------------------------------------- */

static int seal(struct sources *sources, const char *id, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf statement = BUF_INIT_LIMIT(RECEIPT_BYTES_MAX / 2);
    struct sign_key *key = NULL;
    int r = key_open_user(sources->plane->options.config_folder, &key, err);
    if (r == 0)
        r = proof_checkpoint(sources->plane->ledger, key, &sources->checkpoint, err);
    if (r == 0) {
        add_statement(&statement, sources, id);
        r = statement.error
                ? err_set(err, ERR_LIMIT, STEP_RECEIPT, "a receipt of %zu bytes", statement.len)
                : dsse_seal(key, STR(RECEIPT_PAYLOAD_TYPE), buf_str(&statement), ret, err);
    }
    sign_key_free(key);
    return r;
}

int receipt_add(struct work *work, struct str execution, struct err *err)
{
    struct sources sources = { .plane = work_plane(work),
                               .checkpoint = BUF_INIT_LIMIT(NOTE_BYTES_MAX) };
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(RECEIPT_BYTES_MAX);
    char id[PLANE_URN_MAX];
    urn_make(RECEIPT_SLUG, urn_local(work_operation(work)), id);
    int r = gather(&sources, execution, err);
    if (r == 0)
        r = seal(&sources, id, &envelope, err);
    release(&sources);
    if (r == 0)
        r = ledger_put_document(work->batch, STR(RECEIPT_TYPE), str_from(id), work_operation(work),
                                buf_str(&envelope), LEDGER_NEW, err);
    if (r == 0)
        work_set_text(work, WORK_OPERATION, "receiptRef", str_from(id));
    return r;
}
