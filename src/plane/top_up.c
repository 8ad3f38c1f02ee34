/*
 * top_up: what a door meters is used up, and a person may give more of it.
 *
 * Theory of operation. Where a draw exceeds what the operation's own account
 * still has, and the accounts above it could bear more, a card asks whether to
 * raise that account, once for each dimension as long as nobody has answered.
 * The draw fails all the same: nothing waits here. When it is tried again and
 * the answer allows, the account is raised, the answer is used up and the block
 * set aside, and from then on the next shortage is another question. An answer
 * that denies is final for this attempt.
 *
 * Never wider than the delegation: what is asked for is at most what every
 * account above has left, and setting it aside asks them again.
 */
#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/card.h"

#define STEP_TOP_UP   "raise a budget"
#define VALID_SECONDS 3600

/* What every account above could still bear; INT64_MAX where none has a ceiling. */
static int left_above(struct work *work, const char *own, enum dimension dimension, int64_t *ret,
                      struct err *err)
{
    struct account account;
    int64_t left = INT64_MAX;
    int r = ledger_get_account(work->plane->ledger, str_from(own), &account, err);
    for (int depth = 0; r == 0 && account.parent[0] && depth < LEDGER_ACCOUNT_DEPTH_MAX; depth++) {
        char above[sizeof(account.parent)];
        memcpy(above, account.parent, sizeof(above));
        r = ledger_get_account(work->plane->ledger, str_from(above), &account, err);
        int64_t room = account.limits.of[dimension] - account.used.of[dimension] -
                       account.reserved.of[dimension];
        if (r == 0 && account.limits.of[dimension] >= 0 && room < left)
            left = room;
    }
    *ret = left;
    return r;
}

static void write_card(struct buf *json, const struct work *work, const char *id, const char *own,
                       enum dimension dimension, int64_t amount, int64_t limit)
{
    const char *name = dimension_names[dimension];
    char user[KEY_USER_TEXT_MAX], now[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    int64_t now_ms = clock_now_ms();
    key_user(user);
    clock_text(now_ms, now);
    clock_text(now_ms + CARD_VALID_MS, end);
    buf_addf(json,
             "{\"id\":\"%s\",\"type\":\"" CARD_TYPE "\",\"specVersion\":\"1.0.0\","
             "\"state\":\"pending\"",
             id);
    json_add_text(json, "operationRef", work_operation(work));
    json_add_text(json, "taskRef", work_text(work, WORK_TASK, "id"));
    json_add_text(json, "askedByRef", work_text(work, WORK_OPERATION, "subjectRef"));
    buf_addf(json, ",\"resource\":{\"kind\":\"budget-top-up\",\"name\":\"%s\"},\"layer\":\"user\"",
             name);
    buf_add_text(json, ",\"topUp\":{\"budgetRef\":");
    json_add_string(json, str_from(own));
    buf_addf(json, ",\"dimension\":\"%s\",\"amount\":%lld}", name, (long long)amount);
    buf_addf(json, ",\"question\":\"The run has used its %lld %s. Give it %lld more?\"",
             (long long)limit, name, (long long)amount);
    buf_add_text(json, ",\"options\":[{\"optionId\":\"no\",\"label\":\"No\",\"consequence\":\"It "
                       "gets no more of them, and goes on without.\",\"verdict\":\"deny\"}");
    buf_addf(
        json,
        ",{\"optionId\":\"top-up\",\"label\":\"Yes, %lld more\",\"consequence\":\"This run may "
        "use %lld more %s of those that the delegation still has.\",\"verdict\":\"allow\","
        "\"lease\":{\"scope\":\"run\",\"durationSeconds\":%d,\"maxUses\":1}}]",
        (long long)amount, (long long)amount, name, VALID_SECONDS);
    buf_add_text(json, ",\"defaultOptionId\":\"no\",\"answerableByRefs\":[");
    json_add_string(json, str_from(user));
    buf_add_char(json, ']');
    json_add_text(json, "createdAt", str_from(now));
    json_add_text(json, "expiresAt", str_from(end));
    buf_add_char(json, '}');
}

/* Nobody is asked for what the delegation could not give. */
static int ask(struct work *work, const char *own, enum dimension dimension, int64_t missing,
               struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct card_found found = { 0 };
    struct account account;
    size_t before = ledger_batch_size(work->batch);
    int64_t left;
    int r = left_above(work, own, dimension, &left, err);
    if (r == 0)
        r = ledger_get_account(work->plane->ledger, str_from(own), &account, err);
    if (r < 0 || left < missing)
        return r;
    int64_t limit = account.limits.of[dimension], amount = limit > missing ? limit : missing;
    r = card_name(&found, err);
    if (r == 0)
        write_card(&json, work, found.card, own, dimension, amount < left ? amount : left, limit);
    if (r == 0)
        r = card_put_new(work, found.card, &json, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_CARD, err);
    if (r < 0)
        ledger_batch_cut(work->batch, before);
    else
        snprintf(work->top_ups[dimension], PLANE_URN_MAX, "%s", found.card);
    return r;
}

static int raise_by(struct work *work, const struct card *card, enum dimension dimension,
                    struct err *err)
{
    struct str id = text_of(member(card->root, "id"));
    size_t before = ledger_batch_size(work->batch);
    int r = budget_raise(work, dimension, (int64_t)count_of(at(card->root, "/topUp/amount")), err);
    if (r == 0)
        r = card_put_use(work, id, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_RESERVED, err);
    if (r < 0)
        ledger_batch_cut(work->batch, before);
    else
        work->top_ups[dimension][0] = '\0';
    return r < 0 ? r : 1;
}

int top_up(struct work *work, enum dimension dimension, int64_t missing, struct err *why,
           struct err *err)
{
    struct card card = { 0 };
    char own[PLANE_URN_MAX], where[PLANE_URN_MAX + 64];
    char *asked = work->top_ups[dimension];
    budget_urn(work_operation(work), own);
    snprintf(where, sizeof(where), "%s %s", dimension_names[dimension], own);
    if (strncmp(why->where, where, sizeof(why->where) - 1) != 0)
        return 0; /* it is a ceiling above that forbids it */
    int r = asked[0] ? 0 : ask(work, own, dimension, missing, err);
    if (r < 0 || !asked[0])
        return r;
    r = card_read(work->plane, str_from(asked), &card, err);
    if (r < 0)
        return r;
    bool is_given = card_state(&card) == CARD_ANSWERED && card_lease_holds(&card);
    if (card_state(&card) == CARD_PENDING) {
        size_t len = strlen(why->cause);
        snprintf(why->cause + len, sizeof(why->cause) - len,
                 "; a person is asked: agent-machine op decide %.*s top-up",
                 STR_ARG(urn_local(str_from(asked))));
    }
    r = is_given ? raise_by(work, &card, dimension, err) : 0;
    card_release(&card);
    return r;
}
