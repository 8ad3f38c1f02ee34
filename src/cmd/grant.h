/* grant: what the verbs below `grant` share. */
#ifndef AM_CMD_GRANT_H
#define AM_CMD_GRANT_H

#include "base/buf.h"
#include "base/str.h"
#include "cmd/verb.h"

/*
 * Appends the parameters of a grant: each of `tools` is a tool, or TOOL=PROGRAM whose file is the
 * pin; without one the program of a built-in surface is. ERR_USAGE, ERR_NOT_FOUND.
 */
int grant_write_apply(struct buf *ret, struct str to, const char *end, char *const *tools,
                      size_t count, struct err *err) MUST_CHECK;

int run_grant_surfaces(const struct invocation *invocation);
#define GRANT_SURFACES_OPTION_COUNT 1
extern const struct option_row grant_surfaces_options[GRANT_SURFACES_OPTION_COUNT];

#endif
