/* worktree_kept: how a layer's files are called and begin, for those who write and read them. */
#ifndef AM_MACHINE_WORKTREE_KEPT_H
#define AM_MACHINE_WORKTREE_KEPT_H

#include "machine/worktree.h"

#define STEP_WORKTREE    "read a change set"
#define LIST_FILE        "changes"
#define LIST_NEW         "changes.new"
#define BEFORE_FILE      "before"
#define BEFORE_HEAD_SIZE (DIGEST_TEXT_SIZE + 24)
#define CONTINUED_FILE   "continued" /* the first line of the list that a run went on from */
#define DISCARDED_FILE   "discarded"
#define PATH_BYTES_MAX   8192
#define NS_PER_SECOND    INT64_C(1000000000)
#define HEAD_WORD        "tree "
#define HEAD_GIT         "git " /* of a tree that is a directory of git's own */

/* The folder of a layer, or another one. */
int kept_open_folder(const char *path, struct err *err) MUST_CHECK;
/* What a run wrote; -ENOENT where there is no such folder. */
int kept_open_upper(const char *layer, struct err *err) MUST_CHECK;

#endif
