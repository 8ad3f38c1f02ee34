/* effect_profile: profiles of every kind, stored once. */
#include "plane/plane_test.h"
#include "plane/profile_presets.h"

#define NONE_SUCH "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Asks for a profile; `digest` NULL: the right one. */
static struct outcome create(struct stage *stage, const char *kind, const char *urn,
                             const char *presets, const char *digest, const char *store)
{
    struct buf command = BUF_INIT, json = BUF_INIT;
    char parameters[2048], right[DIGEST_TEXT_SIZE] = "";
    yyjson_doc *doc = NULL;
    profile_write(&json, profile_kind_find(str_from(kind)), str_from(urn));
    CHECK_INT(json_read(buf_str(&json), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(jcs_digest(yyjson_doc_get_root(doc), right, NULL), 0);
    snprintf(parameters, sizeof(parameters),
             "{\"profileCreate\":{\"profileKind\":\"%s\",\"profileRef\":\"%s\",\"profileDigest\":"
             "\"%s\",\"store\":\"%s\",\"presets\":[%s]}}",
             kind, urn, digest ? digest : right, store, presets);
    command_make(stage, &command, "agent_machine.profile.create", stage->user, parameters, "");
    struct outcome outcome = stage_submit(stage, &command);
    yyjson_doc_free(doc);
    buf_release(&json);
    buf_release(&command);
    return outcome;
}

static void end(struct stage *stage)
{
    stage_check(stage);
    stage_end(stage);
}

TEST(a_profile_of_every_kind_passes_schema_and_rules)
{
    struct stage stage;
    char urn[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    for (size_t i = 0; i < PROFILE_KIND_COUNT; i++) {
        urn_make("agent-machine-profile", str_from(profile_kinds[i].name), urn);
        struct outcome outcome = create(&stage, profile_kinds[i].name, urn,
                                        "\"git-forges\",\"npm\",\"pip\",\"apt\"", NULL, "user");
        CHECK_INT(outcome.state, STATE_COMPLETED);
        stage_text(&stage, outcome.operation, "/artifacts/0/artifactRef", text, sizeof(text));
        CHECK_TEXT(text, urn);
        stage_text(&stage, urn, "/profileKind", text, sizeof(text));
        CHECK_TEXT(text, profile_kinds[i].name);
    }
    CHECK_INT(stage_count(&stage, "AgentMachineProfile"), PROFILE_KIND_COUNT);
    CHECK_INT(stage_count(&stage, "NetworkAccessProfile"), PROFILE_KIND_COUNT);
    end(&stage);
}

TEST(a_preset_is_an_entry_that_can_be_left_out)
{
    struct stage stage;
    char text[PLANE_URN_MAX];
    static const char network[] = "urn:srcos:network-access-profile:mine";
    if (!stage_begin(&stage))
        return;
    CHECK_INT(
        create(&stage, "personal", "urn:srcos:agent-machine-profile:mine", "\"npm\"", NULL, "user")
            .state,
        STATE_COMPLETED);
    stage_text(&stage, network, "/profiles/0/profileId", text, sizeof(text));
    CHECK_TEXT(text, "npm");
    stage_text(&stage, network, "/profiles/1/profileId", text, sizeof(text));
    CHECK_TEXT(text, "");
    CHECK_INT(
        create(&stage, "personal", "urn:srcos:agent-machine-profile:bare", "", NULL, "user").state,
        STATE_COMPLETED);
    stage_text(&stage, "urn:srcos:network-access-profile:bare", "/profiles/0/profileClass", text,
               sizeof(text));
    CHECK_TEXT(text, "offline");
    end(&stage);
}

TEST(a_profile_is_written_once)
{
    static const char urn[] = "urn:srcos:agent-machine-profile:mine";
    struct stage stage;
    if (!stage_begin(&stage))
        return;
    CHECK_INT(create(&stage, "personal", urn, "\"npm\"", NULL, "user").state, STATE_COMPLETED);
    CHECK_INT(create(&stage, "personal", urn, "\"npm\"", NULL, "user").state, STATE_COMPLETED);
    CHECK_INT(create(&stage, "airgapped-local-only", urn, "", NULL, "user").failure.code,
              ERR_CONFLICT);
    CHECK_INT(create(&stage, "personal", urn, "\"pip\"", NULL, "user").failure.code, ERR_CONFLICT);
    CHECK_INT(stage_count(&stage, "AgentMachineProfile"), 1);
    CHECK_INT(stage_count(&stage, "NetworkAccessProfile"), 1);
    end(&stage);
}

TEST(what_is_no_profile_is_a_typed_failure_and_leaves_nothing)
{
    static const char urn[] = "urn:srcos:agent-machine-profile:mine";
    struct stage stage;
    if (!stage_begin(&stage))
        return;
    CHECK_INT(create(&stage, "personal", urn, "", NONE_SUCH, "user").failure.code, ERR_DOCUMENT);
    CHECK_INT(create(&stage, "personal", urn, "\"gems\"", NULL, "user").failure.code,
              ERR_NOT_FOUND);
    CHECK_INT(create(&stage, "personal", urn, "", NULL, "enterprise").failure.code,
              ERR_UNSUPPORTED);
    CHECK_INT(create(&stage, "personal", "urn:srcos:workspace:mine", "", NULL, "user").failure.code,
              ERR_DOCUMENT); /* no name of a profile */
    CHECK_INT(stage_count(&stage, "AgentMachineProfile"), 0);
    CHECK_INT(stage_count(&stage, "NetworkAccessProfile"), 0);
    end(&stage);
}
