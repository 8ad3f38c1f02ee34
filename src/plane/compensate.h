/* compensate: effects that are taken back, and artifacts that leave service. */
#ifndef AM_PLANE_COMPENSATE_H
#define AM_PLANE_COMPENSATE_H

#include "plane/work.h"

/* Keys of the ledger by a profile's URN: it was archived, and is nobody's to find. */
#define PROFILE_ARCHIVED_SPACE "archived-profile"

/* Takes the command `admit`. */
int admit_take(struct plane *plane, const yyjson_val *command, struct outcome *ret,
               struct err *err) MUST_CHECK;
/* ERR_DOCUMENT where a submit says that it compensates what it cannot. */
int compensate_check(struct plane *plane, const yyjson_val *command, struct err *err) MUST_CHECK;
/* Before an operation that compensates another completes: says so in the other one. */
int compensate_note(struct work *work, struct err *err) MUST_CHECK;

#endif
