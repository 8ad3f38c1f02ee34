/*
 * command: the commands that a surface writes for a person, about an operation
 * that stands in the ledger.
 */
#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/card.h"
#include "plane/compensate.h"
#include "plane/work.h"

#define STEP_WRITE "write a command"

static void add_text(struct buf *ret, const char *name, struct str text)
{
    buf_addf(ret, ",\"%s\":", name);
    json_add_string(ret, text);
}

/* What every command begins with; the actor is who runs this program. */
static int begin(struct buf *ret, const char *verb, struct err *err)
{
    char local[40], user[KEY_USER_TEXT_MAX], now[CLOCK_TEXT_SIZE];
    int r = urn_fresh(local, err);
    if (r < 0)
        return r;
    key_user(user);
    clock_text(clock_now_ms(), now);
    buf_addf(ret,
             "{\"id\":\"urn:srcos:operation-command:%s\",\"type\":\"OperationCommand\","
             "\"specVersion\":\"1.0.0\",\"command\":\"%s\",\"surface\":\"cli\",\"issuedAt\":\"%s\"",
             local, verb, now);
    add_text(ret, "actorRef", str_from(user));
    return 0;
}

static int end(struct buf *ret, struct err *err)
{
    buf_add_char(ret, '}');
    return ret->error ? err_set(err, ERR_MEMORY, STEP_WRITE, "there is not enough memory") : 0;
}

static int add_parameters(struct buf *ret, const struct buf *parameters, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char digest[DIGEST_TEXT_SIZE];
    int r = parameters->error ? err_set(err, ERR_LIMIT, STEP_WRITE, "its parameters do not fit")
                              : json_read(buf_str(parameters), &json_limits_default, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r == 0)
        buf_addf(ret, ",\"parameters\":%s,\"parametersDigest\":\"%s\"", parameters->data, digest);
    return r;
}

int plane_write_submit(const struct submission *submission, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    const struct operation_type_row *type = &operation_types[submission->type];
    char user[KEY_USER_TEXT_MAX], key[40];
    int r = urn_fresh(key, err);
    if (r == 0)
        r = begin(ret, "submit", err);
    if (r < 0)
        return r;
    key_user(user);
    add_text(ret, "operationType", str_from(operation_type_names[submission->type]));
    add_text(ret, "workspaceRef", submission->workspace);
    add_text(ret, "subjectRef", str_from(user));
    if (submission->compensates.len)
        add_text(ret, "compensatesRef", submission->compensates);
    if (submission->delegation.len)
        add_text(ret, "delegationRef", submission->delegation);
    if (submission->key.len || type->key_required)
        add_text(ret, "idempotencyKey", submission->key.len ? submission->key : str_from(key));
    if (submission->reason.len)
        add_text(ret, "reason", submission->reason);
    if (submission->ceiling.len)
        buf_addf(ret, ",\"budgetCeiling\":%.*s", STR_ARG(submission->ceiling));
    buf_addf(&parameters, "{\"%s\":", type->parameters);
    buf_add_str(&parameters, submission->parameters);
    buf_add_char(&parameters, '}');
    r = add_parameters(ret, &parameters, err);
    return r < 0 ? r : end(ret, err);
}

int plane_write_cancel(struct plane *plane, struct str operation, bool forced,
                       int64_t grace_seconds, struct str reason, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    _cleanup_(buf_release) struct buf parameters = BUF_INIT;
    int r = work_load(plane, operation, &work, err);
    if (r < 0)
        return r;
    buf_add_text(&parameters, "{\"executionOperationRef\":");
    json_add_string(&parameters, operation);
    buf_addf(&parameters, ",\"mode\":\"%s\"", forced ? "forced" : "graceful");
    if (grace_seconds >= 0)
        buf_addf(&parameters, ",\"gracePeriodSeconds\":%lld", (long long)grace_seconds);
    buf_add_char(&parameters, '}');
    struct submission submission = { .type = OPERATION_EXECUTION_CANCEL,
                                     .workspace = work_text(work, WORK_OPERATION, "workspaceRef"),
                                     .parameters = buf_str(&parameters),
                                     .reason = reason };
    return plane_write_submit(&submission, ret, err);
}

int plane_write_retry(struct plane *plane, struct str operation, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = work_load(plane, operation, &work, err);
    if (r < 0)
        return r;
    struct str key = work_text(work, WORK_OPERATION, "idempotencyKey");
    if (!key.len)
        return err_set(err, ERR_CONFLICT, STEP_WRITE,
                       "%.*s cannot be tried again: its command has no idempotency key",
                       STR_ARG(operation));
    r = begin(ret, "retry", err);
    if (r < 0)
        return r;
    add_text(ret, "operationRef", operation);
    add_text(ret, "workspaceRef", work_text(work, WORK_OPERATION, "workspaceRef"));
    add_text(ret, "subjectRef", work_text(work, WORK_OPERATION, "subjectRef"));
    add_text(ret, "idempotencyKey", key);
    return end(ret, err);
}

/* Whether a JSON text says what a value does. */
static bool is_same(struct str text, const yyjson_val *value)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    return json_read(text, &json_limits_default, &doc, NULL) == 0 && value &&
           yyjson_equals(yyjson_doc_get_root(doc), (yyjson_val *)value);
}

int plane_write_retry_of(struct plane *plane, struct str operation,
                         const struct submission *submission, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = work_load(plane, operation, &work, err);
    if (r < 0)
        return r;
    const yyjson_val *command = work_command(work);
    const char *other =
        work->operation_type != submission->type ||
                !str_equal(text_of(member(command, "workspaceRef")), submission->workspace)
            ? "folder"
        : !is_same(submission->parameters,
                   member(member(command, "parameters"), work->type->parameters))
            ? "command"
        : !is_same(submission->ceiling, member(command, "budgetCeiling")) ? "budget"
                                                                          : NULL;
    if (other)
        return err_set(err, ERR_CONFLICT, STEP_WRITE,
                       "%.*s was given with another %s; what is tried again is the same command",
                       STR_ARG(operation), other);
    return plane_write_retry(plane, operation, ret, err);
}

int plane_write_decide(struct plane *plane, const struct plane_answer *answer, struct buf *ret,
                       struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    struct card card = { 0 };
    int r = card_read(plane, answer->card, &card, err);
    if (r == 0)
        r = work_load(plane, text_of(member(card.root, "operationRef")), &work, err);
    card_release(&card);
    if (r == 0)
        r = begin(ret, "decide", err);
    if (r < 0)
        return r;
    char user[KEY_USER_TEXT_MAX];
    key_user(user);
    add_text(ret, "operationRef", work_operation(work));
    add_text(ret, "workspaceRef", work_text(work, WORK_OPERATION, "workspaceRef"));
    add_text(ret, "subjectRef", str_from(user));
    if (answer->delegation.len)
        add_text(ret, "delegationRef", answer->delegation);
    if (answer->reason.len)
        add_text(ret, "reason", answer->reason);
    buf_add_text(ret, ",\"decision\":{\"decisionCardRef\":");
    json_add_string(ret, answer->card);
    add_text(ret, "optionId", answer->option);
    if (answer->seconds)
        buf_addf(ret, ",\"durationSeconds\":%lld", (long long)answer->seconds);
    if (answer->uses)
        buf_addf(ret, ",\"maxUses\":%lld", (long long)answer->uses);
    buf_add_char(ret, '}');
    return end(ret, err);
}

int plane_write_control(struct plane *plane, const char *verb, struct str operation,
                        struct str reason, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    char user[KEY_USER_TEXT_MAX];
    int r = work_load(plane, operation, &work, err);
    if (r == 0)
        r = begin(ret, verb, err);
    if (r < 0)
        return r;
    key_user(user);
    add_text(ret, "operationRef", operation);
    add_text(ret, "workspaceRef", work_text(work, WORK_OPERATION, "workspaceRef"));
    add_text(ret, "subjectRef", str_from(user));
    if (reason.len)
        add_text(ret, "reason", reason);
    return end(ret, err);
}

int command_write_admit(const struct work *work, struct str artifact, const char *to,
                        struct str reason, struct buf *ret, struct err *err)
{
    char user[KEY_USER_TEXT_MAX];
    int r = begin(ret, "admit", err);
    if (r < 0)
        return r;
    key_user(user);
    add_text(ret, "operationRef", work_operation(work));
    add_text(ret, "workspaceRef", work_text(work, WORK_OPERATION, "workspaceRef"));
    add_text(ret, "subjectRef", str_from(user));
    if (reason.len)
        add_text(ret, "reason", reason);
    buf_add_text(ret, ",\"admission\":{\"artifactRef\":");
    json_add_string(ret, artifact);
    buf_addf(ret, ",\"to\":\"%s\"}", to);
    return end(ret, err);
}

static void add_paths(struct buf *ret, const char *name, const struct str *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_addf(ret, i ? "," : ",\"%s\":[", name);
        json_add_string(ret, paths[i].len ? paths[i] : STR("."));
    }
    buf_add_text(ret, count ? "]" : "");
}

int plane_write_change_set(struct plane *plane, const struct change_set_request *request,
                           struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    char urn[PLANE_URN_MAX];
    int r = work_load(plane, request->operation, &work, err);
    if (r < 0)
        return r;
    urn_make("change-set", urn_local(request->operation), urn);
    if (!artifact_find(work, str_from(urn)))
        return err_set(err, ERR_CONFLICT, STEP_WRITE,
                       "nothing was recorded of what the run %.*s changed",
                       STR_ARG(urn_local(request->operation)));
    r = command_write_admit(work, str_from(urn), admission_names[request->to], request->reason, ret,
                            err);
    if (r < 0)
        return r;
    buf_truncate(ret, ret->len - strlen("}}")); /* the admission goes on */
    add_paths(ret, "paths", request->paths, request->path_count);
    add_paths(ret, "heldPaths", request->held, request->held_count);
    buf_add_char(ret, '}');
    return end(ret, err);
}
