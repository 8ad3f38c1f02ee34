/* story_grants: see the header. A later decision about the same thing takes the place of the first.
 */
#include "doctor/story_grants.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "doctor/capability.h"

#define STEP_GRANTS "tell what an operation was given"

static bool is_same_question(const struct story_decision *a, const struct story_decision *b)
{
    return str_equal(a->gate, b->gate) && str_equal(a->kind, b->kind) &&
           str_equal(story_object(a), story_object(b)) && a->port == b->port &&
           str_equal(a->subject, b->subject);
}

static void take(void *context, const struct story_decision *decision)
{
    struct story_grants *grants = context;
    for (size_t i = 0; i < grants->count; i++) {
        if (is_same_question(grants->decisions[i], decision)) {
            grants->decisions[i] = decision;
            return;
        }
    }
    if (grants->count < STORY_GRANTS_MAX)
        grants->decisions[grants->count++] = decision;
    else
        grants->left_out++;
}

int story_grants(const struct story *story, struct str operation, struct story_grants *ret,
                 struct err *err)
{
    memset(ret, 0, sizeof(*ret));
    return story_of_operation(story, operation, &ret->run, take, ret, err);
}

void story_add_object(struct buf *text, const struct story_decision *decision)
{
    buf_add_str(text, story_object(decision));
    if (decision->port)
        buf_addf(text, ":%llu", (unsigned long long)decision->port);
}

/* --- the document --------------------------------------------------------------------------- */

static enum found found_of(const struct story_decision *decision)
{
    return str_equal(decision->verdict, STR("allow")) ? FOUND_GRANTED
           : str_equal(decision->verdict, STR("ask")) ? FOUND_ASK
                                                      : FOUND_DENIED;
}

static void add_state(const struct story_decision *decision, struct buf *json)
{
    _cleanup_(buf_release) struct buf object = BUF_INIT;
    const char *operation, *capability;
    enum found found = found_of(decision);
    capability = story_capability(decision->gate, decision->kind, &operation);
    story_add_object(&object, decision);
    buf_add_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    json_add_text(json, "capability", str_from(capability));
    json_add_text(json, "requestedOperation", str_from(operation));
    json_add_text(json, "subjectRef", decision->subject);
    if (object.len)
        json_add_text(json, "objectRef", buf_str(&object));
    json_add_text(json, "grantSource", STR("policy"));
    json_add_text(json, "decision", str_from(found_decisions[found]));
    if (decision->rule.len)
        json_add_text(json, "policyRuleRef", decision->rule);
    json_add_text(json, "userVisibleImpact",
                  found == FOUND_GRANTED ? STR("The run has it.")
                                         : STR("The run has to do without it."));
    json_add_text(json, "remediationHint",
                  found == FOUND_GRANTED  ? STR("Nothing to do.")
                  : decision->command.len ? decision->command
                  : decision->change.len  ? decision->change
                                          : STR("Ask who wrote the policy."));
    buf_add_char(json, '}');
}

int story_write_grants(const struct story_grants *grants, struct buf *ret, struct err *err)
{
    const struct story_run *run = &grants->run;
    struct str local = run->operation, epoch = STR("none");
    char at[CLOCK_TEXT_SIZE];
    _cleanup_(buf_release) struct buf id = BUF_INIT;
    while (str_index(local, ':', 0) < local.len)
        local = str_from_offset(local, str_index(local, ':', 0) + 1);
    if (grants->count)
        epoch = grants->decisions[grants->count - 1]->policy_digest;
    clock_text(clock_now_ms(), at);
    buf_addf(&id, "urn:srcos:capability-grant-state:%.*s", STR_ARG(local));
    buf_add_char(ret, '{');
    json_add_text(ret, "id", buf_str(&id));
    json_add_text(ret, "type", STR("CapabilityGrantState"));
    json_add_text(ret, "specVersion", STR("1.0.0"));
    /* The profile is what says what such a run may have. */
    json_add_text(ret, "contractRef", run->profile.len ? run->profile : run->operation);
    json_add_text(ret, "observedAt", str_from(at));
    json_add_text(ret, "bootId", run->boot.len ? run->boot : STR("unknown"));
    json_add_text(ret, "sessionId", run->operation);
    json_add_text(ret, "permissionEpoch", epoch);
    json_add_name(ret, "capabilityStates");
    buf_add_char(ret, '[');
    for (size_t i = 0; i < grants->count; i++)
        add_state(grants->decisions[i], ret);
    buf_add_text(ret, "]}");
    return ret->error ? err_set(err, ERR_MEMORY, STEP_GRANTS, "there is not enough memory") : 0;
}
