/* verdict_test: policies from short texts, for tests. Documents are JSON with ' for ". */
#ifndef AM_AUTHORITY_VERDICT_TEST_H
#define AM_AUTHORITY_VERDICT_TEST_H

#include "authority/verdict.h"
#include "base/json.h"
#include "base/test.h"

#define FIXTURE_DOCUMENTS_MAX 64

/* The head and the tail that every document of a type has. */
#define NETWORK(default_decision, entries)                                                         \
    "{'id':'urn:srcos:network-access-profile:t','type':'NetworkAccessProfile',"                    \
    "'specVersion':'1.0.0','name':'t','scope':'user','evidence':{},"                               \
    "'defaultDecision':'" default_decision "','profiles':[" entries "]}"
#define ENTRY(id, class, egress, lists)                                                            \
    "{'profileId':'" id "','profileClass':'" class "','priority':1,'defaultEgress':'" egress       \
                                                   "'" lists "}"
#define FIREWALL(mode, more, rules)                                                                \
    "{'id':'urn:srcos:firewall-binding-profile:t','type':'FirewallBindingProfile',"                \
    "'specVersion':'1.0.0','name':'t','bindingClass':'other','evidence':{},'mode':'" mode "'" more \
    ",'rules':[" rules "]}"
#define RULE(id, decision, destination, more)                                                      \
    "{'ruleId':'" id "','direction':'egress','decision':'" decision "','subject':'*',"             \
    "'destination':'" destination "'" more "}"
#define MESH(traffic)                                                                              \
    "{'id':'urn:srcos:mesh-binding-profile:t','type':'MeshBindingProfile',"                        \
    "'specVersion':'1.0.0','name':'t','meshClass':'istio','scope':'workspace','identity':{},"      \
    "'evidence':{},'traffic':{" traffic "}}"
#define SURFACE(hosts)                                                                             \
    "{'id':'urn:srcos:agent-tool-surface:t','type':'AgentToolSurface','specVersion':'1.0.0',"      \
    "'name':'tool','kind':'provider-slot','capabilities':[],'ambient':false,"                      \
    "'requiresGrant':true,'hosts':[" hosts "]}"
#define PROVIDER(url, egress)                                                                      \
    "{'id':'urn:srcos:external-model-provider-profile:t',"                                         \
    "'type':'ExternalModelProviderProfile','specVersion':'1.0.0','name':'t',"                      \
    "'providerClass':'other','owner':'user','endpoint':{'baseUrlRef':'" url "','authRef':null},"   \
    "'routing':{},'evidence':{},'policy':{'promptEgressDefault':'" egress "'}}"

struct fixture {
    struct policy_builder *builder;
    struct policy *policy;
    yyjson_doc *docs[FIXTURE_DOCUMENTS_MAX];
    size_t count;
    struct verdict verdict;
};

static inline void fixture_release(struct fixture *fixture)
{
    policy_builder_free(fixture->builder);
    policy_free(fixture->policy);
    for (size_t i = 0; i < fixture->count; i++)
        yyjson_doc_free(fixture->docs[i]);
}

static inline void fixture_init(struct fixture *fixture)
{
    struct err err = { 0 };
    *fixture = (struct fixture){ 0 };
    if (policy_builder_new(&fixture->builder, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.cause);
}

static inline yyjson_doc *fixture_read(struct fixture *fixture, const char *text)
{
    struct buf json = BUF_INIT;
    struct err err = { 0 };
    buf_add_text(&json, text);
    for (size_t i = 0; i < json.len; i++)
        json.data[i] = json.data[i] == '\'' ? '"' : json.data[i];
    yyjson_doc *doc = NULL;
    if (json_read(buf_str(&json), &json_limits_default, &doc, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.cause, json.data);
    buf_release(&json);
    fixture->docs[fixture->count++] = doc;
    return doc;
}

static inline int fixture_try(struct fixture *fixture, enum layer layer, const char *name,
                              const char *text, struct err *err)
{
    yyjson_doc *doc = fixture_read(fixture, text);
    return policy_add(fixture->builder, layer, name, yyjson_doc_get_root(doc), err);
}

static inline void fixture_add(struct fixture *fixture, enum layer layer, const char *name,
                               const char *text)
{
    struct err err = { 0 };
    if (fixture_try(fixture, layer, name, text, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
}

static inline void fixture_build(struct fixture *fixture)
{
    struct err err = { 0 };
    if (policy_build(fixture->builder, &fixture->policy, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.cause);
}

/* The answer in a word: allow, ask, deny; the verdict stays in the fixture. */
static inline const char *fixture_decide(struct fixture *fixture,
                                         struct policy_destination destination)
{
    struct err err = { 0 };
    if (policy_decide(fixture->policy, &destination, &fixture->verdict, &err) < 0)
        return err.cause[0] ? "error" : "error without a cause";
    return answer_names[fixture->verdict.answer];
}

static inline const char *fixture_ask(struct fixture *fixture, const char *host, uint16_t port)
{
    return fixture_decide(fixture,
                          (struct policy_destination){ .host = str_from(host), .port = port });
}

static inline const char *fixture_ask_address(struct fixture *fixture, const char *host,
                                              uint16_t port, const char *address)
{
    struct policy_destination destination = { .host = str_from(host), .port = port };
    struct address_range range;
    struct err err = { 0 };
    if (!address_range_read(str_from(address), &range))
        return "no address";
    if (policy_decide_address(fixture->policy, &destination, &range, &fixture->verdict, &err) < 0)
        return "error";
    return answer_names[fixture->verdict.answer];
}

#endif
