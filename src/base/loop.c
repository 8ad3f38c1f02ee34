/*
 * loop: see the header.
 *
 * Theory of operation. Descriptors stand in an epoll set, with their watch as
 * the datum; timers in a binary heap by moment, each of which knows its slot.
 * A turn takes events in batches. The rest of the batch is the loop's, so that
 * who stops a watch also takes it out of what is still to be called.
 *
 * Invariants: a timer's slot is where the heap has it, while due_ms is not 0;
 * no watch is called after it was stopped; a turn ends, however busy the
 * descriptors are.
 */
#include "base/loop.h"

#include <stdlib.h>

#include "base/clock.h"

#define STEP_LOOP   "wait for descriptors"
#define BATCHES_MAX 8 /* of one turn: then whoever owns the process has its own look */

struct loop {
    int epoll;
    struct epoll_event batch[LOOP_EVENTS_MAX];
    int next, count; /* of the batch: what is still to be called */
    struct loop_timer **heap;
    size_t timer_count, timer_capacity;
};

int loop_new(struct loop **ret, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return err_set(err, ERR_MEMORY, STEP_LOOP, "there is not enough memory");
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        int r = err_set_errno(err, errno, STEP_LOOP, "the kernel gives no epoll set");
        free(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    close(loop->epoll);
    free(loop->heap);
    free(loop);
}

int loop_fd(const struct loop *loop)
{
    return loop->epoll;
}

/* --- descriptors --------------------------------------------------------------------------- */

/* loop_take of another loop's thread may look at one that has just become ours. */
static void set_loop(struct loop_watch *watch, const struct loop *loop)
{
    __atomic_store_n(&watch->loop, loop, __ATOMIC_RELAXED);
}

int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    watch->fd = fd;
    set_loop(watch, loop);
    return 0;
}

int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };
    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? -errno : 0;
}

static void forget_batched(struct loop *loop, const struct loop_watch *watch)
{
    for (int i = loop->next; i < loop->count; i++)
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
}

int loop_watch_move(struct loop *loop, struct loop_watch *from, struct loop_watch *to,
                    uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = to };
    if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, from->fd, &event) < 0)
        return -errno;
    to->fd = TAKE_FD(from->fd);
    set_loop(to, loop);
    set_loop(from, NULL);
    forget_batched(loop, from);
    return 0;
}

void loop_watch_stop(struct loop *loop, struct loop_watch *watch)
{
    if (watch->fd < 0)
        return;
    (void)!epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    set_loop(watch, NULL);
    forget_batched(loop, watch);
}

/* --- moments ------------------------------------------------------------------------------- */

static void put(struct loop *loop, size_t slot, struct loop_timer *timer)
{
    loop->heap[slot] = timer;
    timer->slot = slot;
}

static void rise(struct loop *loop, struct loop_timer *timer)
{
    size_t slot = timer->slot;
    while (slot && loop->heap[(slot - 1) / 2]->due_ms > timer->due_ms) {
        put(loop, slot, loop->heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    put(loop, slot, timer);
}

static void sink(struct loop *loop, struct loop_timer *timer)
{
    size_t slot = timer->slot;
    for (;;) {
        size_t child = 2 * slot + 1;
        if (child + 1 < loop->timer_count &&
            loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms)
            child++;
        if (child >= loop->timer_count || loop->heap[child]->due_ms >= timer->due_ms)
            break;
        put(loop, slot, loop->heap[child]);
        slot = child;
    }
    put(loop, slot, timer);
}

static int grow(struct loop *loop)
{
    size_t capacity = loop->timer_capacity ? 2 * loop->timer_capacity : 64;
    if (loop->timer_count >= LOOP_TIMERS_MAX)
        return -E2BIG;
    struct loop_timer **heap = realloc(loop->heap, capacity * sizeof(struct loop_timer *));
    if (!heap)
        return -ENOMEM;
    loop->heap = heap;
    loop->timer_capacity = capacity;
    return 0;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms)
{
    if (!timer->due_ms) {
        int r = loop->timer_count == loop->timer_capacity ? grow(loop) : 0;
        if (r < 0)
            return r;
        put(loop, loop->timer_count++, timer);
    }
    timer->due_ms = due_ms > 0 ? due_ms : 1;
    rise(loop, timer);
    sink(loop, timer);
    return 0;
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    if (!timer->due_ms)
        return;
    struct loop_timer *last = loop->heap[--loop->timer_count];
    timer->due_ms = 0;
    if (last == timer)
        return;
    put(loop, timer->slot, last);
    rise(loop, last);
    sink(loop, last);
}

int64_t loop_due(const struct loop *loop)
{
    return loop->timer_count ? loop->heap[0]->due_ms : 0;
}

static void call_due(struct loop *loop)
{
    int64_t now = clock_passed_ms();
    /* As many as there are now: who sets itself anew for now has its turn the next time. */
    for (size_t left = loop->timer_count; left && loop_due(loop) && loop_due(loop) <= now; left--) {
        struct loop_timer *timer = loop->heap[0];
        loop_timer_stop(loop, timer);
        timer->due(timer);
    }
}

/* --- a turn -------------------------------------------------------------------------------- */

void loop_turn(struct loop *loop)
{
    for (int batches = 0; batches < BATCHES_MAX; batches++) {
        loop->count = epoll_wait(loop->epoll, loop->batch, LOOP_EVENTS_MAX, 0);
        if (loop->count <= 0)
            break;
        for (loop->next = 0; loop->next < loop->count;) {
            const struct epoll_event *event = &loop->batch[loop->next++];
            struct loop_watch *watch = event->data.ptr;
            if (watch)
                watch->ready(watch, event->events);
        }
    }
    loop->next = loop->count = 0;
    call_due(loop);
}

int loop_wait(const struct loop *loop, struct epoll_event ret[LOOP_EVENTS_MAX], int ms)
{
    return epoll_wait(loop->epoll, ret, LOOP_EVENTS_MAX, ms);
}

void loop_take(struct loop *loop, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = events[i].data.ptr;
        if (__atomic_load_n(&watch->loop, __ATOMIC_RELAXED) == loop)
            watch->ready(watch, events[i].events);
    }
    call_due(loop);
}
