/*
 * verdict: what the layers say about one thing, and why.
 *
 * A policy is compiled once from documents that belong to layers, and is then
 * immutable: names in a trie of labels, addresses in tries of prefixes, so
 * that ten thousand rules cost no more than ten. A verdict carries the layer,
 * the rule, the document and the pointer that decided, and the smallest change
 * that would alter it.
 */
#ifndef AM_AUTHORITY_VERDICT_H
#define AM_AUTHORITY_VERDICT_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/destination.h"
#include "contract/vocabulary.h"

#define POLICY_DOCUMENTS_MAX 10000
#define POLICY_RULES_MAX     1000000
#define POLICY_SUBJECTS_MAX  16
#define POLICY_HOST_MAX      1024 /* bytes of a host that is asked about */

#define VERDICT_POINTER_SIZE 128
#define VERDICT_TEXT_SIZE    512

enum answer { ANSWER_NOTHING, ANSWER_ALLOW, ANSWER_ASK, ANSWER_DENY };
#define ANSWER_COUNT (ANSWER_DENY + 1)
/* "-", "allow", "ask", "deny" */
extern const char *const answer_names[ANSWER_COUNT];

/* --- building ------------------------------------------------------------------------------- */

struct policy;
struct policy_builder;

int policy_builder_new(struct policy_builder **ret, struct err *err) MUST_CHECK;
void policy_builder_free(struct policy_builder *builder);
/*
 * A URN that the run goes by (its agent, its user). Firewall rules of other URNs are left out.
 * To be called before policy_add. A rule whose subject cannot be told (none was said; a program's
 * path) counts if it denies or asks, and not if it allows.
 */
int policy_builder_subject(struct policy_builder *builder, struct str urn,
                           struct err *err) MUST_CHECK;
/*
 * Adds a document of a layer: NetworkAccessProfile, FirewallBindingProfile,
 * MeshBindingProfile; AgentMachineProfile, for the gates of who runs under it;
 * AgentToolSurface (always of the agent layer) and
 * ExternalModelProviderProfile (always of the model-provider layer); its
 * schema has accepted it. The document must outlive the policy. `name` is
 * for verdicts (its file). After a failure the builder is to be freed, or
 * told of an unreadable document.
 */
int policy_add(struct policy_builder *builder, enum layer layer, const char *name,
               const yyjson_val *root, struct err *err) MUST_CHECK;
/* Whether policy_add takes documents of this type. */
bool policy_takes(struct str type);
/*
 * A references document (references.h), which decides nothing: the policy's digest covers it. It
 * must outlive the policy.
 */
int policy_add_references(struct policy_builder *builder, enum layer layer, const char *name,
                          const yyjson_val *root, struct err *err) MUST_CHECK;
/* An enterprise or device document that cannot be read: from now on everything is denied. */
int policy_add_unreadable(struct policy_builder *builder, enum layer layer, const char *name,
                          const char *why, struct err *err) MUST_CHECK;
/* The user's consent (--allow) or refusal (--deny) for this run: host, host:port, address, range.
 */
int policy_add_choice(struct policy_builder *builder, struct str destination, bool allow,
                      struct err *err) MUST_CHECK;
/* The builder is empty afterwards, and to be freed. */
int policy_build(struct policy_builder *builder, struct policy **ret, struct err *err) MUST_CHECK;
void policy_free(struct policy *policy);

/* "sha256:…" over the layers' documents: what a fingerprint names. */
const char *policy_digest(const struct policy *policy);
/* That of a policy without documents. */
int policy_digest_empty(char ret[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;
/* Of one layer: over the sorted list of its documents' digests; NULL where it has none. */
const char *policy_layer_digest(const struct policy *policy, enum layer layer);
/* most-restrictive-wins, enterprise-wins, user-wins or deny-on-conflict. */
const char *policy_conflict(const struct policy *policy);

/* Calls visit for every document that it was made of; a negative return ends it. */
typedef int policy_document_visit(void *context, enum layer layer, const char *name,
                                  const yyjson_val *root, struct err *err);
int policy_each_document(const struct policy *policy, policy_document_visit *visit, void *context,
                         struct err *err) MUST_CHECK;

/* One rule, for those who show a policy. */
struct policy_rule {
    enum layer layer;
    enum answer answer;
    bool observing, log_only, built_in;
    const char *document; /* NULL where built in */
    struct str rule;
    struct str destination; /* as it was written; "*" for what is not listed */
    const char *gate;       /* that it is about; NULL: it is about destinations */
    char pointer[VERDICT_POINTER_SIZE];
    char ports[64], protocols[64]; /* separated by spaces, cut where too long; empty: any */
};

/* Calls visit for every rule, by layer from the highest. A nonzero return ends it. */
typedef int policy_visit(void *context, const struct policy_rule *rule);
int policy_each_rule(const struct policy *policy, policy_visit *visit, void *context);

/* --- deciding ------------------------------------------------------------------------------- */

/*
 * A destination: a name or an address, with what is known of port and protocol.
 *
 * Where the port is not known, as in a name service, the question is whether
 * there may be a port at which it is allowed: rules that list ports count if
 * they allow, then (no port being allowed) if they ask, and not if they deny.
 *
 * A protocol that is not known, or known as tcp alone, is what the port is
 * for: https or grpc at 443, http or grpc at 80, any of the three elsewhere.
 * A verdict that rests on a rule for https says so in `tls`.
 */
struct policy_destination {
    struct str host;     /* as it was written; odd spellings of addresses are addresses */
    uint16_t port;       /* 0: not known */
    struct str protocol; /* tcp, udp, icmp, http, https, grpc; empty: not known, but tcp */
    bool of_door; /* a door asks for itself: rules for `sandbox` and model hosts are not meant */
};

struct layer_answer {
    enum answer answer;
    const char *document; /* NULL where the layer has none */
    struct str document_id, rule;
    char pointer[VERDICT_POINTER_SIZE];
};

struct verdict {
    enum answer answer; /* never NOTHING: what no layer answers is denied */
    enum layer layer;   /* whose answer decided; of no meaning where no document did */
    bool built_in;      /* a rule of the program itself decided (private ranges, unreadable) */
    struct str rule;
    const char *document;
    struct str document_id;
    char pointer[VERDICT_POINTER_SIZE];
    bool log_only, observed; /* log-only allowed it; an observing document would have denied it */
    bool tls;        /* allowed as https: the outer server name is to be read and to be this host */
    bool some_ports; /* the port is not known, and rules that list ports were met */
    struct layer_answer layers[LAYER_COUNT];
    char reason[VERDICT_TEXT_SIZE];
    char smallest_change[VERDICT_TEXT_SIZE];
};

/*
 * ≤ 1 µs with 10,000 rules; allocates nothing (a name beyond ASCII apart, for
 * libidn2). -errno only for input beyond the limits. Views in the verdict are
 * good as long as the policy.
 */
int policy_decide(const struct policy *policy, const struct policy_destination *destination,
                  struct verdict *ret, struct err *err) MUST_CHECK;
/*
 * The second question, for each address that a permitted name resolved to: the
 * layers' answers on the name hold, their rules on ranges can only narrow
 * them, and a private, loopback, link-local, shared or metadata address is
 * denied unless a rule names it. A range of length 0 does not count against a
 * name that the same layer (the same document, of the enterprise) lists.
 */
int policy_decide_address(const struct policy *policy, const struct policy_destination *destination,
                          const struct address_range *address, struct verdict *ret,
                          struct err *err) MUST_CHECK;

#endif
