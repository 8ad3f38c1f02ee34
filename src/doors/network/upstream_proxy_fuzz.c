/*
 * Input: a byte that says which kind of proxy, and all that it answers, step
 * after step. What is used of an answer
 * is within it; more is wanted only below the limit.
 */
#include "doors/network/upstream_proxy.h"

#define STEPS_MAX 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct route route = {
        .kind = size && data[0] % 2 ? ROUTE_SOCKS5 : ROUTE_HTTP_PROXY,
        .authorization = size && data[0] & 2 ? "Basic bWU6c2VjcmV0" : NULL,
    };
    const struct target target = { .name = "api.example.com", .port = 443 };
    struct str left = str_from_offset(str_make((const char *)data, size), 1);
    struct upstream_proxy proxy;
    upstream_proxy_init(&proxy, &route);
    for (int step = 0;; step++) {
        struct buf said = BUF_INIT;
        size_t used = 0;
        int r = upstream_proxy_say(&proxy, &route, &target, &said);
        if (r < 0 ? r != -EINVAL || route.authorization : !said.len)
            abort();
        buf_release(&said);
        enum upstream_proxy_answer answer = upstream_proxy_hear(&proxy, left, &used);
        if (used > left.len || step > STEPS_MAX)
            abort();
        if (answer == UPSTREAM_PROXY_MORE && left.len >= UPSTREAM_PROXY_ANSWER_BYTES_MAX)
            abort();
        if (answer == UPSTREAM_PROXY_REFUSED && !proxy.refusal[0])
            abort();
        if (answer != UPSTREAM_PROXY_SAYS)
            return 0;
        left = str_from_offset(left, used);
    }
}
