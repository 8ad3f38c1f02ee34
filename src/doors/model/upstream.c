/*
 * upstream: see the header.
 *
 * Theory of operation. There are two ways to a provider. One on this machine is asked
 * in plain HTTP/1.1 (upstream_plain.c), which is most of what a local model's client
 * waits for beside the model; whatever is beyond, or behind a proxy, by libcurl
 * (upstream_curl.c), which is loaded when the first such call is made.
 *
 * Invariant: what goes the plain way never leaves this machine.
 */
#include "doors/model/upstream_internal.h"

#define STEP_UPSTREAM "reach the model provider"

struct upstream {
    struct loop *loop;
    const struct references *references;
    struct upstream_plain *plain;
    struct upstream_curl *curl; /* NULL until it is needed */
};

int upstream_new(struct loop *loop, const struct references *references, struct upstream **ret,
                 struct err *err)
{
    struct upstream *upstream = calloc(1, sizeof(*upstream));
    if (!upstream)
        return err_set(err, ERR_MEMORY, STEP_UPSTREAM, "there is not enough memory");
    upstream->loop = loop;
    upstream->references = references;
    int r = upstream_plain_new(loop, &upstream->plain, err);
    if (r < 0)
        upstream_free(upstream);
    else
        *ret = upstream;
    return r;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    upstream_plain_free(upstream->plain);
    upstream_curl_free(upstream->curl);
    free(upstream);
}

int upstream_start(struct upstream *upstream, const struct upstream_request *request,
                   const struct upstream_calls *calls, struct upstream_call **ret, struct err *err)
{
    if (upstream_plain_takes(request))
        return upstream_plain_start(upstream->plain, request, calls, ret, err);
    int r = upstream->curl
                ? 0
                : upstream_curl_new(upstream->loop, upstream->references, &upstream->curl, err);
    return r < 0 ? r : upstream_curl_start(upstream->curl, request, calls, ret, err);
}

void upstream_cancel(struct upstream_call *call)
{
    call->way->cancel(call);
}

void upstream_go_on(struct upstream_call *call)
{
    call->way->go_on(call);
}

uint64_t upstream_sent(const struct upstream_call *call)
{
    return call->way->sent(call);
}
