/*
 * carrier: see the header.
 *
 * Theory of operation. The thread waits for its loop without a lock, and tells
 * what has happened under one. The lock is two mutexes: who wants to enter holds `gate`
 * while it waits for `turn`, so that a thread that is busy cannot take the next
 * turn before it.
 *
 * Invariants: the loop, the pool and what is in them are touched under `turn`
 * alone; the thread takes no signal.
 */
#include "doors/network/carrier.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/clock.h"

#define STEP_CARRIER "relay connections in a second thread"
#define YIELDS       4 /* before it sleeps: to be woken costs more than to look again */
#define STACK_BYTES  ((size_t)128 << 10)

struct carrier {
    pthread_t thread;
    pthread_mutex_t gate, turn;
    struct loop *loop;
    struct pump_pool *pool;
    struct loop_watch wake; /* the thread's own: there is something new */
    int called;
    bool started, ends;
};

void carrier_enter(struct carrier *carrier)
{
    pthread_mutex_lock(&carrier->gate);
    pthread_mutex_lock(&carrier->turn);
    pthread_mutex_unlock(&carrier->gate);
}

void carrier_leave(struct carrier *carrier)
{
    pthread_mutex_unlock(&carrier->turn);
}

struct loop *carrier_loop(struct carrier *carrier)
{
    return carrier->loop;
}

struct pump_pool *carrier_pool(struct carrier *carrier)
{
    return carrier->pool;
}

static void wake_up(int fd)
{
    static const uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one));
}

static void rest(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof(count));
}

void carrier_call(struct carrier *carrier)
{
    wake_up(carrier->called);
}

int carrier_called(const struct carrier *carrier)
{
    return carrier->called;
}

void carrier_hear(struct carrier *carrier)
{
    rest(carrier->called);
}

static void hear_wake(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    rest(watch->fd);
}

/* How long nobody has to be called, in milliseconds; -1: not before something happens. */
static int patience(const struct loop *loop)
{
    int64_t due = loop_due(loop), now = clock_passed_ms();
    return !due ? -1 : due <= now ? 0 : due - now < INT32_MAX ? (int)(due - now) : INT32_MAX;
}

/* Others first, where there has just been something: what they do is what comes next. */
static int wait(const struct loop *loop, int ms, bool was_busy, struct epoll_event *ret)
{
    int count = 0;
    for (int i = 0; was_busy && i < YIELDS && count <= 0; i++) {
        sched_yield();
        count = loop_wait(loop, ret, 0);
    }
    return count > 0 ? count : loop_wait(loop, ret, ms);
}

static void *work(void *context)
{
    struct carrier *carrier = context;
    struct epoll_event events[LOOP_EVENTS_MAX];
    for (int count = 0;;) {
        carrier_enter(carrier);
        bool ends = carrier->ends;
        if (!ends)
            loop_take(carrier->loop, events, count);
        int wait_ms = patience(carrier->loop);
        carrier_leave(carrier);
        if (ends)
            return NULL;
        count = wait(carrier->loop, wait_ms, count > 0, events);
    }
}

static int start(struct carrier *carrier, struct err *err)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    int r = pthread_attr_init(&attributes);
    if (r == 0) {
        pthread_sigmask(SIG_SETMASK, &all, &before);
        (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
        r = pthread_create(&carrier->thread, &attributes, work, carrier);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    carrier->started = r == 0;
    return r == 0 ? 0 : err_set_errno(err, r, STEP_CARRIER, "there is no thread to be had");
}

static int watch_wake(struct carrier *carrier, struct err *err)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = fd < 0 ? -errno : loop_watch(carrier->loop, &carrier->wake, fd, EPOLLIN);
    if (r < 0 && fd >= 0)
        close(fd);
    carrier->called = r < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r == 0 && carrier->called < 0)
        r = -errno;
    return r == 0 ? 0 : err_set_errno(err, -r, STEP_CARRIER, "it cannot be spoken to");
}

int carrier_new(struct carrier **ret, struct err *err)
{
    cpu_set_t processors;
    if (sched_getaffinity(0, sizeof(processors), &processors) < 0 || CPU_COUNT(&processors) < 2)
        return err_set(err, ERR_UNSUPPORTED, STEP_CARRIER, "there is one processor alone");
    struct carrier *carrier = calloc(1, sizeof(*carrier));
    if (!carrier)
        return err_set(err, ERR_MEMORY, STEP_CARRIER, "there is not enough memory");
    pthread_mutex_init(&carrier->gate, NULL);
    pthread_mutex_init(&carrier->turn, NULL);
    carrier->wake = (struct loop_watch){ .fd = -1, .ready = hear_wake };
    carrier->called = -1;
    int r = loop_new(&carrier->loop, err);
    if (r == 0)
        r = pump_pool_new(&carrier->pool, err);
    if (r == 0)
        r = watch_wake(carrier, err);
    if (r == 0)
        r = start(carrier, err);
    if (r < 0) {
        carrier_free(carrier);
        return r;
    }
    *ret = carrier;
    return 0;
}

void carrier_free(struct carrier *carrier)
{
    if (!carrier)
        return;
    if (carrier->started) {
        carrier_enter(carrier);
        carrier->ends = true;
        carrier_leave(carrier);
        wake_up(carrier->wake.fd);
        pthread_join(carrier->thread, NULL);
    }
    cleanup_close(&carrier->wake.fd);
    cleanup_close(&carrier->called);
    loop_free(carrier->loop);
    pump_pool_free(carrier->pool);
    pthread_mutex_destroy(&carrier->turn);
    pthread_mutex_destroy(&carrier->gate);
    free(carrier);
}
