#include "base/loop.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "base/test.h"

struct scene {
    struct loop *loop;
    struct end {
        struct loop_watch watch;
        struct scene *scene;
        int other, called;
        struct end *stops;
    } ends[3];
};

static void take(struct loop_watch *watch, uint32_t events)
{
    struct end *end = LOOP_OWNER(watch, struct end, watch);
    char bytes[16];
    CHECK(events & EPOLLIN);
    end->called++;
    CHECK(read(watch->fd, bytes, sizeof(bytes)) > 0);
    if (end->stops)
        loop_watch_stop(end->scene->loop, &end->stops->watch);
}

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){ 0 };
    CHECK_INT(loop_new(&scene->loop, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(scene->ends); i++) {
        int pair[2];
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        scene->ends[i] =
            (struct end){ .watch = { .fd = -1, .ready = take }, .scene = scene, .other = pair[1] };
        CHECK_INT(loop_watch(scene->loop, &scene->ends[i].watch, pair[0], EPOLLIN), 0);
    }
}

static void close_scene(struct scene *scene)
{
    for (size_t i = 0; i < ARRAY_LEN(scene->ends); i++) {
        int fd = scene->ends[i].watch.fd;
        loop_watch_stop(scene->loop, &scene->ends[i].watch);
        close(fd);
        close(scene->ends[i].other);
    }
    loop_free(scene->loop);
}

TEST(those_who_have_something_are_called_and_the_others_are_not)
{
    struct scene scene;
    open_scene(&scene);
    CHECK(write(scene.ends[0].other, "a", 1) == 1);
    CHECK(write(scene.ends[2].other, "c", 1) == 1);
    loop_turn(scene.loop);
    CHECK_INT(scene.ends[0].called, 1);
    CHECK_INT(scene.ends[1].called, 0);
    CHECK_INT(scene.ends[2].called, 1);
    close_scene(&scene);
}

TEST(a_descriptor_that_moved_to_another_watch_calls_that_one)
{
    struct scene scene;
    open_scene(&scene);
    struct end other = { .watch = { .fd = -1, .ready = take }, .scene = &scene };
    CHECK(write(scene.ends[0].other, "a", 1) == 1);
    CHECK_INT(loop_watch_move(scene.loop, &scene.ends[0].watch, &other.watch, EPOLLIN), 0);
    CHECK_INT(scene.ends[0].watch.fd, -1);
    loop_turn(scene.loop);
    CHECK_INT(scene.ends[0].called, 0);
    CHECK_INT(other.called, 1);
    CHECK_INT(loop_watch_move(scene.loop, &other.watch, &scene.ends[0].watch, EPOLLIN), 0);
    close_scene(&scene);
}

TEST(who_is_stopped_within_a_turn_is_not_called_in_it)
{
    struct scene scene;
    open_scene(&scene);
    /* Whichever comes first stops the other. */
    int first = scene.ends[0].watch.fd, second = scene.ends[1].watch.fd;
    scene.ends[0].stops = &scene.ends[1];
    scene.ends[1].stops = &scene.ends[0];
    CHECK(write(scene.ends[0].other, "a", 1) == 1);
    CHECK(write(scene.ends[1].other, "b", 1) == 1);
    loop_turn(scene.loop);
    CHECK_INT(scene.ends[0].called + scene.ends[1].called, 1);
    close(scene.ends[0].called ? second : first);
    close_scene(&scene);
}

struct alarm {
    struct loop_timer timer;
    struct loop *loop;
    int called, *order;
    bool again;
};

static void ring(struct loop_timer *timer)
{
    struct alarm *alarm = LOOP_OWNER(timer, struct alarm, timer);
    alarm->called = ++*alarm->order;
    if (alarm->again)
        CHECK_INT(loop_timer_set(alarm->loop, timer, 1), 0);
}

TEST(timers_ring_in_their_order_and_one_that_was_stopped_does_not)
{
    enum { COUNT = 500 };
    static struct alarm alarms[COUNT];
    struct loop *loop;
    int order = 0, expected = 0;
    CHECK_INT(loop_new(&loop, NULL), 0);
    CHECK_INT(loop_due(loop), 0);
    for (int i = 0; i < COUNT; i++) {
        alarms[i] = (struct alarm){ .timer.due = ring, .loop = loop, .order = &order };
        CHECK_INT(loop_timer_set(loop, &alarms[i].timer, 1 + (i * 7919) % COUNT), 0);
    }
    for (int i = 0; i < COUNT; i += 3)
        loop_timer_stop(loop, &alarms[i].timer);
    CHECK_INT(loop_timer_set(loop, &alarms[1].timer, INT64_MAX), 0);
    loop_turn(loop);
    for (int moment = 1; moment <= COUNT; moment++)
        for (int i = 0; i < COUNT; i++)
            if (1 + (i * 7919) % COUNT == moment && i % 3 && i != 1)
                CHECK_INT(alarms[i].called, ++expected);
    CHECK_INT(order, expected);
    CHECK_INT(alarms[0].called + alarms[1].called, 0);
    CHECK(loop_due(loop) == INT64_MAX);
    loop_free(loop);
}

TEST(one_that_sets_itself_anew_does_not_hold_the_turn)
{
    struct loop *loop;
    int order = 0;
    CHECK_INT(loop_new(&loop, NULL), 0);
    struct alarm alarm = { .timer.due = ring, .loop = loop, .order = &order, .again = true };
    CHECK_INT(loop_timer_set(loop, &alarm.timer, 1), 0);
    loop_turn(loop);
    CHECK_INT(order, 1);
    CHECK(loop_due(loop) > 0 && loop_due(loop) <= clock_passed_ms());
    loop_free(loop);
}
