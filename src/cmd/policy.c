/* policy: the verbs around the layers' documents and what they decide. */
#include "cmd/policy.h"

#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "machine/plan.h"

#define OPERANDS_MAX 1

/* --- the policy of this user, or of a folder ------------------------------------------------ */

static int add_choices(const struct policy_request *request, struct policy_builder *builder,
                       struct err *err)
{
    int r = 0;
    if (request->allow)
        r = policy_add_choice(builder, str_from(request->allow), true, err);
    if (r == 0 && request->deny)
        r = policy_add_choice(builder, str_from(request->deny), false, err);
    return r;
}

/* The user's own profile decides at the gates too, where it was asked for by name. */
static int add_own_profile(const struct policy_request *request, const struct profile *profile,
                           struct policy_builder *builder, struct err *err)
{
    return request->profile && profile->doc
               ? policy_add(builder, LAYER_USER, "the ledger", profile->root, err)
               : 0;
}

static int add_run_policy(struct plane *plane, struct loaded_policy *loaded,
                          struct policy_builder *builder, struct err *err)
{
    struct run_policy *run = &loaded->run;
    int r = run_policy_read(plane, loaded->layers, loaded->profile.root, NULL, run, err);
    if (r == -ENOENT) /* what cannot be found lets nothing out */
        return 0;
    for (size_t i = 0; i < run->count && r == 0; i++)
        r = policy_add(builder, run->additions[i].layer, run->additions[i].name,
                       run->additions[i].root, err);
    return r;
}

/*
 * What a run adds to the layers: its machine profile (personal, where none is named and there is
 * one), and what that says of the network. A folder that is tried out has no runs.
 */
static int add_profile(const struct policy_request *request, struct loaded_policy *loaded,
                       struct policy_builder *builder, struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct err inner = { 0 };
    if (request->folder &&
        (!request->profile || profile_managed(loaded->layers, request->profile) >= 0))
        return 0;
    const char *urn = request->profile ? request->profile : PROFILE_PERSONAL;
    int r = request->folder ? err_set(&inner, ERR_NOT_FOUND, "find a profile", "-")
                            : op_open(LEDGER_READ, &plane, &inner);
    if (r == 0)
        r = profile_find(plane, loaded->layers, urn, &loaded->profile, &inner);
    if (r == -ENOENT && request->profile)
        return err_set(err, ERR_NOT_FOUND, "find a profile",
                       "there is no profile %s; see `agent-machine profile list`", urn);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = add_own_profile(request, &loaded->profile, builder, &inner);
    if (r == 0)
        r = add_run_policy(plane, loaded, builder, &inner);
    if (r < 0 && err)
        *err = inner;
    return r;
}

int loaded_policy_open(const struct policy_request *request, struct loaded_policy *ret,
                       struct err *err)
{
    struct loaded_policy loaded = { 0 };
    struct policy_builder *builder = NULL;
    struct layers_places places = { 0 };
    int r = 0;
    if (!request->folder)
        r = layers_places_default(NULL, &places, err);
    else if ((size_t)snprintf(places.all, sizeof(places.all), "%s", request->folder) >=
             sizeof(places.all))
        r = err_set(err, ERR_USAGE, "read the layers", "the path of --layers is too long");
    if (r == 0)
        r = layers_open(&places, &loaded.layers, err);
    if (r == 0)
        r = policy_builder_new(&builder, err);
    if (r == 0 && request->subject)
        r = policy_builder_subject(builder, str_from(request->subject), err);
    if (r == 0)
        r = layers_add(loaded.layers, request->surface, builder, err);
    if (r == 0)
        r = add_profile(request, &loaded, builder, err);
    if (r == 0 && request->beside)
        r = policy_add(builder, LAYER_USER, "what is tried", request->beside, err);
    if (r == 0)
        r = add_choices(request, builder, err);
    if (r == 0)
        r = policy_build(builder, &loaded.policy, err);
    if (r == 0)
        r = routes_new(loaded.policy, layers_references(loaded.layers), &loaded.routes, err);
    if (r == 0 && plan_keeps_here(loaded.profile.root))
        routes_keep_here(loaded.routes);
    policy_builder_free(builder);
    if (r < 0)
        loaded_policy_close(&loaded);
    else
        *ret = loaded;
    return r;
}

void loaded_policy_close(struct loaded_policy *loaded)
{
    routes_free(loaded->routes);
    policy_free(loaded->policy);
    run_policy_release(&loaded->run);
    profile_release(&loaded->profile);
    layers_close(loaded->layers);
    *loaded = (struct loaded_policy){ 0 };
}

/* --- show ----------------------------------------------------------------------------------- */

enum { SHOW_EFFECTIVE, SHOW_LAYERS, SHOW_SURFACE, SHOW_SUBJECT, SHOW_JSON };

static const struct option_row show_options[] = {
    [SHOW_EFFECTIVE] = { "effective", 'e', NULL, "print every rule that the layers make" },
    [SHOW_LAYERS] = { "layers", 'l', "DIR", "a folder with one for each layer, for trying out" },
    [SHOW_SURFACE] = { "surface", 0, "NAME", "the tool surface that is run" },
    [SHOW_SUBJECT] = { "subject", 0, "URN", "who runs: the subject of firewall rules" },
    [SHOW_JSON] = { "json", 'j', NULL, "print a JSON object for each line" },
};

static const char *const state_words[] = {
    [DOCUMENT_IN_FORCE] = "in force",
    [DOCUMENT_UNUSABLE] = "unusable",
    [DOCUMENT_INERT] = "inert",
};

static void print_json(struct buf *out)
{
    buf_add_char(out, '}');
    puts(out->data);
    buf_release(out);
}

static void show_document(const struct layer_document *document, bool as_json)
{
    if (as_json) {
        struct buf out = BUF_INIT;
        buf_add_char(&out, '{');
        json_add_text(&out, "layer", str_from(layer_names[document->layer]));
        json_add_text(&out, "state", str_from(state_words[document->state]));
        json_add_text(&out, "document", str_from(document->path));
        if (document->type)
            json_add_text(&out, "type", str_from(document->type));
        if (document->why)
            json_add_text(&out, "why", str_from(document->why));
        print_json(&out);
        return;
    }
    printf("%-14s  %-8s  ", layer_names[document->layer], state_words[document->state]);
    tell_text(stdout, document->path);
    if (document->why) {
        fputs("\n                          ", stdout);
        tell_text(stdout, document->why);
    }
    fputc('\n', stdout);
}

static void tell_str(struct str text, size_t width)
{
    char copy[256];
    size_t len = text.len < sizeof(copy) - 1 ? text.len : sizeof(copy) - 1;
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    tell_text(stdout, copy);
    for (; len < width; len++)
        fputc(' ', stdout);
}

static int show_rule(void *context, const struct policy_rule *rule)
{
    const bool *as_json = context;
    const char *answer = rule->log_only ? "log-only" : answer_names[rule->answer];
    const char *layer = rule->built_in ? "built in" : layer_names[rule->layer];
    if (*as_json) {
        struct buf out = BUF_INIT;
        buf_add_char(&out, '{');
        json_add_text(&out, "layer", str_from(layer));
        json_add_text(&out, "answer", str_from(answer));
        if (rule->gate)
            json_add_text(&out, "gate", str_from(rule->gate));
        json_add_text(&out, "destination", rule->destination);
        json_add_text(&out, "ports", str_from(rule->ports));
        json_add_text(&out, "protocols", str_from(rule->protocols));
        json_add_text(&out, "rule", rule->rule);
        json_add_text(&out, "document", str_from(rule->document ? rule->document : ""));
        json_add_text(&out, "pointer", str_from(rule->pointer));
        buf_addf(&out, ",\"observing\":%s", rule->observing ? "true" : "false");
        print_json(&out);
        return 0;
    }
    printf("%-14s  %-8s  ", layer, answer);
    tell_str(rule->destination, 30);
    printf(" %s%s%s%s%s ", rule->gate ? rule->gate : "", rule->ports, rule->ports[0] ? " " : "",
           rule->protocols, rule->observing ? " (observed only)" : "");
    tell_str(rule->rule, 0);
    fputc('\n', stdout);
    return 0;
}

static void show_digests(const struct policy *policy)
{
    printf("\nconflicts       %s\n", policy_conflict(policy));
    printf("policy          %s\n", policy_digest(policy));
}

static int run_show(const struct invocation *invocation)
{
    struct policy_request request = { .folder = invocation->values[SHOW_LAYERS],
                                      .surface = invocation->values[SHOW_SURFACE],
                                      .subject = invocation->values[SHOW_SUBJECT] };
    bool as_json = invocation->values[SHOW_JSON];
    struct loaded_policy loaded;
    struct err err = { 0 };
    if (loaded_policy_open(&request, &loaded, &err) < 0)
        return tell_error(invocation, &err);
    if (invocation->values[SHOW_EFFECTIVE]) {
        (void)policy_each_rule(loaded.policy, show_rule, &as_json);
        if (!as_json)
            puts("built in        deny      private, loopback, link-local, shared and metadata\n"
                 "                          addresses, unless a rule names them");
    } else {
        for (size_t i = 0; i < layers_count(loaded.layers); i++) {
            struct layer_document document = layers_at(loaded.layers, i);
            show_document(&document, as_json);
        }
    }
    if (!as_json)
        show_digests(loaded.policy);
    loaded_policy_close(&loaded);
    return EXIT_OK;
}

/* --- trust ---------------------------------------------------------------------------------- */

static int run_trust(const struct invocation *invocation)
{
    const char *start = invocation->operand_count ? invocation->operands[0] : NULL;
    struct layers_places places;
    char digest[DIGEST_TEXT_SIZE];
    struct err err = { 0 };
    int r = layers_places_default(start, &places, &err);
    if (r == 0)
        r = layers_trust(&places, digest, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    printf("%s  ", digest);
    tell_text(stdout, places.workspace);
    fputc('\n', stdout);
    return EXIT_OK;
}

/* --- the table ------------------------------------------------------------------------------ */

static const struct verb verbs[] = {
    {
        .name = "explain",
        .summary = "Say what becomes of a host, tool, model, path or image",
        .description =
            "Asks every layer about one thing and prints each answer with the rule, the document "
            "and the place in it that gave it; then the verdict, why, and the smallest change that "
            "would alter it.\n\n"
            "Of a host without a port the question is whether there is one at which it is allowed. "
            "A tool, model, network, path or image is delegated to a run, and the layers can only "
            "take it away: where none says anything, it is allowed. Policy engines are asked too, "
            "but not with --layers. The exit status is 0 for allow, 75 for ask, 77 for deny.",
        .options = policy_explain_options,
        .option_count = POLICY_EXPLAIN_OPTION_COUNT,
        .run = run_policy_explain,
    },
    {
        .name = "test",
        .operands = "FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = OPERANDS_MAX,
        .summary = "Check a table of cases against the policy",
        .description =
            "Reads a list of cases, JSON or YAML, and prints those that are decided otherwise. "
            "Each has `expect` (allow, ask or deny) and one of `host`, `tool`, `model`, `network`, "
            "`path` and `image`; a host also, where it matters, `port`, `protocol` and `resolved` "
            "(an address that it resolves to). The exit status is 0 if there is none, else 1.",
        .options = policy_test_options,
        .option_count = POLICY_TEST_OPTION_COUNT,
        .run = run_policy_test,
    },
    {
        .name = "suggest",
        .operands = "OPERATION",
        .operands_min = 1,
        .operands_max = OPERANDS_MAX,
        .summary = "Propose the rules that let through what a run was denied",
        .description =
            "Reads what an operation was denied, tries for each destination whether a rule of "
            "yours would let it through, and prints the smallest set of such rules as a difference "
            "to the document that has them (`allowed.json` of your layer). --apply writes it. "
            "What no rule of yours can lift is listed with what would. The exit status is 0 if "
            "there is a rule to propose, else 1.",
        .options = policy_suggest_options,
        .option_count = POLICY_SUGGEST_OPTION_COUNT,
        .run = run_policy_suggest,
    },
    {
        .name = "trust",
        .operands = "[PATH]",
        .operand_kind = OPERAND_FOLDER,
        .operands_max = OPERANDS_MAX,
        .summary = "Let a repository's own policy speak",
        .description =
            "Trusts the documents in `.agent-machine/` of the repository around PATH (or around "
            "the current folder) as they are now. As soon as one of them changes, or one is added, "
            "none of them speaks any more. Read them first.",
        .run = run_trust,
    },
    {
        .name = "show",
        .summary = "List the layers' documents, or the rules they make",
        .description =
            "Lists the documents of all layers, highest first, and whether each is in force: a "
            "repository's is inert until it is trusted, and one of the enterprise or the device "
            "that cannot be used denies everything. With --effective, lists every rule instead.",
        .options = show_options,
        .option_count = ARRAY_LEN(show_options),
        .run = run_show,
    },
};

const struct verb verb_policy = {
    .name = "policy",
    .summary = "See what the layers of policy allow, and why",
    .description = "The layers, highest first: enterprise, workspace, device, user, agent, model "
                   "provider. A lower layer can be stricter than a higher one and never looser.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
