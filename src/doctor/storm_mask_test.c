#include "doctor/storm_mask.h"

#include "base/test.h"

static void check_form(const char *message, const char *template)
{
    static struct storm_form form;
    struct buf text = BUF_INIT;
    storm_mask(str_from(message), &form);
    storm_add_template(&text, form.tokens, form.count, form.text, form.cut);
    CHECK_TEXT(text.data, template);
    buf_release(&text);
}

TEST(numbers_and_addresses_are_values)
{
    check_form("took 12 times", "took <*> times");
    check_form("peer 10.0.0.1:8080 is gone", "peer <*> is gone");
    check_form("peer fe80::1 is gone", "peer <*> is gone");
    check_form("mac 00:1a:2b:3c:4d:5e seen", "mac <*> seen");
    check_form("connect to www.example.com failed", "connect to <*> failed");
    check_form("mail to someone@example.org bounced", "mail to <*> bounced");
    check_form("offset -17 reached", "offset <*> reached");
}

TEST(numbered_names_keep_their_name)
{
    check_form("eth0 is up", "eth<*> is up");
    check_form("deleting blk_-3858 now", "deleting blk_<*> now");
    check_form("task_144_0020_m_01 done", "task_<*> done");
    check_form("commit 3f2a9c1d pushed", "commit <*> pushed");
}

TEST(paths_are_values_and_what_follows_them_is_not)
{
    check_form("cannot open /etc/shadow: Permission denied", "cannot open <*>: Permission denied");
    check_form("cannot open ./a/b now", "cannot open <*> now");
    check_form("loaded C:\\Windows\\x.dll at once", "loaded <*> at once");
    check_form("see https://example.com/a?b=c", "see <*>=c");
    check_form("read/write error", "read/write error");
}

TEST(what_belongs_to_one_value_is_one)
{
    check_form("since Sat Jun 11 03:28:22 2005 on", "since <*> on");
    check_form("free 3.5 KB left", "free <*> left");
    check_form("lost 1, 2, 3 and more", "lost <*> and more");
    check_form("sent 12 bytes (1.2 KB) away", "sent <*> bytes away");
    check_form("took <1 sec there", "took <*> there");
    check_form("from () at", "from (<*>) at");
    check_form("enabled=true here", "enabled=<*> here");
}

TEST(lists_have_one_form_however_long)
{
    check_form("nodes node-1 4 <ok> node-2 5 <ok>", "nodes node-<*> <*> <ok>");
    check_form("nodes node-1 4 <ok> node-2 5 <ok> node-3 6 <ok> node-4 7 <ok>",
               "nodes node-<*> <*> <ok>");
    check_form("very very well", "very very well");
}

TEST(colours_and_control_characters_are_nothing)
{
    check_form("\x1b[31mred\x1b[0m alert", "red alert");
    check_form("a\tb", "a b");
}

TEST(every_input_has_a_form)
{
    static struct storm_form form;
    char bytes[5000];
    uint32_t state = 7;
    check_form("", "");
    check_form("((((", "((((");
    for (int round = 0; round < 2000; round++) {
        size_t len = (size_t)round * 2;
        for (size_t i = 0; i < len; i++) {
            state = state * 1664525u + 1013904223u;
            bytes[i] = (char)(round % 2 ? state >> 24 : ' ' + (state >> 24) % 95);
        }
        storm_mask(str_make(bytes, len), &form);
        CHECK(form.count <= STORM_TOKENS_MAX);
        CHECK(form.text_len <= STORM_TEXT_BYTES_MAX);
        for (size_t i = 0; i < form.count; i++)
            CHECK(form.tokens[i].offset + form.tokens[i].len <= form.text_len);
        CHECK(form.cut || len <= STORM_MESSAGE_BYTES_MAX);
    }
}

TEST(junk_is_told_as_junk)
{
    static struct storm_form form;
    storm_mask(str_make("\0\1\2\177\20Elf\0\0", 10), &form);
    CHECK_INT(form.count, 1);
    CHECK_STR(str_make(form.text, form.text_len), STR("(binary)"));
}

TEST(junk_is_told_from_text_wherever_it_stands)
{
    char text[70];
    for (size_t len = 1; len <= sizeof(text); len++) {
        memset(text, 'a', sizeof(text));
        CHECK(!storm_is_binary(str_make(text, len)));
        memset(text, '\t', len);
        CHECK(!storm_is_binary(str_make(text, len)));
        memset(text, 0x1b, len);
        CHECK(!storm_is_binary(str_make(text, len)));
        memset(text, 0xff, len);
        CHECK(!storm_is_binary(str_make(text, len)));
        memset(text, 0x01, len);
        CHECK(storm_is_binary(str_make(text, len)));
        memset(text, 0x1f, len);
        CHECK(storm_is_binary(str_make(text, len)));
    }
    /* One control character in sixteen is not yet junk, two are. */
    memset(text, 'a', sizeof(text));
    text[3] = 0x02;
    CHECK(!storm_is_binary(str_make(text, 16)));
    text[15] = 0x02;
    CHECK(storm_is_binary(str_make(text, 16)));
}

/* Words are found many letters at once where there is room, and one by one where there is not. */
TEST(a_form_does_not_depend_on_what_stands_behind)
{
    static const char *const texts[] = {
        "user gone",
        "User ROOT gone",
        "a b c d",
        "fifteenlettersx y",
        "sixteenletters_xy z",
        "word, word",
        "x9 y",
        "caf\xc3\xa9 x",
        "tab\tx",
        "END",
    };
    static const char more[] = " and thirty more letters behind it";
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct storm_form with = { 0 }, without = { 0 };
        char text[128];
        snprintf(text, sizeof(text), "%s%s", texts[i], more);
        storm_mask(str_from(texts[i]), &without);
        storm_mask(str_from(text), &with);
        CHECK(with.count == without.count + 6);
        for (size_t token = 0; token < without.count; token++) {
            const struct storm_token *a = &with.tokens[token], *b = &without.tokens[token];
            CHECK(a->hash == b->hash && a->len == b->len && a->spaced == b->spaced &&
                  a->word == b->word && a->state == b->state && a->blank == b->blank);
        }
    }
}
