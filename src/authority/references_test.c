/* references: what a document may say, who wins, and what is looked up. */
#include "authority/references.h"

#include "authority/verdict_test.h"

#define CORP "urn:srcos:proxy:corp"

/* Documents of several layers, added in the order in which they stand. */
struct stage {
    struct fixture fixture;
    struct references *references;
};

static void begin(struct stage *stage)
{
    struct err err = { 0 };
    fixture_init(&stage->fixture);
    CHECK_INT(references_new(&stage->references, &err), 0);
}

static void end(struct stage *stage)
{
    references_free(stage->references);
    fixture_release(&stage->fixture);
}

static int try_add(struct stage *stage, enum layer layer, const char *text, struct err *err)
{
    yyjson_doc *doc = fixture_read(&stage->fixture, text);
    return references_add(stage->references, layer, "references.yaml", yyjson_doc_get_root(doc),
                          err);
}

static void add(struct stage *stage, enum layer layer, const char *text)
{
    struct err err = { 0 };
    if (try_add(stage, layer, text, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s: %s", text, err.where, err.cause);
}

/* The addresses of a name, separated by blanks. */
static const char *addresses_of(const struct stage *stage, const char *name)
{
    static char text[REFERENCES_ADDRESSES_MAX * ADDRESS_RANGE_TEXT_SIZE];
    struct address_range addresses[REFERENCES_ADDRESSES_MAX];
    size_t count = references_addresses(stage->references, str_from(name), addresses);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "%s", i ? " " : "");
        address_range_text(&addresses[i], text + len + (i ? 1 : 0));
    }
    return text;
}

TEST(a_name_is_where_the_most_specific_match_of_the_highest_layer_says)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_USER,
        "{'names':{'a.test':'10.0.0.1','exact.corp.test':'10.0.0.9','user.example':'10.0.0.7',"
        "'*.user.example':'10.0.0.8'}}");
    add(&stage, LAYER_ENTERPRISE,
        "{'names':{'A.Test.':['10.1.2.3','FD12::3'],'*.corp.test':'10.2.0.1',"
        "'deep.corp.test':'10.2.0.2','.both.test':'10.3.0.1'}}");
    CHECK_TEXT(addresses_of(&stage, "a.test"), "10.1.2.3/32 fd12::3/128");
    CHECK_TEXT(addresses_of(&stage, "b.a.test"), "");
    CHECK_TEXT(addresses_of(&stage, "corp.test"), "");
    CHECK_TEXT(addresses_of(&stage, "x.y.corp.test"), "10.2.0.1/32");
    CHECK_TEXT(addresses_of(&stage, "deep.corp.test"), "10.2.0.2/32");
    /* The user is more specific, and lower. */
    CHECK_TEXT(addresses_of(&stage, "exact.corp.test"), "10.2.0.1/32");
    CHECK_TEXT(addresses_of(&stage, "both.test"), "10.3.0.1/32");
    CHECK_TEXT(addresses_of(&stage, "x.both.test"), "10.3.0.1/32");
    CHECK_TEXT(addresses_of(&stage, "notboth.test"), "");
    CHECK_TEXT(addresses_of(&stage, "user.example"), "10.0.0.7/32");
    CHECK_TEXT(addresses_of(&stage, "x.user.example"), "10.0.0.8/32");
    CHECK_TEXT(addresses_of(&stage, "test"), "");
    CHECK_INT(references_addresses(NULL, STR("a.test"), NULL), 0);
    end(&stage);
}

TEST(the_highest_layer_that_has_a_reference_says_what_it_leads_to)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_USER,
        "{'proxies':{'" CORP
        "':{'direct':true},'urn:srcos:proxy:own':{'url':'socks5://[::1]:9'}}}");
    add(&stage, LAYER_ENTERPRISE,
        "{'proxies':{'" CORP "':{'url':'https://Proxy.Corp.Example:3128/',"
        "'authorizationRef':'secret://corp/proxy','authorizationScheme':'bearer'}}}");
    const struct reference_proxy *proxy = references_proxy(stage.references, STR(CORP));
    CHECK(proxy != NULL);
    CHECK_INT(proxy->kind, PROXY_HTTPS);
    CHECK_TEXT(proxy->host, "proxy.corp.example");
    CHECK_INT(proxy->port, 3128);
    CHECK_INT(proxy->layer, LAYER_ENTERPRISE);
    CHECK_INT(proxy->scheme, PROXY_BEARER);
    CHECK_STR(proxy->authorization, STR("secret://corp/proxy"));
    proxy = references_proxy(stage.references, STR("urn:srcos:proxy:own"));
    CHECK(proxy && proxy->kind == PROXY_SOCKS5 && proxy->port == 9);
    CHECK_TEXT(proxy->host, "::1");
    CHECK(!references_proxy(stage.references, STR("urn:srcos:proxy:co")));
    CHECK(!references_proxy(stage.references, STR(CORP "x")));
    CHECK(!references_proxy(NULL, STR(CORP)));
    end(&stage);
}

TEST(what_a_proxy_leaves_out_is_meant_as_in_no_proxy)
{
    static const struct {
        const char *item, *host;
        uint16_t port;
        bool left_out;
    } cases[] = {
        { "corp.example", "corp.example", 443, true },
        { "corp.example", "a.b.corp.example", 443, true },
        { "corp.example", "notcorp.example", 443, false },
        { "corp.example", "corp.example.org", 443, false },
        { ".corp.example", "a.corp.example", 443, true },
        { ".corp.example", "corp.example", 443, true },
        { "*.corp.example", "a.corp.example", 443, true },
        { "*.corp.example", "corp.example", 443, false },
        { "Corp.Example.", "corp.example", 443, true },
        { "corp.example:8080", "a.corp.example", 8080, true },
        { "corp.example:8080", "a.corp.example", 443, false },
        { "10.0.0.0/8", "10.9.8.7", 443, true },
        { "10.0.0.0/8", "11.0.0.1", 443, false },
        { "10.0.0.0/8:80", "10.9.8.7", 443, false },
        { "10.1.2.3", "10.1.2.3", 443, true },
        { "10.1.2.3", "10.1.2.4", 443, false },
        { "fd00::/8", "fd12::3", 443, true },
        { "[fd12::3]:443", "fd12::3", 443, true },
        { "[fd12::3]:443", "fd12::3", 80, false },
        { "*", "any.example", 443, true },
        { "*", "192.0.2.1", 443, true },
        { "x.example", "localhost", 443, true },
        { "x.example", "127.8.0.1", 443, true },
        { "x.example", "::1", 443, true },
        { "x.example", "localhost.example", 443, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage stage;
        char text[256];
        begin(&stage);
        snprintf(text, sizeof(text),
                 "{'proxies':{'" CORP "':{'url':'http://p.example:1','noProxy':['a.b','%s']}}}",
                 cases[i].item);
        add(&stage, LAYER_USER, text);
        const struct reference_proxy *proxy = references_proxy(stage.references, STR(CORP));
        if (reference_proxy_leaves_out(proxy, str_from(cases[i].host), cases[i].port) !=
            cases[i].left_out)
            test_fail(__FILE__, __LINE__, "%s: %s:%u", cases[i].item, cases[i].host, cases[i].port);
        end(&stage);
    }
}

TEST(connectors_are_hosts_and_authorities_stand_from_the_highest_layer_on)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_USER,
        "{'connectors':['api.github.com','*.slack.com','10.0.0.0/8'],'authorities':['/u.pem']}");
    add(&stage, LAYER_ENTERPRISE, "{'authorities':['/e2.pem','/e1.pem']}");
    CHECK(references_is_connector(stage.references, STR("api.github.com")));
    CHECK(!references_is_connector(stage.references, STR("x.api.github.com")));
    CHECK(!references_is_connector(stage.references, STR("slack.com")));
    CHECK(references_is_connector(stage.references, STR("hooks.slack.com")));
    CHECK(references_is_connector(stage.references, STR("10.3.2.1")));
    CHECK(!references_is_connector(stage.references, STR("192.0.2.1")));
    CHECK(!references_is_connector(NULL, STR("api.github.com")));
    CHECK_INT(references_authority_count(stage.references), 3);
    CHECK_TEXT(references_authority(stage.references, 0).path, "/e1.pem");
    CHECK_TEXT(references_authority(stage.references, 2).path, "/u.pem");
    CHECK_INT(references_authority_count(NULL), 0);
    add(&stage, LAYER_DEVICE, "{'connectors':['*']}");
    CHECK(references_is_connector(stage.references, STR("any.example")));
    end(&stage);
}

TEST(what_is_not_known_or_of_another_type_is_refused_by_place)
{
    static const struct {
        const char *text, *where, *why;
    } cases[] = {
        { "[]", "references.yaml: ", "a references document has" },
        { "{'hosts':{}}", "references.yaml: ", "hosts: a references document has" },
        { "{'names':[]}", "/names", "an object" },
        { "{'names':{'10.1.2.3':'10.0.0.1'}}", "/names/10.1.2.3", "host name" },
        { "{'names':{'*':'10.0.0.1'}}", "/names/*", "host name" },
        { "{'names':{'a b':'10.0.0.1'}}", "/names/a b", "host name" },
        { "{'names':{'a.test':'10.0.0'}}", "/names/a.test", "no address" },
        { "{'names':{'a.test':['10.0.0.0/8']}}", "/names/a.test", "no address" },
        { "{'names':{'a.test':[]}}", "/names/a.test", "1 to 8" },
        { "{'names':{'a.test':7}}", "/names/a.test", "no address" },
        { "{'names':{'a.test':'10.0.0.1','A.test.':'10.0.0.2'}}", "/names/", "twice" },
        { "{'probes':[]}", "/probes", "an object" },
        { "{'probes':{'pings':[]}}", "/probes/pings", "names, pages and hosts" },
        { "{'probes':{'names':'a.example'}}", "/probes/names", "lists" },
        { "{'probes':{'names':[7]}}", "/probes/names", "a text" },
        { "{'probes':{'names':['10.0.0.1']}}", "/probes/names", "a host name" },
        { "{'probes':{'pages':['https://a.example/']}}", "/probes/pages", "encrypted" },
        { "{'probes':{'pages':['http://u:hunter2@a.example/']}}", "/probes/pages",
          "no credential" },
        { "{'probes':{'hosts':['a.example']}}", "/probes/hosts", "HOST:PORT" },
        { "{'probes':{'hosts':['*.example:80']}}", "/probes/hosts", "HOST:PORT" },
        { "{'proxies':{'p':'http://a.example:1'}}", "/proxies/p", "is an object" },
        { "{'proxies':{'':{'direct':true}}}", "/proxies/", "is an object" },
        { "{'proxies':{'p':{}}}", "/proxies/p", "a url, or is direct" },
        { "{'proxies':{'a/b':{'via':1}}}", "/proxies/a~1b", "via: a proxy has" },
        { "{'proxies':{'p':{'direct':false}}}", "/proxies/p", "direct is true" },
        { "{'proxies':{'p':{'direct':true,'url':'http://a.example:1'}}}", "/proxies/p", "direct" },
        { "{'proxies':{'p':{'direct':true,'noProxy':['a.test']}}}", "/proxies/p", "nothing else" },
        { "{'proxies':{'p':{'url':7}}}", "/proxies/p", "url:" },
        { "{'proxies':{'p':{'url':'a.example:1'}}}", "/proxies/p", "url:" },
        { "{'proxies':{'p':{'url':'ftp://a.example:1'}}}", "/proxies/p", "http, https, socks5" },
        { "{'proxies':{'p':{'url':'http://a.example'}}}", "/proxies/p", "its port" },
        { "{'proxies':{'p':{'url':'http://a.example:0'}}}", "/proxies/p", "its port" },
        { "{'proxies':{'p':{'url':'http://a.example:1/x'}}}", "/proxies/p", "behind the port" },
        { "{'proxies':{'p':{'url':'http://a.example:1?x'}}}", "/proxies/p", "behind the port" },
        { "{'proxies':{'p':{'url':'http://u:p@a.example:1'}}}", "/proxies/p", "no credential" },
        { "{'proxies':{'p':{'url':'http://u@a.example:1'}}}", "/proxies/p", "no credential" },
        { "{'proxies':{'p':{'url':'http://0x7f.1:1'}}}", "/proxies/p", "a name or an address" },
        { "{'proxies':{'p':{'url':'http://a.example:1','noProxy':'a.test'}}}", "/proxies/p",
          "noProxy is a list" },
        { "{'proxies':{'p':{'url':'http://a.example:1','noProxy':['a.test','b:x']}}}", "/proxies/p",
          "item 2" },
        { "{'proxies':{'p':{'url':'http://a.example:1','authorizationRef':'user:pass'}}}",
          "/proxies/p", "secret://" },
        { "{'proxies':{'p':{'url':'http://a.example:1','authorizationScheme':'basic'}}}",
          "/proxies/p", "goes with" },
        { "{'proxies':{'p':{'url':'http://a.example:1','authorizationRef':'secret://a/b',"
          "'authorizationScheme':'aws'}}}",
          "/proxies/p", "basic, bearer, digest" },
        { "{'proxies':{'p':{'url':'http://a.example:1','authorizationRef':'secret://a/b',"
          "'authorizationScheme':'negotiate'}}}",
          "/proxies/p", "tickets" },
        { "{'proxies':{'p':{'url':'http://a.example:1','authorizationScheme':'ntlm'}}}",
          "/proxies/p", "goes with" },
        { "{'proxies':{'p':{'url':'socks5h://a.example:1','authorizationRef':'secret://a/b',"
          "'authorizationScheme':'digest'}}}",
          "/proxies/p", "SOCKS5" },
        { "{'proxies':{'p':{'url':'https://a.example:1','authorizationScheme':'negotiate'}}}",
          "/proxies/p", "behind TLS" },
        { "{'proxies':{'p':{'url':'socks5h://a.example:1','authorizationRef':'secret://a/b',"
          "'authorizationScheme':'bearer'}}}",
          "/proxies/p", "SOCKS5" },
        { "{'authorities':'/a.pem'}", "/authorities", "a list" },
        { "{'authorities':['/a.pem','a.pem']}", "/authorities/1", "absolute path" },
        { "{'authorities':['/a\\u0000.pem']}", "/authorities/0", "absolute path" },
        { "{'connectors':[7]}", "/connectors/0", "host name" },
        { "{'connectors':['a b']}", "/connectors/0", "host name" },
        { "{'secrets':{'corp/proxy':{'env':'A'}}}", "/secrets/corp~1proxy", "secret://" },
        { "{'secrets':{'secret://a/b':'hunter2'}}", "/secrets/secret:~1~1a~1b", "one of env" },
        { "{'secrets':{'secret://a/b':{'value':'x'}}}", "/secrets/", "one of env" },
        { "{'secrets':{'secret://a/b':{'env':7}}}", "/secrets/", "a text" },
        { "{'secrets':{'secret://a/b':{'command':'cat'}}}", "/secrets/", "a list" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        struct stage stage;
        begin(&stage);
        CHECK_INT(try_add(&stage, LAYER_USER, cases[i].text, &err), -EBADMSG);
        if (!strstr(err.cause, cases[i].why) || !strstr(err.where, cases[i].where))
            test_fail(__FILE__, __LINE__, "%s: %s: %s", cases[i].text, err.where, err.cause);
        CHECK(!strstr(err.cause, "hunter2"));
        end(&stage);
    }
}

TEST(more_than_a_limit_is_refused)
{
    static const struct {
        const char *before, *item, *after;
        int count;
    } cases[] = {
        { "{'authorities':[", "'/a.pem'", "]}", REFERENCES_AUTHORITIES_MAX },
        { "{'names':{'a.test':[", "'10.0.0.1'", "]}}", REFERENCES_ADDRESSES_MAX },
        { "{'probes':{'hosts':[", "'a.test:80'", "]}}", REFERENCES_PROBES_MAX },
        { "{'proxies':{'p':{'url':'http://a.example:1','noProxy':[", "'a.test'", "]}}}",
          REFERENCES_NO_PROXY_MAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int more = 0; more < 2; more++) {
            _cleanup_(buf_release) struct buf text = BUF_INIT;
            struct stage stage;
            begin(&stage);
            buf_add_text(&text, cases[i].before);
            for (int n = 0; n < cases[i].count + more; n++)
                buf_addf(&text, "%s%s", n ? "," : "", cases[i].item);
            buf_add_text(&text, cases[i].after);
            CHECK_INT(try_add(&stage, LAYER_USER, text.data, NULL), more ? -EBADMSG : 0);
            end(&stage);
        }
    }
}

TEST(a_workspace_has_no_secrets_and_its_proxies_no_authorization)
{
    struct err err = { 0 };
    struct stage stage;
    begin(&stage);
    CHECK_INT(
        try_add(&stage, LAYER_WORKSPACE, "{'secrets':{'secret://a/b':{'command':['id']}}}", &err),
        -EBADMSG);
    CHECK(strstr(err.cause, "a workspace has no secrets"));
    end(&stage);
    begin(&stage);
    CHECK_INT(try_add(&stage, LAYER_WORKSPACE,
                      "{'proxies':{'p':{'url':'http://evil.example:1',"
                      "'authorizationRef':'secret://a/b'}}}",
                      &err),
              -EBADMSG);
    CHECK(strstr(err.cause, "a proxy of a workspace has none"));
    end(&stage);
}

TEST(a_workspace_lets_nothing_be_sent)
{
    struct err err = { 0 };
    struct stage stage;
    begin(&stage);
    CHECK_INT(try_add(&stage, LAYER_WORKSPACE, "{'probes':{'names':['a.example']}}", &err),
              -EBADMSG);
    CHECK(strstr(err.cause, "a workspace has no probes"));
    end(&stage);
}

TEST(probes_of_all_layers_may_be_sent)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_USER, "{'probes':{'hosts':['[fd12::3]:443'],'names':['WWW.Example.']}}");
    add(&stage, LAYER_ENTERPRISE, "{'probes':{'pages':['http://a.example/empty']}}");
    CHECK_INT(references_probe_count(stage.references), 3);
    static const struct {
        enum probe_kind kind;
        const char *host;
        uint16_t port;
    } rows[] = { { PROBE_NAME, "www.example", 0 },
                 { PROBE_PAGE, "a.example", 80 },
                 { PROBE_HOST, "fd12::3", 443 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reference_probe probe = references_probe(stage.references, i);
        CHECK_INT(probe.kind, rows[i].kind);
        CHECK_TEXT(probe.host, rows[i].host);
        CHECK_INT(probe.port, rows[i].port);
    }
    CHECK_INT(references_probe_count(NULL), 0);
    end(&stage);
}

/* What a proxy with these members is shown, where the secret is the variable's text. */
static int authorize(const char *members, const char *secret, char ret[256], struct err *err)
{
    struct stage stage;
    char text[512];
    struct secret *shown = NULL;
    begin(&stage);
    snprintf(text, sizeof(text),
             "{'proxies':{'p':{%s}},'secrets':{'secret://a/b':{'env':'AM_TEST_PROXY'}}}", members);
    add(&stage, LAYER_USER, text);
    setenv("AM_TEST_PROXY", secret, 1);
    int r = references_authorize(stage.references, references_proxy(stage.references, STR("p")),
                                 &shown, err);
    ret[0] = '\0';
    if (shown)
        snprintf(ret, 256, "%.*s", STR_ARG(secret_value(shown)));
    secret_free(shown);
    end(&stage);
    return r;
}

TEST(a_proxy_is_shown_its_secret_in_its_own_form)
{
#define WITH(url, more) "'url':'" url "','authorizationRef':'secret://a/b'" more
    char shown[256];
    struct err err = { 0 };
    CHECK_INT(authorize("'url':'http://a.example:1'", "x", shown, &err), 0);
    CHECK_TEXT(shown, "");
    CHECK_INT(authorize(WITH("http://a.example:1", ""), "ada:open sesame", shown, &err), 0);
    CHECK_TEXT(shown, "Basic YWRhOm9wZW4gc2VzYW1l");
    CHECK_INT(authorize(WITH("https://a.example:1", ",'authorizationScheme':'bearer'"),
                        "t0ken==", shown, &err),
              0);
    CHECK_TEXT(shown, "Bearer t0ken==");
    CHECK_INT(authorize(WITH("socks5h://a.example:1", ""), "ada:x", shown, &err), 0);
    CHECK_TEXT(shown, "Basic YWRhOng=");

    CHECK_INT(authorize(WITH("http://a.example:1", ",'authorizationScheme':'ntlm'"),
                        "CORP\\ada:open sesame", shown, &err),
              0);
    CHECK_TEXT(shown, "CORP\\ada:open sesame");
    CHECK_INT(
        authorize("'url':'http://a.example:1','authorizationScheme':'negotiate'", "x", shown, &err),
        0);
    CHECK_TEXT(shown, "");

    CHECK_INT(authorize(WITH("http://a.example:1", ""), "no-colon", shown, &err), -EBADMSG);
    CHECK(strstr(err.cause, "USER:PASSWORD") && !strstr(err.cause, "no-colon"));
    CHECK_INT(authorize(WITH("http://a.example:1", ""), "a:b\r\nX-Other: c", shown, &err),
              -EBADMSG);
    CHECK_INT(authorize(WITH("http://a.example:1", ",'authorizationScheme':'bearer'"), "a b", shown,
                        &err),
              -EBADMSG);
    CHECK(strstr(err.cause, "bearer token"));
}

TEST(a_secret_that_no_layer_maps_is_not_found_and_the_highest_map_leads_to_it)
{
    struct stage stage;
    struct secret *secret = NULL;
    struct err err = { 0 };
    begin(&stage);
    setenv("AM_TEST_LOW", "low", 1);
    setenv("AM_TEST_HIGH", "high", 1);
    add(&stage, LAYER_USER,
        "{'secrets':{'secret://a/b':{'env':'AM_TEST_LOW'},'secret://a/c':{'env':'AM_TEST_LOW'}}}");
    add(&stage, LAYER_DEVICE, "{'secrets':{'secret://a/b':{'env':'AM_TEST_HIGH'}}}");
    CHECK_INT(references_secret(stage.references, STR("secret://a/b"), &secret, &err), 0);
    CHECK_STR(secret_value(secret), STR("high"));
    secret_free(secret);
    CHECK_INT(references_secret(stage.references, STR("secret://a/c"), &secret, &err), 0);
    CHECK_STR(secret_value(secret), STR("low"));
    secret_free(secret);
    CHECK_INT(references_secret(stage.references, STR("secret://a/d"), &secret, &err), -ENOENT);
    CHECK(strstr(err.cause, "references.yaml"));
    CHECK_INT(references_secret(NULL, STR("secret://a/b"), &secret, &err), -ENOENT);
    end(&stage);
}
