/*
 * model_record: see the header.
 *
 * Theory of operation. What documents and layers say of a route cannot change
 * during a run and is found out once (model_ruling.c); that its binding has not
 * been undone meanwhile is looked up whenever anything was committed. Each distinct verdict about
 * a route and a model becomes a PolicyDecision, durable before the first call
 * under it; later calls under it are counted by their own events. Those wait in
 * the work's batch for whatever is made durable next, so that a call waits for
 * the disk only where a verdict is new or a block of the budget is used up.
 *
 * Invariants: nothing is forwarded that a reservation does not cover; what a
 * provider reports above it is owed, and drawn before the next call; a record
 * that cannot be written ends the calls.
 */
#include "plane/model_record.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/model_ruling.h"
#include "plane/work.h"

#define STEP_RECORD     "write down a model call"
#define BOUND_MS        1000                      /* should the ledger's mark be wrong */
#define REASON_MAX      1000                      /* bytes, as the schema has it */
#define MODEL_COUNT_MAX (((uint64_t)1 << 53) - 1) /* of anything in an event */
#define EMPTY_BODY      "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int take_permit(void *context, const struct model_call *call,
                       char ret_reason[MODEL_REASON_SIZE], struct err *err);
static int take_reservation(void *context, const struct model_call *call,
                            struct model_ceiling *ret_ceiling, struct err *err);
static void take_settlement(void *context, const struct model_call *call,
                            const struct model_settlement *settlement);
static void take_refusal(void *context, const struct model_call *call, enum model_fault fault,
                         const char *reason);

int model_record_init(struct model_record *record, struct work *work,
                      const struct model_routes *routes, struct err *err)
{
    size_t count = routes->count ? routes->count : 1;
    *record = (struct model_record){
        .sink = { .context = record,
                  .permit = take_permit,
                  .reserve = take_reservation,
                  .settle = take_settlement,
                  .address = model_record_address,
                  .refused = take_refusal },
        .work = work,
        .routes = routes,
        .rulings = calloc(count, sizeof(*record->rulings)),
        .egress = calloc(count, sizeof(*record->egress)),
    };
    if (record->rulings && record->egress)
        return 0;
    model_record_release(record);
    return err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory");
}

void model_record_release(struct model_record *record)
{
    for (size_t i = 0; i < record->count; i++)
        free(record->verdicts[i].model);
    free(record->verdicts);
    free(record->rulings);
    free(record->egress);
    *record = (struct model_record){ 0 };
}

static size_t index_of(const struct model_record *record, const struct model_call *call)
{
    return (size_t)(call->route - record->routes->routes);
}

/* --- permit -------------------------------------------------------------------------------- */

static int grow(struct model_record *record, struct err *err)
{
    size_t capacity = record->capacity ? 2 * record->capacity : 16;
    if (record->count < record->capacity)
        return 0;
    struct model_verdict *verdicts = realloc(record->verdicts, capacity * sizeof(*verdicts));
    if (!verdicts)
        return err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory");
    record->verdicts = verdicts;
    record->capacity = capacity;
    return 0;
}

static struct model_verdict *find_verdict(const struct model_record *record,
                                          const struct model_verdict *like)
{
    for (size_t i = 0; i < record->count; i++) {
        struct model_verdict *verdict = &record->verdicts[i];
        if (verdict->route == like->route && verdict->answer == like->answer &&
            verdict->is_unbound == like->is_unbound && strcmp(verdict->model, like->model) == 0)
            return verdict;
    }
    return NULL;
}

/*
 * Whether the route's binding has been undone since the routes were made. It is looked up where
 * somebody has committed anything since it was last, and each second.
 */
static int look_unbound(struct model_record *record, const struct model_route *route,
                        struct err *err)
{
    _cleanup_(cleanup_model_bound) struct model_bound bound = { 0 };
    struct plane *plane = work_plane(record->work);
    struct str profile = text_of(member(
        record->routes->origins[route - record->routes->routes].binding, "agentMachineProfileRef"));
    uint32_t mark = ledger_mark(plane->ledger);
    int64_t now = clock_passed_ms();
    if (mark && mark == record->bound_mark && now - record->bound_ms < BOUND_MS)
        return 0;
    int r = model_bound_read(plane, profile, &bound, err);
    if (r < 0)
        return r;
    if (bound.revision != record->routes->revision)
        return !str_equal(model_bound_find(&bound, route->provider_ref), route->binding_ref);
    record->bound_mark = mark;
    record->bound_ms = now;
    return 0;
}

/* One that was not met yet is written down, durably. */
static int add_verdict(struct model_record *record, struct model_verdict *verdict,
                       const struct model_ruling *ruling, struct card_found *card, struct err *err)
{
    struct work *work = record->work;
    size_t before = ledger_batch_size(work->batch);
    int r = grow(record, err);
    if (r == 0)
        r = model_ruling_write(work, record->routes, ruling, verdict, record->offer, card, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_VERDICT, err);
    if (r < 0) {
        ledger_batch_cut(work->batch, before);
        return r;
    }
    record->pending = 0;
    record->verdicts[record->count] = *verdict;
    record->verdicts[record->count].model = strdup(verdict->model);
    if (!record->verdicts[record->count].model)
        return err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory");
    record->count++;
    return 0;
}

/* Whether somebody is there who will answer a card that is pending. */
static bool is_awaited(const struct model_record *record, const char *id)
{
    struct card card = { 0 };
    struct err unread;
    if (!record->offer || !id[0] ||
        card_read(work_plane(record->work), str_from(id), &card, &unread) < 0)
        return false;
    bool is_pending = card_state(&card) == CARD_PENDING;
    card_release(&card);
    return is_pending && record->offer(record->offer_context, id);
}

static int take_permit(void *context, const struct model_call *call,
                       char ret_reason[MODEL_REASON_SIZE], struct err *err)
{
    struct model_record *record = context;
    char model[MODEL_NAME_BYTES_MAX + 1];
    struct card_found card = { 0 };
    struct model_verdict verdict = { .route = index_of(record, call), .model = model };
    struct model_ruling *ruling = &record->rulings[verdict.route];
    if (record->failure.code) {
        if (err)
            *err = record->failure;
        return err_set(NULL, record->failure.code, STEP_RECORD, "%s", record->failure.cause);
    }
    snprintf(model, sizeof(model), "%.*s", STR_ARG(call->model));
    int r = model_ruling_find(record->work, record->routes, verdict.route, ruling, err);
    if (r == 0)
        r = look_unbound(record, call->route, err);
    if (r < 0)
        return r;
    verdict.is_unbound = r > 0;
    verdict.answer = verdict.is_unbound ? ANSWER_DENY : ruling->answer;
    if (verdict.answer == ANSWER_ASK) /* a person may have answered since */
        r = model_ruling_consult(record->work, record->routes, ruling, &verdict, &card, err);
    struct model_verdict *known = r < 0 ? NULL : find_verdict(record, &verdict);
    r = r < 0 ? r : known ? 0 : add_verdict(record, &verdict, ruling, &card, err);
    if (r < 0)
        return r;
    if (!known)
        known = &record->verdicts[record->count - 1];
    if (verdict.answer == ANSWER_ALLOW)
        return 1;
    if (verdict.answer == ANSWER_ASK && is_awaited(record, card.card))
        return MODEL_HELD;
    known->last_ms = clock_now_ms();
    known->first_ms = known->denied++ ? known->first_ms : known->last_ms;
    model_ruling_explain(ruling, &verdict, ret_reason);
    return 0;
}

bool model_record_address(void *context, const struct model_call *call,
                          const struct address_range *address)
{
    const struct model_record *record = context;
    size_t route = index_of(record, call);
    return model_ruling_address(record->work, &record->routes->origins[route],
                                &record->rulings[route], address);
}

/* --- what it costs ------------------------------------------------------------------------- */

/* Draws an amount and what is owed of it. */
static int draw(struct model_record *record, enum dimension dimension, uint64_t amount,
                int64_t *owed, struct err *err)
{
    int64_t asked = amount > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)amount;
    int r = budget_draw(record->work, dimension, asked + *owed, err);
    if (r == 0)
        *owed = 0;
    return r;
}

/*
 * "DIMENSION ACCOUNT", as the ledger says whose ceiling it was. Left is what this call could have
 * had: what is set aside and not drawn counts, and what is owed does not.
 */
static void fill_ceiling(const struct model_record *record, const struct err *why,
                         enum dimension dimension, uint64_t requested, struct model_ceiling *ret)
{
    const char *space = strchr(why->where, ' ');
    struct account account;
    *ret = (struct model_ceiling){ .requested = requested };
    snprintf(ret->dimension, sizeof(ret->dimension), "%s", dimension_names[dimension]);
    if (!space)
        return;
    snprintf(ret->budget_ref, sizeof(ret->budget_ref), "%s", space + 1);
    if (ledger_get_account(work_plane(record->work)->ledger, str_from(space + 1), &account, NULL) <
        0)
        return; /* whose it was is known, how much is left is not */
    int64_t owed = dimension == DIMENSION_TOKENS ? record->owed_tokens : record->owed_calls;
    int64_t left = account.limits.of[dimension] - account.used.of[dimension] -
                   account.reserved.of[dimension] + record->work->set_aside.of[dimension] -
                   record->work->drawn.of[dimension] - owed;
    ret->left = left > 0 ? (uint64_t)left : 0;
}

static int take_reservation(void *context, const struct model_call *call,
                            struct model_ceiling *ret_ceiling, struct err *err)
{
    struct model_record *record = context;
    enum dimension dimension = DIMENSION_MODEL_CALLS;
    struct err why = { 0 };
    int r = draw(record, dimension, call->reserved_calls, &record->owed_calls, &why);
    if (r == 0) {
        dimension = DIMENSION_TOKENS;
        r = draw(record, dimension, call->reserved_tokens, &record->owed_tokens, &why);
        if (r < 0)
            budget_give_back(record->work, DIMENSION_MODEL_CALLS, (int64_t)call->reserved_calls);
    }
    if (r < 0 && why.code == ERR_BUDGET && is_awaited(record, record->work->top_ups[dimension]))
        return MODEL_HELD;
    if (r < 0 && why.code == ERR_BUDGET)
        fill_ceiling(record, &why, dimension,
                     dimension == DIMENSION_TOKENS ? call->reserved_tokens : call->reserved_calls,
                     ret_ceiling);
    if (r < 0 && err)
        *err = why;
    return r;
}

/* What a provider says of itself may be any number. */
static uint64_t bounded(uint64_t number)
{
    return number < MODEL_COUNT_MAX ? number : MODEL_COUNT_MAX;
}

static void add_to(int64_t *total, uint64_t number)
{
    *total += *total < (int64_t)MODEL_COUNT_MAX ? (int64_t)number : 0;
}

/* Gives back what was not used; what was used beyond the reservation is owed. */
static void settle(struct model_record *record, enum dimension dimension, uint64_t reserved,
                   uint64_t used, int64_t *total, int64_t *owed)
{
    used = bounded(used);
    add_to(total, used);
    if (used < reserved)
        budget_give_back(record->work, dimension, (int64_t)(reserved - used));
    else
        add_to(owed, used - reserved);
}

/* --- events -------------------------------------------------------------------------------- */

/* What the scanner found in a prompt that was about to leave. */
static void write_findings(struct buf *extra, const struct egress_findings *findings)
{
    bool first = true;
    for (enum redact_kind i = 0; i < REDACT_KIND_COUNT; i++) {
        if (!findings->counts[i])
            continue;
        buf_addf(extra, "%s\"%s\":%llu", first ? ",\"redactions\":{" : ",", redact_kind_name(i),
                 (unsigned long long)bounded(findings->counts[i]));
        first = false;
    }
    if (!first)
        buf_add_char(extra, '}');
}

/* `settlement` NULL: the call was refused. */
static void write_call(struct buf *extra, const struct model_call *call,
                       const struct model_settlement *settlement, const char *reason)
{
    buf_add_text(extra, ",\"modelCall\":{");
    json_add_text(extra, "modelProviderBindingRef", call->route->binding_ref);
    json_add_text(extra, "model", call->model);
    buf_addf(extra, ",\"route\":\"%s\"", call->route->is_hosted ? "hosted" : "local");
    if (reason && *reason)
        json_add_text(extra, "routeReason", str_make(reason, strnlen(reason, REASON_MAX)));
    buf_addf(extra, ",\"promptDigest\":\"%s\",\"promptBytes\":%llu",
             call->prompt_digest ? call->prompt_digest : EMPTY_BODY,
             (unsigned long long)bounded(call->prompt_bytes));
    if (settlement) {
        buf_addf(extra, ",\"answerBytes\":%llu",
                 (unsigned long long)bounded(settlement->answer_bytes));
        if (settlement->input_tokens)
            buf_addf(extra, ",\"inputTokens\":%llu",
                     (unsigned long long)bounded(settlement->input_tokens));
        if (settlement->output_tokens)
            buf_addf(extra, ",\"outputTokens\":%llu",
                     (unsigned long long)bounded(settlement->output_tokens));
    }
    if (call->secrets)
        write_findings(extra, call->secrets);
    buf_addf(extra, ",\"verdict\":\"%s\"}", settlement ? "allow" : "deny");
}

static void write_event(struct model_record *record, const struct model_call *call,
                        const struct model_settlement *settlement, const char *reason)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    int64_t now = clock_now_ms();
    write_call(&extra, call, settlement, reason);
    int r = extra.error
                ? err_set(&record->failure, ERR_MEMORY, STEP_RECORD, "there is not enough memory")
                : work_event(record->work, EVENT_PROGRESS, buf_str(&extra), &record->failure);
    if (r == 0 && record->pending++ == 0)
        record->pending_since_ms = now;
    if (r == 0 &&
        (record->pending >= MODEL_PENDING_MAX ||
         now - record->pending_since_ms >= MODEL_PENDING_MS) &&
        work_commit(record->work, PLANE_STEP_VERDICT, &record->failure) == 0)
        record->pending = 0;
}

static void take_settlement(void *context, const struct model_call *call,
                            const struct model_settlement *settlement)
{
    struct model_record *record = context;
    struct model_egress *egress = &record->egress[index_of(record, call)];
    settle(record, DIMENSION_MODEL_CALLS, call->reserved_calls, settlement->calls, &record->calls,
           &record->owed_calls);
    settle(record, DIMENSION_TOKENS, call->reserved_tokens, settlement->tokens, &record->tokens,
           &record->owed_tokens);
    if (call->route->is_hosted && (settlement->sent_bytes || settlement->status)) {
        egress->calls++;
        egress->bytes += settlement->sent_bytes;
    }
    write_event(record, call, settlement, call->route_reason);
}

/* Of a call without a route there is no binding that an event could name. */
static void take_refusal(void *context, const struct model_call *call, enum model_fault fault,
                         const char *reason)
{
    struct model_record *record = context;
    (void)fault;
    if (call->route && record->refused++ < MODEL_REFUSED_MAX)
        write_event(record, call, NULL, reason);
}

/* --- the end ------------------------------------------------------------------------------- */

struct model_egress model_record_egress(const struct model_record *record)
{
    struct model_egress all = { 0 };
    for (size_t i = 0; i < record->routes->count; i++) {
        all.calls += record->egress[i].calls;
        all.bytes += record->egress[i].bytes;
    }
    return all;
}

void model_record_write_egress(const struct model_record *record, struct buf *ret)
{
    const struct model_egress all = model_record_egress(record);
    const char *separator = "";
    buf_addf(ret, "{\"bytes\":%llu,\"calls\":%llu,\"destinations\":[",
             (unsigned long long)all.bytes, (unsigned long long)all.calls);
    for (size_t i = 0; i < record->routes->count; i++) {
        const struct model_egress *egress = &record->egress[i];
        if (!egress->calls)
            continue;
        buf_addf(ret, "%s{", separator);
        json_add_text(ret, "modelProviderBindingRef", record->routes->routes[i].binding_ref);
        json_add_text(ret, "host", str_from(record->routes->origins[i].host));
        buf_addf(ret, ",\"calls\":%llu,\"bytes\":%llu}", (unsigned long long)egress->calls,
                 (unsigned long long)egress->bytes);
        separator = ",";
    }
    buf_add_text(ret, "]}");
}

void model_record_write_denials(const struct model_record *record, struct buf *ret)
{
    for (size_t i = 0; i < record->count; i++) {
        const struct model_verdict *verdict = &record->verdicts[i];
        char first[CLOCK_TEXT_SIZE], last[CLOCK_TEXT_SIZE];
        if (!verdict->denied)
            continue;
        clock_text(verdict->first_ms, first);
        clock_text(verdict->last_ms, last);
        buf_addf(ret,
                 "%s{\"gate\":\"%s\",\"policyDecisionRef\":\"%s\",\"uses\":{\"count\":%llu,"
                 "\"firstAt\":\"%s\",\"lastAt\":\"%s\"}}",
                 ret->len ? "," : "", gate_names[GATE_MODEL_PROVIDER_USE], verdict->decision,
                 (unsigned long long)verdict->denied, first, last);
    }
}
