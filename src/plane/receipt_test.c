/* receipt: what is sealed at the end of a run, and everything that must not pass for it. */
#include "plane/plane_test.h"
#include "plane/receipt.h"

#define ZEROS "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define ONES  "sha256:1111111111111111111111111111111111111111111111111111111111111111"

/* --- a run --------------------------------------------------------------------------------- */

static void name(const struct work *work, const char *type, char ret[PLANE_URN_MAX])
{
    urn_make(type, urn_local(work_operation(work)), ret);
}

static int prepare(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    char id[PLANE_URN_MAX], json[2048];
    (void)context, (void)ret;
    name(work, "agent-machine-fingerprint", id);
    snprintf(json, sizeof(json),
             "{\"id\":\"%s\",\"profileRef\":\"" TEST_PROFILE "\",\"profileDigest\":\"" ZEROS "\","
             "\"program\":{\"version\":\"0\"},\"policy\":{\"digest\":\"" ZEROS
             "\",\"layers\":[]},\"probes\":[{\"probe\":\"a\",\"outcome\":"
             "\"contained\"},{\"probe\":\"b\",\"outcome\":\"skipped\",\"detail\":\"c\"}]}",
             id);
    return effect_add(work, "AgentMachineFingerprint", str_from(id), str_from(json), err);
}

static void write_execution(const struct work *work, char *ret, size_t size)
{
    char id[PLANE_URN_MAX], fingerprint[PLANE_URN_MAX];
    name(work, "local-agent-execution", id);
    name(work, "agent-machine-fingerprint", fingerprint);
    snprintf(
        ret, size,
        "{\"id\":\"%s\",\"operationRef\":\"%.*s\",\"subjectRef\":\"%.*s\","
        "\"delegationRef\":\"%.*s\",\"fingerprintRef\":\"%s\",\"isolationTier\":\"namespaces\","
        "\"planDigest\":\"" ZEROS "\",\"policyDigest\":\"" ZEROS "\","
        "\"startedAt\":\"2026-11-20T09:00:00Z\",\"endedAt\":\"2026-11-20T09:00:01Z\","
        "\"exit\":{\"reason\":\"exited\",\"status\":0},\"usage\":{\"cpuSeconds\":1},"
        "\"changeSet\":{\"changeSetRef\":\"urn:srcos:change-set:x\",\"digest\":\"" ZEROS
        "\",\"added\":1}}",
        id, STR_ARG(work_operation(work)), STR_ARG(work_text(work, WORK_OPERATION, "subjectRef")),
        STR_ARG(work_text(work, WORK_OPERATION, "delegationRef")), fingerprint);
}

static int start(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct stage *stage = context;
    char id[PLANE_URN_MAX], json[4096], path[128];
    name(work, "local-agent-execution", id);
    ret->end = STATE_COMPLETED;
    snprintf(path, sizeof(path), "%s/" KEY_FILE, stage->config);
    if (stage->commands > 1) /* the second run loses the key */
        CHECK_INT(unlink(path), 0);
    write_execution(work, json, sizeof(json));
    int r = effect_add(work, "LocalAgentExecution", str_from(id), str_from(json), err);
    return r < 0 ? r : receipt_add(work, str_from(json), err);
}

struct scene {
    struct stage stage;
    struct sign_key *key;
    struct sign_public public;
    struct buf envelope, statement;
    char id[PLANE_URN_MAX], execution[PLANE_URN_MAX], fingerprint[PLANE_URN_MAX];
    struct outcome outcome;
};

static struct outcome run(struct stage *stage)
{
    struct buf command = BUF_INIT;
    command_make(stage, &command, "agent_machine.execution.start", stage->user, START_PARAMETERS,
                 "");
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    return outcome;
}

static bool begin(struct scene *scene)
{
    *scene = (struct scene){ .envelope = BUF_INIT, .statement = BUF_INIT };
    int64_t revision;
    if (!stage_begin(&scene->stage))
        return false;
    plane_close(scene->stage.plane);
    scene->stage.options.execution_prepare = prepare;
    scene->stage.options.execution_start = start;
    scene->stage.options.effect_context = &scene->stage;
    if (!stage_open(&scene->stage))
        return false;
    CHECK_INT(key_open_user(scene->stage.config, &scene->key, NULL), 0);
    sign_key_public(scene->key, &scene->public);
    scene->outcome = run(&scene->stage);
    CHECK_INT(scene->outcome.state, STATE_COMPLETED);
    struct str local = urn_local(str_from(scene->outcome.operation));
    urn_make(RECEIPT_SLUG, local, scene->id);
    urn_make("local-agent-execution", local, scene->execution);
    urn_make("agent-machine-fingerprint", local, scene->fingerprint);
    CHECK_INT(ledger_get_document(plane_ledger(scene->stage.plane), str_from(scene->id),
                                  &scene->envelope, &revision, NULL),
              0);
    CHECK_INT(dsse_peek(buf_str(&scene->envelope), &scene->statement, NULL), 0);
    return scene->statement.len > 0;
}

static void end(struct scene *scene)
{
    sign_key_free(scene->key);
    buf_release(&scene->envelope);
    buf_release(&scene->statement);
    stage_end(&scene->stage);
}

/* --- helpers ------------------------------------------------------------------------------- */

/* Every occurrence of a text in another one is replaced; there must be one. */
static void replace(const struct buf *in, const char *from, const char *to, struct buf *ret)
{
    struct str rest = buf_str(in);
    size_t count = 0;
    buf_reset(ret);
    for (;; count++) {
        const char *hit = memmem(rest.ptr, rest.len, from, strlen(from));
        if (!hit)
            break;
        buf_add(ret, rest.ptr, (size_t)(hit - rest.ptr));
        buf_add_text(ret, to);
        rest = str_from_offset(rest, (size_t)(hit - rest.ptr) + strlen(from));
    }
    buf_add_str(ret, rest);
    if (!count)
        test_fail(__FILE__, __LINE__, "nothing to replace: %s", from);
}

/* The statement with a change, signed anew by who has the key. */
static void reseal(const struct scene *scene, const char *from, const char *to, struct buf *ret)
{
    struct buf changed = BUF_INIT;
    replace(&scene->statement, from, to, &changed);
    buf_reset(ret);
    CHECK_INT(dsse_seal(scene->key, STR(RECEIPT_PAYLOAD_TYPE), buf_str(&changed), ret, NULL), 0);
    buf_release(&changed);
}

/* A text of the statement, by its pointer. */
static void text_at(const struct scene *scene, const char *pointer, char *ret, size_t size)
{
    yyjson_doc *doc = NULL;
    CHECK_INT(json_read(buf_str(&scene->statement), &json_limits_default, &doc, NULL), 0);
    snprintf(ret, size, "%.*s", STR_ARG(text_of(at(yyjson_doc_get_root(doc), pointer))));
    yyjson_doc_free(doc);
}

/* It fails in that check, for that reason, and nothing behind it was looked at. */
static void check_fails(struct str envelope, const struct sign_public *key,
                        enum receipt_check check, enum err_code code, const char *words)
{
    struct receipt receipt;
    struct err err = { 0 };
    CHECK(receipt_verify(envelope, key, &receipt, &err) < 0);
    CHECK_INT(err.code, code);
    if (!strstr(err.cause, words))
        test_fail(__FILE__, __LINE__, "%s: expected %s", err.cause, words);
    for (size_t i = 0; i < RECEIPT_CHECK_COUNT; i++)
        CHECK_INT(receipt.outcomes[i], i < (size_t)check    ? RECEIPT_HOLDS
                                       : i == (size_t)check ? RECEIPT_FAILS
                                                            : RECEIPT_NOT_CHECKED);
    receipt_release(&receipt);
}

/* The key alone is content with it, its ledger is not. */
static void check_ledger_fails(const struct scene *scene, struct str envelope,
                               enum receipt_check check, const char *words)
{
    struct receipt receipt;
    struct err err = { 0 };
    CHECK_INT(receipt_verify(envelope, &scene->public, &receipt, &err), 0);
    CHECK(receipt_compare_ledger(&receipt, plane_ledger(scene->stage.plane), &err) < 0);
    CHECK_INT(err.code, ERR_DAMAGED);
    CHECK_INT(receipt.outcomes[check], RECEIPT_FAILS);
    if (!strstr(err.cause, words))
        test_fail(__FILE__, __LINE__, "%s: expected %s", err.cause, words);
    receipt_release(&receipt);
}

/* --- tests --------------------------------------------------------------------------------- */

TEST(a_run_leaves_a_receipt_that_holds)
{
    struct scene scene;
    struct receipt receipt;
    struct err err = { 0 };
    char ref[PLANE_URN_MAX];
    if (!begin(&scene))
        return;
    CHECK_INT(receipt_verify(buf_str(&scene.envelope), &scene.public, &receipt, &err), 0);
    CHECK_INT(receipt_is_of(&receipt, plane_ledger(scene.stage.plane), &err), 1);
    CHECK_INT(receipt.outcomes[RECEIPT_LEDGER], RECEIPT_NOT_CHECKED);
    CHECK_INT(receipt_compare_ledger(&receipt, plane_ledger(scene.stage.plane), &err), 0);
    for (size_t i = 0; i < RECEIPT_CHECK_COUNT; i++)
        CHECK_INT(receipt.outcomes[i], RECEIPT_HOLDS);
    CHECK_INT(receipt.documents, (1 << RECEIPT_BOUND_COUNT) - 1);
    const yyjson_val *root = yyjson_doc_get_root(receipt.doc);
    CHECK_INT(yyjson_get_uint(at(root, "/predicate/probes/contained")), 1);
    CHECK_INT(yyjson_get_uint(at(root, "/predicate/probes/skipped")), 1);
    CHECK(text_is(at(root, "/subject/1/name"), "urn:srcos:change-set:x"));
    stage_text(&scene.stage, scene.outcome.operation, "/receiptRef", ref, sizeof(ref));
    CHECK_TEXT(ref, scene.id);
    receipt_release(&receipt);
    end(&scene);
}

TEST(what_the_key_has_not_signed_is_denied)
{
    struct scene scene;
    struct sign_key *other_key;
    struct sign_public other;
    struct buf changed = BUF_INIT;
    if (!begin(&scene))
        return;
    CHECK_INT(sign_key_generate(&other_key, NULL), 0);
    sign_key_public(other_key, &other);
    check_fails(buf_str(&scene.envelope), &other, RECEIPT_SIGNED, ERR_DENIED, "no signature of");
    replace(&scene.envelope, "\"payload\":\"eyJf", "\"payload\":\"eyJg", &changed);
    check_fails(buf_str(&changed), &scene.public, RECEIPT_SIGNED, ERR_DENIED, "no signature of");
    replace(&scene.envelope, "application/vnd.in-toto+json", "application/vnd.in-toto+jsom",
            &changed);
    check_fails(buf_str(&changed), &scene.public, RECEIPT_SIGNED, ERR_DENIED, "is expected");
    char *sig = memmem(scene.envelope.data, scene.envelope.len, "\"sig\":\"", 7);
    CHECK(sig != NULL);
    if (sig) {
        sig[7] = sig[7] == 'A' ? 'B' : 'A';
        check_fails(buf_str(&scene.envelope), &scene.public, RECEIPT_SIGNED, ERR_DENIED,
                    "no signature of");
    }
    check_fails(STR("{}"), &scene.public, RECEIPT_SIGNED, ERR_DOCUMENT, "no DSSE envelope");
    check_fails(STR("what"), &scene.public, RECEIPT_SIGNED, ERR_SYNTAX, "");
    CHECK_INT(buf_add(&scene.statement, "x", 1), 0);
    buf_reset(&changed);
    CHECK_INT(
        dsse_seal(other_key, STR(RECEIPT_PAYLOAD_TYPE), buf_str(&scene.statement), &changed, NULL),
        0);
    check_fails(buf_str(&changed), &scene.public, RECEIPT_SIGNED, ERR_DENIED, "no signature of");
    sign_key_free(other_key);
    buf_release(&changed);
    end(&scene);
}

TEST(a_statement_that_is_none_or_contradicts_itself_is_found_behind_a_good_signature)
{
    static const struct {
        const char *from, *to, *words;
        enum receipt_check check;
        enum err_code code;
    } cases[] = {
        { "in-toto.io/Statement/v1", "in-toto.io/Statement/v2", "/_type", RECEIPT_FORM,
          ERR_DOCUMENT },
        { "run-receipt/v1", "run-receipt/v2", "/predicateType", RECEIPT_FORM, ERR_DOCUMENT },
        { "\"subject\":[", "\"subjects\":[", "/subject", RECEIPT_FORM, ERR_DOCUMENT },
        { "\"planDigest\":\"sha256:0", "\"planDigest\":\"sha256:G", "/predicate/planDigest",
          RECEIPT_FORM, ERR_DOCUMENT },
        { "\"startedAt\":\"2026", "\"startedAt\":\"X026", "/predicate/startedAt", RECEIPT_FORM,
          ERR_DOCUMENT },
        { "\"contained\":1", "\"contained\":-1", "/predicate/probes/contained", RECEIPT_FORM,
          ERR_DOCUMENT },
        { "\"checkpoint\":", "\"checkpoints\":", "/predicate/checkpoint", RECEIPT_FORM,
          ERR_DOCUMENT },
        { "\"changeSet\":{", "\"changeset\":{", "/subject", RECEIPT_DIGESTS, ERR_DAMAGED },
        { "\"digest\":\"" ZEROS "\",\"added\"", "\"digest\":\"" ONES "\",\"added\"", "/subject/1",
          RECEIPT_DIGESTS, ERR_DAMAGED },
        { "\"changeSetRef\":\"urn:srcos:change-set:x", "\"changeSetRef\":\"urn:srcos:change-set:y",
          "/subject/1", RECEIPT_DIGESTS, ERR_DAMAGED },
        { "\"id\":\"urn:srcos:run-receipt:", "\"id\":\"urn:srcos:run-receipt:1",
          "/predicate/id: it is of another run", RECEIPT_DIGESTS, ERR_DAMAGED },
        { "\"ref\":\"urn:srcos:agent-machine-fingerprint:",
          "\"ref\":\"urn:srcos:agent-machine-fingerprint:1", "/predicate/fingerprint/ref",
          RECEIPT_DIGESTS, ERR_DAMAGED },
        { "\"layers\":[]", "\"layers\":[{\"layer\":\"loser\",\"digest\":\"" ZEROS "\"}]",
          "/predicate/policy/layers", RECEIPT_DIGESTS, ERR_DAMAGED },
        { "\"checkpoint\":\"agent", "\"checkpoint\":\"bgent", "changed after it was signed",
          RECEIPT_CHECKPOINT, ERR_DENIED },
        { "\"checkpoint\":\"agent-machine", "\"checkpoint\":\"\\t", "no signed note",
          RECEIPT_CHECKPOINT, ERR_SYNTAX },
    };
    struct scene scene;
    struct buf changed = BUF_INIT;
    char execution[DIGEST_TEXT_SIZE], fingerprint[DIGEST_TEXT_SIZE];
    if (!begin(&scene))
        return;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        reseal(&scene, cases[i].from, cases[i].to, &changed);
        check_fails(buf_str(&changed), &scene.public, cases[i].check, cases[i].code,
                    cases[i].words);
    }
    text_at(&scene, "/predicate/execution/digest", execution, sizeof(execution));
    text_at(&scene, "/predicate/fingerprint/digest", fingerprint, sizeof(fingerprint));
    reseal(&scene, execution, fingerprint, &changed);
    check_fails(buf_str(&changed), &scene.public, RECEIPT_DIGESTS, ERR_DAMAGED, "/subject/0");
    buf_release(&changed);
    end(&scene);
}

TEST(a_checkpoint_of_another_key_is_denied)
{
    struct scene scene;
    struct sign_key *other_key;
    struct buf note = BUF_INIT, changed = BUF_INIT, own = BUF_INIT, others = BUF_INIT;
    char text[1024];
    if (!begin(&scene))
        return;
    CHECK_INT(sign_key_generate(&other_key, NULL), 0);
    CHECK_INT(proof_checkpoint(plane_ledger(scene.stage.plane), other_key, &note, NULL), 0);
    text_at(&scene, "/predicate/checkpoint", text, sizeof(text));
    json_add_string(&own, str_from(text));
    json_add_string(&others, buf_str(&note));
    reseal(&scene, own.data, others.data, &changed);
    check_fails(buf_str(&changed), &scene.public, RECEIPT_CHECKPOINT, ERR_DENIED, "has not signed");
    sign_key_free(other_key);
    buf_release(&note);
    buf_release(&changed);
    buf_release(&own);
    buf_release(&others);
    end(&scene);
}

TEST(its_ledger_knows_what_the_key_alone_cannot)
{
    struct scene scene;
    struct buf note = BUF_INIT, changed = BUF_INIT, own = BUF_INIT, late = BUF_INIT;
    char text[1024], digest[DIGEST_TEXT_SIZE];
    if (!begin(&scene))
        return;
    struct ledger *ledger = plane_ledger(scene.stage.plane);
    text_at(&scene, "/predicate/fingerprint/digest", digest, sizeof(digest));
    reseal(&scene, digest, ONES, &changed);
    check_ledger_fails(&scene, buf_str(&changed), RECEIPT_DOCUMENTS, scene.fingerprint);
    text_at(&scene, "/predicate/delegation/digest", digest, sizeof(digest));
    reseal(&scene, digest, ONES, &changed);
    check_ledger_fails(&scene, buf_str(&changed), RECEIPT_DOCUMENTS, "urn:srcos:delegation:");
    reseal(&scene, "\"status\":0", "\"status\":1", &changed);
    check_ledger_fails(&scene, buf_str(&changed), RECEIPT_LEDGER, "another receipt");

    CHECK_INT(proof_checkpoint(ledger, scene.key, &note, NULL), 0);
    text_at(&scene, "/predicate/checkpoint", text, sizeof(text));
    json_add_string(&own, str_from(text));
    json_add_string(&late, buf_str(&note));
    reseal(&scene, own.data, late.data, &changed);
    check_ledger_fails(&scene, buf_str(&changed), RECEIPT_LEDGER, "no event behind");
    buf_release(&note);
    buf_release(&changed);
    buf_release(&own);
    buf_release(&late);
    end(&scene);
}

TEST(a_document_that_was_swapped_in_the_ledger_is_found)
{
    struct scene scene;
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    if (!begin(&scene))
        return;
    struct ledger *ledger = plane_ledger(scene.stage.plane);
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(ledger_put_document(batch, STR("LocalAgentExecution"), str_from(scene.execution),
                                  STR(""), STR("{\"exit\":{}}"), LEDGER_ANY, NULL),
              0);
    CHECK_INT(ledger_commit(ledger, batch, &position, NULL), 0);
    check_ledger_fails(&scene, buf_str(&scene.envelope), RECEIPT_DOCUMENTS, scene.execution);
    ledger_batch_free(batch);
    end(&scene);
}

TEST(documents_are_held_against_it_without_a_ledger)
{
    struct scene scene;
    struct receipt receipt;
    struct buf json = BUF_INIT, changed = BUF_INIT;
    struct err err = { 0 };
    int64_t revision;
    if (!begin(&scene))
        return;
    CHECK_INT(receipt_verify(buf_str(&scene.envelope), &scene.public, &receipt, &err), 0);
    CHECK_INT(ledger_get_document(plane_ledger(scene.stage.plane), str_from(scene.execution), &json,
                                  &revision, NULL),
              0);
    CHECK_INT(receipt_compare_document(&receipt, buf_str(&json), &err), 0);
    CHECK_INT(receipt.outcomes[RECEIPT_DOCUMENTS], RECEIPT_HOLDS);
    replace(&json, "\"status\":0", "\"status\":1", &changed);
    CHECK_INT(receipt_compare_document(&receipt, buf_str(&changed), &err), -EBADF);
    CHECK_INT(err.code, ERR_DAMAGED);
    CHECK_INT(receipt.outcomes[RECEIPT_DOCUMENTS], RECEIPT_FAILS);
    CHECK_INT(receipt_compare_document(&receipt, STR("{\"id\":\"urn:srcos:x:y\"}"), &err), -ENOENT);
    CHECK_INT(receipt_compare_document(&receipt, STR("[]"), &err), -ENOENT);
    buf_release(&json);
    buf_release(&changed);
    receipt_release(&receipt);
    end(&scene);
}

TEST(another_ledger_is_not_its_own)
{
    struct scene scene, other;
    struct receipt receipt;
    struct err err = { 0 };
    if (!begin(&scene) || !begin(&other))
        return;
    CHECK_INT(receipt_verify(buf_str(&scene.envelope), &scene.public, &receipt, &err), 0);
    CHECK_INT(receipt_is_of(&receipt, plane_ledger(other.stage.plane), &err), 0);
    receipt_release(&receipt);
    end(&scene);
    end(&other);
}

TEST(a_run_whose_receipt_cannot_be_signed_fails_and_is_recorded)
{
    struct scene scene;
    char message[512];
    if (!begin(&scene))
        return;
    struct outcome outcome = run(&scene.stage);
    CHECK_INT(outcome.state, STATE_FAILED);
    stage_text(&scene.stage, outcome.operation, "/failure/message", message, sizeof(message));
    CHECK(strstr(message, KEY_FILE) != NULL);
    CHECK_INT(stage_count(&scene.stage, "LocalAgentExecution"), 2);
    CHECK_INT(stage_count(&scene.stage, RECEIPT_TYPE), 1);
    end(&scene);
}
