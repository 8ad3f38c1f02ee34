/*
 * model_bench: the two ends of measured calls of models.
 *
 *     serve PORT                                  answers on loopback, until it is ended
 *     ask HOST PORT SECONDS CLIENTS [HEADER...]
 *                     chats on connections that stay, and how long they take
 *     stream HOST PORT SECONDS CLIENTS [HEADER...]
 *                     streams at once, again and again: events in all
 *     hold HOST PORT CLIENTS [HEADER...]
 *                     streams that go on; says so, and ends with its input
 *
 * The server speaks OpenAI's chat. A stream has EVENTS of one word, each written by itself; one
 * whose limit is HELD words has no end. Prints JSON.
 */
#define ENDS_NAME "model_bench"
#include "ends.h"

#define EVENTS       200
#define HELD         7777
#define BUFFER_BYTES 65536
#define CLIENTS_MAX  4096
#define SAMPLES_MAX  (1 << 20)
#define BATCH        256
#define FDS_MAX      16384

#define ANSWER                                                                                     \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"bench\","     \
    "\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\","    \
    "\"content\":\"Hello there\"}}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":6,"      \
    "\"total_tokens\":17}}"
#define EVENT                                                                                      \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"   \
    "\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" there\"},\"finish_reason\":"    \
    "null}]}\n\n"
#define LAST                                                                                       \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"   \
    "\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":200,"          \
    "\"total_tokens\":211}}\n\ndata: [DONE]\n\n"
#define BODY(stream, limit)                                                                        \
    "{\"model\":\"bench\",\"stream\":" stream ",\"max_tokens\":" limit ",\"messages\":[{\"role\":" \
    "\"user\",\"content\":\"Say hello to whoever is there, please.\"}]}"

/* --- serve ---------------------------------------------------------------------------------- */

struct served {
    char request[BUFFER_BYTES];
    size_t len;
    long left; /* events that are to come; -1: without end */
    bool streams;
};
static struct served *served[FDS_MAX];

static void say(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            continue; /* a reader that is slow is waited for: it has room for all of it */
        if (n < 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

static void say_chunk(int fd, const char *text)
{
    char chunk[1024];
    int len = snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(text), text);
    say(fd, chunk, (size_t)len);
}

/* Whether the request in the buffer is whole. */
static bool is_whole(const struct served *one)
{
    const char *end = memmem(one->request, one->len, "\r\n\r\n", 4);
    const char *length = end ? strcasestr(one->request, "\r\ncontent-length:") : NULL;
    if (!end)
        return false;
    size_t head = (size_t)(end - one->request) + 4;
    if (length && length < end)
        return one->len >= head + strtoul(length + 17, NULL, 10);
    return one->len >= head + 5 && memcmp(one->request + one->len - 5, "0\r\n\r\n", 5) == 0;
}

static void answer(int epoll, int fd, struct served *one)
{
    static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                "Content-Length: ";
    static const char begun[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n";
    one->request[one->len] = '\0';
    if (!strstr(one->request, "\"stream\":true")) {
        char text[1024];
        int len = snprintf(text, sizeof(text), "%s%zu\r\n\r\n" ANSWER, whole, strlen(ANSWER));
        say(fd, text, (size_t)len);
    } else {
        say(fd, begun, strlen(begun));
        one->streams = true;
        one->left = strstr(one->request, ":7777") ? -1 : EVENTS;
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
    }
    one->len = 0;
}

/* One event of a stream, so that all streams go on at once. */
static void go_on(int epoll, int fd, struct served *one)
{
    if (one->left < 0) { /* one is all that it says, and it stays */
        say_chunk(fd, EVENT);
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
        return;
    }
    say_chunk(fd, one->left ? EVENT : LAST);
    if (one->left-- == 0) {
        say(fd, "0\r\n\r\n", 5);
        one->streams = false;
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
    }
}

static void serve_one(int epoll, int fd, uint32_t events)
{
    struct served *one = served[fd];
    if (one->streams && events & EPOLLOUT)
        go_on(epoll, fd, one);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = recv(fd, one->request + one->len, BUFFER_BYTES - 1 - one->len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        close(fd);
        return;
    }
    one->len += (size_t)n;
    one->request[one->len] = '\0';
    if (is_whole(one))
        answer(epoll, fd, one);
}

static void take(int epoll, int listener)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (fd >= FDS_MAX)
            die("too many");
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (!served[fd])
            served[fd] = malloc(sizeof(*served[fd]));
        if (!served[fd])
            die("memory");
        served[fd]->len = 0;
        served[fd]->streams = false;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static void serve(long port)
{
    struct epoll_event batch[BATCH];
    int listener = listen_at(port), epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        int count = epoll_wait(epoll, batch, BATCH, -1);
        for (int i = 0; i < count; i++) {
            if (batch[i].data.fd == listener)
                take(epoll, listener);
            else
                serve_one(epoll, batch[i].data.fd, batch[i].events);
        }
    }
}

/* --- clients -------------------------------------------------------------------------------- */

struct client {
    int fd;
    int64_t asked_ns;
    char tail[8];   /* the last bytes, before what comes next */
    size_t matched; /* of "data: {" */
    char head[4096];
    size_t len, need; /* of an answer with a length: how long it is as a whole; 0: not known */
    bool is_chunked, has_head;
};

static char request[16384];
static size_t request_len;
static struct sockaddr_storage address;
static socklen_t address_len;
static uint32_t samples[SAMPLES_MAX];

static void prepare(char **words, int count, const char *body)
{
    address_len = find_address(words[0], words[1], &address);
    size_t len = (size_t)snprintf(request, sizeof(request),
                                  "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\n"
                                  "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                                  words[0], strlen(body));
    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(request + len, sizeof(request) - len, "%s\r\n", words[2 + i]);
    request_len = len + (size_t)snprintf(request + len, sizeof(request) - len, "\r\n%s", body);
}

static void ask(struct client *client)
{
    client->len = client->need = client->matched = 0;
    client->has_head = false;
    memset(client->tail, 0, sizeof(client->tail));
    client->asked_ns = now_ns();
    if (send(client->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
        die("send");
}

static void join(struct client *client, int epoll)
{
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(client->fd, (struct sockaddr *)&address, address_len) < 0)
        die("connect");
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
        die("epoll_ctl");
    ask(client);
}

static void read_head(struct client *client)
{
    const char *end = memmem(client->head, client->len, "\r\n\r\n", 4);
    if (!end)
        return;
    client->has_head = true;
    if (strncmp(client->head + 9, "200", 3) != 0) {
        fprintf(stderr, "model_bench: %.300s\n", client->head);
        exit(1);
    }
    const char *length = strcasestr(client->head, "\r\ncontent-length:");
    client->is_chunked = !length || length > end;
    if (!client->is_chunked)
        client->need = (size_t)(end - client->head) + 4 + strtoul(length + 17, NULL, 10);
}

/* Whether the answer is whole; counts its events. */
static bool take_answer(struct client *client, const char *bytes, size_t len, uint64_t *events)
{
    static const char begins[] = "data: {";
    char joined[16];
    if (!client->has_head) {
        size_t room = sizeof(client->head) - 1 - client->len, n = len < room ? len : room;
        memcpy(client->head + client->len, bytes, n);
        client->head[client->len + n] = '\0';
        client->len += len;
        read_head(client);
    } else {
        client->len += len;
    }
    for (size_t i = 0; i < len; i++) {
        client->matched = bytes[i] == begins[client->matched] ? client->matched + 1
                          : bytes[i] == 'd'                   ? 1
                                                              : 0;
        if (client->matched == sizeof(begins) - 1) {
            client->matched = 0;
            ++*events;
        }
    }
    size_t keep = len < 5 ? len : 5;
    memcpy(joined, client->tail, 5);
    memcpy(joined + 5, bytes + len - keep, keep);
    memcpy(client->tail, joined + keep, 5);
    if (!client->has_head)
        return false;
    return client->is_chunked ? memcmp(client->tail, "0\r\n\r\n", 5) == 0
                              : client->len >= client->need;
}

/* One core sees to all clients, until the time is over. */
static void run(long seconds, long clients, bool holds)
{
    static struct client all[CLIENTS_MAX];
    static char bytes[BUFFER_BYTES];
    struct epoll_event batch[BATCH];
    uint64_t done = 0, events = 0, measured = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (clients > CLIENTS_MAX)
        die("too many clients");
    for (long i = 0; i < clients; i++)
        join(&all[i], epoll);
    int64_t begin = now_ns(), until = begin + seconds * 1000000000;
    while (holds ? events < (uint64_t)clients : now_ns() < until) {
        int count = epoll_wait(epoll, batch, BATCH, 100);
        for (int i = 0; i < count; i++) {
            struct client *client = batch[i].data.ptr;
            ssize_t n = recv(client->fd, bytes, sizeof(bytes), 0);
            if (n <= 0)
                die("the other end is gone");
            if (!take_answer(client, bytes, (size_t)n, &events))
                continue;
            if (measured < SAMPLES_MAX)
                samples[measured++] = (uint32_t)((now_ns() - client->asked_ns) / 10);
            done++;
            ask(client);
        }
    }
    double took = (double)(now_ns() - begin) / 1e9;
    if (holds) {
        puts("held");
        fflush(stdout);
        while (getchar() != EOF)
            ;
        return;
    }
    qsort(samples, measured, sizeof(samples[0]), by_size);
    printf("{\"seconds\":%f,\"done\":%llu,\"events\":%llu,\"p50_us\":%.2f,\"p99_us\":%.2f}\n", took,
           (unsigned long long)done, (unsigned long long)events,
           measured ? samples[measured / 2] / 100.0 : 0,
           measured ? samples[measured * 99 / 100] / 100.0 : 0);
}

int main(int argc, char **argv)
{
    raise_descriptors();
    if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        serve(number(argv[2]));
    } else if (argc >= 6 && (strcmp(argv[1], "ask") == 0 || strcmp(argv[1], "stream") == 0)) {
        char *words[32] = { argv[2], argv[3] };
        int headers = argc - 6 < 30 ? argc - 6 : 30;
        memcpy(words + 2, argv + 6, (size_t)headers * sizeof(char *));
        prepare(words, headers, argv[1][0] == 'a' ? BODY("false", "20") : BODY("true", "200"));
        run(number(argv[4]), number(argv[5]), false);
    } else if (argc >= 5 && strcmp(argv[1], "hold") == 0) {
        char *words[32] = { argv[2], argv[3] };
        int headers = argc - 5 < 30 ? argc - 5 : 30;
        memcpy(words + 2, argv + 5, (size_t)headers * sizeof(char *));
        prepare(words, headers, BODY("true", "7777"));
        run(0, number(argv[4]), true);
    } else {
        fprintf(stderr, "usage: model_bench serve PORT | ask|stream HOST PORT SECONDS CLIENTS "
                        "[HEADER...] | hold HOST PORT CLIENTS [HEADER...]\n");
        return 2;
    }
    return 0;
}
