/*
 * budget: an operation's account and its reservations.
 *
 * Theory of operation. Each delegation of a chain has an account below that of
 * the one above it, opened when something is first done under it; an operation
 * has one below its delegation's. The ledger counts; the Budget documents here
 * are views of its accounts, written when one is opened and when an
 * operation's is settled.
 *
 * What a process that is gone had set aside: time is charged as it went by;
 * what is only held (memory, concurrency) is given back; anything else may
 * have been used up to the last unit, and is charged so.
 */
#include "plane/budget.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/work.h"

#define STEP_BUDGET "set the budget aside"

static const struct {
    const char *enforced_by;
    int64_t largest_overshoot; /* of metering */
    bool held;                 /* given back at the end */
    int64_t block;             /* set aside ahead of need */
} enforcement[DIMENSION_COUNT] = {
    [DIMENSION_MODEL_CALLS] = { "door", .block = 16 },
    [DIMENSION_TOKENS] = { "door", .block = 65536 },
    [DIMENSION_CONNECTOR_CALLS] = { "door", .block = 16 },
    [DIMENSION_CPU_SECONDS] = { "metering", .largest_overshoot = 2, .block = 60 },
    [DIMENSION_GPU_SECONDS] = { "none" },
    [DIMENSION_LOCAL_DISK_BYTES] = { "metering", .largest_overshoot = 64 << 20, .block = 64 << 20 },
    [DIMENSION_SANDBOX_MEMORY_BYTES] = { "kernel", .held = true },
    [DIMENSION_WALL_CLOCK_SECONDS] = { "kernel" },
    [DIMENSION_AGENT_CONCURRENCY] = { "kernel", .held = true },
};

/* --- documents ----------------------------------------------------------------------------- */

void budget_urn(struct str holder, char ret[PLANE_URN_MAX])
{
    const char *mark = str_starts(holder, STR("urn:srcos:delegation:")) ? "delegation-" : "";
    struct str local = urn_local(holder);
    snprintf(ret, PLANE_URN_MAX, "urn:srcos:budget:%s%.*s", mark, STR_ARG(local));
}

static void add_text_member(struct buf *ret, const char *name, struct str text)
{
    buf_addf(ret, ",\"%s\":", name);
    json_add_string(ret, text);
}

static void add_dimension(struct buf *ret, size_t i, const struct account *account)
{
    int64_t limit = account->limits.of[i];
    buf_addf(ret, "%s\"%s\":{\"limit\":%lld,\"reserved\":%lld,\"used\":%lld,\"enforcedBy\":\"%s\"",
             i ? "," : "", dimension_names[i], (long long)(limit < 0 ? 0 : limit),
             (long long)account->reserved.of[i], (long long)account->used.of[i],
             enforcement[i].enforced_by);
    if (enforcement[i].largest_overshoot)
        buf_addf(ret, ",\"largestOvershoot\":%lld", (long long)enforcement[i].largest_overshoot);
    if (account->overshoot.of[i])
        buf_addf(ret, ",\"overshoot\":%lld", (long long)account->overshoot.of[i]);
    buf_add_char(ret, '}');
}

int budget_exhaustion(struct ledger *ledger, struct str account, struct exhaustion *ret,
                      struct err *err)
{
    struct exhaustion found = { 0 };
    char name[PLANE_URN_MAX];
    snprintf(name, sizeof(name), "%.*s", STR_ARG(account));
    for (int depth = 0; name[0] && !found.account[0] && depth < LEDGER_ACCOUNT_DEPTH_MAX; depth++) {
        struct account at;
        int r = ledger_get_account(ledger, str_from(name), &at, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < DIMENSION_COUNT && !found.account[0]; i++)
            if (at.limits.of[i] > 0 && !enforcement[i].held && at.used.of[i] >= at.limits.of[i]) {
                found.dimension = (enum dimension)i;
                snprintf(found.account, sizeof(found.account), "%s", name);
            }
        snprintf(name, sizeof(name), "%s", at.parent);
    }
    *ret = found;
    return 0;
}

void budget_document(struct buf *ret, const struct budget_view *view, const struct account *account,
                     const struct exhaustion *exhaustion)
{
    bool exhausted = exhaustion && exhaustion->account[0] && !view->settled_at.len;
    buf_add_text(ret, "{\"id\":");
    json_add_string(ret, view->id);
    buf_add_text(ret, ",\"type\":\"Budget\",\"specVersion\":\"1.0.0\"");
    add_text_member(ret, "holderRef", view->holder);
    if (account->parent[0])
        add_text_member(ret, "parentBudgetRef", str_from(account->parent));
    buf_addf(ret, ",\"state\":\"%s\"",
             view->settled_at.len ? "settled"
             : exhausted          ? "exhausted"
                                  : "open");
    add_text_member(ret, "openedAt", view->opened_at);
    if (view->settled_at.len)
        add_text_member(ret, "settledAt", view->settled_at);
    if (exhausted) {
        buf_addf(ret, ",\"exhaustion\":{\"dimension\":\"%s\"",
                 dimension_names[exhaustion->dimension]);
        add_text_member(ret, "budgetRef", str_from(exhaustion->account));
        buf_add_char(ret, '}');
    }
    buf_add_text(ret, ",\"dimensions\":{");
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        add_dimension(ret, i, account);
    buf_add_text(ret, "}}");
}

static int put_view(struct ledger_batch *batch, struct str operation,
                    const struct budget_view *view, const struct account *account, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    budget_document(&text, view, account, NULL);
    if (text.error)
        return err_set(err, ERR_MEMORY, STEP_BUDGET, "there is not enough memory");
    return ledger_put_document(batch, STR("Budget"), view->id, operation, buf_str(&text),
                               LEDGER_ANY, err);
}

/* --- events -------------------------------------------------------------------------------- */

struct movement {
    const char *name;
    int64_t amount, overshoot;
};

static void add_movement(struct buf *ret, struct str account, size_t dimension,
                         struct movement movement)
{
    buf_add_text(ret, ret->len ? ",{\"budgetRef\":" : "{\"budgetRef\":");
    json_add_string(ret, account);
    buf_addf(ret, ",\"dimension\":\"%s\",\"movement\":\"%s\",\"amount\":%lld",
             dimension_names[dimension], movement.name, (long long)movement.amount);
    if (movement.overshoot > 0)
        buf_addf(ret, ",\"overshoot\":%lld", (long long)movement.overshoot);
    buf_add_char(ret, '}');
}

/* In one account: what is set aside (`used` NULL), or how a reservation ends. */
static void add_movements(struct buf *ret, struct str account, const struct amounts *reserved,
                          const struct amounts *used)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        int64_t set_aside = reserved->of[i], spent = used ? used->of[i] : 0;
        if (!used && set_aside)
            add_movement(ret, account, i, (struct movement){ "reserve", set_aside, 0 });
        if (used && spent)
            add_movement(ret, account, i, (struct movement){ "settle", spent, spent - set_aside });
        if (used && set_aside > spent)
            add_movement(ret, account, i, (struct movement){ "release", set_aside - spent, 0 });
    }
}

/* The same in the account and in every account above it, of which `first` stands in the ledger. */
static int add_movements_above(struct plane *plane, struct buf *ret, const char *first,
                               const struct amounts *reserved, const struct amounts *used,
                               struct err *err)
{
    char name[PLANE_URN_MAX];
    snprintf(name, sizeof(name), "%s", first);
    for (int depth = 0; name[0] && depth < LEDGER_ACCOUNT_DEPTH_MAX; depth++) {
        struct account account;
        int r = ledger_get_account(plane->ledger, str_from(name), &account, err);
        if (r < 0)
            return r;
        add_movements(ret, str_from(name), reserved, used);
        snprintf(name, sizeof(name), "%s", account.parent);
    }
    return 0;
}

static int tell_usage(struct work *work, const struct buf *movements, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    if (movements->len == 0)
        return 0;
    buf_addf(&extra, ",\"usage\":[%s]", movements->data);
    if (movements->error || extra.error)
        return err_set(err, ERR_MEMORY, STEP_BUDGET, "there is not enough memory");
    return work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

/* --- opening ------------------------------------------------------------------------------- */

static void read_amounts(const yyjson_val *object, struct amounts *ret)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        ret->of[i] = (int64_t)count_of(member(object, dimension_names[i]));
}

/* The ceiling of a delegation whose chain has been verified. */
static int read_ceiling(struct plane *plane, struct str urn, struct amounts *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = delegation_get(plane->ledger, urn, &doc, err);
    if (r < 0)
        return r;
    read_amounts(member(yyjson_doc_get_root(doc), "budgetCeiling"), ret);
    return 0;
}

/* Of a link of the chain: the delegation itself may not be in the ledger yet. */
static int ceiling_of(struct work *work, const struct delegation *delegation, size_t link,
                      struct amounts *ret, struct err *err)
{
    int r = 0;
    if (link == 0)
        *ret = delegation->ceiling;
    else
        r = read_ceiling(work->plane, str_from(delegation->chain[link]), ret, err);
    if (r == 0)
        ret->of[DIMENSION_GPU_SECONDS] = 0; /* without a meter there is no limit but zero */
    return r;
}

static int open_one(struct work *work, const struct delegation *delegation, size_t link,
                    const char *urn, const char *parent, struct err *err)
{
    struct account account = { 0 };
    char now[CLOCK_TEXT_SIZE];
    int r = ceiling_of(work, delegation, link, &account.limits, err);
    if (r < 0)
        return r;
    clock_text(clock_now_ms(), now);
    snprintf(account.parent, sizeof(account.parent), "%s", parent);
    struct budget_view view = { .id = str_from(urn),
                                .holder = str_from(delegation->chain[link]),
                                .opened_at = str_from(now) };
    r = ledger_open_account(work->batch, view.id, str_from(parent), &account.limits, err);
    return r < 0 ? r : put_view(work->batch, STR(""), &view, &account, err);
}

int budget_open_chain(struct work *work, const struct delegation *delegation, size_t *ret_opened,
                      struct err *err)
{
    char parent[PLANE_URN_MAX] = "", urn[PLANE_URN_MAX];
    size_t opened = 0;
    for (size_t i = delegation->chain_count; i > 0; i--) {
        struct account account;
        struct err inner = { 0 };
        budget_urn(str_from(delegation->chain[i - 1]), urn);
        int r = ledger_get_account(work->plane->ledger, str_from(urn), &account, &inner);
        if (r == -ENOENT) {
            inner = (struct err){ 0 };
            r = open_one(work, delegation, i - 1, urn, parent, &inner);
            opened++;
        }
        if (r < 0) {
            if (err)
                *err = inner;
            return r;
        }
        snprintf(parent, sizeof(parent), "%s", urn);
    }
    *ret_opened = opened;
    return 0;
}

/* --- reserving ----------------------------------------------------------------------------- */

/* What the operation may use in all: what its command says, else what is usual. */
static void limits_of(const struct work *work, const struct delegation *delegation,
                      struct amounts *ret)
{
    const yyjson_val *asked = member(work_command(work), "budgetCeiling");
    if (asked) {
        read_amounts(asked, ret);
        return;
    }
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        int64_t usual = work->type->usual.of[i], above = delegation->ceiling.of[i];
        ret->of[i] = usual < above ? usual : above;
    }
}

/* Where all that is left is needed and nothing is, one unit is asked for, so that it is refused. */
static void need_of(const struct work *work, const struct account *account, struct amounts *ret)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        int64_t need = work->type->need.of[i];
        int64_t left = account->limits.of[i] - account->used.of[i] - account->reserved.of[i];
        ret->of[i] = need != NEED_CEILING ? need : left > 0 ? left : 1;
    }
}

static void reservation_of(const struct work *work, char ret[PLANE_URN_MAX])
{
    snprintf(ret, PLANE_URN_MAX, "%.*s#%llu", STR_ARG(work_operation(work)),
             (unsigned long long)work_count(work, WORK_OPERATION, "attempt"));
}

int budget_reserve(struct work *work, const struct delegation *delegation, struct err *err)
{
    char urn[PLANE_URN_MAX], parent[PLANE_URN_MAX], reservation[PLANE_URN_MAX];
    char now[CLOCK_TEXT_SIZE];
    _cleanup_(buf_release) struct buf movements = BUF_INIT;
    struct account account = { 0 };
    struct amounts need;
    bool is_open = work_text(work, WORK_OPERATION, "budgetRef").len > 0;
    int r = 0;
    budget_urn(work_operation(work), urn);
    budget_urn(delegation->id, parent);
    reservation_of(work, reservation);
    if (is_open) {
        r = ledger_get_account(work->plane->ledger, str_from(urn), &account, err);
        snprintf(parent, sizeof(parent), "%s", account.parent);
    } else {
        limits_of(work, delegation, &account.limits);
        snprintf(account.parent, sizeof(account.parent), "%s", parent);
        r = ledger_open_account(work->batch, str_from(urn), str_from(parent), &account.limits, err);
    }
    if (r < 0)
        return r;
    need_of(work, &account, &need);
    r = ledger_reserve(work->batch, str_from(reservation), str_from(urn), &need, &work->plane->self,
                       err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        account.reserved.of[i] += need.of[i];
    clock_text(clock_now_ms(), now);
    struct budget_view view = { .id = str_from(urn),
                                .holder = work_operation(work),
                                .opened_at = str_from(now) };
    r = put_view(work->batch, work_operation(work), &view, &account, err);
    add_movements(&movements, str_from(urn), &need, NULL);
    if (is_open && r == 0)
        r = add_movements_above(work->plane, &movements, parent, &need, NULL, err);
    for (size_t i = 0; !is_open && i < delegation->chain_count; i++) {
        budget_urn(str_from(delegation->chain[i]), parent);
        add_movements(&movements, str_from(parent), &need, NULL);
    }
    work_set_text(work, WORK_OPERATION, "budgetRef", str_from(urn));
    work->set_aside = need;
    work->drawn = (struct amounts){ 0 };
    return r < 0 ? r : tell_usage(work, &movements, err);
}

/* --- drawing ------------------------------------------------------------------------------- */

static int add_block(struct work *work, const struct amounts *block, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf movements = BUF_INIT, text = BUF_INIT;
    char urn[PLANE_URN_MAX], own[PLANE_URN_MAX], reservation[PLANE_URN_MAX + 64], local[40];
    struct account account;
    int64_t revision;
    budget_urn(work_operation(work), urn);
    reservation_of(work, own);
    int r = urn_fresh(local, err);
    if (r == 0)
        r = ledger_get_account(work->plane->ledger, str_from(urn), &account, err);
    if (r == 0)
        r = ledger_get_document(work->plane->ledger, str_from(urn), &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    snprintf(reservation, sizeof(reservation), "%s+%s", own, local);
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        account.reserved.of[i] += block->of[i];
    struct budget_view view = { .id = str_from(urn),
                                .holder = work_operation(work),
                                .opened_at =
                                    text_of(member(yyjson_doc_get_root(doc), "openedAt")) };
    r = ledger_reserve(work->batch, str_from(reservation), str_from(urn), block, &work->plane->self,
                       err);
    if (r == 0)
        r = put_view(work->batch, work_operation(work), &view, &account, err);
    if (r == 0)
        r = add_movements_above(work->plane, &movements, urn, block, NULL, err);
    return r < 0 ? r : tell_usage(work, &movements, err);
}

int budget_raise(struct work *work, enum dimension dimension, int64_t more, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char urn[PLANE_URN_MAX];
    struct amounts amounts = { 0 };
    struct account account;
    int64_t revision;
    budget_urn(work_operation(work), urn);
    amounts.of[dimension] = more;
    int r = ledger_get_account(work->plane->ledger, str_from(urn), &account, err);
    if (r == 0)
        r = ledger_get_document(work->plane->ledger, str_from(urn), &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r == 0)
        r = ledger_raise(work->batch, str_from(urn), &amounts, err);
    if (r < 0)
        return r;
    account.limits.of[dimension] += more;
    struct budget_view view = { .id = str_from(urn),
                                .holder = work_operation(work),
                                .opened_at =
                                    text_of(member(yyjson_doc_get_root(doc), "openedAt")) };
    r = put_view(work->batch, work_operation(work), &view, &account, err);
    return r < 0
               ? r
               : work_event(work, EVENT_PROGRESS, STR(",\"message\":\"A budget is raised.\""), err);
}

static int set_block_aside(struct work *work, enum dimension dimension, int64_t size,
                           struct err *err)
{
    struct amounts block = { 0 };
    size_t before = ledger_batch_size(work->batch);
    block.of[dimension] = size;
    int r = add_block(work, &block, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_RESERVED, err);
    if (r == 0)
        work->set_aside.of[dimension] += size;
    else
        ledger_batch_cut(work->batch, before); /* what the effect has added stays */
    return r;
}

/* What is set aside grows with what was, so that the blocks are few however much is drawn. */
static int64_t block_of(const struct work *work, enum dimension dimension, int64_t missing)
{
    int64_t block = enforcement[dimension].block, share = work->set_aside.of[dimension] / 4;
    int64_t size = block > share ? block : share;
    return size > missing ? size : missing;
}

int budget_draw(struct work *work, enum dimension dimension, int64_t amount, struct err *err)
{
    int64_t *drawn = &work->drawn.of[dimension];
    int64_t missing = *drawn + amount - work->set_aside.of[dimension];
    struct err why = { 0 };
    int r = 0;
    assert(amount >= 0);
    for (int64_t size = block_of(work, dimension, missing); missing > 0; size /= 2) {
        if (size < missing) /* the rest, where that suffices */
            size = missing;
        why = (struct err){ 0 };
        r = set_block_aside(work, dimension, size, &why);
        if (r == 0 || why.code != ERR_BUDGET || size == missing)
            break;
    }
    if (r < 0 && why.code == ERR_BUDGET) {
        int raised = top_up(work, dimension, missing, &why, err);
        if (raised < 0)
            return raised;
        if (raised > 0) {
            why = (struct err){ 0 };
            r = set_block_aside(work, dimension, missing, &why);
        }
    }
    if (r == 0)
        *drawn += amount;
    else if (err)
        *err = why;
    return r;
}

void budget_give_back(struct work *work, enum dimension dimension, int64_t amount)
{
    assert(amount >= 0 && amount <= work->drawn.of[dimension]);
    work->drawn.of[dimension] -= amount;
}

/* --- settling ------------------------------------------------------------------------------ */

struct settlement {
    struct work *work;
    struct str urn;
    const char *own;
    const struct amounts *used; /* NULL: the process is gone */
    struct amounts left;        /* of what was used, to be charged */
    bool of_blocks;             /* the blocks come first, the first reservation takes the rest */
    int64_t elapsed_seconds;
    struct buf movements;
    struct account account;
    bool found;
};

static void charge_of(struct settlement *settlement, bool own, const struct amounts *reserved,
                      struct amounts *ret)
{
    if (settlement->used) {
        for (size_t i = 0; i < DIMENSION_COUNT; i++) {
            int64_t left = settlement->left.of[i];
            ret->of[i] = own || left < reserved->of[i] ? left : reserved->of[i];
            settlement->left.of[i] -= ret->of[i];
        }
        return;
    }
    *ret = *reserved;
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        if (enforcement[i].held)
            ret->of[i] = 0;
    int64_t *time = &ret->of[DIMENSION_WALL_CLOCK_SECONDS];
    if (*time > settlement->elapsed_seconds)
        *time = settlement->elapsed_seconds;
}

static int settle_one(void *context, struct str reservation, struct str account,
                      const struct amounts *amounts, const struct holder *holder, struct err *err)
{
    struct settlement *settlement = context;
    struct amounts charge;
    bool own = str_equal(reservation, str_from(settlement->own));
    (void)holder;
    if (!str_equal(account, settlement->urn) || own == settlement->of_blocks)
        return 0;
    charge_of(settlement, own, amounts, &charge);
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        int64_t over = charge.of[i] - amounts->of[i];
        settlement->account.reserved.of[i] -= amounts->of[i];
        settlement->account.used.of[i] += charge.of[i];
        settlement->account.overshoot.of[i] += over > 0 ? over : 0;
    }
    settlement->found = true;
    int r = ledger_settle(settlement->work->batch, reservation, &charge, err);
    return r < 0 ? r
                 : add_movements_above(settlement->work->plane, &settlement->movements,
                                       settlement->urn.ptr, amounts, &charge, err);
}

/* When an attempt began to run; to go on after a pause begins nothing. */
static int find_begin(void *context, int64_t sequence, struct str json, struct err *err)
{
    int64_t *since = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)sequence;
    int r = json_read(json, &json_limits_default, &doc, err);
    const yyjson_val *event = yyjson_doc_get_root(doc), *change = member(event, "transition");
    if (r == 0 && text_is(member(change, "of"), "task") &&
        text_is(member(change, "to"), "running") && !text_is(member(change, "from"), "paused"))
        (void)!clock_parse(text_of(member(event, "occurredAt")), since);
    return r;
}

static int elapsed_seconds(const struct work *work, int64_t *ret, struct err *err)
{
    int64_t now = clock_now_ms(), since = now;
    int r =
        ledger_each_event(work->plane->ledger, 0, work_operation(work), find_begin, &since, err);
    if (r == 0)
        *ret = since >= now ? 0 : (now - since + 999) / 1000;
    return r;
}

static int put_settled(struct settlement *settlement, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct work *work = settlement->work;
    char now[CLOCK_TEXT_SIZE];
    int64_t revision;
    int r = ledger_get_document(work->plane->ledger, settlement->urn, &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    clock_text(clock_now_ms(), now);
    struct budget_view view = {
        .id = settlement->urn,
        .holder = work_operation(work),
        .opened_at = text_of(member(yyjson_doc_get_root(doc), "openedAt")),
        .settled_at = str_from(now),
    };
    return put_view(work->batch, work_operation(work), &view, &settlement->account, err);
}

int budget_settle(struct work *work, const struct amounts *used, struct err *err)
{
    char urn[PLANE_URN_MAX], own[PLANE_URN_MAX];
    if (!work_text(work, WORK_OPERATION, "budgetRef").len)
        return 0;
    budget_urn(work_operation(work), urn);
    reservation_of(work, own);
    struct settlement settlement = { .work = work,
                                     .urn = str_from(urn),
                                     .own = own,
                                     .used = used,
                                     .of_blocks = true,
                                     .movements = BUF_INIT };
    for (size_t i = 0; used && i < DIMENSION_COUNT; i++) {
        int64_t drawn = enforcement[i].held ? 0 : work->drawn.of[i];
        settlement.left.of[i] = used->of[i] > drawn ? used->of[i] : drawn;
    }
    int r = used ? 0 : elapsed_seconds(work, &settlement.elapsed_seconds, err);
    if (r == 0)
        r = ledger_get_account(work->plane->ledger, settlement.urn, &settlement.account, err);
    if (r == 0)
        r = ledger_each_reservation(work->plane->ledger, settle_one, &settlement, err);
    settlement.of_blocks = false;
    if (r == 0)
        r = ledger_each_reservation(work->plane->ledger, settle_one, &settlement, err);
    if (r == 0 && settlement.found)
        r = put_settled(&settlement, err);
    if (r == 0)
        r = tell_usage(work, &settlement.movements, err);
    buf_release(&settlement.movements);
    return r;
}
