/*
 * work: see the header.
 *
 * Theory of operation. The operation and its task are kept as they stand in
 * the ledger, with the revision they had there. A change is checked, made in
 * these copies and told in an event that joins the batch; committing adds the
 * changed documents to the batch on condition of their revision. So whoever
 * commits first (the process that carries the work out, one that cancels it,
 * one that recovers it) is right, and the other learns it and reads again.
 *
 * Invariants:
 *  1. Nobody writes `state` but work_change, and it writes nothing that
 *     state_check refuses. A document begins as queued (work_new).
 *  2. A document and the event of its change are in the same batch.
 *  3. An operation that is not at its end has a Supervision document, by which
 *     recovery finds it without reading all that ever was.
 *  4. Nothing that a new operation did is in the ledger before its first commit,
 *     so until then nobody else has changed it, and work_back undoes all of it.
 *  5. Moments of one operation never go back, whatever the clock does.
 */
#include "plane/work.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/asked.h"

#define FOLLOWS_MAX 16 /* changes by others that one commit follows */

static const char *const document_types[WORK_DOCUMENT_COUNT] = {
    [WORK_OPERATION] = "WorkspaceOperation",
    [WORK_TASK] = "OperationTask",
};

static const enum event_type event_of[STATE_COUNT] = {
    [STATE_QUEUED] = EVENT_START,
    [STATE_PREFLIGHTING] = EVENT_START,
    [STATE_AWAITING_DECISION] = EVENT_PROGRESS,
    [STATE_BLOCKED] = EVENT_PROGRESS,
    [STATE_RUNNING] = EVENT_START,
    [STATE_PAUSED] = EVENT_PROGRESS,
    [STATE_RETRYING] = EVENT_RETRY,
    [STATE_CANCELING] = EVENT_CANCEL,
    [STATE_CANCELED] = EVENT_CANCEL,
    [STATE_FAILED] = EVENT_FAILURE,
    [STATE_COMPLETED] = EVENT_COMPLETE,
    [STATE_COMPLETED_WITH_WARNINGS] = EVENT_COMPLETE,
    [STATE_COMPENSATED] = EVENT_COMPLETE,
    [STATE_STALE] = EVENT_PROGRESS,
};
static_assert(STATE_STALE + 1 == STATE_COUNT, "every state has an event");

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_PLANE, "there is not enough memory");
}

/* --- members of the documents -------------------------------------------------------------- */

static yyjson_mut_val *root_of(const struct work *work, enum work_document of)
{
    return yyjson_mut_doc_get_root(work->records[of].doc);
}

struct str work_text(const struct work *work, enum work_document of, const char *name)
{
    yyjson_mut_val *value = yyjson_mut_obj_get(root_of(work, of), name);
    return yyjson_mut_is_str(value) ? str_make(yyjson_mut_get_str(value), yyjson_mut_get_len(value))
                                    : STR("");
}

static uint64_t number_of(yyjson_mut_val *value)
{
    return yyjson_mut_is_raw(value) ? strtoull(yyjson_mut_get_raw(value), NULL, 10)
                                    : yyjson_mut_get_uint(value);
}

uint64_t work_count(const struct work *work, enum work_document of, const char *name)
{
    return number_of(yyjson_mut_obj_get(root_of(work, of), name));
}

enum state work_state(const struct work *work, enum work_document of)
{
    int state = vocabulary_index(state_names, STATE_COUNT, work_text(work, of, "state"));
    return state < 0 ? STATE_FAILED : (enum state)state;
}

/* A value that could not be made is NULL, which put refuses; the commit finds it missing. */
static void put(struct work *work, enum work_document of, const char *name, yyjson_mut_val *value)
{
    yyjson_mut_doc *doc = work->records[of].doc;
    yyjson_mut_obj_put(root_of(work, of), yyjson_mut_strcpy(doc, name), value);
    work->records[of].changed = true;
}

void work_set_text(struct work *work, enum work_document of, const char *name, struct str text)
{
    put(work, of, name, yyjson_mut_strncpy(work->records[of].doc, text.ptr, text.len));
}

static void set_count(struct work *work, enum work_document of, const char *name, int64_t count)
{
    put(work, of, name, yyjson_mut_sint(work->records[of].doc, count));
}

static void drop(struct work *work, enum work_document of, const char *name)
{
    yyjson_mut_obj_remove_key(root_of(work, of), name);
    work->records[of].changed = true;
}

static yyjson_mut_val *value_of_json(yyjson_mut_doc *doc, struct str json)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *read = yyjson_read(json.ptr, json.len, 0);
    return read ? yyjson_val_mut_copy(doc, yyjson_doc_get_root(read)) : NULL;
}

int work_append(struct work *work, enum work_document of, const char *name, struct str json,
                struct err *err)
{
    yyjson_mut_doc *doc = work->records[of].doc;
    yyjson_mut_val *array = yyjson_mut_obj_get(root_of(work, of), name);
    if (!array) {
        put(work, of, name, yyjson_mut_arr(doc));
        array = yyjson_mut_obj_get(root_of(work, of), name);
    }
    work->records[of].changed = true;
    return yyjson_mut_arr_append(array, value_of_json(doc, json)) ? 0 : no_memory(err);
}

struct holder work_holder(const struct work *work)
{
    yyjson_mut_val *supervisor = yyjson_mut_obj_get(root_of(work, WORK_TASK), "supervisor");
    const char *boot_id = yyjson_mut_get_str(yyjson_mut_obj_get(supervisor, "bootId"));
    struct holder holder = {
        .pid = (int64_t)number_of(yyjson_mut_obj_get(supervisor, "pid")),
        .start_ticks = (int64_t)number_of(yyjson_mut_obj_get(supervisor, "startTimeTicks")),
    };
    snprintf(holder.boot_id, sizeof(holder.boot_id), "%s", boot_id ? boot_id : "");
    return holder;
}

void work_set_holder(struct work *work)
{
    yyjson_mut_doc *doc = work->records[WORK_TASK].doc;
    const struct holder *self = &work->plane->self;
    yyjson_mut_val *supervisor = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_sint(doc, supervisor, "pid", self->pid);
    yyjson_mut_obj_add_sint(doc, supervisor, "startTimeTicks", self->start_ticks);
    yyjson_mut_obj_add_strcpy(doc, supervisor, "bootId", self->boot_id);
    put(work, WORK_TASK, "supervisor", supervisor);
}

/* --- reading and making -------------------------------------------------------------------- */

static int begin_batch(struct work *work, struct err *err)
{
    ledger_batch_free(TAKE_PTR(work->batch));
    return ledger_batch_new(&work->batch, err);
}

static int read_record(struct work *work, struct str id, struct record *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    int64_t revision;
    int r = ledger_get_document(work->plane->ledger, id, &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    if (!copy)
        return no_memory(err);
    yyjson_mut_doc_free(ret->doc);
    *ret = (struct record){ .doc = copy, .revision = revision };
    return 0;
}

static void note_moment(struct work *work, enum work_document of)
{
    int64_t moment;
    if (clock_parse(work_text(work, of, "stateChangedAt"), &moment) && moment > work->now_ms)
        work->now_ms = moment;
}

static void advance_clock(struct work *work)
{
    int64_t now = clock_now_ms();
    if (now > work->now_ms)
        work->now_ms = now;
}

static int read_documents(struct work *work, struct str operation, struct err *err)
{
    int r = read_record(work, operation, &work->records[WORK_OPERATION], err);
    if (r < 0)
        return r;
    yyjson_mut_val *tasks = yyjson_mut_obj_get(root_of(work, WORK_OPERATION), "taskRefs");
    const char *task = yyjson_mut_get_str(yyjson_mut_arr_get_first(tasks));
    int type = vocabulary_index(operation_type_names, OPERATION_TYPE_COUNT,
                                work_text(work, WORK_OPERATION, "operationType"));
    if (!task || type < 0)
        return err_set(err, ERR_NOT_FOUND, STEP_PLANE, "%.*s is no operation of this plane",
                       STR_ARG(operation));
    work->operation_type = (enum operation_type)type;
    work->type = &operation_types[type];
    r = read_record(work, str_from(task), &work->records[WORK_TASK], err);
    if (r < 0)
        return r;
    work->supervised = !state_is_end(work_state(work, WORK_OPERATION));
    work->moved = false;
    note_moment(work, WORK_OPERATION);
    note_moment(work, WORK_TASK);
    return begin_batch(work, err);
}

/* --- going back ---------------------------------------------------------------------------- */

static void forget_kept(struct work *work)
{
    for (size_t i = 0; i < WORK_DOCUMENT_COUNT; i++)
        yyjson_mut_doc_free(TAKE_PTR(work->kept[i].doc));
}

/* Both or neither; what was in `to` is freed. */
static int copy_records(struct record *to, const struct record *from, struct err *err)
{
    yyjson_mut_doc *copies[WORK_DOCUMENT_COUNT];
    bool all = true;
    for (size_t i = 0; i < WORK_DOCUMENT_COUNT; i++) {
        copies[i] = yyjson_mut_doc_mut_copy(from[i].doc, NULL);
        all = all && copies[i];
    }
    for (size_t i = 0; i < WORK_DOCUMENT_COUNT; i++) {
        yyjson_mut_doc_free(all ? to[i].doc : copies[i]);
        if (!all)
            continue;
        to[i] = from[i];
        to[i].doc = copies[i];
    }
    return all ? 0 : no_memory(err);
}

bool work_is_new(const struct work *work)
{
    return work->records[WORK_OPERATION].revision == LEDGER_NEW;
}

int work_keep(struct work *work, struct err *err)
{
    work->kept_batch = ledger_batch_size(work->batch);
    return copy_records(work->kept, work->records, err);
}

int work_back(struct work *work, struct err *err)
{
    if (!work->kept[WORK_OPERATION].doc)
        return work_reload(work, err);
    ledger_batch_cut(work->batch, work->kept_batch);
    return copy_records(work->records, work->kept, err);
}

int work_reload(struct work *work, struct err *err)
{
    char operation[PLANE_URN_MAX];
    snprintf(operation, sizeof(operation), "%.*s", STR_ARG(work_operation(work)));
    forget_kept(work);
    return read_documents(work, str_from(operation), err);
}

static int read_command(struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    int64_t revision;
    int r = ledger_get_document(work->plane->ledger, work_text(work, WORK_OPERATION, "commandRef"),
                                &text, &revision, err);
    return r < 0 ? r : json_read(buf_str(&text), &json_limits_default, &work->command, err);
}

static struct work *work_empty(struct plane *plane)
{
    struct work *work = calloc(1, sizeof(*work));
    if (!work)
        return NULL;
    work->plane = plane;
    work->actor = PLANE_ACTOR;
    work->doorbell = -1;
    return work;
}

int work_load(struct plane *plane, struct str operation, struct work **ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = work_empty(plane);
    if (!work)
        return no_memory(err);
    int r = read_documents(work, operation, err);
    if (r == 0)
        r = read_command(work, err);
    if (r == 0)
        *ret = TAKE_PTR(work);
    return r;
}

void work_free(struct work *work)
{
    if (!work)
        return;
    asked_close(work);
    for (size_t i = 0; i < WORK_DOCUMENT_COUNT; i++)
        yyjson_mut_doc_free(work->records[i].doc);
    forget_kept(work);
    yyjson_doc_free(work->command);
    ledger_batch_free(work->batch);
    free(work);
}

/* What an operation and its task begin with. */
static int make_document(struct work *work, enum work_document of, const char *id, struct err *err)
{
    char now[CLOCK_TEXT_SIZE];
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    if (!root) {
        yyjson_mut_doc_free(doc);
        return no_memory(err);
    }
    yyjson_mut_doc_set_root(doc, root);
    work->records[of] = (struct record){ .doc = doc, .revision = LEDGER_NEW, .changed = true };
    const yyjson_val *command = work_command(work);
    struct str key = text_of(member(command, "idempotencyKey"));
    clock_text(work->now_ms, now);
    work_set_text(work, of, "id", str_from(id));
    work_set_text(work, of, "type", str_from(document_types[of]));
    work_set_text(work, of, "specVersion", STR("1.0.0"));
    work_set_text(work, of, "state", str_from(state_names[STATE_QUEUED]));
    work_set_text(work, of, "createdAt", str_from(now));
    work_set_text(work, of, "stateChangedAt", str_from(now));
    put(work, of, "retryable", yyjson_mut_bool(doc, work->type->retry.retryable && key.len > 0));
    set_count(work, of, "attempt", 1);
    if (key.len)
        work_set_text(work, of, "idempotencyKey", key);
    return 0;
}

/* A run in an image is an operation of the one type with a task of the other. */
static struct str task_type(const yyjson_val *command)
{
    return at(command, "/parameters/executionStart/image")
               ? str_from(operation_type_names[OPERATION_CONTAINER_RUN])
               : text_of(member(command, "operationType"));
}

static int make_documents(struct work *work, struct err *err)
{
    char operation[PLANE_URN_MAX], task[PLANE_URN_MAX], contract[PLANE_URN_MAX];
    const yyjson_val *command = work_command(work);
    /* The command's own name, which is taken once: so a surface knows it beforehand. */
    struct str local = urn_local(text_of(member(command, "id")));
    urn_make("workspace-operation", local, operation);
    urn_make("operation-task", local, task);
    urn_make("operation-contract", str_from(work->type->slug), contract);
    int r = make_document(work, WORK_OPERATION, operation, err);
    if (r == 0)
        r = make_document(work, WORK_TASK, task, err);
    if (r < 0)
        return r;
    static const char *const taken[] = { "operationType", "workspaceRef", "subjectRef" };
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        work_set_text(work, WORK_OPERATION, taken[i], text_of(member(command, taken[i])));
    work_set_text(work, WORK_OPERATION, "commandRef", text_of(member(command, "id")));
    struct str compensates = text_of(member(command, "compensatesRef"));
    if (compensates.len)
        work_set_text(work, WORK_OPERATION, "compensatesRef", compensates);
    work_set_text(work, WORK_OPERATION, "contractRef", str_from(contract));
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    json_add_string(&text, str_from(task));
    work_set_text(work, WORK_TASK, "operationRef", str_from(operation));
    work_set_text(work, WORK_TASK, "taskType", task_type(command));
    work_set_text(work, WORK_TASK, "role", STR("effect"));
    set_count(work, WORK_TASK, "ordinal", 0);
    if (work->type->retry.retryable)
        set_count(work, WORK_TASK, "maxAttempts", work->type->retry.max_attempts);
    work_set_holder(work);
    return work_append(work, WORK_OPERATION, "taskRefs", buf_str(&text), err);
}

/* The events with which the two begin; they are in no state before. */
static int tell_beginning(struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    struct str command = work_text(work, WORK_OPERATION, "commandRef");
    int r = jcs_digest(work_command(work), digest, err);
    if (r < 0)
        return r;
    buf_add_text(&extra, ",\"commandRef\":");
    json_add_string(&extra, command);
    buf_add_text(&extra, ",\"transition\":{\"of\":\"operation\",\"from\":null,\"to\":\"queued\"}"
                         ",\"documents\":[{\"documentRef\":");
    json_add_string(&extra, command);
    buf_addf(&extra, ",\"digest\":\"%s\"}]", digest);
    r = work_event(work, EVENT_START, buf_str(&extra), err);
    if (r < 0)
        return r;
    buf_reset(&extra);
    buf_add_text(&extra, ",\"taskRef\":");
    json_add_string(&extra, work_text(work, WORK_TASK, "id"));
    buf_add_text(&extra, ",\"transition\":{\"of\":\"task\",\"from\":null,\"to\":\"queued\"}");
    return work_event(work, EVENT_START, buf_str(&extra), err);
}

int work_new(struct plane *plane, yyjson_doc *command, struct work **ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = work_empty(plane);
    if (!work) {
        yyjson_doc_free(command);
        return no_memory(err);
    }
    work->command = command;
    int type = vocabulary_index(operation_type_names, OPERATION_TYPE_COUNT,
                                text_of(member(work_command(work), "operationType")));
    assert(type >= 0);
    work->operation_type = (enum operation_type)type;
    work->type = &operation_types[type];
    advance_clock(work);
    int r = begin_batch(work, err);
    if (r == 0)
        r = make_documents(work, err);
    work->actor = text_of(member(work_command(work), "actorRef"));
    if (r == 0)
        r = tell_beginning(work, err);
    work->actor = PLANE_ACTOR;
    if (r == 0)
        *ret = TAKE_PTR(work);
    return r;
}

/* --- events -------------------------------------------------------------------------------- */

static int add_event(struct work *work, enum event_type type, struct str actor, struct str extra,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf event = BUF_INIT_LIMIT(LEDGER_EVENT_BYTES_MAX);
    char local[40], now[CLOCK_TEXT_SIZE];
    int r = urn_fresh(local, err);
    if (r < 0)
        return r;
    clock_text(work->now_ms, now);
    buf_addf(&event,
             "{\"id\":\"urn:srcos:operation-event:%s\",\"type\":\"OperationEvent\","
             "\"specVersion\":\"1.0.0\",\"occurredAt\":\"%s\",\"eventType\":\"%s\",\"actorRef\":",
             local, now, event_type_names[type]);
    json_add_string(&event, actor);
    buf_add_text(&event, ",\"operationRef\":");
    json_add_string(&event, work_operation(work));
    buf_add_str(&event, extra);
    buf_add_char(&event, '}');
    if (event.error)
        return err_set(err, event.error == -ENOMEM ? ERR_MEMORY : ERR_LIMIT, STEP_PLANE,
                       "an event does not fit");
    return ledger_add_event(work->batch, buf_str(&event), err);
}

int work_event(struct work *work, enum event_type type, struct str extra, struct err *err)
{
    advance_clock(work);
    return add_event(work, type, work->actor, extra, err);
}

/* --- changing states ----------------------------------------------------------------------- */

static void add_member(struct buf *json, const char *name, struct str text)
{
    if (text.len == 0)
        return;
    buf_addf(json, ",\"%s\":", name);
    json_add_string(json, text);
}

/* The ledger's word on a budget names the dimension and the account. */
static void add_exhaustion(struct buf *json, const struct err *err)
{
    struct str where = str_from(err->where);
    size_t space = str_index(where, ' ', 0);
    buf_addf(json, ",\"exhaustion\":{\"dimension\":");
    json_add_string(json, str_make(where.ptr, space));
    add_member(json, "budgetRef", str_from_offset(where, space + 1));
    buf_add_char(json, '}');
}

static void add_denial(struct buf *json, const struct refusal *refusal)
{
    buf_addf(json, ",\"denial\":{\"layer\":\"%s\"", refusal->layer ? refusal->layer : "built-in");
    add_member(json, "ruleId", str_from(refusal->rule[0] ? refusal->rule : "no-delegation"));
    add_member(json, "smallestChange",
               refusal->smallest_change[0] ? str_from(refusal->smallest_change)
                                           : STR("Have a delegation issued that covers it."));
    add_member(json, "policyDecisionRef", str_from(refusal->decision));
    buf_add_char(json, '}');
}

static void add_failure(struct buf *json, const struct refusal *refusal)
{
    const struct err *why = &refusal->err;
    char message[ERR_WHERE_MAX + ERR_CAUSE_MAX + 8];
    snprintf(message, sizeof(message), "%s%s%s", why->where, why->where[0] ? ": " : "",
             why->cause[0] ? why->cause : err_text(why->code));
    buf_add_text(json, "{\"code\":");
    json_add_string(json, str_from(refusal->id ? refusal->id : err_id(why->code)));
    add_member(json, "message", str_from(message));
    add_member(json, "step", str_from(why->step ? why->step : ""));
    add_member(json, "remediation", str_from(refusal->smallest_change));
    if (why->code == ERR_DENIED || why->code == ERR_PENDING)
        add_denial(json, refusal);
    if (why->code == ERR_BUDGET)
        add_exhaustion(json, why);
    buf_add_char(json, '}');
}

static void add_retry(struct buf *json, const struct work *work, const struct change *change)
{
    buf_addf(json, ",\"retry\":{\"retryable\":true,\"attempt\":%llu,\"delayMilliseconds\":%lld",
             (unsigned long long)work_count(work, change->of, "attempt"),
             (long long)change->retry_delay_ms);
    add_member(json, "idempotencyKey", work_text(work, change->of, "idempotencyKey"));
    buf_add_char(json, '}');
}

static void add_cancel(struct buf *json, const struct change *change)
{
    buf_addf(json, ",\"cancel\":{\"mode\":\"%s\"",
             change->cancel_mode ? change->cancel_mode : "graceful");
    add_member(json, "reason", change->cancel_reason);
    buf_add_char(json, '}');
}

static void add_blocked(struct buf *json, const struct refusal *refusal, int64_t now_ms)
{
    char now[CLOCK_TEXT_SIZE];
    clock_text(now_ms, now);
    buf_add_text(json, "{\"responsibleActorRef\":");
    json_add_string(json, str_from(refusal->responsible));
    add_member(json, "remediation", str_from(refusal->smallest_change));
    add_member(json, "reason", str_from(refusal->err.cause));
    buf_addf(json, ",\"since\":\"%s\"}", now);
}

/* For whom the document waits: in these two states alone. */
static void set_wait(struct work *work, const struct change *change)
{
    _cleanup_(buf_release) struct buf blocked = BUF_INIT;
    drop(work, change->of, "pendingDecisionCardRef");
    drop(work, change->of, "blocked");
    if (change->to == STATE_AWAITING_DECISION)
        work_set_text(work, change->of, "pendingDecisionCardRef", change->card);
    if (change->to != STATE_BLOCKED)
        return;
    add_blocked(&blocked, change->refusal, work->now_ms);
    put(work, change->of, "blocked",
        value_of_json(work->records[change->of].doc, buf_str(&blocked)));
}

int work_wait_on(struct work *work, const struct change *change, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    advance_clock(work);
    for (size_t of = 0; of < WORK_DOCUMENT_COUNT; of++) {
        struct change one = *change;
        one.of = (enum work_document)of;
        set_wait(work, &one);
    }
    add_member(&extra, "decisionCardRef", change->card);
    if (change->to == STATE_BLOCKED) {
        buf_add_text(&extra, ",\"blocked\":");
        add_blocked(&extra, change->refusal, work->now_ms);
    }
    return extra.error ? no_memory(err) : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

/* What the document says beside its state. */
static int change_members(struct work *work, const struct change *change, struct str failure,
                          struct err *err)
{
    enum work_document of = change->of;
    char now[CLOCK_TEXT_SIZE];
    clock_text(work->now_ms, now);
    work_set_text(work, of, "state", str_from(state_names[change->to]));
    work_set_text(work, of, "stateChangedAt", str_from(now));
    if (state_is_end(change->to))
        work_set_text(work, of, "endedAt", str_from(now));
    if (change->to == STATE_RUNNING && !work_text(work, of, "startedAt").len)
        work_set_text(work, of, "startedAt", str_from(now));
    set_wait(work, change);
    if (change->to == STATE_COMPENSATED)
        work_set_text(work, of, "compensatedByRef", change->compensated_by);
    if (change->to == STATE_FAILED)
        put(work, of, "failure", value_of_json(work->records[of].doc, failure));
    if (change->to == STATE_RETRYING) {
        drop(work, of, "endedAt");
        drop(work, of, "failure");
        set_count(work, of, "attempt", (int64_t)work_count(work, of, "attempt") + 1);
    }
    if (change->to != STATE_COMPLETED_WITH_WARNINGS)
        return 0;
    _cleanup_(buf_release) struct buf warning = BUF_INIT;
    json_add_string(&warning, str_from(change->warning));
    return work_append(work, of, "warnings", buf_str(&warning), err);
}

int work_change(struct work *work, const struct change *change, struct err *err)
{
    enum work_document of = change->of;
    enum state from = work_state(work, of);
    work->moved = true;
    enum state_of kind = of == WORK_TASK ? STATE_OF_TASK : STATE_OF_OPERATION;
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    _cleanup_(buf_release) struct buf failure = BUF_INIT;
    int r = state_check(kind, from, change->to, err);
    if (r < 0)
        return r;
    assert((change->to != STATE_FAILED && change->to != STATE_BLOCKED) || change->refusal);
    advance_clock(work);
    if (change->to == STATE_FAILED)
        add_failure(&failure, change->refusal);
    r = change_members(work, change, buf_str(&failure), err);
    if (r < 0)
        return r;
    buf_addf(&extra, ",\"transition\":{\"of\":\"%s\",\"from\":\"%s\",\"to\":\"%s\"}",
             of == WORK_TASK ? "task" : "operation", state_names[from], state_names[change->to]);
    if (of == WORK_TASK)
        add_member(&extra, "taskRef", work_text(work, WORK_TASK, "id"));
    add_member(&extra, "commandRef", change->command);
    add_member(&extra, "message", str_from(change->message ? change->message : ""));
    add_member(&extra, "decisionCardRef", change->card);
    if (change->to == STATE_COMPENSATED) {
        add_member(&extra, "compensatesRef", work_text(work, of, "id"));
        add_member(&extra, "compensatedByRef", change->compensated_by);
    }
    if (change->to == STATE_BLOCKED) {
        buf_add_text(&extra, ",\"blocked\":");
        add_blocked(&extra, change->refusal, work->now_ms);
    }
    if (change->to == STATE_FAILED)
        buf_addf(&extra, ",\"failure\":%s", failure.data);
    if (change->to == STATE_RETRYING)
        add_retry(&extra, work, change);
    if (change->to == STATE_CANCELING || change->to == STATE_CANCELED)
        add_cancel(&extra, change);
    if (extra.error || failure.error)
        return no_memory(err);
    return add_event(work, event_of[change->to], change->actor.len ? change->actor : work->actor,
                     buf_str(&extra), err);
}

int work_change_both(struct work *work, const struct change *change, struct err *err)
{
    static const enum work_document order[] = { WORK_TASK, WORK_OPERATION };
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(order) && r == 0; i++) {
        struct change one = *change;
        one.of = order[i];
        if (work_state(work, one.of) != one.to)
            r = work_change(work, &one, err);
    }
    return r;
}

/* --- committing ---------------------------------------------------------------------------- */

static int put_record(struct work *work, enum work_document of, struct err *err)
{
    struct record *record = &work->records[of];
    size_t len;
    _cleanup_(cleanup_free) char *text = yyjson_mut_write(record->doc, 0, &len);
    if (!text)
        return no_memory(err);
    return ledger_put_document(work->batch, str_from(document_types[of]), work_text(work, of, "id"),
                               work_operation(work), str_make(text, len), record->revision, err);
}

static int put_supervision(struct work *work, bool ended, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(buf_release) struct buf id = BUF_INIT;
    if (work->supervised == !ended)
        return 0;
    buf_addf(&id, "supervision:%.*s", STR_ARG(work_operation(work)));
    buf_add_text(&text, "{\"operationRef\":");
    json_add_string(&text, work_operation(work));
    buf_add_char(&text, '}');
    if (text.error || id.error)
        return no_memory(err);
    return ledger_put_document(work->batch, str_from(ended ? SUPERVISION_ENDED : SUPERVISION_OPEN),
                               buf_str(&id), STR(""), buf_str(&text), LEDGER_ANY, err);
}

/*
 * Somebody else has changed the state (a pause, a cancel) of what this process carries out, and
 * this process none: what it alone adds to joins the documents as they are now.
 */
static int follow(struct work *work, struct err *err)
{
    static const char *const own[WORK_DOCUMENT_COUNT][2] = {
        [WORK_OPERATION] = { "artifacts", "receiptRef" },
        [WORK_TASK] = { "artifactRefs", NULL },
    };
    for (size_t of = 0; of < WORK_DOCUMENT_COUNT; of++) {
        struct record old = work->records[of];
        char id[PLANE_URN_MAX];
        snprintf(id, sizeof(id), "%.*s", STR_ARG(work_text(work, (enum work_document)of, "id")));
        work->records[of].doc = NULL;
        int r = read_record(work, str_from(id), &work->records[of], err);
        if (r < 0) {
            work->records[of] = old;
            return r;
        }
        for (size_t i = 0; i < ARRAY_LEN(own[of]) && own[of][i]; i++) {
            yyjson_mut_val *value =
                yyjson_mut_obj_get(yyjson_mut_doc_get_root(old.doc), own[of][i]);
            if (value)
                put(work, (enum work_document)of, own[of][i],
                    yyjson_mut_val_mut_copy(work->records[of].doc, value));
        }
        yyjson_mut_doc_free(old.doc);
    }
    if (state_is_end(work_state(work, WORK_OPERATION)))
        return err_set(err, ERR_CONFLICT, STEP_PLANE, "somebody else has ended it");
    return 0;
}

int work_follow(struct work *work, size_t batch_size, struct err *err)
{
    ledger_batch_cut(work->batch, batch_size);
    work->moved = false;
    int r = follow(work, err);
    note_moment(work, WORK_OPERATION);
    note_moment(work, WORK_TASK);
    return r;
}

static int commit_once(struct work *work, bool ended, struct err *err)
{
    struct ledger_position position;
    int r = 0;
    for (size_t i = 0; i < WORK_DOCUMENT_COUNT && r == 0; i++)
        if (work->records[i].changed)
            r = put_record(work, (enum work_document)i, err);
    if (r == 0)
        r = put_supervision(work, ended, err);
    return r < 0 ? r : ledger_commit(work->plane->ledger, work->batch, &position, err);
}

int work_commit(struct work *work, enum plane_step step, struct err *err)
{
    struct plane *plane = work->plane;
    bool ended = state_is_end(work_state(work, WORK_OPERATION));
    bool changed = work->records[WORK_OPERATION].changed || work->records[WORK_TASK].changed;
    size_t before = ledger_batch_size(work->batch);
    struct err inner = { 0 };
    int r = commit_once(work, ended, &inner);
    for (int race = 0; race < FOLLOWS_MAX && r < 0 && inner.code == ERR_CONFLICT && changed &&
                       !work->moved && !work_is_new(work);
         race++) {
        inner = (struct err){ 0 };
        ledger_batch_cut(work->batch, before);
        r = follow(work, &inner);
        if (r == 0)
            r = commit_once(work, ended, &inner);
    }
    if (r < 0) {
        if (err)
            *err = inner;
        return r;
    }
    work->moved = false;
    work->supervised = !ended;
    forget_kept(work);
    for (size_t i = 0; i < WORK_DOCUMENT_COUNT; i++) {
        work->records[i].revision += work->records[i].changed;
        work->records[i].changed = false;
    }
    if (plane->options.committed)
        plane->options.committed(plane->options.committed_context, step);
    if (work->asked[0] && plane->options.asked)
        plane->options.asked(plane->options.asked_context, work->asked);
    work->asked[0] = '\0';
    return begin_batch(work, err);
}

/* --- for effects --------------------------------------------------------------------------- */

struct plane *work_plane(const struct work *work)
{
    return work->plane;
}

const yyjson_val *work_command(const struct work *work)
{
    return yyjson_doc_get_root(work->command);
}

struct str work_operation(const struct work *work)
{
    return work_text(work, WORK_OPERATION, "id");
}
