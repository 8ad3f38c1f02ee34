/* Real sockets: the test is the supervisor, and children of it ask. */
#include "machine/control.h"

#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/test.h"

#define ASK_MS 10000
#define NOBODY 65534

struct place {
    char path[64];
    struct control *control;
};

static void open_place(struct place *place)
{
    struct err err = { 0 };
    snprintf(place->path, sizeof(place->path), "/tmp/am-control-XXXXXX");
    place->control = NULL;
    CHECK(mkdtemp(place->path));
    CHECK_INT(control_open(place->path, &place->control, &err), 0);
    CHECK_TEXT(err.cause, "");
}

static void close_place(struct place *place)
{
    control_free(place->control);
    CHECK(rmdir(place->path) == 0); /* nothing is left in it */
}

static void wait_for(int fd)
{
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    CHECK(poll(&readable, 1, ASK_MS) == 1);
}

static struct control_client *accept_one(struct place *place)
{
    struct control_client *client = NULL;
    wait_for(control_fd(place->control));
    CHECK_INT(control_accept(place->control, &client, NULL), 1);
    return client;
}

/* A connection of this process's own, and the supervisor's end of it. */
static int connect_one(struct place *place, struct control_client **ret_client)
{
    struct err err = { 0 };
    int fd = -1;
    CHECK_INT(control_connect(place->path, &fd, &err), 0);
    CHECK_TEXT(err.cause, "");
    *ret_client = accept_one(place);
    return fd;
}

static void send_text(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* What the peer has sent so far. */
static const char *receive(int fd)
{
    static char text[CONTROL_ANSWER_MAX];
    wait_for(fd);
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Asks in a child, which ends with 0, or with the error's code. */
static pid_t ask_in_child(const struct place *place, const struct control_request *request,
                          const char *expected)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid)
        return pid;
    struct buf answer = BUF_INIT;
    struct err err = { 0 };
    int fd = -1;
    if (control_connect(place->path, &fd, &err) == 0 &&
        control_ask(fd, request, ASK_MS, &answer, &err) == 0)
        _exit(strcmp(answer.data, expected) == 0 ? 0 : 99);
    _exit(strcmp(err.cause, expected) == 0 ? (int)err.code : 98);
}

static int exit_of(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* --- requests ------------------------------------------------------------------------------ */

static int parse(const char *line, struct control_request *ret)
{
    return control_parse(str_from(line), ret, NULL);
}

TEST(requests_are_read)
{
    struct control_request request;
    CHECK_INT(parse("{\"verb\":\"kill\"}", &request), 0);
    CHECK_INT(request.verb, CONTROL_KILL);
    CHECK_INT(parse("{\"verb\":\"stop\"}", &request), 0);
    CHECK_INT(request.timeout_ms, -1);
    CHECK_INT(parse("{\"timeoutMs\":0,\"verb\":\"stop\"}", &request), 0);
    CHECK_INT(request.timeout_ms, 0);
    CHECK_INT(parse("{\"verb\":\"resize\",\"rows\":24,\"columns\":80}", &request), 0);
    CHECK(request.rows == 24 && request.columns == 80);
    CHECK_INT(parse("{\"verb\":\"attach\"}", &request), 0);
    CHECK(request.rows == 0 && request.columns == 0);
    CHECK_INT(parse("{\"verb\":\"decide\",\"reference\":\"urn:x\",\"answer\":\"allow\"}", &request),
              0);
    CHECK(request.allow);
    CHECK_TEXT(request.reference, "urn:x");
}

TEST(what_is_no_request_is_refused)
{
    static const char *const lines[] = {
        "",
        "kill",
        "[]",
        "{}",
        "{\"verb\":\"nothing\"}",
        "{\"verb\":1}",
        "{\"verb\":\"kill\"} {\"verb\":\"kill\"}",
        "{\"verb\":\"kill\",\"verb\":\"kill\"}",
        "{\"verb\":\"kill\",\"rows\":1}",
        "{\"verb\":\"kill\",\"force\":true}",
        "{\"verb\":\"resize\"}",
        "{\"verb\":\"resize\",\"rows\":24}",
        "{\"verb\":\"attach\",\"rows\":24}",
        "{\"verb\":\"resize\",\"rows\":0,\"columns\":80}",
        "{\"verb\":\"resize\",\"rows\":24,\"columns\":10001}",
        "{\"verb\":\"resize\",\"rows\":24.0,\"columns\":80}",
        "{\"verb\":\"resize\",\"rows\":-24,\"columns\":80}",
        "{\"verb\":\"resize\",\"rows\":\"24\",\"columns\":80}",
        "{\"verb\":\"stop\",\"timeoutMs\":3600001}",
        "{\"verb\":\"revoke\"}",
        "{\"verb\":\"revoke\",\"reference\":\"\"}",
        "{\"verb\":\"revoke\",\"reference\":\"a\\nb\"}",
        "{\"verb\":\"revoke\",\"reference\":\"a\\u0000b\"}",
        "{\"verb\":\"revoke\",\"reference\":\"\xff\"}",
        "{\"verb\":\"decide\",\"reference\":\"urn:x\",\"answer\":\"yes\"}",
        "{\"verb\":\"decide\",\"reference\":\"urn:x\"}",
        "{\"verb\":\"kill\",}",
        "{\"verb\":\"kill\"/**/}",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct control_request request;
        if (parse(lines[i], &request) != -EBADMSG)
            test_fail(__FILE__, __LINE__, "accepted: %s", lines[i]);
    }
}

/* The line that is read at the most, of what takes the parser the most memory. */
TEST(longest_requests)
{
    char line[CONTROL_LINE_MAX + 1];
    struct control_request request;
    struct err err = { 0 };
    memset(line, '[', sizeof(line));
    CHECK_INT(control_parse(str_make(line, CONTROL_LINE_MAX - 1), &request, &err), -EBADMSG);
    CHECK_INT(control_parse(str_make(line, CONTROL_LINE_MAX), &request, &err), -EBADMSG);
    for (size_t i = 1; i < sizeof(line); i++)
        line[i] = i % 2 ? '0' : ',';
    line[CONTROL_LINE_MAX - 2] = ']';
    CHECK_INT(control_parse(str_make(line, CONTROL_LINE_MAX - 1), &request, &err), -EBADMSG);
    CHECK(strstr(err.cause, "one JSON object")); /* it was read, and is none */
    struct buf text = BUF_INIT;
    struct control_request longest = { .verb = CONTROL_DENY };
    memset(longest.reference, '"', CONTROL_TEXT_MAX);
    CHECK_INT(control_write(&longest, &text), 0);
    CHECK(text.len <= CONTROL_LINE_MAX);
    CHECK_INT(control_parse(str_make(text.data, text.len - 1), &request, NULL), 0);
    CHECK_TEXT(request.reference, longest.reference);
    buf_release(&text);
}

/* --- asking and answering ------------------------------------------------------------------- */

TEST(ask_and_answer)
{
    struct place place;
    struct control_request request = { .verb = CONTROL_STOP, .timeout_ms = 500 }, seen = { 0 };
    struct control_client *client;
    open_place(&place);
    pid_t pid = ask_in_child(&place, &request, "{\"ok\":true,\"state\":\"canceling\"}\n");
    client = accept_one(&place);
    wait_for(control_client_fd(client));
    CHECK_INT(control_read(client, &seen, NULL), 1);
    CHECK(seen.verb == CONTROL_STOP && seen.timeout_ms == 500);
    CHECK_INT(control_answer(client, STR("\"state\":\"canceling\"")), 0);
    CHECK_INT(exit_of(pid), 0);
    CHECK_INT(control_read(client, &seen, NULL), -EPIPE);
    control_close(client);
    close_place(&place);
}

TEST(a_refusal_is_the_askers_error)
{
    struct place place;
    struct control_request request = { .verb = CONTROL_PAUSE }, seen;
    struct err why = { 0 };
    open_place(&place);
    pid_t pid = ask_in_child(&place, &request, "not now:\n \"later\"");
    struct control_client *client = accept_one(&place);
    wait_for(control_client_fd(client));
    CHECK_INT(control_read(client, &seen, NULL), 1);
    err_set(&why, ERR_DENIED, "pause", "not now:\n \"later\"");
    CHECK_INT(control_refuse(client, &why), 0);
    CHECK_INT(exit_of(pid), ERR_DENIED);
    close_place(&place);
}

TEST(lines_come_in_pieces_and_in_heaps)
{
    struct place place;
    struct control_client *client;
    struct control_request request;
    open_place(&place);
    int fd = connect_one(&place, &client);
    CHECK_INT(control_read(client, &request, NULL), 0);
    send_text(fd, "{\"verb\":");
    CHECK_INT(control_read(client, &request, NULL), 0);
    send_text(fd, "\"pause\"}\n{\"verb\":\"resume\"}\n{\"verb\"");
    CHECK_INT(control_read(client, &request, NULL), 1);
    CHECK_INT(request.verb, CONTROL_PAUSE);
    CHECK_INT(control_read(client, &request, NULL), 1);
    CHECK_INT(request.verb, CONTROL_RESUME);
    CHECK_INT(control_read(client, &request, NULL), 0);
    send_text(fd, ":\"kill\"}\n");
    CHECK_INT(control_read(client, &request, NULL), 1);
    CHECK_INT(request.verb, CONTROL_KILL);
    close(fd);
    close_place(&place); /* with a client still there */
}

TEST(nonsense_is_answered_and_ends_the_client)
{
    struct place place;
    struct control_client *client;
    struct control_request request;
    struct err err = { 0 };
    char blank[CONTROL_LINE_MAX];
    open_place(&place);
    int fd = connect_one(&place, &client);
    send_text(fd, "{\"verb\":\"explode\"}\n");
    CHECK_INT(control_read(client, &request, &err), -EBADMSG);
    CHECK(strstr(receive(fd), "{\"ok\":false,\"error\":\"invalid-document\""));
    control_close(client);
    close(fd);
    fd = connect_one(&place, &client);
    memset(blank, ' ', sizeof(blank));
    CHECK(send(fd, blank, sizeof(blank), 0) == (ssize_t)sizeof(blank));
    CHECK_INT(control_read(client, &request, &err), -EBADMSG); /* a line without an end */
    CHECK(strstr(receive(fd), "\"invalid-syntax\""));
    control_close(client);
    close(fd);
    close_place(&place);
}

TEST(attach_turns_a_connection_over)
{
    struct place place;
    struct control_client *client;
    struct control_request request = { .verb = CONTROL_ATTACH, .rows = 24, .columns = 80 }, seen;
    struct buf line = BUF_INIT, answer = BUF_INIT;
    char bytes[64];
    open_place(&place);
    int fd = connect_one(&place, &client);
    control_write(&request, &line);
    buf_add_text(&line, "ls\n");
    send_text(fd, line.data);
    CHECK_INT(control_read(client, &seen, NULL), 1);
    CHECK(seen.verb == CONTROL_ATTACH && seen.rows == 24);
    CHECK_INT(control_read(client, &seen, NULL), 0); /* "ls" is no request */
    CHECK_INT(control_answer(client, STR("")), 0);
    CHECK_INT(control_input(client, bytes, 2), 2);
    CHECK_INT(control_input(client, bytes + 2, sizeof(bytes)), 1);
    CHECK(memcmp(bytes, "ls\n", 3) == 0);
    CHECK_INT(control_input(client, bytes, sizeof(bytes)), 0);
    CHECK_INT(control_output(client, "one\ntwo", 7), 7);
    CHECK_TEXT(receive(fd), "{\"ok\":true}\none\ntwo");
    send_text(fd, "q");
    CHECK_INT(control_input(client, bytes, sizeof(bytes)), 1);
    close(fd);
    CHECK_INT(control_input(client, bytes, sizeof(bytes)), -EPIPE);
    CHECK(control_output(client, "x", 1) == -EPIPE); /* and no signal */
    buf_release(&line);
    buf_release(&answer);
    close_place(&place);
}

/* The asker's answer ends at its newline, however much output lies behind it. */
TEST(output_behind_the_answer_is_left)
{
    struct place place;
    struct control_request request = { .verb = CONTROL_ATTACH }, seen;
    open_place(&place);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct buf answer = BUF_INIT;
        char output[16];
        int fd = -1;
        bool ok = control_connect(place.path, &fd, NULL) == 0;
        if (ok) {
            char go;
            struct control_request ask = request;
            ok = control_ask(fd, &ask, ASK_MS, &answer, NULL) == 0 &&
                 strcmp(answer.data, "{\"ok\":true}\n") == 0 &&
                 recv(fd, output, 16, MSG_WAITALL) == 6 && memcmp(output, "output", 6) == 0 &&
                 recv(fd, &go, 1, 0) == 0;
        }
        _exit(!ok);
    }
    struct control_client *client = accept_one(&place);
    wait_for(control_client_fd(client));
    CHECK_INT(control_read(client, &seen, NULL), 1);
    CHECK_INT(control_answer(client, STR("")), 0);
    CHECK_INT(control_output(client, "output", 6), 6);
    control_close(client);
    CHECK_INT(exit_of(pid), 0);
    close_place(&place);
}

TEST(a_client_that_does_not_read_stops_nothing)
{
    static char block[65536];
    struct place place;
    struct control_client *client;
    struct control_request request;
    ssize_t n = 1;
    open_place(&place);
    int fd = connect_one(&place, &client);
    send_text(fd, "{\"verb\":\"attach\"}\n");
    CHECK_INT(control_read(client, &request, NULL), 1);
    CHECK_INT(control_answer(client, STR("")), 0);
    for (int i = 0; i < 1000 && n > 0; i++)
        n = control_output(client, block, sizeof(block));
    CHECK_INT(n, 0);
    close(fd);
    close_place(&place);
}

/* --- who may speak ------------------------------------------------------------------------- */

TEST(one_too_many_is_told)
{
    struct place place;
    struct control_client *clients[CONTROL_CLIENTS_MAX], *none = NULL;
    int fds[CONTROL_CLIENTS_MAX], fd = -1;
    open_place(&place);
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        fds[i] = connect_one(&place, &clients[i]);
    CHECK_INT(control_connect(place.path, &fd, NULL), 0);
    wait_for(control_fd(place.control));
    CHECK_INT(control_accept(place.control, &none, NULL), 0);
    CHECK(strstr(receive(fd), "\"limit-exceeded\""));
    close(fd);
    control_close(clients[3]);
    CHECK(connect_one(&place, &none) >= 0); /* there is room again */
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        close(fds[i]);
    close_place(&place);
}

TEST(the_folder_is_the_users_alone)
{
    struct control *control = NULL;
    struct place place;
    struct err err = { 0 };
    struct stat status;
    char path[128];
    open_place(&place);
    snprintf(path, sizeof(path), "%s/control", place.path);
    CHECK(stat(path, &status) == 0 && S_ISSOCK(status.st_mode) && (status.st_mode & 0777) == 0600);
    CHECK_INT(control_open(place.path, &control, &err), -EEXIST); /* one supervisor */
    CHECK_INT(err.code, ERR_CONFLICT);
    control_free(place.control);
    CHECK(chmod(place.path, 0755) == 0);
    int fd = -1;
    CHECK_INT(control_open(place.path, &control, &err), -EACCES);
    CHECK_INT(control_connect(place.path, &fd, &err), -EACCES);
    CHECK(rmdir(place.path) == 0);
    CHECK_INT(control_connect(place.path, &fd, &err), -ENOENT);
    CHECK_INT(err.code, ERR_NOT_FOUND);
}

TEST(what_a_dead_supervisor_left_is_replaced)
{
    struct place place;
    struct err err = { 0 };
    int fd = -1;
    snprintf(place.path, sizeof(place.path), "/tmp/am-control-XXXXXX");
    CHECK(mkdtemp(place.path));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(control_open(place.path, &place.control, NULL) < 0); /* and no word of farewell */
    CHECK_INT(exit_of(pid), 0);
    CHECK_INT(control_connect(place.path, &fd, &err), -ENOENT);
    CHECK_INT(err.code, ERR_NOT_FOUND);
    CHECK_INT(control_open(place.path, &place.control, &err), 0);
    struct control_client *client;
    fd = connect_one(&place, &client);
    close(fd);
    close_place(&place);
}

/* Connects in a child by the plain path, after `change`; true if it hears nothing but the end. */
static bool is_turned_away(struct place *place, bool (*change)(void))
{
    struct control_client *client = NULL;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int gate[2];
    char byte;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", place->path);
    CHECK(pipe2(gate, O_CLOEXEC) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = change() ? socket(AF_UNIX, SOCK_STREAM, 0) : -1;
        bool connected =
            fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
        close(gate[1]);
        _exit(connected ? read(fd, &byte, 1) != 0 : 2);
    }
    close(gate[1]);
    CHECK(read(gate[0], &byte, 1) == 0); /* it has connected, or never will */
    close(gate[0]);
    struct pollfd waiting = { .fd = control_fd(place->control), .events = POLLIN };
    CHECK(poll(&waiting, 1, 0) == 1);
    int r = control_accept(place->control, &client, NULL);
    if (r > 0)
        control_close(client);
    return exit_of(pid) == 0 && r == 0;
}

static bool become_nobody(void)
{
    return setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

static bool enter_user_namespace(void)
{
    return unshare(CLONE_NEWUSER) == 0;
}

TEST(another_user_is_turned_away)
{
    struct place place;
    char path[128];
    if (geteuid() != 0) {
        test_skip("only root can be somebody else");
        return;
    }
    open_place(&place);
    snprintf(path, sizeof(path), "%s/control", place.path);
    CHECK(chmod(place.path, 0755) == 0 && chmod(path, 0666) == 0); /* the other walls are gone */
    CHECK(is_turned_away(&place, become_nobody));
    close_place(&place);
}

TEST(a_process_of_a_sandbox_is_turned_away)
{
    struct place place;
    open_place(&place);
    CHECK(is_turned_away(&place, enter_user_namespace));
    close_place(&place);
}
