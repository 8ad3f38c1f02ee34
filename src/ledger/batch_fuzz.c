/*
 * Input: what stands in a slot of the queue, or an event to be written down as a batch. Reading
 * the one must end and stay within it; the other must be read as what was written.
 */
#include "ledger/batch.h"

#include "base/json.h"
#include "contract/jcs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(bool condition)
{
    if (!condition)
        abort();
}

static void insist_within(struct str part, struct str whole)
{
    insist(part.len == 0 ||
           (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void read_bytes(struct str bytes)
{
    struct batch_reader reader = batch_read(bytes);
    enum batch_record kind;
    while ((kind = batch_next(&reader)) != BATCH_END) {
        struct batch_event event = { 0 };
        struct batch_document document = { 0 };
        struct amounts amounts;
        struct holder holder;
        if (kind == BATCH_EVENT)
            batch_read_event(&reader, &event);
        if (kind == BATCH_DOCUMENT)
            batch_read_document(&reader, &document);
        if (kind == BATCH_NAME || kind == BATCH_ACCOUNT || kind == BATCH_RESERVE)
            insist_within(batch_read_str(&reader), bytes);
        if (kind >= BATCH_ACCOUNT)
            batch_read_amounts(&reader, &amounts);
        if (kind == BATCH_RESERVE)
            batch_read_holder(&reader, &holder);
        insist_within(event.before_sequence, bytes);
        insist_within(event.rest, bytes);
        insist_within(document.json, bytes);
    }
    batch_is_conditional(bytes);
}

/* The event with its place put in is its own canonical form. */
static void write_event(struct str json)
{
    struct ledger_batch *batch = NULL;
    struct buf placed = BUF_INIT, canonical = BUF_INIT;
    struct batch_event event;
    yyjson_doc *doc = NULL;
    insist(ledger_batch_new(&batch, NULL) == 0);
    if (ledger_add_event(batch, json, NULL) == 0) {
        struct batch_reader reader = batch_read(buf_str(&batch->bytes));
        insist(batch_next(&reader) == BATCH_EVENT);
        batch_read_event(&reader, &event);
        insist(!reader.failed && batch_next(&reader) == BATCH_END);
        buf_add_str(&placed, event.before_digest);
        for (int i = 0; i < 64; i++)
            buf_add_char(&placed, '0');
        buf_add_str(&placed, event.before_sequence);
        buf_add_text(&placed, "17");
        buf_add_str(&placed, event.rest);
        insist(json_read(buf_str(&placed), &json_limits_default, &doc, NULL) == 0);
        insist(jcs_add(&canonical, yyjson_doc_get_root(doc), NULL) == 0);
        insist(str_equal(buf_str(&placed), buf_str(&canonical)));
    }
    yyjson_doc_free(doc);
    buf_release(&placed);
    buf_release(&canonical);
    ledger_batch_free(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_make((const char *)data, size);
    read_bytes(input);
    write_event(input);
    return 0;
}
