/*
 * firewall_read: from documents to a plan's rules.
 *
 * Theory of operation. What authority/policy_read.c does for verdicts is done
 * here for a firewall that stands outside: there are no layers, because a plan
 * is asked for by whoever keeps that firewall, and so every document is a unit
 * of its own. Within a unit the most specific rule decides; across units a
 * denial beats a question, and a question an allow. That is never looser than
 * what the layers say about the same documents. The entries of a network
 * profile that speak for the user are a unit beside the rest of it.
 *
 * Invariants. A rule that denies or asks and cannot be understood is an error;
 * one that allows is left out, with a note. Names are kept as names are
 * compared, so that no byte of a document but an id ever reaches a text.
 */
#include "contract/model_hosts.h"
#include "contract/rules.h"
#include "doors/network/firewall_rule.h"

#define STEP                  "plan a firewall"
#define GROUP_MODEL_PROVIDERS "external-model-provider"
#define SUBJECT_SANDBOX       "sandbox"

/* What is being read. */
struct source {
    struct firewall_plan *plan;
    const yyjson_val *root;
    struct str id;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

/* --- one rule ------------------------------------------------------------------------------ */

static int keep(struct firewall_plan *plan, const struct firewall_rule *rule, struct err *err)
{
    if (plan->rule_count == FIREWALL_RULES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "a plan has at most %d rules", FIREWALL_RULES_MAX);
    if (plan->rule_count == plan->rule_capacity) {
        size_t larger = plan->rule_capacity ? plan->rule_capacity * 2 : 64;
        struct firewall_rule *rules = realloc(plan->rules, larger * sizeof(*rules));
        if (!rules)
            return no_memory(err);
        plan->rules = rules;
        plan->rule_capacity = larger;
    }
    plan->rules[plan->rule_count] = *rule;
    plan->rules[plan->rule_count].place = (uint32_t)plan->rule_count;
    plan->rule_count++;
    return 0;
}

static int not_understood(const struct source *source, const struct firewall_rule *rule,
                          struct str text, struct err *err)
{
    if (rule->answer == ANSWER_ALLOW) {
        firewall_note(source->plan, FIREWALL_LEFT_OUT, rule,
                      "its destination is no host name, address or range");
        return 0;
    }
    err_set(err, ERR_DOCUMENT, STEP,
            "rule %.*s: `%.*s` is no host name, address or range that can be planned for",
            STR_ARG(rule->id), STR_ARG(text));
    err_where(err, "%.*s", STR_ARG(source->id));
    return -EBADMSG;
}

/* The range that a destination's path leads to. */
static struct address_range range_of(struct str path)
{
    struct address_range range = { .is_ipv6 = path.ptr[1] == '6',
                                   .prefix_bits = (unsigned)path.len - 2 };
    for (unsigned i = 0; i < range.prefix_bits; i++) {
        if (path.ptr[2 + i] == '1')
            range.address[i / 8] |= (unsigned char)(0x80 >> i % 8);
    }
    return range;
}

/* 1; 0 where the text is no destination. What is kept lies in the plan's arena. */
static int read_destination(struct firewall_plan *plan, struct str text, struct firewall_rule *rule,
                            struct err *err)
{
    char path[DESTINATION_PATH_SIZE];
    struct host_name name;
    int r = destination_read(text, path, &rule->destination, err);
    if (r <= 0)
        return r;
    const char *kept = arena_copy(&plan->arena, rule->destination.path);
    if (!kept)
        return no_memory(err);
    rule->destination.path.ptr = kept;
    rule->space = !rule->destination.path.len ? FIREWALL_ALL
                  : kept[0] == '/'            ? FIREWALL_RANGE
                                              : FIREWALL_NAME;
    if (rule->space == FIREWALL_RANGE)
        rule->range = range_of(rule->destination.path);
    if (rule->space != FIREWALL_NAME)
        return 1;
    (void)destination_form_take(&text);
    r = host_name_read(text, &name, err);
    if (r <= 0)
        return r;
    const char *copy = arena_copy(&plan->arena, str_from(name.text));
    if (!copy)
        return no_memory(err);
    rule->name = str_from(copy);
    return 1;
}

static int add(const struct source *source, struct firewall_rule rule, struct str text,
               struct err *err)
{
    int r = read_destination(source->plan, text, &rule, err);
    return r < 0    ? r
           : r == 0 ? not_understood(source, &rule, text, err)
                    : keep(source->plan, &rule, err);
}

/* A rule about all model hosts becomes one for each row of the table. */
static int add_model_hosts(const struct source *source, struct firewall_rule rule, struct err *err)
{
    int r = 0;
    rule.model_host = true;
    for (size_t i = 0; r == 0 && i < model_hosts_count; i++) {
        struct str pattern = str_from(model_hosts[i].pattern);
        size_t star = str_index(pattern, '*', 0);
        bool is_glob = star < pattern.len && !str_starts(pattern, STR("*."));
        struct firewall_rule row = rule;
        if (!is_glob) {
            r = add(source, row, pattern, err);
            continue;
        }
        size_t dot = str_index(pattern, '.', star);
        r = read_destination(source->plan, str_from_offset(pattern, dot), &row, err);
        row.space = FIREWALL_GLOB;
        row.destination.form = DESTINATION_BELOW;
        row.name = pattern;
        if (r == 1)
            r = keep(source->plan, &row, err);
    }
    return r;
}

/* --- FirewallBindingProfile ---------------------------------------------------------------- */

static int compare_ports(const void *a, const void *b)
{
    const uint16_t *left = a, *right = b;
    return (int)*left - (int)*right;
}

static int read_ports(struct firewall_plan *plan, const yyjson_val *list,
                      struct firewall_rule *rule, struct err *err)
{
    size_t index, count = yyjson_arr_size((yyjson_val *)list);
    yyjson_val *port;
    uint16_t *ports = count ? arena_array(&plan->arena, uint16_t, count) : NULL;
    if (!count)
        return 0;
    if (!ports)
        return no_memory(err);
    yyjson_arr_foreach((yyjson_val *)list, index, count, port)
    {
        ports[index] = (uint16_t)count_of(port);
    }
    qsort(ports, count, sizeof(*ports), compare_ports);
    rule->ports = ports;
    rule->port_count = count;
    return 0;
}

static unsigned read_protocols(const yyjson_val *list)
{
    size_t index, count;
    yyjson_val *word;
    unsigned bits = 0;
    if (!list)
        return 0;
    yyjson_arr_foreach((yyjson_val *)list, index, count, word)
    {
        int protocol = vocabulary_index(protocol_names, PROTOCOL_COUNT, text_of(word));
        bits |= protocol >= 0 ? PROTOCOL_BIT(protocol) : 0;
    }
    return bits;
}

static enum firewall_subject who_is(const struct firewall_plan *plan, struct str subject)
{
    if (str_equal(subject, STR("*")) ||
        (plan->scope.subject.len && str_equal(subject, plan->scope.subject)))
        return FIREWALL_ANYONE;
    if (str_equal(subject, STR(SUBJECT_SANDBOX)))
        return FIREWALL_SANDBOX;
    return str_starts(subject, STR("/")) ? FIREWALL_PROGRAM : FIREWALL_OTHER;
}

static int read_row(const struct source *source, const yyjson_val *row, uint32_t unit,
                    struct err *err)
{
    struct firewall_plan *plan = source->plan;
    const yyjson_val *decision = member(row, "decision"), *direction = member(row, "direction");
    struct str destination = text_of(member(row, "destination"));
    struct firewall_rule rule = {
        .id = text_of(member(row, "ruleId")),
        .document = source->id,
        .subject = text_of(member(row, "subject")),
        .unit = unit,
        .answer = text_is(decision, "deny")  ? ANSWER_DENY
                  : text_is(decision, "ask") ? ANSWER_ASK
                                             : ANSWER_ALLOW,
        .log_only = text_is(decision, "log-only"),
        .egress = !text_is(direction, "ingress"),
        .ingress = !text_is(direction, "egress"),
        .protocols = read_protocols(member(row, "protocols")),
    };
    rule.who = who_is(plan, rule.subject);
    /* A run of another subject is not what the plan is about. */
    if (rule.who == FIREWALL_OTHER && plan->scope.subject.len &&
        str_starts(rule.subject, STR("urn:")))
        return 0;
    int r = read_ports(plan, member(row, "ports"), &rule, err);
    if (r < 0)
        return r;
    return str_equal(destination, STR(GROUP_MODEL_PROVIDERS)) ? add_model_hosts(source, rule, err)
                                                              : add(source, rule, destination, err);
}

static int read_firewall(const struct source *source, struct err *err)
{
    const yyjson_val *rules = member(source->root, "rules");
    uint32_t unit = source->plan->unit_count++;
    size_t index, count;
    yyjson_val *row;
    int r = 0;
    yyjson_arr_foreach((yyjson_val *)rules, index, count, row)
    {
        r = read_row(source, row, unit, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- NetworkAccessProfile ------------------------------------------------------------------ */

static int read_list(const struct source *source, const struct firewall_rule *model,
                     const yyjson_val *list, enum answer answer, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    if (!list)
        return 0;
    yyjson_arr_foreach((yyjson_val *)list, index, count, item)
    {
        struct firewall_rule rule = *model;
        rule.answer = answer;
        if (str_equal(text_of(item), STR("*"))) /* restates the default */
            continue;
        int r = add(source, rule, text_of(item), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The proxy through which an entry's destinations are reached is what has to be allowed outside. */
static int read_proxy(const struct source *source, const struct firewall_rule *model,
                      struct str reference, struct err *err)
{
    const struct reference_proxy *proxy =
        references_proxy(source->plan->scope.references, reference);
    struct firewall_rule rule = *model;
    if (!reference.len || (proxy && proxy->kind == PROXY_DIRECT))
        return 0;
    if (!proxy) {
        firewall_note(source->plan, FIREWALL_LEFT_OUT, model,
                      "its hosts are reached through a proxy, which would have to be allowed; no "
                      "layer's references say where it is");
        return 0;
    }
    uint16_t *port = arena_new(&source->plan->arena, uint16_t);
    if (!port)
        return no_memory(err);
    *port = proxy->port;
    rule.answer = ANSWER_ALLOW;
    rule.is_way = true;
    rule.protocols = PROTOCOL_BIT(PROTOCOL_TCP);
    rule.ports = port;
    rule.port_count = 1;
    return add(source, rule, str_from(proxy->host), err);
}

static void note_providers(const struct source *source, const struct firewall_rule *model,
                           const yyjson_val *providers)
{
    size_t index, count;
    yyjson_val *provider;
    if (!providers)
        return;
    yyjson_arr_foreach((yyjson_val *)providers, index, count, provider)
    {
        if (str_starts(text_of(provider), STR("urn:srcos:external-model-provider-profile:"))) {
            firewall_note(source->plan, FIREWALL_LEFT_OUT, model,
                          "the Model Door goes to its model providers, whose hosts stand in other "
                          "documents");
            return;
        }
    }
}

static enum answer answer_of_default(const yyjson_val *entry)
{
    const yyjson_val *egress = member(entry, "defaultEgress");
    return text_is(egress, "allow-any")           ? ANSWER_ALLOW
           : text_is(egress, "allow-with-prompt") ? ANSWER_ASK
                                                  : ANSWER_DENY;
}

static int read_entry(const struct source *source, const yyjson_val *entry, uint32_t unit,
                      struct firewall_rule *ret_default, struct err *err)
{
    const yyjson_val *class = member(entry, "profileClass");
    struct firewall_rule model = { .id = text_of(member(entry, "profileId")),
                                   .document = source->id,
                                   .subject = STR("*"),
                                   .unit = unit,
                                   .egress = true };
    note_providers(source, &model, member(entry, "modelProviderRefs"));
    int r = read_proxy(source, &model, text_of(member(entry, "proxyRef")), err);
    if (r == 0)
        r = read_list(source, &model, member(entry, "allowDomains"), ANSWER_ALLOW, err);
    if (r == 0)
        r = read_list(source, &model, member(entry, "denyDomains"), ANSWER_DENY, err);
    if (r == 0)
        r = read_list(source, &model, member(entry, "allowCidrs"), ANSWER_ALLOW, err);
    if (r == 0)
        r = read_list(source, &model, member(entry, "denyCidrs"), ANSWER_DENY, err);
    bool answers_for_all = text_is(class, "user-firewall") ||
                           text_is(class, "corporate-firewall") || text_is(class, "offline");
    enum answer answer = answer_of_default(entry);
    if (answers_for_all && answer > ret_default->answer) { /* of several the strictest */
        *ret_default = model;
        ret_default->answer = answer;
    }
    return r;
}

static int keep_default(const struct source *source, struct firewall_rule rule, struct err *err)
{
    if (rule.answer == ANSWER_NOTHING)
        return 0;
    rule.is_default = true;
    source->plan->unit_has_default[rule.unit] = true;
    return add(source, rule, STR("*"), err);
}

static int read_network(const struct source *source, struct err *err)
{
    const yyjson_val *decision = member(source->root, "defaultDecision");
    bool is_users = text_is(member(source->root, "scope"), "user");
    uint32_t own = source->plan->unit_count++, user = is_users ? own : source->plan->unit_count++;
    struct firewall_rule own_default = { 0 }, user_default = { 0 };
    size_t index, count;
    yyjson_val *entry;
    int r = 0;
    source->plan->closed = true;
    yyjson_arr_foreach(member(source->root, "profiles"), index, count, entry)
    {
        bool is_user = !is_users && text_is(member(entry, "profileClass"), "user-firewall");
        r = read_entry(source, entry, is_user ? user : own, is_user ? &user_default : &own_default,
                       err);
        if (r < 0)
            return r;
    }
    if (own_default.answer == ANSWER_NOTHING && !text_is(decision, "allow-with-policy"))
        own_default = (struct firewall_rule){
            .id = STR("defaultDecision"),
            .document = source->id,
            .subject = STR("*"),
            .unit = own,
            .egress = true,
            .answer = text_is(decision, "ask") ? ANSWER_ASK : ANSWER_DENY,
        };
    r = keep_default(source, own_default, err);
    return r < 0 ? r : keep_default(source, user_default, err);
}

/* --- what others call ---------------------------------------------------------------------- */

int firewall_read_document(struct firewall_plan *plan, const yyjson_val *root, struct err *err)
{
    struct source source = { plan, root, text_of(member(root, "id")) };
    const yyjson_val *type = member(root, "type");
    if (text_is(type, "FirewallBindingProfile"))
        return read_firewall(&source, err);
    if (text_is(type, "NetworkAccessProfile"))
        return read_network(&source, err);
    return err_set(err, ERR_DOCUMENT, STEP,
                   "a plan is made of FirewallBindingProfile and NetworkAccessProfile, not of %.*s",
                   STR_ARG(text_of(type)));
}
