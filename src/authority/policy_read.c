/*
 * policy_read: from documents to rules.
 *
 * Theory of operation. Each document becomes rules of one unit: that of its
 * layer; or, in the enterprise's layer, one of its own, because every document
 * of the enterprise is asked and none lifts the denial of another. An entry of
 * a NetworkAccessProfile whose class puts it into a lower layer becomes rules
 * of that layer's unit, and no longer counts when it is asked whether an entry
 * of the document answers. What answers for all that is not listed is the
 * unit's default; of several the strictest.
 *
 * A rule that denies or asks and cannot be understood is an error, so that it
 * is never left out in silence; one that allows and cannot be understood may
 * be a service that only its firewall knows, and allows nothing here.
 */
#include "authority/policy.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "contract/uri.h"

#define GROUP_MODEL_PROVIDERS "external-model-provider"
#define SUBJECT_SANDBOX       "sandbox"
#define PORT_HTTP             80
#define PORT_HTTPS            443

/* What is being read. */
struct source {
    struct policy_builder *builder;
    const char *name;
    const yyjson_val *root;
    enum layer layer;
    uint32_t document, unit;
};

static enum order order_of(enum answer answer, bool log_only)
{
    if (answer == ANSWER_DENY)
        return ORDER_DENY;
    if (answer == ANSWER_ASK)
        return ORDER_ASK;
    return log_only ? ORDER_LOG_ONLY : ORDER_ALLOW;
}

static struct compiled_rule rule_of(const struct source *source, enum place place,
                                    enum answer answer)
{
    return (struct compiled_rule){ .place = place,
                                   .answer = (uint8_t)answer,
                                   .order = order_of(answer, false),
                                   .unit = source->unit,
                                   .document = source->document };
}

static int not_understood(const struct source *source, const struct compiled_rule *rule,
                          struct str text, struct err *err)
{
    char pointer[VERDICT_POINTER_SIZE];
    policy_pointer(rule, pointer);
    err_set(err, ERR_DOCUMENT, "compile a policy",
            "`%.*s` is no host name, address or range that can be decided about", STR_ARG(text));
    err_where(err, "%s: %s", source->name, pointer);
    return -EBADMSG;
}

/* Adds a rule for each string of a list; `*` is a rule only where there is no default to restate.
 */
static int read_list(const struct source *source, const yyjson_val *list, struct compiled_rule rule,
                     bool with_star, struct err *err)
{
    yyjson_arr_iter iterator;
    int r = 0;
    yyjson_arr_iter_init((yyjson_val *)list, &iterator);
    for (const yyjson_val *item; r >= 0 && (item = yyjson_arr_iter_next(&iterator));
         rule.sub_index++) {
        struct str text = text_of(item);
        if (!with_star && str_equal(text, STR("*")))
            continue;
        r = builder_add_rule(source->builder, rule, text, err);
        if (r == 0)
            r = not_understood(source, &rule, text, err);
    }
    return r < 0 ? r : 0;
}

/* --- NetworkAccessProfile ------------------------------------------------------------------- */

static bool answers_for_all(const yyjson_val *entry)
{
    const yyjson_val *class = member(entry, "profileClass");
    return text_is(class, "user-firewall") || text_is(class, "corporate-firewall") ||
           text_is(class, "offline");
}

static enum layer layer_of_entry(const struct source *source, const yyjson_val *entry)
{
    bool is_user = text_is(member(entry, "profileClass"), "user-firewall");
    return is_user && source->layer < LAYER_USER ? LAYER_USER : source->layer;
}

static enum answer answer_of_default(const yyjson_val *entry)
{
    const yyjson_val *egress = member(entry, "defaultEgress");
    return text_is(egress, "allow-any")           ? ANSWER_ALLOW
           : text_is(egress, "allow-with-prompt") ? ANSWER_ASK
                                                  : ANSWER_DENY;
}

static int read_entry(const struct source *source, const yyjson_val *entry, uint32_t index,
                      struct err *err)
{
    static const struct {
        const char *name;
        enum place place;
        enum answer answer;
    } lists[] = {
        { "allowDomains", PLACE_ALLOW_DOMAINS, ANSWER_ALLOW },
        { "denyDomains", PLACE_DENY_DOMAINS, ANSWER_DENY },
        { "allowCidrs", PLACE_ALLOW_CIDRS, ANSWER_ALLOW },
        { "denyCidrs", PLACE_DENY_CIDRS, ANSWER_DENY },
    };
    enum layer layer = layer_of_entry(source, entry);
    uint32_t unit = layer == source->layer ? source->unit : (uint32_t)layer;
    struct str id = text_of(member(entry, "profileId"));
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++) {
        struct compiled_rule rule = rule_of(source, lists[i].place, lists[i].answer);
        rule.unit = unit;
        rule.index = index;
        rule.id = id;
        r = read_list(source, member(entry, lists[i].name), rule, false, err);
    }
    if (r == 0 && answers_for_all(entry)) {
        struct compiled_rule rule = rule_of(source, PLACE_DEFAULT_EGRESS, answer_of_default(entry));
        rule.unit = unit;
        rule.index = index;
        rule.id = id;
        builder_set_default(source->builder, &rule);
    }
    return r;
}

static int read_network(const struct source *source, struct err *err)
{
    const yyjson_val *decision = member(source->root, "defaultDecision");
    yyjson_arr_iter iterator;
    bool has_default = false;
    uint32_t index = 0;
    int r = 0;
    yyjson_arr_iter_init(member(source->root, "profiles"), &iterator);
    for (const yyjson_val *entry; r == 0 && (entry = yyjson_arr_iter_next(&iterator)); index++) {
        r = read_entry(source, entry, index, err);
        has_default = has_default ||
                      (answers_for_all(entry) && layer_of_entry(source, entry) == source->layer);
    }
    if (r == 0 && !has_default && !text_is(decision, "allow-with-policy")) {
        enum answer answer = text_is(decision, "ask") ? ANSWER_ASK : ANSWER_DENY;
        struct compiled_rule rule = rule_of(source, PLACE_DEFAULT_DECISION, answer);
        rule.id = STR("defaultDecision");
        builder_set_default(source->builder, &rule);
    }
    return r;
}

/* --- ports and protocols -------------------------------------------------------------------- */

static int read_ports(const struct source *source, const yyjson_val *ports,
                      struct compiled_rule *rule, struct err *err)
{
    yyjson_arr_iter iterator;
    int r = 0;
    yyjson_arr_iter_init((yyjson_val *)ports, &iterator);
    for (const yyjson_val *port; r == 0 && (port = yyjson_arr_iter_next(&iterator));)
        r = builder_add_port(source->builder, rule, (uint16_t)count_of(port), err);
    return r;
}

static void read_protocols(const yyjson_val *protocols, struct compiled_rule *rule)
{
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init((yyjson_val *)protocols, &iterator);
    for (const yyjson_val *word; (word = yyjson_arr_iter_next(&iterator));) {
        int protocol = vocabulary_index(protocol_names, PROTOCOL_COUNT, text_of(word));
        if (protocol >= 0)
            rule->protocols |= (uint8_t)PROTOCOL_BIT(protocol);
    }
}

/* --- FirewallBindingProfile ----------------------------------------------------------------- */

/* Whether a rule is about this run; one that cannot be told counts unless it allows. */
static bool is_about_run(const struct source *source, struct str subject, enum answer answer)
{
    const struct policy_builder *builder = source->builder;
    if (str_equal(subject, STR("*")) || str_equal(subject, STR(SUBJECT_SANDBOX)))
        return true;
    for (size_t i = 0; i < builder->subject_count; i++) {
        if (str_equal(subject, builder->subjects[i]))
            return true;
    }
    if (str_starts(subject, STR("urn:")) && builder->subject_count)
        return false;
    return answer != ANSWER_ALLOW;
}

static int read_firewall_rule(const struct source *source, const yyjson_val *row, uint32_t index,
                              struct err *err)
{
    const yyjson_val *decision = member(row, "decision");
    bool log_only = text_is(decision, "log-only");
    enum answer answer = text_is(decision, "deny")  ? ANSWER_DENY
                         : text_is(decision, "ask") ? ANSWER_ASK
                                                    : ANSWER_ALLOW;
    struct compiled_rule rule = rule_of(source, PLACE_FIREWALL_RULE, answer);
    struct str subject = text_of(member(row, "subject"));
    struct str destination = text_of(member(row, "destination"));
    if (text_is(member(row, "direction"), "ingress") || !is_about_run(source, subject, answer))
        return 0;
    rule.id = text_of(member(row, "ruleId"));
    rule.reason = text_of(member(row, "reason"));
    rule.index = index;
    rule.log_only = log_only;
    rule.order = order_of(answer, log_only);
    rule.asker = str_equal(subject, STR(SUBJECT_SANDBOX)) ? ASKER_SANDBOX : ASKER_ANY;
    read_protocols(member(row, "protocols"), &rule);
    int r = read_ports(source, member(row, "ports"), &rule, err);
    if (r < 0)
        return r;
    if (str_equal(destination, STR(GROUP_MODEL_PROVIDERS)))
        return builder_add_group(source->builder, &rule, err);
    r = builder_add_rule(source->builder, rule, destination, err);
    if (r == 0 && answer != ANSWER_ALLOW)
        r = not_understood(source, &rule, destination, err);
    return r < 0 ? r : 0;
}

static int read_firewall(struct source *source, struct err *err)
{
    struct policy_builder *builder = source->builder;
    const yyjson_val *mode = member(source->root, "mode");
    const yyjson_val *policy = member(source->root, "conflictPolicy");
    bool enforce = text_is(mode, "enforce");
    yyjson_arr_iter iterator;
    uint32_t index = 0;
    int r = 0;
    if (!enforce && !text_is(mode, "observe"))
        return 0;
    if (!enforce)
        r = builder_add_unit(builder, source->layer, UNIT_OBSERVING, &source->unit, err);
    int conflict = vocabulary_index(conflict_names, CONFLICT_COUNT, text_of(policy));
    if (enforce && conflict >= 0 && (enum conflict)conflict < builder->conflicts[source->layer])
        builder->conflicts[source->layer] = (enum conflict)conflict;
    yyjson_arr_iter_init(member(source->root, "rules"), &iterator);
    for (const yyjson_val *row; r == 0 && (row = yyjson_arr_iter_next(&iterator)); index++)
        r = read_firewall_rule(source, row, index, err);
    return r;
}

/* --- MeshBindingProfile, AgentToolSurface --------------------------------------------------- */

/* A mesh answers for what it lists; what it lists while nothing leaves it is denied. */
static int read_mesh(const struct source *source, struct err *err)
{
    const yyjson_val *traffic = member(source->root, "traffic");
    bool closed = text_is(member(traffic, "egressMode"), "deny");
    struct compiled_rule allowed = rule_of(source, closed ? PLACE_MESH_MODE : PLACE_MESH_ALLOWED,
                                           closed ? ANSWER_DENY : ANSWER_ALLOW);
    struct compiled_rule denied = rule_of(source, PLACE_MESH_DENIED, ANSWER_DENY);
    allowed.id = closed ? STR("egressMode") : STR("allowedHosts");
    denied.id = STR("deniedHosts");
    int r = read_list(source, member(traffic, "allowedHosts"), allowed, true, err);
    if (r == 0)
        r = read_list(source, member(traffic, "deniedHosts"), denied, true, err);
    return r;
}

static int read_surface(const struct source *source, struct err *err)
{
    yyjson_arr_iter iterator;
    uint32_t index = 0;
    int r = 0;
    yyjson_arr_iter_init(member(source->root, "hosts"), &iterator);
    for (const yyjson_val *row; r >= 0 && (row = yyjson_arr_iter_next(&iterator)); index++) {
        struct compiled_rule rule = rule_of(source, PLACE_SURFACE_HOST, ANSWER_ALLOW);
        rule.id = text_of(member(source->root, "name"));
        rule.reason = text_of(member(row, "reason"));
        rule.index = index;
        read_protocols(member(row, "protocols"), &rule);
        if (!rule.protocols)
            rule.protocols = PROTOCOL_BIT(PROTOCOL_HTTPS);
        r = read_ports(source, member(row, "ports"), &rule, err);
        if (r == 0 && !rule.port_count)
            r = builder_add_port(source->builder, &rule, PORT_HTTPS, err);
        struct str host = text_of(member(row, "host"));
        if (r == 0)
            r = builder_add_rule(source->builder, rule, host, err);
        if (r == 0)
            r = not_understood(source, &rule, host, err);
    }
    return r < 0 ? r : 0;
}

/* --- ExternalModelProviderProfile ----------------------------------------------------------- */

bool destination_split_port(struct str text, struct str *ret_host, uint16_t *ret_port)
{
    size_t colon = str_index(text, ':', 0);
    struct str host = text;
    uint32_t port = 0;
    if (str_starts(text, STR("["))) {
        size_t end = str_index(text, ']', 0);
        if (end == text.len || (end + 1 < text.len && text.ptr[end + 1] != ':'))
            return false;
        host = str_make(text.ptr + 1, end - 1);
        colon = end + 1;
    } else if (str_index(text, ':', colon + 1) < text.len) {
        colon = text.len; /* IPv6 without brackets, and so without a port */
    } else {
        host.len = colon;
    }
    struct str digits = str_from_offset(text, colon + 1);
    if (colon < text.len && (!digits.len || digits.len > 5))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(digits.ptr[i] - '0');
    }
    if (!host.len || port > UINT16_MAX || (digits.len && !port))
        return false;
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return true;
}

/* A provider on this machine answers for its own address; prompts to it do not leave. */
static int read_loopback(const struct source *source, const struct endpoint *endpoint,
                         struct err *err)
{
    static const char *const addresses[] = { "127.0.0.1", "::1" };
    struct compiled_rule rule = rule_of(source, PLACE_PROVIDER, ANSWER_ALLOW);
    struct address_range range;
    bool is_name = !address_range_read(endpoint->host, &range);
    rule.id = text_of(member(source->root, "name"));
    rule.asker = ASKER_DOOR;
    int r = builder_add_port(source->builder, &rule, endpoint->port, err);
    if (r == 0)
        r = builder_add_rule(source->builder, rule, endpoint->host, err);
    for (size_t i = 0; r >= 0 && is_name && i < ARRAY_LEN(addresses); i++)
        r = builder_add_rule(source->builder, rule, str_from(addresses[i]), err);
    return r < 0 ? r : 0;
}

/* What its profile says at the gate: prompts for a hosted one do not leave unless it lets them. */
static int add_provider(const struct source *source, const struct endpoint *endpoint,
                        struct err *err)
{
    const yyjson_val *egress = at(source->root, "/policy/promptEgressDefault");
    struct policy_provider provider = { .id = text_of(member(source->root, "id")),
                                        .host = endpoint->host,
                                        .port = endpoint->port };
    bool stays = !text_is(egress, "allow-with-policy") && !text_is(egress, "allow");
    bool is_hosted = endpoint->port && !endpoint->loopback;
    provider.rule =
        rule_of(source, PLACE_PROMPT_EGRESS, stays && is_hosted ? ANSWER_DENY : ANSWER_NOTHING);
    provider.rule.id = STR("promptEgressDefault");
    return builder_add_provider(source->builder, &provider, err);
}

static int read_provider(const struct source *source, struct err *err)
{
    struct str url = text_of(at(source->root, "/endpoint/baseUrlRef"));
    const yyjson_val *egress = at(source->root, "/policy/promptEgressDefault");
    bool is_https = str_starts(url, STR("https://"));
    struct endpoint endpoint = { .document = source->document };
    if (!is_https && !str_starts(url, STR("http://")))
        return add_provider(source, &endpoint,
                            err); /* a reference, which the Model Door resolves */
    struct compiled_rule rule = rule_of(source, PLACE_PROVIDER, ANSWER_DENY);
    int r = url_is_loopback(url, err);
    if (r < 0)
        return r;
    endpoint.loopback = r;
    if (!destination_split_port(uri_split(url).authority, &endpoint.host, &endpoint.port))
        return not_understood(source, &rule, url, err);
    if (!endpoint.port)
        endpoint.port = is_https ? PORT_HTTPS : PORT_HTTP;
    r = builder_add_endpoint(source->builder, &endpoint, err);
    if (r == 0)
        r = add_provider(source, &endpoint, err);
    if (r == 0 && endpoint.loopback)
        return read_loopback(source, &endpoint, err);
    if (r < 0 || text_is(egress, "allow-with-policy") || text_is(egress, "allow"))
        return r;
    rule.id = STR("promptEgressDefault");
    rule.asker = ASKER_DOOR;
    r = builder_add_rule(source->builder, rule, endpoint.host, err);
    return r == 0 ? not_understood(source, &rule, url, err) : r < 0 ? r : 0;
}

/* --- AgentMachineProfile -------------------------------------------------------------------- */

static int read_profile(const struct source *source, struct err *err)
{
    static const struct {
        enum place place;
        struct str reason;
    } rows[GATE_COUNT] = {
        [GATE_TOOL_GRANT] = { PLACE_PROFILE_TOOLS, STR("the profile does not list the tool") },
        [GATE_MODEL_PROVIDER_USE] = { PLACE_PROFILE_MODELS,
                                      STR("the profile does not list the provider") },
        [GATE_NETWORK_PROFILE] = { PLACE_PROFILE_NETWORK,
                                   STR("the profile names another, or none") },
        [GATE_CONTAINER_EXECUTION] = { PLACE_PROFILE_IMAGE,
                                       STR("the image is named without a digest") },
        [GATE_ARTIFACT_ACCESS] = { PLACE_PROFILE_PATHS, STR("the profile does not list the path") },
    };
    struct policy_profile profile = { .id = text_of(member(source->root, "id")),
                                      .root = source->root };
    for (int gate = 0; gate < GATE_COUNT; gate++) {
        profile.rules[gate] = rule_of(source, rows[gate].place, ANSWER_DENY);
        profile.rules[gate].id = text_of(member(source->root, "name"));
        profile.rules[gate].reason = rows[gate].reason;
    }
    return builder_add_profile(source->builder, &profile, err);
}

/* --- documents ------------------------------------------------------------------------------ */

enum kind {
    KIND_NETWORK,
    KIND_FIREWALL,
    KIND_MESH,
    KIND_SURFACE,
    KIND_PROVIDER,
    KIND_PROFILE,
    KIND_COUNT
};
static const char *const kind_names[KIND_COUNT] = {
    [KIND_NETWORK] = "NetworkAccessProfile",
    [KIND_FIREWALL] = "FirewallBindingProfile",
    [KIND_MESH] = "MeshBindingProfile",
    [KIND_SURFACE] = "AgentToolSurface",
    [KIND_PROVIDER] = "ExternalModelProviderProfile",
    [KIND_PROFILE] = "AgentMachineProfile",
};

bool policy_takes(struct str type)
{
    return vocabulary_index(kind_names, KIND_COUNT, type) >= 0;
}

static int read_kind(struct source *source, enum kind kind, struct err *err)
{
    switch (kind) {
    case KIND_NETWORK:
        return read_network(source, err);
    case KIND_FIREWALL:
        return read_firewall(source, err);
    case KIND_MESH:
        return read_mesh(source, err);
    case KIND_SURFACE:
        return read_surface(source, err);
    case KIND_PROVIDER:
        return read_provider(source, err);
    case KIND_PROFILE:
        return read_profile(source, err);
    case KIND_COUNT:
        break;
    }
    return -EINVAL;
}

/* The document's name in the policy's own memory; its digest; and its place in the list. */
static int add_source(struct source *source, struct str id, struct err *err)
{
    struct policy_document document = { .root = source->root, .layer = source->layer, .id = id };
    document.name = arena_copy(&source->builder->policy->arena, str_from(source->name));
    if (!document.name)
        return err_set(err, ERR_MEMORY, "compile a policy", "%s", source->name);
    source->name = document.name;
    int r = jcs_digest(source->root, document.digest, err);
    return r < 0 ? r : builder_add_document(source->builder, &document, &source->document, err);
}

int policy_add_references(struct policy_builder *builder, enum layer layer, const char *name,
                          const yyjson_val *root, struct err *err)
{
    struct source source = { builder, name, root, layer, 0, (uint32_t)layer };
    return add_source(&source, STR(""), err);
}

int policy_add(struct policy_builder *builder, enum layer layer, const char *name,
               const yyjson_val *root, struct err *err)
{
    struct str type = text_of(member(root, "type"));
    int kind = vocabulary_index(kind_names, KIND_COUNT, type);
    if (kind < 0)
        return err_set(err, ERR_DOCUMENT, "compile a policy",
                       "%s: a document of type `%.*s` says nothing that a policy is made of", name,
                       STR_ARG(type));
    if (kind == KIND_SURFACE)
        layer = LAYER_AGENT;
    if (kind == KIND_PROVIDER)
        layer = LAYER_MODEL_PROVIDER;
    struct source source = { builder, name, root, layer, 0, (uint32_t)layer };
    int r = add_source(&source, text_of(member(root, "id")), err);
    if (r == 0 && layer == LAYER_ENTERPRISE)
        r = builder_add_unit(builder, layer, UNIT_IN_FORCE, &source.unit, err);
    if (r == 0)
        r = read_kind(&source, (enum kind)kind, err);
    return r;
}
