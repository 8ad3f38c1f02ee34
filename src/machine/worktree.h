/*
 * worktree: what a run leaves of a directory that was staged for it.
 *
 * A layer is a folder with what the run wrote (`upper`), the list of what that changed as it was
 * when the run ended (`changes`), and copies of what was modified as the launch found it
 * (`before`, one file), each behind the digest of its contents.
 */
#ifndef AM_MACHINE_WORKTREE_H
#define AM_MACHINE_WORKTREE_H

#include "base/map.h"
#include "machine/changes.h"
#include "machine/layer.h"

#define WORKTREE_PATH_SIZE 4352

#define WORKTREE_BEFORE_FILE_MAX ((uint64_t)1 << 20)  /* a larger file is not copied */
#define WORKTREE_BEFORE_ALL_MAX  ((uint64_t)64 << 20) /* nor one past this, of a layer */

/*
 * The run has ended: reads what stands in a layer against the host's directory, without what was
 * hidden (may be NULL), and keeps it: the list, the copies and what was written are durable when
 * this returns. An empty list where nothing was written.
 */
int worktree_keep(const char *layer, const char *host_path, const struct mask_list *hidden,
                  struct changes *ret, struct err *err) MUST_CHECK;

/*
 * What a mount's patterns hide from a run, noted in its layer when it is launched: for who ends the
 * run if its supervisor is killed.
 */
int worktree_note_hidden(const char *layer, const struct mask_list *hidden,
                         struct err *err) MUST_CHECK;
/*
 * As worktree_keep, of a run whose supervisor was killed; 0 with an empty list also where there is
 * no such layer. ERR_CONFLICT where somebody else is at it.
 */
int worktree_keep_left(const char *layer, const char *host_path, bool secrets_prohibited,
                       struct changes *ret, struct err *err) MUST_CHECK;

/*
 * Fills the layer of a run that is being launched with what another one left: it goes on from
 * there, and what both have changed is one change set, of the new run. The other layer stays as it
 * is. ERR_CONFLICT where parts of that were thrown away.
 */
int worktree_continue(const char *from, const char *to, struct err *err) MUST_CHECK;

/* A layer with its host's directory, opened. */
struct worktree {
    char layer[WORKTREE_PATH_SIZE], host_path[WORKTREE_PATH_SIZE];
    int upper, host;           /* `host` is -1 where the directory is gone */
    struct layer_place *place; /* in `upper` */
    int copies; /* of what the launch found, and where they begin; -1: there are none */
    struct map copy_at;
    struct changes changes;
    bool recorded; /* the list is the one that the run's end kept; else it was read just now */
    char digest[DIGEST_TEXT_SIZE]; /* of the whole list */
    /* Patterns of the files that are usual there, which its caller keeps; NULL: all are. */
    const char *const *usual;
    bool moved; /* the host's directory is another one than the launch found */
};

/*
 * 1 with a layer that has something in it, 0 where it has not. What the host has already is not in
 * the list, which may be empty then. Where no list was kept, because the
 * supervisor was killed, it is read now; `secrets_prohibited` says what the run could not see then.
 * ERR_DAMAGED for a list that is none. Close with worktree_close.
 */
int worktree_open(const char *layer, const char *host_path, bool secrets_prohibited,
                  struct worktree *ret, struct err *err) MUST_CHECK;
void worktree_close(struct worktree *worktree);

/*
 * Throws away the changes that are chosen: they are not in the list any more, also when it is
 * opened again. Durable when it returns. Says whether any are left; the layer is the caller's to
 * remove, once nothing is left of the others of the change set either.
 */
int worktree_discard(struct worktree *worktree, bool (*chooses)(void *context, const char *path),
                     void *context, bool *ret_gone, struct err *err) MUST_CHECK;

/* Opens what the run wrote, a regular file; -ESTALE where it is none by now. */
int worktree_open_after(const struct worktree *worktree, const struct changed_path *change,
                        struct stat *ret_status) MUST_CHECK;
/*
 * Opens the contents that the launch found: of the host where its file has not changed since, else
 * the copy. -ENOENT where they cannot be had any more. And the host's file as it is now.
 */
int worktree_open_before(const struct worktree *worktree, const struct changed_path *change,
                         struct stat *ret_status) MUST_CHECK;
int worktree_open_host(const struct worktree *worktree, const char *path,
                       struct stat *ret_status) MUST_CHECK;
/* The target of a link that the run left, or that the host has; its length, or -errno. */
ssize_t worktree_link_after(const struct worktree *worktree, const char *path,
                            char ret[CHANGES_PATH_MAX + 1]) MUST_CHECK;
ssize_t worktree_link_host(const struct worktree *worktree, const char *path,
                           char ret[CHANGES_PATH_MAX + 1]) MUST_CHECK;
/* What the host has of a path, beneath its directory; or -errno. */
int worktree_stat_host(const struct worktree *worktree, const char *path,
                       struct stat *ret) MUST_CHECK;
/* Whether that has not been changed since the launch. */
bool worktree_is_unchanged(const struct worktree *worktree, const struct stat *status);

#endif
