/* asked: what is asked of an operation that runs, and how its process learns of it. */
#ifndef AM_PLANE_ASKED_H
#define AM_PLANE_ASKED_H

#include "plane/work.h"

#define ASKED_RACES_MAX 16

/*
 * Rings the doorbell of an operation (empty: of all) whose ledger lies in a folder, after a change
 * that its process is to notice. Nobody need be there.
 */
void asked_ring(const char *state_folder, struct str operation);
/* Takes away the doorbell of an effect that has ended. */
void asked_close(struct work *work);
/* Takes the commands `pause` and `resume`. */
int asked_take(struct plane *plane, const yyjson_val *command, struct outcome *ret,
               struct err *err) MUST_CHECK;

#endif
