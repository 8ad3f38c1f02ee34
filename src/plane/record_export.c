/*
 * record_export: see the header (writing).
 *
 * Theory of operation. The members stand in a fixed order and the documents in
 * the record's, so that the same ledger at the same size gives the same text
 * but for the moment. The seal is made last, over the canonical form of
 * everything before it.
 */
#include "plane/record_export.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/plane.h"

#define STEP_EXPORT "export an operation"

struct exporting {
    const struct operation_record *record;
    struct buf *events;
};

static int add_event(void *context, size_t index, struct str path, struct err *err)
{
    struct exporting *exporting = context;
    struct buf *json = exporting->events;
    (void)err;
    buf_add_text(json, index ? ",{\"event\":" : "{\"event\":");
    json_add_value(json, exporting->record->events[index].root, 0);
    buf_add_char(json, ',');
    buf_add_str(json, path);
    buf_add_char(json, '}');
    return 0;
}

static int add_events(const struct operation_record *record, struct ledger *ledger,
                      const struct sign_key *key, struct buf *checkpoint, struct buf *events,
                      struct err *err)
{
    struct exporting exporting = { record, events };
    int64_t *sequences = calloc(record->event_count + 1, sizeof(*sequences));
    if (!sequences)
        return err_set(err, ERR_MEMORY, STEP_EXPORT, "there is not enough memory");
    for (size_t i = 0; i < record->event_count; i++)
        sequences[i] = record->events[i].sequence;
    int r = proof_paths(ledger, sequences, record->event_count, key, checkpoint, add_event,
                        &exporting, err);
    free(sequences);
    return r;
}

static int add_document(struct buf *json, const struct record_document *document, bool first,
                        struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = jcs_digest(document->root, digest, err);
    if (r < 0)
        return r;
    buf_add_text(json, first ? "{\"documentRef\":" : ",{\"documentRef\":");
    json_add_string(json, document->id);
    json_add_text(json, "documentType", document->type);
    json_add_text(json, "digest", str_from(digest));
    json_add_name(json, document->envelope ? "envelope" : "document");
    json_add_value(json, document->envelope ? document->envelope : document->root, 0);
    buf_add_char(json, '}');
    return 0;
}

int record_seal(struct buf *json, const struct sign_key *key, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf payload = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = buf_add_char(json, '}') < 0
                ? err_set(err, ERR_LIMIT, STEP_EXPORT, "an export is no longer than %zu bytes",
                          RECORD_EXPORT_BYTES_MAX)
                : json_read(buf_str(json), &json_limits_default, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r < 0)
        return r;
    buf_truncate(json, json->len - 1);
    buf_addf(&payload, "{\"digest\":\"%s\"}", digest);
    json_add_name(json, "seal");
    r = dsse_seal(key, STR(RECORD_SEAL_TYPE), buf_str(&payload), json, err);
    buf_add_char(json, '}');
    return r;
}

int record_export(const struct operation_record *record, struct ledger *ledger,
                  const struct sign_key *key, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(RECORD_EXPORT_BYTES_MAX);
    _cleanup_(buf_release) struct buf checkpoint = BUF_INIT,
                                      events = BUF_INIT_LIMIT(RECORD_EXPORT_BYTES_MAX);
    char now[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms(), now);
    int r = add_events(record, ledger, key, &checkpoint, &events, err);
    if (r < 0)
        return r;
    buf_addf(&json,
             "{\"id\":\"urn:srcos:operation-export:%.*s\",\"type\":\"" RECORD_TYPE
             "\",\"specVersion\":\"1.0.0\",\"operationRefs\":[",
             STR_ARG(urn_local(record->operations[0])));
    for (size_t i = 0; i < record->operation_count; i++) {
        buf_add_text(&json, i ? "," : "");
        json_add_string(&json, record->operations[i]);
    }
    buf_addf(&json, "],\"exportedAt\":\"%s\"", now);
    json_add_text(&json, "checkpoint", buf_str(&checkpoint));
    buf_add_text(&json, ",\"documents\":[");
    for (size_t i = 0; i < record->document_count && r == 0; i++)
        r = add_document(&json, &record->documents[i], i == 0, err);
    buf_add_text(&json, "],\"events\":[");
    buf_add_str(&json, buf_str(&events));
    buf_add_char(&json, ']');
    if (r == 0)
        r = record_seal(&json, key, err);
    if (r == 0 && (json.error || buf_add_str(ret, buf_str(&json)) < 0))
        r = err_set(err, ERR_LIMIT, STEP_EXPORT, "an export is no longer than %zu bytes",
                    RECORD_EXPORT_BYTES_MAX);
    return r;
}
