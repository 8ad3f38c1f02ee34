/*
 * mask: which files of a tree are hidden, and the layer that hides them.
 *
 * mask_find walks the tree, or what changed of it since the last walk, for secrets by name;
 * mask_exclude adds what a mount's patterns hide. mask_build makes from the result an overlay layer
 * that lies above the tree: whiteouts for what is hidden and, in the root, for every name of the
 * table that is one spelling, so that what the host creates or replaces there later stays hidden
 * too. Whatever was not looked at is hidden as a whole, or is an error.
 *
 * Not covered (docs/THREATS.md): a name that only matches a pattern, or lies deeper, and is first
 * created on the host after the walk; a harmless candidate whose contents become a secret after it;
 * another name of the same file (hard link). Below a directory called .git what git itself names,
 * objects, refs and logs, is passed over.
 */
#ifndef AM_MACHINE_MASK_H
#define AM_MACHINE_MASK_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define MASK_DEPTH_MAX       128
#define MASK_DIRECTORIES_MAX 1000000
#define MASK_ENTRIES_MAX     ((size_t)10000000) /* names seen in one walk */
#define MASK_HIDDEN_MAX      100000
#define MASK_TIME_MAX_MS     30000
#define MASK_KINDS_MAX       32

enum mask_action {
    MASK_HIDE,   /* it is there, and is hidden */
    MASK_AHEAD,  /* it is not there, and will not be seen to come */
    MASK_FOLDER, /* a directory with the name of a secret file: stays, and stays a directory */
};

struct mask_entry {
    const char *path; /* relative to the tree */
    const char *kind; /* of secret; NULL where a pattern hides it */
    enum mask_action action;
};

struct mask_count {
    const char *kind;
    size_t count;
};

struct mask_list {
    struct arena arena;         /* owns all below */
    struct mask_entry *entries; /* by path, each once */
    size_t count;
    struct mask_count counts[MASK_KINDS_MAX]; /* of what is hidden, by kind, only those there are */
    size_t kind_count;
    size_t excluded; /* entries of the tree that patterns hide, each directory as one */
    size_t directories_read, directories_kept; /* by this walk; taken from the last one */
};

/*
 * The folder of the cache must exist and be the user's; NULL: nothing is kept. ERR_LIMIT where a
 * bound ends the walk (then nothing can be promised), ERR_IO, ERR_MEMORY. A cache that cannot be
 * read or written is no error. Release with mask_list_release.
 */
int mask_find(int tree_fd, const char *cache_folder, struct mask_list *ret,
              struct err *err) MUST_CHECK;
void mask_list_release(struct mask_list *list);

/* Lists of path_patterns.h, NULL where there is none. */
struct mask_patterns {
    const char *const *include; /* shown is what one of these matches; without them, everything */
    const char *const *exclude; /* hidden is what one of these matches */
};
/* Adds to a list, which may be empty; fails as mask_find does, and then the list is as it was. */
int mask_exclude(int tree_fd, const struct mask_patterns *patterns, struct mask_list *list,
                 struct err *err) MUST_CHECK;
/* Sorts the entries, keeps of what stands twice the strongest, and counts anew. */
void mask_list_finish(struct mask_list *list);

/*
 * Makes the layer in an empty directory, best of a tmpfs: lowerdir=LAYER:TREE. No privilege is
 * needed, in a user namespace or outside. Directories on the way get the mode and times of the
 * tree's and, where that is permitted, the owner; no other attributes. ERR_IO.
 */
int mask_build(int layer_fd, int tree_fd, const struct mask_list *list, struct err *err) MUST_CHECK;

/*
 * The layer of a list that hides names of the root alone, as most do: the same for every tree, so
 * it is made once and kept in the folder of the cache. Its own attributes are nobody's: it is for
 * an overlay with an upper layer. False where the list is another one, or it cannot be kept.
 */
#define MASK_LAYER_PATH_MAX 4096
bool mask_keep(const char *cache_folder, const struct mask_list *list,
               char ret_path[MASK_LAYER_PATH_MAX]);

/* `[{"kind":…,"count":…}]`, as a fingerprint's maskedCounts has it. */
int mask_write_counts(const struct mask_list *list, struct buf *ret);

#endif
