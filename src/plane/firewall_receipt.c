/*
 * firewall_receipt: see the header.
 *
 * Theory of operation. A receipt is written twice under one id: as intended,
 * before the kernel is asked, and as done or failed afterwards, on condition
 * that nobody else has written it meanwhile. One that still says `intended` is
 * what a process left that died in between: whether the kernel has the table is
 * then for the kernel to say. The digest of the kernel's own listing is in the
 * receipt, so that a change behind the plane's back is seen by listing again.
 *
 * Who has the user's key can make any receipt.
 */
#include "plane/firewall_receipt.h"

#include "authority/key.h"
#include "base/json.h"
#include "base/map.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/receipt.h"
#include "plane/work.h"

#define STEP "write a receipt"

#define X(name, text) [name] = text,
const char *const firewall_action_names[FIREWALL_ACTION_COUNT] = { FIREWALL_ACTION_TABLE(X) };
const char *const firewall_outcome_names[FIREWALL_OUTCOME_COUNT] = { FIREWALL_OUTCOME_TABLE(X) };
#undef X

/* --- writing ------------------------------------------------------------------------------- */

static void add_text(struct buf *out, const char *name, struct str value)
{
    json_add_name(out, name);
    json_add_string(out, value);
}

static int add_documents(struct buf *out, const struct firewall_act *act, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = 0;
    buf_add_text(out, ",\"documents\":[");
    for (size_t i = 0; r == 0 && i < act->document_count; i++) {
        r = jcs_digest(act->documents[i], digest, err);
        buf_add_text(out, i ? ",{" : "{");
        add_text(out, "ref", text_of(member(act->documents[i], "id")));
        add_text(out, "digest", str_from(digest));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
    return r;
}

static int add_statement(struct buf *out, const struct firewall_act *act,
                         const struct firewall_sealing *sealing, enum firewall_outcome outcome,
                         const char *listing_digest, struct err *err)
{
    char now[CLOCK_TEXT_SIZE], user[KEY_USER_TEXT_MAX];
    clock_text(clock_now_ms(), now);
    key_user(user);
    buf_add_char(out, '{');
    add_text(out, "_type", STR(RECEIPT_STATEMENT));
    buf_add_text(out, ",\"subject\":[{");
    add_text(out, "name", act->table);
    buf_addf(out, ",\"digest\":{\"sha256\":\"%s\"}}]", sealing->text_digest + strlen("sha256:"));
    add_text(out, "predicateType", STR(FIREWALL_RECEIPT_PREDICATE));
    buf_add_text(out, ",\"predicate\":{");
    add_text(out, "id", str_from(sealing->id));
    add_text(out, "issuedAt", str_from(now));
    add_text(out, "subjectRef", str_from(user));
    add_text(out, "action", str_from(firewall_action_names[act->action]));
    add_text(out, "outcome", str_from(firewall_outcome_names[outcome]));
    add_text(out, "table", act->table);
    add_text(out, "textDigest", str_from(sealing->text_digest));
    if (listing_digest[0])
        add_text(out, "listingDigest", str_from(listing_digest));
    int r = add_documents(out, act, err);
    buf_add_text(out, "}}");
    return r;
}

static int seal(struct plane *plane, const struct firewall_act *act,
                struct firewall_sealing *sealing, enum firewall_outcome outcome,
                const char *listing_digest, struct err *err)
{
    _cleanup_(buf_release) struct buf statement = BUF_INIT_LIMIT(FIREWALL_RECEIPT_BYTES_MAX / 2);
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(FIREWALL_RECEIPT_BYTES_MAX);
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    struct sign_key *key = NULL;
    int r = add_statement(&statement, act, sealing, outcome, listing_digest, err);
    if (r == 0 && statement.error)
        r = err_set(err, ERR_LIMIT, STEP, "a receipt of %zu bytes", statement.len);
    if (r == 0)
        r = key_open_user(plane->options.config_folder, &key, err);
    if (r == 0)
        r = dsse_seal(key, STR(RECEIPT_PAYLOAD_TYPE), buf_str(&statement), &envelope, err);
    sign_key_free(key);
    if (r == 0)
        r = ledger_batch_new(&batch, err);
    if (r == 0)
        r = ledger_put_document(batch, STR(FIREWALL_RECEIPT_TYPE), str_from(sealing->id), STR(""),
                                buf_str(&envelope), sealing->revision, err);
    if (r == 0)
        r = ledger_commit(plane->ledger, batch, &position, err);
    ledger_batch_free(batch);
    if (r == 0)
        sealing->revision++;
    return r;
}

int firewall_receipt_begin(struct plane *plane, const struct firewall_act *act,
                           struct firewall_sealing *ret, struct err *err)
{
    struct firewall_sealing sealing = { .revision = LEDGER_NEW };
    char local[40];
    int r = urn_fresh(local, err);
    if (r == 0)
        urn_make(FIREWALL_RECEIPT_SLUG, str_from(local), sealing.id);
    if (r == 0)
        r = digest_text(act->text, sealing.text_digest, err);
    if (r == 0 && act->keep_text)
        r = ledger_store_artifact(plane->ledger, act->text, sealing.text_digest, err);
    if (r == 0)
        r = seal(plane, act, &sealing, FIREWALL_INTENDED, "", err);
    if (r == 0)
        *ret = sealing;
    return r;
}

int firewall_receipt_end(struct plane *plane, const struct firewall_act *act,
                         const struct firewall_sealing *sealing, enum firewall_outcome outcome,
                         struct str listing, struct err *err)
{
    struct firewall_sealing second = *sealing;
    char digest[DIGEST_TEXT_SIZE] = "";
    int r = listing.len ? digest_text(listing, digest, err) : 0;
    return r < 0 ? r : seal(plane, act, &second, outcome, digest, err);
}

/* --- reading ------------------------------------------------------------------------------- */

struct reading {
    struct sign_public key;
    struct str table; /* empty: any */
    struct firewall_receipt *found;
    size_t count, capacity;
};

static void copy(const yyjson_val *predicate, const char *name, char *ret, size_t size)
{
    struct str text = text_of(member(predicate, name));
    snprintf(ret, size, "%.*s", STR_ARG(text));
}

/* A later receipt takes the place of an earlier one about the same table. */
static int keep(struct reading *reading, const struct firewall_receipt *receipt, struct err *err)
{
    for (size_t i = 0; i < reading->count; i++) {
        if (strcmp(reading->found[i].table, receipt->table) == 0) {
            reading->found[i] = *receipt;
            return 0;
        }
    }
    if (reading->count == reading->capacity) {
        size_t larger = reading->capacity ? reading->capacity * 2 : 4;
        struct firewall_receipt *found = realloc(reading->found, larger * sizeof(*found));
        if (!found)
            return err_set(err, ERR_MEMORY, "read a receipt", "there is not enough memory");
        reading->found = found;
        reading->capacity = larger;
    }
    reading->found[reading->count++] = *receipt;
    return 0;
}

static int visit(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    struct reading *reading = context;
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(FIREWALL_RECEIPT_BYTES_MAX);
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct firewall_receipt receipt;
    (void)revision;
    int r = dsse_open(json, &reading->key, STR(RECEIPT_PAYLOAD_TYPE), &payload, err);
    if (r == 0)
        r = json_read(buf_str(&payload), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *predicate = at(yyjson_doc_get_root(doc), "/predicate");
    int action = vocabulary_index(firewall_action_names, FIREWALL_ACTION_COUNT,
                                  text_of(member(predicate, "action")));
    int outcome = vocabulary_index(firewall_outcome_names, FIREWALL_OUTCOME_COUNT,
                                   text_of(member(predicate, "outcome")));
    if (action < 0 || outcome < 0 || !text_of(member(predicate, "table")).len)
        return err_set(err, ERR_DAMAGED, "read a receipt", "%.*s is no receipt of a firewall",
                       STR_ARG(id));
    receipt.action = (enum firewall_action)action;
    receipt.outcome = (enum firewall_outcome)outcome;
    copy(predicate, "id", receipt.id, sizeof(receipt.id));
    copy(predicate, "table", receipt.table, sizeof(receipt.table));
    copy(predicate, "issuedAt", receipt.issued_at, sizeof(receipt.issued_at));
    copy(predicate, "listingDigest", receipt.listing_digest, sizeof(receipt.listing_digest));
    bool is_meant = !reading->table.len || str_equal(reading->table, str_from(receipt.table));
    return is_meant ? keep(reading, &receipt, err) : 0;
}

int firewall_receipt_each(struct plane *plane, struct str table, firewall_receipt_visit *each,
                          void *context, struct err *err)
{
    struct reading reading = { .table = table };
    struct sign_key *key;
    int r = key_open_user(plane->options.config_folder, &key, err);
    if (r < 0)
        return r;
    sign_key_public(key, &reading.key);
    sign_key_free(key);
    r = ledger_each_document(plane->ledger, STR(FIREWALL_RECEIPT_TYPE), STR(""), visit, &reading,
                             err);
    for (size_t i = 0; r == 0 && i < reading.count; i++)
        r = each(context, &reading.found[i], err);
    free(reading.found);
    return r;
}
