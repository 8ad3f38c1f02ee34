/* policy: the compiled form, shared by its builder (policy.c) and its reader (verdict.c). */
#ifndef AM_AUTHORITY_POLICY_H
#define AM_AUTHORITY_POLICY_H

#include "authority/gate_rules.h"
#include "authority/match.h"
#include "authority/verdict.h"
#include "base/arena.h"
#include "base/digest.h"

/* Where a rule stands in its document; the row is the pointer, with a number for each '#'. */
#define PLACE_TABLE(X)                                                                             \
    X(PLACE_ALLOW_DOMAINS, "/profiles/#/allowDomains/#")                                           \
    X(PLACE_DENY_DOMAINS, "/profiles/#/denyDomains/#")                                             \
    X(PLACE_ALLOW_CIDRS, "/profiles/#/allowCidrs/#")                                               \
    X(PLACE_DENY_CIDRS, "/profiles/#/denyCidrs/#")                                                 \
    X(PLACE_DEFAULT_EGRESS, "/profiles/#/defaultEgress")                                           \
    X(PLACE_DEFAULT_DECISION, "/defaultDecision")                                                  \
    X(PLACE_FIREWALL_RULE, "/rules/#")                                                             \
    X(PLACE_MESH_ALLOWED, "/traffic/allowedHosts/#")                                               \
    X(PLACE_MESH_DENIED, "/traffic/deniedHosts/#")                                                 \
    X(PLACE_MESH_MODE, "/traffic/egressMode")                                                      \
    X(PLACE_SURFACE_HOST, "/hosts/#")                                                              \
    X(PLACE_PROVIDER, "/endpoint/baseUrlRef")                                                      \
    X(PLACE_PROMPT_EGRESS, "/policy/promptEgressDefault")                                          \
    X(PLACE_GATE_RULE, "/rules/#")                                                                 \
    X(PLACE_ENGINE, "/engines/#")                                                                  \
    X(PLACE_PROFILE_TOOLS, "/agentPlane/toolSurfaceRefs")                                          \
    X(PLACE_PROFILE_MODELS, "/agentPlane/modelProviderRefs")                                       \
    X(PLACE_PROFILE_NETWORK, "/agentPlane/networkAccessProfileRef")                                \
    X(PLACE_PROFILE_IMAGE, "/containerPlane/rootFilesystem")                                       \
    X(PLACE_PROFILE_PATHS, "/worktreePlane/allowedPaths")                                          \
    X(PLACE_CHOICE, "")                                                                            \
    X(PLACE_BUILT_IN, "")

enum place {
#define X(place, pointer) place,
    PLACE_TABLE(X)
#undef X
        PLACE_COUNT
};

enum protocol {
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    PROTOCOL_ICMP,
    PROTOCOL_HTTP,
    PROTOCOL_HTTPS,
    PROTOCOL_GRPC,
    PROTOCOL_OTHER,
    PROTOCOL_COUNT
};
#define PROTOCOL_BIT(protocol) (1u << (protocol))
#define PROTOCOLS_OVER_TCP                                                                         \
    (PROTOCOL_BIT(PROTOCOL_HTTP) | PROTOCOL_BIT(PROTOCOL_HTTPS) | PROTOCOL_BIT(PROTOCOL_GRPC))
extern const char *const protocol_names[PROTOCOL_COUNT];

/* Among rules that are equally specific, the first decides. */
enum order { ORDER_DENY, ORDER_CHOICE, ORDER_ASK, ORDER_LOG_ONLY, ORDER_ALLOW };

enum asker { ASKER_ANY, ASKER_SANDBOX, ASKER_DOOR };

enum space { SPACE_NAMES, SPACE_IPV4, SPACE_IPV6, SPACE_COUNT };

struct compiled_rule {
    struct str id, reason;
    struct str pattern; /* of a rule about model hosts: which of them */
    uint32_t node, unit, document;
    uint32_t index, sub_index; /* for its place */
    uint32_t first_port;
    uint16_t port_count;
    uint8_t space, place, form, answer, order, protocols, prefix_bits, asker;
    bool log_only, glob; /* glob: the pattern has a "*" within, and is looked at beside the node */
};

/*
 * Within a unit the most specific rule decides. A unit is a layer; or one
 * document of the enterprise, all of which are asked; or one observing
 * document; or the built-in rules about model hosts.
 */
enum unit_kind { UNIT_IN_FORCE, UNIT_OBSERVING, UNIT_BUILT_IN };
struct policy_unit {
    enum layer layer;
    enum unit_kind kind;
};
#define UNIT_MODEL_HOSTS LAYER_COUNT
#define UNITS_OF_LAYERS  (LAYER_COUNT + 1)
#define POLICY_UNITS_MAX (UNITS_OF_LAYERS + POLICY_DOCUMENTS_MAX)

#define NO_DOCUMENT UINT32_MAX

struct policy_document {
    const char *name;
    struct str id;
    const yyjson_val *root; /* NULL: a choice, or unreadable */
    enum layer layer;
    uint32_t unit;
    uint32_t order; /* by layer and name: whatever the order of adding */
    char digest[DIGEST_TEXT_SIZE];
};

/* A rule of a gates document; its match is as names are compared. */
struct gate_rule {
    struct compiled_rule rule;
    struct str match;
    uint8_t gate;
    bool unpinned;
};

/* Rules of one gate and one match. The parent's match is the longest other that this begins with.
 */
struct gate_node {
    struct str match;
    uint32_t first, parent;
};
#define NO_NODE UINT32_MAX

/* A model provider of a document, for the gate that it passes. */
struct policy_provider {
    struct str id, host;
    uint16_t port;             /* 0: where it answers is not known */
    struct compiled_rule rule; /* ANSWER_NOTHING: its document says nothing */
};

/* A machine profile of a layer: what it does not list is denied to whoever runs under it. */
struct policy_profile {
    struct str id;
    const yyjson_val *root;
    struct compiled_rule rules[GATE_COUNT]; /* that deny */
};

/* Its texts are the document's. */
struct policy_engine {
    struct engine_row row;
    uint32_t document;
};

#define CONFLICT_TABLE(X)                                                                          \
    X(CONFLICT_DENY, "deny-on-conflict")                                                           \
    X(CONFLICT_RESTRICTIVE, "most-restrictive-wins")                                               \
    X(CONFLICT_ENTERPRISE, "enterprise-wins")                                                      \
    X(CONFLICT_USER, "user-wins")

/* Strictest first: which holds where documents of one layer state several. */
enum conflict {
#define X(conflict, name) conflict,
    CONFLICT_TABLE(X)
#undef X
        CONFLICT_COUNT
};
extern const char *const conflict_names[CONFLICT_COUNT];

struct policy {
    struct arena arena;
    struct name_trie names;
    struct prefix_trie ranges[SPACE_COUNT]; /* SPACE_NAMES has none */
    struct compiled_rule *rules;            /* by space, node, form and order */
    size_t rule_count;
    uint32_t *first[SPACE_COUNT]; /* by node: its first rule; one more at the end */
    uint16_t *ports;              /* each rule's are sorted */
    struct gate_rule *gate_rules; /* by gate and match */
    size_t gate_rule_count;
    struct gate_node *gate_nodes; /* likewise; one more at the end */
    uint32_t first_gate_node[GATE_COUNT + 1];
    struct policy_provider *providers;
    size_t provider_count;
    struct policy_profile *profiles;
    size_t profile_count;
    struct policy_engine engines[GATE_ENGINES_MAX]; /* by rank of their documents */
    size_t engine_count;
    struct policy_unit *units;
    uint32_t unit_count;
    struct policy_document *documents;
    uint32_t document_count;
    uint32_t unreadable; /* the document, or NO_DOCUMENT */
    const char *unreadable_why;
    enum conflict conflict;
    char digest[DIGEST_TEXT_SIZE];
    char layer_digests[LAYER_COUNT][DIGEST_TEXT_SIZE];
};

/* Writes a rule's pointer, NUL-terminated; returns its length. */
size_t policy_pointer(const struct compiled_rule *rule, char ret[VERDICT_POINTER_SIZE]);

/* --- for policy.c and policy_read.c --------------------------------------------------------- */

/* Where a model provider of a document answers. */
struct endpoint {
    struct str host;
    uint16_t port;
    bool loopback;
    uint32_t document;
};

struct unit_default {
    bool stated;
    struct compiled_rule rule;
};

struct policy_builder {
    struct policy *policy;
    size_t rule_capacity, port_count, port_capacity, document_capacity, unit_capacity;
    struct unit_default *defaults; /* by unit: what answers where nothing is listed */
    struct compiled_rule *groups;  /* about every model host: placed when all are known */
    size_t group_count, group_capacity;
    struct endpoint *endpoints;
    size_t endpoint_count, endpoint_capacity;
    size_t gate_rule_capacity, provider_capacity, profile_capacity;
    struct str subjects[POLICY_SUBJECTS_MAX];
    size_t subject_count;
    enum conflict conflicts[LAYER_COUNT]; /* CONFLICT_COUNT: not stated */
};

/* Makes room for one more of an array; `array` is the address of its pointer. */
int builder_grow(void *array, size_t size, size_t count, size_t *capacity, size_t limit,
                 struct err *err) MUST_CHECK;
int builder_add_document(struct policy_builder *builder, const struct policy_document *document,
                         uint32_t *ret, struct err *err) MUST_CHECK;
int builder_add_unit(struct policy_builder *builder, enum layer layer, enum unit_kind kind,
                     uint32_t *ret, struct err *err) MUST_CHECK;
/* 1; 0 where the pattern is no destination. */
int builder_add_rule(struct policy_builder *builder, struct compiled_rule rule, struct str pattern,
                     struct err *err) MUST_CHECK;
int builder_add_group(struct policy_builder *builder, const struct compiled_rule *rule,
                      struct err *err) MUST_CHECK;
int builder_add_port(struct policy_builder *builder, struct compiled_rule *rule, uint16_t port,
                     struct err *err) MUST_CHECK;
/* Keeps the stricter of two. */
void builder_set_default(struct policy_builder *builder, const struct compiled_rule *rule);
int builder_add_endpoint(struct policy_builder *builder, const struct endpoint *endpoint,
                         struct err *err) MUST_CHECK;
int builder_add_provider(struct policy_builder *builder, const struct policy_provider *provider,
                         struct err *err) MUST_CHECK;
int builder_add_profile(struct policy_builder *builder, const struct policy_profile *profile,
                        struct err *err) MUST_CHECK;
/* Sorts the rules of the gates and notes where each match has its own; documents are ranked. */
int gate_index(struct policy *policy, struct err *err) MUST_CHECK;
/* A host with or without a port: a name, an address, a range, or [an IPv6 address]. */
bool destination_split_port(struct str text, struct str *ret_host, uint16_t *ret_port);

#endif
