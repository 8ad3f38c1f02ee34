/* change_set: what a run changed, as an artifact that a person admits. */
#ifndef AM_PLANE_CHANGE_SET_H
#define AM_PLANE_CHANGE_SET_H

#include "plane/work.h"

/* Whether an artifact's id is that of a change set. */
bool change_set_is(struct str id);
/* The run has ended: adds its change set to the operation, stored and pending. */
int change_set_add(struct work *work, struct str id, const char *digest,
                   struct err *err) MUST_CHECK;
/* Takes the command `admit` about one. */
int change_set_take(struct plane *plane, const yyjson_val *command, struct outcome *ret,
                    struct err *err) MUST_CHECK;

#endif
