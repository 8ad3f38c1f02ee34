/* What a command's environment is built from. */
#include "machine/environment.h"

#include "base/test.h"

static const char *const host[] = {
    "PATH=/usr/bin:/home/someone/bin::/opt/tool/bin:relative",
    "LANG=C.UTF-8",
    "LC_TIME=de_DE",
    "TERM=xterm",
    "SHELL=/home/someone/bin/fish",
    "HOME=/home/someone",
    "LD_PRELOAD=/home/someone/x.so",
    "SSH_AUTH_SOCK=/run/agent",
    "AWS_SECRET_ACCESS_KEY=k",
    "EDITOR=vi",
    NULL,
};

struct built {
    struct arena arena;
    struct environment environment;
};

static int build(struct built *built, const char *const *variables, const char *const *of_surface,
                 struct err *err)
{
    struct plan_facts facts = { .environment = host };
    struct plan plan = { .home = "/home/someone", .user = "someone", .tier = TIER_NAMESPACES };
    struct plan_request request = { .variables = variables, .surface_variables = of_surface };
    built->arena = ARENA_INIT;
    built->environment = (struct environment){ .arena = &built->arena };
    return environment_build(&built->environment, &facts, &plan, &request, err);
}

static const char *value_of(const struct built *built, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; built->environment.list[i]; i++)
        if (strncmp(built->environment.list[i], name, len) == 0 &&
            built->environment.list[i][len] == '=')
            return built->environment.list[i] + len + 1;
    return "(none)";
}

TEST(it_is_built_from_nothing)
{
    struct built built;
    struct err err = { 0 };
    CHECK_INT(build(&built, NULL, NULL, &err), 0);
    CHECK_TEXT(value_of(&built, "HOME"), "/home/someone");
    CHECK_TEXT(value_of(&built, "USER"), "someone");
    CHECK_TEXT(value_of(&built, "LANG"), "C.UTF-8");
    CHECK_TEXT(value_of(&built, "LC_TIME"), "de_DE");
    CHECK_TEXT(value_of(&built, "container"), "agent-machine");
    CHECK_TEXT(value_of(&built, "LD_PRELOAD"), "(none)");
    CHECK_TEXT(value_of(&built, "SSH_AUTH_SOCK"), "(none)");
    CHECK_TEXT(value_of(&built, "AWS_SECRET_ACCESS_KEY"), "(none)");
    CHECK_TEXT(value_of(&built, "EDITOR"), "(none)");
    arena_release(&built.arena);
}

TEST(the_search_path_and_the_shell_are_of_the_system)
{
    struct built built;
    struct err err = { 0 };
    CHECK_INT(build(&built, NULL, NULL, &err), 0);
    CHECK_TEXT(value_of(&built, "PATH"), "/usr/bin:/opt/tool/bin");
    CHECK_TEXT(value_of(&built, "SHELL"), "/bin/sh");
    arena_release(&built.arena);
}

TEST(what_is_named_is_passed_on_and_the_later_value_stays)
{
    static const char *const asked[] = { "EDITOR", "ABSENT", "TERM=dumb", "A=1", "A=2=3", NULL };
    static const char *const of_surface[] = { "A=0", "MODEL=none", NULL };
    struct built built;
    struct err err = { 0 };
    CHECK_INT(build(&built, asked, of_surface, &err), 0);
    CHECK_TEXT(value_of(&built, "EDITOR"), "vi");
    CHECK_TEXT(value_of(&built, "ABSENT"), "(none)");
    CHECK_TEXT(value_of(&built, "TERM"), "dumb");
    CHECK_TEXT(value_of(&built, "A"), "2=3");
    CHECK_TEXT(value_of(&built, "MODEL"), "none");
    arena_release(&built.arena);
}

static const struct {
    const char *variable;
    enum err_code code;
} refused[] = {
    { "AWS_SECRET_ACCESS_KEY", ERR_DENIED },
    { "api_token=x", ERR_DENIED },
    { "SSH_AUTH_SOCK", ERR_DENIED },
    { "DB_PASSWORD=", ERR_DENIED },
    { "=x", ERR_USAGE },
    { "", ERR_USAGE },
};

TEST(what_speaks_of_a_secret_gets_no_value)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const char *const asked[] = { refused[i].variable, NULL };
        struct built built;
        struct err err = { 0 };
        CHECK(build(&built, asked, NULL, &err) < 0);
        CHECK_INT(err.code, refused[i].code);
        arena_release(&built.arena);
    }
}

TEST(there_is_an_end_to_variables)
{
    static char names[PLAN_ENVIRONMENT_MAX + 1][16];
    const char *asked[PLAN_ENVIRONMENT_MAX + 2] = { 0 };
    struct built built;
    struct err err = { 0 };
    for (size_t i = 0; i <= PLAN_ENVIRONMENT_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "V%zu=1", i);
        asked[i] = names[i];
    }
    CHECK(build(&built, asked, NULL, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    arena_release(&built.arena);
}
