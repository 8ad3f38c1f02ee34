/*
 * compensate: see the header.
 *
 * Theory of operation. How the effect of an operation is taken back stands in
 * the table of operation types. By an inverse operation: a submit that names
 * what it compensates; when it completes, the other one says by whom it was
 * compensated, and is `compensated` where it had failed or was cancelled. By a
 * task: its artifacts leave service through the command `admit`; of what had
 * failed or was cancelled, a compensation task joins the operation when the
 * last of them has left, and makes it `compensated`. What had completed stays
 * completed: that it happened is not undone.
 *
 * An archived profile is found by nobody, and its name is not given again. A
 * grant leaves service by its revocation alone; a change set by the worktree.
 */
#include "plane/compensate.h"

#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/change_set.h"
#include "plane/diagnostics.h"
#include "plane/model_binding.h"
#include "plane/profile.h"

#define STEP_ADMIT      "move an artifact"
#define STEP_COMPENSATE "compensate an operation"
#define RACES_MAX       16

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_COMPENSATE, "there is not enough memory");
}

static yyjson_mut_val *artifacts_of(const struct work *work)
{
    return yyjson_mut_obj_get(yyjson_mut_doc_get_root(work->records[WORK_OPERATION].doc),
                              "artifacts");
}

static struct str mut_text(yyjson_mut_val *object, const char *name)
{
    const char *text = yyjson_mut_get_str(yyjson_mut_obj_get(object, name));
    return str_from(text ? text : "");
}

enum admission artifact_state(yyjson_mut_val *artifact)
{
    int state = vocabulary_index(admission_names, ADMISSION_COUNT, mut_text(artifact, "state"));
    return state < 0 ? ADMISSION_REJECTED : (enum admission)state;
}

static bool is_live(yyjson_mut_val *artifact)
{
    enum admission state = artifact_state(artifact);
    return state != ADMISSION_ARCHIVED && state != ADMISSION_REJECTED;
}

yyjson_mut_val *artifact_find(const struct work *work, struct str id)
{
    size_t index, count;
    yyjson_mut_val *artifact;
    yyjson_mut_arr_foreach(artifacts_of(work), index, count, artifact)
    {
        if (str_equal(mut_text(artifact, "artifactRef"), id))
            return artifact;
    }
    return NULL;
}

/* The first that is still in service; NULL: none is. */
static yyjson_mut_val *first_live(const struct work *work)
{
    size_t index, count;
    yyjson_mut_val *artifact;
    yyjson_mut_arr_foreach(artifacts_of(work), index, count, artifact)
    {
        if (is_live(artifact))
            return artifact;
    }
    return NULL;
}

/* --- the compensation task ----------------------------------------------------------------- */

static int tell_task(struct work *work, const char *task, const char *from, const char *to,
                     enum event_type type, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    buf_addf(&extra,
             ",\"taskRef\":\"%s\",\"transition\":{\"of\":\"task\",\"from\":%s%s%s,\"to\":\"%s\"}",
             task, from ? "\"" : "", from ? from : "null", from ? "\"" : "", to);
    return extra.error ? no_memory(err) : work_event(work, type, buf_str(&extra), err);
}

/* A task that has done its work when it is written down: the artifacts have left service. */
static int add_task(struct work *work, char ret_task[PLANE_URN_MAX], struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, name = BUF_INIT;
    char local[40], now[CLOCK_TEXT_SIZE];
    int r = urn_fresh(local, err);
    if (r < 0)
        return r;
    urn_make("operation-task", str_from(local), ret_task);
    clock_text(clock_now_ms(), now);
    buf_addf(&json,
             "{\"id\":\"%s\",\"type\":\"OperationTask\",\"specVersion\":\"1.0.0\","
             "\"operationRef\":\"%.*s\",\"taskType\":\"%s\",\"role\":\"compensation\","
             "\"ordinal\":1,\"state\":\"completed\",\"createdAt\":\"%s\",\"stateChangedAt\":\"%s\","
             "\"startedAt\":\"%s\",\"endedAt\":\"%s\",\"retryable\":false,\"attempt\":1,"
             "\"compensatesRef\":\"%.*s\"}",
             ret_task, STR_ARG(work_operation(work)), operation_type_names[work->operation_type],
             now, now, now, now, STR_ARG(work_text(work, WORK_TASK, "id")));
    json_add_string(&name, str_from(ret_task));
    r = json.error || name.error
            ? no_memory(err)
            : ledger_put_document(work->batch, STR("OperationTask"), str_from(ret_task),
                                  work_operation(work), buf_str(&json), LEDGER_NEW, err);
    if (r == 0)
        r = work_append(work, WORK_OPERATION, "taskRefs", buf_str(&name), err);
    if (r == 0)
        r = tell_task(work, ret_task, NULL, "queued", EVENT_START, err);
    if (r == 0)
        r = tell_task(work, ret_task, "queued", "running", EVENT_START, err);
    return r < 0 ? r : tell_task(work, ret_task, "running", "completed", EVENT_COMPLETE, err);
}

static bool is_compensable(const struct work *work)
{
    enum state state = work_state(work, WORK_OPERATION);
    return state == STATE_FAILED || state == STATE_CANCELED;
}

int compensate_settle(struct work *work, struct err *err)
{
    char task[PLANE_URN_MAX];
    if (!is_compensable(work) || first_live(work))
        return 0;
    int r = add_task(work, task, err);
    struct change change = { .to = STATE_COMPENSATED, .compensated_by = str_from(task) };
    return r < 0 ? r : work_change_both(work, &change, err);
}

/* --- admit --------------------------------------------------------------------------------- */

/* What a type of artifact needs beside the change of its state. */
static int leave_service(struct work *work, yyjson_mut_val *artifact, enum admission to,
                         struct err *err)
{
    struct str type = mut_text(artifact, "artifactType"), id = mut_text(artifact, "artifactRef");
    if (str_equal(type, STR("ToolGrantRecord")))
        return err_set(err, ERR_CONFLICT, STEP_ADMIT,
                       "a grant is taken back by `agent-machine grant revoke %.*s`", STR_ARG(id));
    if (str_equal(type, STR(MODEL_BINDING_TYPE)))
        return err_set(
            err, ERR_CONFLICT, STEP_ADMIT,
            "a binding is undone by `agent-machine model unbind`, not by leaving service");
    if (!str_equal(type, STR(PROFILE_TYPE)) || to != ADMISSION_ARCHIVED)
        return 0;
    if (str_equal(id, STR(PROFILE_PERSONAL)))
        return err_set(err, ERR_CONFLICT, STEP_ADMIT,
                       "the personal profile stays, for runs that name none");
    return ledger_put_key(work->batch, STR(PROFILE_ARCHIVED_SPACE), id, work_operation(work), err);
}

/* When it was admitted, and activated; and what it waited for is no more. */
static bool set_moment(struct work *work, yyjson_mut_val *artifact, enum admission to)
{
    yyjson_mut_doc *doc = work->records[WORK_OPERATION].doc;
    const char *name = to == ADMISSION_ADMITTED    ? "admittedAt"
                       : to == ADMISSION_ACTIVATED ? "activatedAt"
                                                   : NULL;
    char now[CLOCK_TEXT_SIZE];
    clock_text(work->now_ms, now);
    yyjson_mut_obj_remove_key(artifact, "pendingFor");
    return !name ||
           yyjson_mut_obj_put(artifact, yyjson_mut_str(doc, name), yyjson_mut_strcpy(doc, now));
}

int artifact_move(struct work *work, yyjson_mut_val *artifact, enum admission to,
                  struct str command, struct str reason, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    yyjson_mut_doc *doc = work->records[WORK_OPERATION].doc;
    bool rejected = to == ADMISSION_REJECTED;
    if (rejected && !reason.len)
        reason = STR("No reason was given.");
    buf_add_text(&extra, ",\"commandRef\":");
    json_add_string(&extra, command);
    buf_add_text(&extra, ",\"admission\":{\"artifactRef\":");
    json_add_string(&extra, mut_text(artifact, "artifactRef"));
    buf_addf(&extra, ",\"digest\":\"%.*s\",\"from\":\"%.*s\",\"to\":\"%s\"",
             STR_ARG(mut_text(artifact, "digest")), STR_ARG(mut_text(artifact, "state")),
             admission_names[to]);
    if (rejected) {
        buf_add_text(&extra, ",\"reason\":");
        json_add_string(&extra, reason);
        yyjson_mut_obj_put(artifact, yyjson_mut_str(doc, "reason"),
                           yyjson_mut_strncpy(doc, reason.ptr, reason.len));
    }
    buf_add_char(&extra, '}');
    if (extra.error || !set_moment(work, artifact, to) ||
        !yyjson_mut_obj_put(artifact, yyjson_mut_str(doc, "state"),
                            yyjson_mut_str(doc, admission_names[to])))
        return no_memory(err);
    work->records[WORK_OPERATION].changed = true;
    return work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

int artifact_check_person(const struct work *work, const yyjson_val *command, struct err *err)
{
    char user[KEY_USER_TEXT_MAX];
    struct sign_key *key;
    key_user(user);
    if (!text_is(member(command, "actorRef"), user))
        return err_set(err, ERR_DENIED, STEP_ADMIT, "only %s can do that here", user);
    if (!str_equal(text_of(member(command, "workspaceRef")),
                   work_text(work, WORK_OPERATION, "workspaceRef")))
        return err_set(err, ERR_DENIED, STEP_ADMIT, "it is of another workspace");
    int r = key_open_user(work->plane->options.config_folder, &key, err);
    if (r == 0)
        sign_key_free(key);
    return r;
}

/* 1: it stands so already; 0 with all of it in the batch; or -errno. */
static int admit(struct work *work, const yyjson_val *command, const struct identity *identity,
                 struct err *err)
{
    struct str id = text_of(at(command, "/admission/artifactRef"));
    int to =
        vocabulary_index(admission_names, ADMISSION_COUNT, text_of(at(command, "/admission/to")));
    yyjson_mut_val *artifact = artifact_find(work, id);
    if (!artifact || to < 0)
        return err_set(err, ERR_NOT_FOUND, STEP_ADMIT, "the operation has no artifact %.*s",
                       STR_ARG(id));
    if (artifact_state(artifact) == (enum admission)to)
        return 1;
    if (!state_is_end(work_state(work, WORK_OPERATION)))
        return err_set(err, ERR_CONFLICT, STEP_ADMIT, "the operation has not ended");
    int r = admission_check(artifact_state(artifact), (enum admission)to, err);
    if (r == 0)
        r = leave_service(work, artifact, (enum admission)to, err);
    work->actor = text_of(member(command, "actorRef"));
    if (r == 0)
        r = artifact_move(work, artifact, (enum admission)to, identity->command,
                          text_of(member(command, "reason")), err);
    return r < 0 ? r : compensate_settle(work, err);
}

/* One try; -EAGAIN where somebody else changed the operation meanwhile. */
static int admit_once(struct plane *plane, const yyjson_val *command,
                      const struct identity *identity, struct outcome *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    struct err inner = { 0 };
    int r = work_load(plane, text_of(member(command, "operationRef")), &work, err);
    if (r == 0)
        r = artifact_check_person(work, command, err);
    if (r < 0)
        return r;
    r = admit(work, command, identity, err);
    if (r == 0)
        r = identity_put(work, identity, err);
    if (r == 0)
        r = command_put(work, command, err);
    if (r < 0)
        return r;
    bool stands = r > 0;
    r = stands ? 0 : work_commit(work, PLANE_STEP_COMPENSATED, &inner);
    if (r < 0) {
        if (err)
            *err = inner;
        return inner.code == ERR_CONFLICT ? -EAGAIN : r;
    }
    struct str id = text_of(at(command, "/admission/artifactRef"));
    if (!is_live(artifact_find(work, id)))
        diagnostics_forget(plane, id);
    finish_outcome(work, ret);
    ret->repeated = stands;
    return 0;
}

int admit_take(struct plane *plane, const yyjson_val *command, struct outcome *ret, struct err *err)
{
    if (change_set_is(text_of(at(command, "/admission/artifactRef"))))
        return change_set_take(plane, command, ret, err);
    _cleanup_(identity_release) struct identity identity = { .key = BUF_INIT };
    struct err inner = { 0 };
    int r = identity_of(command, &identity, err);
    if (r < 0)
        return r;
    buf_reset(&identity.key);
    r = -EAGAIN;
    for (int race = 0; race < RACES_MAX && r == -EAGAIN; race++) {
        r = identity_find(plane, &identity, ret, err);
        if (r != 0)
            return r < 0 ? r : 0;
        inner = (struct err){ 0 };
        r = admit_once(plane, command, &identity, ret, &inner);
    }
    if (r < 0 && err)
        *err = inner;
    return r;
}

/* --- by an inverse operation --------------------------------------------------------------- */

static int refuse(struct err *err, struct str target, const char *why)
{
    int r = err_set(err, ERR_DOCUMENT, STEP_COMPENSATE, "%.*s %s", STR_ARG(target), why);
    err_where(err, "/compensatesRef");
    return r;
}

int compensate_check(struct plane *plane, const yyjson_val *command, struct err *err)
{
    _cleanup_(cleanup_work) struct work *target = NULL;
    struct str id = text_of(member(command, "compensatesRef"));
    int type = vocabulary_index(operation_type_names, OPERATION_TYPE_COUNT,
                                text_of(member(command, "operationType")));
    if (!id.len)
        return 0;
    int r = work_load(plane, id, &target, err);
    if (r < 0)
        return r;
    const struct operation_type_row *row = target->type;
    if (row->compensation != COMPENSATION_INVERSE || (int)row->inverse != type)
        return refuse(err, id, "is not taken back by an operation of this type");
    if (!str_equal(text_of(member(command, "workspaceRef")),
                   work_text(target, WORK_OPERATION, "workspaceRef")))
        return refuse(err, id, "is of another workspace");
    if (!state_is_end(work_state(target, WORK_OPERATION)))
        return refuse(err, id, "has not ended");
    struct str record = text_of(at(command, "/parameters/toolGrantRevoke/toolGrantRecordRef"));
    return !record.len || artifact_find(target, record) ? 0
                                                        : refuse(err, id, "made no such record");
}

static int note_once(struct work *work, struct str target_id, struct err *err)
{
    _cleanup_(cleanup_work) struct work *target = NULL;
    int r = work_load(work->plane, target_id, &target, err);
    if (r < 0 || work_text(target, WORK_OPERATION, "compensatedByRef").len)
        return r;
    struct change change = { .to = STATE_COMPENSATED, .compensated_by = work_operation(work) };
    if (is_compensable(target))
        r = work_change_both(target, &change, err);
    else
        work_set_text(target, WORK_OPERATION, "compensatedByRef", work_operation(work));
    return r < 0 ? r : work_commit(target, PLANE_STEP_COMPENSATED, err);
}

int compensate_note(struct work *work, struct err *err)
{
    struct str target = text_of(member(work_command(work), "compensatesRef"));
    struct err inner = { .code = ERR_CONFLICT };
    int r = target.len ? -EEXIST : 0;
    for (int race = 0; race < RACES_MAX && r < 0 && inner.code == ERR_CONFLICT; race++) {
        inner = (struct err){ 0 };
        r = note_once(work, target, &inner);
    }
    if (r < 0 && err)
        *err = inner;
    return r;
}

/* --- the command --------------------------------------------------------------------------- */

static int write_admit(const struct work *work, yyjson_mut_val *artifact, struct str reason,
                       struct buf *ret, struct err *err)
{
    bool active = artifact_state(artifact) == ADMISSION_ADMITTED ||
                  artifact_state(artifact) == ADMISSION_ACTIVATED;
    return command_write_admit(work, mut_text(artifact, "artifactRef"),
                               admission_names[active ? ADMISSION_ARCHIVED : ADMISSION_REJECTED],
                               reason, ret, err);
}

static int write_unbind(const yyjson_val *parameters, struct buf *ret, struct err *err)
{
    if (text_is(member(parameters, "action"), "unbind"))
        return err_set(err, ERR_CONFLICT, STEP_COMPENSATE,
                       "what was unbound is bound anew by `agent-machine model bind`");
    buf_add_text(ret, "{\"action\":\"unbind\",\"agentMachineProfileRef\":");
    json_add_string(ret, text_of(member(parameters, "agentMachineProfileRef")));
    buf_add_text(ret, ",\"providerRef\":");
    json_add_string(ret, text_of(member(parameters, "providerRef")));
    buf_add_char(ret, '}');
    return 0;
}

/* A grant is taken back by its record, a binding by what it ties. */
static int write_inverse_parameters(const struct work *work, yyjson_mut_val *artifact,
                                    struct buf *ret, struct err *err)
{
    if (work->type->inverse == OPERATION_MODEL_PROVIDER_BIND)
        return write_unbind(at(work_command(work), "/parameters/modelProviderBind"), ret, err);
    buf_add_text(ret, "{\"toolGrantRecordRef\":");
    json_add_string(ret, mut_text(artifact, "artifactRef"));
    buf_add_char(ret, '}');
    return 0;
}

static int write_inverse(const struct work *work, yyjson_mut_val *artifact, struct str reason,
                         struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT;
    int r = write_inverse_parameters(work, artifact, &parameters, err);
    if (r < 0)
        return r;
    struct submission submission = { .type = work->type->inverse,
                                     .workspace = work_text(work, WORK_OPERATION, "workspaceRef"),
                                     .parameters = buf_str(&parameters),
                                     .reason = reason,
                                     .compensates = work_operation(work) };
    return parameters.error ? no_memory(err) : plane_write_submit(&submission, ret, err);
}

int plane_write_compensate(struct plane *plane, struct str operation, struct str reason,
                           struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = work_load(plane, operation, &work, err);
    if (r < 0)
        return r;
    yyjson_mut_val *artifact = first_live(work);
    if (work->type->compensation == COMPENSATION_NONE)
        return err_set(err, ERR_CONFLICT, STEP_COMPENSATE, "%s is not taken back",
                       operation_type_names[work->operation_type]);
    if (!artifact || work_text(work, WORK_OPERATION, "compensatedByRef").len)
        return err_set(err, ERR_CONFLICT, STEP_COMPENSATE,
                       "%.*s has left nothing that could be taken back", STR_ARG(operation));
    return work->type->compensation == COMPENSATION_TASK
               ? write_admit(work, artifact, reason, ret, err)
               : write_inverse(work, artifact, reason, ret, err);
}
