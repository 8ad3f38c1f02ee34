#include "base/redact_literals.h"

#include "base/buf.h"
#include "base/redact.h"
#include "base/test.h"

#define SECRET "correct horse/b\"attery~staple"

static struct redact_scanner *scanner_with(struct redact_literals *literals)
{
    struct redact_scanner *scanner = NULL;
    CHECK_INT(redact_scanner_new(&scanner, NULL), 0);
    redact_scanner_use(scanner, literals);
    return scanner;
}

static struct redact_literals *literals_of(const char *const *values, size_t count)
{
    struct redact_literals *literals = NULL;
    size_t parts;
    CHECK_INT(redact_literals_new(&literals, NULL), 0);
    for (size_t i = 0; i < count; i++)
        CHECK_INT(redact_literals_add(literals, str_from(values[i]), &parts, NULL), 0);
    return literals;
}

static int to_buf(void *context, struct str bytes, struct err *err)
{
    (void)err;
    return buf_add_str(context, bytes);
}

static void mask_in_steps(struct redact_literals *literals, struct str text, size_t step,
                          struct buf *ret)
{
    struct redact_scanner *scanner = scanner_with(literals);
    struct redactor *redactor = NULL;
    CHECK_INT(redactor_new(scanner, to_buf, ret, &redactor, NULL), 0);
    for (size_t at = 0; at < text.len; at += step) {
        size_t len = text.len - at < step ? text.len - at : step;
        CHECK_INT(redactor_feed(redactor, str_make(text.ptr + at, len), NULL), 0);
    }
    CHECK_INT(redactor_end(redactor, NULL), 0);
    redactor_free(redactor);
    redact_scanner_free(scanner);
}

static void check_masked(struct redact_literals *literals, const char *text, const char *expected)
{
    struct buf out = BUF_INIT;
    mask_in_steps(literals, str_from(text), strlen(text) + 1, &out);
    CHECK_TEXT(out.data, expected);
    buf_release(&out);
}

TEST(a_known_secret_is_found_as_it_is_and_in_every_form)
{
    static const char *const values[] = { SECRET };
    struct redact_literals *literals = literals_of(values, 1);
    check_masked(literals, "say " SECRET " twice: " SECRET,
                 "say [redacted:own-secret] twice: [redacted:own-secret]");
    check_masked(literals, "{\"a\":\"correct horse/b\\\"attery~staple\"}",
                 "{\"a\":\"[redacted:own-secret]\"}");
    check_masked(literals, "?a=correct%20horse%2Fb%22attery~staple&b=1",
                 "?a=[redacted:own-secret]&b=1");
    check_masked(literals, "?a=correct%20horse%2fb%22attery~staple&b=1",
                 "?a=[redacted:own-secret]&b=1");
    check_masked(literals,
                 "hex 636f727265637420686f7273652f6222617474657279"
                 "7e737461706c65.",
                 "hex [redacted:own-secret].");
    redact_literals_free(literals);
}

/* printf '%s' PREFIX SECRET SUFFIX | base64, for prefixes of every length modulo 3 */
TEST(a_known_secret_is_found_in_base64_wherever_it_begins)
{
    static const char *const values[] = { "hunter2?hunter3>" };
    static const char *const encoded[][2] = {
        { "aHVudGVyMj9odW50ZXIzPg==", "[redacted:own-secret]" },
        { "eGh1bnRlcjI/aHVudGVyMz4=", "e[redacted:own-secret]" },
        { "eHhodW50ZXIyP2h1bnRlcjM+", "eH[redacted:own-secret]" },
        { "eGh1bnRlcjI_aHVudGVyMz4", "e[redacted:own-secret]" },
        { "YWRhOmh1bnRlcjI/aHVudGVyMz5tb3JlIG9mIGl0", "YWRhO[redacted:own-secret]" },
    };
    struct redact_literals *literals = literals_of(values, 1);
    for (size_t i = 0; i < ARRAY_LEN(encoded); i++)
        check_masked(literals, encoded[i][0], encoded[i][1]);
    redact_literals_free(literals);
}

TEST(a_secret_of_many_lines_is_found_line_by_line)
{
    static const char *const values[] = { "first line of it\r\nsecond line\n\nab\nthird" };
    struct redact_literals *literals = literals_of(values, 1);
    check_masked(literals, "x first line of it\nab second line third",
                 "x [redacted:own-secret]\nab [redacted:own-secret] [redacted:own-secret]");
    redact_literals_free(literals);
}

TEST(a_long_secret_is_found_in_parts_that_leave_nothing)
{
    struct redact_literals *literals = NULL;
    struct buf value = BUF_INIT, out = BUF_INIT;
    size_t parts = 0;
    for (size_t i = 0; value.len < 3 * REDACT_LITERAL_PART_MAX + 2; i++)
        buf_addf(&value, "%zu-", i * i);
    buf_truncate(&value, 3 * REDACT_LITERAL_PART_MAX + 2);
    CHECK_INT(redact_literals_new(&literals, NULL), 0);
    CHECK_INT(redact_literals_add(literals, buf_str(&value), &parts, NULL), 0);
    CHECK_INT(parts, 4);
    mask_in_steps(literals, buf_str(&value), value.len, &out);
    CHECK_TEXT(out.data, "[redacted:own-secret][redacted:own-secret][redacted:own-secret]"
                         "[redacted:own-secret]");
    buf_release(&value);
    buf_release(&out);
    redact_literals_free(literals);
}

TEST(what_is_too_short_is_said_to_be)
{
    struct redact_literals *literals = NULL;
    size_t parts = 7;
    CHECK_INT(redact_literals_new(&literals, NULL), 0);
    CHECK_INT(redact_literals_add(literals, STR("abc"), &parts, NULL), 0);
    CHECK_INT(parts, 0);
    CHECK_INT(redact_literals_add(literals, STR(""), &parts, NULL), 0);
    CHECK_INT(parts, 0);
    check_masked(literals, "abc abcabc", "abc abcabc");
    redact_literals_free(literals);
}

TEST(every_way_to_cut_a_text_gives_the_same_output)
{
    static const char *const values[] = { "hunter2?hunter3>", "line of it\nand another of it" };
    static const char text[] =
        "xx hunter2?hunter3>hunter2?hunter3>\nbase YWRhOmh1bnRlcjI/aHVudGVyMz5tb3JlIG9mIGl0 x\n"
        "line of it\rand another of it, AKI"
        "AIOSFODNN7EXAMPLE, line of i";
    struct redact_literals *literals = literals_of(values, ARRAY_LEN(values));
    struct buf whole = BUF_INIT;
    mask_in_steps(literals, str_from(text), sizeof(text), &whole);
    CHECK_TEXT(whole.data, "xx [redacted:own-secret][redacted:own-secret]\n"
                           "base YWRhO[redacted:own-secret] x\n"
                           "[redacted:own-secret]\r[redacted:own-secret], "
                           "[redacted:cloud-key], line of i");
    for (size_t step = 1; step < sizeof(text); step++) {
        struct buf out = BUF_INIT;
        mask_in_steps(literals, str_from(text), step, &out);
        CHECK_TEXT(out.data, whole.data);
        buf_release(&out);
    }
    buf_release(&whole);
    redact_literals_free(literals);
}

TEST(more_than_its_limit_is_refused)
{
    struct redact_literals *literals = NULL;
    struct err err = { 0 };
    int r = 0;
    CHECK_INT(redact_literals_new(&literals, NULL), 0);
    for (size_t i = 0; r == 0 && i < REDACT_LITERALS_MAX; i++) {
        char value[64];
        size_t parts;
        snprintf(value, sizeof(value), "secret number %zu of many", i);
        r = redact_literals_add(literals, str_from(value), &parts, &err);
    }
    CHECK(r < 0 && (err.code == ERR_LIMIT || err.code == ERR_MEMORY));
    redact_literals_free(literals);
}
