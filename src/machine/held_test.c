#include "machine/held.h"
#include "machine/held_scripts.h"

#include "base/test.h"

static const char *rule_in(bool of_git, const char *path, enum changed_kind kind,
                           enum change_type type, unsigned mode)
{
    struct worktree worktree = { .upper = -1, .host = -1, .copies = -1, .changes.of_git = of_git };
    struct changed_path change = {
        .path = path, .kind = kind, .type = type, .mode = mode, .mode_before = 0644
    };
    struct held held = { 0 };
    struct err err = { 0 };
    CHECK_INT(held_look(&worktree, &change, NULL, &held, &err), 0);
    CHECK(!held.rule == !held.reason);
    return held.rule ? held.rule : "";
}

static const char *rule_of(const char *path, enum changed_kind kind, enum change_type type,
                           unsigned mode)
{
    return rule_in(false, path, kind, type, mode);
}

TEST(what_is_in_a_directory_of_gits_own_is_held_whatever_that_is_called)
{
    static const struct {
        const char *path, *rule;
    } rows[] = {
        { "hooks/pre-commit", "git-hooks" },
        { "config", "git-config" },
        { "worktrees/a/config.worktree", "git-config" },
        { "modules/a/hooks/x", "git-hooks" },
        { "objects/info/alternates", "git-alternates" },
        { "worktrees/a/gitdir", "git-alternates" },
        { "info/attributes", "git-attributes" },
        { "HEAD", "git-data" },
        { "refs/heads/main", "git-data" },
        { "anything", "git-data" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_TEXT(rule_in(true, rows[i].path, CHANGED_FILE, CHANGE_MODIFIED, 0644), rows[i].rule);
}

TEST(a_path_is_held_wherever_it_lies_and_however_it_is_spelled)
{
    static const struct {
        const char *path, *rule;
    } rows[] = {
        { ".git/hooks/pre-commit", "git-hooks" },
        { "sub/.git/hooks/x", "git-hooks" },
        { ".GIT/Hooks/x", "git-hooks" },
        { ".git/modules/a/hooks/x", "git-hooks" },
        { ".git/config", "git-config" },
        { ".git/modules/a/config", "git-config" },
        { ".git/worktrees/a/config.worktree", "git-config" },
        { ".git/objects/info/alternates", "git-alternates" },
        { ".git/info/attributes", "git-attributes" },
        { ".git/index", "git-data" },
        { "docs/HEAD", "git-directory" },
        { "docs/head", "" },
        { "docs/config", "" },
        { ".git/refs/heads/main", "git-data" },
        { ".git/objects/ab/cdef", "git-data" },
        { "lib/.git", "git-link" },
        { ".gitmodules", "git-modules" },
        { ".envrc", "shell-startup" },
        { "deep/er/.envrc", "shell-startup" },
        { ".vscode/settings.json", "editor-settings" },
        { "a/.idea/x/y", "editor-settings" },
        { "x.code-workspace", "editor-settings" },
        { ".claude/settings.json", "agent-settings" },
        { ".codex/config.toml", "agent-settings" },
        { "AGENTS.md", "agent-instructions" },
        { "sub/CLAUDE.md", "agent-instructions" },
        { ".github/copilot-instructions.md", "agent-instructions" },
        { ".agent-machine/gates.yaml", "agent-machine" },
        { ".github/workflows/ci.yml", "continuous-integration" },
        { ".gitlab-ci.yml", "continuous-integration" },
        { "Jenkinsfile", "continuous-integration" },
        { ".husky/pre-commit", "commit-hooks" },
        { ".npmrc", "package-scripts" },
        { "crates/a/build.rs", "package-scripts" },
        { "setup.py", "package-scripts" },
        { "rust-toolchain.toml", "package-scripts" },
        { "venv/pyvenv.cfg", "python-startup" },
        { "x.pth", "python-startup" },
        { "lib/libx.so.1", "shared-library" },
        { "x.desktop", "desktop-entry" },
        { ".env", "secret-name" },
        { "a\033b", "control-characters" },
        { "a\nb", "control-characters" },
        { ".gdbinit", "debugger-settings" },
        { "src/main.c", "" },
        { "Makefile", "" },
        { "docs/git/hooks.md", "" },
        { "github/workflows/x.yml", "" },
        { "agents.txt", "" },
        { "gitconfig", "" },
        { "a/so", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *rule = rule_of(rows[i].path, CHANGED_FILE, CHANGE_DELETED, 0644);
        if (strcmp(rule, rows[i].rule) != 0)
            test_fail(__FILE__, __LINE__, "%s is held by \"%s\", not by \"%s\"", rows[i].path, rule,
                      rows[i].rule);
    }
}

TEST(every_rule_has_a_reason_and_is_tried_above)
{
    for (size_t i = 0; i < held_rule_count; i++) {
        CHECK(held_rules[i].name && held_rules[i].reason && held_rules[i].patterns[0]);
        CHECK(!held_rules[i].patterns[ARRAY_LEN(held_rules[i].patterns) - 1]);
        for (size_t j = 0; held_rules[i].patterns[j]; j++)
            for (const char *c = held_rules[i].patterns[j]; *c; c++)
                CHECK(*c < 'A' || *c > 'Z');
    }
}

TEST(kinds_and_modes)
{
    CHECK_TEXT(rule_of("p", CHANGED_SPECIAL, CHANGE_ADDED, 0644), "special");
    CHECK_TEXT(rule_of("p", CHANGED_FILE, CHANGE_MODE, 0755), "new-program");
    CHECK_TEXT(rule_of("p", CHANGED_FILE, CHANGE_MODE, 04644), "borrowed-rights");
    CHECK_TEXT(rule_of("p", CHANGED_FILE, CHANGE_MODE, 0600), "");
    CHECK_TEXT(rule_of("d", CHANGED_DIRECTORY, CHANGE_ADDED, 02755), "");
}

TEST(only_scripts_that_run_by_themselves_hold_a_package)
{
    static const struct {
        const char *before, *after;
        bool held;
    } rows[] = {
        { "", "{\"scripts\":{\"test\":\"x\"}}", false },
        { "", "{\"scripts\":{\"postinstall\":\"x\"}}", true },
        { "{\"scripts\":{\"postinstall\":\"x\"}}", "{\"scripts\":{\"postinstall\":\"x\"},\"a\":1}",
          false },
        { "{\"scripts\":{\"postinstall\":\"x\"}}", "{\"scripts\":{\"postinstall\":\"y\"}}", true },
        { "{\"scripts\":{\"prepare\":\"x\"}}", "{}", false },
        { "{}", "{\"scripts\":", true },
        { "[1", "{}", true },
        { "{}", "{\"scripts\":{\"prepare\":7}}", true },
        { "{}", "[]", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (held_scripts_differ("package.json", str_from(rows[i].before),
                                str_from(rows[i].after)) != rows[i].held)
            test_fail(__FILE__, __LINE__, "%s -> %s", rows[i].before, rows[i].after);
}

TEST(of_a_toml_file_only_what_is_run_is_held)
{
    static const struct {
        const char *name, *before, *after;
        bool held;
    } rows[] = {
        { "pyproject.toml", "[project]\nversion = \"1\"\n", "[project]\nversion = \"2\"\n", false },
        { "pyproject.toml", "", "[project]\nname = \"x\"\n", false },
        { "pyproject.toml", "", "[build-system]\nrequires = []\n", true },
        { "pyproject.toml", "[build-system]\nrequires = [\"a\"]\n[tool.x]\ny = 1\n",
          "[build-system]\nrequires = [\"a\"]\n[tool.x]\ny = 2\n", false },
        { "pyproject.toml", "[build-system]\nrequires = [\"a\"]\n",
          "[build-system]\nrequires = [\"b\"]\n", true },
        { "pyproject.toml", "[ build-system ]\nrequires = []\n",
          "[ \"build-system\" ]\nrequires = [\"evil\"]\n", true },
        { "pyproject.toml", "", "build-system = { requires = [\"evil\"] }\n", true },
        { "pyproject.toml", "", "[\"build\\u002dsystem\"]\nrequires = [\"evil\"]\n", true },
        { "PyProject.TOML", "", "[build-system]\nrequires = []\n", true },
        { "Cargo.toml", "[package]\nversion = \"1\"\n", "[package]\nversion = \"2\"\n", false },
        { "Cargo.toml", "[package]\n", "[package]\nbuild = \"evil.rs\"\n", true },
        { "Cargo.toml", "", "[lib]\nproc-macro = true\n", true },
        { "Cargo.toml", "", "[build-dependencies]\nx = \"1\"\n", true },
        { "Cargo.toml", "[dependencies]\na = \"1\"\n", "[dependencies]\na = \"2\"\n", false },
        { "composer.json", "{}", "{\"scripts\":{\"post-install-cmd\":[\"evil\"]}}", true },
        { "composer.json", "{\"scripts\":{\"post-install-cmd\":[\"a\"]}}",
          "{\"x\":1,\"scripts\":{\"post-install-cmd\":[\"a\"]}}", false },
        { "other.toml", "", "[build-system]\n", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (held_scripts_differ(rows[i].name, str_from(rows[i].before), str_from(rows[i].after)) !=
            rows[i].held)
            test_fail(__FILE__, __LINE__, "%s: %s", rows[i].name, rows[i].after);
}

#define RULES "all: x\n\tcc -o x x.c\n"

TEST(of_a_makefile_what_runs_when_it_is_read_is_held)
{
    static const struct {
        const char *name, *before, *after;
        bool held;
    } rows[] = {
        { "Makefile", "", RULES, false },
        { "Makefile", RULES, RULES "clean:\n\trm -f x != y include/z\n", false },
        { "Makefile", "A = 1\n" RULES, "A = 2\n" RULES, false },
        { "Makefile", RULES, "A := $(shell evil)\n" RULES, true },
        { "Makefile", RULES, "A != evil\n" RULES, true },
        { "Makefile", RULES, "\tA != evil\n" RULES, true },
        { "Makefile", RULES, RULES "B = 1\n\tA != evil\n", true },
        { "Makefile", RULES, "A := $(call s$(H)l,evil)\n" RULES, true },
        { "Makefile", RULES, "SHELL = evil\n" RULES, true },
        { "Makefile", RULES, "-include evil\n" RULES, true },
        { "Makefile", RULES, ".RECIPEPREFIX = >\n" RULES, true },
        { "Makefile", RULES, RULES "b:\n\t@ +evil\n", true },
        { "Makefile", RULES, RULES "b:\n\t$(MAKE) -C evil\n", true },
        { "Makefile", RULES, RULES "b:\n\techo $(shell evil)\n", true },
        { "Makefile", "A = x\nB := $(shell $A)\n" RULES, "A = evil\nB := $(shell $A)\n" RULES,
          true },
        { "Makefile", "A = x\nB := $(shell $A)\n" RULES,
          "A = x\nB := $(shell $A)\n" RULES "\techo more\n", false },
        { "Makefile", "A := $(shell x)\n" RULES, RULES, false },
        { "Makefile", "A := a \\\n  b\n" RULES, "A := a \\\n  $(shell evil)\n" RULES, true },
        { "GNUmakefile", "", "A := ${shell evil}\n", true },
        { "rules.mk", "", "A := $(shell evil)\n", true },
        { "a.mkx", "", "A := $(shell evil)\n", false },
        { "mk", "", "A := $(shell evil)\n", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (held_scripts_differ(rows[i].name, str_from(rows[i].before), str_from(rows[i].after)) !=
            rows[i].held)
            test_fail(__FILE__, __LINE__, "%s: %s", rows[i].name, rows[i].after);
}

TEST(what_the_profile_does_not_know_as_usual_is_held)
{
    static const char *const usual[] = { "*.c", "*.md", "docs/", NULL };
    static const struct {
        const char *path;
        enum change_type type;
        const char *rule;
    } rows[] = {
        { "a.c", CHANGE_ADDED, "" },
        { "lib/b.c", CHANGE_ADDED, "" },
        { "docs/x.dat", CHANGE_ADDED, "" },
        { "x.dat", CHANGE_ADDED, "unusual-kind" },
        { "lib/x", CHANGE_ADDED, "unusual-kind" },
        { "x.dat", CHANGE_DELETED, "" },
        { "x.dat", CHANGE_MODIFIED, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct worktree worktree = { .upper = -1, .host = -1, .copies = -1, .usual = usual };
        struct changed_path change = { .path = rows[i].path,
                                       .kind = CHANGED_FILE,
                                       .type = rows[i].type,
                                       .mode = 0644,
                                       .mode_before = 0644 };
        struct held held = { 0 };
        CHECK_INT(held_look(&worktree, &change, NULL, &held, NULL), 0);
        CHECK_TEXT(held.rule ? held.rule : "", rows[i].rule);
    }
}
