#include <ftw.h>

#include "authority/delegation.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/test.h"
#include "contract/catalogue.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "contract/validate.h"

#define URN  "urn:srcos:delegation:ada-to-codex"
#define NOON "2026-11-20T12:00:00Z"

struct place {
    char folder[64];
    struct ledger *ledger;
    struct sign_key *key;
    struct buf envelope;
    char digest[DIGEST_TEXT_SIZE];
    int64_t now_ms;
};

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static bool place_init(struct place *place)
{
    struct err err = { 0 };
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    *place = (struct place){ .envelope = BUF_INIT };
    snprintf(place->folder, sizeof(place->folder), "%s", "/tmp/delegation-test-XXXXXX");
    CHECK(mkdtemp(place->folder) != NULL);
    CHECK(clock_parse(STR(NOON), &place->now_ms));
    CHECK_INT(sign_key_generate(&place->key, NULL), 0);
    CHECK_INT(file_read("examples/delegation.ada-to-codex.example.json", &text, NULL), 0);
    CHECK_INT(delegation_seal(place->key, buf_str(&text), &place->envelope, NULL), 0);
    CHECK_INT(json_read(buf_str(&text), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(jcs_digest(yyjson_doc_get_root(doc), place->digest, NULL), 0);
    yyjson_doc_free(doc);
    buf_release(&text);
    if (ledger_open(place->folder, LEDGER_CREATE, &place->ledger, &err) == 0)
        return true;
    if (err.code == ERR_UNSUPPORTED)
        test_skip("%s", err.cause);
    else
        test_fail(__FILE__, __LINE__, "%s", err.cause);
    return false;
}

static void place_release(struct place *place)
{
    ledger_close(place->ledger);
    sign_key_free(place->key);
    buf_release(&place->envelope);
    nftw(place->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int commit_envelope(struct place *place, struct err *err)
{
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(delegation_put(batch, buf_str(&place->envelope), place->now_ms, NULL), 0);
    int r = ledger_commit(place->ledger, batch, &position, err);
    ledger_batch_free(batch);
    return r;
}

static int commit_revocation(struct place *place, struct err *err)
{
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(delegation_put_revocation(batch, STR(URN), STR("urn:srcos:user:ada"),
                                        STR("It is \"enough\"."), place->now_ms, NULL),
              0);
    int r = ledger_commit(place->ledger, batch, &position, err);
    ledger_batch_free(batch);
    return r;
}

static int verify(struct place *place, struct err *err)
{
    struct delegation_source source;
    struct delegation delegation;
    struct sign_public public;
    struct buf envelope = BUF_INIT;
    sign_key_public(place->key, &public);
    delegation_source_of(place->ledger, &public, &source);
    int r = source.fetch(source.context, STR(URN), &envelope, err);
    if (r == 0)
        r = delegation_verify(buf_str(&envelope), &source, place->now_ms, &delegation, err);
    if (r == 0)
        delegation_release(&delegation);
    buf_release(&envelope);
    return r;
}

TEST(what_is_put_can_be_fetched_and_verified_and_only_once)
{
    struct place place;
    struct err err = { 0 };
    if (place_init(&place)) {
        CHECK_INT(verify(&place, NULL), -ENOENT);
        CHECK_INT(commit_envelope(&place, NULL), 0);
        CHECK_INT(verify(&place, NULL), 0);
        CHECK_INT(commit_envelope(&place, &err), -EEXIST);
        CHECK_INT(err.code, ERR_CONFLICT);
    }
    place_release(&place);
}

TEST(a_revocation_is_seen_at_once_and_recorded_once)
{
    struct place place;
    struct err err = { 0 };
    if (place_init(&place)) {
        CHECK_INT(commit_envelope(&place, NULL), 0);
        CHECK_INT(commit_revocation(&place, NULL), 0);
        CHECK_INT(verify(&place, &err), -EACCES);
        CHECK(strstr(err.cause, "it was revoked"));
        CHECK_INT(commit_revocation(&place, &err), -EEXIST);
        int64_t size = 0;
        CHECK_INT(ledger_size(place.ledger, &size, NULL), 0);
        CHECK_INT(size, 2);
    }
    place_release(&place);
}

/* The events that the ledger has, held against their schema and their text. */
struct events {
    struct catalogue *catalogue;
    const char *digest;
    size_t count;
};

static int check_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct events *events = context;
    static const char *const actions[] = { "issued", "revoked" };
    const struct program *program;
    yyjson_doc *doc = NULL;
    CHECK_INT(json_read(json, &json_limits_default, &doc, err), 0);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK_INT(
        catalogue_program(events->catalogue, catalogue_find(STR("OperationEvent")), &program, err),
        0);
    if (validate(program, root, NULL) != 1)
        test_fail(__FILE__, __LINE__, "not as its schema says: %.*s", STR_ARG(json));
    CHECK_INT(sequence, (int64_t)events->count);
    CHECK_STR(text_of(at(root, "/delegation/delegationRef")), STR(URN));
    CHECK_STR(text_of(at(root, "/delegation/action")), str_from(actions[events->count % 2]));
    CHECK_STR(text_of(member(root, "actorRef")), STR("urn:srcos:user:ada"));
    CHECK_STR(text_of(member(root, "occurredAt")), STR("2026-11-20T12:00:00.000Z"));
    if (sequence == 0)
        CHECK_STR(text_of(at(root, "/documents/0/digest")), str_from(events->digest));
    else
        CHECK_STR(text_of(at(root, "/delegation/reason")), STR("It is \"enough\"."));
    yyjson_doc_free(doc);
    events->count++;
    return 0;
}

TEST(each_comes_with_an_event_as_its_schema_says)
{
    struct place place;
    struct compile_options options = { .assert_formats = true };
    struct events events = { 0 };
    if (place_init(&place)) {
        events.digest = place.digest;
        CHECK_INT(commit_envelope(&place, NULL), 0);
        CHECK_INT(commit_revocation(&place, NULL), 0);
        CHECK_INT(catalogue_new(&options, &events.catalogue, NULL), 0);
        CHECK_INT(ledger_each_event(place.ledger, 0, STR(""), check_event, &events, NULL), 0);
        CHECK_INT(events.count, 2);
        catalogue_free(events.catalogue);
    }
    place_release(&place);
}
