#include "authority/delegation.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/test.h"
#include "contract/jcs.h"
#include "contract/rules.h"

#define OUTER    "urn:srcos:delegation:ada-to-codex"
#define INNER    "urn:srcos:delegation:codex-to-claude-code"
#define NOON     "2026-11-20T12:00:00Z" /* within both */
#define KEPT_MAX 16

/* --- a small world: three keys, and what is kept under which name ---------------------------- */

struct change {
    const char *pointer, *value; /* JSON; NULL removes */
};

struct world {
    struct sign_key *ada, *codex, *claude;
    struct {
        char urn[128];
        struct buf envelope;
        char digest[DIGEST_TEXT_SIZE];
        bool revoked;
    } kept[KEPT_MAX];
    size_t count;
    int fetch_error, revoked_error;
};

static void world_init(struct world *world)
{
    *world = (struct world){ 0 };
    CHECK_INT(sign_key_generate(&world->ada, NULL), 0);
    CHECK_INT(sign_key_generate(&world->codex, NULL), 0);
    CHECK_INT(sign_key_generate(&world->claude, NULL), 0);
}

static void world_release(struct world *world)
{
    sign_key_free(world->ada);
    sign_key_free(world->codex);
    sign_key_free(world->claude);
    for (size_t i = 0; i < world->count; i++)
        buf_release(&world->kept[i].envelope);
}

static int find(const struct world *world, struct str urn)
{
    for (size_t i = 0; i < world->count; i++)
        if (str_equal(str_from(world->kept[i].urn), urn))
            return (int)i;
    return -1;
}

static int fetch(void *context, struct str urn, struct buf *ret, struct err *err)
{
    struct world *world = context;
    int i = find(world, urn);
    if (world->fetch_error)
        return err_set(err, ERR_IO, "fetch", "the disk is gone");
    return i < 0 ? -ENOENT : buf_add_str(ret, buf_str(&world->kept[i].envelope));
}

static int is_revoked(void *context, struct str urn, struct err *err)
{
    struct world *world = context;
    int i = find(world, urn);
    if (world->revoked_error)
        return err_set(err, ERR_DAMAGED, "look", "the ledger is damaged");
    return i >= 0 && world->kept[i].revoked;
}

/* An example with changes; the caller frees the text. */
static char *changed_example(const char *example, const struct change *changes, size_t count)
{
    char path[256];
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    snprintf(path, sizeof(path), "examples/delegation.%s.example.json", example);
    CHECK_INT(file_read(path, &text, NULL), 0);
    CHECK_INT(json_read(buf_str(&text), &json_limits_default, &doc, NULL), 0);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    for (size_t i = 0; i < count; i++) {
        yyjson_doc *value = NULL;
        if (!changes[i].value) {
            yyjson_mut_doc_ptr_remove(copy, changes[i].pointer);
            continue;
        }
        CHECK_INT(json_read(str_from(changes[i].value), &json_limits_default, &value, NULL), 0);
        yyjson_mut_doc_ptr_set(copy, changes[i].pointer,
                               yyjson_val_mut_copy(copy, yyjson_doc_get_root(value)));
        yyjson_doc_free(value);
    }
    char *json = yyjson_mut_write(copy, 0, NULL);
    yyjson_mut_doc_free(copy);
    yyjson_doc_free(doc);
    buf_release(&text);
    return json;
}

/* Signs a document and keeps it under a name (NULL: its own). */
static void keep(struct world *world, const struct sign_key *key, const char *json,
                 const char *name)
{
    struct err err = { 0 };
    yyjson_doc *doc = NULL;
    size_t at_index = world->count++;
    world->kept[at_index].envelope = BUF_INIT;
    CHECK_INT(json_read(str_from(json), &json_limits_default, &doc, NULL), 0);
    const char *id = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "id"));
    snprintf(world->kept[at_index].urn, sizeof(world->kept[at_index].urn), "%s", name ? name : id);
    CHECK_INT(jcs_digest(yyjson_doc_get_root(doc), world->kept[at_index].digest, NULL), 0);
    if (delegation_seal(key, str_from(json), &world->kept[at_index].envelope, &err) < 0)
        test_fail(__FILE__, __LINE__, "not sealed: %s %s", err.where, err.cause);
    yyjson_doc_free(doc);
}

static void public_json(const struct sign_key *key, char ret[SIGN_PUBLIC_TEXT_MAX + 2])
{
    struct sign_public public;
    char text[SIGN_PUBLIC_TEXT_MAX];
    sign_key_public(key, &public);
    CHECK_INT(sign_public_text(&public, text), 0);
    snprintf(ret, SIGN_PUBLIC_TEXT_MAX + 2, "\"%s\"", text);
}

/* Ada's delegation to Codex, signed with a key, and with one more change. */
static void keep_outer(struct world *world, const struct sign_key *key, struct change change)
{
    char codex[SIGN_PUBLIC_TEXT_MAX + 2];
    public_json(world->codex, codex);
    const struct change changes[] = { { "/subjectPublicKey", codex }, change };
    char *json = changed_example("ada-to-codex", changes, change.pointer ? 2 : 1);
    keep(world, key, json, NULL);
    free(json);
}

/* What Codex passes on of it. */
static void keep_inner(struct world *world, const struct sign_key *key,
                       const struct change *changes, size_t count)
{
    struct change all[8] = { 0 };
    char digest[DIGEST_TEXT_SIZE + 2];
    int outer = find(world, STR(OUTER));
    snprintf(digest, sizeof(digest), "\"%s\"", outer < 0 ? "" : world->kept[outer].digest);
    all[0] = (struct change){ "/parent/digest", digest };
    for (size_t i = 0; i < count; i++)
        all[1 + i] = changes[i];
    char *json = changed_example("codex-to-claude-code", all, 1 + count);
    keep(world, key, json, NULL);
    free(json);
}

static int verify(struct world *world, const char *urn, const char *moment, struct delegation *ret,
                  struct err *err)
{
    struct delegation_source source = { .fetch = fetch, .revoked = is_revoked, .context = world };
    int64_t now_ms = 0;
    int i = find(world, str_from(urn));
    CHECK(i >= 0);
    CHECK(clock_parse(str_from(moment), &now_ms));
    sign_key_public(world->ada, &source.root);
    return delegation_verify(buf_str(&world->kept[i].envelope), &source, now_ms, ret, err);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* That a chain is refused: with which code, where, and with which words. */
static void check_refused(struct world *world, const char *urn, const char *moment,
                          enum err_code code, const char *where, const char *words)
{
    struct delegation untouched = { .depth = 77 };
    struct err err = { 0 };
    CHECK(verify(world, urn, moment, &untouched, &err) < 0);
    CHECK_INT(untouched.depth, 77);
    if (err.code != code || !has(err.where, where) || !has(err.cause, words))
        test_fail(__FILE__, __LINE__, "refused with %s at \"%s\": %s; expected %s at \"%s\": %s",
                  err_id(err.code), err.where, err.cause, err_id(code), where, words);
}

/* --- chains that hold ------------------------------------------------------------------------ */

TEST(a_chain_is_verified_up_to_the_users_key)
{
    struct world world;
    struct delegation delegation;
    struct err err = { 0 };
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ 0 });
    keep_inner(&world, world.codex, NULL, 0);
    int r = verify(&world, INNER, NOON, &delegation, &err);
    if (r < 0) {
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
    } else {
        CHECK_STR(delegation.id, STR(INNER));
        CHECK_STR(delegation.issuer, STR("urn:srcos:agent:codex"));
        CHECK_STR(delegation.subject, STR("urn:srcos:agent:claude-code"));
        CHECK_INT(delegation.operation_types, 1U << OPERATION_EXECUTION_START);
        CHECK_INT(delegation.ceiling.of[DIMENSION_TOKENS], 100000);
        CHECK_INT(delegation.ceiling.of[DIMENSION_CONNECTOR_CALLS], 0);
        CHECK_INT(delegation.depth, 0);
        CHECK_INT(delegation.expires_ms - delegation.not_before_ms, 2 * 3600 * 1000);
        CHECK_INT(delegation.chain_count, 2);
        CHECK_TEXT(delegation.chain[0], INNER);
        CHECK_TEXT(delegation.chain[1], OUTER);
        delegation_release(&delegation);
        CHECK(!delegation.doc);
    }
    world_release(&world);
}

TEST(a_beginning_has_a_minute_of_grace_and_an_end_has_none)
{
    struct world world;
    static const struct {
        const char *moment;
        bool holds;
    } cases[] = {
        { "2026-11-20T07:58:59.999Z", false }, { "2026-11-20T07:59:00Z", true },
        { "2026-11-20T08:00:00Z", true },      { "2026-11-20T19:59:59.999Z", true },
        { "2026-11-20T20:00:00Z", false },     { "2027-01-01T00:00:00Z", false },
    };
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ 0 });
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delegation delegation = { 0 };
        CHECK_INT(verify(&world, OUTER, cases[i].moment, &delegation, NULL) == 0, cases[i].holds);
        delegation_release(&delegation);
    }
    check_refused(&world, OUTER, "2026-11-20T07:00:00Z", ERR_DENIED, "link 1 of 1, " OUTER,
                  "set this host's clock");
    check_refused(&world, OUTER, "2026-11-20T20:00:00Z", ERR_DENIED, "/expiresAt",
                  "ask urn:srcos:user:ada for a new one");
    world_release(&world);
}

/* --- what is passed on is never more --------------------------------------------------------- */

TEST(every_respect_may_only_narrow)
{
    static const struct {
        struct change changes[3];
        const char *where;
    } cases[] = {
        { { { "/operationTypes/0", "\"agent_machine.container.run\"" } }, "/operationTypes/0" },
        { { { "/scope/workspaceRefs/0", "\"urn:srcos:workspace:x\"" } }, "/scope/workspaceRefs/0" },
        { { { "/scope/profileRefs/0", "\"urn:x:p\"" } }, "/scope/profileRefs/0" },
        { { { "/scope/toolRefs/0", "\"urn:x:t\"" } }, "/scope/toolRefs/0" },
        { { { "/scope/modelProviderRefs/0", "\"urn:x:m\"" } }, "/scope/modelProviderRefs/0" },
        { { { "/scope/mounts/0/hostPath", "\"/home/ada/src\"" } }, "/scope/mounts/0" },
        { { { "/scope/mounts/0/hostPath", "\"/home/ada/src/compass2\"" } }, "/scope/mounts/0" },
        { { { "/scope/mounts/0/hostPath", "\"/home/ada/src/compass/../b\"" } }, "/scope/mounts/0" },
        { { { "/scope/mounts/0/hostPath", "\"/\"" } }, "/scope/mounts/0" },
        { { { "/scope/mounts/0/semantics", "\"read-write\"" } }, "/scope/mounts/0" },
        { { { "/scope/mounts/0/semantics", "\"cache\"" } }, "/scope/mounts/0" },
        { { { "/scope/networkAccessProfileRef", "\"urn:x:n\"" } },
          "/scope/networkAccessProfileRef" },
        { { { "/budgetCeiling/modelCalls", "501" } }, "/budgetCeiling/modelCalls" },
        { { { "/budgetCeiling/tokens", "2000001" } }, "/budgetCeiling/tokens" },
        { { { "/budgetCeiling/connectorCalls", "201" } }, "/budgetCeiling/connectorCalls" },
        { { { "/budgetCeiling/cpuSeconds", "14401" } }, "/budgetCeiling/cpuSeconds" },
        { { { "/budgetCeiling/gpuSeconds", "1" } }, "/budgetCeiling/gpuSeconds" },
        { { { "/budgetCeiling/localDiskBytes", "1e11" } }, "/budgetCeiling/localDiskBytes" },
        { { { "/budgetCeiling/sandboxMemoryBytes", "8589934593" } }, "/sandboxMemoryBytes" },
        { { { "/budgetCeiling/wallClockSeconds", "28801" } }, "/budgetCeiling/wallClockSeconds" },
        { { { "/budgetCeiling/agentConcurrency", "5" } }, "/budgetCeiling/agentConcurrency" },
        { { { "/notBefore", "\"2026-11-20T07:59:59.999Z\"" } }, "/notBefore" },
        { { { "/expiresAt", "\"2026-11-20T20:00:00.001Z\"" } }, "/expiresAt" },
        { { { "/issuerRef", "\"urn:srcos:agent:openclaw\"" } }, "/issuerRef" },
        { { { "/parent/digest",
              "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"" } },
          "/parent/digest" },
        { { { "/depth", "1" },
            { "/subjectPublicKey", "\"ed25519:cvnpuqbFKFnoqjQAoLwb1Fs1WgxJH7+eudgUtSHOoqk=\"" } },
          "/depth" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world world;
        size_t count = 0;
        while (count < 3 && cases[i].changes[count].pointer)
            count++;
        world_init(&world);
        keep_outer(&world, world.ada, (struct change){ 0 });
        keep_inner(&world, world.codex, cases[i].changes, count);
        check_refused(&world, INNER, NOON, ERR_DENIED, cases[i].where, "");
        check_refused(&world, INNER, NOON, ERR_DENIED, "link 2 of 2, " INNER, "");
        world_release(&world);
    }
}

TEST(what_lies_within_may_be_passed_on)
{
    static const struct change cases[] = {
        { "/scope/mounts/0/hostPath", "\"/home/ada/src/compass\"" },
        { "/scope/mounts/0/hostPath", "\"/home/ada/src/compass/\"" },
        { "/scope/mounts/0/semantics", "\"staged\"" },
        { "/scope/mounts/0",
          "{\"hostPath\":\"/home/ada/.cache/compass/a\",\"semantics\":\"cache\"}" },
        { "/scope/networkAccessProfileRef",
          "\"urn:srcos:network-access-profile:enterprise-and-user\"" },
        { "/scope/networkAccessProfileRef", "null" },
        { "/budgetCeiling/tokens", "2000000" },
        { "/expiresAt", "\"2026-11-20T20:00:00.000Z\"" },
        { "/notBefore", "\"2026-11-20T08:00:00Z\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world world;
        struct delegation delegation = { 0 };
        struct err err = { 0 };
        world_init(&world);
        keep_outer(&world, world.ada, (struct change){ 0 });
        keep_inner(&world, world.codex, &cases[i], 1);
        if (verify(&world, INNER, NOON, &delegation, &err) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
        delegation_release(&delegation);
        world_release(&world);
    }
}

/* --- whose signature ------------------------------------------------------------------------- */

TEST(each_link_is_signed_by_whom_the_one_above_names)
{
    struct world world;
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ 0 });
    keep_inner(&world, world.claude, NULL, 0);
    check_refused(&world, INNER, NOON, ERR_DENIED, "link 2 of 2, " INNER,
                  "only the subject of the delegation above can sign it");
    world_release(&world);

    world_init(&world); /* not even the user signs in a delegate's place */
    keep_outer(&world, world.ada, (struct change){ 0 });
    keep_inner(&world, world.ada, NULL, 0);
    check_refused(&world, INNER, NOON, ERR_DENIED, "link 2 of 2", "no signature of ed25519:");
    world_release(&world);

    world_init(&world);
    keep_outer(&world, world.codex, (struct change){ 0 });
    keep_inner(&world, world.codex, NULL, 0);
    check_refused(&world, INNER, NOON, ERR_DENIED, "link 1 of 2, " OUTER,
                  "only the user whose key is trusted here can sign it");
    world_release(&world);
}

TEST(a_holder_without_a_key_passes_nothing_on)
{
    struct world world;
    world_init(&world);
    char *outer = changed_example(
        "ada-to-codex", (struct change[]){ { "/depth", "0" }, { "/subjectPublicKey", NULL } }, 2);
    keep(&world, world.ada, outer, NULL);
    keep_inner(&world, world.codex, NULL, 0);
    check_refused(&world, INNER, NOON, ERR_DENIED, "link 2 of 2", "names no key of its subject");
    free(outer);
    world_release(&world);
}

TEST(a_changed_payload_is_noticed)
{
    struct world world;
    struct err err = { 0 };
    struct buf payload = BUF_INIT, envelope = BUF_INIT;
    struct delegation none = { 0 };
    struct delegation_source source = { .fetch = fetch, .revoked = is_revoked, .context = &world };
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ 0 });
    struct str whole = buf_str(&world.kept[0].envelope);
    CHECK_INT(dsse_peek(whole, &payload, NULL), 0);
    char *tokens = strstr(payload.data, "2000000");
    CHECK(tokens != NULL);
    if (tokens)
        tokens[0] = '9';
    buf_add_text(&envelope, "{\"payload\":\"");
    base64_add(&envelope, buf_str(&payload));
    const char *rest = strstr(whole.ptr, "\",\"payloadType\"");
    CHECK(rest != NULL);
    buf_add_text(&envelope, rest ? rest : "");
    int64_t now_ms = 0;
    CHECK(clock_parse(STR(NOON), &now_ms));
    sign_key_public(world.ada, &source.root);
    CHECK_INT(delegation_verify(buf_str(&envelope), &source, now_ms, &none, &err), -EACCES);
    CHECK(has(err.where, "link 1 of 1") && has(err.cause, "no signature"));
    buf_release(&payload);
    buf_release(&envelope);
    world_release(&world);
}

TEST(an_envelope_of_something_else_is_no_delegation)
{
    struct world world;
    world_init(&world);
    char *json = changed_example("ada-to-codex", NULL, 0);
    snprintf(world.kept[0].urn, sizeof(world.kept[0].urn), "%s", OUTER);
    world.kept[0].envelope = BUF_INIT;
    world.count = 1;
    CHECK_INT(dsse_seal(world.ada, STR("application/json"), str_from(json), &world.kept[0].envelope,
                        NULL),
              0);
    check_refused(&world, OUTER, NOON, ERR_DENIED, "link 1 of 1", DELEGATION_PAYLOAD_TYPE);
    buf_reset(&world.kept[0].envelope);
    CHECK_INT(dsse_seal(world.ada, STR(DELEGATION_PAYLOAD_TYPE), STR("{\"type\":\"Budget\"}"),
                        &world.kept[0].envelope, NULL),
              0);
    check_refused(&world, OUTER, NOON, ERR_DOCUMENT, "the delegation", "it is no Delegation");
    buf_reset(&world.kept[0].envelope);
    buf_add_text(&world.kept[0].envelope, "{\"payload\":5}");
    check_refused(&world, OUTER, NOON, ERR_DOCUMENT, "the delegation", "no DSSE envelope");
    buf_reset(&world.kept[0].envelope);
    buf_add_text(&world.kept[0].envelope, "{");
    check_refused(&world, OUTER, NOON, ERR_SYNTAX, "", "");
    free(json);
    world_release(&world);
}

/* --- the shape of the chain ------------------------------------------------------------------ */

TEST(a_revocation_anywhere_above_ends_all_below)
{
    struct world world;
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ 0 });
    keep_inner(&world, world.codex, NULL, 0);
    world.kept[0].revoked = true;
    check_refused(&world, INNER, NOON, ERR_DENIED, "link 1 of 2, " OUTER,
                  "it was revoked, and with it all that was passed on from it");
    world.kept[0].revoked = false;
    world.kept[1].revoked = true;
    check_refused(&world, INNER, NOON, ERR_DENIED, "link 2 of 2, " INNER,
                  "it was revoked; ask urn:srcos:agent:codex for a new one");
    world_release(&world);
}

TEST(what_cannot_be_looked_up_is_not_believed)
{
    struct world world;
    world_init(&world);
    keep_inner(&world, world.codex,
               (struct change[]){ { "/parent/digest", "\"sha256:1111111111111111111111111111111111"
                                                      "111111111111111111111111111111\"" } },
               1);
    check_refused(&world, INNER, NOON, ERR_DENIED, "/parent/delegationRef", "is not here");
    keep_outer(&world, world.ada, (struct change){ 0 });
    world.fetch_error = 1;
    check_refused(&world, INNER, NOON, ERR_IO, "", "the disk is gone");
    world.revoked_error = 1;
    check_refused(&world, OUTER, NOON, ERR_DAMAGED, "", "the ledger is damaged");
    world_release(&world);
}

TEST(a_parent_kept_under_another_name_is_refused)
{
    struct world world;
    world_init(&world);
    char *json = changed_example("ada-at-terminal", NULL, 0);
    keep(&world, world.ada, json, OUTER);
    keep_inner(&world, world.codex, NULL, 0);
    check_refused(&world, INNER, NOON, ERR_DENIED, "/parent/delegationRef",
                  "urn:srcos:delegation:ada-at-terminal is kept, which is another");
    free(json);
    world_release(&world);
}

TEST(chains_neither_loop_nor_go_on_for_ever)
{
    struct world world;
    char codex[SIGN_PUBLIC_TEXT_MAX + 2];
    world_init(&world);
    keep_outer(&world, world.ada,
               (struct change){ "/parent", "{\"delegationRef\":\"" INNER "\",\"digest\":\"sha256:"
                                           "11111111111111111111111111111111"
                                           "11111111111111111111111111111111\"}" });
    keep_inner(&world, world.codex, NULL, 0);
    check_refused(&world, INNER, NOON, ERR_DENIED, "/parent/delegationRef",
                  "stands further down in the same chain");
    world_release(&world);

    world_init(&world); /* as deep as can be, and one deeper */
    public_json(world.codex, codex);
    for (int i = 0; i < DELEGATION_DEPTH_MAX + 2; i++) {
        char id[64], parent[256], depth[8];
        snprintf(id, sizeof(id), "\"urn:srcos:delegation:l%d\"", i);
        snprintf(depth, sizeof(depth), "%d", i < 8 ? 8 - i : 0);
        snprintf(parent, sizeof(parent),
                 "{\"delegationRef\":\"urn:srcos:delegation:l%d\",\"digest\":\"%s\"}", i - 1,
                 i ? world.kept[i - 1].digest : "");
        const struct change changes[] = {
            { "/id", id },
            { "/depth", depth },
            { "/subjectPublicKey", codex },
            { "/subjectRef", "\"urn:srcos:agent:codex\"" },
            { "/issuerRef", "\"urn:srcos:agent:codex\"" },
            { "/parent", parent },
        };
        char *json = changed_example("ada-to-codex", changes, i ? 6 : 5);
        keep(&world, i ? world.codex : world.ada, json, NULL);
        free(json);
    }
    struct delegation delegation = { 0 };
    struct err err = { 0 };
    if (verify(&world, "urn:srcos:delegation:l8", NOON, &delegation, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
    CHECK_INT(delegation.chain_count, DELEGATION_DEPTH_MAX + 1);
    delegation_release(&delegation);
    check_refused(&world, "urn:srcos:delegation:l9", NOON, ERR_DENIED, "/parent/delegationRef",
                  "longer than 9 links");
    world_release(&world);
}

/* --- signing --------------------------------------------------------------------------------- */

TEST(what_is_no_delegation_is_not_signed)
{
    static const struct {
        struct change change;
        enum err_code code;
        const char *where;
    } cases[] = {
        { { "/operationTypes", "[]" }, ERR_DOCUMENT, "/operationTypes" },
        { { "/expiresAt", NULL }, ERR_DOCUMENT, "" },
        { { "/expiresAt", "\"2026-11-31T08:00:00Z\"" }, ERR_DOCUMENT, "/expiresAt" },
        { { "/expiresAt", "\"2026-11-20T08:00:00.000Z\"" }, ERR_DOCUMENT, "/expiresAt" },
        { { "/subjectPublicKey", NULL }, ERR_DOCUMENT, "" },
        { { "/secret", "1" }, ERR_DOCUMENT, "/secret" },
        { { "/type", "\"Budget\"" }, ERR_DOCUMENT, "/type" },
    };
    struct sign_key *key = NULL;
    CHECK_INT(sign_key_generate(&key, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf envelope = BUF_INIT;
        struct err err = { 0 };
        char *json = changed_example("ada-to-codex", &cases[i].change, 1);
        CHECK(delegation_seal(key, str_from(json), &envelope, &err) < 0);
        CHECK_INT(err.code, cases[i].code);
        if (!has(err.where, cases[i].where))
            test_fail(__FILE__, __LINE__, "refused at %s, expected %s", err.where, cases[i].where);
        CHECK_INT(envelope.len, 0);
        buf_release(&envelope);
        free(json);
    }
    char id[600], long_id[700];
    memset(id, 'x', 512 - strlen("urn:srcos:delegation:"));
    id[512 - strlen("urn:srcos:delegation:")] = '\0';
    snprintf(long_id, sizeof(long_id), "\"urn:srcos:delegation:%s\"", id);
    struct buf envelope = BUF_INIT;
    struct err err = { 0 };
    char *json = changed_example("ada-to-codex", &(struct change){ "/id", long_id }, 1);
    CHECK(delegation_seal(key, str_from(json), &envelope, &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    free(json);
    sign_key_free(key);
}

/* --- covering -------------------------------------------------------------------------------- */

#define ONE(text)                                                                                  \
    (const struct str[])                                                                           \
    {                                                                                              \
        {                                                                                          \
            text, sizeof(text) - 1                                                                 \
        }                                                                                          \
    }

TEST(a_delegation_covers_what_it_names_and_says_what_it_does_not)
{
    const struct delegation_request full = {
        .operation_type = OPERATION_EXECUTION_START,
        .subject = STR("urn:srcos:agent:codex"),
        .workspace = STR("urn:srcos:workspace:compass"),
        .profile = STR("urn:srcos:agent-machine-profile:personal-linux"),
        .network_profile = STR("urn:srcos:network-access-profile:enterprise-and-user"),
        .tools = ONE("urn:srcos:agent-tool-surface:codex"),
        .tool_count = 1,
        .providers = ONE("urn:srcos:model-profile:llama32-1b"),
        .provider_count = 1,
        .mount_paths = ONE("/home/ada/src/compass/src"),
        .mount_semantics = ONE("staged"),
        .mount_count = 1,
        .budget.of = { [DIMENSION_TOKENS] = 2000000, [DIMENSION_AGENT_CONCURRENCY] = 4 },
    };
    struct delegation_request cases[16];
    static const struct {
        const char *where, *words;
    } expected[] = {
        { "/operationTypes", "--operation agent_machine.container.run" },
        { "/subjectRef", "--to urn:srcos:agent:openclaw" },
        { "/scope/workspaceRefs", "--workspace urn:w" },
        { "/scope/profileRefs", "--profile urn:p" },
        { "/scope/networkAccessProfileRef", "--network urn:n" },
        { "/scope/toolRefs", "--tool urn:t" },
        { "/scope/modelProviderRefs", "--provider urn:m" },
        { "/scope/mounts", "--mount /home/ada:staged" },
        { "/scope/mounts", "--mount /home/ada/src/compass/src:read-write" },
        { "/scope/mounts", "compass/../x" },
        { "/scope/mounts", "relative" },
        { "/budgetCeiling/tokens", "2000001 are asked for and 2000000 are the ceiling" },
        { "/budgetCeiling/gpuSeconds", "--ceiling gpuSeconds=1" },
        { "/budgetCeiling/modelCalls", "-1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cases[i] = full;
    cases[0].operation_type = OPERATION_CONTAINER_RUN;
    cases[1].subject = STR("urn:srcos:agent:openclaw");
    cases[2].workspace = STR("urn:w");
    cases[3].profile = STR("urn:p");
    cases[4].network_profile = STR("urn:n");
    cases[5].tools = ONE("urn:t");
    cases[6].providers = ONE("urn:m");
    cases[7].mount_paths = ONE("/home/ada");
    cases[8].mount_semantics = ONE("read-write");
    cases[9].mount_paths = ONE("/home/ada/src/compass/../x");
    cases[10].mount_paths = ONE("relative");
    cases[11].budget.of[DIMENSION_TOKENS] = 2000001;
    cases[12].budget.of[DIMENSION_GPU_SECONDS] = 1;
    cases[13].budget.of[DIMENSION_MODEL_CALLS] = -1;

    struct world world;
    struct delegation delegation = { 0 };
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ 0 });
    CHECK_INT(verify(&world, OUTER, NOON, &delegation, NULL), 0);
    CHECK_INT(delegation_covers(&delegation, &full, NULL), 0);
    const struct delegation_request least = { .operation_type = OPERATION_EXECUTION_CANCEL };
    CHECK_INT(delegation_covers(&delegation, &least, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct err err = { 0 };
        CHECK_INT(delegation_covers(&delegation, &cases[i], &err), -EACCES);
        if (!has(err.where, expected[i].where) || !has(err.cause, expected[i].words))
            test_fail(__FILE__, __LINE__, "%s: %s; expected %s: %s", err.where, err.cause,
                      expected[i].where, expected[i].words);
    }
    delegation_release(&delegation);
    world_release(&world);
}

TEST(a_mount_that_asks_for_no_grant_is_covered_with_its_profile)
{
    static const bool by_profile[] = { true };
    struct world world;
    struct delegation delegation = { 0 };
    struct delegation_request request = {
        .operation_type = OPERATION_EXECUTION_START,
        .profile = STR("urn:srcos:agent-machine-profile:personal-linux"),
        .mount_paths = ONE("/home/ada/docs"),
        .mount_semantics = ONE("read-only"),
        .mount_count = 1,
    };
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ 0 });
    CHECK_INT(verify(&world, OUTER, NOON, &delegation, NULL), 0);
    CHECK_INT(delegation_covers(&delegation, &request, NULL), -EACCES);
    request.mounts_by_profile = by_profile;
    CHECK_INT(delegation_covers(&delegation, &request, NULL), 0);
    request.profile = STR("");
    CHECK_INT(delegation_covers(&delegation, &request, NULL), -EACCES);
    delegation_release(&delegation);
    world_release(&world);
}

TEST(no_network_delegated_covers_none)
{
    struct world world;
    struct delegation delegation = { 0 };
    struct delegation_request request = { .operation_type = OPERATION_EXECUTION_START,
                                          .network_profile = STR("urn:n") };
    struct err err = { 0 };
    world_init(&world);
    keep_outer(&world, world.ada, (struct change){ "/scope/networkAccessProfileRef", "null" });
    CHECK_INT(verify(&world, OUTER, NOON, &delegation, NULL), 0);
    CHECK_INT(delegation_covers(&delegation, &request, &err), -EACCES);
    CHECK(has(err.cause, "no network is delegated"));
    delegation_release(&delegation);
    world_release(&world);
}
