/*
 * gates: what an operation uses is asked for, thing by thing, before it runs.
 *
 * Theory of operation. The table of operation types says which gates an
 * operation passes always and which when it uses what they guard. For each
 * thing a question is put: the delegation in force gives it (that it covers it
 * has been checked), and the layers can take it away. Every answer becomes a
 * PolicyDecision, bound to the chain by an event, before anything happens; the
 * first denial ends the asking. What a layer leaves to a person may have been
 * answered (card.c): then the answer decides, else a card is queued and the
 * asking ends as well.
 */
#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "machine/file_digest.h"
#include "plane/card.h"
#include "plane/decision.h"
#include "plane/gate_layers.h"
#include "plane/grant.h"
#include "plane/work.h"

#define STEP_GATES       "ask the gates"
#define RULE_NOT_GRANTED "tool-not-granted"

struct asking {
    struct work *work;
    const struct delegation *delegation;
    const struct delegation_request *request;
    const yyjson_val *parameters; /* of the operation's type */
    struct refusal *refusal;
    char delegation_digest[DIGEST_TEXT_SIZE];
    struct grant grant; /* gives what is asked for now; without a record the delegation does */
    char digest[DIGEST_TEXT_SIZE]; /* of what a person is asked about; may be empty */
    struct card_found card; /* of what is asked for now, where a layer leaves it to a person */
    size_t asked;
};

/* --- the decision document ----------------------------------------------------------------- */

/* The rule that gives it: that of the grant, or of the delegation. */
static void add_giver(struct buf *json, const struct asking *asking,
                      const struct gate_question *question, bool with_digest)
{
    const struct grant *grant = &asking->grant;
    bool granted = grant->record[0];
    json_add_text(json, "ruleId", granted ? STR(GRANT_RULE) : STR("delegated"));
    json_add_text(json, "documentRef", granted ? str_from(grant->record) : asking->delegation->id);
    if (with_digest)
        json_add_text(json, "documentDigest",
                      str_from(granted ? grant->digest : asking->delegation_digest));
    json_add_text(json, "pointer", str_from(granted ? grant->pointer : question->pointer));
}

static void add_answers(struct buf *json, const struct asking *asking,
                        const struct gate_question *question, const struct gate_answer *answer)
{
    buf_add_text(json, ",\"answers\":[{\"layer\":\"user\",\"answer\":\"allow\"");
    add_giver(json, asking, question, true);
    buf_add_char(json, '}');
    if (answer->answer != ANSWER_NOTHING && !answer->built_in) {
        buf_addf(json, ",{\"layer\":\"%s\",\"answer\":\"%s\"", layer_names[answer->layer],
                 answer->answer == ANSWER_ALLOW ? "allow"
                 : answer->answer == ANSWER_ASK ? "ask"
                                                : "deny");
        json_add_text(json, "ruleId", str_from(answer->rule));
        if (answer->document[0])
            json_add_text(json, "documentRef", str_from(answer->document));
        if (answer->pointer[0])
            json_add_text(json, "pointer", str_from(answer->pointer));
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
}

static enum answer verdict_of(const struct asking *asking, const struct gate_answer *answer)
{
    if (answer->answer == ANSWER_ASK && asking->card.says == CARD_SAYS_DENY)
        return ANSWER_DENY;
    if (answer->answer == ANSWER_ASK && asking->card.says != CARD_SAYS_ALLOW)
        return ANSWER_ASK;
    return answer->answer == ANSWER_DENY ? ANSWER_DENY : ANSWER_ALLOW;
}

static const char *const verdict_names[] = {
    [ANSWER_ALLOW] = "allow", [ANSWER_ASK] = "ask", [ANSWER_DENY] = "deny"
};

/* Of a layer's question: what is to be done about it, and who has answered. */
static void add_answered(struct buf *json, const struct card_found *card)
{
    static const struct {
        const char *summary, *option;
    } changes[] = {
        [CARD_SAYS_ASK] = { "Answer the decision card.", NULL },
        [CARD_SAYS_QUEUED] = { "Answer the decision card.", NULL },
        [CARD_SAYS_ALLOW] = { "Take the answer back.", "no" },
        [CARD_SAYS_DENY] = { "Give the command anew, and answer otherwise.", NULL },
    };
    const char *option = changes[card->says].option ? changes[card->says].option : card->option;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    buf_add_text(json, "},\"smallestChange\":{");
    json_add_text(json, "summary", str_from(changes[card->says].summary));
    if (card->says != CARD_SAYS_DENY) {
        buf_addf(&text, "agent-machine op decide %s %s", card->card, option);
        json_add_text(json, "command", buf_str(&text));
    }
    buf_add_char(json, '}');
    buf_reset(&text);
    if (card->says == CARD_SAYS_ALLOW)
        buf_addf(&text, "%s has allowed it until %s.", card->who, card->until);
    else if (card->says == CARD_SAYS_DENY)
        buf_addf(&text, "%s was asked, and has denied it.", card->who);
    else
        buf_add_text(&text, "A layer leaves it to a person, who has not answered yet.");
    json_add_text(json, "reason", buf_str(&text));
}

static void add_decided(struct buf *json, const struct asking *asking,
                        const struct gate_question *question, const struct gate_answer *answer)
{
    char command[PLANE_URN_MAX + 64];
    bool granted = asking->grant.record[0];
    buf_add_text(json, ",\"decidedBy\":{");
    if (answer->answer == ANSWER_DENY || answer->answer == ANSWER_ASK) {
        json_add_text(json, "layer",
                      answer->built_in ? STR("built-in") : str_from(layer_names[answer->layer]));
        json_add_text(json, "ruleId", str_from(answer->rule));
        if (answer->document[0])
            json_add_text(json, "documentRef", str_from(answer->document));
        if (answer->pointer[0])
            json_add_text(json, "pointer", str_from(answer->pointer));
        if (answer->answer == ANSWER_ASK) {
            add_answered(json, &asking->card);
            return;
        }
        buf_add_text(json, "},\"smallestChange\":{");
        json_add_text(json, "summary", str_from(answer->smallest_change));
        buf_add_char(json, '}');
        json_add_text(json, "reason", str_from(answer->reason));
        return;
    }
    json_add_text(json, "layer", STR("user"));
    add_giver(json, asking, question, false);
    buf_add_text(json, "},\"smallestChange\":{");
    json_add_text(json, "summary",
                  granted ? STR("Revoke the grant.") : STR("Revoke the delegation."));
    json_add_text(json, "layer", STR("user"));
    if (granted)
        snprintf(command, sizeof(command), "agent-machine grant revoke %s", asking->grant.record);
    else
        snprintf(command, sizeof(command), "agent-machine delegation revoke %.*s",
                 STR_ARG(asking->delegation->id));
    json_add_text(json, "command", str_from(command));
    buf_add_char(json, '}');
    json_add_text(json, "reason",
                  granted ? STR("A grant in force gives the tool and no layer takes it away.")
                          : STR("The delegation in force gives it and no layer takes it away."));
}

static int write_decision(struct buf *json, const struct asking *asking,
                          const struct gate_question *question, const struct gate_answer *answer,
                          const char *id, struct err *err)
{
    char now[CLOCK_TEXT_SIZE], policy[DIGEST_TEXT_SIZE];
    int r = gate_layers_digest(asking->work->plane, policy, err);
    if (r < 0)
        return r;
    clock_text(clock_now_ms(), now);
    buf_add_char(json, '{');
    json_add_text(json, "id", str_from(id));
    json_add_text(json, "type", STR("PolicyDecision"));
    json_add_text(json, "specVersion", STR("1.0.0"));
    json_add_text(json, "gate", str_from(gate_names[question->gate]));
    json_add_text(json, "verdict", str_from(verdict_names[verdict_of(asking, answer)]));
    json_add_text(json, "subjectRef", question->subject);
    json_add_text(json, "operationRef", work_operation(asking->work));
    buf_add_text(json, ",\"resource\":{");
    json_add_text(json, "kind", str_from(question->kind));
    json_add_text(json, "name", question->name);
    buf_add_char(json, '}');
    add_decided(json, asking, question, answer);
    add_answers(json, asking, question, answer);
    if (answer->answer == ANSWER_ASK)
        json_add_text(json, "decisionCardRef", str_from(asking->card.card));
    if (answer->engine[0]) {
        buf_add_text(json, ",\"externalEngine\":{");
        json_add_text(json, "engineRef", str_from(answer->engine));
        json_add_text(json, "answer", str_from(answer->engine_answer));
        buf_add_char(json, '}');
    }
    json_add_text(json, "policyDigest", str_from(policy));
    json_add_text(json, "decidedAt", str_from(now));
    buf_add_char(json, '}');
    return json->error ? err_set(err, ERR_MEMORY, STEP_GATES, "there is not enough memory") : 0;
}

int decision_put(struct work *work, enum gate gate, const char *verdict, const char *id,
                 struct str json, struct err *err)
{
    _cleanup_(buf_release) struct buf passed = BUF_INIT;
    int r = decision_bind(work, id, json, gate, verdict, err);
    if (r < 0)
        return r;
    buf_addf(&passed, "{\"gate\":\"%s\",\"policyDecisionRef\":\"%s\"}", gate_names[gate], id);
    return work_append(work, WORK_OPERATION, "gateDecisions", buf_str(&passed), err);
}

static int record(struct asking *asking, const struct gate_question *question,
                  const struct gate_answer *answer, char ret_id[PLANE_URN_MAX], struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    char local[40];
    int r = urn_fresh(local, err);
    if (r < 0)
        return r;
    urn_make("policy-decision", str_from(local), ret_id);
    r = write_decision(&json, asking, question, answer, ret_id, err);
    return r < 0 ? r
                 : decision_put(asking->work, question->gate,
                                verdict_names[verdict_of(asking, answer)], ret_id, buf_str(&json),
                                err);
}

/* --- asking -------------------------------------------------------------------------------- */

static int refuse(struct asking *asking, const struct gate_answer *answer, const char *id,
                  struct err *err)
{
    struct refusal *refusal = asking->refusal;
    *refusal = (struct refusal){ .layer = answer->built_in ? NULL : layer_names[answer->layer] };
    snprintf(refusal->rule, sizeof(refusal->rule), "%s", answer->rule);
    snprintf(refusal->smallest_change, sizeof(refusal->smallest_change), "%s",
             answer->smallest_change);
    snprintf(refusal->decision, sizeof(refusal->decision), "%s", id);
    err_set(&refusal->err, ERR_DENIED, STEP_GATES, "%s", answer->reason);
    return err_set(err, ERR_DENIED, STEP_GATES, "%s", answer->reason);
}

/* What a person was asked and has not allowed. */
static int refuse_unanswered(struct asking *asking, const struct gate_answer *answer,
                             const char *id, struct err *err)
{
    struct refusal *refusal = asking->refusal;
    const struct card_found *card = &asking->card;
    int r = refuse(asking, answer, id, err);
    if (card->says == CARD_SAYS_DENY) {
        err_set(&refusal->err, ERR_DENIED, STEP_GATES, "%s was asked, and has denied it: %s",
                card->who, answer->reason);
        snprintf(refusal->smallest_change, sizeof(refusal->smallest_change),
                 "Give the command anew, and answer otherwise.");
        return r;
    }
    snprintf(refusal->card, sizeof(refusal->card), "%s", card->card);
    refusal->card_is_own = card->own;
    err_set(&refusal->err, ERR_PENDING, STEP_GATES, "a person has to answer %s: %s", card->card,
            answer->reason);
    snprintf(refusal->smallest_change, sizeof(refusal->smallest_change),
             "agent-machine op decide %.384s %.96s", card->card, card->option);
    return r;
}

/*
 * What an answer is about is the thing as it is now: a tool whose program has changed, and an image
 * with other contents, are other things. A tool's program that cannot be read is none.
 */
static void find_digest(struct asking *asking, struct gate_question *question)
{
    const struct plane_asks *asks = asking->work->plane->asks;
    struct str surface = text_of(member(asking->parameters, "toolSurfaceRef"));
    struct err unread = { 0 };
    asking->digest[0] = '\0';
    if (question->gate == GATE_TOOL_GRANT && asks && asks->tool_program &&
        str_equal(question->name, surface) &&
        file_digest(asks->tool_program, asks->digests_folder, asking->digest, &unread) < 0)
        asking->digest[0] = '\0';
    question->digest = question->gate == GATE_CONTAINER_EXECUTION
                           ? text_of(member(question->detail, "digest"))
                           : str_from(asking->digest);
}

/* Looks for an answer, and where there is none makes sure that somebody is asked. */
static int ask_person(struct asking *asking, struct gate_question *question,
                      const struct gate_answer *answer, char ret_id[PLANE_URN_MAX], struct err *err)
{
    find_digest(asking, question);
    const struct card_question of = { .gate = question,
                                      .answer = answer,
                                      .profile = asking->request->profile };
    struct card_found *card = &asking->card;
    bool waits = asking->work->plane->options.wait_ms > 0;
    int r = card_consult(asking->work, &of, card, err);
    /* Who waits for an answer waits for one that is about its own operation. */
    bool is_new =
        card->says == CARD_SAYS_ASK || (card->says == CARD_SAYS_QUEUED && !card->own && waits);
    if (r == 0 && is_new)
        r = card_name(card, err);
    if (r == 0)
        r = record(asking, question, answer, ret_id, err);
    if (r == 0 && is_new)
        r = card_ask(asking->work, &of, str_from(ret_id), card, err);
    else if (r == 0 && card->says == CARD_SAYS_QUEUED)
        card_count_asked(asking->work->plane, str_from(card->card));
    if (r < 0)
        return r;
    if (card->says != CARD_SAYS_ALLOW)
        return refuse_unanswered(asking, answer, ret_id, err);
    if (asking->work->lease_count == LEASES_MAX)
        return err_set(err, ERR_LIMIT, STEP_GATES, "it rests on more than %d answers", LEASES_MAX);
    memcpy(asking->work->leases[asking->work->lease_count++], card->card, sizeof(card->card));
    return 0;
}

/*
 * What runs may use a tool that is granted to its subject. Without a grant, only a user's own word
 * gives one: a command of the user's under a delegation of the user's.
 */
static int ask_grants(struct asking *asking, struct str tool, struct gate_answer *answer,
                      struct err *err)
{
    const struct delegation_request *request = asking->request;
    const struct delegation *delegation = asking->delegation;
    struct str actor = text_of(member(work_command(asking->work), "actorRef"));
    int r = grant_find(asking->work->plane, request->subject, request->workspace, tool,
                       &asking->grant, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (delegation->chain_count == 1 && str_equal(actor, delegation->issuer))
        return 0;
    *answer = (struct gate_answer){ .answer = ANSWER_DENY, .built_in = true };
    snprintf(answer->rule, sizeof(answer->rule), RULE_NOT_GRANTED);
    snprintf(answer->reason, sizeof(answer->reason), "Nobody grants the tool to %.*s here.",
             (int)(request->subject.len < 400 ? request->subject.len : 400), request->subject.ptr);
    snprintf(answer->smallest_change, sizeof(answer->smallest_change),
             "Grant it: agent-machine grant apply %.*s --to %.*s --workspace %.*s --for 8h",
             STR_ARG(tool), STR_ARG(request->subject), STR_ARG(request->workspace));
    return 0;
}

static int ask(struct asking *asking, enum gate gate, const char *kind, struct str name,
               const char *pointer, struct err *err)
{
    const struct plane_options *options = &asking->work->plane->options;
    char id[PLANE_URN_MAX];
    struct gate_answer answer = { 0 };
    struct gate_question question = { .gate = gate,
                                      .kind = kind,
                                      .name = name,
                                      .pointer = pointer,
                                      .subject = asking->request->subject,
                                      .workspace = asking->request->workspace,
                                      .profile = asking->request->profile };
    if (gate == GATE_CONTAINER_EXECUTION)
        question.detail = member(asking->parameters, "image");
    if (asking->asked++ >= PLANE_QUESTIONS_MAX)
        return err_set(err, ERR_LIMIT, STEP_GATES, "it asks for more than %d things",
                       PLANE_QUESTIONS_MAX);
    int r = options->gate(options->gate_context, &question, &answer, err);
    asking->grant = (struct grant){ 0 };
    if (r == 0 && answer.answer != ANSWER_DENY && gate == GATE_TOOL_GRANT &&
        asking->work->operation_type == OPERATION_EXECUTION_START)
        r = ask_grants(asking, name, &answer, err);
    if (r == 0 && answer.answer == ANSWER_ASK)
        return ask_person(asking, &question, &answer, id, err);
    if (r == 0)
        r = record(asking, &question, &answer, id, err);
    if (r < 0 || answer.answer != ANSWER_DENY)
        return r;
    r = refuse(asking, &answer, id, err);
    if (strcmp(answer.rule, RULE_NOT_GRANTED) == 0 && answer.built_in) { /* the user's to mend */
        asking->refusal->missing_tool = name;
        key_user(asking->refusal->responsible);
    }
    return r;
}

static int ask_all(struct asking *asking, enum gate gate, const char *kind, const struct str *names,
                   size_t count, const char *pointer, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = ask(asking, gate, kind, names[i], pointer, err);
    return r;
}

static int ask_tools(struct asking *asking, bool always, struct err *err)
{
    (void)always;
    return ask_all(asking, GATE_TOOL_GRANT, "tool", asking->request->tools,
                   asking->request->tool_count, "/scope/toolRefs", err);
}

static int ask_providers(struct asking *asking, bool always, struct err *err)
{
    (void)always;
    return ask_all(asking, GATE_MODEL_PROVIDER_USE, "model-provider", asking->request->providers,
                   asking->request->provider_count, "/scope/modelProviderRefs", err);
}

/* To have no network is a decision too. */
static int ask_network(struct asking *asking, bool always, struct err *err)
{
    struct str profile = asking->request->network_profile;
    if (profile.len)
        return ask(asking, GATE_NETWORK_PROFILE, "network-profile", profile,
                   "/scope/networkAccessProfileRef", err);
    return always ? ask(asking, GATE_NETWORK_PROFILE, "network-profile", STR("none"), "/scope", err)
                  : 0;
}

static int ask_container(struct asking *asking, bool always, struct err *err)
{
    struct str image = text_of(at(asking->parameters, "/image/reference"));
    (void)always;
    return image.len ? ask(asking, GATE_CONTAINER_EXECUTION, "image", image, "/operationTypes", err)
                     : 0;
}

static int ask_artifacts(struct asking *asking, bool always, struct err *err)
{
    const struct delegation_request *request = asking->request;
    struct str change_set = text_of(member(asking->parameters, "continueChangeSetRef"));
    struct str profile = text_of(member(asking->parameters, "profileRef"));
    int r = ask_all(asking, GATE_ARTIFACT_ACCESS, "path", request->mount_paths,
                    request->mount_count, "/scope/mounts", err);
    if (r == 0 && change_set.len)
        r = ask(asking, GATE_ARTIFACT_ACCESS, "artifact", change_set, "/scope/workspaceRefs", err);
    if (r < 0 || !always)
        return r;
    return profile.len
               ? ask(asking, GATE_ARTIFACT_ACCESS, "artifact", profile, "/scope/profileRefs", err)
               : ask(asking, GATE_ARTIFACT_ACCESS, "artifact", request->workspace,
                     "/scope/workspaceRefs", err);
}

int gates_pass(struct work *work, const struct delegation *delegation,
               const struct delegation_request *request, struct refusal *ret, struct err *err)
{
    static int (*const askers[GATE_COUNT])(struct asking *, bool, struct err *) = {
        [GATE_TOOL_GRANT] = ask_tools,          [GATE_MODEL_PROVIDER_USE] = ask_providers,
        [GATE_NETWORK_PROFILE] = ask_network,   [GATE_CONTAINER_EXECUTION] = ask_container,
        [GATE_ARTIFACT_ACCESS] = ask_artifacts,
    };
    struct asking asking = {
        .work = work,
        .delegation = delegation,
        .request = request,
        .refusal = ret,
        .parameters = member(member(work_command(work), "parameters"), work->type->parameters),
    };
    int r = jcs_digest(yyjson_doc_get_root(delegation->doc), asking.delegation_digest, err);
    work->lease_count = 0;
    for (size_t gate = 0; gate < GATE_COUNT && r == 0; gate++)
        if (work->type->gates[gate] != GATE_NEVER)
            r = askers[gate](&asking, work->type->gates[gate] == GATE_ALWAYS, err);
    return r;
}
