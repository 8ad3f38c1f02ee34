#include "base/redact_shape.h"

#include "base/json.h"
#include "base/test.h"

#define TOKEN                                                                                      \
    "ghp"                                                                                          \
    "_EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1"

typedef int masker(struct redact_shape *shape, struct str text, struct buf *ret, struct err *err);

static uint64_t check_with(masker *mask, redact_rename *rename, const char *text,
                           const char *expected)
{
    struct redact_shape shape = { .rename = rename };
    struct buf out = BUF_INIT;
    struct err err = { 0 };
    uint64_t all = 0;
    CHECK_INT(redact_scanner_new(&shape.scanner, NULL), 0);
    CHECK_INT(mask(&shape, str_from(text), &out, &err), 0);
    CHECK_TEXT(err.cause, "");
    CHECK_TEXT(out.data, expected);
    for (size_t i = 0; i < REDACT_KIND_COUNT; i++)
        all += shape.counts[i];
    buf_release(&out);
    redact_scanner_free(shape.scanner);
    return all;
}

TEST(masked_json_has_the_same_members_and_still_parses)
{
    uint64_t count = check_with(
        redact_json, NULL,
        "{\"a\": [1, true, null, \"x\\\"" TOKEN "\\n\"], \"dbPassword\": \"pa\\\"ss\",\n"
        "\"pin_token\": 123456, \"nested\": {\"credentials\": {\"user\": \"ada\", \"n\": [7777, "
        "7]}},\n"
        "\"key\": \"-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIEXAMPLEEXAMPLEEXAMPLEEXA\\n"
        "-----END EC PRIVATE KEY-----\\n\", \"next\": 1.50}",
        "{\"a\":[1,true,null,\"x\\\"[redacted:code-host-token]\\n\"],"
        "\"dbPassword\":\"[redacted:assigned-secret]\","
        "\"pin_token\":\"[redacted:assigned-secret]\",\"nested\":{\"credentials\":"
        "{\"user\":\"[redacted:assigned-secret]\",\"n\":[\"[redacted:assigned-secret]\",7]}},"
        "\"key\":\"[redacted:private-key]\\n\",\"next\":1.5}");
    CHECK_INT(count, 6);
}

TEST(what_only_refers_to_a_secret_is_kept)
{
    static const char text[] =
        "{\"password\":\"secret://corp/db\",\"token\":\"$TOKEN\",\"apiKey\":\"\",\"secret\":null,"
        "\"authToken\":\"urn:srcos:secret:1\",\"tokens\":1200,\"tokensIncluded\":false}";
    CHECK_INT(check_with(redact_json, NULL, text, text), 0);
}

TEST(rules_that_ask_for_a_name_find_it_in_the_member)
{
    check_with(redact_json, NULL,
               "{\"AccountKey\":\""
               "q8Zr3vT1xK6mW0pYb4Ndq8Zr3vT1xK6mW0pYb4Nd\","
               "\"x-api-key\":\"q8Zr3vT1xK6mW0pYb4Nd\",\"dd_app_key\":"
               "\"5eedbeef5eedbeef5eedbeef5eedbeef\",\"env\":[\"DB_PASSWORD=hunter2\","
               "{\"name\":\"DB_PASSWORD\",\"value\":\"hunter2\"}]}",
               "{\"AccountKey\":\"[redacted:assigned-secret]\","
               "\"x-api-key\":\"[redacted:assigned-secret]\","
               "\"dd_app_key\":\"[redacted:service-token]\","
               "\"env\":[\"DB_PASSWORD=[redacted:assigned-secret]\","
               "{\"name\":\"DB_PASSWORD\",\"value\":\"[redacted:assigned-secret]\"}]}");
}

TEST(a_name_that_is_a_secret_is_masked)
{
    check_with(redact_json, NULL, "{\"" TOKEN "\":1}", "{\"[redacted:code-host-token]\":1}");
}

TEST(what_is_no_json_is_refused_and_nothing_is_written)
{
    struct redact_shape shape = { 0 };
    struct buf out = BUF_INIT;
    CHECK_INT(redact_scanner_new(&shape.scanner, NULL), 0);
    CHECK_INT(redact_json(&shape, STR("{\"a\":"), &out, NULL), -EBADMSG);
    CHECK_INT(out.len, 0);
    redact_scanner_free(shape.scanner);
}

TEST(a_log_keeps_its_lines_and_their_forms)
{
    check_with(redact_lines, NULL,
               "plain " TOKEN "\n{\"level\":\"info\",\"password\":\"x y\"}\n\nexport A_TOKEN=abc\n"
               "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIEXAMPLEEXAMPLEEXAMPLEEXA\n"
               "-----END EC PRIVATE KEY-----\n{not json " TOKEN "\nlast\r\n",
               "plain [redacted:code-host-token]\n"
               "{\"level\":\"info\",\"password\":\"[redacted:assigned-secret]\"}\n\n"
               "export A_TOKEN=[redacted:assigned-secret]\n[redacted:private-key]\n"
               "{not json [redacted:code-host-token]\nlast\r\n");
}

TEST(an_environment_keeps_its_names)
{
    check_with(redact_lines, NULL,
               "HOME=/home/ada\nGITHUB_TOKEN=x\nDB_PASSWORD=\nMY_SECRET=$OTHER\n"
               "DATABASE_URL=postgres://ada:pw1@db/x\nPATH=/bin",
               "HOME=/home/ada\nGITHUB_TOKEN=[redacted:assigned-secret]\nDB_PASSWORD=\n"
               "MY_SECRET=$OTHER\nDATABASE_URL=postgres://ada:[redacted:connection-password]@db/x\n"
               "PATH=/bin");
}

static int shout(void *context, struct str masked, struct buf *ret, struct err *err)
{
    (void)context, (void)err;
    for (size_t i = 0; i < masked.len; i++) {
        char c = masked.ptr[i];
        buf_add_char(ret, c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c);
    }
    return 0;
}

TEST(names_are_changed_behind_the_scanner)
{
    check_with(redact_json, shout, "{\"a\":\"by ada\"}", "{\"A\":\"BY ADA\"}");
    check_with(redact_lines, shout, "by ada\n{\"a\":\"by ada\"}\nx",
               "BY ADA\n{\"A\":\"BY ADA\"}\nX");
}

/* printf 'GITHUB_TOKEN=%s and more' TOKEN | base64; and of the same without a secret */
TEST(a_secret_that_is_encoded_is_masked_with_its_encoding)
{
    check_with(redact_lines, NULL,
               "a R0lUSFVCX1RPS0VOPWdocF9FWEFNUExFRVhBTVBMRUVYQU1QTEVFWEFNUExFRVhBTVBMRTEg"
               "YW5kIG1vcmU= b\n"
               "b bm90aGluZyB0aGF0IGlzIGEgc2VjcmV0LCBhbmQgbW9yZQ== c\n"
               "/x?a=1&b=password%3Dhunter2%26c&d=100%25\n"
               "/x?t=ghp%5fEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1&e=1\n",
               "a [redacted:code-host-token] b\n"
               "b bm90aGluZyB0aGF0IGlzIGEgc2VjcmV0LCBhbmQgbW9yZQ== c\n"
               "/x?a=1&[redacted:assigned-secret]&d=100%25\n"
               "[redacted:code-host-token]&e=1\n");
    check_with(redact_json, NULL, "{\"blob\":\"cGFzc3dvcmQ9aHVudGVyMjsgaG9zdD1kYg==\"}",
               "{\"blob\":\"[redacted:assigned-secret]\"}");
}
