#include "doors/model/json_scan.h"

#include "base/buf.h"
#include "base/test.h"

static void note(void *context, const struct json_scan *scan, const struct json_scan_value *value)
{
    static const char marks[] = "{}[]sntf0";
    (void)scan;
    buf_addf(context, "%c%u:%.*s=%.*s@%u-%u ", marks[value->kind], value->level,
             STR_ARG(value->name), STR_ARG(value->text), (unsigned)value->from,
             (unsigned)value->to);
}

static int scan_text(const char *text, size_t step, struct buf *seen)
{
    struct json_scan scan;
    struct str all = str_from(text);
    json_scan_init(&scan, note, seen);
    for (size_t at = 0; at < all.len; at += step)
        (void)json_scan_feed(&scan, str_make(text + at, all.len - at < step ? all.len - at : step));
    return json_scan_end(&scan);
}

TEST(each_value_is_shown_with_its_place)
{
    static const char text[] = "{\"a\": [1, \"x\\u00e9\\n\"], \"b\":{\"c\":null},\"d\":true}";
    for (size_t step = 1; step < sizeof(text); step += 7) {
        struct buf seen = BUF_INIT;
        CHECK_INT(scan_text(text, step, &seen), 0);
        CHECK_TEXT(seen.data, "{0:=@0-1 [1:a=@6-7 n2:=1@7-8 s2:=x\xc3\xa9\n@10-21 ]1:a=@21-22 "
                              "{1:b=@28-29 02:c=@33-37 }1:b=@37-38 t1:d=@43-47 }0:=@47-48 ");
        buf_release(&seen);
    }
}

static size_t hits;
static uint64_t number;
static void find(void *context, const struct json_scan *scan, const struct json_scan_value *value)
{
    hits += json_scan_is_at(scan, value, context) && json_scan_unsigned(value, &number);
}

TEST(paths)
{
    static const struct {
        const char *path, *text;
        size_t hits;
    } cases[] = {
        { "usage/prompt_tokens", "{\"usage\":{\"prompt_tokens\":7}}", 1 },
        { "usage/prompt_tokens", "{\"\\u0075sage\":{\"prompt_tokens\":7}}", 1 },
        { "usage/prompt_tokens", "{\"x\":{\"usage\":{\"prompt_tokens\":7}}}", 0 },
        { "usage/prompt_tokens", "{\"usage\":[{\"prompt_tokens\":7}]}", 0 },
        { "usage/prompt_tokens", "{\"usage\":{\"prompt_tokens\":-7}}", 0 },
        { "usage/prompt_tokens", "{\"usage\":{\"prompt_tokens\":7.5}}", 0 },
        { "usage/prompt_tokens", "{\"usage\":{\"prompt_tokens\":99999999999999999999}}", 0 },
        { "usage/prompt_tokens", "{\"usage\":{\"prompt_tokens\":\"7\"}}", 0 },
        { "usage//n", "{\"usage\":[{\"n\":7},{\"n\":8},[{\"n\":7}]]}", 2 },
        { "n", "{\"n\":7,\"m\":{\"n\":7},\"n\":7}", 2 },
        { "n", "{\"nn\":7}", 0 },
        { "nn", "{\"n\":7}", 0 },
        { "", "7", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_scan scan;
        hits = 0;
        json_scan_init(&scan, find, (void *)cases[i].path);
        CHECK_INT(json_scan_feed(&scan, str_from(cases[i].text)), 0);
        CHECK_INT(json_scan_end(&scan), 0);
        if (hits != cases[i].hits)
            test_fail(__FILE__, __LINE__, "%s in %s", cases[i].path, cases[i].text);
    }
}

TEST(what_is_no_json)
{
    static const char *const wrong[] = {
        "",        " ",        "{",          "[",       "[1,]",        "{,}",
        "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{1:2}",   "1 2",         "01",
        "-",       "1.",       ".5",         "1e",      "+1",          "tru",
        "truex",   "nul",      "\"",         "\"\\x\"", "\"\\u12g4\"", "\"\n\"",
        "[}",      "{]",       "]",          "[DONE]",  "{\"a\":1}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf seen = BUF_INIT;
        if (scan_text(wrong[i], 1, &seen) != -EBADMSG)
            test_fail(__FILE__, __LINE__, "accepted: %s", wrong[i]);
        buf_release(&seen);
    }
}

TEST(limits)
{
    struct buf seen = BUF_INIT, text = BUF_INIT;
    for (int i = 0; i < JSON_SCAN_DEPTH_MAX; i++)
        buf_add_char(&text, '[');
    for (int i = 0; i < JSON_SCAN_DEPTH_MAX; i++)
        buf_add_char(&text, ']');
    CHECK_INT(scan_text(text.data, 64, &seen), 0);
    text.data[JSON_SCAN_DEPTH_MAX] = '[';
    CHECK_INT(scan_text(text.data, 64, &seen), -E2BIG);
    buf_reset(&text);
    for (int i = 0; i < JSON_SCAN_TEXT_MAX + 1; i++)
        buf_add_char(&text, '1');
    CHECK_INT(scan_text(text.data, 64, &seen), -E2BIG);
    buf_reset(&text);
    buf_reset(&seen);
    buf_add_text(&text, "{\"");
    for (int i = 0; i < 3 * JSON_SCAN_TEXT_MAX; i++)
        buf_add_char(&text, 'k');
    buf_add_text(&text, "\":\"v\"}");
    CHECK_INT(scan_text(text.data, 64, &seen), 0);
    CHECK(seen.len < JSON_SCAN_NAME_MAX + 64);
    buf_release(&text);
    buf_release(&seen);
}
