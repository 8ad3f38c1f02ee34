/*
 * submit: from a command to an operation that runs (stop 4 of a run).
 *
 * Theory of operation. A command is checked; then one batch collects all that
 * must be durable before its effect: the command with its operation and task
 * (queued), the delegation, found or made, and what the gates answered
 * (preflighting), the accounts and the reservation (running). Nothing in
 * between waits for anybody, so it becomes durable at once, in one commit: a
 * crash before it leaves nothing of the command, a crash after it a run that
 * recovery ends. Only then the effect (finish.c).
 *
 * The same command twice is one operation. An idempotency key, and every
 * command's own id, is a name in the ledger that can be taken once, in the
 * same batch as the operation; who comes second finds the first's operation
 * there (identity.c).
 *
 * A refusal on the way is an end of the operation: the same batch, which then
 * ends in failed, with the denial or the ceiling. Of a budget only the commit
 * knows; where it refuses, the batch goes back to the verdicts (work_keep), and
 * ends from there. Where another process has ended the operation meanwhile (a
 * cancel of another attempt), the batch fails as a whole and that end stands.
 */
#include <time.h>

#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/asked.h"
#include "plane/card.h"
#include "plane/compensate.h"
#include "plane/work.h"

#define STEP_SUBMIT     "submit a command"
#define STEP_AUTHORITY  "find the delegation"
#define RACES_MAX       16
#define MINTED_VALID_MS ((int64_t)24 * 3600 * 1000) /* for beginning, not for running */

static int take(struct plane *plane, yyjson_doc *command, struct outcome *ret, struct err *err);
static int take_submit(struct plane *plane, yyjson_doc *command, const struct plane_asks *asks,
                       struct outcome *ret, struct err *err);
static int carry_through(struct work *work, const struct identity *identity,
                         const struct plane_asks *asks, struct outcome *ret, struct err *err);
static int take_retry(struct plane *plane, yyjson_doc *command, const struct plane_asks *asks,
                      struct outcome *ret, struct err *err);

int plane_submit(struct plane *plane, struct str text, const struct plane_asks *asks,
                 struct outcome *ret, struct err *err)
{
    static const struct plane_asks nothing;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct json_limits limits = json_limits_default;
    struct recovered recovered;
    struct err unheard;
    limits.size_bytes = PLANE_COMMAND_BYTES_MAX;
    int r = json_read(text, &limits, &doc, err);
    if (r == 0 && !(asks && asks->is_checked))
        r = plane_check_command(plane, yyjson_doc_get_root(doc), err);
    if (r < 0)
        return r;
    /* What others left must not stand in the way; if it cannot be mended, this may still go on. */
    (void)!plane_recover(plane, &recovered, &unheard);
    const struct plane_asks *around = plane->asks; /* of a run at whose terminal this is given */
    plane->asks = asks ? asks : &nothing;
    r = take(plane, TAKE_PTR(doc), ret, err);
    plane->asks = around;
    return r;
}

static int take(struct plane *plane, yyjson_doc *command, struct outcome *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = command;
    const yyjson_val *verb = member(yyjson_doc_get_root(doc), "command");
    if (text_is(verb, "submit"))
        return take_submit(plane, TAKE_PTR(doc), plane->asks, ret, err);
    if (text_is(verb, "retry"))
        return take_retry(plane, TAKE_PTR(doc), plane->asks, ret, err);
    if (text_is(verb, "decide"))
        return decide_take(plane, yyjson_doc_get_root(doc), ret, err);
    if (text_is(verb, "admit"))
        return admit_take(plane, yyjson_doc_get_root(doc), ret, err);
    if (text_is(verb, "pause") || text_is(verb, "resume"))
        return asked_take(plane, yyjson_doc_get_root(doc), ret, err);
    return err_set(err, ERR_UNSUPPORTED, STEP_SUBMIT, "the command %.*s is not in this release%s",
                   STR_ARG(text_of(verb)),
                   text_is(verb, "cancel") ? "; submit agent_machine.execution.cancel" : "");
}

/* --- submit -------------------------------------------------------------------------------- */

/* The work, queued in a batch that is not committed yet. */
static int queue(struct plane *plane, yyjson_doc *command, const struct identity *identity,
                 struct work **ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = work_new(plane, command, &work, err);
    if (r == 0)
        r = identity_put(work, identity, err);
    if (r == 0)
        r = command_put(work, work_command(work), err);
    if (r == 0)
        *ret = TAKE_PTR(work);
    return r;
}

static int take_submit(struct plane *plane, yyjson_doc *doc, const struct plane_asks *asks,
                       struct outcome *ret, struct err *err)
{
    const yyjson_val *command = yyjson_doc_get_root(doc);
    _cleanup_(identity_release) struct identity identity = { .key = BUF_INIT };
    _cleanup_(cleanup_work) struct work *work = NULL;
    _cleanup_(cleanup_json_doc) yyjson_doc *owned = doc;
    struct str type = text_of(member(command, "operationType"));
    int index = vocabulary_index(operation_type_names, OPERATION_TYPE_COUNT, type);
    int r = identity_of(command, &identity, err);
    if (r < 0)
        return r;
    assert(index >= 0); /* the schema has it */
    if (operation_types[index].key_required && identity.key.len == 0) {
        r = err_set(err, ERR_DOCUMENT, STEP_SUBMIT, "%.*s needs an idempotency key", STR_ARG(type));
        err_where(err, "/idempotencyKey");
        return r;
    }
    r = identity_find(plane, &identity, ret, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = compensate_check(plane, command, err);
    if (r < 0)
        return r;
    r = queue(plane, TAKE_PTR(owned), &identity, &work, err);
    return r < 0 ? r : carry_through(work, &identity, asks, ret, err);
}

/* --- authority ----------------------------------------------------------------------------- */

#define TOOLS_MAX 1000 /* as the schema has it */

/* What the command asks a delegation for. */
struct demand {
    struct delegation_request request;
    struct str tools[TOOLS_MAX];
    struct str provider; /* of the command itself */
};

static void read_demand(const struct work *work, const struct plane_asks *asks, struct demand *ret)
{
    const yyjson_val *command = work_command(work);
    const yyjson_val *parameters = member(member(command, "parameters"), work->type->parameters);
    struct delegation_request *request = &ret->request;
    *request = (struct delegation_request){
        .operation_type = work->operation_type,
        .subject = text_of(member(command, "subjectRef")),
        .workspace = text_of(member(command, "workspaceRef")),
        .profile = text_of(member(parameters, "profileRef")),
        .network_profile = asks->network_profile,
        .tools = ret->tools,
        .providers = asks->providers,
        .provider_count = asks->provider_count,
        .mount_paths = asks->mount_paths,
        .mount_semantics = asks->mount_semantics,
        .mounts_by_profile = asks->mounts_by_profile,
        .mount_count = asks->mount_count,
    };
    if (!request->profile.len)
        request->profile = text_of(member(parameters, "agentMachineProfileRef"));
    ret->provider = text_of(member(parameters, "providerRef"));
    if (ret->provider.len && !request->provider_count) {
        request->providers = &ret->provider;
        request->provider_count = 1;
    }
    struct str surface = text_of(member(parameters, "toolSurfaceRef"));
    if (surface.len)
        ret->tools[request->tool_count++] = surface;
    size_t i, count;
    yyjson_val *tool;
    yyjson_arr_foreach((yyjson_val *)member(parameters, "tools"), i, count,
                       tool) if (request->tool_count < TOOLS_MAX)
        ret->tools[request->tool_count++] = text_of(member(tool, "toolRef"));
    yyjson_val *ceiling = member(command, "budgetCeiling");
    for (size_t d = 0; d < DIMENSION_COUNT; d++)
        request->budget.of[d] = (int64_t)count_of(member(ceiling, dimension_names[d]));
}

static void add_list(struct buf *json, const char *name, const struct str *items, size_t count)
{
    buf_addf(json, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        bool seen = false; /* lists of a delegation hold each thing once */
        for (size_t j = 0; j < i && !seen; j++)
            seen = str_equal(items[i], items[j]);
        if (seen)
            continue;
        if (i)
            buf_add_char(json, ',');
        json_add_string(json, items[i]);
    }
    buf_add_char(json, ']');
}

static void add_scope(struct buf *json, const struct delegation_request *request)
{
    buf_add_text(json, ",\"scope\":{\"workspaceRefs\":[");
    json_add_string(json, request->workspace);
    buf_add_char(json, ']');
    add_list(json, "profileRefs", &request->profile, request->profile.len > 0);
    add_list(json, "toolRefs", request->tools, request->tool_count);
    add_list(json, "modelProviderRefs", request->providers, request->provider_count);
    buf_add_text(json, ",\"mounts\":[");
    for (size_t i = 0; i < request->mount_count; i++) {
        buf_add_text(json, i ? ",{\"hostPath\":" : "{\"hostPath\":");
        json_add_string(json, request->mount_paths[i]);
        buf_add_text(json, ",\"semantics\":");
        json_add_string(json, request->mount_semantics[i]);
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
    if (request->network_profile.len) {
        buf_add_text(json, ",\"networkAccessProfileRef\":");
        json_add_string(json, request->network_profile);
    }
    buf_add_char(json, '}');
}

/*
 * A delegation for exactly this attempt of this command. Its ceiling may lie above what the command
 * asks for, where the user's own profile gives more: by so much a person can raise it (top_up.c).
 */
static void write_delegation(struct buf *json, const struct work *work, struct str user,
                             const struct delegation_request *request)
{
    char issued[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    struct str begin = work_text(work, WORK_OPERATION, "createdAt"); /* it covers all of it */
    struct str local = urn_local(work_operation(work));
    bool has_ceiling = member(work_command(work), "budgetCeiling") != NULL;
    const struct plane_asks *asks = work->plane->asks;
    const struct amounts *ceiling = asks && asks->most ? asks->most
                                    : has_ceiling      ? &request->budget
                                                       : &work->type->usual;
    int64_t now = clock_now_ms();
    clock_text(now, issued);
    clock_text(now + MINTED_VALID_MS, end);
    buf_addf(json, "{\"id\":\"urn:srcos:delegation:%.*s-%llu\",\"type\":\"Delegation\"",
             STR_ARG(local), (unsigned long long)work_count(work, WORK_OPERATION, "attempt"));
    buf_add_text(json, ",\"specVersion\":\"1.0.0\",\"depth\":0,\"issuerRef\":");
    json_add_string(json, user);
    buf_add_text(json, ",\"subjectRef\":");
    json_add_string(json, request->subject);
    buf_addf(json, ",\"issuedAt\":\"%s\",\"notBefore\":\"%.*s\",\"expiresAt\":\"%s\"", issued,
             STR_ARG(begin), end);
    buf_addf(json, ",\"operationTypes\":[\"%s\"]", operation_type_names[work->operation_type]);
    add_scope(json, request);
    buf_add_text(json, ",\"budgetCeiling\":{");
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        buf_addf(json, "%s\"%s\":%lld", i ? "," : "", dimension_names[i],
                 (long long)ceiling->of[i]);
    buf_add_text(json, "},\"purpose\":\"One command that the user gave.\"}");
}

/* The user's own command, signed with the user's key. */
static int mint(struct work *work, const struct delegation_request *request, struct delegation *ret,
                struct err *err)
{
    char user[KEY_USER_TEXT_MAX];
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    struct sign_key *key;
    key_user(user);
    if (!text_is(member(work_command(work), "actorRef"), user))
        return err_set(err, ERR_DENIED, STEP_AUTHORITY,
                       "it names no delegation, and only %s could give one here", user);
    int r = key_open_user(work->plane->options.config_folder, &key, err);
    if (r < 0)
        return r;
    write_delegation(&json, work, str_from(user), request);
    r = json.error ? err_set(err, ERR_MEMORY, STEP_AUTHORITY, "there is not enough memory")
                   : delegation_mint(key, buf_str(&json), &envelope, ret, err);
    sign_key_free(key);
    if (r == 0) {
        r = delegation_put(work->batch, buf_str(&envelope), clock_now_ms(), err);
        if (r < 0)
            delegation_release(ret);
    }
    return r;
}

static int verify_named(struct work *work, struct str urn, struct delegation *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    struct delegation_source source;
    struct sign_public root;
    int64_t revision;
    buf_addf(&path, "%s/%s", work->plane->options.config_folder, KEY_PUBLIC_FILE);
    int r = path.error ? err_set(err, ERR_MEMORY, STEP_AUTHORITY, "there is not enough memory")
                       : key_open_public(path.data, &root, err);
    if (r == 0)
        r = ledger_get_document(work->plane->ledger, urn, &envelope, &revision, err);
    if (r < 0)
        return r;
    delegation_source_of(work->plane->ledger, &root, &source);
    return delegation_verify(buf_str(&envelope), &source, clock_now_ms(), ret, err);
}

static int authorize(struct work *work, const struct demand *demand, struct delegation *ret,
                     struct err *err)
{
    struct str named = text_of(member(work_command(work), "delegationRef"));
    if (!named.len) /* another attempt is under the delegation that the first was given */
        named = work_text(work, WORK_OPERATION, "delegationRef");
    const yyjson_val *parameters =
        member(member(work_command(work), "parameters"), work->type->parameters);
    if (operation_is_run(work->operation_type) && !demand->request.mount_count &&
        at(parameters, "/mountRefs/0"))
        return err_set(err, ERR_DENIED, STEP_AUTHORITY,
                       "nothing says which folders its mounts lead to");
    int r =
        named.len ? verify_named(work, named, ret, err) : mint(work, &demand->request, ret, err);
    if (r < 0)
        return r;
    r = delegation_covers(ret, &demand->request, err);
    if (r < 0)
        delegation_release(ret);
    return r;
}

/* --- preflight ----------------------------------------------------------------------------- */

static bool is_refusal(enum err_code code)
{
    return code == ERR_DENIED || code == ERR_NOT_FOUND || code == ERR_DOCUMENT ||
           code == ERR_SYNTAX || code == ERR_LIMIT || code == ERR_SCHEMA;
}

/* 0; or ERR_DENIED with the refusal; or what made it impossible to know. */
static int preflight(struct work *work, const struct demand *demand, struct delegation *ret,
                     struct refusal *refusal, struct err *err)
{
    struct change change = { .of = WORK_OPERATION, .to = STATE_PREFLIGHTING };
    int r = work_state(work, WORK_OPERATION) == STATE_QUEUED ? work_change(work, &change, err) : 0;
    if (r < 0)
        return r;
    if (work->plane->asks->refused)
        return refused_record(work, work->plane->asks->refused, refusal, err);
    if (demand->request.budget.of[DIMENSION_GPU_SECONDS] > 0) {
        err_set(&refusal->err, ERR_UNSUPPORTED, STEP_AUTHORITY,
                "this host has no meter for gpuSeconds, so none can be granted");
        return -EACCES;
    }
    struct err why = { 0 };
    r = authorize(work, demand, ret, &why);
    if (r < 0 && is_refusal(why.code)) { /* what cannot be decided is denied */
        why.code = ERR_DENIED;
        return refused_record(work, &why, refusal, err);
    }
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    work_set_text(work, WORK_OPERATION, "delegationRef", ret->id);
    r = gates_pass(work, ret, &demand->request, refusal, err);
    if (r < 0 && r != -EACCES) {
        delegation_release(ret);
        return r;
    }
    if (r < 0)
        delegation_release(ret);
    return r;
}

/* --- starting ------------------------------------------------------------------------------ */

/* What the machine knows of the launch before it; ERR of a result that is failed. */
static int prepare(struct work *work, struct refusal *refusal, struct err *err)
{
    const struct plane_options *options = &work->plane->options;
    struct effect_result result = { .end = STATE_COMPLETED };
    struct err why = { 0 };
    if (!operation_is_run(work->operation_type) || !options->execution_prepare)
        return 0;
    int r = options->execution_prepare(options->effect_context, work, &result, &why);
    if (r == 0 && result.end != STATE_FAILED)
        return 0;
    refusal->err = r < 0 ? why : result.failure;
    return work_back(work, err) < 0 ? -EIO : -EACCES;
}

/* One try to make it durable that it runs. */
static int begin_running(struct work *work, const struct delegation *delegation, size_t *ret_opened,
                         struct refusal *refusal, struct err *err)
{
    struct change running = { .to = STATE_RUNNING };
    int r = budget_open_chain(work, delegation, ret_opened, err);
    if (r == 0)
        r = budget_reserve(work, delegation, err);
    for (size_t i = 0; i < work->lease_count && r == 0; i++)
        r = card_put_use(work, str_from(work->leases[i]), err);
    if (r == 0)
        r = prepare(work, refusal, err);
    if (r == 0)
        r = work_change_both(work, &running, err);
    return r < 0 ? r : work_commit(work, PLANE_STEP_RUNNING, err);
}

/*
 * 0; or a refusal; or what failed. Where two processes open the same account, the later one's batch
 * fails; it tries again with what is left to be opened, which is less each time.
 */
static int start(struct work *work, const struct delegation *delegation, struct refusal *refusal,
                 struct err *err)
{
    size_t opened = 0, before;
    struct err why;
    int r;
    do {
        before = opened;
        why = (struct err){ 0 };
        r = begin_running(work, delegation, &opened, refusal, &why);
        if (r < 0 && why.code == ERR_CONFLICT && work_back(work, err) < 0)
            return -EIO;
    } while (r < 0 && why.code == ERR_CONFLICT && opened > 0 && (before == 0 || opened < before));
    if (r < 0 && why.code == ERR_BUDGET) {
        refusal->err = why;
        snprintf(refusal->smallest_change, sizeof(refusal->smallest_change),
                 "See `agent-machine budget show`; wait, or have more delegated.");
        r = work_back(work, err);
        if (r == 0) /* that whose ceiling it was is there to be looked at */
            r = budget_open_chain(work, delegation, &opened, err);
        return r < 0 ? r : -EACCES;
    }
    if (r < 0 && why.code == ERR_CONFLICT && work->lease_count) {
        err_set(&refusal->err, ERR_CONFLICT, STEP_SUBMIT,
                "another operation used the same answer at the same moment");
        snprintf(refusal->smallest_change, sizeof(refusal->smallest_change),
                 "Give the command again.");
    }
    if (r < 0 && err && refusal->err.code == ERR_NONE)
        *err = why;
    return r;
}

/*
 * What failed is no refusal. Another process may have taken the same command (1, with the outcome),
 * or ended the operation, or asked for its end: then that stands. Else it is an end as well.
 */
static int end_otherwise(struct work *work, const struct identity *identity,
                         struct refusal *refusal, struct outcome *ret, int failed, struct err *why)
{
    struct err inner = { 0 };
    bool is_new = work_is_new(work);
    int r =
        is_new && why->code == ERR_CONFLICT ? identity_find(work->plane, identity, ret, &inner) : 0;
    if (r < 0)
        *why = inner;
    if (r != 0)
        return r;
    r = is_new ? work_back(work, &inner) : work_reload(work, &inner);
    if (r < 0)
        return failed;
    enum state state = work_state(work, WORK_OPERATION);
    if (state_is_end(state))
        return 0;
    if (state == STATE_CANCELING)
        return finish_canceled(work, "graceful", STR(""), NULL, &inner) < 0 ? failed : 0;
    if (refusal->err.code == ERR_NONE)
        refusal->err = *why;
    return finish_fail(work, refusal, NULL, &inner) < 0 ? failed : 0;
}

/* 0: it runs, or has failed; 1: what stood in its way may be gone, ask again; or -errno. */
static int take_steps(struct work *work, const struct demand *demand, int64_t until_ms,
                      struct refusal *refusal, struct err *err)
{
    struct delegation delegation = { 0 };
    struct err inner = { 0 };
    int r = work_keep(work, err);
    if (r == 0)
        r = preflight(work, demand, &delegation, refusal, err);
    if (r == 0) {
        r = work_keep(work, err); /* the verdicts stand, whatever the budget says */
        if (r == 0)
            r = start(work, &delegation, refusal, err);
        delegation_release(&delegation);
    }
    if (r == 0 || refusal->err.code == ERR_NONE)
        return r;
    r = refusal->card_is_own || refusal->missing_tool.len
            ? standstill(work, refusal, until_ms, &inner)
            : 0;
    if (r == 0)
        r = finish_fail(work, refusal, NULL, &inner);
    if (r < 0 && err)
        *err = inner;
    return r;
}

/*
 * From queued or retrying through delegation, gates and budget. Where two ask the same of a person
 * at the same moment, the later one's batch fails: it asks the gates again.
 */
static int take_way(struct work *work, const struct plane_asks *asks, struct refusal *refusal,
                    struct err *err)
{
    _cleanup_(cleanup_free) struct demand *demand = calloc(1, sizeof(*demand));
    int64_t until_ms = clock_now_ms() + work->plane->options.wait_ms;
    int r = 1;
    if (!demand)
        return err_set(err, ERR_MEMORY, STEP_SUBMIT, "there is not enough memory");
    read_demand(work, asks, demand);
    for (int races = 0; r > 0 && races < RACES_MAX;) {
        struct err why = { 0 };
        *refusal = (struct refusal){ 0 };
        r = take_steps(work, demand, until_ms, refusal, &why);
        if (r < 0 && err)
            *err = why;
        if (r >= 0 || why.code != ERR_CONFLICT || !refusal->card[0])
            continue;
        races++;
        *refusal = (struct refusal){ 0 };
        if (work_back(work, err) == 0 && !state_is_end(work_state(work, WORK_OPERATION)))
            r = 1;
    }
    return r > 0 ? -EEXIST : r;
}

static int carry_through(struct work *work, const struct identity *identity,
                         const struct plane_asks *asks, struct outcome *ret, struct err *err)
{
    struct refusal refusal = { 0 };
    struct err why = { 0 };
    int r = take_way(work, asks, &refusal, &why);
    if (r < 0)
        r = end_otherwise(work, identity, &refusal, ret, r, &why);
    else if (!state_is_end(work_state(work, WORK_OPERATION)))
        r = finish_run(work, &why);
    if (r == 0)
        finish_outcome(work, ret);
    if (r < 0 && err)
        *err = why;
    return r < 0 ? r : 0;
}

/* --- retry --------------------------------------------------------------------------------- */

/*
 * A run is tried again as long as it has not begun: what one that ran has left stands under its
 * name. Only who gives its command can carry it out, since the ledger has not its arguments.
 */
static int check_retry_of_run(const struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct str local = urn_local(work_operation(work));
    struct err inner = { 0 };
    char urn[PLANE_URN_MAX];
    int64_t revision;
    if (!work->plane->options.execution_start)
        return err_set(err, ERR_UNSUPPORTED, STEP_SUBMIT,
                       "the ledger has not the arguments of a run; give its command: agent-machine "
                       "run --retry %.*s -- COMMAND",
                       STR_ARG(local));
    urn_make("agent-machine-fingerprint", local, urn);
    int r = ledger_get_document(work->plane->ledger, str_from(urn), &text, &revision, &inner);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        return err_set(err, ERR_CONFLICT, STEP_SUBMIT,
                       "%.*s has run, and what it did is on record; give its command anew",
                       STR_ARG(work_operation(work)));
    if (err)
        *err = inner;
    return r;
}

static int check_retry(const struct work *work, struct err *err)
{
    struct str operation = work_operation(work);
    enum state state = work_state(work, WORK_OPERATION);
    int64_t attempt = (int64_t)work_count(work, WORK_OPERATION, "attempt");
    int r = state_check(STATE_OF_OPERATION, state, STATE_RETRYING, err);
    if (r == 0 && state != STATE_FAILED)
        return err_set(err, ERR_CONFLICT, STEP_SUBMIT, "%.*s has not failed", STR_ARG(operation));
    if (r < 0)
        return r;
    if (!work->type->retry.retryable || !work_text(work, WORK_OPERATION, "idempotencyKey").len)
        return err_set(err, ERR_CONFLICT, STEP_SUBMIT,
                       "%.*s cannot be tried again: %s; submit a new command", STR_ARG(operation),
                       work->type->retry.retryable ? "its command has no idempotency key"
                                                   : "its type is not retried");
    if (attempt >= work->type->retry.max_attempts)
        return err_set(err, ERR_CONFLICT, STEP_SUBMIT,
                       "%.*s was tried %lld times, which is the most; submit a new command",
                       STR_ARG(operation), (long long)attempt);
    return work->operation_type == OPERATION_EXECUTION_START ? check_retry_of_run(work, err) : 0;
}

/* What is left of the wait before the next attempt: doubled each time, up to the longest. */
static int64_t retry_delay(const struct work *work)
{
    int64_t attempt = (int64_t)work_count(work, WORK_OPERATION, "attempt");
    int64_t delay = work->type->retry.initial_delay_ms, failed_at, now = clock_now_ms();
    for (int64_t i = 1; i < attempt && delay < work->type->retry.max_delay_ms; i++)
        delay *= 2;
    if (delay > work->type->retry.max_delay_ms)
        delay = work->type->retry.max_delay_ms;
    if (!clock_parse(work_text(work, WORK_OPERATION, "endedAt"), &failed_at) || failed_at > now)
        return delay;
    return now - failed_at >= delay ? 0 : delay - (now - failed_at);
}

static int take_retry(struct plane *plane, yyjson_doc *doc, const struct plane_asks *asks,
                      struct outcome *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *owned = doc;
    _cleanup_(identity_release) struct identity identity = { .key = BUF_INIT };
    _cleanup_(cleanup_work) struct work *work = NULL;
    const yyjson_val *command = yyjson_doc_get_root(owned);
    int r = identity_of(command, &identity, err);
    if (r < 0)
        return r;
    buf_reset(&identity.key); /* it names the operation's, which exists; this command has its id */
    r = identity_find(plane, &identity, ret, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = work_load(plane, text_of(member(command, "operationRef")), &work, err);
    if (r == 0)
        r = check_retry(work, err);
    if (r < 0)
        return r;
    if (!str_equal(text_of(member(command, "idempotencyKey")),
                   work_text(work, WORK_OPERATION, "idempotencyKey")) ||
        !str_equal(text_of(member(command, "workspaceRef")),
                   work_text(work, WORK_OPERATION, "workspaceRef")) ||
        !str_equal(text_of(member(command, "subjectRef")),
                   work_text(work, WORK_OPERATION, "subjectRef")))
        return err_set(err, ERR_CONFLICT, STEP_SUBMIT,
                       "a retry has the workspace, subject and idempotency key of its operation");
    struct change retrying = { .to = STATE_RETRYING,
                               .actor = text_of(member(command, "actorRef")),
                               .command = identity.command,
                               .retry_delay_ms = retry_delay(work) };
    work_set_holder(work);
    r = work_change_both(work, &retrying, err);
    if (r == 0)
        r = identity_put(work, &identity, err);
    if (r == 0)
        r = command_put(work, command, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_RETRYING, err);
    if (r < 0)
        return r;
    struct timespec wait = { .tv_sec = retrying.retry_delay_ms / 1000,
                             .tv_nsec = retrying.retry_delay_ms % 1000 * 1000000 };
    while (nanosleep(&wait, &wait) < 0 && errno == EINTR)
        ;
    return carry_through(work, &identity, asks, ret, err);
}
