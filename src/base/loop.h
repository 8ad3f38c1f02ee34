/*
 * loop: descriptors and moments that somebody waits for, behind one descriptor.
 *
 * What is waited for is embedded in its owner: a loop_watch for a descriptor,
 * a loop_timer for a moment. loop_turn calls whoever has something to do, and
 * never blocks; who owns the process waits on loop_fd, until loop_due.
 *
 * Any call may stop any watch or timer, also one that was to be called in the
 * same turn: it is not called any more, and its memory may be freed at once.
 */
#ifndef AM_BASE_LOOP_H
#define AM_BASE_LOOP_H

#include <sys/epoll.h>

#include "base/base.h"
#include "base/err.h"

#define LOOP_TIMERS_MAX 1000000

struct loop;

struct loop_watch {
    int fd;                  /* -1: nothing is waited for */
    const struct loop *loop; /* the loop's own: that watches it */
    void (*ready)(struct loop_watch *watch, uint32_t events);
};

struct loop_timer {
    int64_t due_ms; /* as clock_passed_ms counts; 0: it is not set */
    void (*due)(struct loop_timer *timer);
    size_t slot; /* the loop's own */
};

#define LOOP_OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

int loop_new(struct loop **ret, struct err *err) MUST_CHECK;
/* Whoever still waits is forgotten. NULL is nothing. */
void loop_free(struct loop *loop);

/* Readable when loop_turn has something to do for a descriptor. */
int loop_fd(const struct loop *loop);
/* The earliest moment that somebody waits for; 0: nobody does. */
int64_t loop_due(const struct loop *loop);
/* Calls for all that is ready and due, again while there is more, in bounds. */
void loop_turn(struct loop *loop);

/*
 * The same for a loop that one thread waits for and others change under a lock: loop_wait without
 * the lock, for `ms` at most (-1: for ever), then loop_take with it. What was stopped in between is
 * not called; its memory stays until loop_take has returned.
 */
#define LOOP_EVENTS_MAX 128
int loop_wait(const struct loop *loop, struct epoll_event ret[LOOP_EVENTS_MAX], int ms) MUST_CHECK;
void loop_take(struct loop *loop, const struct epoll_event *events, int count);

/* `events` as epoll has them; `watch` stays where it is until it is stopped. 0 or -errno. */
int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events) MUST_CHECK;
int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events) MUST_CHECK;
/* Whoever `to` belongs to waits for the descriptor from now on; nobody does for `from`. */
int loop_watch_move(struct loop *loop, struct loop_watch *from, struct loop_watch *to,
                    uint32_t events) MUST_CHECK;
/* The descriptor stays open, and the caller's. One that is not watched is nothing. */
void loop_watch_stop(struct loop *loop, struct loop_watch *watch);

/* Sets it, or sets it anew. 0, -ENOMEM, or -E2BIG beyond LOOP_TIMERS_MAX. */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms) MUST_CHECK;
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

#endif
