#include "doors/model/retry.h"

#include "base/test.h"

#define NOW INT64_C(784111777000) /* Sun, 06 Nov 1994 08:49:37 GMT */

static int64_t wait_for(unsigned status, const char *headers, unsigned retries)
{
    return retry_wait_ms(status, str_from(headers), retries, NOW, 7);
}

TEST(what_the_provider_says_is_kept_to)
{
    static const struct {
        const char *headers;
        int64_t ms;
    } cases[] = {
        { "Retry-After: 2\r\n", 2000 },
        { "retry-after:0\r\n", 0 },
        { "X: y\r\nRETRY-AFTER:  3 \r\n", 3000 },
        { "Retry-After: 3\r\nRetry-After-Ms: 40.5\r\n", 40 },
        { "Retry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\n", 3000 },
        { "Retry-After: Sun, 06 Nov 1994 08:49:00 GMT\r\n", 0 },
        { "Retry-After: 5\r\n", 5000 },
        /* longer than a client should wait without knowing why */
        { "Retry-After: 6\r\n", -1 },
        { "Retry-After: 99999999999999999999\r\n", 250 + 7 * 61 % 62 }, /* no number */
        { "Retry-After: Sun, 06 Nov 1994 09:49:37 GMT\r\n", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (wait_for(429, cases[i].headers, 0) != cases[i].ms)
            test_fail(__FILE__, __LINE__, "%s: %lld", cases[i].headers,
                      (long long)wait_for(429, cases[i].headers, 0));
}

TEST(without_a_word_it_waits_longer_each_time)
{
    int64_t first = wait_for(503, "", 0), second = wait_for(503, "Retry-After: soon\r\n", 1);
    CHECK(first >= 250 && first < 313);
    CHECK(second >= 500 && second < 625);
    CHECK_INT(wait_for(503, "", MODEL_RETRIES_MAX), -1);
    CHECK_INT(wait_for(503, "Retry-After: 0\r\n", MODEL_RETRIES_MAX), -1);
}

TEST(only_what_was_not_done_is_asked_again)
{
    static const unsigned once[] = { 200, 301, 400, 401, 403, 404, 409, 413, 500, 501, 502, 504 };
    for (size_t i = 0; i < ARRAY_LEN(once); i++)
        CHECK_INT(wait_for(once[i], "Retry-After: 1\r\n", 0), -1);
    CHECK_INT(wait_for(529, "Retry-After: 1\r\n", 0), 1000);
}
