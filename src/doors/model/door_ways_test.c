#include "doors/model/door_test.h"

#define CHAT    "/v1/chat/completions"
#define BODY(m) "{\"model\":\"" m "\",\"messages\":[],\"max_tokens\":100}"
#define HOST    "provider.test.example"

/* --- a provider beyond this machine, that is one of this machine ----------------------------- */

struct beyond {
    struct scene scene;
    char certificate[96], key[96], references[512];
};

static void beyond_prepare(struct beyond *beyond)
{
    int output;
    scene_prepare(&beyond->scene);
    const char *folder = beyond->scene.folder;
    snprintf(beyond->certificate, sizeof(beyond->certificate), "%s/cert.pem", folder);
    snprintf(beyond->key, sizeof(beyond->key), "%s/key.pem", folder);
    const char *const argv[] = { "openssl",
                                 "req",
                                 "-x509",
                                 "-newkey",
                                 "ec",
                                 "-pkeyopt",
                                 "ec_paramgen_curve:prime256v1",
                                 "-nodes",
                                 "-keyout",
                                 beyond->key,
                                 "-out",
                                 beyond->certificate,
                                 "-days",
                                 "2",
                                 "-subj",
                                 "/CN=provider",
                                 "-addext",
                                 "subjectAltName=DNS:" HOST,
                                 NULL };
    pid_t child = scene_spawn(argv, &output);
    waitpid(child, NULL, 0);
    close(output);
}

/* A hosted route to a port, by a name that a layer gives an address. */
static void beyond_route(struct beyond *beyond, const char *scheme, in_port_t port)
{
    struct scene *scene = &beyond->scene;
    scene_route(scene, 0, "b:hosted", scheme, port);
    snprintf(scene->base_urls[0], sizeof(scene->base_urls[0]), "%s://" HOST ":%u/v1", scheme, port);
    struct model_route *route = &scene->routes[0];
    route->base_url = str_from(scene->base_urls[0]);
    route->is_hosted = true;
    route->protocol = MODEL_OPENAI;
    route->provider = provider_class_find(STR("openai-compatible"), false);
    CHECK(address_range_read(STR("127.0.0.1"), &route->addresses[0]));
    route->address_count = 1;
}

static void beyond_open(struct beyond *beyond, const char *trusts)
{
    beyond_prepare(beyond);
    scene_start_provider(&beyond->scene, beyond->certificate, beyond->key);
    beyond_route(beyond, "https", beyond->scene.provider_port);
    snprintf(beyond->references, sizeof(beyond->references), "{'authorities':['%s']}",
             trusts ? trusts : beyond->certificate);
    if (!trusts || trusts[0])
        scene_refer(&beyond->scene, beyond->references);
    scene_listen(&beyond->scene);
}

static void beyond_close(struct beyond *beyond)
{
    unlink(beyond->certificate);
    unlink(beyond->key);
    scene_close(&beyond->scene);
}

TEST(who_is_vouched_for_is_spoken_to)
{
    struct beyond beyond;
    beyond_open(&beyond, NULL);
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 200);
    CHECK_INT(beyond.scene.last.tokens, 17);
    CHECK_TEXT(beyond.scene.last_address, "127.0.0.1/32");
    CHECK_INT(model_door_counts(beyond.scene.door).prompt_bytes, strlen(BODY("plain")));
    beyond_close(&beyond);
}

TEST(who_is_not_vouched_for_is_not)
{
    struct beyond beyond;
    beyond_open(&beyond, "");
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 502);
    CHECK(strstr(scene_body(&beyond.scene), "did not answer"));
    CHECK_TEXT(scene_log(&beyond.scene), "");
    CHECK_INT(beyond.scene.last.calls + beyond.scene.last.tokens, 0);
    beyond_close(&beyond);
}

/* The certificate is good, and of another name. */
TEST(another_name_is_another_server)
{
    struct beyond beyond;
    beyond_open(&beyond, NULL);
    struct model_route *route = &beyond.scene.routes[0];
    snprintf(beyond.scene.base_urls[0], sizeof(beyond.scene.base_urls[0]),
             "https://other.test.example:%u/v1", beyond.scene.provider_port);
    route->base_url = str_from(beyond.scene.base_urls[0]);
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 502);
    CHECK_TEXT(scene_log(&beyond.scene), "");
    beyond_close(&beyond);
}

TEST(an_address_that_is_denied_is_not_connected_to)
{
    struct beyond beyond;
    beyond_open(&beyond, NULL);
    beyond.scene.denies_address = true;
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 502);
    CHECK_TEXT(scene_log(&beyond.scene), "");
    CHECK_INT(beyond.scene.settles, 1);
    CHECK_INT(beyond.scene.last.calls, 0);
    beyond_close(&beyond);
}

TEST(prompts_leave_by_tls_alone_and_local_routes_lead_here_alone)
{
    struct beyond beyond;
    beyond_prepare(&beyond);
    scene_start_provider(&beyond.scene, NULL, NULL);
    beyond_route(&beyond, "http", beyond.scene.provider_port);
    scene_listen(&beyond.scene);
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 502);
    CHECK(strstr(scene_body(&beyond.scene), "by https alone"));
    beyond.scene.routes[0].is_hosted = false;
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 502);
    CHECK(strstr(scene_body(&beyond.scene), "beyond this machine"));
    CHECK_TEXT(scene_log(&beyond.scene), "");
    beyond_close(&beyond);
}

/* The model stands in the path, the version in the query, the key in a header of its own. */
TEST(azure_is_asked_at_its_deployment)
{
    struct beyond beyond;
    struct scene *scene = &beyond.scene;
    setenv("AM_TEST_AZURE_KEY", KEY, 1);
    beyond_prepare(&beyond);
    scene_start_provider(scene, beyond.certificate, beyond.key);
    beyond_route(&beyond, "https", scene->provider_port);
    scene->routes[0].provider = provider_class_find(STR("azure-openai"), false);
    scene->routes[0].credential_ref = STR("secret://test/azure");
    snprintf(beyond.references, sizeof(beyond.references),
             "{'authorities':['%s'],'secrets':{'secret://test/azure':{'env':'AM_TEST_AZURE_KEY'}}}",
             beyond.certificate);
    scene_refer(scene, beyond.references);
    scene_listen(scene);
    CHECK_INT(ask(scene, CHAT, BODY("echo"), "-H", "api-key: of-the-client"), 200);
    CHECK(strstr(scene_log(scene),
                 "{\"path\": \"/openai/deployments/echo/chat/completions?api-version=20"));
    CHECK(strstr(scene_log(scene), "\"api-key\": \"" KEY "\""));
    CHECK(!strstr(scene_log(scene), "of-the-client"));
    CHECK(!strstr(scene_log(scene), "Authorization"));
    beyond_close(&beyond);
    unsetenv("AM_TEST_AZURE_KEY");
}

TEST(secrets_do_not_leave)
{
    struct beyond beyond;
    struct buf body = BUF_INIT;
    struct scene *scene = &beyond.scene;
    const struct redact_rule *rule = redact_rule_at(0);
    beyond_open(&beyond, NULL);
    CHECK(!rule->before && !rule->after);
    buf_addf(&body, "{\"model\":\"echo\",\"messages\":[{\"content\":\"use %s\"}]}", rule->example);
    CHECK_INT(ask(scene, CHAT, body.data), 403);
    CHECK(strstr(scene_body(scene), "holds what looks like a secret (1 "));
    CHECK(!strstr(scene->answer.data, rule->example));
    CHECK_TEXT(scene_log(scene), "");
    CHECK_INT(scene->permits + scene->reserves, 0);
    scene->routes[0].on_secret = EGRESS_MASK;
    CHECK_INT(ask(scene, CHAT, body.data), 200);
    CHECK(strstr(scene_body(scene), "[redacted:"));
    CHECK(strstr(scene_body(scene), "max_tokens"));
    CHECK(!strstr(scene_log(scene), rule->example));
    /* What is translated is looked through as it is sent. */
    struct buf messages = BUF_INIT;
    buf_addf(&messages,
             "{\"model\":\"plain\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
             "\"use %s\"}]}",
             rule->example);
    CHECK_INT(ask(scene, "/v1/messages", messages.data), 200);
    CHECK(strstr(scene_log(scene), "\\\"content\\\":\\\"use [redacted:"));
    CHECK(!strstr(scene_log(scene), rule->example));
    scene->routes[0].on_secret = EGRESS_DENY;
    CHECK_INT(ask(scene, "/v1/messages", messages.data), 403);
    buf_release(&messages);
    scene->routes[0].on_secret = EGRESS_REPORT;
    CHECK_INT(ask(scene, CHAT, body.data), 200);
    CHECK(strstr(scene_body(scene), rule->example));
    CHECK_INT(scene->last_secrets, 1);
    buf_release(&body);
    beyond_close(&beyond);
}

/* --- other programs -------------------------------------------------------------------------- */

struct helper {
    pid_t pid;
    int input, output;
};

/* One that ends with its standard input. */
static struct helper helper_start(const char *const *argv)
{
    struct helper helper;
    int ends[2];
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    int old = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(ends[0], STDIN_FILENO);
    helper.pid = scene_spawn(argv, &helper.output);
    dup2(old, STDIN_FILENO);
    close(old);
    close(ends[0]);
    helper.input = ends[1];
    return helper;
}

static void helper_end(struct helper *helper)
{
    close(helper->input);
    waitpid(helper->pid, NULL, 0);
    close(helper->output);
}

/* Waits for a file of NAME=PORT lines. */
static in_port_t helper_port(const char *path, const char *name)
{
    int64_t until = clock_passed_ms() + PATIENCE_MS;
    in_port_t port = 0;
    while (!port && clock_passed_ms() < until) {
        struct buf text = BUF_INIT;
        if (file_read(path, &text, NULL) == 0) {
            const char *found = strstr(text.data, name);
            port = found ? (in_port_t)strtoul(found + strlen(name) + 1, NULL, 10) : 0;
        }
        buf_release(&text);
        if (!port)
            (void)!poll(NULL, 0, 20);
    }
    CHECK(port != 0);
    return port;
}

TEST(http_2_is_spoken_where_the_provider_does)
{
    struct beyond beyond;
    char ports[96];
    beyond_prepare(&beyond);
    snprintf(ports, sizeof(ports), "%s/ports", beyond.scene.folder);
    struct helper server = helper_start((const char *const[]){
        "node", "tests/network/http2.mjs", beyond.key, beyond.certificate, ports, NULL });
    beyond_route(&beyond, "https", helper_port(ports, "http2"));
    snprintf(beyond.references, sizeof(beyond.references), "{'authorities':['%s']}",
             beyond.certificate);
    scene_refer(&beyond.scene, beyond.references);
    scene_listen(&beyond.scene);
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 200);
    CHECK_TEXT(scene_body(&beyond.scene), "the page by HTTP/2.0\n");
    CHECK_INT(beyond.scene.last.basis, BASIS_RESERVED);
    helper_end(&server);
    unlink(ports);
    beyond_close(&beyond);
}

/* The proxy is told the name, and shown what it asks for; it alone is connected to. */
static void check_carried_by(const char *name, const char *scheme, const char *shown)
{
    struct beyond beyond;
    char ports[96], proxied[96], log[96];
    struct buf text = BUF_INIT;
    beyond_prepare(&beyond);
    snprintf(ports, sizeof(ports), "%s/ports", beyond.scene.folder);
    snprintf(proxied, sizeof(proxied), "%s/proxied", beyond.scene.folder);
    snprintf(log, sizeof(log), "%s/log", beyond.scene.folder);
    struct helper proxy = helper_start(
        (const char *const[]){ "python3", "tests/network/servers.py", beyond.scene.folder, NULL });
    in_port_t port = helper_port(ports, name);
    scene_start_provider(&beyond.scene, beyond.certificate, beyond.key);
    beyond_route(&beyond, "https", beyond.scene.provider_port);
    setenv("AM_TEST_PROXY", "ada:word", 1);
    snprintf(beyond.references, sizeof(beyond.references),
             "{'authorities':['%s'],'secrets':{'secret://test/proxy':{'env':'AM_TEST_PROXY'}},"
             "'proxies':{'p':{'url':'http://127.0.0.1:%u','authorizationRef':"
             "'secret://test/proxy','authorizationScheme':'%s'}}}",
             beyond.certificate, port, scheme);
    scene_refer(&beyond.scene, beyond.references);
    beyond.scene.routes[0].proxy = references_proxy(beyond.scene.references, STR("p"));
    beyond.scene.routes[0].address_count = 0;
    scene_listen(&beyond.scene);
    CHECK(beyond.scene.routes[0].proxy != NULL);
    CHECK_INT(ask(&beyond.scene, CHAT, BODY("plain")), 200);
    CHECK_INT(beyond.scene.last.tokens, 17);
    CHECK_INT(file_read(proxied, &text, NULL), 0);
    CHECK(strstr(text.data, HOST) && strstr(text.data, shown));
    CHECK(!strstr(scene_log(&beyond.scene), "YWRhOndvcmQ="));
    buf_release(&text);
    helper_end(&proxy);
    unlink(ports);
    unlink(proxied);
    beyond_close(&beyond);
}

TEST(a_corporate_proxy_carries_it)
{
    check_carried_by("proxy", "basic", "Basic YWRhOndvcmQ=");
}

TEST(a_corporate_proxy_that_answers_with_a_challenge_carries_it)
{
    check_carried_by("challenge", "digest", "Digest username=\"ada\", realm=\"company\"");
}
