/*
 * effect_store: the document that an operation leaves behind, made durable.
 *
 * The document, the event that binds it to the chain and its place among the
 * operation's artifacts are one batch. It is there before the operation ends,
 * so that an operation which is carried out again finds what it had written.
 */
#include "base/clock.h"
#include "base/json.h"
#include "contract/catalogue.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "contract/validate.h"
#include "plane/work.h"

#define STEP_STORE "store a document"

int effect_refuse(struct work *work, struct effect_result *ret, const struct err *why,
                  struct err *err)
{
    ret->end = STATE_FAILED;
    ret->failure = *why;
    return work_reload(work, err);
}

int effect_stored(struct work *work, struct str id, yyjson_doc **ret, int64_t *ret_revision,
                  struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct err inner = { 0 };
    int r = ledger_get_document(work->plane->ledger, id, &text, ret_revision, &inner);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, ret, &inner);
    if (r < 0 && err)
        *err = inner;
    return r < 0 ? r : 1;
}

/* The event that binds it. */
static int add_binding(struct work *work, struct str id, const char *digest, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    buf_add_text(&extra, ",\"documents\":[{\"documentRef\":");
    json_add_string(&extra, id);
    buf_addf(&extra, ",\"digest\":\"%s\"}]", digest);
    if (extra.error)
        return err_set(err, ERR_MEMORY, STEP_STORE, "there is not enough memory");
    return work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

/* What an operation leaves for others; a fingerprint is evidence of the run alone. */
static bool is_artifact(const char *type)
{
    return strcmp(type, "AgentMachineFingerprint") != 0;
}

/* Where the operation and its task name it. */
static int add_artifact(struct work *work, const char *type, struct str id, const char *digest,
                        struct err *err)
{
    _cleanup_(buf_release) struct buf name = BUF_INIT, artifact = BUF_INIT;
    char now[CLOCK_TEXT_SIZE];
    json_add_string(&name, id);
    if (name.error)
        return err_set(err, ERR_MEMORY, STEP_STORE, "there is not enough memory");
    clock_text(work->now_ms, now);
    buf_addf(
        &artifact,
        "{\"artifactRef\":%s,\"artifactType\":\"%s\",\"digest\":\"%s\",\"state\":\"activated\","
        "\"storedAt\":\"%s\",\"admittedAt\":\"%s\",\"activatedAt\":\"%s\"}",
        name.data, type, digest, now, now, now);
    int r = work_append(work, WORK_OPERATION, "artifacts", buf_str(&artifact), err);
    return r < 0 ? r : work_append(work, WORK_TASK, "artifactRefs", buf_str(&name), err);
}

static int add_document(struct work *work, const char *type, struct str id, struct str json,
                        const yyjson_val *document, int64_t revision, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = jcs_digest(document, digest, err);
    if (r == 0)
        r = ledger_put_document(work->batch, str_from(type), id, work_operation(work), json,
                                revision, err);
    if (r == 0)
        r = add_binding(work, id, digest, err);
    return r < 0 || !is_artifact(type) ? r : add_artifact(work, type, id, digest, err);
}

int effect_add(struct work *work, const char *type, struct str id, struct str json, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json_read(json, &json_limits_default, &doc, err);
    return r < 0 ? r
                 : add_document(work, type, id, json, yyjson_doc_get_root(doc), LEDGER_NEW, err);
}

int effect_name(struct work *work, const char *type, struct str id, const char *digest,
                struct err *err)
{
    int r = add_binding(work, id, digest, err);
    return r < 0 ? r : add_artifact(work, type, id, digest, err);
}

int effect_store(struct work *work, const char *type, struct str id, struct str json,
                 int64_t revision, struct effect_result *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t room = work->type->need.of[DIMENSION_LOCAL_DISK_BYTES];
    if ((int64_t)json.len > room)
        return err_set(err, ERR_LIMIT, STEP_STORE,
                       "it would take %zu bytes, and %lld are set aside", json.len,
                       (long long)room);
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r == 0)
        r = plane_check_document(work->plane, yyjson_doc_get_root(doc), type, STEP_STORE, err);
    if (r == 0)
        r = add_document(work, type, id, json, yyjson_doc_get_root(doc), revision, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_STORED, err);
    if (r < 0)
        return r;
    ret->used.of[DIMENSION_LOCAL_DISK_BYTES] = (int64_t)json.len;
    ret->end = STATE_COMPLETED;
    return 0;
}
