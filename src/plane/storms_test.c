/* What was held back: drawn together, and in the chain. */
#include "plane/storms.h"

#include "base/json.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "contract/rules.h"
#include "ledger/proof.h"
#include "ledger/testing.h"

static struct storm_note note_of(const char *record, uint64_t count, int64_t first_ms)
{
    struct storm_note note = { .policy = "suppress",
                               .storms = 1,
                               .count = count,
                               .held = count - 5,
                               .first_ms = first_ms,
                               .last_ms = first_ms + 1000 };
    snprintf(note.record, sizeof(note.record), "%s", record);
    CHECK_INT(digest_text(str_from(record), note.digest, NULL), 0);
    return note;
}

TEST(several_are_one)
{
    struct storm_note rest = { 0 }, first = note_of("a", 10, 5000), second = note_of("b", 20, 1000);
    char text[3 * DIGEST_TEXT_SIZE], digest[DIGEST_TEXT_SIZE];
    struct err err = { 0 };
    CHECK_OK(storms_join(&rest, &first, &err));
    snprintf(text, sizeof(text), "%s\n", first.digest);
    CHECK_INT(digest_text(str_from(text), digest, NULL), 0);
    CHECK_TEXT(rest.digest, digest);
    CHECK_OK(storms_join(&rest, &second, &err));
    snprintf(text, sizeof(text), "%s\n%s\n", digest, second.digest);
    CHECK_INT(digest_text(str_from(text), digest, NULL), 0);
    CHECK_TEXT(rest.digest, digest);
    CHECK_INT(rest.storms, 2);
    CHECK_INT(rest.count, 30);
    CHECK_INT(rest.held, 20);
    CHECK_INT(rest.first_ms, 1000);
    CHECK_INT(rest.last_ms, 6000);
    CHECK_TEXT(rest.record, "");
}

struct seen {
    struct catalogue *catalogue;
    int one, several;
};

static int see(void *context, int64_t sequence, struct str json, struct err *ret_err)
{
    struct seen *seen = context;
    const struct program *program;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct err err = { 0 };
    (void)sequence;
    (void)ret_err;
    CHECK_OK(json_read(json, &json_limits_default, &doc, &err));
    CHECK_OK(
        catalogue_program(seen->catalogue, catalogue_find(STR("OperationEvent")), &program, &err));
    const yyjson_val *root = yyjson_doc_get_root(doc), *storm = member(root, "storm");
    CHECK_OK(explain_check(program, root, "OperationEvent", "look at an event", &err));
    seen->one += member(storm, "diagnosticStormRecordRef") != NULL;
    seen->several += member(storm, "storms") != NULL;
    return 0;
}

TEST(events_are_valid_and_chained)
{
    struct folder folder = folder_make();
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    struct compile_options options = { 0 };
    struct seen seen = { 0 };
    struct storm_note notes[2] = { note_of("urn:srcos:diagnostic-storm:a", 10, 5000) };
    struct err err = { 0 };
    CHECK_OK(catalogue_new(&options, &seen.catalogue, &err));
    CHECK_OK(storms_join(&notes[1], &notes[0], &err));
    CHECK_OK(storms_record(ledger, notes, 2, &err));
    CHECK_OK(ledger_each_event(ledger, 0, STR(""), see, &seen, &err));
    CHECK_INT(seen.one, 1);
    CHECK_INT(seen.several, 1);
    CHECK_OK(proof_verify(ledger, NULL, NULL, NULL, &err));
    catalogue_free(seen.catalogue);
    ledger_close(ledger);
    folder_remove(&folder);
}

TEST(a_ledger_that_cannot_be_written_is_an_error)
{
    struct folder folder = folder_make();
    struct storm_note note = note_of("urn:srcos:diagnostic-storm:a", 10, 5000);
    struct err err = { 0 };
    int64_t size;
    ledger_close(ledger_of(&folder, LEDGER_CREATE));
    struct ledger *ledger = ledger_of(&folder, LEDGER_READ);
    CHECK(storms_record(ledger, &note, 1, &err) < 0);
    CHECK(err.code != ERR_NONE);
    CHECK_OK(ledger_size(ledger, &size, &err));
    CHECK_INT(size, 0);
    ledger_close(ledger);
    folder_remove(&folder);
}
