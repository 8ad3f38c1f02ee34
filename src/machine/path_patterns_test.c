/* What a pattern matches; each row is what `git check-ignore` says of the same. */
#include "machine/path_patterns.h"

#include "base/test.h"

static const struct {
    const char *pattern, *path;
    bool directory, matches;
} rows[] = {
    { "*.md", "a.md", false, true },
    { "*.md", "deep/in/a.md", false, true },
    { "*.md", "a.md.txt", false, false },
    { "/*.md", "a.md", false, true },
    { "/*.md", "deep/a.md", false, false },
    { "dist/", "dist", true, true },
    { "dist/", "dist", false, false },
    { "dist/", "lib/dist", true, true },
    { "/dist/", "lib/dist", true, false },
    { "doc/*.txt", "doc/a.txt", false, true },
    { "doc/*.txt", "doc/in/a.txt", false, false },
    { "doc/*.txt", "x/doc/a.txt", false, false },
    { "**/out", "out", false, true },
    { "**/out", "a/b/out", false, true },
    { "a/**/z", "a/z", false, true },
    { "a/**/z", "a/b/c/z", false, true },
    { "a/**/z", "ab/z", false, false },
    { "a/**", "a/b/c", false, true },
    { "a/**", "a", true, false },
    { "**", "a/b", false, true },
    { "?at", "cat", false, true },
    { "?at", "at", false, false },
    { "[a-c]x", "bx", false, true },
    { "[!a-c]x", "bx", false, false },
    { "[^a-c]x", "dx", false, true },
    { "[]x]y", "]y", false, true },
    { "[a-]y", "-y", false, true },
    { "[ab", "[ab", false, false },
    { "\\*.md", "*.md", false, true },
    { "\\*.md", "a.md", false, false },
    { "\\!x", "!x", false, true },
    { "\\#x", "#x", false, true },
    { "#x", "#x", false, false },
    { "x ", "x", false, true },
    { "x\\ ", "x ", false, true },
    { "a*b*c", "aXbYbZc", false, true },
    { "a*b*c", "aXbYbZ", false, false },
    { "A.md", "a.md", false, false },
    { "/", "a", true, false },
};

TEST(a_pattern_matches_what_git_matches)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *const patterns[] = { rows[i].pattern, NULL };
        bool matches = path_patterns_ask(patterns, str_from(rows[i].path), rows[i].directory) ==
                       PATTERN_MATCHED;
        if (matches != rows[i].matches)
            test_fail(__FILE__, __LINE__, "%s and %s: %d", rows[i].pattern, rows[i].path, matches);
    }
}

TEST(the_last_that_matches_decides)
{
    const char *const patterns[] = { "*.log", "!keep.log", "# nothing", NULL };
    CHECK_INT(path_patterns_ask(patterns, STR("a.log"), false), PATTERN_MATCHED);
    CHECK_INT(path_patterns_ask(patterns, STR("in/keep.log"), false), PATTERN_TAKEN_BACK);
    CHECK_INT(path_patterns_ask(patterns, STR("a.txt"), false), PATTERN_SILENT);
    CHECK_INT(path_patterns_ask(NULL, STR("a.txt"), false), PATTERN_SILENT);
}

/* Many stars cost no more than the product of the lengths: else this would not end. */
TEST(no_pattern_is_slow)
{
    char pattern[1024] = "", path[4000];
    for (size_t i = 0; i < 500; i++)
        memcpy(pattern + 2 * i, "*a", 3);
    memcpy(pattern + 1000, "b", 2);
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    const char *const names[] = { pattern, NULL };
    CHECK_INT(path_patterns_ask(names, str_from(path), false), PATTERN_SILENT);
    for (size_t i = 0; i + 3 < sizeof(pattern); i += 3)
        memcpy(pattern + i, "**/", 4);
    for (size_t i = 1; i + 1 < sizeof(path); i += 2)
        path[i] = '/';
    memcpy(pattern + sizeof(pattern) - 3, "/b", 3);
    CHECK_INT(path_patterns_ask(names, str_from(path), false), PATTERN_SILENT);
}

TEST(what_has_one_name_in_the_root_is_known)
{
    static const struct {
        const char *pattern, *name;
    } known[] = { { "dist/", "dist" }, { "/dist/", "dist" }, { "a.log", "a.log" },
                  { "*.log", "" },     { "a/b", "" },        { "!dist", "" },
                  { "\\!x", "" },      { "..", "" },         { "/", "" } };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        CHECK_STR(path_pattern_root_name(known[i].pattern), str_from(known[i].name));
}
