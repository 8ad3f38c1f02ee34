/*
 * upstream_curl: providers beyond this machine, by libcurl.
 *
 * Theory of operation. libcurl's multi interface says which descriptors and which
 * moment it waits for; they are watches and a timer of the loop. Whenever one of
 * them is due, libcurl is given a turn, and what has ended meanwhile is told
 * afterwards: `ended` is never called from within libcurl. What is cancelled from
 * within one of its callbacks is removed after it.
 *
 * Invariants: peers and their names are verified, whatever the request; no
 * environment variable, no .netrc and no cookie takes part; a redirect is an
 * answer like another. What is shown to providers and proxies is wiped where it
 * is ours; libcurl keeps copies until the connection is closed.
 *
 * Threats: the provider, and whoever stands between. Heads are bounded here, bodies
 * by whoever takes them.
 */
#include "doors/model/upstream_internal.h"

#define CURL_DISABLE_TYPECHECK
#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/lazy.h"

#define STEP_UPSTREAM "reach the model provider"

#define CURL_FUNCTIONS(X)                                                                          \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_init)                                                                              \
    X(curl_easy_pause)                                                                             \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_strerror)                                                                          \
    X(curl_global_init)                                                                            \
    X(curl_multi_add_handle)                                                                       \
    X(curl_multi_assign)                                                                           \
    X(curl_multi_cleanup)                                                                          \
    X(curl_multi_info_read)                                                                        \
    X(curl_multi_init)                                                                             \
    X(curl_multi_remove_handle)                                                                    \
    X(curl_multi_setopt)                                                                           \
    X(curl_multi_socket_action)                                                                    \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_version_info)
LAZY_LIBRARY(curl, "libcurl.so.4", CURL_FUNCTIONS)

struct curl_call {
    struct upstream_call call;
    struct upstream_curl *upstream;
    struct curl_call *before, *next;
    const struct upstream_calls *calls;
    CURL *easy;
    struct curl_slist *headers, *proxy_headers, *resolved;
    struct str pieces[UPSTREAM_PIECES_MAX];
    size_t piece_count, piece, piece_at; /* what is sent next */
    struct buf joined;                   /* a small body: it goes out with the head */
    struct buf head;
    unsigned status;
    bool has_head, is_paused, is_cancelled;
    CURLcode result;
};

struct upstream_curl {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer timer;
    const struct references *references;
    struct buf authorities;
    struct curl_call *first;
    unsigned depth; /* of turns that libcurl has: nothing is removed meanwhile */
    bool has_cancelled;
};

/* --- libcurl's turn -------------------------------------------------------------------------- */

static void call_free(struct curl_call *call)
{
    struct upstream_curl *upstream = call->upstream;
    curl.curl_multi_remove_handle(upstream->multi, call->easy);
    curl.curl_easy_cleanup(call->easy);
    for (struct curl_slist *item = call->headers; item; item = item->next)
        explicit_bzero(item->data, strlen(item->data));
    for (struct curl_slist *item = call->proxy_headers; item; item = item->next)
        explicit_bzero(item->data, strlen(item->data));
    curl.curl_slist_free_all(call->headers);
    curl.curl_slist_free_all(call->proxy_headers);
    curl.curl_slist_free_all(call->resolved);
    buf_release(&call->head);
    buf_release(&call->joined);
    *(call->before ? &call->before->next : &upstream->first) = call->next;
    if (call->next)
        call->next->before = call->before;
    free(call);
}

static struct curl_call *call_of(struct upstream_call *call)
{
    return (struct curl_call *)call; /* its first member */
}

static uint64_t sent_of(const struct curl_call *call)
{
    curl_off_t sent = 0;
    (void)curl.curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return sent > 0 ? (uint64_t)sent : 0;
}

static enum upstream_end end_of(const struct curl_call *call)
{
    curl_off_t ready_us = 0; /* when there was a connection, and the request was about to be sent */
    if (call->result == CURLE_OK)
        return UPSTREAM_WHOLE;
    (void)curl.curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    if (!ready_us && !sent_of(call))
        return UPSTREAM_UNREACHABLE;
    return call->result == CURLE_OPERATION_TIMEDOUT ? UPSTREAM_SILENT : UPSTREAM_CUT;
}

/* What has been cancelled from within libcurl. */
static void sweep(struct upstream_curl *upstream)
{
    upstream->has_cancelled = false;
    for (struct curl_call *call = upstream->first, *next; call; call = next) {
        next = call->next;
        if (call->is_cancelled)
            call_free(call);
    }
}

static void settle(struct upstream_curl *upstream)
{
    int left;
    if (upstream->depth)
        return;
    if (upstream->has_cancelled)
        sweep(upstream);
    for (CURLMsg *message; (message = curl.curl_multi_info_read(upstream->multi, &left));) {
        struct curl_call *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        (void)curl.curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        call->result = result;
        const enum upstream_end end = end_of(call);
        const struct upstream_calls *calls = call->calls;
        const uint64_t sent = sent_of(call);
        call_free(call);
        calls->ended(calls->context, end, sent, curl.curl_easy_strerror(result));
    }
}

static void take_turn(struct upstream_curl *upstream, curl_socket_t fd, int events)
{
    int running;
    upstream->depth++;
    (void)curl.curl_multi_socket_action(upstream->multi, fd, events, &running);
    upstream->depth--;
    settle(upstream);
}

struct socket_watch {
    struct loop_watch watch;
    struct upstream_curl *upstream;
};

static void socket_ready(struct loop_watch *watch, uint32_t events)
{
    struct socket_watch *socket = LOOP_OWNER(watch, struct socket_watch, watch);
    take_turn(socket->upstream, watch->fd,
              (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                  (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                  (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR | CURL_CSELECT_IN : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    struct upstream_curl *upstream = context;
    struct socket_watch *socket = known;
    const uint32_t events =
        (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            loop_watch_stop(upstream->loop, &socket->watch);
        free(socket);
        return 0;
    }
    if (socket)
        return loop_watch_change(upstream->loop, &socket->watch, events) < 0 ? -1 : 0;
    socket = calloc(1, sizeof(*socket));
    if (!socket)
        return -1;
    *socket = (struct socket_watch){ { .fd = -1, .ready = socket_ready }, upstream };
    if (loop_watch(upstream->loop, &socket->watch, fd, events) < 0) {
        free(socket);
        return -1;
    }
    curl.curl_multi_assign(upstream->multi, fd, socket);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *context)
{
    struct upstream_curl *upstream = context;
    (void)multi;
    if (ms < 0)
        loop_timer_stop(upstream->loop, &upstream->timer);
    else if (loop_timer_set(upstream->loop, &upstream->timer, clock_passed_ms() + ms) < 0)
        return -1;
    return 0;
}

static void timer_due(struct loop_timer *timer)
{
    take_turn(LOOP_OWNER(timer, struct upstream_curl, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* --- what libcurl asks of a call ------------------------------------------------------------- */

static size_t on_read(char *room, size_t size, size_t count, void *context)
{
    struct curl_call *call = context;
    size_t len = 0, all = size * count;
    while (len < all && call->piece < call->piece_count) {
        struct str rest = str_from_offset(call->pieces[call->piece], call->piece_at);
        size_t take = rest.len < all - len ? rest.len : all - len;
        memcpy(room + len, rest.ptr, take);
        len += take;
        call->piece_at += take;
        if (take == rest.len) {
            call->piece++;
            call->piece_at = 0;
        }
    }
    return len;
}

/* A kept connection that was closed in the meantime: all of it once more, on another. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    struct curl_call *call = context;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    call->piece = call->piece_at = 0;
    return CURL_SEEKFUNC_OK;
}

static bool read_address(const struct curl_sockaddr *socket, struct address_range *ret)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } address = { 0 };
    char text[INET6_ADDRSTRLEN];
    memcpy(&address, &socket->addr,
           socket->addrlen < sizeof(address) ? socket->addrlen : sizeof(address));
    const void *bytes = socket->family == AF_INET6 ? (const void *)&address.ipv6.sin6_addr
                                                   : (const void *)&address.ipv4.sin_addr;
    return (socket->family == AF_INET || socket->family == AF_INET6) &&
           inet_ntop(socket->family, bytes, text, sizeof(text)) &&
           address_range_read(str_from(text), ret);
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct curl_call *call = context;
    const struct upstream_calls *calls = call->calls;
    struct address_range range;
    (void)purpose;
    if (call->is_cancelled)
        return CURL_SOCKET_BAD;
    if (calls->address &&
        (!read_address(address, &range) || !calls->address(calls->context, &range)))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static unsigned status_of(struct str line)
{
    size_t at = str_index(line, ' ', 0);
    unsigned status = 0;
    for (size_t i = at + 1; i < line.len && i < at + 4; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return 0;
        status = status * 10 + (unsigned)(line.ptr[i] - '0');
    }
    return status;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct curl_call *call = context;
    struct str line = str_make(bytes, size * count);
    if (call->is_cancelled)
        return 0;
    if (call->has_head) /* a trailer */
        return line.len;
    if (str_starts(line, STR("HTTP/"))) {
        buf_reset(&call->head);
        call->status = status_of(line);
        return line.len;
    }
    if (!str_equal(line, STR("\r\n")))
        return buf_add_str(&call->head, line) < 0 ? 0 : line.len;
    if (call->status < 200)
        return line.len; /* an interim answer */
    call->has_head = true;
    const struct upstream_answer answer = { call->status, buf_str(&call->head) };
    call->calls->head(call->calls->context, &answer);
    return call->is_cancelled ? 0 : line.len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct curl_call *call = context;
    if (call->is_cancelled || !call->has_head)
        return 0;
    if (!call->calls->body(call->calls->context, str_make(bytes, size * count))) {
        call->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    return call->is_cancelled ? 0 : size * count;
}

/* --- a call ---------------------------------------------------------------------------------- */

static int add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl.curl_slist_append(*list, line);
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

static int add_headers(struct curl_call *call, const struct upstream_request *request)
{
    int r = 0;
    for (size_t i = 0; i < request->header_count && r == 0; i++) {
        char *line = strndup(request->headers[i].ptr, request->headers[i].len);
        r = line ? add_line(&call->headers, line) : -ENOMEM;
        if (line)
            explicit_bzero(line, request->headers[i].len);
        free(line);
    }
    return r < 0 ? r : add_line(&call->headers, "Expect:");
}

/* "HOST:PORT:ADDRESS,…", as libcurl wants it; the port by the scheme where the url names none. */
static int add_addresses(struct curl_call *call, const struct upstream_request *request)
{
    struct str url = str_from(request->url);
    struct buf line = BUF_INIT;
    size_t from = str_index(url, ':', 0) + 3;
    size_t to = str_index(url, '/', from);
    struct str authority = str_make(url.ptr + from, to - from);
    if (!request->address_count)
        return 0;
    buf_add_str(&line, authority);
    if (str_index(authority, ':', 0) == authority.len)
        buf_add_text(&line, str_starts(url, STR("https")) ? ":443" : ":80");
    for (size_t i = 0; i < request->address_count; i++) {
        const struct address_range *address = &request->addresses[i];
        char text[INET6_ADDRSTRLEN];
        inet_ntop(address->is_ipv6 ? AF_INET6 : AF_INET, address->address, text, sizeof(text));
        buf_addf(&line, "%c%s", i ? ',' : ':', text);
    }
    int r = line.error ? line.error : add_line(&call->resolved, line.data);
    buf_release(&line);
    return r;
}

/* What libcurl logs in with; the others are a header. */
static const long login_schemes[] = {
    [PROXY_BASIC] = CURLAUTH_NONE,          [PROXY_BEARER] = CURLAUTH_NONE,
    [PROXY_DIGEST] = CURLAUTH_DIGEST,       [PROXY_NTLM] = CURLAUTH_NTLM,
    [PROXY_NEGOTIATE] = CURLAUTH_NEGOTIATE,
};

static int set_proxy(struct curl_call *call, const struct reference_proxy *proxy, struct err *err)
{
    const struct references *references = call->upstream->references;
    struct secret *shown = NULL;
    char *url = NULL, *line = NULL;
    /* Empty: none, whatever the environment says. */
    curl.curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
    curl.curl_easy_setopt(call->easy, CURLOPT_NOPROXY, "");
    if (!proxy || proxy->kind == PROXY_DIRECT)
        return 0;
    int r = references_authorize(references, proxy, &shown, err);
    if (r == 0 && shown && proxy->kind == PROXY_SOCKS5)
        r = err_set(err, ERR_UNSUPPORTED, STEP_UPSTREAM,
                    "a SOCKS5 proxy that asks for a password cannot be used by the Model Door");
    const bool is_header = shown && reference_proxy_takes_one_round(proxy);
    if (r == 0 &&
        (asprintf(&url, "%.*s", STR_ARG(proxy->url)) < 0 ||
         (is_header && asprintf(&line, "Proxy-Authorization: %s", secret_value(shown).ptr) < 0) ||
         (is_header && add_line(&call->proxy_headers, line) < 0)))
        r = err_set(err, ERR_MEMORY, STEP_UPSTREAM, "there is not enough memory");
    if (r == 0) {
        curl.curl_easy_setopt(call->easy, CURLOPT_PROXY, url);
        curl.curl_easy_setopt(call->easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
        curl.curl_easy_setopt(call->easy, CURLOPT_PROXYHEADER, call->proxy_headers);
        curl.curl_easy_setopt(call->easy, CURLOPT_PROXYAUTH, login_schemes[proxy->scheme]);
        if (login_schemes[proxy->scheme] != CURLAUTH_NONE) /* an empty pair: the user's tickets */
            curl.curl_easy_setopt(call->easy, CURLOPT_PROXYUSERPWD,
                                  shown ? secret_value(shown).ptr : ":");
    }
    if (line)
        explicit_bzero(line, strlen(line));
    free(line);
    free(url);
    secret_free(shown);
    return r;
}

static void set_trust(struct curl_call *call)
{
    struct buf *authorities = &call->upstream->authorities;
    struct curl_blob blob = { authorities->data, authorities->len, CURL_BLOB_NOCOPY };
    curl.curl_easy_setopt(call->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl.curl_easy_setopt(call->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl.curl_easy_setopt(call->easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
    curl.curl_easy_setopt(call->easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
    curl.curl_easy_setopt(call->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!authorities->len)
        return;
    curl.curl_easy_setopt(call->easy, CURLOPT_CAINFO_BLOB, &blob);
    curl.curl_easy_setopt(call->easy, CURLOPT_PROXY_CAINFO_BLOB, &blob);
}

/* libcurl sends a body that it has at hand in one with the head. */
static int join_small(struct curl_call *call, const struct upstream_request *request)
{
    call->joined = BUF_INIT_LIMIT(UPSTREAM_JOINED_MAX);
    if (upstream_body_size(request) > UPSTREAM_JOINED_MAX)
        return 0;
    for (size_t i = 0; i < request->piece_count; i++)
        buf_add_str(&call->joined, request->pieces[i]);
    return call->joined.error;
}

static void set_options(struct curl_call *call, const struct upstream_request *request)
{
    CURL *easy = call->easy;
    size_t size = upstream_body_size(request);
    curl.curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl.curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl.curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl.curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl.curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl.curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)UPSTREAM_CONNECT_MS);
    curl.curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)UPSTREAM_SILENCE_S);
    curl.curl_easy_setopt(easy, request->is_get ? CURLOPT_HTTPGET : CURLOPT_POST, 1L);
    if (!request->is_get)
        curl.curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    if (call->joined.len)
        curl.curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->joined.data);
    curl.curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl.curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl.curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl.curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
    curl.curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl.curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    curl.curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl.curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl.curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl.curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl.curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    if (call->resolved)
        curl.curl_easy_setopt(easy, CURLOPT_RESOLVE, call->resolved);
    set_trust(call);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_UPSTREAM, "there is not enough memory");
}

static void cancel(struct upstream_call *call);
static void go_on(struct upstream_call *call);
static uint64_t sent(const struct upstream_call *call);
static const struct upstream_way way = { .cancel = cancel, .go_on = go_on, .sent = sent };

int upstream_curl_start(struct upstream_curl *upstream, const struct upstream_request *request,
                        const struct upstream_calls *calls, struct upstream_call **ret,
                        struct err *err)
{
    struct curl_call *call = calloc(1, sizeof(*call));
    if (!call)
        return no_memory(err);
    call->call.way = &way;
    call->upstream = upstream;
    call->calls = calls;
    call->head = BUF_INIT_LIMIT(UPSTREAM_HEAD_BYTES_MAX);
    call->piece_count = request->piece_count;
    memcpy(call->pieces, request->pieces, request->piece_count * sizeof(request->pieces[0]));
    call->easy = curl.curl_easy_init();
    call->next = upstream->first;
    if (call->next)
        call->next->before = call;
    upstream->first = call;
    int r = call->easy && join_small(call, request) == 0 && add_headers(call, request) == 0 &&
                    add_addresses(call, request) == 0
                ? 0
                : no_memory(err);
    if (r == 0)
        r = set_proxy(call, request->proxy, err);
    if (r == 0) {
        set_options(call, request);
        if (curl.curl_multi_add_handle(upstream->multi, call->easy) != CURLM_OK)
            r = no_memory(err);
    }
    if (r < 0)
        call_free(call);
    else
        *ret = &call->call;
    return r;
}

static void cancel(struct upstream_call *base)
{
    struct curl_call *call = call_of(base);
    call->is_cancelled = true;
    if (call->upstream->depth)
        call->upstream->has_cancelled = true;
    else
        call_free(call);
}

static void go_on(struct upstream_call *base)
{
    struct curl_call *call = call_of(base);
    struct upstream_curl *upstream = call->upstream;
    if (!call->is_paused)
        return;
    call->is_paused = false;
    upstream->depth++;
    (void)curl.curl_easy_pause(call->easy, CURLPAUSE_CONT);
    upstream->depth--;
    if (upstream->has_cancelled && !upstream->depth)
        sweep(upstream);
}

static uint64_t sent(const struct upstream_call *call)
{
    return sent_of((const struct curl_call *)call);
}

/* --- all of them ----------------------------------------------------------------------------- */

/* The host's certificates and those of the layers; none where no layer has any. */
static int gather_authorities(struct upstream_curl *upstream, const struct references *references,
                              struct err *err)
{
    struct buf *all = &upstream->authorities;
    const char *host = curl.curl_version_info(CURLVERSION_NOW)->cainfo;
    size_t count = references_authority_count(references);
    int r = count && host ? file_read(host, all, NULL) : 0;
    if (r == -ENOENT) /* a host without a bundle trusts the layers' alone */
        r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        buf_add_char(all, '\n');
        r = file_read(references_authority(references, i).path, all, err);
    }
    return r;
}

int upstream_curl_new(struct loop *loop, const struct references *references,
                      struct upstream_curl **ret, struct err *err)
{
    int r = lazy_load(&curl_library, err);
    if (r < 0)
        return r;
    struct upstream_curl *upstream = calloc(1, sizeof(*upstream));
    if (!upstream)
        return no_memory(err);
    upstream->loop = loop;
    upstream->references = references;
    upstream->timer.due = timer_due;
    upstream->authorities = BUF_INIT_LIMIT(UPSTREAM_CA_BYTES_MAX);
    r = curl.curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : no_memory(err);
    if (r == 0)
        r = gather_authorities(upstream, references, err);
    if (r == 0 && !(upstream->multi = curl.curl_multi_init()))
        r = no_memory(err);
    if (r < 0) {
        buf_release(&upstream->authorities);
        free(upstream);
        return r;
    }
    curl.curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl.curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETDATA, upstream);
    curl.curl_multi_setopt(upstream->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl.curl_multi_setopt(upstream->multi, CURLMOPT_TIMERDATA, upstream);
    curl.curl_multi_setopt(upstream->multi, CURLMOPT_MAXCONNECTS, (long)UPSTREAM_IDLE_MAX);
    *ret = upstream;
    return 0;
}

void upstream_curl_free(struct upstream_curl *upstream)
{
    if (!upstream)
        return;
    while (upstream->first)
        call_free(upstream->first);
    curl.curl_multi_cleanup(upstream->multi);
    loop_timer_stop(upstream->loop, &upstream->timer);
    buf_release(&upstream->authorities);
    free(upstream);
}
