/*
 * change_set: see the header.
 *
 * Theory of operation. A change set is stored when its run ends, and waits for a person. What the
 * person decides is durable before it is done: a command to apply it makes it `admitted`, together
 * with the command and the paths in it; then the machine applies, and when nothing of it is left it
 * is `activated`. One to throw it away makes it `rejected`, or `archived` where parts of it had
 * been taken, and then its files go. A command about some paths leaves the state as it is, and is
 * an event of its own.
 *
 * A crash between the two leaves what was decided in the ledger, and the machine's journal; the
 * same command given again goes on from there.
 */
#include "plane/change_set.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "machine/kept.h"
#include "plane/compensate.h"
#include "plane/held_ask.h"

#define STEP_ADMIT    "admit a change set"
#define ID_PREFIX     STR("urn:srcos:change-set:")
#define ARTIFACT_TYPE "ChangeSet"
#define RACES_MAX     16

/* What a command asks. */
struct wanted {
    const yyjson_val *command;
    struct str artifact, command_id, reason;
    enum admission to;
    bool some; /* only paths of it */
};

bool change_set_is(struct str id)
{
    return str_starts(id, ID_PREFIX);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_ADMIT, "there is not enough memory");
}

/* --- when the run ends --------------------------------------------------------------------- */

static int tell_step(struct work *work, struct str id, const char *digest, const char *step,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    buf_add_text(&extra, ",\"admission\":{\"artifactRef\":");
    json_add_string(&extra, id);
    buf_addf(&extra, ",\"digest\":\"%s\",%s}", digest, step);
    return extra.error ? no_memory(err) : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

int change_set_add(struct work *work, struct str id, const struct change_sum *sum, struct err *err)
{
    const char *digest = sum->digest;
    _cleanup_(buf_release) struct buf name = BUF_INIT, artifact = BUF_INIT;
    char now[CLOCK_TEXT_SIZE];
    int r = tell_step(work, id, digest, "\"from\":\"not_stored\",\"to\":\"stored\"", err);
    if (r == 0)
        r = tell_step(work, id, digest,
                      "\"from\":\"stored\",\"to\":\"pending\",\"pendingFor\":\"policy\"", err);
    if (r < 0)
        return r;
    json_add_string(&name, id);
    clock_text(work->now_ms, now);
    buf_addf(&artifact,
             "{\"artifactRef\":%s,\"artifactType\":\"" ARTIFACT_TYPE
             "\",\"digest\":\"%s\",\"state\":\"pending\",\"pendingFor\":\"policy\","
             "\"storedAt\":\"%s\"}",
             name.data, digest, now);
    if (name.error || artifact.error)
        return no_memory(err);
    kept_note(work->plane->options.state_folder, urn_local(work_operation(work)),
              (int64_t)sum->bytes);
    r = work_append(work, WORK_OPERATION, "artifacts", buf_str(&artifact), err);
    return r < 0 ? r : work_append(work, WORK_TASK, "artifactRefs", buf_str(&name), err);
}

/* --- what a person decides ----------------------------------------------------------------- */

/* An event of the command alone. */
static int note(struct work *work, const struct wanted *wanted, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    buf_add_text(&extra, ",\"commandRef\":");
    json_add_string(&extra, wanted->command_id);
    return extra.error ? no_memory(err) : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

static int refuse_state(enum admission now, struct err *err)
{
    return err_set(err, ERR_CONFLICT, STEP_ADMIT, "the change set is %s already",
                   admission_names[now]);
}

static int move(struct work *work, yyjson_mut_val *artifact, enum admission to,
                const struct wanted *wanted, struct err *err)
{
    int r = admission_check(artifact_state(artifact), to, err);
    if (r == 0)
        r = artifact_move(work, artifact, to, wanted->command_id, wanted->reason, err);
    if (r == 0 && to != ADMISSION_ADMITTED)
        r = held_ask_withdraw(work, err);
    return r < 0 ? r : compensate_settle(work, err);
}

/* Where it leaves to: what had been taken in part was in service. */
static enum admission out_of(enum admission now)
{
    return now == ADMISSION_ADMITTED || now == ADMISSION_ACTIVATED ? ADMISSION_ARCHIVED
                                                                   : ADMISSION_REJECTED;
}

/* Puts what is decided into the batch. */
static int decide(struct work *work, yyjson_mut_val *artifact, const struct wanted *wanted,
                  struct err *err)
{
    enum admission now = artifact_state(artifact);
    bool takes = wanted->to == ADMISSION_ACTIVATED || wanted->to == ADMISSION_ADMITTED;
    if (now != ADMISSION_PENDING && now != ADMISSION_ADMITTED)
        return refuse_state(now, err);
    if (takes && now == ADMISSION_PENDING)
        return move(work, artifact, ADMISSION_ADMITTED, wanted, err);
    return takes || wanted->some ? note(work, wanted, err)
                                 : move(work, artifact, out_of(now), wanted, err);
}

/* Where it is done, and nothing of the change set is left. */
static int conclude(struct work *work, yyjson_mut_val *artifact, const struct wanted *wanted,
                    struct err *err)
{
    enum admission now = artifact_state(artifact);
    if (wanted->to == ADMISSION_ACTIVATED && now == ADMISSION_ADMITTED)
        return move(work, artifact, ADMISSION_ACTIVATED, wanted, err);
    if (wanted->to != ADMISSION_ACTIVATED && wanted->some &&
        (now == ADMISSION_PENDING || now == ADMISSION_ADMITTED))
        return move(work, artifact, out_of(now), wanted, err);
    return 1;
}

typedef int change_set_step(struct work *work, yyjson_mut_val *artifact,
                            const struct wanted *wanted, struct err *err);

/* One durable step; -EAGAIN where somebody else changed the operation meanwhile. */
static int step_once(struct plane *plane, const struct wanted *wanted,
                     const struct identity *identity, change_set_step *step, struct outcome *ret,
                     struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    struct err inner = { 0 };
    int r = work_load(plane, text_of(member(wanted->command, "operationRef")), &work, err);
    if (r == 0)
        r = artifact_check_person(work, wanted->command, err);
    if (r < 0)
        return r;
    yyjson_mut_val *artifact = artifact_find(work, wanted->artifact);
    if (!artifact)
        return err_set(err, ERR_NOT_FOUND, STEP_ADMIT, "the operation has no artifact %.*s",
                       STR_ARG(wanted->artifact));
    if (!state_is_end(work_state(work, WORK_OPERATION)))
        return err_set(err, ERR_CONFLICT, STEP_ADMIT, "the operation has not ended");
    work->actor = text_of(member(wanted->command, "actorRef"));
    r = step(work, artifact, wanted, err);
    if (r == 0 && identity)
        r = identity_put(work, identity, err);
    if (r == 0 && identity)
        r = command_put(work, wanted->command, err);
    if (r == 0) {
        r = work_commit(work, PLANE_STEP_COMPENSATED, &inner);
        if (r < 0 && err)
            *err = inner;
        r = r < 0 && inner.code == ERR_CONFLICT ? -EAGAIN : r;
    }
    if (r >= 0)
        finish_outcome(work, ret);
    return r < 0 ? r : 0;
}

static int step_through(struct plane *plane, const struct wanted *wanted,
                        const struct identity *identity, change_set_step *step, struct outcome *ret,
                        struct err *err)
{
    struct err inner = { 0 };
    int r = -EAGAIN;
    for (int race = 0; race < RACES_MAX && r == -EAGAIN; race++) {
        inner = (struct err){ 0 };
        r = step_once(plane, wanted, identity, step, ret, &inner);
    }
    if (r < 0 && err)
        *err = inner;
    return r;
}

int change_set_take(struct plane *plane, const yyjson_val *command, struct outcome *ret,
                    struct err *err)
{
    _cleanup_(identity_release) struct identity identity = { .key = BUF_INIT };
    struct wanted wanted = { .command = command,
                             .artifact = text_of(at(command, "/admission/artifactRef")),
                             .reason = text_of(member(command, "reason")),
                             .some = at(command, "/admission/paths") != NULL };
    struct str local = str_from_offset(wanted.artifact, ID_PREFIX.len);
    bool whole = false;
    int to =
        vocabulary_index(admission_names, ADMISSION_COUNT, text_of(at(command, "/admission/to")));
    assert(to >= 0); /* the schema has it */
    wanted.to = (enum admission)to;
    if (!plane->options.admission)
        return err_set(err, ERR_UNSUPPORTED, STEP_ADMIT,
                       "a change set is taken or thrown away by `agent-machine worktree apply "
                       "%.*s` and `worktree discard %.*s`",
                       STR_ARG(local), STR_ARG(local));
    int r = identity_of(command, &identity, err);
    if (r < 0)
        return r;
    wanted.command_id = identity.command;
    buf_reset(&identity.key);
    r = identity_find(plane, &identity, ret, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = step_through(plane, &wanted, &identity, decide, ret, err);
    if (r == 0)
        r = plane->options.admission(plane->options.admission_context, &whole, err);
    return r < 0 || !whole ? r : step_through(plane, &wanted, NULL, conclude, ret, err);
}
