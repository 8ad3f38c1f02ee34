/* first: what has to be there before anything is done: the user's key, ledger, personal profile. */
#ifndef AM_CMD_FIRST_H
#define AM_CMD_FIRST_H

#include "base/place.h"
#include "plane/plane.h"

/* Where it is, and what of it is new. */
struct first {
    char config[PLACE_SIZE], state[PLACE_SIZE];
    bool config_made, key_made, state_made, ledger_made, profile_made;
};

/*
 * Opens the plane for writing, with all of it made where it is missing; where it is there, that
 * costs one look-up. `options` say what is plugged in: folders and mode are filled in here.
 * `ret_first` may be NULL.
 */
int first_open(const struct plane_options *options, struct first *ret_first, struct plane **ret,
               struct err *err) MUST_CHECK;

#endif
