#include "doors/network/flow_test.h"

#include "doors/network/flow_parts.h"

#define PAIRS 8
#define BULK  ((size_t)24 << 20)

/* One question and its answer, as often as makes a flow last. */
static void make_last(struct scene *scene, const struct pair *pair)
{
    for (int i = 0; i <= FLOW_LASTS_AFTER / 2; i++) {
        scene_send(pair->client, STR("question"));
        scene_check_receives(scene, pair->server, STR("question"));
        scene_send(pair->server, STR("answer"));
        scene_check_receives(scene, pair->client, STR("answer"));
    }
}

/* Two flows that last: each has a thread for itself where there is more than one processor. */
static void open_two(struct scene *scene, const struct flow_limits *limits, struct pair ret[2])
{
    scene_open_limited(scene, limits);
    for (int i = 0; i < 2; i++)
        ret[i] = scene_pair(scene);
    for (int i = 0; i < 2; i++)
        make_last(scene, &ret[i]);
    for (size_t i = 0; i < FLOW_CARRIERS; i++)
        CHECK_INT(scene->flows->carriers[i].count, scene->flows->is_alone ? 0 : 1);
}

static size_t carried(const struct scene *scene)
{
    size_t count = 0;
    for (size_t i = 0; i < FLOW_CARRIERS; i++)
        count += scene->flows->carriers[i].count;
    return count;
}

static void close_all(struct scene *scene, struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pair_close(&pairs[i]);
    scene_wait_quiet(scene);
    CHECK_INT(carried(scene), 0);
    scene_close(scene);
}

static void wait_until_one_is_carried(struct scene *scene)
{
    int64_t until = clock_passed_ms() + WAIT_MS;
    while (carried(scene) > 1 && clock_passed_ms() < until)
        (void)scene_turn(scene, -1, 0, until);
    CHECK_INT(carried(scene), scene->flows->is_alone ? 0 : 1);
}

TEST(flows_that_last_are_shared_out_and_counted_whoever_relays_them)
{
    struct scene scene;
    struct pair pairs[2];
    open_two(&scene, NULL, pairs);
    size_t exchanges = 2 * (FLOW_LASTS_AFTER / 2 + 1);
    for (int i = 0; i < 100; i++)
        for (int k = 0; k < 2; k++, exchanges++) {
            scene_send(pairs[k].client, STR("question"));
            scene_check_receives(&scene, pairs[k].server, STR("question"));
            scene_send(pairs[k].server, STR("answer"));
            scene_check_receives(&scene, pairs[k].client, STR("answer"));
        }
    for (int k = 0; k < 2; k++)
        pair_close(&pairs[k]);
    scene_wait_quiet(&scene); /* what was sent is counted by then */
    CHECK_INT(use_read(&scene.use.sent_bytes), exchanges * strlen("question"));
    CHECK_INT(use_read(&scene.use.received_bytes), exchanges * strlen("answer"));
    close_all(&scene, pairs, 0);
}

TEST(short_ones_are_relayed_by_the_door_and_one_that_lasts_needs_one_thread)
{
    struct scene scene;
    scene_open(&scene);
    struct pair pairs[2] = { scene_pair(&scene), scene_pair(&scene) };
    scene_send(pairs[1].client, STR("short"));
    scene_check_receives(&scene, pairs[1].server, STR("short"));
    CHECK(!scene.flows->carriers[0].carrier);
    make_last(&scene, &pairs[0]);
    CHECK(scene.flows->is_alone || carried(&scene) == 1);
    CHECK(!scene.flows->carriers[1].carrier);
    close_all(&scene, pairs, 2);
}

TEST(a_carried_flow_ends_one_way_and_then_the_other)
{
    struct scene scene;
    struct pair pairs[2];
    open_two(&scene, NULL, pairs);
    scene_send(pairs[1].client, STR("the last"));
    CHECK_INT(shutdown(pairs[1].client, SHUT_WR), 0);
    scene_check_receives(&scene, pairs[1].server, STR("the last"));
    scene_check_ended(&scene, pairs[1].server);
    scene_wait_state(&scene, FLOW_CLIENT_ENDED, 1);
    CHECK_INT(carried(&scene), scene.flows->is_alone ? 0 : 1);
    scene_send(pairs[1].server, STR("and the answer"));
    scene_check_receives(&scene, pairs[1].client, STR("and the answer"));
    close(pairs[1].server);
    scene_check_ended(&scene, pairs[1].client);
    close(pairs[1].client);
    close_all(&scene, pairs, 1);
}

TEST(a_side_of_a_carried_flow_that_goes_away_takes_the_other_with_it)
{
    static const struct linger at_once = { .l_onoff = 1 };
    struct scene scene;
    struct pair pairs[2];
    open_two(&scene, NULL, pairs);
    CHECK_INT(setsockopt(pairs[1].server, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(pairs[1].server);
    scene_check_reset(&scene, pairs[1].client);
    wait_until_one_is_carried(&scene);
    close(pairs[1].client);
    close_all(&scene, pairs, 1);
}

static char pattern(size_t at)
{
    return (char)(at * 31 + (at >> 16));
}

/* As much as goes; whether all of BULK has been sent. */
static size_t send_some(int fd, size_t at)
{
    char bytes[40000];
    size_t len = BULK - at < sizeof(bytes) ? BULK - at : sizeof(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern(at + i);
    ssize_t n = len ? send(fd, bytes, len, MSG_NOSIGNAL) : 0;
    return n > 0 ? (size_t)n : 0;
}

static size_t receive_some(int fd, size_t at, size_t *wrong)
{
    char bytes[50000];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    for (ssize_t i = 0; i < n; i++)
        *wrong += bytes[i] != pattern(at + (size_t)i);
    return n > 0 ? (size_t)n : 0;
}

/* Fills what there is of room while nobody reads; the sender then goes; all of it arrives. */
TEST(what_a_slow_reader_has_not_taken_comes_after_the_flow_was_given_back)
{
    struct scene scene;
    struct pair pairs[2];
    size_t sent = 0, received = 0, wrong = 0, before;
    open_two(&scene, NULL, pairs);
    do {
        before = sent;
        (void)scene_turn(&scene, pairs[1].client, POLLOUT, clock_passed_ms() + 100);
        sent += send_some(pairs[1].client, sent);
    } while (sent > before && sent < BULK);
    CHECK(sent < BULK);
    close(pairs[1].client);
    int64_t until = clock_passed_ms() + WAIT_MS;
    while (received < sent && clock_passed_ms() < until) {
        loop_turn(scene.loop);
        received += receive_some(pairs[1].server, received, &wrong);
    }
    CHECK_INT(received, sent);
    CHECK_INT(wrong, 0);
    scene_check_ended(&scene, pairs[1].server);
    close(pairs[1].server);
    close_all(&scene, pairs, 1);
}

TEST(two_transfers_at_once_arrive_whole)
{
    struct scene scene;
    struct pair pairs[2];
    size_t sent[2] = { 0 }, received[2] = { 0 }, wrong = 0;
    open_two(&scene, NULL, pairs);
    int64_t until = clock_passed_ms() + WAIT_MS;
    while ((received[0] < BULK || received[1] < BULK) && clock_passed_ms() < until)
        for (int i = 0; i < 2; i++) {
            sent[i] += send_some(pairs[i].server, sent[i]);
            loop_turn(scene.loop);
            received[i] += receive_some(pairs[i].client, received[i], &wrong);
        }
    CHECK_INT(received[0], BULK);
    CHECK_INT(received[1], BULK);
    CHECK_INT(wrong, 0);
    close_all(&scene, pairs, 2);
}

TEST(a_carried_flow_that_is_not_permitted_any_more_is_reset)
{
    struct scene scene;
    struct pair pairs[2];
    open_two(&scene, NULL, pairs);
    scene_send(pairs[1].client, STR("while it is on its way"));
    scene.denied_name = "api.example.com";
    flows_ask_again(scene.flows);
    for (int i = 0; i < 2; i++) {
        scene_check_reset(&scene, pairs[i].client);
        pair_close(&pairs[i]);
    }
    close_all(&scene, pairs, 0);
}

TEST(a_carried_flow_has_its_time)
{
    struct flow_limits limits = flow_limits_default;
    struct scene scene;
    struct pair pairs[2];
    limits.idle_ms = 300;
    open_two(&scene, &limits, pairs);
    scene_wait_refusals(&scene, 2);
    CHECK_INT(scene.refusal, REFUSED_LIMIT);
    for (int i = 0; i < 2; i++)
        scene_check_reset(&scene, pairs[i].client);
    close_all(&scene, pairs, 2);
}

/* Ends of every kind, at any moment, while others go on: nothing is lost of those. */
TEST(flows_come_and_go_while_others_are_carried)
{
    static const struct linger at_once = { .l_onoff = 1 };
    struct scene scene;
    struct pair pairs[PAIRS];
    scene_open(&scene);
    for (size_t i = 0; i < PAIRS; i++) {
        pairs[i] = scene_pair(&scene);
        make_last(&scene, &pairs[i]);
    }
    CHECK(scene.flows->is_alone || carried(&scene) == PAIRS);
    for (size_t round = 0; round < 6; round++)
        for (size_t i = 0; i < PAIRS; i++) {
            scene_send(pairs[i].client, STR("question"));
            scene_send(pairs[i].server, STR("unasked"));
            if (i % 3 == round % 3) {
                int goes = round % 2 ? pairs[i].client : pairs[i].server;
                if (round % 3 == 1)
                    (void)setsockopt(goes, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
                pair_close(&pairs[i]);
                pairs[i] = scene_pair(&scene);
                make_last(&scene, &pairs[i]);
            } else {
                scene_check_receives(&scene, pairs[i].server, STR("question"));
                scene_check_receives(&scene, pairs[i].client, STR("unasked"));
            }
        }
    close_all(&scene, pairs, PAIRS);
}

TEST(the_door_closes_while_flows_are_carried)
{
    struct scene scene;
    struct pair pairs[2];
    open_two(&scene, NULL, pairs);
    scene_send(pairs[1].client, STR("unread"));
    scene_close(&scene);
    for (int i = 0; i < 2; i++)
        pair_close(&pairs[i]);
}
