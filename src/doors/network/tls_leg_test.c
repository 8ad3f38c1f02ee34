/* The proxy behind TLS is openssl's own server; what it is to say is the test's. */
#include "doors/network/tls_leg.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <yyjson.h>

#include "doors/network/flow_test.h"

#define FOLDER_SIZE 64

struct proxy {
    char folder[FOLDER_SIZE];
    pid_t child;
    int said, says; /* what it received, and what it is to send */
    uint16_t port;
    yyjson_doc *doc;
};

static int run_and_wait(char *const *words)
{
    extern char **environ;
    pid_t child;
    int status = -1;
    CHECK_INT(posix_spawnp(&child, words[0], NULL, NULL, words, environ), 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    return status;
}

static void make_certificate(const struct proxy *proxy)
{
    char script[512];
    snprintf(script, sizeof(script),
             "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
             "-days 2 -subj /CN=proxy.test"
             " -addext subjectAltName=DNS:proxy.test,IP:127.0.0.1 -keyout key.pem -out cert.pem"
             " 2>/dev/null",
             proxy->folder);
    CHECK_INT(run_and_wait((char *const[]){ (char[]){ "sh" }, (char[]){ "-c" }, script, NULL }), 0);
}

/* What the server says, up to a text; false where it ends before. */
static bool hear_until(int fd, const char *text, struct buf *heard)
{
    while (!memmem(heard->data, heard->len, text, strlen(text))) {
        ssize_t n = read(fd, buf_reserve(heard, 4096), 4096);
        if (n <= 0)
            return false;
        heard->len += (size_t)n;
    }
    return true;
}

static void start_server(struct proxy *proxy)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    int in[2], out[2];
    char script[256];
    struct buf heard = BUF_INIT;
    close(scene_listen("127.0.0.1", 1, &proxy->port));
    snprintf(script, sizeof(script),
             "cd %s && exec openssl s_server -accept 127.0.0.1:%u -cert cert.pem -key key.pem",
             proxy->folder, proxy->port);
    CHECK_INT(pipe2(in, O_CLOEXEC), 0);
    CHECK_INT(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    char *words[] = { (char[]){ "sh" }, (char[]){ "-c" }, script, NULL };
    CHECK_INT(posix_spawnp(&proxy->child, "sh", &actions, NULL, words, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    proxy->says = in[1];
    proxy->said = out[0];
    CHECK(hear_until(proxy->said, "ACCEPT\n", &heard));
    buf_release(&heard);
}

static void trust(struct proxy *proxy)
{
    char text[128];
    struct err err;
    snprintf(text, sizeof(text), "{\"authorities\": [\"%s/cert.pem\"]}", proxy->folder);
    proxy->doc = yyjson_read(text, strlen(text), 0);
    CHECK_INT(references_new(&scene_references, &err), 0);
    CHECK_INT(references_add(scene_references, LAYER_USER, "references.yaml",
                             yyjson_doc_get_root(proxy->doc), &err),
              0);
}

static void open_proxy(struct proxy *proxy, struct scene *scene, bool trusted, const char *host)
{
    signal(SIGPIPE, SIG_IGN); /* as the supervisor does */
    *proxy = (struct proxy){ .folder = "/tmp/agent-machine-test-XXXXXX" };
    CHECK(mkdtemp(proxy->folder) != NULL);
    make_certificate(proxy);
    start_server(proxy);
    if (trusted)
        trust(proxy);
    scene_open(scene);
    scene->permit.route = (struct route){ .kind = ROUTE_HTTPS_PROXY, .port = proxy->port };
    snprintf(scene->permit.route.host, sizeof(scene->permit.route.host), "%s", host);
    scene->dialled.port = 443;
}

static void close_proxy(struct proxy *proxy, struct scene *scene)
{
    scene_close(scene);
    references_free(TAKE_PTR(scene_references));
    yyjson_doc_free(proxy->doc);
    close(proxy->says);
    close(proxy->said);
    kill(proxy->child, SIGKILL);
    CHECK_INT(waitpid(proxy->child, NULL, 0), proxy->child);
    char script[FOLDER_SIZE + 16];
    snprintf(script, sizeof(script), "rm -r %s", proxy->folder);
    CHECK_INT(run_and_wait((char *const[]){ (char[]){ "sh" }, (char[]){ "-c" }, script, NULL }), 0);
}

/* Until the server has printed a text that it received. */
static void await_said(struct scene *scene, struct proxy *proxy, const char *text,
                       struct buf *heard)
{
    while (!memmem(heard->data, heard->len, text, strlen(text)) &&
           scene_wait(scene, proxy->said, POLLIN)) {
        ssize_t n = read(proxy->said, buf_reserve(heard, 4096), 4096);
        if (n <= 0)
            break;
        heard->len += (size_t)n;
    }
    CHECK(memmem(heard->data, heard->len, text, strlen(text)) != NULL);
}

static void say(const struct proxy *proxy, const char *text)
{
    CHECK_INT(write(proxy->says, text, strlen(text)), strlen(text));
}

TEST(a_flow_goes_through_a_proxy_behind_tls)
{
    struct proxy proxy;
    struct scene scene;
    struct buf heard = BUF_INIT;
    open_proxy(&proxy, &scene, true, "127.0.0.1");
    int client = scene_dial(&scene);
    scene_send(client, STR("early"));
    await_said(&scene, &proxy, "CONNECT api.example.com:443 HTTP/1.1\r\n", &heard);
    say(&proxy, "HTTP/1.1 200 OK\r\n\r\nwelcome\n");
    scene_check_receives(&scene, client, STR("welcome\n"));
    await_said(&scene, &proxy, "early", &heard);
    scene_send(client, STR(" and later\n"));
    await_said(&scene, &proxy, "early and later\n", &heard);
    CHECK_INT(scene.use.sent_bytes, 16);
    CHECK_INT(scene.use.received_bytes, 8);
    /* Both ends of the client's are passed on, and nothing is left. */
    CHECK_INT(shutdown(client, SHUT_WR), 0);
    scene_check_ended(&scene, client);
    close(client);
    scene_wait_quiet(&scene);
    CHECK_INT(scene.refused, 0);
    buf_release(&heard);
    close_proxy(&proxy, &scene);
}

static void check_refused(bool trusted, const char *host, const char *detail)
{
    struct proxy proxy;
    struct scene scene;
    open_proxy(&proxy, &scene, trusted, host);
    int client = scene_dial(&scene);
    scene_send(client, STR("nobody is to read this"));
    scene_check_reset(&scene, client);
    close(client);
    CHECK_INT(scene.refused, 1);
    CHECK_INT(scene.refusal, REFUSED_BY_PROXY);
    CHECK_TEXT(scene.detail, detail);
    close_proxy(&proxy, &scene);
}

TEST(a_proxy_that_is_not_whom_it_should_be_hears_nothing)
{
    check_refused(false, "127.0.0.1", "its certificate is not accepted: self-signed certificate");
    check_refused(true, "localhost", "its certificate is not accepted: hostname mismatch");
}

TEST(a_proxy_without_tls_is_told_from_one_with)
{
    struct scene scene;
    signal(SIGPIPE, SIG_IGN);
    scene_open(&scene);
    scene.permit.route =
        (struct route){ .kind = ROUTE_HTTPS_PROXY, .host = "127.0.0.1", .port = scene.server_port };
    struct pair pair = scene_pair(&scene);
    CHECK(scene_wait(&scene, pair.server, POLLIN)); /* a hello */
    scene_send(pair.server, STR("HTTP/1.1 400 Bad Request\r\n\r\n"));
    scene_check_reset(&scene, pair.client);
    CHECK_INT(scene.refusal, REFUSED_BY_PROXY);
    CHECK_TEXT(scene.detail, "there is no TLS with it: wrong version number");
    pair_close(&pair);
    scene_close(&scene);
}
