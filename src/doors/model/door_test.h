/*
 * door_test: a scene for tests of the whole door: a scripted provider (tests/model/provider.py), a
 * sink that notes what it is told, and curl as client.
 */
#ifndef AM_DOORS_MODEL_DOOR_TEST_H
#define AM_DOORS_MODEL_DOOR_TEST_H

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/test.h"
#include "doors/model/door.h"

#define PATIENCE_MS 60000 /* with what should come at once, npm apart */
#define KEY         "key-0123456789abcdef"
#define TOKENS_ALL  (1u << 30)

struct scene {
    struct model_door *door;
    struct model_door_options options;
    struct model_sink sink;
    struct model_route routes[4];
    struct references *references;
    yyjson_doc *document;
    char base_urls[4][64];
    char folder[64], log[80];
    pid_t provider;
    in_port_t port, provider_port;

    /* What the sink is told. */
    bool denies, denies_address;
    size_t permits_left;        /* after which it denies; 0: none is counted */
    char last_call_reason[512]; /* at its settlement */
    char last_address[ADDRESS_RANGE_TEXT_SIZE];
    uint64_t ceiling, reserved, most_reserved, spent; /* tokens */
    size_t permits, reserves, settles, refusals;
    uint64_t last_secrets;
    struct model_settlement last;
    char last_model[64], last_binding[64], last_reason[256], last_refusal[512];
    enum model_fault last_fault;

    struct buf answer; /* of the last client: head and body */
    int exit_status;
};

static const struct model_name scene_names[] = {
#define NAME(name)                                                                                 \
    {                                                                                              \
        STR(name), STR(name)                                                                       \
    }
    NAME("plain"),
    NAME("no-usage"),
    NAME("long"),
    NAME("cut"),
    NAME("slow"),
    NAME("hold"),
    NAME("echo"),
    NAME("refuse"),
    NAME("redirect"),
    NAME("key"),
    NAME("busy"),
    NAME("rest"),
    NAME("greedy"),
    NAME("older"),
    NAME("aged"),
    NAME("absent"),
    { STR("alias"), STR("echo") },
#undef NAME
};

/* --- the sink -------------------------------------------------------------------------------- */

static void scene_copy(char *ret, size_t size, struct str text)
{
    snprintf(ret, size, "%.*s", STR_ARG(text));
}

static int scene_permit(void *context, const struct model_call *call,
                        char ret_reason[MODEL_REASON_SIZE], struct err *err)
{
    struct scene *scene = context;
    (void)err;
    scene->permits++;
    scene->last_secrets = call->secrets ? call->secrets->total : 0;
    scene_copy(scene->last_model, sizeof(scene->last_model), call->model);
    scene_copy(scene->last_binding, sizeof(scene->last_binding), call->route->binding_ref);
    snprintf(scene->last_reason, sizeof(scene->last_reason), "%s", call->route_reason);
    if (scene->denies)
        snprintf(ret_reason, MODEL_REASON_SIZE, "The enterprise's layer denies it.");
    if (scene->permits_left && scene->permits > scene->permits_left)
        return 0;
    return !scene->denies;
}

static int scene_reserve(void *context, const struct model_call *call,
                         struct model_ceiling *ret_ceiling, struct err *err)
{
    struct scene *scene = context;
    uint64_t left = scene->ceiling - scene->spent - scene->reserved;
    scene->reserves++;
    if (scene->spent + scene->reserved > scene->ceiling || call->reserved_tokens > left) {
        *ret_ceiling = (struct model_ceiling){ .dimension = "tokens",
                                               .budget_ref = "urn:srcos:budget:of-the-test",
                                               .requested = call->reserved_tokens,
                                               .left = left };
        return err_set(err, ERR_BUDGET, "reserve", "nothing is left");
    }
    scene->reserved += call->reserved_tokens;
    if (scene->reserved > scene->most_reserved)
        scene->most_reserved = scene->reserved;
    return 0;
}

static void scene_settle(void *context, const struct model_call *call,
                         const struct model_settlement *settlement)
{
    struct scene *scene = context;
    scene->settles++;
    scene->reserved -= call->reserved_tokens;
    scene->spent += settlement->tokens;
    scene->last = *settlement;
    snprintf(scene->last_call_reason, sizeof(scene->last_call_reason), "%s", call->route_reason);
}

static bool scene_address(void *context, const struct model_call *call,
                          const struct address_range *address)
{
    struct scene *scene = context;
    (void)call;
    address_range_text(address, scene->last_address);
    return !scene->denies_address;
}

static void scene_refused(void *context, const struct model_call *call, enum model_fault fault,
                          const char *reason)
{
    struct scene *scene = context;
    (void)call;
    scene->refusals++;
    scene->last_fault = fault;
    snprintf(scene->last_refusal, sizeof(scene->last_refusal), "%s", reason);
}

/* --- children -------------------------------------------------------------------------------- */

static pid_t scene_spawn(const char *const *argv, int *ret_output)
{
    int ends[2];
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO); /* of what goes wrong a test sees the end */
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(ends[1]);
    *ret_output = ends[0];
    return child;
}

/* Lets the door have turns until a descriptor has something, for at most so long. */
static bool scene_turn(struct scene *scene, int fd, int wait_ms)
{
    struct pollfd fds[] = { { .fd = model_door_fd(scene->door), .events = POLLIN },
                            { .fd = fd, .events = POLLIN } };
    int64_t due = model_door_due(scene->door), now = clock_passed_ms();
    if (due && due - now < wait_ms)
        wait_ms = due > now ? (int)(due - now) : 0;
    (void)!poll(fds, 2, wait_ms);
    model_door_turn(scene->door);
    return fds[1].revents != 0;
}

#define UNTIL(scene, condition)                                                                    \
    do {                                                                                           \
        int64_t until_ = clock_passed_ms() + PATIENCE_MS;                                          \
        while (!(condition) && clock_passed_ms() < until_)                                         \
            scene_turn(scene, -1, 20);                                                             \
        CHECK(condition);                                                                          \
    } while (0)

/* Runs a client to its end; what it prints is the scene's answer. */
static void scene_run(struct scene *scene, const char *const *argv)
{
    int output, status = -1;
    int64_t until = clock_passed_ms() + PATIENCE_MS;
    pid_t child = scene_spawn(argv, &output);
    buf_reset(&scene->answer);
    for (bool open = true; open && clock_passed_ms() < until;) {
        if (!scene_turn(scene, output, 100))
            continue;
        char *room = buf_reserve(&scene->answer, 65536);
        ssize_t got = read(output, room, 65536);
        scene->answer.len += got > 0 ? (size_t)got : 0;
        scene->answer.data[scene->answer.len] = '\0';
        open = got > 0;
    }
    close(output);
    CHECK_INT(waitpid(child, &status, 0), child);
    scene->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define CURL "curl", "-sN", "--max-time", "20", "-i", "-H", "Expect:"
/* Asks by curl; what follows the body are more words of curl's. The status. */
#define ask(scene, path, body, ...)                                                                \
    ({                                                                                             \
        char url_[128];                                                                            \
        snprintf(url_, sizeof(url_), "http://127.0.0.1:%u%s", ntohs((scene)->port), path);         \
        scene_run(scene, (const char *const[]){ CURL, url_, "-d", body, ##__VA_ARGS__, NULL });    \
        scene_status(scene);                                                                       \
    })

static inline unsigned scene_status(const struct scene *scene)
{
    return scene->answer.len > 12 ? (unsigned)strtoul(scene->answer.data + 9, NULL, 10) : 0;
}

/* The body of the answer. */
static inline const char *scene_body(const struct scene *scene)
{
    const char *end = strstr(scene->answer.data, "\r\n\r\n");
    return end ? end + 4 : "";
}

/* What the provider has noted down. */
static inline const char *scene_log(struct scene *scene)
{
    static struct buf text = { .data = buf_empty };
    buf_release(&text);
    text = BUF_INIT;
    CHECK_INT(file_read(scene->log, &text, NULL), 0);
    return text.data;
}

/* --- a scene --------------------------------------------------------------------------------- */

static void scene_listen(struct scene *scene)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    struct err err = { 0 };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(listener, (const struct sockaddr *)&address, size), 0);
    CHECK_INT(listen(listener, 64), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    scene->port = address.sin_port;
    CHECK_INT(model_door_open(&scene->options, &scene->door, &err), 0);
    CHECK_INT(model_door_listen(scene->door, listener, &err), 0);
}

static void scene_start_provider(struct scene *scene, const char *certificate, const char *key)
{
    char line[16] = "";
    int output;
    const char *const argv[] = { "python3", "tests/model/provider.py", scene->log, certificate, key,
                                 NULL };
    scene->provider = scene_spawn(argv, &output);
    for (size_t len = 0; len < sizeof(line) - 1 && !strchr(line, '\n'); len++)
        if (read(output, line + len, 1) != 1)
            break;
    scene->provider_port = (in_port_t)strtoul(line, NULL, 10);
    close(output);
}

/* A local server that speaks all three protocols. */
static void scene_route(struct scene *scene, size_t index, const char *binding, const char *scheme,
                        in_port_t port)
{
    snprintf(scene->base_urls[index], sizeof(scene->base_urls[index]), "%s://127.0.0.1:%u", scheme,
             port);
    scene->routes[index] = (struct model_route){
        .binding_ref = str_from(binding),
        .provider_ref = str_from("urn:srcos:model-profile:scripted"),
        .protocol = MODEL_OLLAMA,
        .provider = provider_class_find(STR("ollama"), true),
        .models = scene_names,
        .model_count = ARRAY_LEN(scene_names),
        .priority = index,
        .base_url = str_from(scene->base_urls[index]),
    };
    if (scene->options.route_count <= index)
        scene->options.route_count = index + 1;
}

/* References of the user's layer; ' stands for ". */
static inline void scene_refer(struct scene *scene, const char *text)
{
    struct buf json = BUF_INIT;
    struct err err = { 0 };
    for (const char *at = text; *at; at++)
        buf_add_char(&json, *at == '\'' ? '"' : *at);
    CHECK_INT(json_read(buf_str(&json), &json_limits_default, &scene->document, &err), 0);
    CHECK_INT(references_new(&scene->references, &err), 0);
    if (references_add(scene->references, LAYER_USER, "references.json",
                       yyjson_doc_get_root(scene->document), &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.cause);
    scene->options.references = scene->references;
    buf_release(&json);
}

static void scene_prepare(struct scene *scene)
{
    *scene = (struct scene){
        .sink = { .context = scene,
                  .permit = scene_permit,
                  .reserve = scene_reserve,
                  .settle = scene_settle,
                  .address = scene_address,
                  .refused = scene_refused },
        .ceiling = TOKENS_ALL,
        .answer = BUF_INIT,
        .folder = "/tmp/model-door-XXXXXX",
    };
    CHECK(mkdtemp(scene->folder) != NULL);
    snprintf(scene->log, sizeof(scene->log), "%s/log", scene->folder);
    scene->options = (struct model_door_options){ .routes = scene->routes, .sink = &scene->sink };
    unsetenv("http_proxy");
}

/* With one route to a provider that answers. */
static inline void scene_open(struct scene *scene)
{
    scene_prepare(scene);
    scene_start_provider(scene, NULL, NULL);
    scene_route(scene, 0, "urn:srcos:model-provider-binding:first", "http", scene->provider_port);
    scene_listen(scene);
}

static void scene_close(struct scene *scene)
{
    model_door_close(scene->door);
    CHECK_INT(scene->reserved, 0); /* all that was reserved has been settled */
    if (scene->provider > 0) {
        kill(scene->provider, SIGKILL);
        waitpid(scene->provider, NULL, 0);
    }
    references_free(scene->references);
    yyjson_doc_free(scene->document);
    unlink(scene->log);
    rmdir(scene->folder);
    buf_release(&scene->answer);
}

#endif
