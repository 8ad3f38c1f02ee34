/*
 * proxy_rounds: see the header.
 *
 * Theory of operation. A transfer that only connects (CURLOPT_CONNECT_ONLY) is
 * handed the caller's descriptor in place of one of its own, and given turns by
 * the caller. libcurl reads a proxy's answers byte by byte, so that what the
 * target says first is left in the descriptor for whoever comes after.
 *
 * Invariants: exactly the scheme that the layer names is spoken; no environment
 * variable, .netrc or other host takes part; the descriptor is never closed here,
 * and a proxy that ends its connection between two rounds has refused.
 *
 * Threats: the proxy; libcurl bounds and reads its answers. A ticket is for the
 * host that the layer names, whoever answers there.
 */
#include "doors/network/proxy_rounds.h"

#define CURL_DISABLE_TYPECHECK
#include <arpa/inet.h>
#include <curl/curl.h>

#include "authority/references.h"
#include "base/buf.h"
#include "base/lazy.h"

#define STEP_ROUNDS "show a proxy who asks"
#define TURNS_MAX   64 /* that libcurl has at once */

#define CURL_FUNCTIONS(X)                                                                          \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_init)                                                                              \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_strerror)                                                                          \
    X(curl_global_init)                                                                            \
    X(curl_multi_add_handle)                                                                       \
    X(curl_multi_cleanup)                                                                          \
    X(curl_multi_info_read)                                                                        \
    X(curl_multi_init)                                                                             \
    X(curl_multi_perform)                                                                          \
    X(curl_multi_remove_handle)                                                                    \
    X(curl_multi_timeout)                                                                          \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_version_info)
LAZY_LIBRARY(curl, "libcurl.so.4", CURL_FUNCTIONS)

static const struct {
    long auth;
    int feature; /* that libcurl has to have been built with */
} schemes[] = {
    [PROXY_DIGEST] = { CURLAUTH_DIGEST, 0 },
    [PROXY_NTLM] = { CURLAUTH_NTLM, CURL_VERSION_NTLM },
    [PROXY_NEGOTIATE] = { CURLAUTH_NEGOTIATE, CURL_VERSION_SPNEGO },
};

struct proxy_rounds {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *resolved;
    int fd;
    bool was_given;
};

/* --- the descriptor, in place of libcurl's own ----------------------------------------------- */

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct proxy_rounds *rounds = context;
    (void)purpose;
    (void)address;
    if (rounds->was_given)
        return CURL_SOCKET_BAD;
    rounds->was_given = true;
    return rounds->fd;
}

static int on_opened(void *context, curl_socket_t fd, curlsocktype purpose)
{
    (void)context;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static int on_close(void *context, curl_socket_t fd)
{
    (void)context;
    (void)fd;
    return 0;
}

/* --- a transfer ------------------------------------------------------------------------------ */

static void add_host(struct buf *out, const char *name, const struct address_range *address)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    if (name[0]) {
        buf_add_text(out, name);
        return;
    }
    address_range_text(address, text);
    text[strcspn(text, "/")] = '\0';
    buf_addf(out, address->is_ipv6 ? "[%s]" : "%s", text);
}

/* The proxy's name is said and asked for in tickets; where it lies is known. */
static int set_ways(struct proxy_rounds *rounds, const struct route *route,
                    const struct target *target)
{
    _cleanup_(buf_release) struct buf url = BUF_INIT, proxy = BUF_INIT, resolved = BUF_INIT;
    struct address_range literal;
    buf_add_text(&url, "http://");
    add_host(&url, target->name, &target->address);
    buf_addf(&url, ":%u/", target->port);
    buf_add_text(&proxy, "http://");
    if (address_range_read(str_from(route->host), &literal))
        add_host(&proxy, "", &literal);
    else
        buf_add_text(&proxy, route->host);
    buf_addf(&proxy, ":%u", route->port);
    buf_addf(&resolved, "%s:%u:127.0.0.1", route->host, route->port);
    if (url.error || proxy.error || resolved.error)
        return -ENOMEM;
    rounds->resolved = curl.curl_slist_append(NULL, resolved.data);
    if (!rounds->resolved)
        return -ENOMEM;
    curl.curl_easy_setopt(rounds->easy, CURLOPT_URL, url.data);
    curl.curl_easy_setopt(rounds->easy, CURLOPT_PROXY, proxy.data);
    curl.curl_easy_setopt(rounds->easy, CURLOPT_RESOLVE, rounds->resolved);
    return 0;
}

static void set_options(struct proxy_rounds *rounds, enum proxy_scheme scheme, struct str shown)
{
    CURL *easy = rounds->easy;
    curl.curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl.curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl.curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl.curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_PROXYAUTH, schemes[scheme].auth);
    /* An empty pair: the tickets. */
    curl.curl_easy_setopt(easy, CURLOPT_PROXYUSERPWD, shown.len ? shown.ptr : ":");
    curl.curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl.curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, rounds);
    curl.curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_opened);
    curl.curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
}

static int open_library(enum proxy_scheme scheme, struct err *err)
{
    static bool is_ready;
    int r = lazy_load(&curl_library, err);
    if (r < 0)
        return r;
    if (!is_ready && curl.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_UNSUPPORTED, STEP_ROUNDS, "libcurl cannot be started");
    is_ready = true;
    int feature = schemes[scheme].feature;
    if (feature && !(curl.curl_version_info(CURLVERSION_NOW)->features & feature))
        return err_set(err, ERR_UNSUPPORTED, STEP_ROUNDS, "this libcurl was built without %s",
                       scheme == PROXY_NTLM ? "NTLM" : "Negotiate");
    return 0;
}

int proxy_rounds_new(int fd, const struct route *route, const struct target *target,
                     struct str shown, struct proxy_rounds **ret, struct err *err)
{
    enum proxy_scheme scheme = route->proxy->scheme;
    assert(!reference_proxy_takes_one_round(route->proxy));
    int r = open_library(scheme, err);
    if (r < 0)
        return r;
    struct proxy_rounds *rounds = calloc(1, sizeof(*rounds));
    r = rounds ? 0 : -ENOMEM;
    if (r == 0) {
        rounds->fd = fd;
        rounds->multi = curl.curl_multi_init();
        rounds->easy = curl.curl_easy_init();
        r = rounds->multi && rounds->easy ? set_ways(rounds, route, target) : -ENOMEM;
    }
    if (r == 0) {
        set_options(rounds, scheme, shown);
        r = curl.curl_multi_add_handle(rounds->multi, rounds->easy) == CURLM_OK ? 0 : -ENOMEM;
    }
    if (r < 0) {
        proxy_rounds_free(rounds);
        return err_set(err, ERR_MEMORY, STEP_ROUNDS, "there is not enough memory");
    }
    *ret = rounds;
    return 0;
}

void proxy_rounds_free(struct proxy_rounds *rounds)
{
    if (!rounds)
        return;
    if (rounds->easy) {
        if (rounds->multi)
            curl.curl_multi_remove_handle(rounds->multi, rounds->easy);
        curl.curl_easy_cleanup(rounds->easy);
    }
    if (rounds->multi)
        curl.curl_multi_cleanup(rounds->multi);
    curl.curl_slist_free_all(rounds->resolved);
    free(rounds);
}

/* --- its turns ------------------------------------------------------------------------------- */

static enum upstream_proxy_answer result_of(struct proxy_rounds *rounds, CURLcode result,
                                            char ret_refusal[UPSTREAM_PROXY_REFUSAL_SIZE])
{
    long status = 0;
    if (result == CURLE_OK)
        return UPSTREAM_PROXY_OPEN;
    curl.curl_easy_getinfo(rounds->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status)
        snprintf(ret_refusal, UPSTREAM_PROXY_REFUSAL_SIZE, "it answered %ld", status);
    else
        snprintf(ret_refusal, UPSTREAM_PROXY_REFUSAL_SIZE, "%s", curl.curl_easy_strerror(result));
    return UPSTREAM_PROXY_REFUSED;
}

enum upstream_proxy_answer proxy_rounds_turn(struct proxy_rounds *rounds,
                                             char ret_refusal[UPSTREAM_PROXY_REFUSAL_SIZE])
{
    long due_ms = 0;
    for (int turns = 0; due_ms == 0 && turns < TURNS_MAX; turns++) {
        int running, left;
        (void)curl.curl_multi_perform(rounds->multi, &running);
        const CURLMsg *message = curl.curl_multi_info_read(rounds->multi, &left);
        if (message && message->msg == CURLMSG_DONE)
            return result_of(rounds, message->data.result, ret_refusal);
        curl.curl_multi_timeout(rounds->multi, &due_ms);
    }
    return UPSTREAM_PROXY_MORE;
}
