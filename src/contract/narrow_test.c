#include "base/json.h"
#include "base/test.h"
#include "contract/narrow.h"

/* That a path with semantics is admitted by one mount, or is not. */
TEST(a_mount_admits_what_lies_beneath_it_with_no_stronger_semantics)
{
    static const struct {
        const char *outer_path, *outer, *path, *semantics;
        bool admitted;
    } cases[] = {
        { "/a", "read-write", "/a", "read-write", true },
        { "/a", "read-write", "/a/b", "staged", true },
        { "/a", "read-write", "/a/b", "read-only", true },
        { "/a", "read-write", "/a/b", "cache", false },
        { "/a", "staged", "/a", "read-only", true },
        { "/a", "staged", "/a", "read-write", false },
        { "/a", "read-only", "/a", "staged", false },
        { "/a", "cache", "/a/b", "cache", true },
        { "/a", "cache", "/a/b", "read-only", false },
        { "/a", "staged", "/a", "", false },
        { "/a", "staged", "/a", "stage", false },
        { "/a", "staged", "/ab", "staged", false },
        { "/a", "staged", "/", "staged", false },
        { "/a/", "staged", "/a", "staged", true },
        { "/a", "staged", "/a//b", "staged", true },
        { "/", "staged", "/a", "staged", true },
        { "/", "staged", "a", "staged", false },
        { "/", "staged", "", "staged", false },
        { "/a", "staged", "/a/..", "staged", false },
        { "/a", "staged", "/a/../b", "staged", false },
        { "/a", "staged", "/a/b/..", "staged", false },
        { "/a", "staged", "/a/..b", "staged", true },
        { "/", "staged", "/../a", "staged", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char json[256];
        yyjson_doc *doc = NULL;
        snprintf(json, sizeof(json), "[{\"hostPath\":\"%s\",\"semantics\":\"%s\"}]",
                 cases[i].outer_path, cases[i].outer);
        CHECK_INT(json_read(str_from(json), &json_limits_default, &doc, NULL), 0);
        if (narrow_mount_admits(yyjson_doc_get_root(doc), str_from(cases[i].path),
                                str_from(cases[i].semantics)) != cases[i].admitted)
            test_fail(__FILE__, __LINE__, "%s %s does not answer rightly for %s %s",
                      cases[i].outer_path, cases[i].outer, cases[i].path, cases[i].semantics);
        yyjson_doc_free(doc);
    }
    CHECK(!narrow_mount_admits(NULL, STR("/a"), STR("staged")));
}

static const char outer_json[] =
    "{\"issuerRef\":\"a\",\"subjectRef\":\"b\",\"depth\":1,\"notBefore\":\"2026-01-01T00:00:00Z\","
    "\"expiresAt\":\"2026-01-02T00:00:00Z\",\"operationTypes\":[\"x\"],\"scope\":{},"
    "\"budgetCeiling\":{}}";
static const char wider_json[] =
    "{\"issuerRef\":\"c\",\"subjectRef\":\"d\",\"depth\":1,\"notBefore\":\"2025-01-01T00:00:00Z\","
    "\"expiresAt\":\"2027-01-02T00:00:00Z\",\"operationTypes\":[\"x\",\"y\",\"z\"],\"scope\":{"
    "\"workspaceRefs\":[\"w\"],\"mounts\":[{\"hostPath\":\"/\",\"semantics\":\"cache\"}],"
    "\"networkAccessProfileRef\":\"n\"},\"budgetCeiling\":{\"tokens\":1}}";

struct seen {
    char pointers[512];
    int stop_after, calls;
};

static int see(void *context, const char *pointer, const char *message)
{
    struct seen *seen = context;
    size_t len = strlen(seen->pointers);
    CHECK(message[0]);
    snprintf(seen->pointers + len, sizeof(seen->pointers) - len, "%s ", pointer);
    return ++seen->calls == seen->stop_after ? -EACCES : 0;
}

TEST(every_excess_is_named_once_and_the_visitor_ends_it)
{
    yyjson_doc *outer = NULL, *wider = NULL;
    struct seen all = { 0 }, three = { .stop_after = 3 };
    CHECK_INT(json_read(str_from(outer_json), &json_limits_default, &outer, NULL), 0);
    CHECK_INT(json_read(str_from(wider_json), &json_limits_default, &wider, NULL), 0);
    CHECK_INT(narrow_compare(yyjson_doc_get_root(outer), yyjson_doc_get_root(wider), see, &all), 0);
    CHECK_TEXT(all.pointers,
               "/issuerRef /depth /notBefore /expiresAt /operationTypes/1 /operationTypes/2 "
               "/scope/workspaceRefs/0 /scope/mounts/0 /scope/networkAccessProfileRef "
               "/budgetCeiling/tokens ");
    CHECK_INT(narrow_compare(yyjson_doc_get_root(outer), yyjson_doc_get_root(wider), see, &three),
              -EACCES);
    CHECK_TEXT(three.pointers, "/issuerRef /depth /notBefore ");
    yyjson_doc_free(outer);
    yyjson_doc_free(wider);
}
