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
#define HIDDEN_FILE      "hidden" /* what the patterns of a mount hid from the run */
#define PATH_BYTES_MAX   8192
#define NS_PER_SECOND    INT64_C(1000000000)
#define HEAD_WORD        "tree "
#define HEAD_GIT         "git " /* of a tree that is a directory of git's own */

/* The folder of a layer, or another one. */
int kept_open_folder(const char *path, struct err *err) MUST_CHECK;
/* What a run wrote; -ENOENT where there is no such folder. */
int kept_open_upper(const char *layer, struct err *err) MUST_CHECK;

/* What a run that has ended changed, whether it wrote in an overlay's upper layer or in a copy. */
int kept_read_changes(const char *layer, int upper, int host, const struct mask_list *hidden,
                      struct changes *ret, struct err *err) MUST_CHECK;
/* 1 with the list that was kept in a layer, 0 where none was. */
int kept_read_list(const char *layer, struct changes *ret, struct err *err) MUST_CHECK;
/* A descriptor of the file that was appended to, for who makes it durable. */
int kept_append_paths(const char *layer, const char *name, const struct buf *lines,
                      struct err *err) MUST_CHECK;
/* Calls with each path of a file, views of `text`; there may be none. -ENOMEM of it ends it. */
typedef int kept_path_visit(void *context, struct str path);
int kept_read_paths(const char *layer, const char *name, struct buf *text, kept_path_visit *visit,
                    void *context, struct err *err) MUST_CHECK;
/* What a run could not see, where its supervisor is not there to say it. */
int kept_find_hidden(const char *layer, int host, bool secrets_prohibited, struct mask_list *ret,
                     struct err *err) MUST_CHECK;

#endif
