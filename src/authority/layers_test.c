/* layers: the folders of the layers, who may write them, and what becomes of faults. */
#include "authority/layers.h"

#include <sys/stat.h>

#include "authority/verdict_test.h"

#define SURFACE_NAMED(name)                                                                        \
    "{'id':'urn:srcos:agent-tool-surface:" name "','type':'AgentToolSurface',"                     \
    "'specVersion':'1.0.0','name':'" name "','kind':'provider-slot','capabilities':[],"            \
    "'ambient':false,'requiresGrant':true,'hosts':[{'host':'" name ".test'}]}"
#define ALLOWS(host)                                                                               \
    NETWORK("allow-with-policy", ENTRY("e", "proxy", "deny", ",'allowDomains':['" host "']"))
#define DENIES(host)                                                                               \
    NETWORK("allow-with-policy", ENTRY("e", "proxy", "deny", ",'denyDomains':['" host "']"))

/* Folders of a test's own. */
struct place {
    char root[64];
    struct layers_places places;
    struct layers *layers;
    struct policy *policy;
};

static void change_mode(const struct place *place, const char *path, mode_t mode)
{
    char full[512];
    snprintf(full, sizeof(full), "%s/%s", place->root, path);
    CHECK_INT(chmod(full, mode), 0);
}

static void begin(struct place *place)
{
    *place = (struct place){ .root = "/tmp/layers_test.XXXXXX" };
    CHECK(mkdtemp(place->root) != NULL);
    struct layers_places *places = &place->places;
    snprintf(places->system, sizeof(places->system), "%s/system", place->root);
    snprintf(places->workspace, sizeof(places->workspace), "%s/repository", place->root);
    snprintf(places->config, sizeof(places->config), "%s/config", place->root);
    snprintf(places->state, sizeof(places->state), "%s/deep/state", place->root);
    places->owner = geteuid();
}

static void forget(struct place *place)
{
    policy_free(place->policy);
    layers_close(place->layers);
    place->policy = NULL;
    place->layers = NULL;
}

static void end(struct place *place)
{
    char command[128];
    forget(place);
    snprintf(command, sizeof(command), "rm -rf %s", place->root);
    CHECK_INT(system(command), 0);
}

/* Reads and compiles anew. */
static int compile(struct place *place, const char *surface, struct err *err)
{
    struct policy_builder *builder = NULL;
    forget(place);
    int r = layers_open(&place->places, &place->layers, err);
    if (r == 0)
        r = policy_builder_new(&builder, err);
    if (r == 0)
        r = layers_add(place->layers, surface, builder, err);
    if (r == 0)
        r = policy_build(builder, &place->policy, err);
    policy_builder_free(builder);
    return r;
}

static struct verdict decided;

static const char *decide(struct place *place, const char *host)
{
    struct policy_destination destination = { .host = str_from(host), .port = 443 };
    struct err err = { 0 };
    if (!place->policy || policy_decide(place->policy, &destination, &decided, &err) < 0)
        return "error";
    return answer_names[decided.answer];
}

static void compile_well(struct place *place)
{
    struct err err = { 0 };
    if (compile(place, NULL, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
}

TEST(where_there_are_no_folders_no_layer_answers)
{
    struct place place;
    begin(&place);
    compile_well(&place);
    CHECK_INT(layers_count(place.layers), 0);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    CHECK_STR(decided.rule, STR("built-in.no-layer-allows"));
    end(&place);
}

TEST(each_folder_speaks_for_its_layer)
{
    struct place place;
    char expected[512];
    begin(&place);
    test_put(place.root, "system/enterprise/one.json", ALLOWS("a.test"));
    test_put(place.root, "system/device/d.yaml",
             "type: MeshBindingProfile\nspecVersion: 1.0.0\nname: m\n"
             "id: urn:srcos:mesh-binding-profile:m\nmeshClass: istio\n"
             "scope: cluster\nidentity: {}\nevidence: {}\n"
             "traffic:\n  allowedHosts: [a.test]\n");
    test_put(
        place.root, "config/user/u.yml",
        "type: MeshBindingProfile\nspecVersion: 1.0.0\nname: m\n"
        "id: urn:srcos:mesh-binding-profile:n\nmeshClass: istio\nscope: cluster\nidentity: {}\n"
        "evidence: {}\ntraffic: {deniedHosts: [b.test]}\n");
    test_put(place.root, "config/user/.hidden.json", "{");
    test_put(place.root, "config/user/notes.txt", "{");
    compile_well(&place);
    CHECK_INT(layers_count(place.layers), 3);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    CHECK_INT(decided.layers[LAYER_ENTERPRISE].answer, ANSWER_ALLOW);
    CHECK_INT(decided.layers[LAYER_DEVICE].answer, ANSWER_ALLOW);
    CHECK_TEXT(decide(&place, "b.test"), "deny");
    CHECK_INT(decided.layer, LAYER_USER);
    snprintf(expected, sizeof(expected), "%s/config/user/u.yml", place.root);
    CHECK_TEXT(decided.document, expected);
    end(&place);
}

TEST(several_enterprise_documents_are_all_consulted)
{
    struct place place;
    begin(&place);
    test_put(place.root, "system/enterprise/a.json", ALLOWS("x.paste.test"));
    test_put(place.root, "system/enterprise/b.json", DENIES(".paste.test"));
    compile_well(&place);
    CHECK_TEXT(decide(&place, "x.paste.test"), "deny");
    end(&place);
}

TEST(an_enterprise_or_device_document_that_cannot_be_used_denies_everything_by_name)
{
    static const struct {
        const char *path, *text, *why;
    } rows[] = {
        { "system/enterprise/bad.json", "{'type':", "bad.json:1:" },
        { "system/enterprise/bad.yaml", "type: [", "bad.yaml:" },
        { "system/enterprise/bad.yml", "a: &b c", "bad.yml:" },
        { "system/device/bad.json", "{}", "type" },
        { "system/device/bad.json", "{'type':'NoSuchType'}", "NoSuchType" },
        { "system/device/bad.json", "{'type':'NetworkAccessProfile'}", "id" },
        { "system/device/bad.json", "", "" },
        { "system/enterprise/bad.json",
          FIREWALL("enforce", "", RULE("r", "deny", "no such thing", "")), "no such thing" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct place place;
        begin(&place);
        test_put(place.root, "config/user/u.json", ALLOWS("a.test"));
        compile_well(&place);
        CHECK_TEXT(decide(&place, "a.test"), "allow");
        test_put(place.root, rows[i].path, rows[i].text);
        compile_well(&place);
        CHECK_TEXT(decide(&place, "a.test"), "deny");
        CHECK(decided.built_in);
        CHECK(strstr(decided.document, strrchr(rows[i].path, '/')) != NULL);
        if (!strstr(decided.reason, rows[i].why))
            test_fail(__FILE__, __LINE__, "row %zu: %s", i, decided.reason);
        end(&place);
    }
}

TEST(what_others_could_have_written_denies_everything)
{
    static const struct {
        const char *path;
        mode_t mode;
    } rows[] = {
        { "system/enterprise/e.json", 0666 },
        { "system/enterprise/e.json", 0664 },
        { "system/enterprise", 0777 },
        { "system/enterprise", 0775 },
        { "system", 01777 },
    };
    struct place place;
    begin(&place);
    test_put(place.root, "system/enterprise/e.json", ALLOWS("a.test"));
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        change_mode(&place, rows[i].path, rows[i].mode);
        compile_well(&place);
        CHECK_TEXT(decide(&place, "a.test"), "deny");
        CHECK(strstr(decided.reason, "others can write it") != NULL);
        change_mode(&place, rows[i].path, 0755);
    }
    place.places.owner = geteuid() + 1;
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    CHECK(strstr(decided.reason, "not owned by root") != NULL);
    end(&place);
}

TEST(a_link_that_leads_nowhere_and_a_folder_are_no_documents)
{
    struct place place;
    char path[512];
    begin(&place);
    test_put(place.root, "system/enterprise/e.json", ALLOWS("a.test"));
    snprintf(path, sizeof(path), "%s/system/enterprise/link.json", place.root);
    CHECK_INT(symlink("/nonexistent/x.json", path), 0);
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    CHECK(strstr(decided.reason, "link.json") != NULL);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(mkdir(path, 0755), 0);
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    CHECK(strstr(decided.reason, "no regular file") != NULL);
    end(&place);
}

TEST(a_fault_in_the_users_folder_is_an_error_with_its_place)
{
    struct place place;
    struct err err = { 0 };
    begin(&place);
    test_put(place.root, "config/user/u.json", "{\n 'type': 'NetworkAccessProfile',\n}");
    CHECK(compile(&place, NULL, &err) < 0);
    CHECK(strstr(err.where, "u.json:3:1") != NULL);
    test_put(place.root, "config/user/u.json", FIREWALL("sometimes", "", ""));
    CHECK(compile(&place, NULL, &err) < 0);
    CHECK(strstr(err.where, "/mode") != NULL);
    test_put(place.root, "config/user/u.json", ALLOWS("a.test"));
    change_mode(&place, "config/user/u.json", 0666);
    CHECK(compile(&place, NULL, &err) < 0);
    CHECK(strstr(err.cause, "chmod") != NULL);
    end(&place);
}

TEST(a_workspace_is_inert_until_it_is_trusted_as_it_is)
{
    struct place place;
    struct err err = { 0 };
    char digest[DIGEST_TEXT_SIZE], again[DIGEST_TEXT_SIZE];
    begin(&place);
    test_put(place.root, "repository/.agent-machine/w.json", ALLOWS("a.test"));
    test_put(place.root, "repository/.agent-machine/references.yaml", "names: {}\n");
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    CHECK_INT(layers_at(place.layers, 0).state, DOCUMENT_INERT);
    CHECK(strstr(layers_at(place.layers, 0).why, "policy trust") != NULL);
    CHECK_INT(layers_trust(&place.places, digest, &err), 0);
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    CHECK_INT(decided.layer, LAYER_WORKSPACE);
    CHECK_TEXT(layers_workspace_digest(place.layers), digest);
    CHECK_INT(layers_trust(&place.places, again, &err), 0);
    CHECK_TEXT(again, digest);

    test_put(place.root, "repository/.agent-machine/w.json", ALLOWS(".test"));
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    test_put(place.root, "repository/.agent-machine/w.json", ALLOWS("a.test"));
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    test_put(place.root, "repository/.agent-machine/references.yaml",
             "names: {a.test: 127.0.0.1}\n");
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    test_put(place.root, "repository/.agent-machine/references.yaml", "names: {}\n");
    test_put(place.root, "repository/.agent-machine/x.json", DENIES("b.test"));
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    end(&place);
}

TEST(a_workspace_cannot_stop_or_widen_what_is_not_its_own)
{
    struct place place;
    struct err err = { 0 };
    char digest[DIGEST_TEXT_SIZE], path[512];
    begin(&place);
    test_put(place.root, "config/user/u.json", ALLOWS("a.test"));
    test_put(place.root, "repository/.agent-machine/w.json", "{ this is no document");
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    CHECK(layers_trust(&place.places, digest, &err) < 0);
    CHECK(strstr(err.where, "w.json:1:3") != NULL);
    test_put(place.root, "repository/.agent-machine/w.json", DENIES("b.test"));
    snprintf(path, sizeof(path), "%s/repository/.agent-machine/link.json", place.root);
    CHECK_INT(symlink("/etc/passwd", path), 0);
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    CHECK(layers_trust(&place.places, digest, &err) < 0);
    CHECK(strstr(err.where, "link.json") != NULL);
    end(&place);
}

TEST(the_list_of_what_is_trusted_must_be_the_users_own)
{
    struct place place;
    struct err err = { 0 };
    char digest[DIGEST_TEXT_SIZE];
    begin(&place);
    test_put(place.root, "repository/.agent-machine/w.json", ALLOWS("a.test"));
    CHECK_INT(layers_trust(&place.places, digest, &err), 0);
    change_mode(&place, "deep/state/trusted", 0666);
    CHECK(compile(&place, NULL, &err) < 0);
    CHECK(strstr(err.where, "trusted") != NULL);
    end(&place);
    begin(&place);
    CHECK(layers_trust(&place.places, digest, &err) < 0);
    CHECK_INT(err.code, ERR_NOT_FOUND);
    end(&place);
}

TEST(the_agent_layer_is_the_surface_that_is_run)
{
    struct place place;
    struct err err = { 0 };
    begin(&place);
    test_put(place.root, "config/user/one.json", SURFACE_NAMED("one"));
    test_put(place.root, "config/user/two.json", SURFACE_NAMED("two"));
    test_put(place.root, "config/user/p.json", PROVIDER("https://models.test", "deny"));
    test_put(place.root, "config/user/u.json", ALLOWS("models.test"));
    compile_well(&place);
    CHECK_TEXT(decide(&place, "one.test"), "deny");
    CHECK_TEXT(decide(&place, "models.test"), "deny");
    CHECK_STR(decided.rule, STR("built-in.model-hosts"));
    CHECK_INT(compile(&place, "one", &err), 0);
    CHECK_TEXT(decide(&place, "one.test"), "allow");
    CHECK_INT(decided.layer, LAYER_AGENT);
    CHECK_TEXT(decide(&place, "two.test"), "deny");
    end(&place);
}

TEST(one_folder_can_stand_for_all_layers)
{
    struct place place;
    begin(&place);
    test_put(place.root, "all/enterprise/e.json", DENIES("b.test"));
    test_put(place.root, "all/workspace/w.json", ALLOWS("a.test"));
    test_put(place.root, "all/user/u.json", ALLOWS("b.test"));
    test_put(place.root, "all/agent/one.json", SURFACE_NAMED("one"));
    change_mode(&place, "all/enterprise/e.json", 0666);
    snprintf(place.places.all, sizeof(place.places.all), "%s/all", place.root);
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    CHECK_TEXT(decide(&place, "b.test"), "deny");
    CHECK_TEXT(decide(&place, "one.test"), "allow");
    struct err err = { 0 };
    snprintf(place.places.all, sizeof(place.places.all), "%s/nothing", place.root);
    CHECK(compile(&place, NULL, &err) < 0);
    end(&place);
}

TEST(the_workspace_is_the_nearest_repository_around)
{
    struct place place;
    struct err err = { 0 };
    struct layers_places found;
    char path[512];
    begin(&place);
    test_put(place.root, "repository/.agent-machine/w.json", "{}");
    test_put(place.root, "repository/src/deep/file", "");
    snprintf(path, sizeof(path), "%s/repository/src/deep", place.root);
    CHECK_INT(layers_places_default(path, &found, &err), 0);
    CHECK_TEXT(found.workspace, place.places.workspace);
    CHECK_TEXT(found.system, "/etc/agent-machine");
    end(&place);
}

static const char *place_of(const struct place *place, const char *name)
{
    static char text[ADDRESS_RANGE_TEXT_SIZE];
    struct address_range addresses[REFERENCES_ADDRESSES_MAX];
    if (!references_addresses(layers_references(place->layers), str_from(name), addresses))
        return "nowhere";
    address_range_text(&addresses[0], text);
    return text;
}

TEST(references_are_the_layers_and_the_policys_digest_covers_them)
{
    struct place place;
    char before[DIGEST_TEXT_SIZE];
    begin(&place);
    test_put(place.root, "config/user/u.json", ALLOWS("a.test"));
    compile_well(&place);
    CHECK_TEXT(place_of(&place, "a.test"), "nowhere");
    memcpy(before, policy_digest(place.policy), sizeof(before));
    test_put(place.root, "config/user/references.yaml", "names: {a.test: 10.0.0.1}\n");
    test_put(place.root, "system/device/references.corp.json", "{'names':{'*.test':'10.0.0.2'}}");
    compile_well(&place);
    CHECK_TEXT(place_of(&place, "a.test"), "10.0.0.2/32");
    CHECK(strcmp(before, policy_digest(place.policy)) != 0);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    CHECK_TEXT(layers_at(place.layers, 0).type, "references");
    end(&place);
}

TEST(references_that_cannot_be_read_deny_everything_or_are_an_error)
{
    struct place place;
    struct err err = { 0 };
    begin(&place);
    test_put(place.root, "config/user/u.json", ALLOWS("a.test"));
    test_put(place.root, "system/enterprise/references.yaml", "name: {a.test: 10.0.0.1}\n");
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "deny");
    CHECK(strstr(decided.reason, "references.yaml") != NULL);
    CHECK_INT(layers_at(place.layers, 0).state, DOCUMENT_UNUSABLE);
    test_put(place.root, "system/enterprise/references.yaml", "names: {}\n");
    compile_well(&place);
    CHECK_TEXT(decide(&place, "a.test"), "allow");
    test_put(place.root, "config/user/references.yaml", "names: {a.test: somewhere}\n");
    CHECK(compile(&place, NULL, &err) < 0);
    CHECK(strstr(err.where, "user/references.yaml: /names/a.test") != NULL);
    end(&place);
}

TEST(references_of_a_workspace_are_inert_until_it_is_trusted)
{
    struct place place;
    struct err err = { 0 };
    char digest[DIGEST_TEXT_SIZE];
    begin(&place);
    test_put(place.root, "repository/.agent-machine/references.yaml",
             "names: {a.test: 10.0.0.1}\n");
    test_put(place.root, "config/user/references.yaml", "names: {a.test: 10.0.0.2}\n");
    compile_well(&place);
    CHECK_TEXT(place_of(&place, "a.test"), "10.0.0.2/32");
    CHECK_INT(layers_trust(&place.places, digest, &err), 0);
    compile_well(&place);
    CHECK_TEXT(place_of(&place, "a.test"), "10.0.0.1/32");
    test_put(place.root, "repository/.agent-machine/references.yaml",
             "secrets: {'secret://a/b': {command: [id]}}\n");
    compile_well(&place);
    CHECK_TEXT(place_of(&place, "a.test"), "10.0.0.2/32");
    CHECK(layers_trust(&place.places, digest, &err) < 0);
    CHECK(strstr(err.cause, "a workspace has no secrets") != NULL);
    end(&place);
}
