/* engine: real commands and real sockets behind a gate, and every way in which they fail. */
#include "authority/engine.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "authority/verdict_test.h"
#include "base/file.h"

#define TOOL "urn:srcos:agent-tool-surface:codex"

struct scene {
    char folder[64];
    struct fixture fixture;
    struct engine_record record;
};

static bool scene_begin(struct scene *scene)
{
    *scene = (struct scene){ .folder = "/tmp/engine-test-XXXXXX" };
    fixture_init(&scene->fixture);
    return mkdtemp(scene->folder) != NULL;
}

static void scene_end(struct scene *scene)
{
    static const char *const files[] = { "engine", "seen", "socket" };
    char path[128];
    fixture_release(&scene->fixture);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", scene->folder, files[i]);
        unlink(path);
    }
    CHECK_INT(rmdir(scene->folder), 0);
}

static void put_script(const struct scene *scene, const char *body, mode_t mode)
{
    char path[128], text[1024];
    snprintf(path, sizeof(path), "%s/engine", scene->folder);
    int len = snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", body);
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    CHECK(fd >= 0 && write(fd, text, (size_t)len) == len);
    CHECK(fd >= 0 && fchmod(fd, mode) == 0);
}

/* A gates document of the device with one engine, and what else stands in it. */
static void compile(struct scene *scene, const char *engine, const char *more)
{
    struct err err = { 0 };
    char text[512];
    snprintf(text, sizeof(text), "{'engines':[{%s}]%s}", engine, more);
    yyjson_doc *doc = fixture_read(&scene->fixture, text);
    if (policy_add_gates(scene->fixture.builder, LAYER_DEVICE, "gates.yaml",
                         yyjson_doc_get_root(doc), &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
    fixture_build(&scene->fixture);
}

static const char *ask(struct scene *scene)
{
    struct gate_thing thing = { .gate = GATE_TOOL_GRANT, .name = STR(TOOL) };
    struct engine_request request = { .thing = &thing, .subject = STR("urn:srcos:agent:codex") };
    struct verdict *verdict = &scene->fixture.verdict;
    if (policy_decide_gate(scene->fixture.policy, &thing, verdict, NULL) < 0 ||
        policy_ask_engines(scene->fixture.policy, &request, verdict, &scene->record, NULL) < 0)
        return "error";
    return answer_names[verdict->answer];
}

/* What a script makes of a tool that the rules say `more` about. */
static const char *ask_script(struct scene *scene, const char *body, const char *more)
{
    char engine[256];
    snprintf(engine, sizeof(engine), "'command':['%s/engine'],'timeoutMs':5000", scene->folder);
    put_script(scene, body, 0755);
    compile(scene, engine, more);
    return ask(scene);
}

#define ASKS ",'rules':[{'gate':'toolGrant','match':'*','answer':'ask'}]"

TEST(an_engine_can_narrow_what_the_layers_say_and_not_widen_it)
{
    static const struct {
        const char *body, *more, *answer, *recorded;
    } cases[] = {
        { "echo '{\"answer\":\"allow\"}'", "", "allow", "allow" },
        { "echo '{\"answer\":\"ask\",\"reason\":\"sure?\"}'", "", "ask", "ask" },
        { "echo '{\"answer\":\"deny\",\"reason\":\"no\"}'", "", "deny", "deny" },
        { "echo '{\"answer\":\"allow\"}'", ASKS, "ask", "allow" },
        { "echo '{\"answer\":\"deny\"}'", ASKS, "deny", "deny" },
        { "printf '{\"answer\":\"allow\"}'", "", "allow", "allow" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene scene;
        if (!scene_begin(&scene))
            return;
        CHECK_TEXT(ask_script(&scene, cases[i].body, cases[i].more), cases[i].answer);
        CHECK_TEXT(scene.record.answer, cases[i].recorded);
        CHECK(strstr(scene.record.reference, "/engine"));
        scene_end(&scene);
    }
}

TEST(what_an_engine_says_stands_in_the_verdict)
{
    struct scene scene;
    if (!scene_begin(&scene))
        return;
    CHECK_TEXT(
        ask_script(&scene, "echo '{\"answer\":\"deny\",\"reason\":\"Not on Fridays.\"}'", ""),
        "deny");
    const struct verdict *verdict = &scene.fixture.verdict;
    CHECK_INT(verdict->layer, LAYER_DEVICE);
    CHECK(!verdict->built_in);
    CHECK_TEXT(verdict->document, "gates.yaml");
    CHECK_TEXT(verdict->pointer, "/engines/0");
    CHECK(strstr(verdict->reason, "Not on Fridays.") && strstr(verdict->reason, "/engine"));
    CHECK(verdict->smallest_change[0]);
    scene_end(&scene);
}

TEST(an_engine_that_fails_in_any_way_denies_by_name)
{
    static const struct {
        const char *body, *why;
    } cases[] = {
        { "exit 3", "status 3" },
        { "echo '{\"answer\":\"allow\"}'; exit 1", "status 1" },
        { "echo '{\"answer\":\"allow\"}'; kill -SEGV $$", "signal" },
        { "true", "no JSON object" },
        { "echo allow", "no JSON object" },
        { "echo '[\"allow\"]'", "no JSON object" },
        { "echo '{\"answer\":\"maybe\"}'", "no JSON object" },
        { "echo '{\"answer\":\"-\"}'", "no JSON object" },
        { "echo '{\"answer\":\"allow\",\"more\":1}'", "no JSON object" },
        { "echo '{\"answer\":\"allow\",\"reason\":7}'", "no JSON object" },
        { "echo '{\"answer\":\"allow\"}'; echo '{\"answer\":\"allow\"}'", "more than one line" },
        { "yes '{\"answer\":\"allow\"}'", "more than 4096 bytes" },
        { "printf '{\"answer\":\"deny\",\"reason\":\"'; printf '%0500d' 0; echo '\"}'",
          "one line of" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene scene;
        if (!scene_begin(&scene))
            return;
        CHECK_TEXT(ask_script(&scene, cases[i].body, ""), "deny");
        CHECK_TEXT(scene.record.answer, "unreachable");
        if (!strstr(scene.fixture.verdict.reason, cases[i].why))
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].body, scene.fixture.verdict.reason);
        scene_end(&scene);
    }
}

TEST(an_engine_that_takes_too_long_denies_and_is_ended_with_its_group)
{
    struct scene scene;
    char engine[256], path[128];
    if (!scene_begin(&scene))
        return;
    /* The group is gone when its writing end of a fifo is: opening that then waits no longer. */
    snprintf(path, sizeof(path), "%s/seen", scene.folder);
    CHECK_INT(mkfifo(path, 0600), 0);
    int fifo = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    snprintf(engine, sizeof(engine), "'command':['%s/engine','%s'],'timeoutMs':200", scene.folder,
             path);
    put_script(&scene, "exec 3>\"$1\"; sleep 1000 & echo x >&3; wait", 0755);
    compile(&scene, engine, "");
    CHECK_TEXT(ask(&scene), "deny");
    CHECK(strstr(scene.fixture.verdict.reason, "within 200 ms"));
    CHECK(fcntl(fifo, F_SETFL, 0) == 0);
    char bytes[16];
    ssize_t n;
    while ((n = read(fifo, bytes, sizeof(bytes))) > 0)
        ;
    CHECK_INT(n, 0); /* which comes when nobody holds the other end */
    close(fifo);
    scene_end(&scene);
}

TEST(an_engine_gets_the_request_as_a_line_an_empty_environment_and_nothing_else)
{
    struct scene scene;
    struct buf seen = BUF_INIT;
    char engine[256], path[128];
    if (!scene_begin(&scene))
        return;
    CHECK_INT(setenv("ENGINE_TEST_SECRET", "shown", 1), 0);
    snprintf(path, sizeof(path), "%s/seen", scene.folder);
    snprintf(engine, sizeof(engine), "'command':['%s/engine','%s']", scene.folder, path);
    put_script(&scene,
               "read -r line; { echo \"$line\"; export -p; ls /proc/self/fd; } >\"$1\"\n"
               "echo '{\"answer\":\"allow\"}'",
               0755);
    compile(&scene, engine, "");
    CHECK_TEXT(ask(&scene), "allow");
    CHECK_INT(file_read(path, &seen, NULL), 0);
    buf_add_char(&seen, '\0');
    CHECK(strstr(seen.data, "\"gate\":\"toolGrant\",\"name\":\"" TOOL "\""));
    CHECK(strstr(seen.data, "\"subjectRef\":\"urn:srcos:agent:codex\""));
    CHECK(strstr(seen.data, "\"answer\":\"allow\""));
    CHECK(strstr(seen.data, policy_digest(scene.fixture.policy)));
    CHECK(!strstr(seen.data, "ENGINE_TEST_SECRET") && !strstr(seen.data, "HOME"));
    CHECK(!strstr(seen.data, "\n5\n"));
    buf_release(&seen);
    scene_end(&scene);
}

TEST(a_command_that_others_can_write_or_that_is_not_there_denies)
{
    struct scene scene;
    char engine[256];
    if (!scene_begin(&scene))
        return;
    snprintf(engine, sizeof(engine), "'command':['%s/engine']", scene.folder);
    compile(&scene, engine, "");
    CHECK_TEXT(ask(&scene), "deny");
    CHECK(strstr(scene.fixture.verdict.reason, "No such file"));
    put_script(&scene, "echo '{\"answer\":\"allow\"}'", 0777);
    CHECK_TEXT(ask(&scene), "deny");
    CHECK(strstr(scene.fixture.verdict.reason, "others can write"));
    put_script(&scene, "echo '{\"answer\":\"allow\"}'", 0644);
    CHECK_TEXT(ask(&scene), "deny");
    put_script(&scene, "echo '{\"answer\":\"allow\"}'", 0755);
    CHECK_TEXT(ask(&scene), "allow");
    scene_end(&scene);
}

TEST(what_the_layers_deny_no_engine_is_asked_about)
{
    struct scene scene;
    if (!scene_begin(&scene))
        return;
    CHECK_TEXT(ask_script(&scene, "echo '{\"answer\":\"allow\"}'",
                          ",'rules':[{'gate':'toolGrant','match':'codex','answer':'deny'}]"),
               "deny");
    CHECK_TEXT(scene.record.reference, "");
    scene_end(&scene);
}

/* --- sockets -------------------------------------------------------------------------------- */

/* Serves one request and ends; `reply` NULL: it never answers. */
static pid_t serve(const struct scene *scene, const char *reply)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", scene->folder);
    CHECK_INT(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_INT(listen(server, 1), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char bytes[4096];
        int client = accept(server, NULL, NULL);
        ssize_t n = read(client, bytes, sizeof(bytes));
        if (n > 0 && reply)
            n = write(client, reply, strlen(reply));
        if (!reply)
            n = read(client, bytes, sizeof(bytes)); /* until the other end is closed */
        _exit(n < 0);
    }
    close(server);
    return pid;
}

static const char *ask_server(struct scene *scene, const char *reply, int timeout_ms)
{
    char engine[256];
    pid_t pid = serve(scene, reply);
    snprintf(engine, sizeof(engine), "'socket':'%s/socket','timeoutMs':%d", scene->folder,
             timeout_ms);
    compile(scene, engine, "");
    const char *answer = ask(scene);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    return answer;
}

TEST(a_socket_answers_as_a_command_does)
{
    static const struct {
        const char *reply, *answer, *recorded;
        int timeout_ms;
    } cases[] = {
        { "{\"answer\":\"allow\"}\n", "allow", "allow", 5000 },
        { "{\"answer\":\"ask\",\"reason\":\"sure?\"}\n", "ask", "ask", 5000 },
        { "{\"answer\":\"deny\"}\n", "deny", "deny", 5000 },
        { "nonsense\n", "deny", "unreachable", 5000 },
        { "{\"answer\":\"allow\"}\n{}", "deny", "unreachable", 5000 },
        { "", "deny", "unreachable", 5000 },
        { NULL, "deny", "unreachable", 200 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene scene;
        if (!scene_begin(&scene))
            return;
        CHECK_TEXT(ask_server(&scene, cases[i].reply, cases[i].timeout_ms), cases[i].answer);
        CHECK_TEXT(scene.record.answer, cases[i].recorded);
        scene_end(&scene);
    }
}

TEST(a_socket_where_nobody_listens_denies)
{
    struct scene scene;
    if (!scene_begin(&scene))
        return;
    compile(&scene, "'socket':'/nonexistent/socket'", "");
    CHECK_TEXT(ask(&scene), "deny");
    CHECK(strstr(scene.fixture.verdict.reason, "nobody answers"));
    scene_end(&scene);
}

TEST(an_engine_is_asked_at_its_gates_alone)
{
    struct scene scene;
    if (!scene_begin(&scene))
        return;
    compile(&scene, "'command':['/nonexistent'],'gates':['artifactAccess']", "");
    CHECK_TEXT(ask(&scene), "allow");
    CHECK(policy_has_engine(scene.fixture.policy, GATE_ARTIFACT_ACCESS));
    CHECK(!policy_has_engine(scene.fixture.policy, GATE_TOOL_GRANT));
    scene_end(&scene);
}
