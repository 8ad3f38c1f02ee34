/*
 * retry: see the header.
 *
 * Theory of operation. Three statuses say that nothing was done, and that it may
 * be worth asking again: too many requests, not available now, overloaded. What the
 * provider says about when (retry-after-ms, Retry-After in seconds or as a date) is
 * kept to, or the answer goes to the client, which then knows as much. Any other
 * refusal, and whatever has begun to answer, is the client's matter: work may have
 * been done for it, and would be charged twice.
 */
#include "doors/model/retry.h"

#include <time.h>

#include "doors/model/http_request.h"

#define NUMBER_MAX INT64_C(1000000000)

static bool may_be_retried(unsigned status)
{
    static const unsigned statuses[] = { 429, 503, 529 };
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (status == statuses[i])
            return true;
    return false;
}

static struct str trimmed(struct str text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = str_from_offset(text, 1);
    while (text.len && strchr(" \t\r", text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* The value of a header, empty where there is none. */
static struct str value_of(struct str headers, struct str name)
{
    for (size_t from = 0; from < headers.len;) {
        size_t to = str_index(headers, '\n', from);
        struct str line = str_make(headers.ptr + from, to - from);
        size_t colon = str_index(line, ':', 0);
        if (colon < line.len && http_name_equal(str_make(line.ptr, colon), name))
            return trimmed(str_from_offset(line, colon + 1));
        from = to + 1;
    }
    return STR("");
}

/* A number, its fraction left out; -1: it is none. */
static int64_t number_of(struct str text)
{
    size_t dot = str_index(text, '.', 0);
    int64_t number = 0;
    for (size_t i = 0; i < dot; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || number > NUMBER_MAX)
            return -1;
        number = number * 10 + (text.ptr[i] - '0');
    }
    return dot ? number : -1;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", from now; -1: it is none. */
static int64_t until_date(struct str text, int64_t now_ms)
{
    char copy[40];
    struct tm date = { 0 };
    if (text.len >= sizeof(copy))
        return -1;
    snprintf(copy, sizeof(copy), "%.*s", STR_ARG(text));
    const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (!end || *end)
        return -1;
    int64_t at_ms = (int64_t)timegm(&date) * 1000;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

/* What the provider asks for; -1: it says nothing that can be understood. */
static int64_t asked_wait_ms(struct str headers, int64_t now_ms)
{
    int64_t ms = number_of(value_of(headers, STR("retry-after-ms")));
    struct str after = value_of(headers, STR("retry-after"));
    if (ms >= 0)
        return ms;
    int64_t seconds = number_of(after);
    return seconds >= 0 ? seconds * 1000 : until_date(after, now_ms);
}

int64_t retry_wait_ms(unsigned status, struct str headers, unsigned retries, int64_t now_ms,
                      uint64_t spread)
{
    if (!may_be_retried(status) || retries >= MODEL_RETRIES_MAX)
        return -1;
    int64_t own = (int64_t)MODEL_RETRY_FIRST_MS << retries;
    int64_t wait = asked_wait_ms(headers, now_ms);
    if (wait < 0)
        return own + (int64_t)(spread * 61 % (uint64_t)(own / 4));
    return wait <= MODEL_RETRY_WAIT_MAX_MS ? wait : -1;
}
