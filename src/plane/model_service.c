/*
 * model_service: see the header.
 *
 * Theory of operation. The routes are read and the door is made before the batch
 * that begins the operation, so that one which could serve nothing never runs. From
 * then on one loop waits for clients, for signals, for whoever rings the doorbell,
 * and for the end of its time. Whatever ends it, the door is closed first: calls on
 * their way are settled, and the last batch has them all.
 *
 * A budget of calls or tokens that is used up does not end it: each call is told so
 * in its own protocol, and a smaller one may still fit. Its time does.
 *
 * Killed, it leaves what any process leaves: recovery charges what was set aside
 * (recover.c).
 */
#include "plane/model_service.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/loop.h"
#include "plane/gate_layers.h"
#include "plane/work.h"

#define STEP_SERVICE "serve models"
#define LOOK_MS      1000 /* at what is asked, should no doorbell have rung */

static int fail(struct effect_result *ret, const struct err *why)
{
    ret->end = STATE_FAILED;
    ret->failure = *why;
    return 0;
}

/* --- before -------------------------------------------------------------------------------- */

static int open_door(struct model_service *service, struct work *work, struct err *err)
{
    struct plane *plane = work_plane(work);
    struct model_door_options options = { .sink = &service->record.sink, .token = service->token };
    int r = model_routes_read(plane, work_text(work, WORK_OPERATION, "subjectRef"),
                              service->profile, &service->routes, err);
    if (r == 0 && !service->routes.count)
        r = err_set(err, ERR_NOT_FOUND, STEP_SERVICE,
                    "no model is bound to %.*s; see `agent-machine model bind`",
                    STR_ARG(service->profile));
    if (r == 0)
        r = model_record_init(&service->record, work, &service->routes, err);
    if (r < 0)
        return r;
    options.references = gate_layers_references(plane);
    options.routes = service->routes.routes;
    options.route_count = service->routes.count;
    return model_door_open(&options, &service->door, err);
}

static int prepare(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct model_service *service = context;
    struct err why = { 0 };
    (void)err;
    if (service->door) /* a second try of the same batch */
        return 0;
    return open_door(service, work, &why) < 0 ? fail(ret, &why) : 0;
}

/* --- serving ------------------------------------------------------------------------------- */

struct serving {
    struct model_service *service;
    struct work *work;
    struct loop *loop;
    struct loop_watch signals, doorbell;
    struct loop_timer wall, look;
    struct work_asked asked;
    bool ended;
};

static void end(struct serving *serving, enum service_end end)
{
    if (!serving->ended)
        serving->service->end = end;
    serving->ended = true;
}

static void take_signal(struct loop_watch *watch, uint32_t events)
{
    struct signalfd_siginfo info;
    (void)events;
    if (read(watch->fd, &info, sizeof(info)) == sizeof(info))
        end(LOOP_OWNER(watch, struct serving, signals), SERVICE_ASKED);
}

static int64_t cpu_seconds(void)
{
    struct rusage usage = { 0 };
    (void)!getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
}

static void exhaust(struct serving *serving, enum dimension dimension)
{
    if (!serving->ended)
        serving->service->exhausted = dimension;
    end(serving, SERVICE_EXHAUSTED);
}

/* A pause is none of a door's: a client that waits would not know why. */
static void look(struct serving *serving)
{
    struct err unknown;
    if (work_control(serving->work, &serving->asked, &unknown) < 0)
        end(serving, SERVICE_LOST);
    else if (serving->asked.asked >= ASKED_CANCEL)
        end(serving, SERVICE_CANCELLED);
}

static void take_ring(struct loop_watch *watch, uint32_t events)
{
    char ring;
    (void)events;
    while (recv(watch->fd, &ring, sizeof(ring), MSG_DONTWAIT) >= 0)
        ; /* however often it rang, one look will do */
    look(LOOP_OWNER(watch, struct serving, doorbell));
}

static void look_again(struct loop_timer *timer)
{
    struct serving *serving = LOOP_OWNER(timer, struct serving, look);
    look(serving);
    if (cpu_seconds() >= serving->service->cpu_seconds)
        exhaust(serving, DIMENSION_CPU_SECONDS);
    if (!serving->ended && loop_timer_set(serving->loop, timer, clock_passed_ms() + LOOK_MS) < 0)
        end(serving, SERVICE_LOST);
}

static void run_out(struct loop_timer *timer)
{
    exhaust(LOOP_OWNER(timer, struct serving, wall), DIMENSION_WALL_CLOCK_SECONDS);
}

static int watch_all(struct serving *serving, int signals, struct err *err)
{
    int64_t now = clock_passed_ms();
    int doorbell = work_doorbell(serving->work, err);
    if (doorbell < 0)
        return doorbell;
    serving->signals = (struct loop_watch){ .fd = -1, .ready = take_signal };
    serving->doorbell = (struct loop_watch){ .fd = -1, .ready = take_ring };
    serving->wall = (struct loop_timer){ .due = run_out };
    serving->look = (struct loop_timer){ .due = look_again };
    int r = loop_watch(serving->loop, &serving->signals, signals, EPOLLIN);
    if (r == 0)
        r = loop_watch(serving->loop, &serving->doorbell, doorbell, EPOLLIN);
    if (r == 0)
        r = loop_timer_set(serving->loop, &serving->look, now + LOOK_MS);
    if (r == 0)
        r = loop_timer_set(serving->loop, &serving->wall,
                           now + serving->service->wall_seconds * 1000);
    return r < 0 ? err_set_errno(err, -r, STEP_SERVICE, "cannot wait for clients") : 0;
}

static void wait_for_end(struct serving *serving)
{
    struct pollfd clients = { .fd = loop_fd(serving->loop), .events = POLLIN };
    while (!serving->ended) {
        int64_t left = loop_due(serving->loop) - clock_passed_ms();
        if (left > 0)
            (void)!poll(&clients, 1, left < LOOK_MS ? (int)left : LOOK_MS);
        loop_turn(serving->loop);
    }
}

static int hear_signals(sigset_t *ret_before, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, ret_before);
    signal(SIGPIPE, SIG_IGN); /* a client that is gone is an error of its connection's */
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? err_set_errno(err, errno, STEP_SERVICE, "cannot hear signals") : fd;
}

static int serve(struct serving *serving, struct err *err)
{
    struct model_service *service = serving->service;
    sigset_t before;
    _cleanup_(cleanup_close) int signals = hear_signals(&before, err);
    int r = signals < 0 ? signals : 0;
    if (r == 0)
        r = model_door_listen(service->door, TAKE_FD(service->listener), err);
    serving->loop = model_door_loop(service->door);
    if (r == 0)
        r = watch_all(serving, signals, err);
    if (r == 0) {
        service->started = true;
        if (service->begun)
            service->begun(service->begun_context, work_operation(serving->work));
        wait_for_end(serving);
    }
    loop_watch_stop(serving->loop, &serving->signals);
    loop_watch_stop(serving->loop, &serving->doorbell);
    loop_timer_stop(serving->loop, &serving->wall);
    loop_timer_stop(serving->loop, &serving->look);
    model_door_close(TAKE_PTR(service->door)); /* calls on their way are settled */
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

/* --- the end ------------------------------------------------------------------------------- */

static void measure(const struct model_service *service, struct amounts *ret)
{
    ret->of[DIMENSION_CPU_SECONDS] = cpu_seconds() + 1; /* one that was begun counts */
    ret->of[DIMENSION_MODEL_CALLS] = service->record.calls;
    ret->of[DIMENSION_TOKENS] = service->record.tokens;
}

/* That is said in an event, zero as zero: there is no LocalAgentExecution that could. */
static int tell_egress(struct model_service *service, struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    service->left = model_record_egress(&service->record);
    buf_addf(&extra, ",\"message\":\"Prompts that left this machine: %llu bytes in %llu calls.\"",
             (unsigned long long)service->left.bytes, (unsigned long long)service->left.calls);
    return extra.error ? err_set(err, ERR_MEMORY, STEP_SERVICE, "there is not enough memory")
                       : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

static void conclude(struct serving *serving, struct effect_result *ret)
{
    char budget[PLANE_URN_MAX];
    budget_urn(work_operation(serving->work), budget);
    switch (serving->service->end) {
    case SERVICE_ASKED:
        ret->end = STATE_COMPLETED;
        break;
    case SERVICE_EXHAUSTED:
        ret->end = STATE_FAILED;
        err_set(&ret->failure, ERR_BUDGET, STEP_SERVICE, "its %s are used up",
                dimension_names[serving->service->exhausted]);
        err_where(&ret->failure, "%s %s", dimension_names[serving->service->exhausted], budget);
        break;
    case SERVICE_CANCELLED:
        ret->end = STATE_CANCELED;
        memcpy(serving->service->end_reason, serving->asked.reason, sizeof(serving->asked.reason));
        if (serving->asked.asked == ASKED_REVOKED)
            err_set(&ret->failure, ERR_DENIED, STEP_SERVICE, "%s", serving->asked.reason);
        break;
    case SERVICE_LOST:
        ret->end = STATE_FAILED;
        err_set(&ret->failure, ERR_IO, STEP_SERVICE,
                "what is asked of it could not be known any more");
        break;
    }
}

static int start(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct model_service *service = context;
    struct serving serving = { .service = service, .work = work };
    struct err why = { 0 };
    int r = serve(&serving, &why);
    measure(service, &ret->used);
    if (r < 0)
        return fail(ret, &why);
    conclude(&serving, ret);
    return tell_egress(service, work, err);
}

void model_service_plug(struct model_service *service, struct plane_options *options)
{
    options->execution_prepare = prepare;
    options->execution_start = start;
    options->effect_context = service;
}

void model_service_release(struct model_service *service)
{
    cleanup_close(&service->listener);
    model_door_close(service->door);
    model_record_release(&service->record);
    model_routes_release(&service->routes);
}
