/* What an error says: why, what to do, and by which rule. */
#include "base/err.h"

#include "base/test.h"

TEST(a_remedy_is_told_apart)
{
    struct err err = { 0 };
    CHECK_INT(err_set(&err, ERR_DENIED, "look", "%s is closed; as always", "/a; b"), -EACCES);
    CHECK_STR(err_why(&err), STR("/a; b is closed; as always"));
    CHECK_STR(err_to_do(&err), STR(""));
    err_remedy(&err, "open %s", "/a; b");
    CHECK_TEXT(err.cause, "/a; b is closed; as always; open /a; b");
    err_rule(&err, "closed-place", "path", STR("/a; b"));
    CHECK_TEXT(err.cause, "/a; b is closed; as always; open /a; b [closed-place]");
    CHECK_STR(err_why(&err), STR("/a; b is closed; as always"));
    CHECK_STR(err_to_do(&err), STR("open /a; b"));
    CHECK_TEXT(err.rule, "closed-place");
    CHECK_TEXT(err.kind, "path");
    CHECK_TEXT(err.thing, "/a; b");
}

TEST(a_rule_need_not_be_in_the_text)
{
    struct err err = { 0 };
    err_set(&err, ERR_DENIED, "look", "it is not given [sic]");
    err_about(&err, "no-delegation", "tool", STR("codex"));
    CHECK_TEXT(err.cause, "it is not given [sic]");
    CHECK_STR(err_why(&err), STR("it is not given [sic]"));
    err_remedy(&err, "ask");
    CHECK_STR(err_why(&err), STR("it is not given [sic]"));
    CHECK_STR(err_to_do(&err), STR("ask"));
}

TEST(the_next_error_has_nothing_of_the_last)
{
    struct err err = { 0 };
    err_set(&err, ERR_DENIED, "look", "closed");
    err_remedy(&err, "open it");
    err_rule(&err, "closed-place", "path", STR("/a"));
    err_set(&err, ERR_IO, "read", "broken");
    CHECK(err.rule == NULL && err.kind == NULL && err.thing[0] == '\0');
    CHECK_STR(err_why(&err), STR("broken"));
    CHECK_STR(err_to_do(&err), STR(""));
}

TEST(what_does_not_fit_is_cut_before_the_rule)
{
    char words[3 * ERR_CAUSE_MAX];
    struct err err = { 0 };
    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    err_set(&err, ERR_DENIED, "look", "%s", words);
    err_remedy(&err, "%s", words);
    err_rule(&err, "closed-place", "path", str_from(words));
    CHECK(str_ends(str_from(err.cause), STR("w [closed-place]")));
    CHECK(strlen(err.thing) == ERR_WHERE_MAX - 1);
    CHECK_STR(err_to_do(&err), STR(""));
    err_set(&err, ERR_DENIED, "look", "short");
    err_remedy(&err, "%s", words);
    err_rule(&err, "closed-place", "path", STR("/a"));
    CHECK(str_ends(str_from(err.cause), STR("w [closed-place]")));
    CHECK_STR(err_why(&err), STR("short"));
    CHECK(str_starts(err_to_do(&err), STR("www")) &&
          !memchr(err_to_do(&err).ptr, '[', err_to_do(&err).len));
}

TEST(nobody_needs_to_ask)
{
    CHECK_INT(err_set(NULL, ERR_DENIED, "look", "closed"), -EACCES);
    err_remedy(NULL, "open it");
    err_rule(NULL, "closed-place", "path", STR("/a"));
}
