#include "machine/surface_program.h"

#include "base/json.h"
#include "machine/surface.h"
#include "machine/tree_testing.h"

#define ENOUGH_MS 10000
#define TRIES_MAX 10000
#define DOCUMENT                                                                                   \
    "{\"name\":\"tool\",\"command\":[\"tool\",\"-x\"],\"versionCommand\":[\"tool\","               \
    "\"--version\"],\"installPaths\":[\"~/apps\",\"~/apps/inner\"]}"

/* A home with a tool in it, of the script given, that is old enough to be kept. */
static yyjson_doc *make_tool(const char *home, const char *script)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    setenv("SCRIPT", script, 1);
    CHECK_INT(tree_shell(home, "mkdir -p apps/inner/bin cache bin; "
                               "printf '#!/bin/sh\\n%s\\n' \"$SCRIPT\" >apps/inner/bin/tool; "
                               "chmod +x apps/inner/bin/tool; "
                               "ln -sf ../apps/inner/bin/tool bin/tool"),
              0);
    CHECK_OK(json_read(STR(DOCUMENT), &json_limits_default, &doc, &err));
    return doc;
}

static struct surface_program find(yyjson_doc *doc, const char *search, const char *home)
{
    struct surface_program program = { 0 };
    struct err err = { 0 };
    CHECK_OK(surface_program_find(yyjson_doc_get_root(doc), search, home, &program, &err));
    return program;
}

static void identify(yyjson_doc *doc, const char *home, int64_t limit_ms,
                     struct surface_program *program)
{
    char cache[TREE_PATH_MAX + 16];
    struct err err = { 0 };
    snprintf(cache, sizeof(cache), "%s/cache", home);
    CHECK_OK(surface_program_identify(yyjson_doc_get_root(doc), "/usr/bin:/bin", cache, limit_ms,
                                      program, &err));
}

TEST(the_search_is_path_and_then_the_places_of_the_surface)
{
    char home[TREE_PATH_MAX], search[3 * TREE_PATH_MAX], expected[TREE_PATH_MAX + 32];
    struct surface_program program = { 0 };
    struct err err = { 0 };
    tree_make(home);
    yyjson_doc *doc = make_tool(home, "echo 1");
    snprintf(search, sizeof(search), "relative:/nowhere:%s/bin", home);
    program = find(doc, search, home);
    snprintf(expected, sizeof(expected), "%s/bin/tool", home);
    CHECK_TEXT(program.path, expected);
    snprintf(expected, sizeof(expected), "%s/apps/inner/bin/tool", home);
    CHECK_TEXT(program.resolved, expected);
    program = find(doc, "/usr/bin:/bin", home);
    CHECK_TEXT(program.path, expected);
    snprintf(expected, sizeof(expected), "%s/apps/inner", home);
    CHECK_TEXT(program.install, expected);
    CHECK(!program.is_outside);

    CHECK_INT(tree_shell(home, "mkdir other; cp apps/inner/bin/tool other; chmod -x bin/tool"), 0);
    snprintf(search, sizeof(search), "%s/bin:%s/other", home, home);
    program = find(doc, search, home);
    CHECK(program.is_outside);
    CHECK_TEXT(program.install, "");

    CHECK_INT(surface_program_find(yyjson_doc_get_root(doc), "bin", "/nowhere", &program, &err),
              -ENOENT);
    CHECK(strstr(err.cause, "tool") != NULL);
    yyjson_doc_free(doc);
    tree_remove(home);
}

TEST(bash_says_its_version_and_has_the_digest_of_its_file)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    CHECK_OK(surface_read(surface_find(STR("shell")), &doc, &err));
    struct surface_program program = find(doc, "/usr/bin:/bin", "/nonexistent");
    CHECK(!program.is_outside);
    CHECK_TEXT(program.install, "");
    CHECK_OK(surface_program_identify(yyjson_doc_get_root(doc), "/usr/bin:/bin", NULL, ENOUGH_MS,
                                      &program, &err));
    CHECK(strncmp(program.version, "GNU bash", 8) == 0);
    setenv("DIGEST", program.digest + strlen("sha256:"), 1);
    setenv("PROGRAM", program.resolved, 1);
    CHECK_INT(tree_shell("/", "sha256sum \"$PROGRAM\" | grep -q \"^$DIGEST \""), 0);
    yyjson_doc_free(doc);
}

TEST(what_was_found_is_kept_as_long_as_the_file_is_the_same)
{
    char home[TREE_PATH_MAX];
    tree_make(home);
    yyjson_doc *doc = make_tool(home, "echo tool 1.0");
    struct surface_program first = find(doc, "", home), again = first, changed = first;
    identify(doc, home, ENOUGH_MS, &first);
    CHECK_TEXT(first.version, "tool 1.0");
    /* what is younger than the clock's step is not kept yet */
    for (int i = 0; i < TRIES_MAX && tree_shell(home, "ls cache/tool-* >/dev/null 2>&1"); i++)
        identify(doc, home, ENOUGH_MS, &first);
    CHECK_INT(tree_shell(home, "[ \"$(stat -c %a cache/tool-*)\" = 600 ]; "
                               "sed -i 's/tool 1.0$/tool 9.9/' cache/tool-*"),
              0);
    identify(doc, home, ENOUGH_MS, &again);
    CHECK_TEXT(again.version, "tool 9.9"); /* so it was not asked again */
    CHECK_TEXT(again.digest, first.digest);

    static const char *const damages[] = { "s/sha256:./sha256:/", "s/^tool 1/tool 2/", "s/$/\\x1b/",
                                           "1q;d" };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        setenv("DAMAGE", damages[i], 1);
        CHECK_INT(tree_shell(home, "sed -i \"$DAMAGE\" cache/tool-*; truncate -s -1 cache/tool-*"),
                  0);
        identify(doc, home, ENOUGH_MS, &changed);
        CHECK_TEXT(changed.version, "tool 1.0");
    }
    CHECK_INT(tree_shell(home, "echo 'echo more' >>apps/inner/bin/tool"), 0);
    identify(doc, home, ENOUGH_MS, &changed);
    CHECK(strcmp(changed.digest, first.digest) != 0);
    yyjson_doc_free(doc);
    tree_remove(home);
}

TEST(a_script_brings_the_interpreter_that_it_has_here)
{
    static const char script[] = "mkdir -p apps/node/bin elsewhere; "
                                 "printf '#!/usr/bin/env mynode\\n' >apps/inner/bin/tool; "
                                 "printf '#!/bin/sh\\n' >apps/node/bin/mynode; "
                                 "cp apps/node/bin/mynode elsewhere/; "
                                 "chmod +x apps/node/bin/mynode elsewhere/mynode; "
                                 "ln -s ../apps/node/bin/mynode bin/mynode";
    char home[TREE_PATH_MAX], search[3 * TREE_PATH_MAX], expected[TREE_PATH_MAX + 32];
    tree_make(home);
    yyjson_doc *doc = make_tool(home, "");
    CHECK_INT(tree_shell(home, script), 0);
    snprintf(search, sizeof(search), "%s/bin:/usr/bin", home);
    struct surface_program program = find(doc, search, home);
    snprintf(expected, sizeof(expected), "%s/apps/node/bin/mynode", home);
    CHECK_TEXT(program.interpreter, expected);
    snprintf(expected, sizeof(expected), "%s/apps", home);
    CHECK_TEXT(program.interpreter_install, expected);
    snprintf(search, sizeof(search), "%s/elsewhere:/usr/bin", home);
    program = find(doc, search, home);
    CHECK(strstr(program.interpreter, "/elsewhere/mynode") != NULL);
    CHECK_TEXT(program.interpreter_install, "");
    program = find(doc, "/usr/bin", home); /* nobody has it: the script says so itself */
    CHECK_TEXT(program.interpreter, "");
    CHECK_INT(tree_shell(home, "printf '#!/usr/bin/env sh\\n' >apps/inner/bin/tool"), 0);
    program = find(doc, "/usr/bin:/bin", home);
    CHECK_TEXT(program.interpreter, ""); /* the view has it anyway */
    yyjson_doc_free(doc);
    tree_remove(home);
}

TEST(a_program_asked_for_its_version_can_do_little)
{
    static const struct {
        const char *script, *version;
    } rows[] = {
        { "echo; echo no", "" },
        { "echo '  spaced  '", "spaced" },
        { "printf 'a\\033[2Jb\\n'", "" },
        { "echo 1; exit 3", "" },
        { "kill -9 $$", "" },
        { "yes", "" },
        { "echo 1; echo x >../written; echo x >/tmp/am-written-by-a-tool; exit 0", "1" },
        { "echo \"$SECRET$HOME\"", "/nonexistent" },
        { "[ \"$1\" = --version ] && echo one", "one" },
        { "ls /proc/self/fd | wc -w", "4" },
    };
    char home[TREE_PATH_MAX];
    setenv("SECRET", "s", 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tree_make(home);
        yyjson_doc *doc = make_tool(home, rows[i].script);
        struct surface_program program = find(doc, "", home);
        identify(doc, home, ENOUGH_MS, &program);
        CHECK_TEXT(program.version, rows[i].version);
        CHECK_INT(access("/tmp/am-written-by-a-tool", F_OK), -1);
        yyjson_doc_free(doc);
        tree_remove(home);
    }
}

TEST(a_program_is_held_against_what_is_kept_of_its_file)
{
    char home[TREE_PATH_MAX], cache[TREE_PATH_MAX + 16];
    enum surface_program_state state = SURFACE_PROGRAM_CHANGED;
    struct err err = { 0 };
    tree_make(home);
    snprintf(cache, sizeof(cache), "%s/cache", home);
    yyjson_doc *doc = make_tool(home, "echo tool 1.0");
    struct surface_program program = find(doc, "", home);
    CHECK_OK(surface_program_compare(&program, cache, &state, &err));
    CHECK(state == SURFACE_PROGRAM_NEW);
    CHECK_INT(tree_shell(home, "ls cache/tool-* >/dev/null 2>&1"), 2); /* and that keeps nothing */
    /* what is younger than the clock's step is not kept yet */
    for (int i = 0; i < TRIES_MAX && tree_shell(home, "ls cache/tool-* >/dev/null 2>&1"); i++)
        identify(doc, home, ENOUGH_MS, &program);
    CHECK_INT(tree_shell(home, "touch -d @1 apps/inner/bin/tool"), 0);
    CHECK_OK(surface_program_compare(&program, cache, &state, &err));
    CHECK(state == SURFACE_PROGRAM_SAME);
    CHECK_OK(surface_program_compare(&program, NULL, &state, &err));
    CHECK(state == SURFACE_PROGRAM_NEW);
    CHECK_INT(tree_shell(home, "echo 'echo more' >>apps/inner/bin/tool"), 0);
    CHECK_OK(surface_program_compare(&program, cache, &state, &err));
    CHECK(state == SURFACE_PROGRAM_CHANGED);
    CHECK_INT(tree_shell(home, "rm apps/inner/bin/tool"), 0);
    CHECK_INT(surface_program_compare(&program, cache, &state, &err), -ENOENT);
    yyjson_doc_free(doc);
    tree_remove(home);
}

TEST(a_program_that_hangs_is_ended_with_all_that_it_started)
{
    char home[TREE_PATH_MAX];
    tree_make(home);
    yyjson_doc *doc = make_tool(home, "sleep 1001 & sleep 1001");
    struct surface_program program = find(doc, "", home);
    identify(doc, home, 200, &program);
    CHECK_TEXT(program.version, "");
    CHECK_INT(tree_shell("/", "for i in $(seq 500); do grep -qasx 'sleep.1001.' "
                              "/proc/[0-9]*/cmdline || exit 0; sleep 0.02; done; exit 1"),
              0);
    yyjson_doc_free(doc);
    tree_remove(home);
}
