/*
 * refused: what was refused before any gate was asked, as a verdict.
 *
 * The machine's plan, the phase and the delegation refuse by rules of their
 * own (err_about). Such an end of an operation leaves the same document as a
 * gate's denial does, so that who asks why later is told the same way. There
 * is no giver and no layer in it: no answer is one of theirs.
 */
#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/gate_layers.h"
#include "plane/work.h"

#define STEP_REFUSED  "record a refusal"
#define NOT_DELEGATED "no-delegation" /* the rule of an error that names none */

static const struct {
    const char *kind;
    enum gate gate;
} kinds[] = {
    { "path", GATE_ARTIFACT_ACCESS },
    { "artifact", GATE_ARTIFACT_ACCESS },
    { "tool", GATE_TOOL_GRANT },
    { "image", GATE_CONTAINER_EXECUTION },
    { "network-profile", GATE_NETWORK_PROFILE },
    { "model-provider", GATE_MODEL_PROVIDER_USE },
};

struct subject {
    const char *rule, *kind;
    struct str thing;
    enum gate gate;
};

/* Without a rule of its own it is the delegation that is missing, or does not give it. */
static struct subject subject_of(const struct work *work, const struct err *why)
{
    struct str named = text_of(member(work_command(work), "delegationRef"));
    struct subject subject = { .rule = why->rule ? why->rule : NOT_DELEGATED,
                               .kind = why->rule ? why->kind : "artifact",
                               .gate = GATE_ARTIFACT_ACCESS };
    subject.thing = why->rule   ? str_from(why->thing)
                    : named.len ? named
                                : text_of(member(work_command(work), "workspaceRef"));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].kind, subject.kind) == 0)
            subject.gate = kinds[i].gate;
    return subject;
}

/* What to do, as a sentence of its own. */
static struct str remedy_of(const struct err *why)
{
    struct str remedy = err_to_do(why);
    return remedy.len  ? remedy
           : why->rule ? STR("Ask for what this host and this release give.")
                       : STR("Have a delegation issued that covers it.");
}

static int write_decision(const struct work *work, const struct subject *subject,
                          const struct err *why, const char *id, struct buf *json, struct err *err)
{
    const yyjson_val *parameters =
        member(member(work_command(work), "parameters"), work->type->parameters);
    struct str profile = text_of(member(parameters, "profileRef"));
    char now[CLOCK_TEXT_SIZE], policy[DIGEST_TEXT_SIZE];
    int r = gate_layers_digest(work->plane, policy, err);
    if (r < 0)
        return r;
    clock_text(clock_now_ms(), now);
    buf_add_char(json, '{');
    json_add_text(json, "id", str_from(id));
    json_add_text(json, "type", STR("PolicyDecision"));
    json_add_text(json, "specVersion", STR("1.0.0"));
    json_add_text(json, "gate", str_from(gate_names[subject->gate]));
    json_add_text(json, "verdict", STR("deny"));
    json_add_text(json, "subjectRef", text_of(member(work_command(work), "subjectRef")));
    json_add_text(json, "operationRef", work_operation(work));
    buf_add_text(json, ",\"resource\":{");
    json_add_text(json, "kind", str_from(subject->kind));
    json_add_text(json, "name", subject->thing);
    buf_add_text(json, "},\"decidedBy\":{");
    json_add_text(json, "layer", STR("built-in"));
    json_add_text(json, "ruleId", str_from(subject->rule));
    if (why->where[0] == '/' && profile.len) { /* a place in the profile */
        json_add_text(json, "documentRef", profile);
        json_add_text(json, "pointer", str_from(why->where));
    }
    buf_add_text(json, "},\"smallestChange\":{");
    json_add_text(json, "summary", remedy_of(why));
    buf_add_char(json, '}');
    json_add_text(json, "reason", err_why(why));
    buf_add_text(json, ",\"answers\":[]");
    json_add_text(json, "policyDigest", str_from(policy));
    json_add_text(json, "decidedAt", str_from(now));
    buf_add_char(json, '}');
    return json->error ? err_set(err, ERR_MEMORY, STEP_REFUSED, "there is not enough memory") : 0;
}

int refused_record(struct work *work, const struct err *why, struct refusal *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct subject subject = subject_of(work, why);
    char local[40], id[PLANE_URN_MAX];
    int r = urn_fresh(local, err);
    if (r < 0)
        return r;
    urn_make("policy-decision", str_from(local), id);
    r = write_decision(work, &subject, why, id, &json, err);
    if (r == 0)
        r = decision_put(work, subject.gate, "deny", id, buf_str(&json), err);
    if (r < 0)
        return r;
    *ret = (struct refusal){ .err = *why };
    snprintf(ret->rule, sizeof(ret->rule), "%s", subject.rule);
    if (err_to_do(why).len)
        snprintf(ret->smallest_change, sizeof(ret->smallest_change), "%.*s",
                 STR_ARG(err_to_do(why)));
    snprintf(ret->decision, sizeof(ret->decision), "%s", id);
    return -EACCES;
}
