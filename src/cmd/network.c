/* network: what may be reached, and what others have to hold for it. */
#include "cmd/network.h"

#include "cmd/op.h"
#include "cmd/policy_ask.h"
#include "cmd/runs.h"
#include "cmd/tell.h"
#include "machine/control.h"

enum {
    EXPLAIN_PROFILE,
    EXPLAIN_PROTOCOL,
    EXPLAIN_RESOLVED,
    EXPLAIN_LAYERS,
    EXPLAIN_SURFACE,
    EXPLAIN_SUBJECT,
    EXPLAIN_ALLOW,
    EXPLAIN_DENY,
    EXPLAIN_JSON,
};

static const struct option_row explain_options[] = {
    [EXPLAIN_PROFILE] = { "profile", 0, "PROFILE", "the machine profile that is run under" },
    [EXPLAIN_PROTOCOL] = { "protocol", 'p', "WORD", "tcp, udp, icmp, http, https or grpc" },
    [EXPLAIN_RESOLVED] = { "resolved", 'r', "ADDRESS", "an address that the name resolved to" },
    [EXPLAIN_LAYERS] = { "layers", 'l', "DIR", "a folder with one for each layer, for trying out" },
    [EXPLAIN_SURFACE] = { "surface", 0, "NAME", "the tool surface that is run" },
    [EXPLAIN_SUBJECT] = { "subject", 0, "URN", "who runs: the subject of firewall rules" },
    [EXPLAIN_ALLOW] = { "allow", 0, "HOST[:PORT]", "as if the run were given --allow" },
    [EXPLAIN_DENY] = { "deny", 0, "HOST[:PORT]", "as if the run were given --deny" },
    [EXPLAIN_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

static int run_explain(const struct invocation *invocation)
{
    const char *const *values = invocation->values;
    char profile[PLANE_URN_MAX];
    struct policy_request request = { .folder = values[EXPLAIN_LAYERS],
                                      .subject = values[EXPLAIN_SUBJECT],
                                      .surface = values[EXPLAIN_SURFACE],
                                      .allow = values[EXPLAIN_ALLOW],
                                      .deny = values[EXPLAIN_DENY] };
    struct policy_asked asked = { .resolved = values[EXPLAIN_RESOLVED] };
    struct err err = { 0 };
    if (values[EXPLAIN_PROFILE]) {
        op_urn("agent-machine-profile", values[EXPLAIN_PROFILE], profile);
        request.profile = profile;
    }
    int r = policy_asked_host(invocation->operands[0], &asked, &err);
    if (r == 0 && values[EXPLAIN_PROTOCOL])
        r = policy_asked_protocol(values[EXPLAIN_PROTOCOL], &asked, &err);
    return r < 0 ? tell_error(invocation, &err)
                 : policy_explain(invocation, &request, &asked, values[EXPLAIN_JSON]);
}

/* --- what a run is denied while it runs ----------------------------------------------------- */

#define DENY_ANSWER_MS 5000

enum { DENY_JSON };

static const struct option_row deny_options[] = {
    [DENY_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

static int deny(const struct invocation *invocation, struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    _cleanup_(cleanup_close) int fd = -1;
    struct control_request request = { .verb = CONTROL_DENY, .timeout_ms = -1 };
    struct runs_one run;
    const char *destination = invocation->operands[1];
    if (!destination[0] || strlen(destination) > CONTROL_TEXT_MAX)
        return err_set(err, ERR_USAGE, "deny a destination", "a destination is HOST or HOST:PORT");
    snprintf(request.reference, sizeof(request.reference), "%s", destination);
    int r = runs_open(&plane, err);
    if (r == 0)
        r = runs_find(plane, invocation->operands[0], &run, err);
    if (r == 0)
        r = control_connect(run.folder, &fd, err);
    return r < 0 ? r : control_ask(fd, &request, DENY_ANSWER_MS, &answer, err);
}

static int run_deny(const struct invocation *invocation)
{
    struct err err = { 0 };
    if (deny(invocation, &err) < 0)
        return tell_error(invocation, &err);
    if (invocation->values[DENY_JSON])
        puts("{\"denied\":true}");
    return EXIT_OK;
}

/* --- the table ----------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {
        .name = "explain",
        .operands = "HOST[:PORT]",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Say what becomes of a connection, and why",
        .description =
            "Asks every layer about a host, a name or an address, and prints each answer with the "
            "rule, the document and the place in it that gave it; then the verdict, why, and the "
            "smallest change that would alter it.\n\n"
            "Without a port the question is whether there is one at which it is allowed. The exit "
            "status is 0 for allow, 75 for ask, 77 for deny.",
        .options = explain_options,
        .option_count = ARRAY_LEN(explain_options),
        .run = run_explain,
    },
    {
        .name = "test",
        .operands = "FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Check a table of connections against the policy",
        .description =
            "Reads a list of cases, JSON or YAML, and prints those that are decided otherwise. "
            "Each has `host`, `expect` (allow, ask or deny) and, where it matters, `port`, "
            "`protocol` and `resolved` (an address that it resolves to). The exit status is 0 if "
            "there is none, else 1.",
        .options = policy_test_options,
        .option_count = POLICY_TEST_OPTION_COUNT,
        .run = run_policy_test,
    },
    {
        .name = "doctor",
        .summary = "Compare what is declared with what is in force and what was seen",
        .description =
            "Prints a line for each rule about destinations: what a layer declares; what becomes "
            "of it in a run (in force, or merely noted); and what the record has seen of it: "
            "destinations that were allowed, denied or left to a person under it, and when last. "
            "The first line says by which means this host's kernel brings connections to the door, "
            "found out by trying. The exit status is 1 where it has none.",
        .options = network_doctor_options,
        .option_count = NETWORK_DOCTOR_OPTION_COUNT,
        .run = run_network_doctor,
    },
    {
        .name = "deny",
        .operands = "RUN HOST[:PORT]",
        .operands_min = 2,
        .operands_max = 2,
        .summary = "Deny a run a destination, while it runs",
        .description = "From now on the run cannot connect there, whatever the layers allow, and "
                       "connections that it has are reset. Nothing else can be changed about a "
                       "run's policy, and nothing is given by it.",
        .options = deny_options,
        .option_count = ARRAY_LEN(deny_options),
        .run = run_deny,
    },
    {
        .name = "firewall",
        .summary = "Rules for a firewall outside of the sandbox",
        .description = "The sandbox needs no firewall: nothing leaves it but through its doors. "
                       "These verbs write down what a firewall around it would have to hold.",
        .verbs = network_firewall_verbs,
        .verb_count = NETWORK_FIREWALL_VERB_COUNT,
    },
    {
        .name = "mesh",
        .summary = "What a service mesh has to hold for a workload",
        .description = "Writes a MeshBindingProfile down in the words of the mesh that carries a "
                       "workload's traffic, and the firewall without which it can be bypassed.",
        .verbs = network_mesh_verbs,
        .verb_count = NETWORK_MESH_VERB_COUNT,
    },
};

const struct verb verb_network = {
    .name = "network",
    .summary = "See what may be reached, and plan firewalls and meshes",
    .description = "What a run may reach is decided by the layers of policy. These verbs explain "
                   "it, and render it for what stands outside of the sandbox.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
