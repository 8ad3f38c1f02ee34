/* gate_rules: what a gates document may say, and how images are called in full. */
#include "authority/gate_rules.h"

#include "authority/verdict_test.h"

static int count_row(void *context, const struct gate_row *row, struct err *err)
{
    unsigned *count = context;
    (void)row;
    (void)err;
    ++*count;
    return 0;
}

static int count_engine(void *context, const struct engine_row *row, struct err *err)
{
    unsigned *count = context;
    (void)err;
    CHECK(row->timeout_ms > 0 && row->gates);
    *count += 100;
    return 0;
}

/* The rules that were read, and a hundred for each engine; -1 with the reason where the document is
 * refused. */
static int rows_of(const char *text, struct err *err)
{
    struct fixture fixture;
    unsigned count = 0;
    fixture_init(&fixture);
    yyjson_doc *doc = fixture_read(&fixture, text);
    struct gate_visitor visitor = { .rule = count_row, .engine = count_engine, .context = &count };
    int r = gate_rules_read("gates.yaml", LAYER_USER, yyjson_doc_get_root(doc), &visitor, err);
    fixture_release(&fixture);
    return r < 0 ? -1 : (int)count;
}

TEST(every_gate_and_answer_can_stand_in_a_rule)
{
    struct err err = { 0 };
    CHECK_INT(rows_of("{'rules':["
                      "{'gate':'toolGrant','match':'codex','answer':'deny','reason':'no'},"
                      "{'gate':'modelProviderUse','match':'urn:srcos:model-profile:*',"
                      "'answer':'allow'},"
                      "{'gate':'networkProfile','match':'*','answer':'ask'},"
                      "{'gate':'containerExecution','match':'ghcr.io/*','unpinned':true,"
                      "'answer':'deny'},"
                      "{'gate':'artifactAccess','match':'/home/ada/a b/','answer':'deny'}]}",
                      &err),
              5);
    CHECK_TEXT(err.cause, "");
    CHECK_INT(rows_of("{}", &err), 0);
    CHECK_INT(rows_of("{'rules':[]}", &err), 0);
}

TEST(what_could_be_meant_in_two_ways_or_is_not_known_is_refused_by_place)
{
    static const struct {
        const char *rule, *why;
    } cases[] = {
        { "'toolGrant'", "object" },
        { "{'gate':'tool','match':'a','answer':'deny'}", "a gate is" },
        { "{'gate':'toolGrant','match':'a','answer':'no'}", "an answer is" },
        { "{'gate':'toolGrant','match':'a','answer':'-'}", "an answer is" },
        { "{'gate':'toolGrant','match':7,'answer':'deny'}", "a match is a text" },
        { "{'gate':'toolGrant','match':'','answer':'deny'}", "a match is a text" },
        { "{'gate':'toolGrant','answer':'deny'}", "at least" },
        { "{'match':'a','answer':'deny'}", "at least" },
        { "{'gate':'toolGrant','match':'a'}", "at least" },
        { "{'gate':'toolGrant','match':'a*b','answer':'deny'}", "at the end" },
        { "{'gate':'toolGrant','match':'a**','answer':'deny'}", "at the end" },
        { "{'gate':'toolGrant','match':'a b','answer':'deny'}", "blanks" },
        { "{'gate':'toolGrant','match':'a\\u0007','answer':'deny'}", "control" },
        { "{'gate':'toolGrant','match':'a','answer':'deny','if':1}", "if: a rule has" },
        { "{'gate':'toolGrant','match':'a','answer':'deny','reason':''}", "one line" },
        { "{'gate':'toolGrant','match':'a','answer':'deny','unpinned':true}", "for images" },
        { "{'gate':'containerExecution','match':'*','answer':'deny','unpinned':false}", "is true" },
        { "{'gate':'toolGrant','match':'/a','answer':'deny'}", "a path stands in" },
        { "{'gate':'artifactAccess','match':'/a*','answer':'deny'}", "without `*`" },
        { "{'gate':'artifactAccess','match':'/a/../b','answer':'deny'}", "dots" },
        { "{'gate':'artifactAccess','match':'/a//b','answer':'deny'}", "empty parts" },
        { "{'gate':'containerExecution','match':'debian*','answer':'deny'}", "registry and owner" },
        { "{'gate':'containerExecution','match':'docker.io/a*','answer':'deny'}", "owner" },
        { "{'gate':'containerExecution','match':'ghcr.io','answer':'deny'}", "with `/*`" },
        { "{'gate':'containerExecution','match':'localhost:5000','answer':'deny'}", "with `/*`" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        char text[512];
        snprintf(text, sizeof(text),
                 "{'rules':[{'gate':'toolGrant','match':'x','answer':'ask'},%s]}", cases[i].rule);
        CHECK_INT(rows_of(text, &err), -1);
        CHECK_INT(err.code, ERR_DOCUMENT);
        if (!strstr(err.cause, cases[i].why) || !strstr(err.where, "gates.yaml: /rules/1"))
            test_fail(__FILE__, __LINE__, "%s: %s: %s", cases[i].rule, err.where, err.cause);
    }
}

TEST(an_engine_is_a_command_or_a_socket_with_a_time_limit)
{
    static const struct {
        const char *engine, *why;
    } cases[] = {
        { "{}", "a command, or a socket" },
        { "{'command':['/bin/a'],'socket':'/run/a'}", "a command, or a socket" },
        { "{'command':['a']}", "absolute path" },
        { "{'command':[]}", "absolute path" },
        { "{'command':'/bin/a'}", "absolute path" },
        { "{'command':['/bin/a',7]}", "a list of texts" },
        { "{'socket':'a'}", "absolute path" },
        { "{'command':['/bin/a'],'timeoutMs':0}", "milliseconds" },
        { "{'command':['/bin/a'],'timeoutMs':10001}", "milliseconds" },
        { "{'command':['/bin/a'],'timeoutMs':'1'}", "milliseconds" },
        { "{'command':['/bin/a'],'gates':[]}", "at least one" },
        { "{'command':['/bin/a'],'gates':['host']}", "a gate is" },
        { "{'command':['/bin/a'],'shell':true}", "shell: an engine has" },
    };
    struct err err = { 0 };
    CHECK_INT(rows_of("{'engines':[{'command':['/bin/a','b'],'timeoutMs':10000,"
                      "'gates':['toolGrant']},{'socket':'/run/a'}]}",
                      &err),
              200);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[256];
        snprintf(text, sizeof(text), "{'engines':[%s]}", cases[i].engine);
        CHECK_INT(rows_of(text, &err), -1);
        if (!strstr(err.cause, cases[i].why) || !strstr(err.where, "/engines/0"))
            test_fail(__FILE__, __LINE__, "%s: %s: %s", cases[i].engine, err.where, err.cause);
    }
}

TEST(a_workspace_names_no_engine)
{
    struct fixture fixture;
    struct err err = { 0 };
    fixture_init(&fixture);
    yyjson_doc *doc = fixture_read(&fixture, "{'engines':[{'command':['/bin/true']}]}");
    CHECK(gate_rules_read("gates.yaml", LAYER_WORKSPACE, yyjson_doc_get_root(doc), NULL, &err) < 0);
    CHECK(strstr(err.cause, "workspace"));
    CHECK_INT(gate_rules_read("gates.yaml", LAYER_DEVICE, yyjson_doc_get_root(doc), NULL, &err), 0);
    fixture_release(&fixture);
}

TEST(a_document_of_something_else_is_refused)
{
    static const char *const cases[] = {
        "[]", "7", "{'rule':[]}", "{'rules':{}}", "{'rules':[],'more':1}", "{'engines':{}}"
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        CHECK_INT(rows_of(cases[i], &err), -1);
        CHECK(err.cause[0] && err.where[0]);
    }
}

TEST(an_image_has_one_full_name)
{
    static const struct {
        const char *reference, *full;
        size_t repository, tagged;
    } cases[] = {
        { "debian", "docker.io/library/debian", 24, 24 },
        { "debian:12", "docker.io/library/debian:12", 24, 27 },
        { "acme/app:1@sha256:00", "docker.io/acme/app:1@sha256:00", 18, 20 },
        { "GHCR.io/acme/app", "ghcr.io/acme/app", 16, 16 },
        { "localhost:5000/app:1", "localhost:5000/app:1", 18, 20 },
        { "index.docker.io/debian", "docker.io/library/debian", 24, 24 },
        { "docker://debian", "docker.io/library/debian", 24, 24 },
        { "docker.io/", "docker.io/", 10, 10 },
        { "/srv/image", "/srv/image", 10, 10 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf full = BUF_INIT;
        size_t repository, tagged;
        CHECK_INT(gate_image_name(str_from(cases[i].reference), &full, &repository, &tagged), 0);
        buf_add_char(&full, '\0');
        CHECK_TEXT(full.data, cases[i].full);
        CHECK_INT(repository, cases[i].repository);
        CHECK_INT(tagged, cases[i].tagged);
        buf_release(&full);
    }
}
