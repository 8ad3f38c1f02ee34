/*
 * delegation_store: what the ledger keeps of delegations.
 *
 * Theory of operation. An envelope is a document under its delegation's URN,
 * written once. A revocation is a key, taken once, so that of two who revoke
 * one is told that it is done; it needs no signature, since who writes this
 * ledger decides what it lets run. Each comes with its event in the same
 * batch: the chain of events says who could do what, and until when.
 */
#include <sys/random.h>

#include "authority/delegation.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"

#define STEP "record a delegation"

/* --- reading ------------------------------------------------------------------------------- */

static int fetch(void *context, struct str urn, struct buf *ret, struct err *err)
{
    int64_t revision;
    return ledger_get_document(context, urn, ret, &revision, err);
}

static int revoked(void *context, struct str urn, struct err *err)
{
    _cleanup_(buf_release) struct buf value = BUF_INIT;
    struct err inner = { 0 };
    int r = ledger_get_key(context, STR(DELEGATION_REVOCATION_SPACE), urn, &value, &inner);
    if (r < 0 && r != -ENOENT && err)
        *err = inner;
    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

void delegation_source_of(struct ledger *ledger, const struct sign_public *root,
                          struct delegation_source *ret)
{
    *ret = (struct delegation_source){
        .fetch = fetch, .revoked = revoked, .context = ledger, .root = *root
    };
}

/* --- writing ------------------------------------------------------------------------------- */

/* An event about a delegation, up to where its own members begin. */
static int begin_event(struct buf *event, struct str urn, const char *action, struct str actor,
                       const char *at_text, struct err *err)
{
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set_errno(err, errno, STEP, "the kernel gives no random bytes");
    buf_addf(event,
             "{\"id\":\"urn:srcos:operation-event:delegation-%s-%016llx\","
             "\"type\":\"OperationEvent\",\"specVersion\":\"1.0.0\",\"occurredAt\":\"%s\","
             "\"eventType\":\"progress\",\"actorRef\":",
             action, (unsigned long long)random, at_text);
    json_add_string(event, actor);
    buf_add_text(event, ",\"delegation\":{\"delegationRef\":");
    json_add_string(event, urn);
    buf_addf(event, ",\"action\":\"%s\"", action);
    return 0;
}

static int add_event(struct ledger_batch *batch, const struct buf *event, struct err *err)
{
    return event->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory")
                        : ledger_add_event(batch, buf_str(event), err);
}

int delegation_peek(struct str envelope, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DELEGATION_BYTES_MAX);
    int r = dsse_peek(envelope, &payload, err);
    return r < 0 ? r : json_read(buf_str(&payload), &json_limits_default, ret, err);
}

int delegation_get(struct ledger *ledger, struct str urn, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    int64_t revision;
    int r = ledger_get_document(ledger, urn, &envelope, &revision, err);
    return r < 0 ? r : delegation_peek(buf_str(&envelope), ret, err);
}

int delegation_put(struct ledger_batch *batch, struct str envelope, int64_t now_ms, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf event = BUF_INIT_LIMIT(LEDGER_EVENT_BYTES_MAX);
    char now[CLOCK_TEXT_SIZE], digest[DIGEST_TEXT_SIZE];
    int r = delegation_peek(envelope, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    struct str urn = text_of(member(root, "id"));
    clock_text(now_ms, now);
    r = begin_event(&event, urn, member(root, "parent") ? "passed-on" : "issued",
                    text_of(member(root, "issuerRef")), now, err);
    if (r < 0)
        return r;
    buf_add_text(&event, "},\"documents\":[{\"documentRef\":");
    json_add_string(&event, urn);
    buf_addf(&event, ",\"digest\":\"%s\"}]}", digest);
    r = ledger_put_document(batch, STR(DELEGATION_ENVELOPE_TYPE), urn, STR(""), envelope,
                            LEDGER_NEW, err);
    return r < 0 ? r : add_event(batch, &event, err);
}

int delegation_put_revocation(struct ledger_batch *batch, struct str urn, struct str actor,
                              struct str reason, int64_t now_ms, struct err *err)
{
    _cleanup_(buf_release) struct buf event = BUF_INIT_LIMIT(LEDGER_EVENT_BYTES_MAX);
    char now[CLOCK_TEXT_SIZE];
    clock_text(now_ms, now);
    int r = begin_event(&event, urn, "revoked", actor, now, err);
    if (r < 0)
        return r;
    if (reason.len) {
        buf_add_text(&event, ",\"reason\":");
        json_add_string(&event, reason);
    }
    buf_add_text(&event, "}}");
    r = ledger_put_key(batch, STR(DELEGATION_REVOCATION_SPACE), urn, str_from(now), err);
    return r < 0 ? r : add_event(batch, &event, err);
}
