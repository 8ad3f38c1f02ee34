/* network firewall: a profile's rules for a firewall outside of the sandbox. */
#include <pwd.h>

#include "base/digest.h"
#include "base/json.h"
#include "cmd/network.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "doors/network/firewall_plan.h"

#define STEP    "plan a firewall"
#define UID_MAX 4294967294LL

enum {
    PLAN_TARGET,
    PLAN_USER,
    PLAN_SUBJECT,
    PLAN_NAMESPACE,
    PLAN_SELECTOR,
    PLAN_JSON,
};

static const struct option_row plan_options[] = {
    [PLAN_TARGET] = { "target", 't', "WORD", "nftables, lulu, gateway, kubernetes or cilium" },
    [PLAN_USER] = { "user", 'u', "USER", "nftables: only what this user's processes send" },
    [PLAN_SUBJECT] = { "subject", 0, "URN", "who runs: rules of others are left out" },
    [PLAN_NAMESPACE] = { "namespace", 'n', "NAME", "kubernetes, cilium: where the policy lies" },
    [PLAN_SELECTOR] = { "selector", 's', "LABELS", "kubernetes, cilium: labels of the pods" },
    [PLAN_JSON] = { "json", 'j', NULL, "print a JSON object that has the text in it" },
};

/* --- what is asked for --------------------------------------------------------------------- */

static int read_user(const char *name, int64_t *ret, struct err *err)
{
    char *end = NULL;
    if (!name) {
        *ret = -1;
        return 0;
    }
    const struct passwd *user = getpwnam(name);
    long long uid = user ? (long long)user->pw_uid : strtoll(name, &end, 10);
    if (!user && (name[0] < '0' || name[0] > '9' || *end || uid > UID_MAX))
        return err_set(err, ERR_USAGE, STEP, "there is no user `%s`", name);
    *ret = uid;
    return 0;
}

static int read_target(const char *word, enum firewall_target *ret, struct err *err)
{
    int target =
        word ? vocabulary_index(firewall_target_names, FIREWALL_TARGET_COUNT, str_from(word)) : -1;
    if (target < 0)
        return err_set(err, ERR_USAGE, STEP,
                       "say for what with --target: nftables, lulu, gateway, kubernetes or cilium");
    *ret = (enum firewall_target)target;
    return 0;
}

static struct str text_or_empty(const char *text)
{
    return text ? str_from(text) : STR("");
}

/* A network profile brings the firewalls with it that its entries name. */
static int add_bindings(struct network_documents *documents, struct firewall_plan *plan,
                        struct err *err)
{
    size_t given = documents->count, index, count;
    int r = 0;
    for (size_t i = 0; r == 0 && i < given; i++) {
        yyjson_val *entries = member(documents->roots[i], "profiles"), *entry;
        if (!entries)
            continue;
        yyjson_arr_foreach(entries, index, count, entry)
        {
            struct str urn = text_of(member(entry, "firewallBindingRef"));
            const yyjson_val *found = urn.len ? network_documents_find(documents, urn) : NULL;
            bool is_known = false;
            for (size_t j = 0; j < documents->count; j++)
                is_known = is_known || documents->roots[j] == found;
            if (urn.len && !found)
                return err_set(
                    err, ERR_NOT_FOUND, STEP,
                    "%.*s, which the network profile names, was not found; give its file "
                    "too",
                    STR_ARG(urn));
            if (!found || is_known)
                continue;
            if (documents->count == NETWORK_DOCUMENTS_MAX)
                return err_set(err, ERR_LIMIT, STEP, "there are more than %d documents",
                               NETWORK_DOCUMENTS_MAX);
            documents->roots[documents->count++] = found;
        }
    }
    for (size_t i = 0; r == 0 && i < documents->count; i++)
        r = firewall_plan_add(plan, documents->roots[i], err);
    return r;
}

/* --- what is printed ----------------------------------------------------------------------- */

static void add_text(struct buf *out, const char *name, struct str value)
{
    json_add_name(out, name);
    json_add_string(out, value);
}

static int print_json(const struct firewall_plan *plan, enum firewall_target target,
                      struct str text, struct err *err)
{
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = digest_text(text, digest, err);
    if (r < 0)
        return r;
    buf_add_char(&out, '{');
    add_text(&out, "target", str_from(firewall_target_names[target]));
    add_text(&out, "format", str_from(firewall_target_format(target)));
    add_text(&out, "digest", str_from(digest));
    buf_add_text(&out, ",\"unsupported\":[");
    for (size_t i = 0; i < firewall_plan_note_count(plan); i++) {
        struct firewall_note note = firewall_plan_note(plan, i);
        buf_add_text(&out, i ? ",{" : "{");
        add_text(&out, "effect", str_from(firewall_effect_names[note.effect]));
        add_text(&out, "rule", note.rule);
        add_text(&out, "document", note.document);
        add_text(&out, "reason", str_from(note.reason));
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, ']');
    add_text(&out, "text", text);
    buf_add_char(&out, '}');
    if (out.error)
        return err_set(err, ERR_LIMIT, STEP, "the text grows too large");
    puts(out.data);
    return 0;
}

static void tell_notes(const struct firewall_plan *plan)
{
    for (size_t i = 0; i < firewall_plan_note_count(plan); i++)
        fprintf(stderr, "%s\n", firewall_plan_note(plan, i).text);
}

static int run_plan(const struct invocation *invocation)
{
    const char *const *values = invocation->values;
    struct firewall_scope scope = { .subject = text_or_empty(values[PLAN_SUBJECT]),
                                    .namespace = text_or_empty(values[PLAN_NAMESPACE]),
                                    .selector = text_or_empty(values[PLAN_SELECTOR]) };
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct network_documents documents = { 0 };
    struct firewall_plan *plan = NULL;
    enum firewall_target target = FIREWALL_NFTABLES;
    struct err err = { 0 };
    int r = read_target(values[PLAN_TARGET], &target, &err);
    if (r == 0)
        r = read_user(values[PLAN_USER], &scope.uid, &err);
    if (r == 0)
        r = firewall_plan_new(&scope, &plan, &err);
    if (r == 0)
        r = network_documents_open(invocation, "firewall-binding-profile", &documents, &err);
    if (r == 0)
        r = add_bindings(&documents, plan, &err);
    if (r == 0)
        r = firewall_plan_render(plan, target, &text, &err);
    if (r == 0 && values[PLAN_JSON])
        r = print_json(plan, target, buf_str(&text), &err);
    else if (r == 0) {
        fwrite(text.data, 1, text.len, stdout);
        tell_notes(plan);
    }
    firewall_plan_free(plan);
    network_documents_close(&documents);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- the table ----------------------------------------------------------------------------- */

const struct verb network_firewall_verbs[NETWORK_FIREWALL_VERB_COUNT] = {
    {
        .name = "plan",
        .operands = "PROFILE...",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = NETWORK_DOCUMENTS_MAX,
        .summary = "Print a profile's rules in a firewall's own format",
        .description =
            "Renders FirewallBindingProfiles and NetworkAccessProfiles, each a file or the name of "
            "one in the layers or the ledger; a network profile brings the firewall bindings with "
            "it that its entries name. Of one document the most specific rule decides; of several "
            "the strictest answer.\n\n"
            "What a firewall cannot express is printed on standard error, stands in the text as a "
            "comment, and with --json under `unsupported`: left-out (an allow that is missing), "
            "stricter, looser, not-held (a denial that this firewall does not keep), elsewhere "
            "(it is kept by other means). The gateway is Squid.",
        .options = plan_options,
        .option_count = ARRAY_LEN(plan_options),
        .run = run_plan,
    },
};
