/*
 * kept: the change sets that wait for a person, counted without looking into them.
 *
 * Kept is what a run wrote as long as something of it is neither taken nor thrown away. Only a
 * person ends that: nothing removes a kept change set to make room. Where there are too many, or
 * they are too large, a run that would leave another one is refused.
 */
#ifndef AM_MACHINE_KEPT_H
#define AM_MACHINE_KEPT_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define KEPT_COUNT_USUAL 100 /* where the profile names no other limit */
#define KEPT_BYTES_USUAL (INT64_C(16) << 30)

struct kept_sum {
    int64_t count, bytes; /* of files that runs have added or modified */
};

/* Notes that a run has left a change set; what cannot be noted does not count. */
void kept_note(const char *state_folder, struct str run, int64_t bytes);
/* Nothing of it is left. `run_folder` is the run's own. */
void kept_forget(const char *run_folder);
/* How large a run's is; -1: it was not noted. */
int64_t kept_bytes(const char *state_folder, struct str run);
/* Forgets those whose layers are gone, and counts the rest. */
struct kept_sum kept_count(const char *state_folder);
/* ERR_LIMIT, with the remedy, where there are so many that no further run may leave one. */
int kept_check(const char *state_folder, const struct kept_sum *limits, struct err *err) MUST_CHECK;

#endif
