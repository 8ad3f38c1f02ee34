#include "base/redact_check.h"

#include "base/test.h"

TEST(entropy_is_that_of_the_bytes_among_themselves)
{
    CHECK_INT(redact_entropy(STR("")), 0);
    CHECK_INT(redact_entropy(STR("aaaaaaaa")), 0);
    CHECK_INT(redact_entropy(STR("abababab")), 100);
    CHECK_INT(redact_entropy(STR("abcdabcd")), 200);
    CHECK_INT(redact_entropy(STR("0123456789abcdef")), 400);
    unsigned words = redact_entropy(STR("aaaaaaabbc")); /* 1.157 */
    CHECK(words >= 113 && words <= 117);
}

/* Expired tokens that GitHub's own format description shows have this form; these are made up. */
TEST(the_checksum_of_a_token_holds_only_for_its_own_body)
{
    char token[] = "000000000000000000000000000000"
                   "000000";
    CHECK(!redact_crc_holds(str_from(token)));
    CHECK(redact_crc_holds(STR("ghp"
                               "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"
                               "0mLq17")));
    CHECK(!redact_crc_holds(STR("ghp"
                                "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"
                                "0mLq18")));
    CHECK(!redact_crc_holds(STR("ghp"
                                "_zQWBuTSOoRi4A9spHcVY5ncnsDkxK"
                                "0mLq17")));
    CHECK(!redact_crc_holds(STR("0mLq17")));
    CHECK(!redact_crc_holds(STR("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"
                                "0mL_17")));
}

struct row {
    const char *before, *value;
    enum redact_check check;
    bool holds;
};

static const struct row rows[] = {
    { "password=", "hunter2", CHECK_PASSWORD, true },
    { "\"password\": \"", "hunter", CHECK_PASSWORD, true },
    { "\"password\": \"", "supersecret", CHECK_PASSWORD, true },
    { "PASSWORD=", "hunter", CHECK_PASSWORD, true },
    { "PASSWORD=\"", "hunter", CHECK_PASSWORD, true },
    { "password=", "hunter", CHECK_PASSWORD, false }, /* a program's name */
    { "password: ", "string", CHECK_PASSWORD, false },
    { "password: \"", "Password", CHECK_PASSWORD, false },
    { "password: \"", "user_password", CHECK_PASSWORD, false },
    { "password: \"", "newPassword", CHECK_PASSWORD, false },
    { "password: \"", "Enter your password here", CHECK_PASSWORD, false },
    { "password: \"", "https://example.com/reset1", CHECK_PASSWORD, false },
    { "password = ", "self.config.password1", CHECK_PASSWORD, false },
    { "password: ", "12345678", CHECK_PASSWORD, false }, /* a count, unquoted */
    { "token: \"", "q8Zr3vT1xK", CHECK_RANDOM, true },
    { "token: ", "q8Zr3vT1xK6mW0pYb4Nd", CHECK_RANDOM, true },
    { "token: ", "q8Zr3vT1xK", CHECK_RANDOM, false }, /* unquoted, and short */
    { "token: \"", "aaaaaaaaaaaaaaaa1111", CHECK_RANDOM, false },
    { "token: \"", "access_token_v2", CHECK_RANDOM, false },
    { "token: \"", "2026-11-20-0001-x", CHECK_RANDOM, false },
    { "token: \"", "sha256:5eedbeef0123456789abcdef", CHECK_RANDOM, false },
    { "token: \"", "the token of the user 1", CHECK_RANDOM, false },
    { "token: \"", "550e8400-e29b-41d4-a716-446655440000", CHECK_RANDOM, true },
};

TEST(what_stands_in_the_place_of_a_secret_is_told_from_one)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[200];
        const struct row *row = &rows[i];
        snprintf(text, sizeof(text), "%s%s", row->before, row->value);
        struct str value = { text + strlen(row->before), strlen(row->value) };
        if (redact_check_holds(row->check, value) != row->holds)
            test_fail(__FILE__, __LINE__, "%s%s: expected %d", row->before, row->value, row->holds);
    }
}
