#include "machine/clients.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/test.h"

#define ANSWER_MS 5000

/* A run that does nothing but remember what is asked of it. */
struct desk {
    char folder[32];
    struct control *control;
    struct clients *clients;
    struct buf asked, typed;
    bool deaf, over;
};

static int act(void *context, const struct control_request *request, struct buf *members,
               struct err *err)
{
    struct desk *desk = context;
    buf_addf(&desk->asked, "%s ", control_verb_name(request->verb));
    if (request->verb == CONTROL_DENY)
        return err_set(err, ERR_UNSUPPORTED, "test", "there is no door");
    buf_add_text(members, "\"n\":1");
    return 0;
}

static bool takes_input(void *context)
{
    return !((struct desk *)context)->deaf;
}

static void type(void *context, struct str bytes)
{
    struct desk *desk = context;
    desk->over |= bytes.len == 0;
    buf_add_str(&desk->typed, bytes);
}

static void begin(struct desk *desk)
{
    struct clients_run run = { desk, act, takes_input, type };
    *desk =
        (struct desk){ .folder = "/tmp/am-clients-XXXXXX", .asked = BUF_INIT, .typed = BUF_INIT };
    CHECK(mkdtemp(desk->folder) != NULL);
    CHECK_INT(control_open(desk->folder, &desk->control, NULL), 0);
    CHECK_INT(clients_new(desk->control, &run, &desk->clients, NULL), 0);
}

static void release(struct desk *desk)
{
    clients_free(desk->clients);
    control_free(desk->control);
    CHECK_INT(rmdir(desk->folder), 0);
    buf_release(&desk->asked);
    buf_release(&desk->typed);
}

/* One turn of the run's loop; whether there was anything to do. */
static bool turn(struct desk *desk)
{
    struct pollfd polls[CLIENTS_POLLS];
    size_t count = clients_ask(desk->clients, polls);
    bool any = poll(polls, count, 0) > 0;
    clients_move(desk->clients, polls, count);
    return any;
}

static int connect_to(struct desk *desk)
{
    int fd = -1;
    CHECK_INT(control_connect(desk->folder, &fd, NULL), 0);
    turn(desk);
    return fd;
}

static void say(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static struct str hear(int fd, char *bytes, size_t size)
{
    ssize_t got = recv(fd, bytes, size, MSG_DONTWAIT);
    return str_make(bytes, got > 0 ? (size_t)got : 0);
}

TEST(requests_are_answered_in_their_order)
{
    struct desk desk;
    char bytes[256];
    begin(&desk);
    int fd = connect_to(&desk);
    say(fd,
        "{\"verb\":\"status\"}\n{\"verb\":\"deny\",\"reference\":\"x\"}\n{\"verb\":\"pause\"}\n");
    turn(&desk);
    CHECK_STR(buf_str(&desk.asked), STR("status deny pause "));
    CHECK_STR(hear(fd, bytes, sizeof(bytes)),
              STR("{\"ok\":true,\"n\":1}\n"
                  "{\"ok\":false,\"error\":\"unsupported\",\"cause\":\"there is no door\"}\n"
                  "{\"ok\":true,\"n\":1}\n"));
    close(fd);
    release(&desk);
}

TEST(who_attaches_hears_and_types)
{
    struct desk desk;
    char bytes[256];
    begin(&desk);
    int fd = connect_to(&desk), other = connect_to(&desk);
    clients_hear(desk.clients, STR("before"));
    say(fd, "{\"verb\":\"attach\"}\nkeys");
    turn(&desk);
    CHECK_STR(buf_str(&desk.typed), STR("keys"));
    clients_hear(desk.clients, STR("after"));
    CHECK_STR(hear(fd, bytes, sizeof(bytes)), STR("{\"ok\":true,\"n\":1}\nafter"));
    CHECK_INT(hear(other, bytes, sizeof(bytes)).len, 0);
    desk.deaf = true;
    say(fd, "more");
    CHECK(!turn(&desk)); /* while the command takes nothing, nothing is read */
    desk.deaf = false;
    turn(&desk);
    CHECK_STR(buf_str(&desk.typed), STR("keysmore"));
    CHECK(!desk.over);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    turn(&desk);
    CHECK(desk.over);
    clients_hear(desk.clients, STR("still"));
    CHECK_STR(hear(fd, bytes, sizeof(bytes)), STR("still"));
    CHECK(!turn(&desk)); /* and its end is told once */
    close(fd);
    close(other);
    release(&desk);
}

TEST(who_takes_nothing_is_left_in_time)
{
    struct desk desk;
    char piece[4096], bytes[65536];
    size_t said = 0, heard = 0;
    struct str got;
    begin(&desk);
    int fd = connect_to(&desk);
    say(fd, "{\"verb\":\"attach\"}\n");
    turn(&desk);
    heard = hear(fd, bytes, sizeof(bytes)).len;
    CHECK(heard > 0);
    memset(piece, 'x', sizeof(piece));
    while (!clients_are_full(desk.clients)) {
        clients_hear(desk.clients, str_make(piece, sizeof(piece)));
        said += sizeof(piece);
    }
    heard = 0;
    while ((got = hear(fd, bytes, sizeof(bytes))).len) {
        heard += got.len;
        turn(&desk);
    }
    CHECK_INT(heard, said); /* nothing is lost of one that goes on */
    CHECK(!clients_are_full(desk.clients));
    while (!clients_are_full(desk.clients))
        clients_hear(desk.clients, str_make(piece, sizeof(piece)));
    clients_look(desk.clients, clients_due(desk.clients) - 1);
    CHECK(clients_are_full(desk.clients));
    clients_look(desk.clients, clients_due(desk.clients));
    CHECK(!clients_are_full(desk.clients));
    while (hear(fd, bytes, sizeof(bytes)).len)
        ;
    CHECK_INT(recv(fd, bytes, 1, MSG_DONTWAIT), 0); /* the end */
    close(fd);
    release(&desk);
}

TEST(one_who_goes_is_forgotten_and_one_too_many_is_told)
{
    struct desk desk;
    char bytes[256];
    int fds[CONTROL_CLIENTS_MAX];
    begin(&desk);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = connect_to(&desk);
    int more = connect_to(&desk);
    CHECK(str_starts(hear(more, bytes, sizeof(bytes)), STR("{\"ok\":false")));
    close(more);
    close(fds[3]);
    turn(&desk);
    fds[3] = connect_to(&desk);
    say(fds[3], "{\"verb\":\"status\"}\n");
    turn(&desk);
    CHECK_STR(hear(fds[3], bytes, sizeof(bytes)), STR("{\"ok\":true,\"n\":1}\n"));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    while (turn(&desk))
        ;
    release(&desk);
}
