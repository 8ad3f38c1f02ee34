/* storm: what the verb's two files share. */
#ifndef AM_CMD_STORM_H
#define AM_CMD_STORM_H

#include "base/redact.h"
#include "cmd/storm_keep.h"
#include "cmd/verb.h"
#include "doctor/storm.h"

/* How the storms are told. */
enum storm_telling { TELL_TABLE, TELL_JSON, TELL_PASS };

struct storm_told {
    uint64_t count;
    int64_t first_ms;
};

struct storm_output {
    enum storm_telling telling;
    uint64_t top;       /* rows of the table */
    uint64_t count_min; /* events that a storm has at least */
    struct redact_scanner *scanner;
    struct storm_told *told; /* by slot: what was told last */
    FILE *apart;             /* lines held apart; NULL: nowhere */
    const char *call;        /* a command for escalation; NULL: none */
    struct storm_keep *keep; /* of what is held back; NULL: nothing is */
    bool to_terminal;
};

/* Of storms that changed since they were told last. */
int storm_tell_changes(struct storm_output *output, struct storm *storm, struct err *err);
/* Everything, at the end. */
int storm_tell_all(struct storm_output *output, struct storm *storm, struct err *err);
/* Callbacks of storm and storm_reader; the context is a storm_output. */
int storm_tell_evicted(void *context, struct storm *storm, size_t slot, struct err *err);
int storm_tell_line(void *context, enum storm_action action, struct str line, struct err *err);

#endif
