/*
 * delegation: who may do what, signed, and only ever passed on narrower.
 *
 * A delegation is a Delegation document inside a DSSE envelope. The first of
 * a chain is signed by a user's key; each further one by the subject of the
 * one above, whose public key stands in it. Verification walks the chain up
 * to a root key that the caller trusts, and checks at every step that nothing
 * grew: operation types, scope, budget, time, depth.
 */
#ifndef AM_AUTHORITY_DELEGATION_H
#define AM_AUTHORITY_DELEGATION_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/sign.h"
#include "contract/vocabulary.h"
#include "ledger/ledger.h"

#define DELEGATION_PAYLOAD_TYPE  "application/vnd.srcos.delegation+json"
#define DELEGATION_DEPTH_MAX     8
#define DELEGATION_CLOCK_SKEW_MS 60000             /* a notBefore so far ahead is still accepted */
#define DELEGATION_BYTES_MAX     ((size_t)1 << 20) /* of the document, before it is enveloped */
#define DELEGATION_ENVELOPE_MAX  ((size_t)3 << 19)
#define DELEGATION_ID_MAX        512 /* bytes, the NUL included */

/* Where the ledger has them: documents by the delegation's URN, and keys by it. */
#define DELEGATION_ENVELOPE_TYPE    "DelegationEnvelope"
#define DELEGATION_REVOCATION_SPACE "revocation"

/* Brings the envelope of a delegation by its URN; -ENOENT where there is none. */
typedef int delegation_fetch(void *context, struct str urn, struct buf *ret, struct err *err);
/* Whether a delegation has been revoked: 1, 0, or -errno. */
typedef int delegation_revoked(void *context, struct str urn, struct err *err);

struct delegation_source {
    delegation_fetch *fetch;
    delegation_revoked *revoked;
    void *context;
    struct sign_public root; /* the user's key */
};

struct delegation {
    yyjson_doc *doc; /* the payload of the last link */
    struct str id, issuer, subject;
    unsigned operation_types; /* bits by enum operation_type */
    struct amounts ceiling;   /* 0 where a dimension is not named */
    int64_t not_before_ms, expires_ms;
    unsigned depth;
    size_t chain_count; /* links, this one included */
    char chain[DELEGATION_DEPTH_MAX + 1]
              [DELEGATION_ID_MAX]; /* their URNs, from this one to the root's */
};

/*
 * Signs a Delegation document (whose issuer is the key's owner): its schema must accept it, and it
 * must begin before it expires (ERR_DOCUMENT). Appends the envelope; the payload is canonical.
 */
int delegation_seal(const struct sign_key *key, struct str json, struct buf *ret,
                    struct err *err) MUST_CHECK;
/*
 * The same of a document that this program has written itself, for a user: its schema is not asked
 * (tests do that), and the delegation is as if the envelope had been verified. `ret_envelope` is
 * appended to; free `ret` with delegation_release.
 */
int delegation_mint(const struct sign_key *key, struct str json, struct buf *ret_envelope,
                    struct delegation *ret, struct err *err) MUST_CHECK;
/*
 * Verifies an envelope and the chain above it at a moment. ERR_DENIED says
 * which link failed in what. Free with delegation_release.
 */
int delegation_verify(struct str envelope, const struct delegation_source *source, int64_t now_ms,
                      struct delegation *ret, struct err *err) MUST_CHECK;
void delegation_release(struct delegation *delegation);

/* What an operation asks a delegation for; empty strings and NULL lists ask for nothing. */
struct delegation_request {
    enum operation_type operation_type;
    struct str subject, workspace, profile, network_profile;
    const struct str *tools, *providers;
    size_t tool_count, provider_count;
    const struct str *mount_paths, *mount_semantics; /* absolute host paths, beside one another */
    const bool *mounts_by_profile; /* beside them: the profile's scope is enough; NULL: of none */
    size_t mount_count;
    struct amounts budget;
};
/* 0 it covers it; ERR_DENIED names the first thing that it does not cover, and the remedy. */
int delegation_covers(const struct delegation *delegation, const struct delegation_request *request,
                      struct err *err) MUST_CHECK;
/*
 * 0 the inner document (JSON) is within the outer in every respect; ERR_DENIED says where not.
 * Their schema has accepted both.
 */
int delegation_narrows(const yyjson_val *outer, const yyjson_val *inner,
                       struct err *err) MUST_CHECK;

/* The document inside an envelope; nobody has verified it. */
int delegation_peek(struct str envelope, yyjson_doc **ret, struct err *err) MUST_CHECK;

/* --- in the ledger ------------------------------------------------------------------------- */

/* Chains and revocations as the ledger has them; the ledger outlives the source. */
void delegation_source_of(struct ledger *ledger, const struct sign_public *root,
                          struct delegation_source *ret);
/* The document of a delegation in the ledger; -ENOENT where there is none. Nothing is verified. */
int delegation_get(struct ledger *ledger, struct str urn, yyjson_doc **ret,
                   struct err *err) MUST_CHECK;
/*
 * Adds to a batch: the envelope under its delegation's URN, which must be new, and the event that
 * it was issued or passed on by its issuer. The envelope is one that delegation_seal made.
 */
int delegation_put(struct ledger_batch *batch, struct str envelope, int64_t now_ms,
                   struct err *err) MUST_CHECK;
/* Adds to a batch: the revocation (ERR_CONFLICT on commit if there is one) and its event. */
int delegation_put_revocation(struct ledger_batch *batch, struct str urn, struct str actor,
                              struct str reason, int64_t now_ms, struct err *err) MUST_CHECK;

#endif
