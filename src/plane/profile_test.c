/* profile: the personal profile, found by name, managed above the user's own, changed by revisions.
 */
#include "plane/profile.h"

#include "plane/plane_test.h"

#define MANAGED "urn:srcos:agent-machine-profile:locked"

/* A stage with layers of its own below the same folder. */
struct scene {
    struct stage stage;
    struct layers_places places;
    struct layers *layers;
};

static bool scene_begin(struct scene *scene)
{
    *scene = (struct scene){ 0 };
    if (!stage_begin(&scene->stage))
        return false;
    struct layers_places *places = &scene->places;
    snprintf(places->system, sizeof(places->system), "%s/system", scene->stage.folder);
    snprintf(places->config, sizeof(places->config), "%s", scene->stage.config);
    snprintf(places->state, sizeof(places->state), "%s", scene->stage.state);
    places->owner = geteuid();
    CHECK_INT(layers_open(&scene->places, &scene->layers, NULL), 0);
    return true;
}

static void scene_end(struct scene *scene)
{
    layers_close(scene->layers);
    stage_check(&scene->stage);
    stage_end(&scene->stage);
}

/* Puts a document into a layer and reads the layers anew. */
static void put(struct scene *scene, const char *path, const char *text)
{
    test_put(scene->stage.folder, path, text);
    layers_close(scene->layers);
    scene->layers = NULL;
    CHECK_INT(layers_open(&scene->places, &scene->layers, NULL), 0);
}

static enum err_code find(struct scene *scene, const char *urn, struct profile *ret)
{
    struct err err = { 0 };
    *ret = (struct profile){ 0 };
    int r = profile_find(scene->stage.plane, scene->layers, urn, ret, &err);
    CHECK_INT(r == 0, err.code == ERR_NONE);
    return err.code;
}

static void kind_text(struct buf *ret, const char *kind, const char *urn)
{
    buf_reset(ret);
    profile_write(ret, profile_kind_find(str_from(kind)), str_from(urn));
}

TEST(the_personal_profile_is_made_once_by_an_operation)
{
    struct scene scene;
    struct profile profile;
    struct err err = { 0 };
    bool made = false;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(find(&scene, PROFILE_PERSONAL, &profile), ERR_NOT_FOUND);
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, &err), 0);
    CHECK(made);
    CHECK_INT(stage_count(&scene.stage, "WorkspaceOperation"), 1);
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, &err), 0);
    CHECK(!made);
    CHECK_INT(stage_count(&scene.stage, "WorkspaceOperation"), 1);
    CHECK_INT(find(&scene, PROFILE_PERSONAL, &profile), ERR_NONE);
    CHECK_INT(profile.layer, LAYER_USER);
    profile_release(&profile);
    scene_end(&scene);
}

TEST(the_personal_profile_is_what_a_first_run_needs)
{
    static const struct {
        const char *pointer, *text;
    } texts[] = {
        { "/profileKind", "personal" },
        { "/hostPlane/adapter", "linux-native" },
        { "/hostPlane/minimumIsolationTier", "namespaces" },
        { "/containerPlane/userMapping", "keep-id" },
        { "/worktreePlane/allowedPaths/0", "~" },
        { "/worktreePlane/repository/semantics", "staged" },
        { "/userPlane/delegation/source", "per-run" },
    };
    struct scene scene;
    struct profile profile;
    bool made;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, NULL), 0);
    CHECK_INT(find(&scene, PROFILE_PERSONAL, &profile), ERR_NONE);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        CHECK_STR(text_of(at(profile.root, texts[i].pointer)), str_from(texts[i].text));
    CHECK(yyjson_is_true(at(profile.root, "/worktreePlane/repository/secretsProhibited")));
    CHECK(yyjson_is_true(at(profile.root, "/evidence/retainOutput")));
    CHECK(yyjson_is_true(at(profile.root, "/evidence/emitRunReceipt")));
    CHECK_INT(yyjson_arr_size(at(profile.root, "/agentPlane/modelProviderRefs")), 0);
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        CHECK(yyjson_is_uint(member(at(profile.root, "/agentPlane/budget"), dimension_names[i])));
    CHECK_INT(profile_check(scene.stage.plane, profile.root, NULL), 0);
    profile_release(&profile);
    scene_end(&scene);
}

TEST(a_managed_profile_stands_above_the_users_of_its_name)
{
    struct scene scene;
    struct profile profile;
    struct buf text = BUF_INIT;
    bool made;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, NULL), 0);
    kind_text(&text, "airgapped-local-only", PROFILE_PERSONAL);
    put(&scene, "system/enterprise/profile.json", text.data);
    CHECK(profile_managed(scene.layers, PROFILE_PERSONAL) >= 0);
    CHECK_INT(find(&scene, PROFILE_PERSONAL, &profile), ERR_NONE);
    CHECK_INT(profile.layer, LAYER_ENTERPRISE);
    CHECK_STR(text_of(member(profile.root, "profileKind")), STR("airgapped-local-only"));
    CHECK(profile.path && strstr(profile.path, "system/enterprise/profile.json"));
    profile_release(&profile);
    kind_text(&text, "multi-corporate-firewall", MANAGED);
    put(&scene, "system/device/profile.json", text.data);
    CHECK_INT(find(&scene, MANAGED, &profile), ERR_NONE);
    CHECK_INT(profile.layer, LAYER_DEVICE);
    profile_release(&profile);
    buf_release(&text);
    scene_end(&scene);
}

TEST(a_managed_document_that_cannot_be_used_denies_every_profile)
{
    struct scene scene;
    struct profile profile;
    struct buf text = BUF_INIT;
    bool made;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, NULL), 0);
    put(&scene, "system/enterprise/profile.json", "{\"type\":\"AgentMachineProfile\"}");
    CHECK_INT(find(&scene, PROFILE_PERSONAL, &profile), ERR_DENIED);
    put(&scene, "system/enterprise/profile.json", "not JSON");
    CHECK_INT(find(&scene, PROFILE_PERSONAL, &profile), ERR_DENIED);
    kind_text(&text, "multi-corporate-firewall", MANAGED);
    put(&scene, "system/enterprise/profile.json", text.data);
    CHECK_INT(find(&scene, PROFILE_PERSONAL, &profile), ERR_NONE);
    profile_release(&profile);
    buf_release(&text);
    scene_end(&scene);
}

TEST(what_is_stored_under_a_name_and_is_no_profile_is_not_found)
{
    struct scene scene;
    struct profile profile;
    bool made;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, NULL), 0);
    CHECK_INT(find(&scene, "urn:srcos:network-access-profile:personal", &profile), ERR_NOT_FOUND);
    scene_end(&scene);
}

/* --- revisions ----------------------------------------------------------------------------- */

/* The stored personal profile with another text at "/description". */
static yyjson_doc *changed(struct scene *scene, const char *description, yyjson_doc **ret_before)
{
    struct profile profile;
    CHECK_INT(find(scene, PROFILE_PERSONAL, &profile), ERR_NONE);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(profile.doc, NULL);
    yyjson_mut_obj_put(yyjson_mut_doc_get_root(copy), yyjson_mut_str(copy, "description"),
                       yyjson_mut_str(copy, description));
    yyjson_doc *after = yyjson_mut_doc_imut_copy(copy, NULL);
    yyjson_mut_doc_free(copy);
    *ret_before = profile.doc;
    return after;
}

static enum err_code replace(struct scene *scene, yyjson_doc *before, yyjson_doc *after)
{
    struct buf parameters = BUF_INIT;
    struct err err = { 0 };
    CHECK_INT(profile_write_replace(&parameters, yyjson_doc_get_root(before),
                                    yyjson_doc_get_root(after), STR(""), &err),
              0);
    int r = profile_submit(scene->stage.plane, buf_str(&parameters), STR(""), &err);
    CHECK_INT(r == 0, err.code == ERR_NONE);
    buf_release(&parameters);
    return err.code;
}

TEST(a_change_is_a_new_revision_and_names_the_one_it_replaces)
{
    struct scene scene;
    char text[PLANE_URN_MAX];
    yyjson_doc *before, *unused;
    bool made;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, NULL), 0);
    yyjson_doc *first = changed(&scene, "The first change.", &before);
    yyjson_doc *second = changed(&scene, "The second change.", &unused);
    CHECK_INT(replace(&scene, before, first), ERR_NONE);
    stage_text(&scene.stage, PROFILE_PERSONAL, "/description", text, sizeof(text));
    CHECK_TEXT(text, "The first change.");
    CHECK_INT(replace(&scene, before, first), ERR_NONE);      /* it is there: nothing new */
    CHECK_INT(replace(&scene, before, second), ERR_CONFLICT); /* of what is no longer there */
    stage_text(&scene.stage, PROFILE_PERSONAL, "/description", text, sizeof(text));
    CHECK_TEXT(text, "The first change.");
    CHECK_INT(replace(&scene, first, second), ERR_NONE);
    stage_text(&scene.stage, PROFILE_PERSONAL, "/description", text, sizeof(text));
    CHECK_TEXT(text, "The second change.");
    CHECK_INT(stage_count(&scene.stage, PROFILE_TYPE), 1);
    yyjson_doc_free(before);
    yyjson_doc_free(unused);
    yyjson_doc_free(first);
    yyjson_doc_free(second);
    scene_end(&scene);
}

TEST(a_mount_is_stored_with_the_profile_that_names_it_and_else_not)
{
    static const char mounts[] =
        "[{\"document\":\"{\\\"id\\\":\\\"urn:srcos:agent-workspace-mount:m\\\",\\\"type\\\":"
        "\\\"AgentWorkspaceMount\\\",\\\"specVersion\\\":\\\"1.0.0\\\",\\\"hostPath\\\":"
        "\\\"/srv/m\\\",\\\"agentPath\\\":\\\"/work/m\\\",\\\"semantics\\\":\\\"read-only\\\","
        "\\\"secretsProhibited\\\":true}\"}]";
    struct scene scene;
    struct buf parameters = BUF_INIT;
    struct err err = { 0 };
    yyjson_doc *before;
    bool made;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, NULL), 0);
    yyjson_doc *after = changed(&scene, "It names no mount.", &before);
    CHECK_INT(profile_write_replace(&parameters, yyjson_doc_get_root(before),
                                    yyjson_doc_get_root(after), str_from(mounts), &err),
              0);
    CHECK(profile_submit(scene.stage.plane, buf_str(&parameters), STR(""), &err) < 0);
    CHECK_INT(err.code, ERR_DOCUMENT);
    CHECK(strstr(err.cause, "does not name the mount"));
    CHECK_INT(stage_count(&scene.stage, "AgentWorkspaceMount"), 0);
    buf_release(&parameters);
    yyjson_doc_free(before);
    yyjson_doc_free(after);
    scene_end(&scene);
}

TEST(a_change_that_schema_or_rules_refuse_is_not_stored)
{
    static const char *const patches[] = {
        "{\"machinePlane\":{\"provider\":\"none\",\"cpus\":2}}",          /* schema */
        "{\"description\":\"ghp_0123456789abcdefghijABCDEFGHIJ012345\"}", /* rule */
        "{\"id\":\"urn:srcos:agent-machine-profile:other\"}",
    };
    struct scene scene;
    char text[PLANE_URN_MAX];
    bool made;
    if (!scene_begin(&scene))
        return;
    CHECK_INT(profile_ensure_personal(scene.stage.plane, &made, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(patches); i++) {
        yyjson_doc *before, *patch = NULL;
        yyjson_doc *same = changed(&scene, "The same.", &before);
        CHECK_INT(json_read(str_from(patches[i]), &json_limits_default, &patch, NULL), 0);
        yyjson_mut_doc *merged = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(merged, yyjson_merge_patch(merged, yyjson_doc_get_root(same),
                                                           yyjson_doc_get_root(patch)));
        yyjson_doc *after = yyjson_mut_doc_imut_copy(merged, NULL);
        CHECK(replace(&scene, before, after) != ERR_NONE);
        yyjson_mut_doc_free(merged);
        yyjson_doc_free(after);
        yyjson_doc_free(same);
        yyjson_doc_free(patch);
        yyjson_doc_free(before);
    }
    stage_text(&scene.stage, PROFILE_PERSONAL, "/description", text, sizeof(text));
    CHECK(strcmp(text, "The same.") != 0);
    CHECK_INT(stage_count(&scene.stage, PROFILE_TYPE), 1);
    scene_end(&scene);
}
