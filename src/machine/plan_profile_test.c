/* What of a profile this release has, and what it refuses by its place. */
#include "machine/plan_profile.h"

#include "base/json.h"
#include "base/test.h"

#define BEFORE "{\"id\":\"urn:srcos:agent-machine-profile:p\","
#define SHELL  "urn:srcos:agent-tool-surface:local-shell"

static const struct {
    const char *profile, *surface;
    enum err_code code;
    const char *where;
} cases[] = {
    { BEFORE "\"hostPlane\":{\"adapter\":\"linux-native\"}}", NULL, ERR_NONE, "" },
    { BEFORE "\"hostPlane\":{\"adapter\":\"macos-lima\"}}", NULL, ERR_UNSUPPORTED,
      "/hostPlane/adapter" },
    { BEFORE "\"hostPlane\":{\"architecture\":\"riscv\"}}", NULL, ERR_UNSUPPORTED,
      "/hostPlane/architecture" },
    { BEFORE "\"machinePlane\":{\"provider\":\"qemu\"}}", NULL, ERR_UNSUPPORTED,
      "/machinePlane/provider" },
    { BEFORE "\"containerPlane\":{\"capabilities\":[\"CAP_CHOWN\"]}}", NULL, ERR_UNSUPPORTED,
      "/containerPlane/capabilities" },
    { BEFORE "\"agentPlane\":{\"toolSurfaceRefs\":[\"" SHELL "\"]}}", SHELL, ERR_NONE, "" },
    { BEFORE "\"agentPlane\":{\"toolSurfaceRefs\":[]}}", SHELL, ERR_DENIED, "" },
    { BEFORE "\"agentPlane\":{\"toolSurfaceRefs\":[]}}", NULL, ERR_NONE, "" },
};

TEST(what_this_release_lacks_is_refused_by_its_place)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
        struct err err = { 0 };
        CHECK(json_read(str_from(cases[i].profile), &json_limits_default, &doc, &err) == 0);
        int r = plan_check_profile(yyjson_doc_get_root(doc), cases[i].surface, &err);
        CHECK((r < 0) == (cases[i].code != ERR_NONE));
        CHECK(err.code == cases[i].code);
        CHECK(strcmp(err.where, cases[i].where) == 0);
    }
}
