/* change_set: what a run changed, as an artifact that a person admits. */
#ifndef AM_PLANE_CHANGE_SET_H
#define AM_PLANE_CHANGE_SET_H

#include "machine/changes.h"
#include "plane/work.h"

/* What a run changed, over all of its staged mounts. */
struct change_sum {
    size_t changed[CHANGE_TYPE_COUNT]; /* files */
    size_t held;
    uint64_t bytes;                /* of files added and modified */
    char digest[DIGEST_TEXT_SIZE]; /* of the one list; else see change_sum_end */
    size_t lists;                  /* that have something in them */
    struct buf digests;
};
#define CHANGE_SUM_INIT ((struct change_sum){ .digests = BUF_INIT })

void change_sum_add(struct change_sum *sum, const struct changes *changes);
/* Of a list its digest alone. */
void change_sum_add_digest(struct change_sum *sum, const char digest[DIGEST_TEXT_SIZE]);
/* Of several mounts the digest is that of theirs, one to a line. Releases what the sum owns. */
int change_sum_end(struct change_sum *sum, struct err *err) MUST_CHECK;

/* Whether an artifact's id is that of a change set. */
bool change_set_is(struct str id);
/* The run has ended: adds its change set to the operation, stored and pending, and counts it. */
int change_set_add(struct work *work, struct str id, const struct change_sum *sum,
                   struct err *err) MUST_CHECK;
/*
 * The same for a run whose supervisor was killed: reads what it left, from what its fingerprint
 * says was staged, and adds it. What cannot be read stays where it is, unrecorded, as does what the
 * host may not have made durable before it went down.
 */
int change_set_add_left(struct work *work, struct err *err) MUST_CHECK;
/* Takes the command `admit` about one. */
int change_set_take(struct plane *plane, const yyjson_val *command, struct outcome *ret,
                    struct err *err) MUST_CHECK;

#endif
