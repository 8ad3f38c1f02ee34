/*
 * clients: see the header.
 *
 * Theory of operation. A client is asked for requests until it attaches; then
 * its descriptor carries the command's streams. What it does not take of the
 * output waits in a buffer of its own, and while any has some, the loop takes
 * no more from the command, so that no more waits than it had in its hands.
 * One that takes nothing for STALL_MS is left: it may be a stopped terminal,
 * and the command's time is worth more.
 *
 * A client that has said all it has to say (its side of the connection is
 * shut) goes on listening.
 */
#include "machine/clients.h"

#include "base/clock.h"

#define STEP_CLIENTS  "speak with a run's clients"
#define STALL_MS      2000
#define TYPED_BYTES   4096
#define MEMBERS_BYTES 1024
#define WAITING_BYTES ((size_t)256 << 10) /* more only comes where the loop has ended */

struct client {
    struct control_client *of; /* NULL: it has gone */
    bool attached, said_all;
    struct buf waiting;
    size_t off;          /* into that */
    int64_t patience_ms; /* until when it waits; 0: nothing does */
};

struct clients {
    struct control *control;
    struct clients_run run;
    struct client all[CONTROL_CLIENTS_MAX];
};

int clients_new(struct control *control, const struct clients_run *run, struct clients **ret,
                struct err *err)
{
    struct clients *clients = calloc(1, sizeof(*clients));
    if (!clients)
        return err_set(err, ERR_MEMORY, STEP_CLIENTS, "there is not enough memory");
    clients->control = control;
    clients->run = *run;
    *ret = clients;
    return 0;
}

void clients_free(struct clients *clients)
{
    for (size_t i = 0; clients && i < CONTROL_CLIENTS_MAX; i++)
        if (clients->all[i].of)
            buf_release(&clients->all[i].waiting);
    free(clients);
}

static void leave(struct client *client)
{
    control_close(client->of);
    buf_release(&client->waiting);
    *client = (struct client){ 0 };
}

/* --- what the loop waits for --------------------------------------------------------------- */

size_t clients_ask(const struct clients *clients, struct pollfd ret[CLIENTS_POLLS])
{
    size_t count = 1;
    ret[0] = (struct pollfd){ .fd = control_fd(clients->control), .events = POLLIN };
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct client *client = &clients->all[i];
        if (!client->of)
            continue;
        bool heard = !client->attached ||
                     (!client->said_all && clients->run.takes_input(clients->run.context));
        while (count < i + 1)
            ret[count++] = (struct pollfd){ .fd = -1 };
        ret[count++] = (struct pollfd){
            .fd = control_client_fd(client->of),
            .events = (short)((heard ? POLLIN : 0) | (client->patience_ms ? POLLOUT : 0)),
        };
    }
    return count;
}

/* --- requests ------------------------------------------------------------------------------ */

static void take_typed(struct clients *clients, struct client *client)
{
    char bytes[TYPED_BYTES];
    if (client->said_all || !clients->run.takes_input(clients->run.context))
        return;
    ssize_t got = control_input(client->of, bytes, sizeof(bytes));
    if (got == 0)
        return;
    client->said_all = got < 0;
    clients->run.type(clients->run.context, str_make(bytes, got > 0 ? (size_t)got : 0));
}

static int answer(struct clients *clients, struct client *client,
                  const struct control_request *request)
{
    _cleanup_(buf_release) struct buf members = BUF_INIT_LIMIT(MEMBERS_BYTES);
    struct err why = { 0 };
    if (clients->run.act(clients->run.context, request, &members, &why) < 0)
        return control_refuse(client->of, &why);
    int r = control_answer(client->of, buf_str(&members));
    if (r == 0 && request->verb == CONTROL_ATTACH) {
        client->attached = true;
        take_typed(clients, client); /* what came right behind the request */
    }
    return r;
}

static void take_requests(struct clients *clients, struct client *client)
{
    struct control_request request;
    struct err gone;
    int r = 1;
    while (r > 0 && !client->attached) {
        r = control_read(client->of, &request, &gone);
        if (r > 0 && answer(clients, client, &request) < 0)
            r = -EPIPE;
    }
    if (r < 0)
        leave(client);
}

static void welcome(struct clients *clients)
{
    struct control_client *of;
    struct err unheard;
    if (control_accept(clients->control, &of, &unheard) != 1)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (!clients->all[i].of) {
            clients->all[i] = (struct client){ .of = of, .waiting = BUF_INIT };
            return;
        }
    control_close(of);
}

/* --- output -------------------------------------------------------------------------------- */

/* Gives it what waits; false where it has gone. */
static bool give(struct client *client)
{
    while (client->off < client->waiting.len) {
        ssize_t taken = control_output(client->of, client->waiting.data + client->off,
                                       client->waiting.len - client->off);
        if (taken < 0)
            return false;
        if (taken == 0)
            return true;
        client->off += (size_t)taken;
        client->patience_ms = clock_passed_ms() + STALL_MS;
    }
    buf_reset(&client->waiting);
    client->off = 0;
    client->patience_ms = 0;
    return true;
}

/* Where the loop cannot turn: waits for one to take what is there, or leaves it. */
static void give_all(struct client *client)
{
    while (client->of && client->patience_ms) {
        struct pollfd room = { .fd = control_client_fd(client->of), .events = POLLOUT };
        int64_t left = client->patience_ms - clock_passed_ms();
        if (left <= 0 || poll(&room, 1, (int)left) <= 0 || !give(client))
            leave(client);
    }
}

void clients_hear(struct clients *clients, struct str bytes)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &clients->all[i];
        if (!client->of || !client->attached)
            continue;
        if (client->waiting.len > WAITING_BYTES)
            give_all(client);
        if (!client->of)
            continue;
        client->patience_ms = clock_passed_ms() + STALL_MS;
        if (buf_add_str(&client->waiting, bytes) < 0 || !give(client))
            leave(client);
    }
}

bool clients_are_full(const struct clients *clients)
{
    return clients_due(clients) != 0;
}

int64_t clients_due(const struct clients *clients)
{
    int64_t due = 0;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        int64_t patience = clients->all[i].patience_ms;
        if (patience && (!due || patience < due))
            due = patience;
    }
    return due;
}

void clients_look(struct clients *clients, int64_t now_ms)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (clients->all[i].patience_ms && clients->all[i].patience_ms <= now_ms)
            leave(&clients->all[i]);
}

void clients_drain(struct clients *clients)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        give_all(&clients->all[i]);
}

/* --- the loop ------------------------------------------------------------------------------ */

static void move_attached(struct clients *clients, struct client *client, short found)
{
    if ((found & (POLLHUP | POLLERR)) || ((found & POLLOUT) && !give(client)))
        leave(client);
    else if (found & POLLIN)
        take_typed(clients, client);
}

void clients_move(struct clients *clients, const struct pollfd polls[CLIENTS_POLLS], size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        struct client *client = &clients->all[i];
        short found = polls[i + 1].revents;
        if (!found || !client->of) /* gone since the question */
            continue;
        if (client->attached)
            move_attached(clients, client, found);
        else
            take_requests(clients, client);
    }
    if (polls[0].revents)
        welcome(clients);
}
