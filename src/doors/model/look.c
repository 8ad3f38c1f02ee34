/*
 * look: see the header.
 *
 * Theory of operation. A loop of its own, and a call of upstream.c for each; those
 * that have not ended when the time is over are left. No credential is ever shown
 * and no prompt is in a question, so that there is nothing to settle.
 */
#include "doors/model/look.h"

#include <poll.h>

#include "base/clock.h"

static void on_head(void *context, const struct upstream_answer *answer)
{
    struct look *look = context;
    look->status = answer->status;
}

/* One whose answer is too long has answered all the same. */
static bool on_body(void *context, struct str bytes)
{
    struct look *look = context;
    (void)!buf_add_str(&look->body, bytes);
    return true;
}

static void on_ended(void *context, enum upstream_end end, uint64_t sent, const char *cause)
{
    struct look *look = context;
    (void)sent;
    look->call = NULL;
    if (end != UPSTREAM_WHOLE)
        snprintf(look->cause, sizeof(look->cause), "%s", cause);
    --*look->left;
}

static bool on_address(void *context, const struct address_range *address)
{
    const struct look *look = context;
    return !look->address || look->address(look->context, address);
}

static void begin(struct look *look, struct upstream *upstream, size_t *left)
{
    struct err why = { 0 };
    look->request.is_get = true;
    look->body = BUF_INIT_LIMIT(LOOK_BODY_MAX);
    look->left = left;
    look->calls = (struct upstream_calls){
        .context = look, .address = on_address, .head = on_head, .body = on_body, .ended = on_ended
    };
    if (upstream_start(upstream, &look->request, &look->calls, &look->call, &why) < 0)
        snprintf(look->cause, sizeof(look->cause), "%.150s", why.cause);
    else
        ++*left;
}

int looks_take(struct look *looks, size_t count, const struct references *references,
               struct err *err)
{
    struct loop *loop = NULL;
    struct upstream *upstream = NULL;
    int64_t until = clock_passed_ms() + LOOK_MS;
    size_t left = 0;
    int r = loop_new(&loop, err);
    if (r == 0)
        r = upstream_new(loop, references, &upstream, err);
    for (size_t i = 0; i < count && r == 0; i++)
        begin(&looks[i], upstream, &left);
    while (r == 0 && left && clock_passed_ms() < until) {
        struct pollfd ready = { .fd = loop_fd(loop), .events = POLLIN };
        int64_t wait = until - clock_passed_ms(), due = loop_due(loop);
        if (due && due - clock_passed_ms() < wait)
            wait = due - clock_passed_ms();
        (void)!poll(&ready, 1, wait > 0 ? (int)wait : 0);
        loop_turn(loop);
    }
    for (size_t i = 0; i < count && r == 0; i++)
        if (looks[i].call) {
            upstream_cancel(TAKE_PTR(looks[i].call));
            snprintf(looks[i].cause, sizeof(looks[i].cause), "it does not answer in time");
            looks[i].status = 0;
        }
    upstream_free(upstream);
    loop_free(loop);
    return r;
}

void look_release(struct look *look)
{
    buf_release(&look->body);
}
