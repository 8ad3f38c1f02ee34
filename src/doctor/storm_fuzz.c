/*
 * Input: two bytes that say how the rest is cut and under which policy, and
 * the rest, a log. However it is cut, the same is counted; every event is in
 * one signature or is counted as gone; every record is JSON.
 */
#include "doctor/storm.h"

#include "base/json.h"
#include "doctor/storm_reader.h"

#define SIGNATURES 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct storm_totals totals;
    uint64_t kept;
};

static void check_record(const struct storm *storm, size_t slot)
{
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    if (storm_add_record(storm, slot, NULL, &text, NULL) < 0 ||
        json_read(buf_str(&text), &json_limits_default, &doc, NULL) < 0)
        abort();
    yyjson_doc_free(doc);
    buf_release(&text);
}

static struct result count(struct str log, size_t piece, enum storm_policy policy)
{
    struct storm_config config = storm_config_default;
    struct storm *storm = NULL;
    struct storm_reader *reader = NULL;
    struct result result = { 0 };
    size_t *slots = NULL, slot_count = 0;
    config.signatures_max = SIGNATURES;
    config.policy = policy;
    config.rate = 2;
    if (storm_new(&config, &storm, NULL) < 0 ||
        storm_reader_new(storm, NULL, NULL, &reader, NULL) < 0)
        abort();
    storm_set_now(storm, 1);
    for (size_t at = 0; at < log.len; at += piece) {
        struct str rest = str_from_offset(log, at);
        if (storm_reader_feed(reader, str_make(rest.ptr, rest.len < piece ? rest.len : piece),
                              NULL) < 0)
            abort();
    }
    if (storm_reader_end(reader, NULL) < 0 || storm_settle(storm, NULL) < 0 ||
        storm_slots(storm, &slots, &slot_count, NULL) < 0)
        abort();
    for (size_t i = 0; i < slot_count; i++) {
        struct storm_view view;
        storm_view(storm, slots[i], &view);
        if (!view.count || view.first_ms > view.last_ms || view.linked > view.count)
            abort();
        result.kept += view.count;
        check_record(storm, slots[i]);
    }
    result.totals = *storm_totals(storm);
    if (result.kept + result.totals.evicted_events != result.totals.lines ||
        slot_count != result.totals.signatures)
        abort();
    free(slots);
    storm_reader_free(reader);
    storm_free(storm);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str log = { (const char *)data + 2, size - 2 };
    enum storm_policy policy = (enum storm_policy)(data[1] % STORM_POLICY_COUNT);
    struct result whole = count(log, log.len + 1, policy);
    struct result pieces = count(log, data[0] + 1u, policy);
    if (whole.totals.lines != pieces.totals.lines || whole.totals.cut != pieces.totals.cut ||
        whole.totals.bytes != pieces.totals.bytes || whole.totals.untimed != pieces.totals.untimed)
        abort();
    return 0;
}
