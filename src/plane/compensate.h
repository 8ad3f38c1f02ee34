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

/* --- artifacts of an operation, for those who move them ------------------------------------ */

/* NULL where the operation has none of that id. */
yyjson_mut_val *artifact_find(const struct work *work, struct str id);
enum admission artifact_state(yyjson_mut_val *artifact);
/* Changes its state, which the caller has checked, and adds the event; `command` caused it. */
int artifact_move(struct work *work, yyjson_mut_val *artifact, enum admission to,
                  struct str command, struct str reason, struct err *err) MUST_CHECK;
/* ERR_DENIED unless who runs this program gave the command, about its own workspace. */
int artifact_check_person(const struct work *work, const yyjson_val *command,
                          struct err *err) MUST_CHECK;
/* Of what had failed or was cancelled: compensates it, if nothing of it is in service any more. */
int compensate_settle(struct work *work, struct err *err) MUST_CHECK;

#endif
