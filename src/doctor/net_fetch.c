/*
 * net_fetch: pages that are empty where nobody holds traffic back.
 *
 * A network with a captive portal answers in the page's place: by sending
 * elsewhere, or with a page of its own. libcurl fetches, follows nothing, goes
 * through no proxy, and takes the host's address from us, so that it asks no
 * name server; of a page only its beginning is looked at.
 */
#define CURL_DISABLE_TYPECHECK /* it would wrap the calls of our table */
#include <curl/curl.h>

#include "base/clock.h"
#include "base/lazy.h"
#include "doctor/net_probe.h"

#define PAGE_BYTES_MAX 4096
#define HTTP_EMPTY     204
#define URL_SHOWN      200

#define CURL_FUNCTIONS(X)                                                                          \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_init)                                                                              \
    X(curl_easy_perform)                                                                           \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_strerror)                                                                          \
    X(curl_global_init)                                                                            \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)
LAZY_LIBRARY(curl, "libcurl.so.4", CURL_FUNCTIONS)

/* The page itself says nothing: all that matters is that there is one. */
static size_t take_page(char *bytes, size_t size, size_t count, void *context)
{
    size_t *len = context;
    (void)bytes;
    *len += size * count;
    return *len <= PAGE_BYTES_MAX ? size * count : 0;
}

/* What libcurl is to take for the host's address. */
static struct curl_slist *pin(const struct net_target *target, const struct net_found *found)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    char address[NET_ADDRESS_TEXT];
    buf_addf(&line, "%s:%u:", target->probe.host, target->probe.port);
    for (size_t i = 0; i < found->count; i++)
        buf_addf(&line, found->addresses[i].family == AF_INET6 ? "%s[%s]" : "%s%s", i ? "," : "",
                 net_address_text(&found->addresses[i], address));
    return line.error ? NULL : curl.curl_slist_append(NULL, line.data);
}

static void set_options(CURL *easy, const struct net_target *target, struct curl_slist *pinned,
                        size_t *page_len)
{
    curl.curl_easy_setopt(easy, CURLOPT_URL, target->probe.text.ptr);
    curl.curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl.curl_easy_setopt(easy, CURLOPT_RESOLVE, pinned);
    curl.curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl.curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl.curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)NET_FETCH_MS);
    curl.curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_page);
    curl.curl_easy_setopt(easy, CURLOPT_WRITEDATA, page_len);
}

/* Writes down what came: `error` is 0 where the page was what it has to be, EBADMSG where it was
 * another one. */
static void note(struct net_record *record, const struct net_target *target, CURL *easy,
                 CURLcode code, size_t page_len, int64_t began_ms)
{
    char text[URL_SHOWN + 64], *elsewhere = NULL;
    long status = 0;
    int error = 0;
    curl.curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl.curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &elsewhere);
    if (code != CURLE_OK && !status) {
        error = code == CURLE_OPERATION_TIMEDOUT ? ETIMEDOUT : EHOSTUNREACH;
        snprintf(text, sizeof(text), "%.*s", URL_SHOWN, curl.curl_easy_strerror(code));
    } else if (status == HTTP_EMPTY && !page_len) {
        snprintf(text, sizeof(text), "empty, as it has to be");
    } else {
        error = EBADMSG;
        snprintf(text, sizeof(text), "answered with %ld%s%.*s", status,
                 elsewhere ? ", and sent on to " : ", and a page", elsewhere ? URL_SHOWN : 0,
                 elsewhere ? elsewhere : "");
    }
    struct net_item *item =
        net_record_add(record, NET_FETCH, target->probe.text.ptr, error, str_from(text));
    item->status = status;
    item->took_ms = clock_passed_ms() - began_ms;
}

static void fetch(const struct net_target *target, const struct net_found *found,
                  struct net_record *record)
{
    int64_t began_ms = clock_passed_ms();
    struct curl_slist *pinned = pin(target, found);
    CURL *easy = curl.curl_easy_init();
    size_t page_len = 0;
    if (easy && pinned) {
        set_options(easy, target, pinned, &page_len);
        CURLcode code = curl.curl_easy_perform(easy);
        note(record, target, easy, code, page_len, began_ms);
    }
    curl.curl_slist_free_all(pinned);
    if (easy)
        curl.curl_easy_cleanup(easy);
}

void net_fetch_pages(const struct net_targets *targets, const struct net_found *found,
                     struct net_record *record)
{
    struct err why = { 0 };
    for (size_t i = 0; i < targets->count; i++) {
        const struct net_target *target = &targets->rows[i];
        if (target->probe.kind != PROBE_PAGE)
            continue;
        if (!found[i].count)
            net_record_add(record, NET_FETCH, target->probe.text.ptr, ENOENT,
                           STR("its address is not known"));
        else if (lazy_load(&curl_library, &why) < 0 ||
                 curl.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
            net_record_add(record, NET_FETCH, target->probe.text.ptr, EOPNOTSUPP,
                           str_from(why.cause[0] ? why.cause : "libcurl cannot be used"));
        else
            fetch(target, &found[i], record);
    }
}
