/*
 * uses: what a run has used of the network and been denied, each thing once.
 *
 * A thing is a destination with a port, and the answer that it got. It is kept
 * as long as the door, with when it was asked for first and last and how often;
 * so repeated denials collapse here, and nowhere else.
 */
#ifndef AM_DOORS_NETWORK_USES_H
#define AM_DOORS_NETWORK_USES_H

#include "base/base.h"
#include "doors/network/target.h"

#define USES_ALLOWED_MAX 4096 /* destinations of one run; more are refused */
#define USES_DENIED_MAX  256  /* the last of which is that of all others */

struct use_entry {
    struct use use; /* first: flows count on it */
    struct target target;
    enum answer answer;
    enum door_refusal refusal; /* of a denial */
    bool permitted;            /* by the layers, or by the person whom they left it to */
    struct str rule;           /* that leaves it to a person; the policy's */
    enum layer layer;
    bool asked; /* that person is being asked now */
    uint64_t count;
    int64_t first_ms, last_ms;
    size_t record; /* the sink's, of what was written down about it */
    off_t log_at;  /* the denial log's; 0: it has no line */
};

struct uses;

int uses_new(struct uses **ret, struct err *err) MUST_CHECK;
void uses_free(struct uses *uses);

/*
 * Finds or makes the entry of a thing and counts it. Where there is no room for a denial it is that
 * of the others, whose target is USES_OTHERS; else NULL, as where there is no memory. *ret_is_new:
 * it was met for the first time.
 */
#define USES_OTHERS "*"
struct use_entry *uses_meet(struct uses *uses, const struct target *target, enum answer answer,
                            enum door_refusal refusal, int64_t now_ms, bool *ret_is_new);
/* The entry of a thing, which is not counted; NULL: it was not met. */
const struct use_entry *uses_find(const struct uses *uses, const struct target *target,
                                  enum answer answer, enum door_refusal refusal);
/* One that was just made and came to nothing: it is as if it had not been met. */
void uses_forget_last(struct uses *uses);

size_t uses_count(const struct uses *uses);
struct use_entry *uses_at(const struct uses *uses, size_t index);

#endif
