/*
 * held_ask: a person is asked about what of a change set is held apart.
 *
 * A card for each such file, as for everything else that is left to a person. An answer that allows
 * names the file for `worktree apply`, as who gives that command could.
 */
#ifndef AM_PLANE_HELD_ASK_H
#define AM_PLANE_HELD_ASK_H

#include "machine/changes.h"
#include "plane/work.h"

#define HELD_CARDS_MAX 16 /* of one run; what is held beyond them is taken by its name alone */

/* What is held apart, and could be taken. */
struct held_file {
    const struct changed_path *change;
    const char *host_path; /* the directory that it lies below */
    const char *rule, *reason;
};

/*
 * The run has ended: adds its cards to the batch, for what is held apart of the changes below a
 * directory by paths, kinds and modes. `asked` counts those of the run.
 */
int held_ask_add(struct work *work, const struct changes *changes, const char *host_path,
                 size_t *asked, struct err *err) MUST_CHECK;
/*
 * Its change set is looked at whole, with contents: asks about what nobody was asked about yet.
 * Says how many cards are pending.
 */
int held_ask_rest(struct plane *plane, struct str operation, const struct held_file *files,
                  size_t count, size_t *ret_pending, struct err *err) MUST_CHECK;
/* Adds the end of those that nobody has answered: the change set is done with. */
int held_ask_withdraw(struct work *work, struct err *err) MUST_CHECK;
/* 1 where a person has let a file, by its path on the host, of an operation's change set be taken,
 * 0 where not, or -errno. */
int held_ask_allows(struct plane *plane, struct str operation, struct str path,
                    struct err *err) MUST_CHECK;

#endif
