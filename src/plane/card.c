/*
 * card: see the header.
 *
 * Theory of operation. A question is known by a digest: what is wanted by whom,
 * where, with which profile, which rule asks, and of a tool or an image what it
 * is at this moment. Under it the ledger lists the
 * cards that still mean something, so that looking is two reads and the same
 * thing is asked once: while a card is pending, whoever asks for the same is
 * told of it; when it is answered, the answer is a lease of its scope. An
 * operation that was denied by an answer is not asked about again; another one
 * is, for a denial leases nothing.
 *
 * A card is changed on condition of its revision, so of two who answer one is
 * first. When its time is over the default is taken, which denies; whoever
 * meets such a card writes that down.
 *
 * Limits: CARD_LIVE_MAX cards of one question mean something at a time; the
 * uses of a lease are counted in the batch that makes an operation run, so that
 * a lease for one use is used once, whatever crashes.
 */
#include "plane/card.h"

#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"

#define STEP_CARD          "look at a decision card"
#define STEP_ASK           "ask a person"
#define QUESTION_TYPE      "DecisionQuestion"
#define LEASE_TYPE         "DecisionLease"
#define QUESTION_BYTES_MAX 4000 /* as the schema has it */
#define FLOW_SECONDS       600
#define RUN_SECONDS        3600
#define ONCE_SECONDS       86400
#define PROFILE_SECONDS    28800

static const char *const card_state_names[] = {
    [CARD_PENDING] = "pending",
    [CARD_ANSWERED] = "answered",
    [CARD_EXPIRED] = "expired",
    [CARD_WITHDRAWN] = "withdrawn",
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_CARD, "there is not enough memory");
}

static void add_member(struct buf *json, const char *name, struct str text)
{
    buf_addf(json, ",\"%s\":", name);
    json_add_string(json, text);
}

/* --- one card ------------------------------------------------------------------------------ */

static int read_json(struct plane *plane, struct str id, yyjson_doc **ret, int64_t *ret_revision,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    int r = ledger_get_document(plane->ledger, id, &text, ret_revision, err);
    return r < 0 ? r : json_read(buf_str(&text), &json_limits_default, ret, err);
}

int card_read(struct plane *plane, struct str id, struct card *ret, struct err *err)
{
    struct card card = { 0 };
    struct err inner = { 0 };
    int r = read_json(plane, id, &card.doc, &card.revision, &inner);
    card.root = yyjson_doc_get_root(card.doc);
    if (r == -ENOENT || (r == 0 && !text_is(member(card.root, "type"), CARD_TYPE)))
        r = err_set(&inner, ERR_NOT_FOUND, STEP_CARD,
                    "there is no decision card %.*s; see `agent-machine op pending`", STR_ARG(id));
    if (r < 0) {
        card_release(&card);
        if (err)
            *err = inner;
        return r;
    }
    *ret = card;
    return 0;
}

void card_release(struct card *card)
{
    yyjson_doc_free(TAKE_PTR(card->doc));
}

static bool is_over(struct str moment)
{
    int64_t ms;
    return !clock_parse(moment, &ms) || ms <= clock_now_ms();
}

enum card_state card_state(const struct card *card)
{
    const yyjson_val *state = member(card->root, "state");
    if (text_is(state, "pending"))
        return is_over(text_of(member(card->root, "expiresAt"))) ? CARD_EXPIRED : CARD_PENDING;
    return text_is(state, "answered")  ? CARD_ANSWERED
           : text_is(state, "expired") ? CARD_EXPIRED
                                       : CARD_WITHDRAWN;
}

bool card_lease_holds(const struct card *card)
{
    const yyjson_val *lease = at(card->root, "/answer/lease");
    return lease && !member(lease, "revokedAt") && !is_over(text_of(member(lease, "expiresAt")));
}

/* --- changing one -------------------------------------------------------------------------- */

/* Whether it is pending, for those who look for the ones that are. */
static int put_marker(struct work *work, struct str card, bool pending, struct err *err)
{
    _cleanup_(buf_release) struct buf id = BUF_INIT, json = BUF_INIT;
    buf_addf(&id, "decision:%.*s", STR_ARG(card));
    buf_add_text(&json, "{\"decisionCardRef\":");
    json_add_string(&json, card);
    buf_add_char(&json, '}');
    if (id.error || json.error)
        return no_memory(err);
    return ledger_put_document(work->batch, str_from(pending ? CARD_OPEN_TYPE : CARD_CLOSED_TYPE),
                               buf_str(&id), STR(""), buf_str(&json), LEDGER_ANY, err);
}

/* The document with the event that binds it. */
static int put_text(struct work *work, struct str id, struct str json, int64_t revision,
                    struct str command, const char *message, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r == 0)
        r = ledger_put_document(work->batch, STR(CARD_TYPE), id, work_operation(work), json,
                                revision, err);
    if (r < 0)
        return r;
    add_member(&extra, "decisionCardRef", id);
    if (command.len)
        add_member(&extra, "commandRef", command);
    add_member(&extra, "message", str_from(message));
    buf_add_text(&extra, ",\"documents\":[{\"documentRef\":");
    json_add_string(&extra, id);
    buf_addf(&extra, ",\"digest\":\"%s\"}]", digest);
    r = extra.error ? no_memory(err) : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
    return r < 0 ? r
                 : put_marker(work, id, text_is(at(yyjson_doc_get_root(doc), "/state"), "pending"),
                              err);
}

int card_put(struct work *work, const struct card *card, yyjson_mut_doc *changed,
             struct str command, const char *message, struct err *err)
{
    size_t len;
    _cleanup_(cleanup_free) char *text = yyjson_mut_write(changed, 0, &len);
    if (!text)
        return no_memory(err);
    return put_text(work, text_of(member(card->root, "id")), str_make(text, len), card->revision,
                    command, message, err);
}

int card_put_end(struct work *work, const struct card *card, enum card_state state, struct err *err)
{
    yyjson_mut_doc *changed = yyjson_doc_mut_copy(card->doc, NULL);
    bool done = changed && yyjson_mut_obj_put(yyjson_mut_doc_get_root(changed),
                                              yyjson_mut_str(changed, "state"),
                                              yyjson_mut_str(changed, card_state_names[state]));
    int r = !done ? no_memory(err)
                  : card_put(work, card, changed, STR(""),
                             state == CARD_EXPIRED ? "Nobody answered; the default is taken."
                                                   : "The question no longer stands.",
                             err);
    yyjson_mut_doc_free(changed);
    return r;
}

/* A change of a card apart from whatever its operation does. */
static int change_alone(struct plane *plane, const struct card *card,
                        int (*change)(struct work *, const struct card *, struct err *),
                        struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = work_load(plane, text_of(member(card->root, "operationRef")), &work, err);
    if (r == 0)
        r = change(work, card, err);
    return r < 0 ? r : work_commit(work, PLANE_STEP_CARD, err);
}

static int put_expired(struct work *work, const struct card *card, struct err *err)
{
    work->actor = PLANE_RECOVERY_ACTOR;
    return card_put_end(work, card, CARD_EXPIRED, err);
}

int card_expire(struct plane *plane, struct str id, struct err *err)
{
    struct card card = { 0 };
    struct err inner = { 0 };
    int r = card_read(plane, id, &card, &inner);
    if (r == 0 && text_is(member(card.root, "state"), "pending") &&
        card_state(&card) == CARD_EXPIRED)
        r = change_alone(plane, &card, put_expired, &inner);
    card_release(&card);
    if (r == 0 || inner.code == ERR_CONFLICT)
        return 0;
    if (err)
        *err = inner;
    return r;
}

static int put_asked(struct work *work, const struct card *card, struct err *err)
{
    char now[CLOCK_TEXT_SIZE], *text;
    size_t len;
    const yyjson_val *asked = member(card->root, "asked");
    yyjson_mut_doc *changed = yyjson_doc_mut_copy(card->doc, NULL);
    yyjson_mut_val *tally = changed ? yyjson_mut_obj(changed) : NULL;
    if (!tally) {
        yyjson_mut_doc_free(changed);
        return no_memory(err);
    }
    struct str first = text_of(member(asked ? asked : card->root, asked ? "firstAt" : "createdAt"));
    clock_text(clock_now_ms(), now);
    yyjson_mut_obj_add_uint(changed, tally, "count",
                            (asked ? count_of(member(asked, "count")) : 1) + 1);
    yyjson_mut_obj_add_strn(changed, tally, "firstAt", first.ptr, first.len);
    yyjson_mut_obj_add_str(changed, tally, "lastAt", now);
    yyjson_mut_obj_put(yyjson_mut_doc_get_root(changed), yyjson_mut_str(changed, "asked"), tally);
    text = yyjson_mut_write(changed, 0, &len);
    int r =
        !text ? no_memory(err)
              : ledger_put_document(work->batch, STR(CARD_TYPE), text_of(member(card->root, "id")),
                                    work_operation(work), str_make(text, len), card->revision, err);
    free(text);
    yyjson_mut_doc_free(changed);
    return r;
}

void card_count_asked(struct plane *plane, struct str id)
{
    struct card card = { 0 };
    struct err unheard;
    if (card_read(plane, id, &card, &unheard) < 0)
        return;
    if (card_state(&card) == CARD_PENDING)
        (void)!change_alone(plane, &card, put_asked, &unheard);
    card_release(&card);
}

/* --- the cards of a question --------------------------------------------------------------- */

static int question_id(const struct card_question *question, char ret[PLANE_URN_MAX],
                       struct err *err)
{
    const struct gate_question *gate = question->gate;
    const struct gate_answer *answer = question->answer;
    const struct str parts[] = {
        str_from(gate_names[gate->gate]),
        str_from(gate->kind),
        gate->name,
        gate->subject,
        gate->workspace,
        question->profile,
        str_from(layer_names[answer->layer]),
        str_from(answer->rule),
        str_from(answer->document),
        gate->digest,
    };
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_add_char(&text, i ? ',' : '[');
        json_add_string(&text, parts[i]);
    }
    buf_add_char(&text, ']');
    int r = text.error ? no_memory(err) : digest_text(buf_str(&text), digest, err);
    if (r == 0)
        snprintf(ret, PLANE_URN_MAX, "decision-question:%s", digest);
    return r;
}

/* The list as it stands; NULL and LEDGER_NEW where there is none. */
static int read_list(struct plane *plane, const char *id, yyjson_doc **ret, int64_t *ret_revision,
                     struct err *err)
{
    struct err inner = { 0 };
    int r = read_json(plane, str_from(id), ret, ret_revision, &inner);
    if (r == -ENOENT) {
        *ret = NULL;
        *ret_revision = LEDGER_NEW;
        return 0;
    }
    if (r < 0 && err)
        *err = inner;
    return r;
}

/* How often a lease was used. */
static int read_uses(struct plane *plane, struct str card, uint64_t *ret, int64_t *ret_revision,
                     struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char id[PLANE_URN_MAX + 32];
    snprintf(id, sizeof(id), "decision-lease:%.*s", STR_ARG(card));
    int r = read_list(plane, id, &doc, ret_revision, err);
    if (r == 0)
        *ret = count_of(member(yyjson_doc_get_root(doc), "uses"));
    return r;
}

/* 1 where the lease of an answered card is for this operation, and not used up. */
static int covers(struct work *work, const struct card *card, struct err *err)
{
    const yyjson_val *lease = at(card->root, "/answer/lease");
    const yyjson_val *most = member(lease, "maxUses");
    uint64_t uses = 0;
    int64_t revision;
    if (!card_lease_holds(card) ||
        (!text_is(member(lease, "scope"), "profile") &&
         !str_equal(text_of(member(lease, "scopeRef")), work_operation(work))))
        return 0;
    int r =
        most ? read_uses(work->plane, text_of(member(card->root, "id")), &uses, &revision, err) : 0;
    return r < 0 ? r : !most || uses < count_of(most);
}

static struct str first_that_allows(const struct card *card)
{
    size_t index, count;
    yyjson_val *option;
    yyjson_arr_foreach(member(card->root, "options"), index, count, option)
    {
        if (text_is(member(option, "verdict"), "allow"))
            return text_of(member(option, "optionId"));
    }
    return STR("");
}

static void tell_found(const struct card *card, enum card_says says, bool own,
                       struct card_found *ret)
{
    const yyjson_val *answer = member(card->root, "answer");
    *ret = (struct card_found){ .says = says,
                                .own = own,
                                .counted = at(answer, "/lease/maxUses") != NULL };
    snprintf(ret->card, sizeof(ret->card), "%.*s", STR_ARG(text_of(member(card->root, "id"))));
    snprintf(ret->who, sizeof(ret->who), "%.*s", STR_ARG(text_of(member(answer, "answeredByRef"))));
    snprintf(ret->until, sizeof(ret->until), "%.*s",
             STR_ARG(text_of(at(answer, "/lease/expiresAt"))));
    snprintf(ret->option, sizeof(ret->option), "%.*s", STR_ARG(first_that_allows(card)));
}

/* What one card says; a lease counts more than a denial, and that more than a pending card. */
static int look_at(struct work *work, struct str id, struct card_found *ret, struct err *err)
{
    struct card card = { 0 };
    int r = card_read(work->plane, id, &card, err);
    if (r < 0)
        return r;
    bool own = str_equal(text_of(member(card.root, "operationRef")), work_operation(work));
    switch (card_state(&card)) {
    case CARD_PENDING:
        if (ret->says == CARD_SAYS_ASK || (ret->says == CARD_SAYS_QUEUED && own))
            tell_found(&card, CARD_SAYS_QUEUED, own, ret);
        break;
    case CARD_ANSWERED:
        if (text_is(at(card.root, "/answer/verdict"), "deny")) {
            if (own && ret->says != CARD_SAYS_ALLOW)
                tell_found(&card, CARD_SAYS_DENY, own, ret);
            break;
        }
        r = covers(work, &card, err);
        if (r > 0)
            tell_found(&card, CARD_SAYS_ALLOW, own, ret);
        break;
    case CARD_EXPIRED:
        r = card_expire(work->plane, id, err);
        break;
    case CARD_WITHDRAWN:
        break;
    }
    card_release(&card);
    return r < 0 ? r : 0;
}

int card_consult(struct work *work, const struct card_question *question, struct card_found *ret,
                 struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *list = NULL;
    char id[PLANE_URN_MAX];
    int64_t revision;
    struct card_found found = { 0 };
    size_t index, count;
    yyjson_val *card;
    int r = question_id(question, id, err);
    if (r == 0)
        r = read_list(work->plane, id, &list, &revision, err);
    if (r < 0)
        return r;
    yyjson_arr_foreach(member(yyjson_doc_get_root(list), "cardRefs"), index, count, card)
    {
        r = look_at(work, text_of(card), &found, err);
        if (r < 0)
            return r;
    }
    *ret = found;
    ret->list_revision = revision;
    return 0;
}

/* --- asking -------------------------------------------------------------------------------- */

/* Whether a card may mean something to an operation that asks the same later. */
static int is_live(struct plane *plane, struct str id, struct err *err)
{
    struct card card = { 0 };
    int r = card_read(plane, id, &card, err);
    if (r < 0)
        return r;
    enum card_state state = card_state(&card);
    bool denied = text_is(at(card.root, "/answer/verdict"), "deny");
    r = state == CARD_PENDING || (state == CARD_ANSWERED && (denied || card_lease_holds(&card)));
    card_release(&card);
    return r;
}

/*
 * The new card joins the list; what means nothing any more leaves it, and else the oldest. Where
 * somebody has asked since the list was looked at, the commit fails.
 */
static int put_list(struct work *work, const struct card_question *question,
                    const struct card_found *found, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *list = NULL;
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    char id[PLANE_URN_MAX];
    int64_t revision;
    size_t index, count;
    yyjson_val *old;
    int r = question_id(question, id, err);
    if (r == 0)
        r = read_list(work->plane, id, &list, &revision, err);
    if (r < 0)
        return r;
    buf_add_text(&json, "{\"cardRefs\":[");
    yyjson_arr_foreach(member(yyjson_doc_get_root(list), "cardRefs"), index, count, old)
    {
        r = count - index < CARD_LIVE_MAX ? is_live(work->plane, text_of(old), err) : 0;
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        json_add_string(&json, text_of(old));
        buf_add_char(&json, ',');
    }
    json_add_string(&json, str_from(found->card));
    buf_add_text(&json, "]}");
    return json.error ? no_memory(err)
                      : ledger_put_document(work->batch, STR(QUESTION_TYPE), str_from(id), STR(""),
                                            buf_str(&json), found->list_revision, err);
}

/* Of the gates' questions, to a person. */
static const char *const wishes[GATE_COUNT] = {
    [GATE_TOOL_GRANT] = "have the tool",
    [GATE_MODEL_PROVIDER_USE] = "use the model provider",
    [GATE_NETWORK_PROFILE] = "have the network of",
    [GATE_CONTAINER_EXECUTION] = "run the image",
    [GATE_ARTIFACT_ACCESS] = "have access to",
};

/* A network is had, and a destination of it connected to. */
static bool is_destination(const struct gate_question *gate)
{
    return strcmp(gate->kind, "host") == 0 || strcmp(gate->kind, "address") == 0;
}

static const char *wish_of(const struct gate_question *gate)
{
    return is_destination(gate) ? "connect to" : wishes[gate->gate];
}

struct offer {
    const char *id, *label, *who, *how_long, *scope;
    int seconds, uses;
};

static void add_offer(struct buf *json, const struct card_question *question,
                      const struct offer *offer)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    buf_addf(&text, "%s may %s %.*s%s%s.", offer->who, wish_of(question->gate),
             STR_ARG(question->gate->name), offer->how_long,
             question->gate->digest.len ? ", as long as it is what it is now" : "");
    buf_addf(json, ",{\"optionId\":\"%s\",\"label\":\"%s\",\"consequence\":", offer->id,
             offer->label);
    json_add_string(json, buf_str(&text));
    buf_addf(json, ",\"verdict\":\"allow\",\"lease\":{\"scope\":\"%s\",\"durationSeconds\":%d",
             offer->scope, offer->seconds);
    if (offer->uses)
        buf_addf(json, ",\"maxUses\":%d", offer->uses);
    buf_add_text(json, "}}");
    if (text.error)
        json->error = text.error;
}

/* What can be of use: an operation that ends now and is not tried again needs no lease. */
static void add_options(struct buf *json, const struct work *work,
                        const struct card_question *question)
{
    static const struct offer flow = { "this-flow",
                                       "Yes, this one connection",
                                       "One connection of this run",
                                       ", within 10 minutes",
                                       "flow",
                                       FLOW_SECONDS,
                                       1 };
    static const struct offer run[] = {
        { "this-run", "Yes, for this operation", "This operation, tried again too,", " for an hour",
          "run", RUN_SECONDS, 0 },
        { "this-run", "Yes, for this run", "Every program in this run",
          ", at any port, for an hour", "run", RUN_SECONDS, 0 },
    };
    static const struct offer of_profile[][2] = {
        { { "once", "Yes, once", "The next operation of this profile that asks",
            ", if it asks within a day", "profile", ONCE_SECONDS, 1 },
          { "this-profile", "Yes, for this profile", "Every operation of this profile",
            " for 8 hours", "profile", PROFILE_SECONDS, 0 } },
        { { "once", "Yes, once", "The next run of this profile that asks",
            " once, if it asks within a day", "profile", ONCE_SECONDS, 1 },
          { "this-profile", "Yes, for this profile", "Every program in every run of this profile",
            ", at any port, for 8 hours", "profile", PROFILE_SECONDS, 0 } },
    };
    bool reaches = is_destination(question->gate);
    bool is_running = work_state(work, WORK_OPERATION) == STATE_RUNNING;
    bool goes_on =
        reaches || work->plane->options.wait_ms > 0 ||
        (work->type->retry.retryable && work_text(work, WORK_OPERATION, "idempotencyKey").len);
    buf_addf(json,
             ",\"options\":[{\"optionId\":\"no\",\"label\":\"No\",\"consequence\":\"It stays denied"
             "%s.\",\"verdict\":\"deny\"}",
             is_running ? "" : ", and nothing runs");
    if (reaches)
        add_offer(json, question, &flow);
    if (goes_on || !question->profile.len)
        add_offer(json, question, &run[reaches]);
    for (size_t i = 0; question->profile.len && i < ARRAY_LEN(of_profile[reaches]); i++)
        add_offer(json, question, &of_profile[reaches][i]);
    buf_add_text(json, "],\"defaultOptionId\":\"no\"");
}

static void add_question(struct buf *json, const struct card_question *question)
{
    const struct gate_question *gate = question->gate;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    buf_addf(&text, "May %.*s %s %.*s in %.*s? (%s)", STR_ARG(gate->subject), wish_of(gate),
             STR_ARG(gate->name), STR_ARG(gate->workspace), question->answer->reason);
    if (text.len > QUESTION_BYTES_MAX) {
        buf_reset(&text);
        buf_addf(&text, "May it %s %.*s?", wish_of(gate), STR_ARG(gate->name));
    }
    if (text.error)
        json->error = text.error;
    add_member(json, "question", buf_str(&text));
}

static void write_card(struct buf *json, const struct work *work,
                       const struct card_question *question, struct str decision, const char *id)
{
    const struct gate_question *gate = question->gate;
    char user[KEY_USER_TEXT_MAX], now[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    int64_t now_ms = clock_now_ms();
    bool enterprise = question->answer->layer == LAYER_ENTERPRISE;
    key_user(user);
    clock_text(now_ms, now);
    clock_text(now_ms + CARD_VALID_MS, end);
    buf_addf(json,
             "{\"id\":\"%s\",\"type\":\"" CARD_TYPE "\",\"specVersion\":\"1.0.0\","
             "\"state\":\"pending\"",
             id);
    add_member(json, "operationRef", work_operation(work));
    add_member(json, "taskRef", work_text(work, WORK_TASK, "id"));
    add_member(json, "askedByRef", gate->subject);
    buf_addf(json, ",\"resource\":{\"kind\":\"%s\"", gate->kind);
    add_member(json, "name", gate->name);
    if (gate->digest.len)
        add_member(json, "digest", gate->digest);
    buf_addf(json, "},\"gate\":\"%s\",\"layer\":\"%s\"", gate_names[gate->gate],
             layer_names[question->answer->layer]);
    add_member(json, "policyDecisionRef", decision);
    add_question(json, question);
    add_options(json, work, question);
    buf_add_text(json, ",\"answerableByRefs\":[");
    json_add_string(json, enterprise ? STR(CARD_ENTERPRISE) : str_from(user));
    buf_add_char(json, ']');
    add_member(json, "createdAt", str_from(now));
    add_member(json, "expiresAt", str_from(end));
    buf_add_char(json, '}');
}

int card_name(struct card_found *ret, struct err *err)
{
    char local[40];
    int r = urn_fresh(local, err);
    if (r == 0)
        urn_make("decision-card", str_from(local), ret->card);
    return r;
}

int card_put_new(struct work *work, const char *id, const struct buf *json, struct err *err)
{
    int r = json->error ? no_memory(err)
                        : put_text(work, str_from(id), buf_str(json), LEDGER_NEW, STR(""),
                                   "A person is asked.", err);
    if (r == 0)
        snprintf(work->asked, sizeof(work->asked), "%s", id);
    return r;
}

int card_ask(struct work *work, const struct card_question *question, struct str decision,
             struct card_found *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct card card = { 0 };
    write_card(&json, work, question, decision, ret->card);
    int r = card_put_new(work, ret->card, &json, err);
    if (r == 0)
        r = put_list(work, question, ret, err);
    if (r == 0)
        r = json_read(buf_str(&json), &json_limits_default, &card.doc, err);
    if (r < 0)
        return r;
    card.root = yyjson_doc_get_root(card.doc);
    tell_found(&card, CARD_SAYS_QUEUED, true, ret);
    card_release(&card);
    return 0;
}

int card_put_use(struct work *work, struct str id, struct err *err)
{
    struct card card = { 0 };
    char lease[PLANE_URN_MAX + 32], json[64];
    uint64_t uses = 0;
    int64_t revision;
    int r = card_read(work->plane, id, &card, err);
    if (r < 0)
        return r;
    uint64_t most = count_of(at(card.root, "/answer/lease/maxUses"));
    card_release(&card);
    if (most == 0)
        return 0;
    r = read_uses(work->plane, id, &uses, &revision, err);
    if (r < 0)
        return r;
    if (uses >= most)
        return err_set(err, ERR_CONFLICT, STEP_CARD, "the answer to %.*s is used up", STR_ARG(id));
    snprintf(lease, sizeof(lease), "decision-lease:%.*s", STR_ARG(id));
    snprintf(json, sizeof(json), "{\"uses\":%llu}", (unsigned long long)uses + 1);
    return ledger_put_document(work->batch, STR(LEASE_TYPE), str_from(lease), STR(""),
                               str_from(json), revision, err);
}
