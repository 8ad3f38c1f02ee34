/*
 * storm: any stream of log lines, told as a bounded number of storms.
 *
 * Lines that were written by the same statement of the same component are one
 * signature. For each, the first and the last time, the exact number, the
 * peak and the usual distance are kept, and a few samples. No more than
 * `signatures_max` are kept at a time; what has to go is handed to `evicted`
 * first, and is counted. Once a signature is known, its lines cost no
 * allocation.
 *
 * A storm belongs to one thread.
 */
#ifndef AM_DOCTOR_STORM_H
#define AM_DOCTOR_STORM_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/redact.h"
#include "base/str.h"
#include "doctor/storm_class.h"
#include "doctor/storm_header.h"

#define STORM_SIGNATURES_DEFAULT 4096
#define STORM_SIGNATURES_MIN     16
#define STORM_SIGNATURES_MAX     1000000
#define STORM_LINE_BYTES_MAX     ((size_t)64 << 10) /* of a line that are looked at */
#define STORM_SAMPLES_MAX        3
#define STORM_COMPONENT_MAX      ((size_t)128)
#define STORM_ID_SIZE            80

/* What is done with the lines of a signature that comes more often than the rate allows. */
enum storm_policy {
    STORM_NONE,        /* each is shown */
    STORM_DEDUPLICATE, /* of equal neighbours the first is shown, whatever the rate */
    STORM_SUMMARIZE,   /* the record is shown in their place */
    STORM_SUPPRESS,    /* none is shown */
    STORM_QUARANTINE,  /* all lines of the component are held apart */
    STORM_ESCALATE,    /* somebody is called, once; the lines are not shown */
    STORM_POLICY_COUNT
};
extern const char *const storm_policy_names[STORM_POLICY_COUNT];

enum storm_action { STORM_SHOW, STORM_HIDE, STORM_APART, STORM_CALL };

struct storm;

/* Called before a signature is forgotten; `slot` is good for the calls below until it returns. */
typedef int storm_evicted(void *context, struct storm *storm, size_t slot, struct err *err);

struct storm_config {
    size_t signatures_max;
    const char *source;    /* names the stream in references to its events */
    const char *component; /* of lines that name none */
    enum storm_policy policy;
    uint64_t rate; /* events in a window that are still no storm */
    int64_t window_ms;
    int64_t link_window_ms; /* how long after a denial a failure may be its doing */
    storm_evicted *evicted; /* or NULL */
    void *context;
};
extern const struct storm_config storm_config_default;

struct storm_totals {
    uint64_t lines;
    uint64_t bytes;
    uint64_t untimed;            /* events without a time of their own */
    uint64_t backwards;          /* events earlier than the one before of their signature */
    uint64_t cut;                /* lines longer than STORM_LINE_BYTES_MAX */
    uint64_t held;               /* events that the policy did not show */
    uint64_t signatures;         /* that are kept now */
    uint64_t evicted_signatures; /* that were forgotten */
    uint64_t evicted_events;     /* and how many events they had */
};

/* The strings of the config outlive the storm. ERR_USAGE, ERR_MEMORY. */
int storm_new(const struct storm_config *config, struct storm **ret, struct err *err) MUST_CHECK;
void storm_free(struct storm *storm);

/* One line, without its end. ERR_MEMORY, or what `evicted` returned. */
int storm_line(struct storm *storm, struct str line, enum storm_action *ret,
               struct err *err) MUST_CHECK;
/* One event whose parts are known already. */
int storm_event(struct storm *storm, const struct storm_event *event, size_t bytes,
                enum storm_action *ret, struct err *err) MUST_CHECK;
/* More of the line before was left out: `bytes` of it. */
void storm_line_was_cut(struct storm *storm, uint64_t bytes);
/* The time by which it is judged whether a storm still goes on; else that of the last event. */
void storm_set_now(struct storm *storm, int64_t now_ms);

const struct storm_totals *storm_totals(const struct storm *storm);

/* Draws together signatures that turned out to be one. Before records are read. */
int storm_settle(struct storm *storm, struct err *err) MUST_CHECK;
/* The slots of all signatures, the most frequent first. The caller frees ret. */
int storm_slots(const struct storm *storm, size_t **ret, size_t *ret_count,
                struct err *err) MUST_CHECK;

/* What there is to say about one signature. Views are good until the next line. */
struct storm_view {
    uint64_t count;
    uint64_t held;
    int64_t first_ms, last_ms;
    double median_interval_ms; /* to within a sixteenth; negative where there is but one event */
    uint64_t peak;             /* events in one second */
    enum storm_severity severity;
    enum storm_class class;
    struct str component;
    char id[STORM_ID_SIZE];
    char parent_id[STORM_ID_SIZE]; /* empty: no cause is known */
    double confidence;             /* that it is the cause, 0 to 1 */
    uint64_t linked;               /* events that it rests on */
    bool by_process;               /* and not by session alone */
    struct str object;             /* that cause and effect have in common */
};
void storm_view(const struct storm *storm, size_t slot, struct storm_view *ret);
/* Appends the template, redacted where there is a scanner. */
int storm_add_template_of(const struct storm *storm, size_t slot, struct redact_scanner *scanner,
                          struct buf *out, struct err *err) MUST_CHECK;
/* Appends a DiagnosticStormRecord. */
int storm_add_record(const struct storm *storm, size_t slot, struct redact_scanner *scanner,
                     struct buf *out, struct err *err) MUST_CHECK;

/*
 * Which signature a message without a header belongs to: a number that stays
 * the same until the next call of storm_settle. -ENOENT where it has none.
 */
int storm_classify(struct storm *storm, struct str message, size_t *ret) MUST_CHECK;
/* Counts a message that has no header, whatever it looks like. */
int storm_message(struct storm *storm, struct str message, struct err *err) MUST_CHECK;

#endif
