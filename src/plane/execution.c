/*
 * execution: see the header (stops 5, 7 and 8 of a run, as the plane sees them).
 *
 * Theory of operation. What the machine does, it does by the plan that the
 * caller made from the same command that the plane authorised; the plan's
 * digest stands in the fingerprint and in the execution, which binds the two.
 * The fingerprint is in the batch that begins the run, the execution in the
 * one that ends it: a run that does nothing special costs two durable writes.
 */
#include "plane/execution.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "machine/file_digest.h"
#include "plane/change_set.h"
#include "plane/gate_layers.h"
#include "plane/held_ask.h"
#include "plane/receipt.h"
#include "plane/work.h"

#define STEP_EXECUTION     "carry out a run"
#define OWN_PROGRAM        "/proc/self/exe"
#define REPOSITORY_MS      20 /* to find out whether the tree differs from its commit */
#define NS_PER_SECOND      INT64_C(1000000000)
#define STATUS_REFUSED     125
#define STATUS_NOT_STARTED 126
#define STATUS_NOT_FOUND   127

/* --- before -------------------------------------------------------------------------------- */

static int fail(struct effect_result *ret, const struct err *why)
{
    ret->end = STATE_FAILED;
    ret->failure = *why;
    return 0;
}

static int digest_plan(struct execution *execution, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    int r = plan_write(execution->plan, &json, err);
    return r < 0 ? r : digest_text(buf_str(&json), execution->plan_digest, err);
}

static void name_documents(struct execution *execution, const struct work *work)
{
    struct str local = urn_local(work_operation(work));
    urn_make("agent-machine-fingerprint", local, execution->fingerprint);
    urn_make("local-agent-execution", local, execution->record);
    urn_make("container-execution-record", local, execution->container);
}

static int gather(struct execution *execution, struct work *work, char budget[PLANE_URN_MAX],
                  struct evidence *ret, struct err *err)
{
    *ret = (struct evidence){
        .plan = execution->plan,
        .launch = execution->launch,
        .report = &execution->report,
        .operation = work_operation(work),
        .task = work_text(work, WORK_TASK, "id"),
        .subject = work_text(work, WORK_OPERATION, "subjectRef"),
        .delegation = work_text(work, WORK_OPERATION, "delegationRef"),
        .fingerprint = execution->fingerprint,
        .execution = execution->record,
        .alone = execution->alone,
        .container = execution->plan->image ? execution->container : NULL,
        /* The gate let it pass: where it is not pinned, by the leave of the profile. */
        .image_leave = "user",
        .image_leave_rule = "allowUnpinnedImage",
        .repository = execution->in_repository ? &execution->repository : NULL,
    };
    budget_urn(work_operation(work), budget);
    ret->budget = str_from(budget);
    memcpy(ret->profile_digest, execution->profile_digest, sizeof(ret->profile_digest));
    memcpy(ret->plan_digest, execution->plan_digest, sizeof(ret->plan_digest));
    memcpy(ret->command_digest, execution->command_digest, sizeof(ret->command_digest));
    memcpy(ret->program_digest, execution->own_digest, sizeof(ret->program_digest));
    memcpy(ret->fingerprint_digest, execution->fingerprint_digest, sizeof(ret->fingerprint_digest));
    int r = gate_layers_digest(work_plane(work), ret->policy_digest, err);
    return r < 0 ? r : ledger_last_digest(work_plane(work)->ledger, ret->previous_event, err);
}

static int digest_document(struct str json, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json_read(json, &json_limits_default, &doc, err);
    return r < 0 ? r : jcs_digest(yyjson_doc_get_root(doc), ret, err);
}

static int add_fingerprint(struct execution *execution, struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, layers = BUF_INIT;
    char budget[PLANE_URN_MAX];
    struct evidence evidence;
    int r = gather(execution, work, budget, &evidence, err);
    if (r == 0)
        r = gate_layers_write(work_plane(work), &layers, err);
    evidence.policy_layers = buf_str(&layers);
    if (r == 0)
        r = evidence_write_fingerprint(&evidence, &json, err);
    if (r == 0 && evidence.container)
        r = digest_document(buf_str(&json), execution->fingerprint_digest, err);
    return r < 0 ? r
                 : effect_add(work, "AgentMachineFingerprint", str_from(execution->fingerprint),
                              buf_str(&json), err);
}

/*
 * A program whose file cannot be read cannot be recorded, and is not started. Its digest is taken
 * here once: a command may change or remove its own file.
 */
static int find_program(struct execution *execution, struct err *err)
{
    const char *name = execution->plan->argv[0];
    struct err why = { 0 };
    execution->result.end = RUN_REFUSED;
    execution->result.status = STATUS_NOT_FOUND;
    if (!execution->command_path)
        return err_set(err, ERR_NOT_FOUND, STEP_EXECUTION,
                       "there is no program %.200s where the sandbox will look: %s, and what is "
                       "mounted",
                       name, execution->plan->image ? "the image" : "the system's directories");
    execution->result.status = STATUS_NOT_STARTED;
    if (file_digest(execution->command_path, execution->digests_folder, execution->command_digest,
                    &why) == 0) {
        execution->result.status = STATUS_REFUSED; /* what fails from here on is the machine's */
        return 0;
    }
    return err_set(err, why.code, STEP_EXECUTION, "%.200s cannot be started: %s", name, why.cause);
}

static int open_model_door(struct execution *execution, struct work *work, struct err *err)
{
    struct model_door_options options = { .sink = &execution->models.sink,
                                          .references = gate_layers_references(work_plane(work)) };
    int r = model_routes_read(work_plane(work), work_text(work, WORK_OPERATION, "subjectRef"),
                              str_from(execution->plan->profile_id), &execution->routes, err);
    if (r == 0)
        r = model_record_init(&execution->models, work, &execution->routes, err);
    execution->models.offer = execution->offer;
    execution->models.offer_context = execution->offer_context;
    options.routes = execution->routes.routes;
    options.route_count = execution->routes.count;
    return r < 0 ? r : model_door_open(&options, &execution->model_door, err);
}

/* With the policy that the gates were asked under: a run cannot change it. */
static int open_doors(struct execution *execution, struct work *work, struct err *err)
{
    struct network_door_options options = { .sink = &execution->network.sink,
                                            .keeps_here = execution->plan->keeps_here,
                                            .ports = execution->ports,
                                            .port_count = execution->port_count,
                                            .want_socket = launch_want_socket,
                                            .want_context = execution->launch };
    if (execution->plan->tier == TIER_PROCESS)
        return 0; /* which has no network of any kind */
    if (execution->in_repository && git_url_host(execution->repository.url, execution->git_host))
        options.git_host = execution->git_host;
    int r = gate_layers_policy(work_plane(work), work_text(work, WORK_OPERATION, "subjectRef"),
                               &options.policy, err);
    if (r < 0)
        return r;
    options.references = gate_layers_references(work_plane(work));
    network_record_init(&execution->network, work, str_from(execution->plan->profile_id),
                        options.policy);
    execution->network.offer = execution->offer;
    execution->network.offer_context = execution->offer_context;
    r = network_door_open(&options, &execution->door, err);
    return r < 0 ? r : open_model_door(execution, work, err);
}

/* The sockets that were made inside, and what the run reads of its denials. */
static int serve_doors(struct execution *execution, struct run_watch *watch, struct err *err)
{
    struct capture sockets;
    int denials;
    if (!execution->door)
        return 0;
    int r = launch_take_network(execution->launch, &sockets, &denials, err);
    if (r < 0)
        return r;
    int listener = capture_take(&sockets, CAPTURE_MODEL);
    r = network_door_serve(execution->door, &sockets, denials, err);
    if (r < 0)
        cleanup_close(&listener);
    else
        r = model_door_listen(execution->model_door, listener, err);
    watch->door = execution->door;
    watch->loops[watch->loop_count++] = network_door_loop(execution->door);
    watch->loops[watch->loop_count++] = model_door_loop(execution->model_door);
    return r;
}

static int prepare(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct execution *execution = context;
    struct err why = { 0 };
    if (execution->report_taken)
        return add_fingerprint(execution, work, err); /* a second try of the same batch */
    name_documents(execution, work);
    trace_note(execution->trace, "machine/launch.c", "authorised; the sandbox is awaited");
    /* While the sandbox is built; one that cannot be read is not there for the record. */
    execution->in_repository =
        git_state_read(execution->directory, REPOSITORY_MS, &execution->repository, NULL) == 0;
    ledger_warm(work_plane(work)->ledger);
    if (find_program(execution, &why) < 0 || digest_plan(execution, &why) < 0 ||
        file_digest(OWN_PROGRAM, execution->digests_folder, execution->own_digest, &why) < 0 ||
        open_doors(execution, work, &why) < 0 ||
        launch_ready(execution->launch, &execution->report, &why) < 0)
        return fail(ret, &why);
    execution->report_taken = true;
    for (size_t i = 0; i < execution->plan->mount_count; i++)
        if (launch_copied(execution->launch, i))
            execution->copied[i] = *launch_copied(execution->launch, i);
    int r = add_fingerprint(execution, work, err);
    if (r < 0 || !execution->report.escaped)
        return r;
    err_set(&why, ERR_DENIED, STEP_EXECUTION, "the probe %s broke out of the sandbox",
            execution->report.escaped);
    return fail(ret, &why);
}

/* --- running ------------------------------------------------------------------------------- */

struct watched {
    struct execution *execution;
    struct work *work;
};

static void tell_begun(void *context)
{
    const struct watched *watched = context;
    const struct execution *execution = watched->execution;
    if (execution->begun)
        execution->begun(execution->begun_context, work_operation(watched->work));
    ledger_shorten_log(work_plane(watched->work)->ledger); /* while nobody waits for us */
}

/* What is asked of the run, as the machine knows it. What cannot be known is no reason to go on. */
static enum run_wish wish(void *context)
{
    struct watched *watched = context;
    static const enum run_wish wishes[] = {
        [ASKED_NOTHING] = RUN_ON,     [ASKED_PAUSE] = RUN_PAUSE,
        [ASKED_CANCEL] = RUN_CANCEL,  [ASKED_CANCEL_FORCED] = RUN_CANCEL_NOW,
        [ASKED_REVOKED] = RUN_CANCEL,
    };
    struct work_asked asked;
    struct err unknown;
    if (work_control(watched->work, &asked, &unknown) < 0)
        return RUN_CANCEL;
    if (asked.asked >= ASKED_CANCEL) {
        watched->execution->revoked = asked.asked == ASKED_REVOKED;
        memcpy(watched->execution->end_reason, asked.reason, sizeof(asked.reason));
    }
    return wishes[asked.asked];
}

static int listen_for_wishes(void *context)
{
    const struct watched *watched = context;
    return work_doorbell(watched->work, NULL);
}

static void measure(struct execution *execution)
{
    const struct run_result *result = &execution->result;
    execution->used.of[DIMENSION_CPU_SECONDS] =
        (result->usage.cpu_ns + NS_PER_SECOND - 1) / NS_PER_SECOND;
    execution->used.of[DIMENSION_SANDBOX_MEMORY_BYTES] = result->usage.memory_peak_bytes;
    execution->used.of[DIMENSION_LOCAL_DISK_BYTES] = result->usage.disk_bytes;
    execution->used.of[DIMENSION_AGENT_CONCURRENCY] = 1;
    execution->used.of[DIMENSION_CONNECTOR_CALLS] = execution->network.connector_calls;
    execution->used.of[DIMENSION_MODEL_CALLS] = execution->models.calls;
    execution->used.of[DIMENSION_TOKENS] = execution->models.tokens;
    if (result->started_ms) {
        int64_t ms = result->ended_ms - result->started_ms;
        execution->used.of[DIMENSION_WALL_CLOCK_SECONDS] = ms > 0 ? (ms + 999) / 1000 : 1;
    }
}

static int gather_changes(struct execution *execution, struct work *work, struct err *err)
{
    struct change_sum sum = CHANGE_SUM_INIT;
    char urn[PLANE_URN_MAX];
    size_t asked = 0; /* about what is held apart */
    int r = 0;
    for (size_t i = 0; i < execution->plan->mount_count && r == 0; i++) {
        struct changes changes;
        r = launch_changes(execution->launch, i, &changes, err);
        if (r < 0)
            break;
        change_sum_add(&sum, &changes);
        r = held_ask_add(work, &changes, execution->plan->mounts[i].host_path, &asked, err);
        changes_release(&changes);
    }
    int ended = change_sum_end(&sum, err);
    if (r < 0 || ended < 0)
        return r < 0 ? r : ended;
    memcpy(execution->changed, sum.changed, sizeof(sum.changed));
    if (!sum.lists)
        return 0;
    urn_make("change-set", urn_local(work_operation(work)), urn);
    buf_addf(&execution->change_set,
             "{\"changeSetRef\":\"%s\",\"digest\":\"%s\",\"added\":%zu,"
             "\"modified\":%zu,\"deleted\":%zu,\"heldApart\":%zu}",
             urn, sum.digest, sum.changed[CHANGE_ADDED],
             sum.changed[CHANGE_MODIFIED] + sum.changed[CHANGE_MODE], sum.changed[CHANGE_DELETED],
             sum.held);
    return change_set_add(work, str_from(urn), &sum, err);
}

/* A report, and no more: what cannot be read of it ends no run. */
static void gather_written(struct execution *execution)
{
    struct err unread = { 0 };
    for (size_t i = 0; i < execution->plan->mount_count; i++) {
        struct written *written = &execution->written[i];
        if (launch_written(execution->launch, i, written, &unread) < 0)
            written->partial = true;
        if (!written->paths && !written->partial)
            continue;
        if (execution->written_mounts.len)
            buf_add_char(&execution->written_mounts, ',');
        written_write(written, execution->plan->mounts[i].host_path, &execution->written_mounts);
    }
}

static int add_record(struct execution *execution, struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, container = BUF_INIT, network = BUF_INIT,
                                      egress = BUF_INIT, denials = BUF_INIT;
    char budget[PLANE_URN_MAX];
    struct evidence evidence;
    int r = gather(execution, work, budget, &evidence, err);
    if (execution->door) {
        const struct uses *uses = network_door_uses(execution->door);
        network_record_write(uses, &network);
        network_record_write_denials(&execution->network, uses, &denials);
    }
    if (execution->models.work) {
        model_record_write_egress(&execution->models, &egress);
        model_record_write_denials(&execution->models, &denials);
    }
    evidence.network = buf_str(&network);
    evidence.prompt_egress = buf_str(&egress);
    evidence.denials = buf_str(&denials);
    evidence.written = buf_str(&execution->written_mounts);
    evidence.change_set = buf_str(&execution->change_set);
    if (r == 0 && !execution->alone)
        r = evidence_write_execution(&evidence, &execution->result, execution->used.of, &json, err);
    if (r == 0 && !execution->alone)
        r = effect_add(work, "LocalAgentExecution", str_from(execution->record), buf_str(&json),
                       err);
    if (r == 0 && evidence.container)
        r = evidence_write_container(&evidence, &execution->result, execution->used.of, &container,
                                     err);
    if (r == 0 && evidence.container)
        r = effect_add(work, "ContainerExecutionRecord", str_from(execution->container),
                       buf_str(&container), err);
    return r < 0 || !execution->plan->receipt
               ? r
               : receipt_add(work, buf_str(execution->alone ? &container : &json), err);
}

/* How the operation ends where its command ended so. */
static void conclude(const struct execution *execution, const char *budget,
                     struct effect_result *ret)
{
    const struct run_result *result = &execution->result;
    ret->end = STATE_FAILED;
    switch (result->end) {
    case RUN_EXITED:
    case RUN_SIGNALED:
        ret->end = result->status ? STATE_COMPLETED_WITH_WARNINGS : STATE_COMPLETED;
        if (result->end == RUN_SIGNALED)
            snprintf(ret->warning, sizeof(ret->warning), "The command was ended by signal %d.",
                     result->signal);
        else
            snprintf(ret->warning, sizeof(ret->warning), "The command exited with status %d.",
                     result->status);
        break;
    case RUN_EXHAUSTED:
        err_set(&ret->failure, ERR_BUDGET, STEP_EXECUTION, "the run's %s are used up",
                dimension_names[result->dimension]);
        err_where(&ret->failure, "%s %s", dimension_names[result->dimension], budget);
        break;
    case RUN_CANCELLED:
        ret->end = STATE_CANCELED;
        if (execution->revoked)
            err_set(&ret->failure, ERR_DENIED, STEP_EXECUTION, "%s", execution->end_reason);
        break;
    case RUN_REFUSED:
    case RUN_LOST:
        ret->failure = result->err;
        break;
    }
}

/* A run whose changes cannot be read has failed, however its command ended. */
static void conclude_unread(const struct err *why, struct effect_result *ret)
{
    if (ret->end != STATE_COMPLETED && ret->end != STATE_COMPLETED_WITH_WARNINGS)
        return; /* it has another reason already */
    ret->end = STATE_FAILED;
    ret->failure = *why;
    ret->warning[0] = '\0';
}

static int start(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct execution *execution = context;
    struct err why = { 0 };
    struct watched watched = { execution, work };
    struct run_watch watch = { .context = &watched,
                               .listen = listen_for_wishes,
                               .wish = wish,
                               .started = tell_begun,
                               .questions = execution->questions };
    execution->started = true;
    if (serve_doors(execution, &watch, &why) < 0)
        return fail(ret, &why);
    int r = launch_run(execution->launch, &watch, &execution->result, &why);
    model_door_close(TAKE_PTR(execution->model_door)); /* calls on their way are settled */
    if (r < 0)
        return fail(ret, &why);
    trace_note(execution->trace, "machine/supervise.c", "command ended");
    measure(execution);
    bool unread = !execution->discard && gather_changes(execution, work, &why) < 0;
    gather_written(execution);
    trace_note(execution->trace, "machine/worktree.c", "change set read");
    char budget[PLANE_URN_MAX];
    budget_urn(work_operation(work), budget);
    conclude(execution, budget, ret);
    if (unread) /* what the command leaves can be made so, and is recorded all the same */
        conclude_unread(&why, ret);
    ret->used = execution->used;
    ret->used.of[DIMENSION_SANDBOX_MEMORY_BYTES] = 0; /* held while it ran, and given back */
    ret->used.of[DIMENSION_AGENT_CONCURRENCY] = 0;
    return add_record(execution, work, err);
}

void execution_plug(struct execution *execution, struct plane_options *options)
{
    execution->change_set = BUF_INIT;
    execution->written_mounts = BUF_INIT;
    options->execution_prepare = prepare;
    options->execution_start = start;
    options->effect_context = execution;
}

void execution_release(struct execution *execution)
{
    buf_release(&execution->change_set);
    buf_release(&execution->written_mounts);
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++)
        written_release(&execution->written[i]);
    model_door_close(execution->model_door);
    model_record_release(&execution->models);
    model_routes_release(&execution->routes);
    network_door_close(execution->door);
    network_record_release(&execution->network);
}
