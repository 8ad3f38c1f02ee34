/*
 * network doctor: what is declared of the network, what is in force, and what was seen of it.
 *
 * The rules are those of the policy that a run would have; what was seen are the verdicts of the
 * record, each of which names the rule that decided by its layer, its name and its place.
 */
#include "base/clock.h"
#include "base/json.h"
#include "cmd/network.h"
#include "cmd/op.h"
#include "cmd/policy.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "doors/network/linux/capture.h"

#define SEEN_MAX   4096
#define RULE_WIDTH 34

enum { DOCTOR_PROFILE, DOCTOR_JSON };

const struct option_row network_doctor_options[] = {
    [DOCTOR_PROFILE] = { "profile", 'p', "PROFILE", "the machine profile of the run" },
    [DOCTOR_JSON] = { "json", 'j', NULL, "print a JSON object for each line" },
};
static_assert(ARRAY_LEN(network_doctor_options) == NETWORK_DOCTOR_OPTION_COUNT,
              "the header has it");

/* What the record has of one rule. */
struct seen {
    char layer[16], rule[128], pointer[VERDICT_POINTER_SIZE], last[CLOCK_TEXT_SIZE];
    size_t counts[ANSWER_COUNT];
};

struct doctor {
    struct seen *seen;
    size_t seen_count;
    bool as_json;
};

static const char *const means_words[] = {
    [CAPTURE_BY_NETFILTER] = "netfilter",
    [CAPTURE_BY_ROUTES] = "routes",
    [CAPTURE_IMPOSSIBLE] = "none",
};

static const char *const means_texts[] = {
    [CAPTURE_BY_NETFILTER] = "every connection of a run is brought to the door (netfilter)",
    [CAPTURE_BY_ROUTES] =
        "the usual ports are brought to the door, others are refused (routes; the "
        "kernel has no netfilter for users)",
    [CAPTURE_IMPOSSIBLE] = "there is no door: the kernel gives no network namespaces; see "
                           "agent-machine doctor host",
};

/* --- what was seen -------------------------------------------------------------------------- */

static struct seen *find_seen(struct doctor *doctor, struct str layer, struct str rule,
                              struct str pointer, bool make)
{
    for (size_t i = 0; i < doctor->seen_count; i++) {
        struct seen *seen = &doctor->seen[i];
        if (str_equal(layer, str_from(seen->layer)) && str_equal(rule, str_from(seen->rule)) &&
            str_equal(pointer, str_from(seen->pointer)))
            return seen;
    }
    if (!make || doctor->seen_count == SEEN_MAX)
        return NULL;
    struct seen *seen = &doctor->seen[doctor->seen_count++];
    *seen = (struct seen){ 0 };
    snprintf(seen->layer, sizeof(seen->layer), "%.*s", STR_ARG(layer));
    snprintf(seen->rule, sizeof(seen->rule), "%.*s", STR_ARG(rule));
    snprintf(seen->pointer, sizeof(seen->pointer), "%.*s", STR_ARG(pointer));
    return seen;
}

/* From the oldest on. */
static int look_at(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    struct doctor *doctor = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    const yyjson_val *kind = at(root, "/resource/kind"), *by = member(root, "decidedBy");
    int answer = vocabulary_index(answer_names, ANSWER_COUNT, text_of(member(root, "verdict")));
    if (r < 0 || answer < 0 || !(text_is(kind, "host") || text_is(kind, "address")))
        return r;
    struct seen *seen =
        find_seen(doctor, text_of(member(by, "layer")), text_of(member(by, "ruleId")),
                  text_of(member(by, "pointer")), true);
    struct str when = text_of(member(root, "decidedAt"));
    if (!seen)
        return 0;
    seen->counts[answer]++;
    snprintf(seen->last, sizeof(seen->last), "%.*s", STR_ARG(when));
    return 0;
}

/* A record that is not there has seen nothing. */
static int read_seen(struct doctor *doctor, struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct err inner = { 0 };
    doctor->seen = calloc(SEEN_MAX, sizeof(*doctor->seen));
    if (!doctor->seen)
        return err_set(err, ERR_MEMORY, "read the record", "there is not enough memory");
    int r = op_open(LEDGER_READ, &plane, &inner);
    if (r == 0)
        r = ledger_each_document(plane_ledger(plane), STR("PolicyDecision"), STR(""), look_at,
                                 doctor, &inner);
    if (r == -ENOENT)
        return 0;
    if (r < 0 && err)
        *err = inner;
    return r;
}

/* --- the lines ------------------------------------------------------------------------------ */

static void write_seen(const struct seen *seen, struct buf *ret)
{
    static const char *const words[ANSWER_COUNT] = {
        [ANSWER_ALLOW] = "allowed", [ANSWER_ASK] = "left to a person", [ANSWER_DENY] = "denied"
    };
    for (size_t i = 0; seen && i < ANSWER_COUNT; i++)
        if (words[i] && seen->counts[i])
            buf_addf(ret, "%s%zu %s", ret->len ? ", " : "", seen->counts[i], words[i]);
    if (seen)
        buf_addf(ret, ", last %s", seen->last);
    else
        buf_add_text(ret, "-");
}

static void print_json(const struct policy_rule *rule, const char *effective,
                       const struct seen *seen)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    buf_add_char(&json, '{');
    json_add_text(&json, "layer",
                  rule->built_in ? STR("built-in") : str_from(layer_names[rule->layer]));
    json_add_text(&json, "ruleId", rule->rule);
    json_add_text(&json, "pointer", str_from(rule->pointer));
    json_add_text(&json, "declared", str_from(answer_names[rule->answer]));
    json_add_text(&json, "destination", rule->destination);
    json_add_text(&json, "ports", str_from(rule->ports));
    json_add_text(&json, "effective", str_from(effective));
    buf_addf(&json, ",\"observed\":{\"allowed\":%zu,\"asked\":%zu,\"denied\":%zu",
             seen ? seen->counts[ANSWER_ALLOW] : 0, seen ? seen->counts[ANSWER_ASK] : 0,
             seen ? seen->counts[ANSWER_DENY] : 0);
    if (seen)
        json_add_text(&json, "lastAt", str_from(seen->last));
    buf_add_text(&json, "}}");
    puts(json.data);
}

static int print_rule(void *context, const struct policy_rule *rule)
{
    struct doctor *doctor = context;
    _cleanup_(buf_release) struct buf declared = BUF_INIT, observed = BUF_INIT;
    struct str layer = rule->built_in ? STR("built-in") : str_from(layer_names[rule->layer]);
    const char *effective = rule->observing ? "noted" : rule->log_only ? "logged" : "in force";
    if (rule->gate)
        return 0;
    const struct seen *seen = find_seen(doctor, layer, rule->rule.len ? rule->rule : STR("default"),
                                        str_from(rule->pointer), false);
    if (doctor->as_json) {
        print_json(rule, effective, seen);
        return 0;
    }
    buf_addf(&declared, "%s %.*s%s%s", answer_names[rule->answer], STR_ARG(rule->destination),
             rule->ports[0] ? " port " : "", rule->ports);
    write_seen(seen, &observed);
    if (declared.error || observed.error)
        return -ENOMEM;
    printf("%-14.*s ", STR_ARG(layer));
    tell_text(stdout, declared.data);
    printf("%*s %-9s %s\n", declared.len < RULE_WIDTH ? RULE_WIDTH - (int)declared.len : 0, "",
           effective, observed.data);
    return 0;
}

static void print_means(const struct doctor *doctor, enum capture_means means)
{
    if (doctor->as_json)
        printf("{\"capture\":\"%s\"}\n", means_words[means]);
    else
        printf("capture        %s\n\n%-14s %-*s %-9s %s\n", means_texts[means], "layer", RULE_WIDTH,
               "declared", "effective", "observed");
}

int run_network_doctor(const struct invocation *invocation)
{
    const char *named = invocation->values[DOCTOR_PROFILE];
    struct doctor doctor = { .as_json = invocation->values[DOCTOR_JSON] };
    struct policy_request request = { 0 };
    struct loaded_policy loaded = { 0 };
    char profile[PLANE_URN_MAX];
    struct err err = { 0 };
    if (named) {
        op_urn("agent-machine-profile", named, profile);
        request.profile = profile;
    }
    int r = loaded_policy_open(&request, &loaded, &err);
    if (r == 0)
        r = read_seen(&doctor, &err);
    enum capture_means means = capture_try();
    if (r == 0) {
        print_means(&doctor, means);
        r = policy_each_rule(loaded.policy, print_rule, &doctor);
    }
    loaded_policy_close(&loaded);
    free(doctor.seen);
    if (r < 0)
        return tell_error(invocation, &err);
    return means == CAPTURE_IMPOSSIBLE ? EXIT_NEGATIVE : EXIT_OK;
}
