/*
 * policy: the builder, and how rules are put in the order in which they are read.
 *
 * Theory of operation. policy_read.c hands over one rule after the other; each
 * gets its node in a trie at once. Building then adds what needs all documents
 * to be known (the defaults of units, the hosts of model providers, and the
 * rules about them), and sorts all rules by node, within a node by how they
 * apply and which of them decides. A decision reads the nodes of a path from
 * the most specific, and in each the first rule that applies.
 *
 * The order of adding leaves no trace: documents are ranked by layer, name and
 * digest, and every comparison ends in that rank.
 *
 * Limits: POLICY_DOCUMENTS_MAX, POLICY_RULES_MAX (ports are counted apart,
 * PORTS_MAX). A decision costs as much more as a node has rules: those of one
 * destination that differ in ports alone, and one for each document of the
 * enterprise that has a default.
 */
#include "authority/policy.h"
#include "base/json.h"
#include "contract/model_hosts.h"

#define PORTS_MAX       ((size_t)16 << 20)
#define BUILT_IN_MODELS "built-in.model-hosts"

const char *const answer_names[ANSWER_COUNT] = {
    [ANSWER_NOTHING] = "-",
    [ANSWER_ALLOW] = "allow",
    [ANSWER_ASK] = "ask",
    [ANSWER_DENY] = "deny",
};
const char *const protocol_names[PROTOCOL_COUNT] = {
    [PROTOCOL_TCP] = "tcp",     [PROTOCOL_UDP] = "udp",     [PROTOCOL_ICMP] = "icmp",
    [PROTOCOL_HTTP] = "http",   [PROTOCOL_HTTPS] = "https", [PROTOCOL_GRPC] = "grpc",
    [PROTOCOL_OTHER] = "other",
};
#define X(conflict, name) [conflict] = name,
const char *const conflict_names[CONFLICT_COUNT] = { CONFLICT_TABLE(X) };
#undef X

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "compile a policy", "there is not enough memory");
}

static int trie_error(int r, struct err *err)
{
    return r == -E2BIG ? err_set(err, ERR_LIMIT, "compile a policy", "there are too many names")
                       : no_memory(err);
}

/* --- the builder ---------------------------------------------------------------------------- */

int policy_builder_new(struct policy_builder **ret, struct err *err)
{
    struct policy_builder *builder = calloc(1, sizeof(*builder));
    uint32_t unit;
    if (!builder)
        return no_memory(err);
    builder->policy = calloc(1, sizeof(*builder->policy));
    int r = builder->policy ? name_trie_init(&builder->policy->names) : -ENOMEM;
    for (int space = SPACE_IPV4; r == 0 && space < SPACE_COUNT; space++)
        r = prefix_trie_init(&builder->policy->ranges[space]);
    if (r == 0) {
        builder->policy->unreadable = NO_DOCUMENT;
        for (int layer = 0; layer < LAYER_COUNT; layer++)
            builder->conflicts[layer] = CONFLICT_COUNT;
    }
    for (int i = 0; r == 0 && i < UNITS_OF_LAYERS; i++)
        r = builder_add_unit(builder, i < LAYER_COUNT ? (enum layer)i : LAYER_MODEL_PROVIDER,
                             i == UNIT_MODEL_HOSTS ? UNIT_BUILT_IN : UNIT_IN_FORCE, &unit, err);
    if (r < 0) {
        policy_builder_free(builder);
        return no_memory(err);
    }
    *ret = builder;
    return 0;
}

void policy_builder_free(struct policy_builder *builder)
{
    if (!builder)
        return;
    policy_free(builder->policy);
    free(builder->defaults);
    free(builder->groups);
    free(builder->endpoints);
    free(builder);
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    name_trie_release(&policy->names);
    for (int space = 0; space < SPACE_COUNT; space++) {
        prefix_trie_release(&policy->ranges[space]);
        free(policy->first[space]);
    }
    free(policy->rules);
    free(policy->ports);
    free(policy->gate_rules);
    free(policy->gate_nodes);
    free(policy->providers);
    free(policy->profiles);
    free(policy->units);
    free(policy->documents);
    arena_release(&policy->arena);
    free(policy);
}

int builder_grow(void *array, size_t size, size_t count, size_t *capacity, size_t limit,
                 struct err *err)
{
    void **pointer = array;
    if (count < *capacity)
        return 0;
    if (count >= limit)
        return err_set(err, ERR_LIMIT, "compile a policy", "there are more than %zu of a kind",
                       limit);
    size_t larger = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*pointer, larger * size);
    if (!grown)
        return no_memory(err);
    *pointer = grown;
    *capacity = larger;
    return 0;
}

int policy_builder_subject(struct policy_builder *builder, struct str urn, struct err *err)
{
    const char *copy = arena_copy(&builder->policy->arena, urn);
    if (!copy)
        return no_memory(err);
    if (builder->subject_count == POLICY_SUBJECTS_MAX)
        return err_set(err, ERR_LIMIT, "compile a policy", "a run goes by %d names at most",
                       POLICY_SUBJECTS_MAX);
    builder->subjects[builder->subject_count++] = str_make(copy, urn.len);
    return 0;
}

int builder_add_document(struct policy_builder *builder, const struct policy_document *document,
                         uint32_t *ret, struct err *err)
{
    struct policy *policy = builder->policy;
    int r = builder_grow(&policy->documents, sizeof(*policy->documents), policy->document_count,
                         &builder->document_capacity, POLICY_DOCUMENTS_MAX, err);
    if (r < 0)
        return r;
    policy->documents[policy->document_count] = *document;
    *ret = policy->document_count++;
    return 0;
}

int builder_add_unit(struct policy_builder *builder, enum layer layer, enum unit_kind kind,
                     uint32_t *ret, struct err *err)
{
    struct policy *policy = builder->policy;
    size_t capacity = builder->unit_capacity;
    int r = builder_grow(&policy->units, sizeof(*policy->units), policy->unit_count, &capacity,
                         POLICY_UNITS_MAX, err);
    if (r == 0)
        r = builder_grow(&builder->defaults, sizeof(*builder->defaults), policy->unit_count,
                         &builder->unit_capacity, POLICY_UNITS_MAX, err);
    if (r < 0)
        return r;
    policy->units[policy->unit_count] = (struct policy_unit){ layer, kind };
    builder->defaults[policy->unit_count] = (struct unit_default){ 0 };
    *ret = policy->unit_count++;
    return 0;
}

/* --- rules ---------------------------------------------------------------------------------- */

static int push_rule(struct policy_builder *builder, const struct compiled_rule *rule,
                     struct err *err)
{
    struct policy *policy = builder->policy;
    int r = builder_grow(&policy->rules, sizeof(*policy->rules), policy->rule_count,
                         &builder->rule_capacity, POLICY_RULES_MAX, err);
    if (r == 0)
        policy->rules[policy->rule_count++] = *rule;
    return r;
}

static int place_range(struct policy_builder *builder, struct compiled_rule *rule,
                       const struct address_range *range, struct err *err)
{
    rule->space = range->is_ipv6 ? SPACE_IPV6 : SPACE_IPV4;
    rule->form = DESTINATION_ITSELF_AND_BELOW;
    rule->prefix_bits = (uint8_t)range->prefix_bits;
    int r = prefix_trie_add(&builder->policy->ranges[rule->space], prefix_of(range), &rule->node);
    return r < 0 ? trie_error(r, err) : 1;
}

/* A name below which nothing stands but an address is that address. */
static int place_name(struct policy_builder *builder, struct compiled_rule *rule,
                      struct str pattern, struct err *err)
{
    struct address_range range;
    struct host_name name;
    enum destination_form form = destination_form_take(&pattern);
    int r = host_name_read(pattern, &name, err);
    if (r <= 0)
        return r;
    if (form != DESTINATION_BELOW && address_read_odd(&name, &range))
        return place_range(builder, rule, &range, err);
    rule->space = SPACE_NAMES;
    rule->form = (uint8_t)form;
    r = name_trie_add(&builder->policy->names, str_from(name.text), &rule->node);
    return r < 0 ? trie_error(r, err) : 1;
}

int builder_add_rule(struct policy_builder *builder, struct compiled_rule rule, struct str pattern,
                     struct err *err)
{
    struct address_range range;
    int r = 1;
    if (str_equal(pattern, STR("*"))) {
        rule.space = SPACE_NAMES; /* its root counts for addresses too */
        rule.form = DESTINATION_BELOW;
        rule.node = 0;
    } else if (address_range_read(pattern, &range)) {
        r = place_range(builder, &rule, &range, err);
    } else {
        r = place_name(builder, &rule, pattern, err);
    }
    if (r <= 0)
        return r;
    r = push_rule(builder, &rule, err);
    return r < 0 ? r : 1;
}

/* Ports of one rule are added one after the other. */
int builder_add_port(struct policy_builder *builder, struct compiled_rule *rule, uint16_t port,
                     struct err *err)
{
    struct policy *policy = builder->policy;
    int r = builder_grow(&policy->ports, sizeof(*policy->ports), builder->port_count,
                         &builder->port_capacity, PORTS_MAX, err);
    if (r < 0)
        return r;
    if (!rule->port_count)
        rule->first_port = (uint32_t)builder->port_count;
    size_t at = builder->port_count++;
    for (; at > rule->first_port && policy->ports[at - 1] > port; at--)
        policy->ports[at] = policy->ports[at - 1];
    policy->ports[at] = port;
    rule->port_count++;
    return 0;
}

int builder_add_group(struct policy_builder *builder, const struct compiled_rule *rule,
                      struct err *err)
{
    int r = builder_grow(&builder->groups, sizeof(*builder->groups), builder->group_count,
                         &builder->group_capacity, POLICY_RULES_MAX, err);
    if (r == 0)
        builder->groups[builder->group_count++] = *rule;
    return r;
}

int builder_add_endpoint(struct policy_builder *builder, const struct endpoint *endpoint,
                         struct err *err)
{
    int r = builder_grow(&builder->endpoints, sizeof(*builder->endpoints), builder->endpoint_count,
                         &builder->endpoint_capacity, POLICY_DOCUMENTS_MAX, err);
    if (r == 0)
        builder->endpoints[builder->endpoint_count++] = *endpoint;
    return r;
}

void builder_set_default(struct policy_builder *builder, const struct compiled_rule *rule)
{
    const struct policy_document *documents = builder->policy->documents;
    struct unit_default *slot = &builder->defaults[rule->unit];
    const struct compiled_rule *old = &slot->rule;
    bool is_first = !slot->stated || rule->order < old->order;
    if (!is_first && rule->order == old->order)
        is_first = strcmp(documents[rule->document].name, documents[old->document].name) < 0;
    if (is_first)
        *slot = (struct unit_default){ .stated = true, .rule = *rule };
}

/* --- what is no document -------------------------------------------------------------------- */

int policy_add_unreadable(struct policy_builder *builder, enum layer layer, const char *name,
                          const char *why, struct err *err)
{
    struct policy *policy = builder->policy;
    struct policy_document document = { .layer = layer };
    uint32_t index = 0;
    document.name = arena_copy(&policy->arena, str_from(name));
    const char *why_copy = arena_copy(&policy->arena, str_from(why));
    if (!document.name || !why_copy)
        return no_memory(err);
    int r = digest_text(str_from(name), document.digest, err);
    if (r == 0)
        r = builder_add_document(builder, &document, &index, err);
    if (r < 0)
        return r;
    bool is_first =
        policy->unreadable == NO_DOCUMENT || layer < policy->documents[policy->unreadable].layer;
    if (is_first) {
        policy->unreadable = index;
        policy->unreadable_why = why_copy;
    }
    return 0;
}

int policy_add_choice(struct policy_builder *builder, struct str destination, bool allow,
                      struct err *err)
{
    struct compiled_rule rule = { .place = PLACE_CHOICE,
                                  .answer = allow ? ANSWER_ALLOW : ANSWER_DENY,
                                  .order = allow ? ORDER_CHOICE : ORDER_DENY,
                                  .unit = LAYER_USER };
    struct policy_document document = { .layer = LAYER_USER };
    _cleanup_(buf_release) struct buf name = BUF_INIT_LIMIT(POLICY_HOST_MAX);
    struct str host;
    uint16_t port = 0;
    buf_addf(&name, "%s %.*s", allow ? "--allow" : "--deny", STR_ARG(destination));
    if (name.error || !destination_split_port(destination, &host, &port))
        return err_set(err, ERR_USAGE, "read a destination",
                       "`%.*s` is no host, host:port, address or range", STR_ARG(destination));
    const char *copy = arena_copy(&builder->policy->arena, buf_str(&name));
    if (!copy)
        return no_memory(err);
    document.name = copy;
    rule.id = str_from_offset(str_make(copy, name.len), name.len - destination.len);
    int r = digest_text(buf_str(&name), document.digest, err);
    if (r == 0)
        r = builder_add_document(builder, &document, &rule.document, err);
    if (r == 0 && port)
        r = builder_add_port(builder, &rule, port, err);
    if (r == 0) {
        r = builder_add_rule(builder, rule, host, err);
        if (r == 0)
            r = err_set(err, ERR_USAGE, "read a destination",
                        "`%.*s` is no host, host:port, address or range", STR_ARG(destination));
    }
    return r < 0 ? r : 0;
}

/* --- building ------------------------------------------------------------------------------- */

/* A rule about a host of the table: at its node where its pattern has one, else where that ends. */
static int add_model_host(struct policy_builder *builder, struct compiled_rule rule,
                          const char *pattern, struct err *err)
{
    const char *star = strrchr(pattern, '*');
    const char *rest = star ? strchr(star, '.') : NULL;
    rule.pattern = str_from(pattern);
    rule.glob = star && (star != pattern || star[1] != '.');
    struct str text = str_from(rule.glob && rest ? rest + 1 : pattern);
    struct host_name name;
    int r;
    if (!rule.glob) {
        r = builder_add_rule(builder, rule, text, err);
        return r < 0 ? r : 0;
    }
    r = host_name_read(text, &name, err);
    if (r == 1)
        r = name_trie_add(&builder->policy->names, str_from(name.text), &rule.node);
    rule.form = DESTINATION_BELOW;
    return r < 0 ? trie_error(r, err) : push_rule(builder, &rule, err);
}

/* Adds a rule about every known model provider's host: the table's, and those of documents. */
static int add_model_hosts(struct policy_builder *builder, const struct compiled_rule *rule,
                           struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < model_hosts_count; i++)
        r = add_model_host(builder, *rule, model_hosts[i].pattern, err);
    for (size_t i = 0; r >= 0 && i < builder->endpoint_count; i++) {
        const struct endpoint *endpoint = &builder->endpoints[i];
        struct compiled_rule here = *rule;
        here.pattern = endpoint->host;
        if (!endpoint->loopback)
            r = builder_add_rule(builder, here, endpoint->host, err);
    }
    return r < 0 ? r : 0;
}

/* A provider on this machine is denied at its port: other servers stand at that address too. */
static int add_built_in(struct policy_builder *builder, struct err *err)
{
    struct compiled_rule rule = { .id = STR(BUILT_IN_MODELS),
                                  .place = PLACE_BUILT_IN,
                                  .answer = ANSWER_DENY,
                                  .order = ORDER_DENY,
                                  .unit = UNIT_MODEL_HOSTS,
                                  .document = NO_DOCUMENT,
                                  .asker = ASKER_SANDBOX };
    int r = add_model_hosts(builder, &rule, err);
    for (size_t i = 0; r >= 0 && i < builder->endpoint_count; i++) {
        const struct endpoint *endpoint = &builder->endpoints[i];
        struct compiled_rule here = rule;
        here.pattern = endpoint->host;
        if (!endpoint->loopback)
            continue;
        r = builder_add_port(builder, &here, endpoint->port, err);
        if (r == 0)
            r = builder_add_rule(builder, here, endpoint->host, err);
    }
    return r < 0 ? r : 0;
}

static int compare_documents(const void *a, const void *b, void *context)
{
    const struct policy_document *documents = context;
    const struct policy_document *one = &documents[*(const uint32_t *)a];
    const struct policy_document *other = &documents[*(const uint32_t *)b];
    if (one->layer != other->layer)
        return one->layer < other->layer ? -1 : 1;
    int by_name = strcmp(one->name, other->name);
    return by_name ? by_name : strcmp(one->digest, other->digest);
}

/* Ranks the documents; the ranks' documents are left in *ret, to be freed. */
static int rank_documents(struct policy *policy, uint32_t **ret, struct err *err)
{
    uint32_t *ranked = calloc(policy->document_count + 1, sizeof(*ranked));
    if (!ranked)
        return no_memory(err);
    for (uint32_t i = 0; i < policy->document_count; i++)
        ranked[i] = i;
    qsort_r(ranked, policy->document_count, sizeof(*ranked), compare_documents, policy->documents);
    for (uint32_t i = 0; i < policy->document_count; i++)
        policy->documents[ranked[i]].order = i;
    *ret = ranked;
    return 0;
}

#define COMPARE(a, b)                                                                              \
    do {                                                                                           \
        if ((a) != (b))                                                                            \
            return (a) < (b) ? -1 : 1;                                                             \
    } while (0)

static int compare_rules(const void *a, const void *b, void *context)
{
    const struct policy_document *documents = context;
    const struct compiled_rule *one = a;
    const struct compiled_rule *other = b;
    uint32_t one_rank = one->document == NO_DOCUMENT ? 0 : documents[one->document].order + 1;
    uint32_t other_rank = other->document == NO_DOCUMENT ? 0 : documents[other->document].order + 1;
    COMPARE(one->space, other->space);
    COMPARE(one->node, other->node);
    COMPARE(one->form != DESTINATION_ITSELF, other->form != DESTINATION_ITSELF);
    COMPARE(one->order, other->order);
    COMPARE(one_rank, other_rank);
    COMPARE(one->place, other->place);
    COMPARE(one->index, other->index);
    COMPARE(one->sub_index, other->sub_index);
    return 0;
}

/* Sorts the rules and notes where each node's begin. */
static int index_rules(struct policy *policy, struct err *err)
{
    const uint32_t nodes[SPACE_COUNT] = { policy->names.count, policy->ranges[SPACE_IPV4].count,
                                          policy->ranges[SPACE_IPV6].count };
    size_t at = 0;
    if (policy->rule_count)
        qsort_r(policy->rules, policy->rule_count, sizeof(*policy->rules), compare_rules,
                policy->documents);
    for (int space = 0; space < SPACE_COUNT; space++) {
        uint32_t *first = calloc((size_t)nodes[space] + 1, sizeof(*first));
        if (!first)
            return no_memory(err);
        policy->first[space] = first;
        for (uint32_t node = 0; node <= nodes[space]; node++) {
            first[node] = (uint32_t)at;
            while (at < policy->rule_count && policy->rules[at].space == space &&
                   policy->rules[at].node == node)
                at++;
        }
    }
    return 0;
}

static int compare_digests(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The digest of one layer: over the sorted list of its documents' digests, in canonical form. */
static int digest_layer(struct policy *policy, enum layer layer, struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT;
    _cleanup_(cleanup_free) const char **digests =
        calloc(policy->document_count + 1, sizeof(*digests));
    size_t count = 0;
    if (!digests)
        return no_memory(err);
    for (uint32_t i = 0; i < policy->document_count; i++) {
        if (policy->documents[i].layer == layer)
            digests[count++] = policy->documents[i].digest;
    }
    qsort(digests, count, sizeof(*digests), compare_digests);
    buf_add_char(&list, '[');
    for (size_t i = 0; i < count; i++)
        buf_addf(&list, "%s\"%s\"", i ? "," : "", digests[i]);
    buf_add_char(&list, ']');
    if (list.error)
        return no_memory(err);
    return count ? digest_text(buf_str(&list), policy->layer_digests[layer], err) : 0;
}

static int digest_policy(struct policy *policy, struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT;
    int r = 0;
    buf_add_char(&list, '[');
    for (int layer = 0; r == 0 && layer < LAYER_COUNT; layer++) {
        r = digest_layer(policy, (enum layer)layer, err);
        buf_addf(&list, "%s\"%s\"", layer ? "," : "", policy->layer_digests[layer]);
    }
    buf_add_char(&list, ']');
    if (r == 0 && list.error)
        r = no_memory(err);
    return r < 0 ? r : digest_text(buf_str(&list), policy->digest, err);
}

int policy_digest_empty(char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    struct policy empty = { 0 };
    int r = digest_policy(&empty, err);
    if (r == 0)
        memcpy(ret, empty.digest, sizeof(empty.digest));
    return r;
}

int policy_build(struct policy_builder *builder, struct policy **ret, struct err *err)
{
    struct policy *policy = builder->policy;
    _cleanup_(cleanup_free) uint32_t *ranked = NULL;
    int r = add_built_in(builder, err);
    for (size_t i = 0; r == 0 && i < builder->group_count; i++)
        r = add_model_hosts(builder, &builder->groups[i], err);
    for (uint32_t unit = 0; r >= 0 && unit < policy->unit_count; unit++) {
        if (builder->defaults[unit].stated)
            r = builder_add_rule(builder, builder->defaults[unit].rule, STR("*"), err);
    }
    if (r >= 0)
        r = rank_documents(policy, &ranked, err);
    if (r == 0)
        r = index_rules(policy, err);
    if (r == 0)
        r = gate_index(policy, err);
    if (r == 0)
        r = digest_policy(policy, err);
    if (r < 0)
        return r;
    policy->conflict = CONFLICT_RESTRICTIVE;
    for (int layer = LAYER_COUNT - 1; layer >= 0; layer--) {
        if (builder->conflicts[layer] != CONFLICT_COUNT)
            policy->conflict = builder->conflicts[layer];
    }
    *ret = TAKE_PTR(builder->policy);
    return 0;
}

/* --- showing -------------------------------------------------------------------------------- */

int policy_each_document(const struct policy *policy, policy_document_visit *visit, void *context,
                         struct err *err)
{
    int r = 0;
    for (uint32_t i = 0; i < policy->document_count && r >= 0; i++) {
        const struct policy_document *document = &policy->documents[i];
        if (document->root)
            r = visit(context, document->layer, document->name, document->root, err);
    }
    return r;
}

const char *policy_digest(const struct policy *policy)
{
    return policy->digest;
}

const char *policy_layer_digest(const struct policy *policy, enum layer layer)
{
    const char *digest = policy->layer_digests[layer];
    return digest[0] ? digest : NULL;
}

const char *policy_conflict(const struct policy *policy)
{
    return conflict_names[policy->conflict];
}

static size_t add_number(char *text, uint32_t number)
{
    char digits[10];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    for (size_t i = 0; i < count; i++)
        text[i] = digits[count - 1 - i];
    return count;
}

size_t policy_pointer(const struct compiled_rule *rule, char ret[VERDICT_POINTER_SIZE])
{
    static const char *const pointers[PLACE_COUNT] = {
#define X(place, pointer) [place] = pointer,
        PLACE_TABLE(X)
#undef X
    };
    const uint32_t numbers[] = { rule->index, rule->sub_index };
    size_t used = 0;
    size_t len = 0;
    for (const char *c = pointers[rule->place]; *c; c++) {
        if (*c == '#')
            len += add_number(ret + len, numbers[used++]);
        else
            ret[len++] = *c;
    }
    ret[len] = '\0';
    return len;
}

static struct str destination_text(const struct policy *policy, const struct compiled_rule *rule,
                                   const char *pointer)
{
    if (rule->place == PLACE_BUILT_IN || rule->place == PLACE_GATE_RULE)
        return rule->pattern;
    if (rule->place == PLACE_CHOICE)
        return rule->id;
    if (rule->place == PLACE_DEFAULT_EGRESS || rule->place == PLACE_DEFAULT_DECISION)
        return STR("*");
    const yyjson_val *root = policy->documents[rule->document].root;
    yyjson_val *value = yyjson_ptr_get((yyjson_val *)root, pointer);
    if (yyjson_is_obj(value)) {
        yyjson_val *destination = yyjson_obj_get(value, "destination");
        value = destination ? destination : yyjson_obj_get(value, "host");
    }
    return yyjson_is_str(value) ? json_str(value) : STR("");
}

static void describe_rule(const struct policy *policy, const struct compiled_rule *rule,
                          struct policy_rule *ret)
{
    const struct policy_unit *unit = &policy->units[rule->unit];
    size_t len = 0;
    *ret = (struct policy_rule){ .layer = unit->layer,
                                 .answer = (enum answer)rule->answer,
                                 .observing = unit->kind == UNIT_OBSERVING,
                                 .built_in = unit->kind == UNIT_BUILT_IN,
                                 .log_only = rule->log_only,
                                 .rule = rule->id };
    if (rule->document != NO_DOCUMENT)
        ret->document = policy->documents[rule->document].name;
    policy_pointer(rule, ret->pointer);
    ret->destination = destination_text(policy, rule, ret->pointer);
    for (uint16_t i = 0; i < rule->port_count && len < sizeof(ret->ports); i++)
        len += (size_t)snprintf(ret->ports + len, sizeof(ret->ports) - len, "%s%u", i ? " " : "",
                                policy->ports[rule->first_port + i]);
    len = 0;
    for (int i = 0; i < PROTOCOL_COUNT && len < sizeof(ret->protocols); i++) {
        if (rule->protocols & PROTOCOL_BIT(i))
            len += (size_t)snprintf(ret->protocols + len, sizeof(ret->protocols) - len, "%s%s",
                                    len ? " " : "", protocol_names[i]);
    }
}

int policy_each_rule(const struct policy *policy, policy_visit *visit, void *context)
{
    struct policy_rule described;
    int r = 0;
    for (int pass = 0; pass <= LAYER_COUNT; pass++) {
        for (size_t i = 0; r == 0 && i < policy->rule_count; i++) {
            const struct compiled_rule *rule = &policy->rules[i];
            const struct policy_unit *unit = &policy->units[rule->unit];
            int turn = unit->kind == UNIT_BUILT_IN ? LAYER_COUNT : (int)unit->layer;
            bool is_copy = rule->place == PLACE_FIREWALL_RULE && rule->pattern.len &&
                           rule->pattern.ptr != model_hosts[0].pattern;
            if (turn != pass || is_copy)
                continue;
            describe_rule(policy, rule, &described);
            r = visit(context, &described);
        }
        for (size_t i = 0; r == 0 && i < policy->gate_rule_count; i++) {
            const struct gate_rule *rule = &policy->gate_rules[i];
            if (policy->units[rule->rule.unit].layer != (enum layer)pass)
                continue;
            describe_rule(policy, &rule->rule, &described);
            described.gate = gate_names[rule->gate];
            r = visit(context, &described);
        }
    }
    return r;
}
