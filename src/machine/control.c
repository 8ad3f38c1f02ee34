/*
 * control: lines of JSON over a Unix socket; see the header.
 *
 * Theory of operation. The folder is opened first and stands for itself from
 * then on: the socket is bound, and connected to, through /proc/self/fd, so
 * that neither the length of the path nor a rename in between matters. Each
 * client has one buffer, of a line's length; a line that does not fit is no
 * request. JSON is read by yyjson in memory on the stack, of a size that a
 * line can never exceed. A request is flat, has the members that the table
 * names for its verb, each once, and no others.
 *
 * Who may speak. The folder keeps everybody else out; the socket's mode does
 * once more; the peer's user is compared, and so is its user namespace, since
 * the sandbox's command may be the same user to the kernel. Root may speak to
 * every machine.
 *
 * Invariants.
 * 1. A client is in exactly one state: reading lines, or attached. Attached
 *    begins with the answer to an attach request, and bytes that came behind
 *    the request are the first of its input.
 * 2. Nothing here waits: what cannot be sent at once is the caller's to drop.
 * 3. An answer is one line, whatever stands in a cause: it is written as JSON.
 *
 * Limits. CONTROL_CLIENTS_MAX at once, CONTROL_LINE_MAX, CONTROL_ANSWER_MAX.
 * A process of the same user can occupy all places, as it could kill us.
 */
#include "machine/control.h"

#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <yyjson.h>

#include "base/json.h"

#define STEP_LISTEN "listen for control"
#define STEP_READ   "read a control request"
#define STEP_ASK    "ask a machine"
#define BACKLOG     16
#define PARSE_MEMORY                                                                               \
    (16 * CONTROL_LINE_MAX + 1024) /* yyjson: 12 bytes for each of text, and some */
#define NS_PER_MS INT64_C(1000000)

enum member {
    MEMBER_VERB,
    MEMBER_REFERENCE,
    MEMBER_ANSWER,
    MEMBER_ROWS,
    MEMBER_COLUMNS,
    MEMBER_TIMEOUT,
    MEMBER_COUNT,
};

#define BIT(member) (1u << (member))

static const struct {
    const char *name;
    int64_t most; /* of a number; 0: it is a text */
} members[MEMBER_COUNT] = {
    [MEMBER_VERB] = { "verb", 0 },
    [MEMBER_REFERENCE] = { "reference", 0 },
    [MEMBER_ANSWER] = { "answer", 0 },
    [MEMBER_ROWS] = { "rows", CONTROL_SIDE_MAX },
    [MEMBER_COLUMNS] = { "columns", CONTROL_SIDE_MAX },
    [MEMBER_TIMEOUT] = { "timeoutMs", CONTROL_TIMEOUT_MAX },
};

static const char *const verb_names[CONTROL_VERB_COUNT] = {
#define X(verb, name) [verb] = name,
    CONTROL_VERB_TABLE(X)
#undef X
};

#define SIZE (BIT(MEMBER_ROWS) | BIT(MEMBER_COLUMNS))

/* What a verb must have, and what it may have, beside the verb; sizes come in pairs. */
static const struct {
    unsigned required, allowed;
} shapes[CONTROL_VERB_COUNT] = {
    [CONTROL_STOP] = { 0, BIT(MEMBER_TIMEOUT) },
    [CONTROL_KILL] = { 0, 0 },
    [CONTROL_PAUSE] = { 0, 0 },
    [CONTROL_RESUME] = { 0, 0 },
    [CONTROL_REVOKE] = { BIT(MEMBER_REFERENCE), BIT(MEMBER_REFERENCE) },
    [CONTROL_DENY] = { BIT(MEMBER_REFERENCE), BIT(MEMBER_REFERENCE) },
    [CONTROL_DECIDE] = { BIT(MEMBER_REFERENCE) | BIT(MEMBER_ANSWER),
                         BIT(MEMBER_REFERENCE) | BIT(MEMBER_ANSWER) },
    [CONTROL_STATUS] = { 0, 0 },
    [CONTROL_ATTACH] = { 0, SIZE },
    [CONTROL_RESIZE] = { SIZE, SIZE },
};

enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_ATTACHING, CLIENT_ATTACHED };

struct control_client {
    enum client_state state;
    int fd;
    size_t len; /* of what was read and not yet handed out */
    char line[CONTROL_LINE_MAX];
};

struct control {
    int folder, fd;
    struct control_client clients[CONTROL_CLIENTS_MAX];
};

const char *control_verb_name(enum control_verb verb)
{
    return verb_names[verb];
}

/* --- requests ------------------------------------------------------------------------------ */

static int refuse_member(struct err *err, const char *name, const char *why)
{
    return err_set(err, ERR_DOCUMENT, STEP_READ, "%s: %s", name, why);
}

/* Printable, so that it can be shown and logged as it is. */
static bool is_plain_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0 && text.len <= CONTROL_TEXT_MAX;
}

static int read_verb(struct str text, struct control_request *request, struct err *err)
{
    for (enum control_verb verb = 0; verb < CONTROL_VERB_COUNT; verb++) {
        if (str_equal(text, str_from(verb_names[verb]))) {
            request->verb = verb;
            return 0;
        }
    }
    return refuse_member(err, "verb", "there is no such verb");
}

static int read_member(enum member member, yyjson_val *value, struct control_request *request,
                       struct err *err)
{
    const char *name = members[member].name;
    if (members[member].most) {
        if (!yyjson_is_uint(value) || yyjson_get_uint(value) > (uint64_t)members[member].most ||
            (yyjson_get_uint(value) == 0 && member != MEMBER_TIMEOUT))
            return refuse_member(err, name, "it is no number in its range");
        int number = (int)yyjson_get_uint(value);
        *(member == MEMBER_ROWS      ? &request->rows
          : member == MEMBER_COLUMNS ? &request->columns
                                     : &request->timeout_ms) = number;
        return 0;
    }
    if (!yyjson_is_str(value) || !is_plain_text(json_str(value)))
        return refuse_member(err, name, "it is no text, empty, too long or not printable");
    struct str text = json_str(value);
    if (member == MEMBER_VERB)
        return read_verb(text, request, err);
    if (member == MEMBER_REFERENCE) {
        memcpy(request->reference, text.ptr, text.len);
        request->reference[text.len] = '\0';
        return 0;
    }
    request->allow = str_equal(text, STR("allow"));
    return request->allow || str_equal(text, STR("deny"))
               ? 0
               : refuse_member(err, name, "it is neither allow nor deny");
}

static int read_members(yyjson_val *object, struct control_request *request, struct err *err)
{
    unsigned seen = 0;
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, index, count, key, value)
    {
        enum member member = 0;
        while (member < MEMBER_COUNT && !str_equal(json_str(key), str_from(members[member].name)))
            member++;
        if (member == MEMBER_COUNT)
            return err_set(err, ERR_DOCUMENT, STEP_READ, "there is a member that no request has");
        if (seen & BIT(member))
            return refuse_member(err, members[member].name, "it stands there twice");
        seen |= BIT(member);
        int r = read_member(member, value, request, err);
        if (r < 0)
            return r;
    }
    if (!(seen & BIT(MEMBER_VERB)))
        return refuse_member(err, "verb", "it is missing");
    seen &= ~BIT(MEMBER_VERB);
    if ((seen & ~shapes[request->verb].allowed) || (shapes[request->verb].required & ~seen) ||
        !(seen & BIT(MEMBER_ROWS)) != !(seen & BIT(MEMBER_COLUMNS)))
        return err_set(err, ERR_DOCUMENT, STEP_READ, "%s does not have these members",
                       verb_names[request->verb]);
    return 0;
}

int control_parse(struct str line, struct control_request *ret, struct err *err)
{
    _Alignas(16) char memory[PARSE_MEMORY];
    yyjson_alc pool;
    yyjson_read_err fault;
    struct control_request request = { .timeout_ms = -1 };
    if (line.len >= CONTROL_LINE_MAX)
        return err_set(err, ERR_SYNTAX, STEP_READ, "a request has at most %d bytes",
                       CONTROL_LINE_MAX - 1);
    if (!yyjson_alc_pool_init(&pool, memory, sizeof(memory)))
        return err_set(err, ERR_MEMORY, STEP_READ, "no memory for a request");
    yyjson_doc *doc = yyjson_read_opts((char *)line.ptr, line.len, 0, &pool, &fault);
    yyjson_val *object = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(object)) /* NULL is none either */
        return err_set(err, ERR_SYNTAX, STEP_READ, "a request is one JSON object on one line");
    int r = read_members(object, &request, err);
    if (r == 0)
        *ret = request;
    return r;
}

static void add_number(struct buf *out, enum member member, int number)
{
    buf_addf(out, ",\"%s\":%d", members[member].name, number);
}

static void add_text(struct buf *out, enum member member, const char *text)
{
    buf_addf(out, ",\"%s\":", members[member].name);
    json_add_string(out, str_from(text));
}

int control_write(const struct control_request *request, struct buf *ret)
{
    unsigned allowed = shapes[request->verb].allowed;
    buf_addf(ret, "{\"verb\":\"%s\"", verb_names[request->verb]);
    if (allowed & BIT(MEMBER_REFERENCE))
        add_text(ret, MEMBER_REFERENCE, request->reference);
    if (allowed & BIT(MEMBER_ANSWER))
        add_text(ret, MEMBER_ANSWER, request->allow ? "allow" : "deny");
    if ((allowed & BIT(MEMBER_ROWS)) && request->rows)
        add_number(ret, MEMBER_ROWS, request->rows);
    if ((allowed & BIT(MEMBER_COLUMNS)) && request->columns)
        add_number(ret, MEMBER_COLUMNS, request->columns);
    if ((allowed & BIT(MEMBER_TIMEOUT)) && request->timeout_ms >= 0)
        add_number(ret, MEMBER_TIMEOUT, request->timeout_ms);
    return buf_add_text(ret, "}\n");
}

/* --- the socket ---------------------------------------------------------------------------- */

static struct sockaddr_un address_in(int folder)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" CONTROL_SOCKET,
             folder);
    return address;
}

static int open_folder(const char *path, const char *step, int *ret_fd, struct err *err)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_set_errno(err, errno, step, "%s", path);
    if (status.st_uid != geteuid() || (status.st_mode & 077))
        return err_set(err, ERR_DENIED, step,
                       "%s has to be yours alone (mode 0700): others could speak for you", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/*
 * The folder's lock says whether a supervisor lives; the kernel opens it with the process. Who has
 * it knows that a socket which lies there is a dead one's.
 */
static int take_place(struct control *control, const char *path, struct err *err)
{
    if (flock(control->folder, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_CONFLICT, STEP_LISTEN, "%s: another supervisor listens there",
                       path);
    if (unlinkat(control->folder, CONTROL_SOCKET, 0) < 0 && errno != ENOENT)
        return err_set_errno(err, errno, STEP_LISTEN, "%s/" CONTROL_SOCKET, path);
    return 0;
}

static int bind_socket(struct control *control, const char *path, struct err *err)
{
    struct sockaddr_un address = address_in(control->folder);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (control->fd < 0 ||
        bind(control->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(control->folder, CONTROL_SOCKET, 0600, 0) < 0 || listen(control->fd, BACKLOG) < 0)
        return err_set_errno(err, errno, STEP_LISTEN, "%s/" CONTROL_SOCKET, path);
    return 0;
}

static void cleanup_control(struct control **control)
{
    control_free(*control);
}

int control_open(const char *folder, struct control **ret, struct err *err)
{
    _cleanup_(cleanup_control) struct control *control = calloc(1, sizeof(*control));
    if (!control)
        return err_set(err, ERR_MEMORY, STEP_LISTEN, "no memory for clients");
    control->folder = control->fd = -1;
    int r = open_folder(folder, STEP_LISTEN, &control->folder, err);
    if (r == 0)
        r = take_place(control, folder, err);
    if (r == 0)
        r = bind_socket(control, folder, err);
    if (r == 0)
        *ret = TAKE_PTR(control);
    return r;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].state != CLIENT_FREE)
            control_close(&control->clients[i]);
    if (control->fd >= 0) /* so the place is ours */
        unlinkat(control->folder, CONTROL_SOCKET, 0);
    cleanup_close(&control->fd);
    cleanup_close(&control->folder);
    free(control);
}

int control_fd(const struct control *control)
{
    return control->fd;
}

/* --- clients ------------------------------------------------------------------------------- */

/* A process in a user namespace of its own may be of a sandbox, whatever user it seems to be. */
static bool is_outside(pid_t pid)
{
    char path[48];
    struct stat ours, theirs;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    return stat("/proc/self/ns/user", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static bool may_speak(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    return (peer.uid == 0 && geteuid() != 0) || (peer.uid == geteuid() && is_outside(peer.pid));
}

/* All of it at once, or not at all as far as the caller is concerned. */
static int send_whole(int fd, const char *bytes, size_t len)
{
    ssize_t n;
    do
        n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (size_t)n == len ? 0 : -EAGAIN;
}

static int send_refusal(int fd, const struct err *why)
{
    char bytes[CONTROL_ANSWER_MAX];
    struct buf answer = { .data = bytes, .capacity = sizeof(bytes), .limit = sizeof(bytes) - 1 };
    buf_addf(&answer, "{\"ok\":false,\"error\":\"%s\",\"cause\":", err_id(why->code));
    json_add_string(&answer, str_from(why->cause));
    int r = buf_add_text(&answer, "}\n");
    return r < 0 ? r : send_whole(fd, answer.data, answer.len);
}

int control_accept(struct control *control, struct control_client **ret, struct err *err)
{
    struct err why = { 0 };
    _cleanup_(cleanup_close) int fd =
        accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
        return 0;
    if (fd < 0)
        return err_set_errno(err, errno, STEP_LISTEN, "accept");
    if (!may_speak(fd))
        return 0;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->state != CLIENT_FREE)
            continue;
        client->state = CLIENT_READING;
        client->fd = TAKE_FD(fd);
        client->len = 0;
        *ret = client;
        return 1;
    }
    err_set(&why, ERR_LIMIT, STEP_LISTEN, "%d speak to this machine already", CONTROL_CLIENTS_MAX);
    send_refusal(fd, &why); /* it is turned away, whether it hears why or not */
    return 0;
}

int control_client_fd(const struct control_client *client)
{
    return client->fd;
}

void control_close(struct control_client *client)
{
    close(client->fd);
    *client = (struct control_client){ .state = CLIENT_FREE, .fd = -1 };
}

/* Takes the first `len` bytes out of the client's buffer. */
static void drop(struct control_client *client, size_t len)
{
    client->len -= len;
    memmove(client->line, client->line + len, client->len);
}

static int refuse_line(struct control_client *client, const struct err *why, struct err *err)
{
    send_refusal(client->fd, why);
    return err_set(err, why->code, why->step, "%s", why->cause);
}

/* 1: a line of ret_len bytes before its newline lies in the buffer. 0: not yet. */
static int fill_line(struct control_client *client, size_t *ret_len, struct err *err)
{
    struct err why = { 0 };
    for (;;) {
        size_t len = str_index(str_make(client->line, client->len), '\n', 0);
        if (len < client->len) {
            *ret_len = len;
            return 1;
        }
        if (client->len == CONTROL_LINE_MAX) {
            err_set(&why, ERR_SYNTAX, STEP_READ, "a request has at most %d bytes",
                    CONTROL_LINE_MAX - 1);
            return refuse_line(client, &why, err);
        }
        ssize_t n = recv(client->fd, client->line + client->len, CONTROL_LINE_MAX - client->len,
                         MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return err_set_errno(err, n < 0 ? errno : EPIPE, STEP_READ, "the client has gone");
        client->len += (size_t)n;
    }
}

int control_read(struct control_client *client, struct control_request *ret, struct err *err)
{
    struct err why = { 0 };
    size_t len = 0;
    assert(client->state == CLIENT_READING || client->state == CLIENT_ATTACHING);
    if (client->state == CLIENT_ATTACHING)
        return 0; /* what follows is input, once it is answered */
    int r = fill_line(client, &len, err);
    if (r <= 0)
        return r;
    if (control_parse(str_make(client->line, len), ret, &why) < 0)
        return refuse_line(client, &why, err);
    drop(client, len + 1);
    if (ret->verb == CONTROL_ATTACH)
        client->state = CLIENT_ATTACHING;
    return 1;
}

int control_answer(struct control_client *client, struct str more)
{
    char bytes[CONTROL_ANSWER_MAX];
    struct buf answer = { .data = bytes, .capacity = sizeof(bytes), .limit = sizeof(bytes) - 1 };
    buf_addf(&answer, "{\"ok\":true%s", more.len ? "," : "");
    buf_add_str(&answer, more);
    int r = buf_add_text(&answer, "}\n");
    if (r == 0)
        r = send_whole(client->fd, answer.data, answer.len);
    if (r == 0 && client->state == CLIENT_ATTACHING)
        client->state = CLIENT_ATTACHED;
    return r;
}

int control_refuse(struct control_client *client, const struct err *why)
{
    if (client->state == CLIENT_ATTACHING)
        client->state = CLIENT_READING;
    return send_refusal(client->fd, why);
}

ssize_t control_input(struct control_client *client, void *ret, size_t size)
{
    assert(client->state == CLIENT_ATTACHED);
    if (client->len) { /* it came right behind the request */
        size_t len = client->len < size ? client->len : size;
        memcpy(ret, client->line, len);
        drop(client, len);
        return (ssize_t)len;
    }
    ssize_t n;
    do
        n = recv(client->fd, ret, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n > 0 ? n : n == 0 ? -EPIPE : errno == EAGAIN ? 0 : -errno;
}

ssize_t control_output(struct control_client *client, const void *bytes, size_t len)
{
    assert(client->state == CLIENT_ATTACHED);
    ssize_t n;
    do
        n = send(client->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

/* --- the asking side ----------------------------------------------------------------------- */

/* The socket is whose it seems to be; in a folder of the user's own it can be nobody else's. */
int control_connect(const char *folder, int *ret_fd, struct err *err)
{
    _cleanup_(cleanup_close) int place = -1;
    struct err why = { 0 };
    int r = open_folder(folder, STEP_ASK, &place, &why);
    if (r < 0) {
        if (err)
            *err = why;
        return r == -ENOENT ? err_set(err, ERR_NOT_FOUND, STEP_ASK, "%s", folder) : r;
    }
    struct sockaddr_un address = address_in(place);
    _cleanup_(cleanup_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, errno, STEP_ASK, "socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return err_set(err, ERR_NOT_FOUND, STEP_ASK, "%s: nobody listens; the run has ended",
                           folder);
        return err_set_errno(err, errno, STEP_ASK, "%s", folder);
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

static int wait_readable(int fd, int64_t end_ns, struct err *err)
{
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    for (;;) {
        int64_t left_ms = (end_ns - monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
        int r = poll(&readable, 1, left_ms > 0 ? (int)left_ms : 0);
        if (r > 0)
            return 0;
        if (r == 0)
            return err_set_errno(err, ETIMEDOUT, STEP_ASK, "the machine does not answer");
        if (errno != EINTR)
            return err_set_errno(err, errno, STEP_ASK, "poll");
    }
}

/* Takes no byte behind the newline: that is the command's output already. */
static int receive_line(int fd, int timeout_ms, struct buf *ret, struct err *err)
{
    char bytes[CONTROL_ANSWER_MAX];
    int64_t end_ns = monotonic_ns() + timeout_ms * NS_PER_MS;
    size_t total = 0;
    for (;;) {
        int r = wait_readable(fd, end_ns, err);
        if (r < 0)
            return r;
        ssize_t seen = recv(fd, bytes, sizeof(bytes) - total, MSG_PEEK);
        if (seen < 0 && errno == EINTR)
            continue;
        if (seen <= 0)
            return err_set_errno(err, seen < 0 ? errno : ECONNRESET, STEP_ASK,
                                 "the machine has gone, or does not speak with you");
        size_t len = str_index(str_make(bytes, (size_t)seen), '\n', 0);
        bool whole = len < (size_t)seen;
        ssize_t n = recv(fd, bytes, whole ? len + 1 : (size_t)seen, 0);
        if (n < 0 || buf_add(ret, bytes, (size_t)n) < 0)
            return err_set(err, ERR_MEMORY, STEP_ASK, "no memory for the answer");
        if (whole)
            return 0;
        total += (size_t)n;
        if (total == sizeof(bytes))
            return err_set(err, ERR_LIMIT, STEP_ASK, "the answer is longer than %d bytes",
                           CONTROL_ANSWER_MAX);
    }
}

static enum err_code code_of(const char *id)
{
    static const enum err_code codes[] = {
#define X(code, id, exit_status, error_number, text) code,
        ERR_TABLE(X)
#undef X
    };
    for (size_t i = 1; id && i < ARRAY_LEN(codes); i++)
        if (strcmp(err_id(codes[i]), id) == 0)
            return codes[i];
    return ERR_IO;
}

static int read_answer(struct str line, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = yyjson_read(line.ptr, line.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *ok = yyjson_obj_get(root, "ok");
    if (!yyjson_is_bool(ok))
        return err_set(err, ERR_SYNTAX, STEP_ASK, "this is no answer of a machine");
    if (yyjson_get_bool(ok))
        return 0;
    const char *cause = yyjson_get_str(yyjson_obj_get(root, "cause"));
    return err_set(err, code_of(yyjson_get_str(yyjson_obj_get(root, "error"))), STEP_ASK, "%s",
                   cause ? cause : "no reason is given");
}

int control_ask(int fd, const struct control_request *request, int timeout_ms, struct buf *ret,
                struct err *err)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT_LIMIT(CONTROL_LINE_MAX);
    int r = control_write(request, &line);
    if (r < 0)
        return err_set(err, ERR_LIMIT, STEP_ASK, "the request is longer than %d bytes",
                       CONTROL_LINE_MAX);
    r = send_whole(fd, line.data, line.len);
    /* A machine that has turned us away may have said why before it closed. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return err_set_errno(err, -r, STEP_ASK, "send");
    size_t begin = ret->len;
    r = receive_line(fd, timeout_ms, ret, err);
    return r < 0 ? r : read_answer(str_from_offset(buf_str(ret), begin), err);
}
