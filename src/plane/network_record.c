/* network_record: see the header. */
#include "plane/network_record.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/card.h"
#include "plane/decision.h"
#include "plane/gate_layers.h"
#include "plane/work.h"

#define STEP_RECORD "write down what the network door decided"
#define LOCAL_SIZE  40

/* Of what a layer leaves to a person, where the run has made one be asked too often. */
#define WEARY_RULE   "built-in.asked-too-often"
#define WEARY_REASON "A layer leaves it to a person, whom this run has had asked too often already."
#define WEARY_CHANGE "Answer what is asked, or write a rule: agent-machine policy suggest"

static int take_verdict(void *context, const struct target *target, const struct verdict *verdict,
                        size_t *ret_record, struct err *err);
static bool is_answered(void *context, size_t record);
static int take_connector_call(void *context, struct err *err);

void network_record_init(struct network_record *record, struct work *work, struct str profile,
                         const struct policy *policy)
{
    *record =
        (struct network_record){ .sink = { record, take_verdict, is_answered, take_connector_call },
                                 .work = work,
                                 .profile = profile,
                                 .conflict = policy_conflict(policy),
                                 .redacts = gate_layers_redact(work_plane(work)) };
}

void network_record_release(struct network_record *record)
{
    for (size_t i = 0; i < record->count; i++)
        free(record->verdicts[i].remedy);
    free(record->verdicts);
}

static int grow(struct network_record *record, struct err *err)
{
    size_t capacity = record->capacity ? 2 * record->capacity : 16;
    if (record->count < record->capacity)
        return 0;
    struct network_verdict *verdicts = realloc(record->verdicts, capacity * sizeof(*verdicts));
    if (!verdicts)
        return err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory");
    record->verdicts = verdicts;
    record->capacity = capacity;
    return 0;
}

/* --- the decision document ----------------------------------------------------------------- */

static const char *kind_of(const struct target *target)
{
    return target->name[0] ? "host" : "address";
}

static int add_resource(struct buf *json, const struct network_record *record,
                        const struct target *target, struct err *err)
{
    char name[TARGET_HOST_SIZE], digest[DIGEST_TEXT_SIZE];
    target_host(target, name);
    int r = record->redacts ? digest_text(str_from(name), digest, err) : 0;
    if (r < 0)
        return r;
    json_add_name(json, "resource");
    buf_addf(json, "{\"kind\":\"%s\"", kind_of(target));
    if (record->redacts)
        json_add_text(json, "nameDigest", str_from(digest));
    else
        json_add_text(json, "name", str_from(name));
    if (target->port)
        buf_addf(json, ",\"port\":%u", target->port);
    buf_add_text(json, ",\"protocol\":\"tcp\"}");
    return 0;
}

static void add_rule(struct buf *json, struct str rule, struct str document, const char *pointer)
{
    json_add_text(json, "ruleId", rule.len ? rule : STR("default"));
    if (document.len)
        json_add_text(json, "documentRef", document);
    if (pointer[0])
        json_add_text(json, "pointer", str_from(pointer));
}

static void add_answers(struct buf *json, const struct verdict *verdict)
{
    static const char *const words[ANSWER_COUNT] = { [ANSWER_NOTHING] = "none",
                                                     [ANSWER_ALLOW] = "allow",
                                                     [ANSWER_ASK] = "ask",
                                                     [ANSWER_DENY] = "deny" };
    const char *separator = "";
    json_add_name(json, "answers");
    buf_add_char(json, '[');
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        const struct layer_answer *answer = &verdict->layers[i];
        if (!answer->document)
            continue;
        buf_addf(json, "%s{\"layer\":\"%s\",\"answer\":\"%s\"", separator, layer_names[i],
                 words[answer->answer]);
        if (answer->answer != ANSWER_NOTHING)
            add_rule(json, answer->rule, answer->document_id, answer->pointer);
        buf_add_char(json, '}');
        separator = ",";
    }
    buf_add_char(json, ']');
}

static enum answer answer_of(const struct verdict *verdict, const struct card_found *card)
{
    return verdict->answer != ANSWER_ASK   ? verdict->answer
           : card->says == CARD_SAYS_ALLOW ? ANSWER_ALLOW
           : card->says == CARD_SAYS_DENY  ? ANSWER_DENY
                                           : ANSWER_ASK;
}

/* What a person was not asked is denied, and by a rule of the program's own. */
static bool is_weary(const struct verdict *verdict, const struct card_found *card)
{
    return verdict->answer == ANSWER_ASK && card->says == CARD_SAYS_DENY && !card->card[0];
}

static int write_decision(struct buf *json, const struct network_record *record, const char *id,
                          const struct target *target, const struct verdict *verdict,
                          const struct card_found *card, struct err *err)
{
    bool weary = is_weary(verdict, card);
    struct work *work = record->work;
    char now[CLOCK_TEXT_SIZE], policy[DIGEST_TEXT_SIZE];
    int r = gate_layers_digest(work_plane(work), policy, err);
    if (r < 0)
        return r;
    clock_text(clock_now_ms(), now);
    buf_addf(json, "{\"id\":\"%s\",\"type\":\"PolicyDecision\",\"specVersion\":\"1.0.0\"", id);
    buf_addf(json, ",\"gate\":\"%s\",\"verdict\":\"%s\"", gate_names[GATE_NETWORK_PROFILE],
             answer_names[answer_of(verdict, card)]);
    json_add_text(json, "subjectRef", work_text(work, WORK_OPERATION, "subjectRef"));
    json_add_text(json, "operationRef", work_operation(work));
    json_add_text(json, "taskRef", work_text(work, WORK_TASK, "id"));
    r = add_resource(json, record, target, err);
    json_add_name(json, "decidedBy");
    buf_addf(json, "{\"layer\":\"%s\"",
             verdict->built_in || weary ? "built-in" : layer_names[verdict->layer]);
    add_rule(json, weary ? STR(WEARY_RULE) : verdict->rule, weary ? STR("") : verdict->document_id,
             weary ? "" : verdict->pointer);
    buf_add_text(json, "},\"smallestChange\":{\"summary\":");
    json_add_string(json, str_from(weary                         ? WEARY_CHANGE
                                   : record->redacts             ? "Change the rule."
                                   : verdict->smallest_change[0] ? verdict->smallest_change
                                                                 : "Deny it: --deny, or a rule."));
    buf_add_char(json, '}');
    json_add_text(json, "reason",
                  str_from(weary             ? WEARY_REASON
                           : record->redacts ? "The rule decided; where to is not told."
                                             : verdict->reason));
    add_answers(json, verdict);
    json_add_text(json, "conflictPolicy", str_from(record->conflict));
    if (card->card[0])
        json_add_text(json, "decisionCardRef", str_from(card->card));
    json_add_text(json, "policyDigest", str_from(policy));
    json_add_text(json, "decidedAt", str_from(now));
    buf_add_char(json, '}');
    return r < 0         ? r
           : json->error ? err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory")
                         : 0;
}

/* --- asking a person ----------------------------------------------------------------------- */

struct question {
    struct gate_question gate;
    struct gate_answer answer;
    struct card_question card;
    char name[TARGET_HOST_SIZE];
};

static void make_question(const struct network_record *record, const struct target *target,
                          const struct verdict *verdict, struct question *ret)
{
    target_host(target, ret->name);
    ret->gate = (struct gate_question){
        .gate = GATE_NETWORK_PROFILE,
        .kind = kind_of(target),
        .name = str_from(ret->name),
        .pointer = "/scope/networkAccessProfileRef",
        .subject = work_text(record->work, WORK_OPERATION, "subjectRef"),
        .workspace = work_text(record->work, WORK_OPERATION, "workspaceRef"),
        .profile = record->profile,
    };
    ret->answer = (struct gate_answer){ .answer = ANSWER_ASK, .layer = verdict->layer };
    snprintf(ret->answer.reason, sizeof(ret->answer.reason), "%s", verdict->reason);
    ret->card = (struct card_question){ &ret->gate, &ret->answer, record->profile };
}

/* Whether one more may be asked; an agent could wear a person down until there is any answer. */
static bool may_ask(struct network_record *record)
{
    int64_t now = clock_passed_ms(), passed = (now - record->asks_from_ms) / NETWORK_ASKS_MS;
    if (!record->asks || passed >= (int64_t)record->asks) {
        record->asks = 0;
        record->asks_from_ms = now;
    } else {
        record->asks -= (size_t)passed;
        record->asks_from_ms += passed * NETWORK_ASKS_MS;
    }
    if (record->asks == NETWORK_ASKS_MAX)
        return false;
    record->asks++;
    return true;
}

/* --- the sink ------------------------------------------------------------------------------ */

static int add_verdict(struct network_record *record, const struct target *target,
                       const struct verdict *verdict, const char *id, struct card_found *card,
                       struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct question question;
    bool asks = verdict->answer == ANSWER_ASK, is_new = false;
    int r = 0;
    if (asks) {
        make_question(record, target, verdict, &question);
        r = card_consult(record->work, &question.card, card, err);
        /* Who is there to answer answers for this operation. */
        is_new = r == 0 && (card->says == CARD_SAYS_ASK ||
                            (card->says == CARD_SAYS_QUEUED && !card->own && record->offer));
        if (is_new && !may_ask(record)) {
            *card = (struct card_found){ .says = CARD_SAYS_DENY };
            is_new = false;
        }
        if (is_new)
            r = card_name(card, err);
    }
    if (r == 0)
        r = write_decision(&json, record, id, target, verdict, card, err);
    if (r == 0)
        r = decision_bind(record->work, id, buf_str(&json), GATE_NETWORK_PROFILE,
                          answer_names[answer_of(verdict, card)], err);
    if (r == 0 && is_new)
        r = card_ask(record->work, &question.card, str_from(id), card, err);
    else if (r == 0 && asks && card->says == CARD_SAYS_QUEUED)
        card_count_asked(work_plane(record->work), str_from(card->card));
    return r == 0 && asks && card->says == CARD_SAYS_ALLOW && target->port
               ? card_put_use(record->work, str_from(card->card), err) /* a name is no use of it */
               : r;
}

static void keep_verdict(struct network_record *record, const struct card_found *card,
                         const struct target *target, const struct verdict *verdict,
                         const char *decision, bool is_permitted)
{
    struct network_verdict *kept = &record->verdicts[record->count++];
    *kept = (struct network_verdict){ .once = is_permitted && card->counted && target->port };
    snprintf(kept->decision, sizeof(kept->decision), "%s", decision);
    if (card->says == CARD_SAYS_QUEUED)
        snprintf(kept->card, sizeof(kept->card), "%.*s", STR_ARG(urn_local(str_from(card->card))));
    if (is_permitted && card->says == CARD_SAYS_ALLOW &&
        !clock_parse(str_from(card->until), &kept->until_ms))
        kept->until_ms = 1; /* what cannot be read has ended */
    if (is_weary(verdict, card))
        kept->until_ms = clock_now_ms() + NETWORK_ASKS_MS;
    kept->remedy = is_permitted
                       ? NULL
                       : strdup(is_weary(verdict, card) ? WEARY_CHANGE : verdict->smallest_change);
}

/* What was in the batch before, the effect's own, goes along or stays in it. */
static int take_verdict(void *context, const struct target *target, const struct verdict *verdict,
                        size_t *ret_record, struct err *err)
{
    struct network_record *record = context;
    struct card_found card = { 0 };
    char local[LOCAL_SIZE], id[PLANE_URN_MAX];
    size_t before = ledger_batch_size(record->work->batch);
    int r = grow(record, err);
    if (r == 0)
        r = urn_fresh(local, err);
    if (r < 0)
        return r;
    urn_make("policy-decision", str_from(local), id);
    r = add_verdict(record, target, verdict, id, &card, err);
    if (r == 0)
        r = work_commit(record->work, PLANE_STEP_VERDICT, err);
    if (r < 0) {
        ledger_batch_cut(record->work->batch, before);
        return r;
    }
    bool is_permitted = answer_of(verdict, &card) == ANSWER_ALLOW;
    *ret_record = record->count;
    keep_verdict(record, &card, target, verdict, local, is_permitted);
    bool is_asked = card.says == CARD_SAYS_QUEUED && record->offer &&
                    record->offer(record->offer_context, card.card);
    return is_permitted ? NETWORK_PERMITTED : is_asked ? NETWORK_ASKED : NETWORK_DENIED;
}

/* A card that cannot be read has not been answered. */
static bool is_answered(void *context, size_t number)
{
    const struct network_record *record = context;
    const struct network_verdict *verdict = &record->verdicts[number];
    char id[PLANE_URN_MAX];
    struct card card = { 0 };
    struct err unread;
    if (verdict->once || (verdict->until_ms && clock_now_ms() >= verdict->until_ms))
        return true;
    if (!verdict->card[0])
        return false;
    urn_make("decision-card", str_from(verdict->card), id);
    if (card_read(work_plane(record->work), str_from(id), &card, &unread) < 0)
        return false;
    bool is_pending = card_state(&card) == CARD_PENDING;
    card_release(&card);
    return !is_pending;
}

static int take_connector_call(void *context, struct err *err)
{
    struct network_record *record = context;
    int r = budget_draw(record->work, DIMENSION_CONNECTOR_CALLS, 1, err);
    record->connector_calls += r == 0;
    return r;
}

/* --- the end ------------------------------------------------------------------------------- */

static void add_denial(const struct network_record *record, const struct use_entry *entry,
                       struct buf *ret)
{
    char first[CLOCK_TEXT_SIZE], last[CLOCK_TEXT_SIZE];
    clock_text(entry->first_ms, first);
    clock_text(entry->last_ms, last);
    buf_addf(ret,
             "%s{\"gate\":\"%s\",\"policyDecisionRef\":\"urn:srcos:policy-decision:%s\","
             "\"uses\":{\"count\":%llu,\"firstAt\":\"%s\",\"lastAt\":\"%s\"}}",
             ret->len ? "," : "", gate_names[GATE_NETWORK_PROFILE],
             record->verdicts[entry->record].decision, (unsigned long long)entry->count, first,
             last);
}

void network_record_write_denials(const struct network_record *record, const struct uses *uses,
                                  struct buf *ret)
{
    for (size_t i = 0; i < uses_count(uses); i++)
        if (!uses_at(uses, i)->permitted)
            add_denial(record, uses_at(uses, i), ret);
}

void network_record_write(const struct uses *uses, struct buf *ret)
{
    struct use all = { 0 };
    size_t destinations = 0;
    for (size_t i = 0; i < uses_count(uses); i++) {
        const struct use *use = &uses_at(uses, i)->use;
        all.connections += use->connections;
        all.sent_bytes += use_read(&use->sent_bytes);
        all.received_bytes += use_read(&use->received_bytes);
        destinations += use->connections > 0;
    }
    buf_addf(ret, "{\"flows\":%llu,\"bytesSent\":%llu,\"bytesReceived\":%llu,\"destinations\":%zu}",
             (unsigned long long)all.connections, (unsigned long long)all.sent_bytes,
             (unsigned long long)all.received_bytes, destinations);
}
