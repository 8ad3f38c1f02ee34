/*
 * forward: the request that a provider gets, made of what a client sent; and what of a provider's
 * answer a client gets.
 *
 * Headers of the connection, and whatever a client shows as a key, stay behind;
 * the credential of the route is put in, at this moment and nowhere else.
 */
#ifndef AM_DOORS_MODEL_FORWARD_H
#define AM_DOORS_MODEL_FORWARD_H

#include "authority/references.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "doors/model/http_request.h"
#include "doors/model/prompt.h"
#include "doors/model/route.h"
#include "doors/model/upstream.h"

/* Appends the address at which a route answers an endpoint. 0, -ENOMEM or -EMSGSIZE. */
int forward_address(const struct model_route *route, const struct endpoint *endpoint,
                    struct str upstream_model, struct str query, struct buf *ret) MUST_CHECK;

struct forward {
    struct upstream_request request;
    struct buf url, lines; /* what the request's texts point to; wiped when it is released */
};

/*
 * `client` and `edits` have to outlive the call upstream; `forward` only its start. Fails as
 * secret_resolve; ERR_DENIED: the base address is none for its route; ERR_DOCUMENT: the secret is
 * none that can be shown in a header; ERR_LIMIT.
 */
int forward_make(const struct http_request *client, const struct endpoint *endpoint,
                 const struct model_route *route, struct str upstream_model,
                 const struct prompt_edits *edits, const struct references *references,
                 struct forward *ret, struct err *err) MUST_CHECK;
void forward_release(struct forward *forward);

/* Appends those lines of an answer's head that a client gets; what they say of the body is told. */
struct forward_answer {
    struct str content_type; /* in the head that was read */
    uint64_t length;         /* UINT64_MAX: not said */
    bool is_encoded;         /* compressed, though nobody asked for it */
};
int forward_answer_head(struct str headers, struct buf *ret_lines,
                        struct forward_answer *ret) MUST_CHECK;

#endif
