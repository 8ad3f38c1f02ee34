#include "doors/network/flow_test.h"

#include "base/file.h"
#include "doors/network/flow_parts.h"

#define HELLO "tests/corpus/client_hello/plain" /* names api.example.com */

/* --- relaying ------------------------------------------------------------------------------- */

TEST(bytes_go_both_ways_and_each_end_is_passed_on_alone)
{
    struct scene scene;
    scene_open(&scene);
    struct pair pair = scene_pair(&scene);
    scene_send(pair.client, STR("question"));
    CHECK_INT(shutdown(pair.client, SHUT_WR), 0);
    scene_check_receives(&scene, pair.server, STR("question"));
    scene_check_ended(&scene, pair.server);
    CHECK_INT(flows_count(scene.flows, FLOW_CLIENT_ENDED), 1);
    scene_send(pair.server, STR("the answer"));
    scene_check_receives(&scene, pair.client, STR("the answer"));
    close(pair.server);
    scene_check_ended(&scene, pair.client);
    close(pair.client);
    scene_wait_quiet(&scene);
    CHECK_INT(scene.asked, 1);
    CHECK_INT(scene.refused, 0);
    CHECK_INT(scene.use.connections, 1);
    CHECK_INT(scene.use.sent_bytes, 8);
    CHECK_INT(scene.use.received_bytes, 10);
    scene_close(&scene);
}

TEST(a_server_that_speaks_first_is_heard_and_may_end_first)
{
    struct scene scene;
    scene_open(&scene);
    struct pair pair = scene_pair(&scene);
    scene_send(pair.server, STR("220 ready"));
    CHECK_INT(shutdown(pair.server, SHUT_WR), 0);
    scene_check_receives(&scene, pair.client, STR("220 ready"));
    scene_check_ended(&scene, pair.client);
    CHECK_INT(flows_count(scene.flows, FLOW_SERVER_ENDED), 1);
    scene_send(pair.client, STR("bye"));
    scene_check_receives(&scene, pair.server, STR("bye"));
    pair_close(&pair);
    scene_wait_quiet(&scene);
    scene_close(&scene);
}

/* Sends what still fits, and reads what has come; the bytes follow a pattern. */
#define BULK ((size_t)48 << 20)

static char pattern(size_t at)
{
    return (char)(at * 31 + (at >> 16));
}

static size_t send_some(int fd, size_t at)
{
    char bytes[40000];
    size_t len = BULK - at < sizeof(bytes) ? BULK - at : sizeof(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = pattern(at + i);
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
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

static void check_bulk(struct scene *scene, int from, int to)
{
    size_t sent = 0, received = 0, wrong = 0;
    int64_t until = clock_passed_ms() + WAIT_MS;
    while (received < BULK && clock_passed_ms() < until) {
        sent += send_some(from, sent);
        if (sent == BULK)
            (void)shutdown(from, SHUT_WR);
        loop_turn(scene->loop);
        received += receive_some(to, received, &wrong);
    }
    CHECK_INT(received, BULK);
    CHECK_INT(wrong, 0);
    scene_check_ended(scene, to);
}

TEST(a_transfer_arrives_whole_in_either_direction)
{
    struct scene scene;
    scene_open(&scene);
    struct pair pair = scene_pair(&scene);
    check_bulk(&scene, pair.client, pair.server);
    check_bulk(&scene, pair.server, pair.client);
    scene_wait_quiet(&scene);
    CHECK_INT(scene.use.sent_bytes, BULK);
    CHECK_INT(scene.use.received_bytes, BULK);
    pair_close(&pair);
    scene_close(&scene);
}

TEST(who_does_not_read_slows_the_sender_down_and_gets_everything_in_the_end)
{
    struct scene scene;
    scene_open(&scene);
    struct pair pair = scene_pair(&scene);
    size_t sent = 0, received = 0, wrong = 0, before;
    do { /* until two rounds of the loop make no room */
        before = sent;
        sent += send_some(pair.client, sent);
        (void)scene_turn(&scene, pair.client, POLLOUT, clock_passed_ms() + 100);
        sent += send_some(pair.client, sent);
    } while (sent > before);
    CHECK(sent < BULK);
    CHECK_INT(flows_count(scene.flows, FLOW_OPEN), 1);
    int64_t until = clock_passed_ms() + WAIT_MS;
    while (received < sent && clock_passed_ms() < until) {
        loop_turn(scene.loop);
        received += receive_some(pair.server, received, &wrong);
    }
    CHECK_INT(received, sent);
    CHECK_INT(wrong, 0);
    pair_close(&pair);
    scene_wait_quiet(&scene);
    scene_close(&scene);
}

TEST(a_side_that_goes_away_takes_the_other_with_it)
{
    static const struct linger at_once = { .l_onoff = 1 };
    struct scene scene;
    scene_open(&scene);
    for (int which = 0; which < 2; which++) {
        struct pair pair = scene_pair(&scene);
        int gone = which ? pair.client : pair.server, other = which ? pair.server : pair.client;
        scene_wait_state(&scene, FLOW_OPEN, 1);
        CHECK_INT(setsockopt(gone, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
        close(gone);
        scene_check_reset(&scene, other);
        close(other);
        scene_wait_quiet(&scene);
    }
    scene_close(&scene);
}

TEST(what_a_server_said_before_it_went_away_is_delivered)
{
    struct scene scene;
    scene_open(&scene);
    struct pair pair = scene_pair(&scene);
    scene_send(pair.client, STR("a request that nobody reads"));
    scene_wait(&scene, pair.server, POLLIN);
    scene_send(pair.server, STR("413 too much"));
    close(pair.server); /* with unread bytes: a reset */
    scene_check_receives(&scene, pair.client, STR("413 too much"));
    scene_check_reset(&scene, pair.client);
    close(pair.client);
    scene_wait_quiet(&scene);
    scene_close(&scene);
}

/* --- asking --------------------------------------------------------------------------------- */

TEST(what_is_denied_is_reset_and_nobody_hears_of_it)
{
    struct scene scene;
    scene_open(&scene);
    scene.denied_name = "api.example.com";
    int client = scene_dial(&scene);
    scene_check_reset(&scene, client);
    CHECK(!scene_was_dialled(scene.server));
    CHECK_INT(scene.asked, 1);
    CHECK_INT(scene.refused, 0); /* it was the door that said so */
    close(client);
    scene_close(&scene);
}

TEST(an_address_that_stands_for_nothing_leads_nowhere)
{
    struct scene scene;
    scene_open(&scene);
    scene.stands_for_nothing = true;
    scene_check_refused(&scene, scene_dial(&scene), REFUSED_BY_POLICY);
    CHECK_INT(scene.asked, 0);
    scene_close(&scene);
}

TEST(denied_addresses_of_a_name_are_not_connected_to)
{
    struct scene scene;
    scene_open(&scene);
    int other = scene_listen("127.0.0.2", 8, &scene.server_port);
    scene.permit.fixed[0] = scene_range("127.0.0.2");
    scene.permit.fixed[1] = scene_range("127.0.0.1");
    scene.permit.fixed_count = 2;
    scene.denied_addresses = "127.0.0.2 ";
    struct pair pair = scene_pair(&scene);
    CHECK(!scene_was_dialled(other));
    pair_close(&pair);
    scene_wait_quiet(&scene);
    scene.denied_addresses = "127.0.0.1 127.0.0.2 ";
    scene_check_refused(&scene, scene_dial(&scene), REFUSED_ADDRESS);
    close(other);
    scene_close(&scene);
}

static void check_reached(const char *const *addresses, size_t count)
{
    struct scene scene;
    int fillers[3];
    scene_open(&scene);
    /* Nobody listens on 127.0.0.3; on 127.0.0.2, somebody who takes no more. */
    int full = scene_listen("127.0.0.2", 0, &scene.server_port);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        fillers[i] = scene_dial_to(full);
    for (size_t i = 0; i < count; i++)
        scene.permit.fixed[i] = scene_range(addresses[i]);
    scene.permit.fixed_count = count;
    struct pair pair = scene_pair(&scene);
    scene_send(pair.server, STR("who is there"));
    scene_check_receives(&scene, pair.client, STR("who is there"));
    scene_send(pair.client, STR("it is me"));
    scene_check_receives(&scene, pair.server, STR("it is me"));
    pair_close(&pair);
    scene_wait_quiet(&scene);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        close(fillers[i]);
    close(full);
    scene_close(&scene);
}

TEST(the_next_address_is_tried_where_one_refuses_or_is_silent)
{
    check_reached((const char *[]){ "127.0.0.3", "127.0.0.2", "127.0.0.1" }, 3);
    check_reached((const char *[]){ "127.0.0.2", "127.0.0.3", "127.0.0.1" }, 3);
    check_reached((const char *[]){ "127.0.0.2", "127.0.0.1" }, 2);
    check_reached((const char *[]){ "127.0.0.3", "::1", "127.0.0.1" }, 3);
}

TEST(where_nobody_answers_the_client_is_reset)
{
    struct scene scene;
    scene_open(&scene);
    scene.permit.fixed[0] = scene_range("127.0.0.3");
    scene_check_refused(&scene, scene_dial(&scene), REFUSED_UNREACHABLE);
    CHECK_TEXT(scene.detail, "Connection refused");
    scene_close(&scene);
}

TEST(a_name_is_resolved_outside_and_its_addresses_are_asked_about)
{
    struct scene scene;
    scene_open(&scene);
    scene.permit.fixed_count = 0;
    snprintf(scene.dialled.name, sizeof(scene.dialled.name), "localhost");
    struct pair pair = scene_pair(&scene);
    scene_send(pair.client, STR("here"));
    scene_check_receives(&scene, pair.server, STR("here"));
    pair_close(&pair);
    scene_wait_quiet(&scene);
    scene.denied_addresses = "127.0.0.1 ::1 ";
    scene_check_refused(&scene, scene_dial(&scene), REFUSED_ADDRESS);
    scene_close(&scene);
}

TEST(a_name_that_nobody_knows_is_refused)
{
    struct scene scene;
    uint16_t port = 0;
    char servers[32];
    scene_open(&scene);
    close(scene_listen("127.0.0.1", 1, &port)); /* nobody answers there */
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", port);
    CHECK_INT(outside_set_servers(scene.outside, servers), 0);
    scene.permit.fixed_count = 0;
    scene_check_refused(&scene, scene_dial(&scene), REFUSED_UNRESOLVED);
    scene_close(&scene);
}

TEST(a_client_that_leaves_while_its_name_is_resolved_is_forgotten)
{
    static const struct linger at_once = { .l_onoff = 1 };
    struct scene scene;
    uint16_t port = 0;
    char servers[32];
    scene_open(&scene);
    int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(at);
    CHECK_INT(bind(silent, (struct sockaddr *)&at, len), 0);
    CHECK_INT(getsockname(silent, (struct sockaddr *)&at, &len), 0);
    port = ntohs(at.sin_port);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", port);
    CHECK_INT(outside_set_servers(scene.outside, servers), 0);
    scene.permit.fixed_count = 0;
    int client = scene_dial(&scene);
    scene_wait_state(&scene, FLOW_RESOLVING, 1);
    CHECK_INT(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(client);
    scene_wait_quiet(&scene);
    close(silent);
    scene_close(&scene);
}

TEST(a_client_that_leaves_early_is_not_connected_for)
{
    static const struct linger at_once = { .l_onoff = 1 };
    struct scene scene;
    scene_open(&scene);
    scene.permit.tls = true;
    int client = scene_dial(&scene);
    scene_wait_state(&scene, FLOW_HELLO, 1);
    CHECK_INT(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(client);
    scene_wait_quiet(&scene);
    CHECK(!scene_was_dialled(scene.server));
    scene_close(&scene);
}

/* --- the hello ------------------------------------------------------------------------------ */

static void read_hello(struct buf *ret)
{
    CHECK_INT(file_read(HELLO, ret, NULL), 0);
}

TEST(a_hello_in_pieces_that_names_the_target_opens_and_arrives_whole)
{
    struct scene scene;
    struct buf hello = BUF_INIT;
    scene_open(&scene);
    read_hello(&hello);
    scene.permit.tls = true;
    int client = scene_dial(&scene);
    for (size_t i = 0; i < hello.len; i++) {
        CHECK(!scene_was_dialled(scene.server));
        scene_send(client, str_make(hello.data + i, 1));
        (void)scene_turn(&scene, -1, 0, clock_passed_ms());
    }
    scene_send(client, STR(" and more"));
    int server = scene_accept(&scene);
    scene_check_receives(&scene, server, buf_str(&hello));
    scene_check_receives(&scene, server, STR(" and more"));
    CHECK_INT(scene.use.sent_bytes, hello.len + 9);
    close(client);
    close(server);
    buf_release(&hello);
    scene_close(&scene);
}

static void check_hello_refused(struct str bytes, const char *name, enum door_refusal refusal)
{
    struct scene scene;
    scene_open(&scene);
    scene.permit.tls = true;
    snprintf(scene.dialled.name, sizeof(scene.dialled.name), "%s", name);
    int client = scene_dial(&scene);
    scene_send(client, bytes);
    scene_check_refused(&scene, client, refusal);
    scene_close(&scene);
}

TEST(what_does_not_name_the_target_is_refused)
{
    struct buf hello = BUF_INIT, nameless = BUF_INIT;
    read_hello(&hello);
    CHECK_INT(file_read("tests/corpus/client_hello/no-name", &nameless, NULL), 0);
    check_hello_refused(buf_str(&hello), "other.example.com", REFUSED_OTHER_NAME);
    check_hello_refused(buf_str(&hello), "example.com", REFUSED_OTHER_NAME);
    check_hello_refused(buf_str(&nameless), "api.example.com", REFUSED_NO_NAME);
    check_hello_refused(STR("GET / HTTP/1.1\r\n"), "api.example.com", REFUSED_NOT_TLS);
    check_hello_refused(STR("\x16\x03\x01\x40\0\x01\x01\0\0"), "api.example.com", REFUSED_LIMIT);
    buf_release(&hello);
    buf_release(&nameless);
}

TEST(a_hello_that_ends_halfway_is_refused)
{
    struct scene scene;
    struct buf hello = BUF_INIT;
    scene_open(&scene);
    read_hello(&hello);
    scene.permit.tls = true;
    int client = scene_dial(&scene);
    scene_send(client, str_make(hello.data, hello.len / 2));
    CHECK_INT(shutdown(client, SHUT_WR), 0);
    scene_check_refused(&scene, client, REFUSED_NOT_TLS);
    buf_release(&hello);
    scene_close(&scene);
}

TEST(behind_an_address_that_was_dialled_a_name_must_be_permitted_itself)
{
    struct scene scene;
    struct buf hello = BUF_INIT;
    scene_open(&scene);
    read_hello(&hello);
    scene.permit.tls = true;
    scene.dialled.name[0] = '\0';
    scene.dialled.address = scene_range("127.0.0.1");
    int client = scene_dial(&scene);
    scene_send(client, buf_str(&hello));
    int server = scene_accept(&scene);
    scene_check_receives(&scene, server, buf_str(&hello));
    CHECK_INT(scene.asked, 2);
    scene.denied_name = "api.example.com";
    int denied = scene_dial(&scene);
    scene_send(denied, buf_str(&hello));
    scene_check_reset(&scene, denied);
    CHECK(!scene_was_dialled(scene.server));
    flows_ask_again(scene.flows);
    scene_check_reset(&scene, client);
    close(client);
    close(denied);
    close(server);
    buf_release(&hello);
    scene_close(&scene);
}

/* --- permissions that end, and limits ------------------------------------------------------- */

TEST(what_is_not_permitted_any_more_is_reset_on_both_sides)
{
    struct scene scene;
    scene_open(&scene);
    struct pair kept = scene_pair(&scene);
    snprintf(scene.dialled.name, sizeof(scene.dialled.name), "other.example.com");
    struct pair revoked = scene_pair(&scene);
    scene_wait_state(&scene, FLOW_OPEN, 2);
    scene.denied_name = "other.example.com";
    flows_ask_again(scene.flows);
    scene_check_reset(&scene, revoked.client);
    scene_check_reset(&scene, revoked.server);
    scene_send(kept.client, STR("still here"));
    scene_check_receives(&scene, kept.server, STR("still here"));
    scene.denied_addresses = "127.0.0.1 ";
    flows_ask_again(scene.flows);
    scene_check_reset(&scene, kept.client);
    pair_close(&kept);
    pair_close(&revoked);
    scene_close(&scene);
}

TEST(beyond_the_limit_connections_wait_until_one_ends)
{
    struct flow_limits limits = flow_limits_default;
    struct scene scene;
    limits.flows = 2;
    scene_open_limited(&scene, &limits);
    struct pair first = scene_pair(&scene), second = scene_pair(&scene);
    int third = scene_dial(&scene);
    scene_send(third, STR("my turn"));
    (void)scene_turn(&scene, scene.server, POLLIN, clock_passed_ms());
    CHECK(!scene_was_dialled(scene.server));
    CHECK(!flows_has_room(scene.flows));
    pair_close(&first);
    int server = scene_accept(&scene);
    scene_check_receives(&scene, server, STR("my turn"));
    pair_close(&second);
    close(third);
    close(server);
    scene_wait_quiet(&scene);
    scene_close(&scene);
}

static void check_late(const struct flow_limits *limits, enum door_refusal refusal, bool tls,
                       bool silent)
{
    struct scene scene;
    uint16_t port = 0;
    int fillers[3] = { -1, -1, -1 }, full = -1;
    scene_open_limited(&scene, limits);
    scene.permit.tls = tls;
    if (silent) {
        full = scene_listen("127.0.0.1", 0, &port);
        for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
            fillers[i] = scene_dial_to(full);
        scene.dialled.port = port;
    }
    int client = scene_dial(&scene);
    scene_wait_refusals(&scene, 1);
    CHECK_INT(scene.refusal, refusal);
    scene_check_reset(&scene, client);
    close(client);
    for (size_t i = 0; silent && i < ARRAY_LEN(fillers); i++)
        close(fillers[i]);
    if (silent)
        close(full);
    scene_close(&scene);
}

TEST(who_says_nothing_answers_nothing_or_stays_too_long_is_reset)
{
    struct flow_limits limits = flow_limits_default;
    limits.hello_ms = 20;
    check_late(&limits, REFUSED_NOT_TLS, true, false);
    limits = flow_limits_default;
    limits.connect_ms = 20;
    check_late(&limits, REFUSED_UNREACHABLE, false, true);
    limits = flow_limits_default;
    limits.idle_ms = 20;
    check_late(&limits, REFUSED_LIMIT, false, false);
    limits = flow_limits_default;
    limits.total_ms = 20;
    limits.idle_ms = 10;
    check_late(&limits, REFUSED_LIMIT, false, false);
}

TEST(an_idle_flow_is_small)
{
    CHECK(sizeof(struct flow) <= FLOW_BYTES_IDLE);
}

/* --- adopted -------------------------------------------------------------------------------- */

static const struct flow_answers answers = { .opened = { "yes\n", 4 },
                                             .denied = { "no\n", 3 },
                                             .failed = { "sorry\n", 6 } };

/* A client whose other end the flows adopt. */
static int adopt(struct scene *scene, struct str first)
{
    int ends[2];
    uint16_t port = 0;
    int listener = scene_listen("127.0.0.1", 1, &port);
    ends[0] = scene_dial_to(listener);
    ends[1] = scene_accept_from(scene, listener);
    flows_adopt(scene->flows, ends[1], &scene->dialled, first, &answers);
    close(listener);
    return ends[0];
}

TEST(who_asked_in_words_is_answered_and_its_first_bytes_go_first)
{
    struct scene scene;
    scene_open(&scene);
    int client = adopt(&scene, STR("first "));
    scene_send(client, STR("then"));
    int server = scene_accept(&scene);
    scene_check_receives(&scene, client, STR("yes\n"));
    scene_check_receives(&scene, server, STR("first then"));
    close(client);
    close(server);
    scene_wait_quiet(&scene);
    CHECK_INT(scene.use.sent_bytes, 10);
    scene_close(&scene);
}

TEST(who_asked_in_words_is_told_of_a_denial_and_of_a_failure)
{
    struct scene scene;
    scene_open(&scene);
    scene.permit.fixed[0] = scene_range("127.0.0.3");
    int failed = adopt(&scene, STR(""));
    scene_check_receives(&scene, failed, STR("sorry\n"));
    scene_check_ended(&scene, failed);
    scene.denied_name = "api.example.com";
    int denied = adopt(&scene, STR("first"));
    scene_check_receives(&scene, denied, STR("no\n"));
    scene_check_ended(&scene, denied);
    close(failed);
    close(denied);
    scene_close(&scene);
}

TEST(who_asked_in_words_says_its_hello_after_the_answer)
{
    struct scene scene;
    struct buf hello = BUF_INIT;
    scene_open(&scene);
    read_hello(&hello);
    scene.permit.tls = true;
    int client = adopt(&scene, STR(""));
    scene_check_receives(&scene, client, STR("yes\n"));
    CHECK(!scene_was_dialled(scene.server));
    scene_send(client, buf_str(&hello));
    int server = scene_accept(&scene);
    scene_check_receives(&scene, server, buf_str(&hello));
    scene_send(server, STR("hello yourself"));
    scene_check_receives(&scene, client, STR("hello yourself"));
    close(client);
    close(server);
    buf_release(&hello);
    scene_close(&scene);
}
