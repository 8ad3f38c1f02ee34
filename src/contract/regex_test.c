#include "contract/regex.h"

#include <time.h>

#include "contract/regex_internal.h"
#include "contract/suite_cases.h"

/* 1, 0, or what regex_new or regex_search returned below 0. */
static int search(struct str pattern, struct str subject)
{
    struct regex *regex = NULL;
    struct err err;
    int r = regex_new(pattern, &regex, &err);
    if (r == 0)
        r = regex_search(regex, subject, &err);
    regex_free(regex);
    return r;
}

static void check_rows(const struct str (*rows)[2], size_t count, int expected)
{
    for (size_t i = 0; i < count; i++) {
        int r = search(rows[i][0], rows[i][1]);
        if (r != expected)
            test_fail(__FILE__, __LINE__, "\"%.*s\" on \"%.*s\" is %d, expected %d",
                      STR_ARG(rows[i][0]), STR_ARG(rows[i][1]), r, expected);
    }
}

#define ROW(pattern, subject)                                                                      \
    {                                                                                              \
        { pattern, sizeof(pattern) - 1 },                                                          \
        {                                                                                          \
            subject, sizeof(subject) - 1                                                           \
        }                                                                                          \
    }

TEST(regex_finds)
{
    static const struct str rows[][2] = {
        ROW("", ""),
        ROW("", "x"),
        ROW("b", "abc"),
        ROW("^$", ""),
        ROW("a|^$", ""),
        ROW("^\\d+$", "0123456789"),
        ROW("^\\D$", "\xD9\xA0"),
        ROW("^\\w+$", "aZ_09"),
        ROW("^\\W$", "\xC3\xA9"),
        ROW("^\\s$", "\xEF\xBB\xBF"),
        ROW("^\\s$", "\xC2\xA0"),
        ROW("^\\s$", "\v"),
        ROW("^[\\s]$", "\xE3\x80\x80"),
        ROW("^[^\\S]$", "\xE3\x80\x80"),
        ROW("^\\S$", "\xC2\x85"), /* NEL is no white space here */
        ROW("^[\\s\\S]$", "\xE2\x80\xA8"),
        ROW("\\bfoo\\b", "\xC3\xA9"
                         "foo\xC3\xA9"),
        ROW("^a\\Bb$", "ab"),
        ROW("^.$", "\xF0\x9F\x90\xB2"),
        ROW("^.$", "\xC2\x85"),
        ROW("^.$", "\0"),
        ROW("a\\0b", "xa\0b"),
        ROW("^[^a]$", "\xF0\x9F\x90\xB2"),
        ROW("^\\cA\\cz$", "\x01\x1A"),
        ROW("^\\t\\n\\v\\f\\r$", "\t\n\v\f\r"),
        ROW("^\\x41\\u0042\\u{43}\\u{000044}$", "ABCD"),
        ROW("^\\uD83D\\uDC32$", "\xF0\x9F\x90\xB2"),
        ROW("^[\\uD83D\\uDC31-\\uD83D\\uDC33]$", "\xF0\x9F\x90\xB2"),
        ROW("^[\\uD800-\\uE000]$", "\xEE\x80\x80"),
        ROW("^[^\\uD800-\\uDFFF]$", "x"),
        ROW("^(?:\\uD800|x)$", "x"),
        ROW("^\\^\\$\\\\\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\/$", "^$\\.*+?()[]{}|/"),
        ROW("^[\\-\\b\\0a-]+$", "-\b\0a-"),
        ROW("^[(*+?.{}|^$\"#~`@]+$", "(*+?.{}|^$\"#~`@"),
        ROW("^[^]$", "\n"),
        ROW("^[[:alpha:]$", "["),
        ROW("^[a&&b]+$", "a&b"),
        ROW("^[+--]+$", "+,-"),
        ROW("^[\\w-]+$", "a-b"),
        ROW("^[\\d\\-x]+$", "1-x"),
        ROW("^a{2}b{1,}c{0,2}?$", "aabbb"),
        ROW("^a{0}$", ""),
        ROW("^a{02,03}$", "aaa"),
        ROW("^(?:ab|c)*?d$", "abcabd"),
        ROW("(?=.*\\d)(?=.*[a-z])^.{4,}$", "abc1"),
        ROW("^(?!foo)", "bar"),
        ROW("(?<=\\$)\\d+", "$42"),
        ROW("(?<!\\$)\\b\\d+", "a 42"),
        ROW("(?<=a+)b", "xaab"),
        ROW("(?<=\\s*)b", "b"),
        ROW("(?<=x?ab)c", "abc"),
        ROW("^(a)(b)\\2\\1$", "abba"),
        ROW("^(?<first>a)\\k<first>$", "aa"),
        ROW("^\\k<later>(?<later>a)$", "a"),
        ROW("^\\1(a)$", "a"),
        ROW("^(a\\1)$", "a"),
        ROW("^(a)?b\\1$", "b"),
        ROW("^(?:(a)|b)\\1$", "b"),
        ROW("^(?:\\1(a)){2}$", "aa"),
        ROW("(a|^(a)){0}b\\2\\1$", "ab"),
        ROW("(?=b)_?b", "b"),
        ROW("(?:1|)b*1", "1"),
        ROW("^(?<\\u0061\\u{62}>x)\\k<ab>$", "xx"),
        ROW("^(?<$_\xC3\xA9>x)\\k<$_\xC3\xA9>$", "xx"),
        ROW("^(?<\xF0\x9D\x93\xAA>x)\\k<\\ud835\\udcea>$", "xx"),
        ROW("^\\p{Letter}\\p{L}\\p{gc=Lu}\\p{General_Category=Uppercase_Letter}$", "aaAA"),
        ROW("^\\p{LC}\\P{Lu}$", "Aa"),
        ROW("^\\p{digit}$", "\xE0\xA7\xAA"),
        ROW("^\\p{Script=Greek}\\p{sc=Grek}\\p{scx=Greek}\\p{Script_Extensions=Grek}$",
            "\xCE\xB1\xCE\xB1\xCE\xB1\xCE\xB1"),
        ROW("^[\\p{Alphabetic}\\P{ASCII}]+$", "a\xE2\x82\xAC"),
        ROW("^\\p{Assigned}\\p{Any}\\p{ASCII}\\p{White_Space}\\p{Emoji_Presentation}$",
            "aaa \xF0\x9F\x90\xB2"),
        ROW("^[^\\P{Lowercase}]$", "a"),
        ROW("^\\P{Assigned}$", "\xCD\xB8"),
        ROW("\xE2\x82\xAC{2}", "\xE2\x82\xAC\xE2\x82\xAC"),
        ROW("^.{3,70000}$", "abc"),
    };
    check_rows(rows, ARRAY_LEN(rows), 1);
}

TEST(regex_does_not_find)
{
    static const struct str rows[][2] = {
        ROW("a", ""),
        ROW("^a$", "a\n"),
        ROW("^a$", "b\na\nb"),
        ROW("^\\d$", "\xD9\xA0"),
        ROW("^\\w$", "\xC3\xA9"),
        ROW("^\\s$", "\xC2\x85"),
        ROW("^\\S$", "\xEF\xBB\xBF"),
        ROW("^.$", "\n"),
        ROW("^.$", "\r"),
        ROW("^.$", "\xE2\x80\xA8"),
        ROW("^.$", "\xE2\x80\xA9"),
        ROW("^.$", "ab"),
        ROW("^[^a]$", "a"),
        ROW("A", "a"),
        ROW("[]", "x"),
        ROW("^[]a$", "a"),
        ROW("\\uD83D", "\xF0\x9F\x90\xB2"),
        ROW("^[^\\d\\D]", "1"),
        ROW("a\\bb", "ab"),
        ROW("\\B", "a"),
        ROW("(?<!a)(?!b)(?<!^)(?!$)", "a\xC3\xA9"
                                      "b"),
        ROW("^(?:(?!bad).)*$", "a bad one"),
        ROW("(?<=a+)b", "b"),
        ROW("(?<!a+)b", "ab"),
        ROW("^(a)\\1$", "a"),
        ROW("^[[:alpha:]$", "b"),
        ROW("^a{2,3}$", "aaaa"),
        ROW("^[\xC3\xA9-\xC3\xAB]$", "\xC3"
                                     "\xA8"),
        ROW("^\\p{Lu}$", "a"),
        ROW("^[\\W]$", "a"),
        ROW("x\\0", "x"),
        ROW("^.{3,70000}$", "ab"),
    };
    check_rows(rows, ARRAY_LEN(rows), 0);
}

TEST(regex_refuses_what_is_not_ecma_262)
{
    static const struct {
        struct str pattern;
        const char *cause;
    } rows[] = {
#define BAD(pattern, cause) { { pattern, sizeof(pattern) - 1 }, cause }
        BAD("^(abc]", "at character 6"),
        BAD("(a", "at character 1: \"(\" is not closed"),
        BAD("\xC3\xA9)", "at character 2: \")\" closes nothing"),
        BAD("[a", "at character 1: \"[\" is not closed"),
        BAD("[a-", "is not closed"),
        BAD("a]", "bracket"),
        BAD("[]a]", "bracket"),
        BAD("[[:alpha:]]", "bracket"),
        BAD("a}", "bracket"),
        BAD("a{", "{n,m}"),
        BAD("a{,3}", "{n,m}"),
        BAD("a{1", "is not closed"),
        BAD("a{1,2", "is not closed"),
        BAD("a{2,1}", "out of order"),
        BAD("{1}", "nothing to repeat"),
        BAD("*", "nothing to repeat"),
        BAD("a**", "nothing to repeat"),
        BAD("a++", "nothing to repeat"),
        BAD("a?+", "nothing to repeat"),
        BAD("a{1}{2}", "nothing to repeat"),
        BAD("a|*", "nothing to repeat"),
        BAD("^*", "assertion"),
        BAD("\\b+", "assertion"),
        BAD("(?=a)*", "assertion"),
        BAD("(?!a)?", "assertion"),
        BAD("(?<=a){2}", "assertion"),
        BAD("(*UTF)a", "nothing to repeat"),
        BAD("(?i)a", "no such group"),
        BAD("(?i:a)", "no such group"),
        BAD("(?-i)a", "no such group"),
        BAD("(?>a)", "no such group"),
        BAD("(?|a|b)", "no such group"),
        BAD("(?#a)", "no such group"),
        BAD("(?P<n>a)", "no such group"),
        BAD("(?'n'a)", "no such group"),
        BAD("(?R)", "no such group"),
        BAD("(?1)", "no such group"),
        BAD("(?(1)a)", "no such group"),
        BAD("(?", "no such group"),
        BAD("(?<", "name"),
        BAD("(?<>a)", "name"),
        BAD("(?<1>a)", "name"),
        BAD("(?<a-b>a)", "name"),
        BAD("(?<\xE2\x82\xAC>a)", "name"),
        BAD("(?<a\\x62>a)", "escape"),
        BAD("(?<\\ud835>a)", "surrogate"),
        BAD("(?<a", "name"),
        BAD("(?<a>x)(?<a>y)", "same name"),
        BAD("\\k<a>", "of that name"),
        BAD("(?<a>x)\\k<b>", "of that name"),
        BAD("\\k", "\\k"),
        BAD("\\ka", "\\k"),
        BAD("(a)\\2", "at character 4: there is no group of that number"),
        BAD("\\99999999999999999999", "of that number"),
        BAD("\\a", "escape"),
        BAD("\\e", "escape"),
        BAD("\\A", "escape"),
        BAD("\\z", "escape"),
        BAD("\\Z", "escape"),
        BAD("\\G", "escape"),
        BAD("\\K", "escape"),
        BAD("\\Qa\\E", "escape"),
        BAD("\\R", "escape"),
        BAD("\\X", "escape"),
        BAD("\\h", "escape"),
        BAD("\\N", "escape"),
        BAD("\\g{1}", "escape"),
        BAD("\\-", "escape"),
        BAD("\\ ", "escape"),
        BAD("\\_", "escape"),
        BAD("\\\xC3\xA9", "escape"),
        BAD("\\\0", "escape"),
        BAD("a\\", "at character 2: \"\\\" escapes nothing"),
        BAD("\\c", "letter"),
        BAD("\\c1", "letter"),
        BAD("\\x4", "hexadecimal"),
        BAD("\\u004", "hexadecimal"),
        BAD("\\u{}", "hexadecimal"),
        BAD("\\u{110000}", "hexadecimal"),
        BAD("\\u{41", "hexadecimal"),
        BAD("\\01", "digit"),
        BAD("[\\1]", "escape"),
        BAD("[\\B]", "escape"),
        BAD("[\\k]", "escape"),
        BAD("[b-a]", "out of order"),
        BAD("[\\d-z]", "a set"),
        BAD("[a-\\w]", "a set"),
        BAD("[\\p{L}-z]", "a set"),
        BAD("\\p", "property"),
        BAD("\\pL", "property"),
        BAD("\\p{}", "property"),
        BAD("\\p{L", "property"),
        BAD("\\p{letter}", "property"),
        BAD("\\p{L&}", "property"),
        BAD("\\p{Greek}", "property"),
        BAD("\\p{sc=greek}", "property"),
        BAD("\\p{sc=Klingon}", "property"),
        BAD("\\p{sc=}", "property"),
        BAD("\\p{sc=Adlam Adlm}", "property"),
        BAD("\\p{Script=Lu}", "property"),
        BAD("\\p{scz=Greek}", "property"),
        BAD("\\p{Lu=Lu}", "property"),
        BAD("\\p{^Lu}", "property"),
        BAD("\\p{Xan}", "property"),
        BAD("\\p{ASCII=Yes}", "property"),
        BAD("a\xFF", "UTF-8"),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regex *regex = NULL;
        struct err err = { 0 };
        int r = regex_new(rows[i].pattern, &regex, &err);
        if (r >= 0 || err.code != ERR_SCHEMA || !strstr(err.cause, rows[i].cause))
            test_fail(__FILE__, __LINE__, "\"%.*s\" is %d: %s", STR_ARG(rows[i].pattern), r,
                      err.cause);
        CHECK_INT(regex_valid(rows[i].pattern, &err), 0);
        regex_free(regex);
    }
}

TEST(regex_says_what_pcre2_cannot_do_and_never_guesses)
{
    static const struct {
        const char *pattern;
        enum err_code code;
    } rows[] = {
        { "(?<=\\$\\d*)x", ERR_UNSUPPORTED },
        { "(a)(?<=\\1)", ERR_UNSUPPORTED },
        { "(?<=\\1(a))", ERR_UNSUPPORTED },
        { "^(?:(a)|b)*\\1$", ERR_UNSUPPORTED },
        { "^(a?)*\\1$", ERR_UNSUPPORTED },
        { "^(?:(a)|b\\1)+$", ERR_UNSUPPORTED },
        { "^(?:(?=(a)))?a\\1$", ERR_UNSUPPORTED },
        { "\\p{Changes_When_NFKC_Casefolded}", ERR_UNSUPPORTED },
        { "(?:ab){70000}c", ERR_UNSUPPORTED },
        { "(?:(?:(?:a{1000}b){1000}c){1000}d)", ERR_LIMIT },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regex *regex = NULL;
        struct err err = { 0 };
        if (regex_new(str_from(rows[i].pattern), &regex, &err) >= 0 || err.code != rows[i].code)
            test_fail(__FILE__, __LINE__, "\"%s\": %s", rows[i].pattern, err.cause);
        if (regex_valid(str_from(rows[i].pattern), &err) != 1)
            test_fail(__FILE__, __LINE__, "\"%s\" is a pattern", rows[i].pattern);
        regex_free(regex);
    }
}

static struct str repeat_text(struct buf *buf, const char *text, size_t count)
{
    buf_reset(buf);
    for (size_t i = 0; i < count; i++)
        buf_add_text(buf, text);
    return buf_str(buf);
}

TEST(regex_bounds_the_pattern)
{
    struct buf buf = BUF_INIT;
    struct regex *regex = NULL;
    struct err err = { 0 };
    CHECK_INT(regex_valid(repeat_text(&buf, "a", REGEX_PATTERN_BYTES_MAX), &err), 1);
    CHECK_INT(regex_valid(repeat_text(&buf, "a", REGEX_PATTERN_BYTES_MAX + 1), &err), -E2BIG);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK_INT(regex_new(repeat_text(&buf, "a", REGEX_PATTERN_BYTES_MAX + 1), &regex, &err), -E2BIG);
    CHECK_INT(err.code, ERR_LIMIT);
    CHECK_INT(regex_new(repeat_text(&buf, "(?:", 3000), &regex, &err), -E2BIG);
    CHECK_INT(regex_new(repeat_text(&buf, "()", REGEX_GROUPS_MAX + 1), &regex, &err), -E2BIG);
    CHECK_INT(regex_new(repeat_text(&buf, "()", REGEX_GROUPS_MAX), &regex, &err), 0);
    regex_free(regex);
    buf_release(&buf);
}

static double elapsed_ms(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 +
           (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

TEST(regex_catastrophes_end_in_an_error_soon)
{
    static const char *const patterns[] = {
        "^(a+)+$",
        "^(a|a)*$",
        "^(a|aa)+$",
        "^([a-z]+)*$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "x|(a+)+$",
        "^(?:a*)*[bc]",
        "(?=(a+)+$)(b|a)",
        "(?<=a)(a|a|b)*$",
    };
    struct buf buf = BUF_INIT;
    repeat_text(&buf, "a", 100);
    buf_add_char(&buf, '!');
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct regex *regex = NULL;
        struct err err = { 0 };
        CHECK_INT(regex_new(str_from(patterns[i]), &regex, &err), 0);
        /* Often enough that both of PCRE2's engines have their turn. */
        for (int turn = 0; regex && turn < 40; turn++) {
            struct timespec start;
            clock_gettime(CLOCK_MONOTONIC, &start);
            int r = regex_search(regex, buf_str(&buf), &err);
            if (r > 0 || elapsed_ms(&start) > 500)
                test_fail(__FILE__, __LINE__, "\"%s\" is %d after %.0f ms", patterns[i], r,
                          elapsed_ms(&start));
            if (r < 0)
                CHECK_INT(err.code, ERR_LIMIT);
        }
        regex_free(regex);
    }
    buf_release(&buf);
}

TEST(regex_searches_of_long_texts_are_given_up_in_time)
{
    static const char *const patterns[] = { "a(?=a*[bc])d", "a+a*a*[bc]", "x|^(?:a|b)*c" };
    struct buf buf = BUF_INIT;
    repeat_text(&buf, "a", 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct regex *regex = NULL;
        struct err err = { 0 };
        struct timespec start;
        clock_gettime(CLOCK_MONOTONIC, &start);
        CHECK_INT(regex_new(str_from(patterns[i]), &regex, &err), 0);
        CHECK_INT(regex_search(regex, buf_str(&buf), &err), -E2BIG);
        CHECK_INT(err.code, ERR_LIMIT);
        CHECK(elapsed_ms(&start) < 20000);
        regex_free(regex);
    }
    buf_release(&buf);
}

TEST(regex_serves_long_texts_within_its_bounds)
{
    struct buf buf = BUF_INIT;
    struct regex *regex = NULL;
    struct err err = { 0 };
    CHECK_INT(regex_new(STR("^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==)?$"), &regex, &err), 0);
    repeat_text(&buf, "AbC+", 20000);
    CHECK_INT(regex_search(regex, buf_str(&buf), &err), 1);
    buf_add_text(&buf, "=");
    CHECK_INT(regex_search(regex, buf_str(&buf), &err), 0);
    regex_free(regex);
    buf_release(&buf);
}

TEST(regex_searches_long_texts_to_their_end)
{
    static const char *const fillers[] = { "ab", "\xE2\x82\xAC", "\xF0\x9F\x90\xB2", "a\xC3\xA9" };
    struct buf buf = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
        struct regex *regex = NULL;
        struct err err = { 0 };
        CHECK_INT(regex_new(STR("x(?:yz|\\W)$"), &regex, &err), 0);
        for (size_t count = 0; count < 6000; count += count < 100 ? 1 : 397) {
            repeat_text(&buf, fillers[i], count);
            CHECK_INT(regex_search(regex, buf_str(&buf), &err), 0);
            buf_add_text(&buf, "xyz");
            CHECK_INT(regex_search(regex, buf_str(&buf), &err), 1);
        }
        regex_free(regex);
    }
    buf_release(&buf);
}

TEST(a_known_pattern_is_compiled_when_it_is_first_searched_for)
{
    static const struct {
        const char *pattern, *subject;
        int found;
    } cases[] = { { "^[a-z]+$", "abc", 1 },
                  { "^[a-z]+$", "Abc", 0 },
                  { "^(a|b)\\1$", "bb", 1 },
                  { "(", "a", -EINVAL } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct regex *regex;
        struct err err = { 0 };
        CHECK_INT(regex_new_known(str_from(cases[i].pattern), &regex, &err), 0);
        int r = regex_search(regex, str_from(cases[i].subject), &err);
        CHECK_INT(r < 0 ? -1 : r, cases[i].found < 0 ? -1 : cases[i].found);
        CHECK_INT(err.code, cases[i].found < 0 ? ERR_SCHEMA : ERR_NONE);
        CHECK_INT(regex_search(regex, str_from(cases[i].subject), NULL), r);
        regex_free(regex);
    }
}

TEST(regex_refuses_a_subject_that_is_not_utf8)
{
    struct regex *regex = NULL;
    struct err err = { 0 };
    CHECK_INT(regex_new(STR("(?:\\p{L}|b)+$"), &regex, &err), 0);
    CHECK(regex_search(regex, STR("a\xC3"), &err) < 0);
    CHECK_INT(err.code, ERR_DOCUMENT);
    regex_free(regex);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void add_pieces(struct buf *buf, const char *const *pieces, size_t count, size_t most,
                       uint64_t *state)
{
    size_t n = next_random(state) % (most + 1);
    for (size_t i = 0; i < n; i++)
        buf_add_text(buf, pieces[next_random(state) % count]);
}

TEST(regex_steps_agree_with_pcre2)
{
    static const char *const atoms[] = {
        "a",   "b",     "[ab]", "[^a]",   ".",      "\\d",      "\\s",        "\\S",   "\\w",
        "\\W", "-",     ":",    "[a-c]",  "[^\\s]", "[\\d-]",   "[^\\n\\r:]", "[]",    "[^]",
        "a+",  "[ab]*", "\\d?", ".{2,3}", "\\S+",   "[a-c]{2}", "\\s*",       "[^:]+", ":{0}",
    };
    static const char *const pieces[] = {
        "a", "b", "c", "1", "-", ":", " ", "\n", "\xC2\xA0", "\xE2\x80\xA8", "\xC3\xA9", "aa", "ab",
    };
    uint64_t state = 88172645463325252u;
    struct buf pattern = BUF_INIT, subject = BUF_INIT;
    size_t by_steps = 0, found = 0;
    for (int round = 0; round < 6000; round++) {
        struct regex *regex = NULL, *reference = NULL;
        struct err err = { 0 };
        buf_reset(&pattern);
        buf_add_text(&pattern, next_random(&state) % 4 ? "^" : "");
        add_pieces(&pattern, atoms, ARRAY_LEN(atoms), 4, &state);
        buf_add_text(&pattern, next_random(&state) % 3 ? "$" : "");
        CHECK_INT(regex_new(buf_str(&pattern), &regex, &err), 0);
        CHECK_INT(regex_new_pcre2(buf_str(&pattern), &reference, &err), 0);
        by_steps += regex_uses_steps(regex);
        for (int turn = 0; regex_uses_steps(regex) && turn < 24; turn++) {
            buf_reset(&subject);
            add_pieces(&subject, pieces, ARRAY_LEN(pieces), 6, &state);
            int r = regex_search(regex, buf_str(&subject), &err);
            found += r == 1;
            if (r != regex_search(reference, buf_str(&subject), &err))
                test_fail(__FILE__, __LINE__, "\"%s\" on \"%s\" is %d", pattern.data, subject.data,
                          r);
        }
        regex_free(regex);
        regex_free(reference);
    }
    CHECK(by_steps > 1000 && found > 1000);
    buf_release(&pattern);
    buf_release(&subject);
}

TEST(regex_steps_serve_the_patterns_of_schemas)
{
    static const char *const patterns[] = {
        "^urn:srcos:network-access-profile:",
        "^sha256:[0-9a-f]{64}$",
        "\\S",
        "^x-",
        "^.{1,64}$",
        "^[a-z][a-z0-9-]*$",
        "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$",
        "^[^/]+/[^/]+$",
        ".*",
        "",
        "^secret://[a-z]+/",
        "^\\S+$",
        "^",
    };
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct regex *regex = NULL;
        struct err err = { 0 };
        CHECK_INT(regex_new(str_from(patterns[i]), &regex, &err), 0);
        if (regex && !regex_uses_steps(regex))
            test_fail(__FILE__, __LINE__, "\"%s\" goes to PCRE2", patterns[i]);
        regex_free(regex);
    }
}

static void check_suite_case(struct str pattern, struct str data, bool valid,
                             const char *description)
{
    int r = search(pattern, data);
    if (r != valid)
        test_fail(__FILE__, __LINE__, "%s: \"%.*s\" is %d", description, STR_ARG(pattern), r);
}

TEST(regex_agrees_with_the_official_suite)
{
    size_t count = suite_each("pattern.json", "pattern", check_suite_case);
    count += suite_each("optional/ecmascript-regex.json", "pattern", check_suite_case);
    count += suite_each("optional/non-bmp-regex.json", "pattern", check_suite_case);
    CHECK(count > 60 || !getenv("AM_TEST_DATA"));
}
