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

int network_read_user(const char *name, int64_t *ret, struct err *err)
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

static int print_json(const struct network_text *text, struct err *err)
{
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = digest_text(text->text, digest, err);
    if (r < 0)
        return r;
    buf_add_char(&out, '{');
    add_text(&out, "target", str_from(text->target));
    add_text(&out, "format", str_from(text->format));
    add_text(&out, "digest", str_from(digest));
    buf_add_text(&out, ",\"unsupported\":[");
    for (size_t i = 0; i < text->notes->count; i++) {
        const struct firewall_note *note = &text->notes->of[i];
        buf_add_text(&out, i ? ",{" : "{");
        add_text(&out, "effect", str_from(firewall_effect_names[note->effect]));
        add_text(&out, "rule", note->rule);
        add_text(&out, "document", note->document);
        add_text(&out, "reason", str_from(note->reason));
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, ']');
    add_text(&out, "text", text->text);
    buf_add_char(&out, '}');
    if (out.error)
        return err_set(err, ERR_LIMIT, STEP, "the text grows too large");
    puts(out.data);
    return 0;
}

void network_tell_notes(const struct firewall_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        fprintf(stderr, "%s\n", notes->of[i].text);
}

int network_tell_plan(const struct network_text *text, bool as_json, struct err *err)
{
    if (as_json)
        return print_json(text, err);
    fwrite(text->text.ptr, 1, text->text.len, stdout);
    network_tell_notes(text->notes);
    return 0;
}

int network_planned_open(const struct invocation *invocation, const struct firewall_scope *scope,
                         enum firewall_target target, struct network_planned *ret, struct err *err)
{
    struct firewall_scope with_ways = *scope;
    *ret = (struct network_planned){ .text = BUF_INIT };
    int r = network_documents_open(invocation, "firewall-binding-profile", &ret->documents, err);
    if (r == 0) {
        with_ways.references = network_documents_references(&ret->documents);
        r = firewall_plan_new(&with_ways, &ret->plan, err);
    }
    if (r == 0)
        r = add_bindings(&ret->documents, ret->plan, err);
    if (r == 0)
        r = firewall_plan_render(ret->plan, target, &ret->text, err);
    if (r < 0)
        network_planned_close(ret);
    return r;
}

void network_planned_close(struct network_planned *planned)
{
    firewall_plan_free(planned->plan);
    network_documents_close(&planned->documents);
    buf_release(&planned->text);
    planned->plan = NULL;
}

static int run_plan(const struct invocation *invocation)
{
    const char *const *values = invocation->values;
    struct firewall_scope scope = { .subject = text_or_empty(values[PLAN_SUBJECT]),
                                    .namespace = text_or_empty(values[PLAN_NAMESPACE]),
                                    .selector = text_or_empty(values[PLAN_SELECTOR]) };
    enum firewall_target target = FIREWALL_NFTABLES;
    struct network_planned planned = { 0 };
    struct err err = { 0 };
    int r = read_target(values[PLAN_TARGET], &target, &err);
    if (r == 0)
        r = network_read_user(values[PLAN_USER], &scope.uid, &err);
    if (r == 0)
        r = network_planned_open(invocation, &scope, target, &planned, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    struct network_text text = { firewall_target_names[target], firewall_target_format(target),
                                 buf_str(&planned.text), firewall_plan_notes(planned.plan) };
    r = network_tell_plan(&text, values[PLAN_JSON], &err);
    network_planned_close(&planned);
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
    {
        .name = "apply",
        .operands = "PROFILE...",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = NETWORK_DOCUMENTS_MAX,
        .summary = "Load a profile's rules into nftables here",
        .description =
            "Renders the profiles as `plan --target nftables` does and loads the text as one "
            "transaction into the table of the first one, in place of what is in it. Other tables "
            "stay as they are. A receipt, signed with the user's key, is in the ledger before the "
            "kernel is asked and says afterwards what became of it. Bindings whose mode is observe "
            "or import-only are not applied.",
        .options = network_apply_options,
        .option_count = NETWORK_APPLY_OPTION_COUNT,
        .run = run_network_apply,
    },
    {
        .name = "status",
        .operands = "[PROFILE|TABLE]",
        .operand_kind = OPERAND_FILE,
        .operands_max = 1,
        .summary = "Compare the kernel's tables with their receipts",
        .description =
            "For each table that has a receipt, or for one: in-force (the kernel has it as it was "
            "applied), changed, absent, removed, unfinished (applying was interrupted or failed), "
            "or unrecorded (the kernel has it and no receipt tells of it). The exit status is 0 "
            "where all are in force or removed, else 1.",
        .options = network_status_options,
        .option_count = NETWORK_STATUS_OPTION_COUNT,
        .run = run_network_status,
    },
    {
        .name = "remove",
        .operands = "PROFILE|TABLE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Take a table of a profile out of nftables here",
        .description = "Removes the whole table and leaves all others as they are. A receipt says "
                       "what was removed.",
        .options = network_status_options,
        .option_count = NETWORK_STATUS_OPTION_COUNT,
        .run = run_network_remove,
    },
};
