/*
 * git_tables: references that a repository keeps in tables ("reftable"), and not in files.
 *
 * A stack of tables is named by the file `reftable/tables.list`, the oldest first; what a later
 * table says of a reference counts.
 */
#ifndef AM_MACHINE_GIT_TABLES_H
#define AM_MACHINE_GIT_TABLES_H

#include "machine/git_refs.h"

#define GIT_TABLES_FOLDER "reftable/"
#define GIT_TABLES_LIST   GIT_TABLES_FOLDER "tables.list"
#define GIT_TABLES_MAX    1024 /* of one stack */

/*
 * What a table says of a reference: GIT_ABSENT where it is gone, else the object's name in full or
 * that of another reference. Both texts are of the reader's and end with the call.
 */
typedef int git_table_visit(void *context, struct str name, enum git_value_kind kind,
                            struct str value);

/* Visits each reference of a table; -EBADMSG where it is none, or what the visit returned. */
int git_table_read(struct str table, git_table_visit *visit, void *context) MUST_CHECK;
/* The names in a list, the newest first; how many, or -EBADMSG where one is no name of a table. */
ssize_t git_tables_names(struct str list, struct str ret[GIT_TABLES_MAX]) MUST_CHECK;

#endif
