/*
 * git_stack: the tables of a repository, or of one of its work trees, at one moment. For
 * git_values.c and git_refs.c alone.
 */
#ifndef AM_MACHINE_GIT_STACK_H
#define AM_MACHINE_GIT_STACK_H

#include "machine/git_tables.h"
#include "machine/git_values.h"

/* Values that are no object, as a line has them (git_values.h). */
#define GIT_STACK_SYMBOLIC "ref:"
#define GIT_STACK_GONE     "-"
#define GIT_STACK_NOTHING  "?"

/* Adds what the tables in a folder say; not known where they cannot be read, or are too large. */
int git_stack_read(struct git_refs_reader *reader, const char *folder, enum git_moment moment,
                   struct git_packed *ret, struct err *err) MUST_CHECK;
/* One value at the three moments: HEAD, which is in the work tree's own tables. */
int git_stack_find(struct git_refs_reader *reader, const char *folder, const char *name,
                   struct git_value ret[GIT_MOMENTS], struct err *err) MUST_CHECK;

#endif
