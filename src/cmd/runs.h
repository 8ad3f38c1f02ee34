/* runs: finding the run that a person names, its folder and who supervises it. */
#ifndef AM_CMD_RUNS_H
#define AM_CMD_RUNS_H

#include "base/place.h"
#include "cmd/op.h"

struct runs_one {
    char urn[PLANE_URN_MAX]; /* of its operation */
    char folder[PLACE_SIZE];
    enum state state;
};

/*
 * A run by its id, or by the beginning of one that no other run's id has: ERR_NOT_FOUND where
 * there is none, ERR_CONFLICT where there are several.
 */
int runs_find(struct plane *plane, const char *given, struct runs_one *ret,
              struct err *err) MUST_CHECK;
/* Opens the plane and ends what dead processes left, so that what is said of runs is true. */
int runs_open(struct plane **ret, struct err *err) MUST_CHECK;
/* Whether an operation is a run, of an agent or of a container of its own. */
bool runs_is(const yyjson_val *operation);
/* What a command says of the run that it asks for; NULL where it asks for none. */
const yyjson_val *runs_parameters(const yyjson_val *command);
/* How the command of a run that has ended exited, as `run` would have said; -1: it is not known. */
int runs_status(struct plane *plane, const struct runs_one *run);

#endif
