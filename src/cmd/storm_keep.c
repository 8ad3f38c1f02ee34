/*
 * storm_keep: see the header.
 *
 * Theory of operation. A storm is noted when it has held back twice as much as
 * was noted of it, so that one that goes on for a year leaves a few dozen
 * events, and when it is forgotten or the log ends. Within an hour the first
 * are told one by one. Of those beyond, only the last word on each is drawn
 * into the sum, so that none is counted twice there.
 *
 * Invariants: (1) at most STORM_KEEP_EVENTS + 1 events in an hour, whatever the
 * log has in it; (2) memory is bounded by them and by the number of slots.
 */
#include "cmd/storm_keep.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/place.h"
#include "contract/jcs.h"
#include "plane/storms.h"

#define STEP "record what is held back"

/* What was noted of a slot, while it is of the storm that began then. */
struct noted {
    uint64_t held;
    int64_t first_ms;
};

struct storm_keep {
    struct ledger *ledger;
    const char *policy;
    struct noted *noted;                            /* by slot */
    struct storm_note notes[STORM_KEEP_EVENTS + 1]; /* that are not durable yet */
    size_t count;
    struct storm_note rest; /* of this hour */
    size_t told;            /* one by one, in this hour */
    int64_t hour_ms;        /* when it began, by a clock that nobody sets */
};

int storm_keep_open(const struct storm_config *config, struct storm_keep **ret, struct err *err)
{
    char state[PLACE_SIZE];
    struct storm_keep *keep = calloc(1, sizeof(*keep));
    int r = keep ? place_state(state, sizeof(state), err)
                 : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    if (r == 0)
        r = ledger_open(state, LEDGER_CREATE, &keep->ledger, err);
    if (r < 0) {
        err_remedy(err, "what a policy holds back is recorded, so have XDG_STATE_HOME name a folder "
                        "that can be written, or leave --policy out");
        free(keep);
        return r;
    }
    keep->policy = storm_policy_names[config->policy];
    keep->hour_ms = clock_passed_ms();
    keep->noted = calloc(config->signatures_max, sizeof(*keep->noted));
    if (!keep->noted) {
        storm_keep_close(keep);
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    }
    *ret = keep;
    return 0;
}

void storm_keep_close(struct storm_keep *keep)
{
    if (!keep)
        return;
    ledger_close(keep->ledger);
    free(keep->noted);
    free(keep);
}

/* The digest of the record as it would be told now. */
static int make_note(const struct storm_keep *keep, const struct storm *storm, size_t slot,
                     struct redact_scanner *scanner, struct storm_note *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf record = BUF_INIT;
    struct storm_view view;
    storm_view(storm, slot, &view);
    *ret = (struct storm_note){ .policy = keep->policy,
                                .storms = 1,
                                .count = view.count,
                                .held = view.held,
                                .first_ms = view.first_ms,
                                .last_ms = view.last_ms };
    snprintf(ret->record, sizeof(ret->record), "%s", view.id);
    int r = storm_add_record(storm, slot, scanner, &record, err);
    if (r == 0)
        r = json_read(buf_str(&record), &json_limits_default, &doc, err);
    return r < 0 ? r : jcs_digest(yyjson_doc_get_root(doc), ret->digest, err);
}

/* The sum of an hour that is over is told, and another hour begins. */
static void turn_hour(struct storm_keep *keep, bool is_last)
{
    int64_t now_ms = clock_passed_ms();
    bool is_over = now_ms - keep->hour_ms >= STORM_KEEP_HOUR_MS;
    if (!is_over && !is_last)
        return;
    if (keep->rest.storms && keep->count < ARRAY_LEN(keep->notes)) {
        keep->notes[keep->count++] = keep->rest;
        keep->rest = (struct storm_note){ 0 };
    }
    if (is_over) {
        keep->hour_ms = now_ms;
        keep->told = 0;
    }
}

int storm_keep_note(struct storm_keep *keep, const struct storm *storm, size_t slot, bool is_last,
                    struct redact_scanner *scanner, struct err *err)
{
    struct storm_view view;
    struct storm_note note;
    storm_view(storm, slot, &view);
    struct noted *noted = &keep->noted[slot];
    if (noted->first_ms != view.first_ms || noted->held > view.held)
        *noted = (struct noted){ .first_ms = view.first_ms };
    uint64_t before = noted->held;
    turn_hour(keep, false);
    bool has_room = keep->told < STORM_KEEP_EVENTS && keep->count < STORM_KEEP_EVENTS;
    bool is_due = is_last ? view.held > before : has_room && view.held >= 2 * (before ? before : 1);
    if (is_last)
        noted->held = 0;
    if (!is_due)
        return 0;
    int r = make_note(keep, storm, slot, scanner, &note, err);
    if (r < 0)
        return r;
    if (!has_room)
        return storms_join(&keep->rest, &note, err);
    keep->notes[keep->count++] = note;
    keep->told++;
    if (!is_last)
        noted->held = view.held;
    return 0;
}

int storm_keep_commit(struct storm_keep *keep, bool is_last, struct err *err)
{
    struct err why = { 0 };
    turn_hour(keep, is_last);
    if (!keep->count)
        return 0;
    int r = storms_record(keep->ledger, keep->notes, keep->count, &why);
    if (r == 0)
        keep->count = 0;
    if (r < 0 && is_last && err)
        *err = why;
    return is_last ? r : 0;
}
