/* record: an operation with all its documents, exported, verified, and everything that must not
 * pass for it. */
#include "plane/plane_test.h"
#include "plane/record_export.h"

#define SHELL "urn:srcos:agent-tool-surface:local-shell"
#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct scene {
    struct stage stage;
    struct sign_key *key, *other;
    struct sign_public public;
    struct buf export;
    struct outcome outcome;
    struct operation_record record;
};

static struct outcome grant(struct stage *stage)
{
    struct buf command = BUF_INIT;
    char parameters[1024], until[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms() + 3600000, until);
    snprintf(parameters, sizeof(parameters),
             "{\"toolGrantApply\":{\"granteeRef\":\"" TEST_AGENT
             "\",\"expiresAt\":\"%s\",\"tools\":"
             "[{\"toolRef\":\"" SHELL "\",\"pin\":{\"kind\":\"executable\",\"digest\":\"" EMPTY
             "\"}}]}}",
             until);
    command_make(stage, &command, "agent_machine.tool_grant.apply", stage->user, parameters,
                 ",\"idempotencyKey\":\"one\"");
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    return outcome;
}

static bool begin(struct scene *scene)
{
    struct err err = { 0 };
    *scene = (struct scene){ .export = BUF_INIT };
    if (!stage_begin(&scene->stage))
        return false;
    scene->outcome = grant(&scene->stage);
    CHECK_INT(scene->outcome.state, STATE_COMPLETED);
    CHECK_INT(key_open_user(scene->stage.config, &scene->key, &err), 0);
    CHECK_INT(sign_key_generate(&scene->other, &err), 0);
    sign_key_public(scene->key, &scene->public);
    struct ledger *ledger = plane_ledger(scene->stage.plane);
    CHECK_INT(record_add(&scene->record, ledger, str_from(scene->outcome.operation), &err), 0);
    CHECK_INT(record_export(&scene->record, ledger, scene->key, &scene->export, &err), 0);
    return scene->export.len > 0;
}

static void end(struct scene *scene)
{
    record_release(&scene->record);
    buf_release(&scene->export);
    sign_key_free(scene->key);
    sign_key_free(scene->other);
    stage_end(&scene->stage);
}

/* The check that fails; RECORD_CHECK_COUNT: all hold. */
static size_t failing(struct scene *scene, struct str text, struct err *err)
{
    struct operation_record record = { 0 };
    struct record_verified verified;
    int r = record_verify(text, &scene->public, &record, &verified, err);
    size_t check = 0;
    while (check < RECORD_CHECK_COUNT && verified.outcomes[check] == RECORD_HOLDS)
        check++;
    CHECK_INT(r == 0, check == RECORD_CHECK_COUNT);
    CHECK(r == 0 || err->cause[0]);
    for (size_t i = check + 1; i < RECORD_CHECK_COUNT; i++)
        CHECK_INT(verified.outcomes[i], RECORD_NOT_CHECKED);
    record_release(&record);
    return check;
}

/* --- lies ---------------------------------------------------------------------------------- */

struct lie {
    const char *type; /* of the document; NULL: the pointer is into the export */
    const char *pointer, *value;
    enum record_check found_by;
};

/* The export with one value otherwise, digests made anew, and sealed again. */
static void tell_lie(struct scene *scene, const struct lie *lie, struct buf *ret)
{
    yyjson_doc *doc = NULL, *value = NULL;
    CHECK_INT(json_read(buf_str(&scene->export), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(json_read(str_from(lie->value), &json_limits_default, &value, NULL), 0);
    yyjson_mut_doc *changed = yyjson_doc_mut_copy(doc, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(changed), *entry, *target = root;
    yyjson_mut_val *entries = yyjson_mut_obj_get(root, "documents");
    size_t index, count;
    yyjson_mut_arr_foreach(entries, index, count, entry)
    {
        if (lie->type &&
            yyjson_mut_equals_str(yyjson_mut_obj_get(entry, "documentType"), lie->type))
            target = yyjson_mut_obj_get(entry, "document");
    }
    CHECK(yyjson_mut_ptr_setx(target, lie->pointer, strlen(lie->pointer),
                              yyjson_val_mut_copy(changed, yyjson_doc_get_root(value)), changed,
                              true, NULL, NULL));
    yyjson_mut_obj_remove_key(root, "seal");
    yyjson_mut_arr_foreach(entries, index, count, entry)
    {
        yyjson_mut_val *document = yyjson_mut_obj_get(entry, "document");
        char digest[DIGEST_TEXT_SIZE];
        if (!document)
            continue;
        yyjson_doc *copy = yyjson_mut_val_imut_copy(document, NULL);
        CHECK_INT(jcs_digest(yyjson_doc_get_root(copy), digest, NULL), 0);
        yyjson_mut_obj_put(entry, yyjson_mut_str(changed, "digest"),
                           yyjson_mut_strcpy(changed, digest));
        yyjson_doc_free(copy);
    }
    size_t len;
    char *text = yyjson_mut_write(changed, 0, &len);
    buf_reset(ret);
    buf_add(ret, text, len - 1);
    CHECK_INT(record_seal(ret, scene->key, NULL), 0);
    free(text);
    yyjson_mut_doc_free(changed);
    yyjson_doc_free(value);
    yyjson_doc_free(doc);
}

static const struct lie lies[] = {
    { "WorkspaceOperation", "/state", "\"canceled\"", RECORD_DOCUMENTS },
    { "OperationTask", "/state", "\"canceled\"", RECORD_DOCUMENTS },
    { "OperationTask", "/id", "\"urn:srcos:operation-task:another\"", RECORD_FORM },
    { "OperationTask", "/unknown", "1", RECORD_FORM },
    { "ToolGrantRecord", "/subjectRef", "\"urn:srcos:agent:another\"", RECORD_DOCUMENTS },
    { "PolicyDecision", "/subjectRef", "\"urn:srcos:agent:another\"", RECORD_DOCUMENTS },
    { "OperationCommand", "/surface", "\"api\"", RECORD_DOCUMENTS },
    { NULL, "/events/2/event/occurredAt", "\"2026-01-01T00:00:00Z\"", RECORD_EVENTS },
    { NULL, "/events/2/event/eventType", "\"begin\"", RECORD_FORM },
    { NULL, "/events/2/path", "[]", RECORD_EVENTS },
    { NULL, "/operationRefs/0", "\"urn:srcos:workspace-operation:another\"", RECORD_DOCUMENTS },
    { NULL, "/operationRefs", "[]", RECORD_FORM },
    { NULL, "/checkpoint", "\"agent-machine/ledger/x\\n3\\nAAAA\\n\\n\"", RECORD_CHECKPOINT },
    { NULL, "/documents", "[]", RECORD_FORM },
    { NULL, "/more", "1", RECORD_FORM },
};

TEST(an_export_holds_for_who_has_the_key)
{
    struct scene scene;
    struct err err = { 0 };
    if (begin(&scene)) {
        CHECK_INT(failing(&scene, buf_str(&scene.export), &err), RECORD_CHECK_COUNT);
        sign_key_public(scene.other, &scene.public);
        CHECK_INT(failing(&scene, buf_str(&scene.export), &err), RECORD_SEAL);
        CHECK_INT(err.code, ERR_DENIED);
    }
    end(&scene);
}

TEST(what_is_sealed_anew_is_still_held_against_the_ledger)
{
    struct scene scene;
    struct buf text = BUF_INIT;
    if (begin(&scene)) {
        for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
            struct err err = { 0 };
            tell_lie(&scene, &lies[i], &text);
            size_t check = failing(&scene, buf_str(&text), &err);
            if (check != lies[i].found_by)
                test_fail(__FILE__, __LINE__, "%s %s: found by %zu (%s)",
                          lies[i].type ? lies[i].type : "", lies[i].pointer, check, err.cause);
        }
    }
    buf_release(&text);
    end(&scene);
}

/* Every byte counts: none can be another one. */
TEST(a_changed_byte_is_found)
{
    struct scene scene;
    struct err err = { 0 };
    if (begin(&scene)) {
        for (size_t i = 0; i < scene.export.len; i += 61) {
            char *byte = &scene.export.data[i], was = *byte;
            *byte = was == 'a' ? 'b' : 'a';
            CHECK(failing(&scene, buf_str(&scene.export), &err) < RECORD_CHECK_COUNT);
            *byte = was;
        }
        for (size_t len = 0; len < scene.export.len; len += scene.export.len / 9)
            CHECK_INT(failing(&scene, str_make(scene.export.data, len), &err), RECORD_FORM);
        CHECK_INT(failing(&scene, buf_str(&scene.export), &err), RECORD_CHECK_COUNT);
    }
    end(&scene);
}

TEST(a_record_has_what_the_operation_rests_on)
{
    struct scene scene;
    struct err err = { 0 };
    if (begin(&scene)) {
        const struct operation_record *record = &scene.record;
        const yyjson_val *operation = record_find(record, record->operations[0])->root;
        CHECK(record_find(record, text_of(member(operation, "delegationRef"))));
        CHECK(record_find(record, text_of(member(operation, "budgetRef"))));
        CHECK(record_of(record, "ToolGrantRecord", record->operations[0]));
        CHECK(!record_of(record, "LocalAgentExecution", record->operations[0]));
        for (size_t i = 1; i < record->event_count; i++)
            CHECK(record->events[i].sequence > record->events[i - 1].sequence);
        struct operation_record other = { 0 };
        CHECK_INT(record_add(&other, plane_ledger(scene.stage.plane),
                             STR("urn:srcos:workspace-operation:none"), &err),
                  -ENOENT);
        CHECK_INT(err.code, ERR_NOT_FOUND);
        record_release(&other);
    }
    end(&scene);
}
