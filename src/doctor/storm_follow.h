/*
 * storm_follow: a log file as it grows, across rotation and truncation.
 *
 * The file is known by its path. When another file stands there, the old one
 * is read to its end first; when it became shorter, it is read from its start.
 */
#ifndef AM_DOCTOR_STORM_FOLLOW_H
#define AM_DOCTOR_STORM_FOLLOW_H

#include "base/base.h"
#include "base/err.h"

struct storm_follow;

/* ERR_IO where the file cannot be opened, ERR_MEMORY. */
int storm_follow_open(const char *path, struct storm_follow **ret, struct err *err) MUST_CHECK;
void storm_follow_close(struct storm_follow *follow);

/*
 * Reads what there is: *ret_len is 0 where there is nothing now. *ret_begins:
 * the bytes are the start of a file, so that a line begun before has ended.
 */
int storm_follow_read(struct storm_follow *follow, char *bytes, size_t size, size_t *ret_len,
                      bool *ret_begins, struct err *err) MUST_CHECK;
/* For poll: readable when it is worth trying again; -1 where the host cannot tell. */
int storm_follow_fd(const struct storm_follow *follow);
/* Takes the news off that descriptor. */
void storm_follow_drain(struct storm_follow *follow);

#endif
