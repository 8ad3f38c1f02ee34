/*
 * git_refs: what a run did to the references of the repositories in its tree.
 *
 * Of each reference there are three values: what the launch found, what the run made of it, what
 * the host has now. What the launch found is known where the host's file has not changed since, or
 * the run's end kept a copy of it; it need not be known, and then nobody can say whether the host
 * has moved it. Only repositories that the host has are looked at: one that the run brought along
 * is its own affair. Everything that a run wrote is hostile, and must be what its list says.
 */
#ifndef AM_MACHINE_GIT_REFS_H
#define AM_MACHINE_GIT_REFS_H

#include "machine/git_index.h"
#include "machine/worktree.h"

#define GIT_REPOSITORIES_MAX 64   /* of one tree */
#define GIT_REFS_MAX         4096 /* that a run changed, of one repository */
#define GIT_HEADS_MAX        256  /* work trees of one repository */
#define GIT_NAME_BYTES_MAX   400  /* of a reference */
#define GIT_OID_TEXT         65   /* with its NUL */

enum git_value_kind { GIT_ABSENT, GIT_OBJECT, GIT_SYMBOLIC, GIT_NOT_KNOWN };

struct git_value {
    enum git_value_kind kind;
    const char *text; /* the object's name, or that of another reference; else "" */
};

struct git_ref {
    const char *name; /* "refs/heads/x" */
    struct git_value launch, run, host;
    bool may_be_new; /* where the launch is not known: the run may have made it */
};

/* Of a work tree of the repository's. */
struct git_head {
    const char *folder; /* in the repository: "", or "worktrees/x/" */
    bool is_bare;       /* it belongs to none */
    struct git_value launch, run, host;
};

struct git_repository_changes {
    const char *prefix; /* where it lies below the tree: "", ".git/", ".git/modules/x/" */
    struct git_ref *refs;
    size_t ref_count;
    bool is_unread;  /* its references are in another form than files, and were changed */
    size_t left_out; /* references whose names are none that git would take */
    struct git_head *heads;
    size_t head_count;
};

struct git_refs {
    struct git_repository_changes *items;
    size_t count;
    struct git_refs_reader *reader;
};

/* ERR_LIMIT, ERR_DAMAGED where what the run wrote is not what it was, ERR_IO, ERR_MEMORY. */
int git_refs_read(const struct worktree *worktree, struct git_refs *ret,
                  struct err *err) MUST_CHECK;
void git_refs_release(struct git_refs *refs);
/* Of any other reference: what the host has, and what the run saw at its end. */
int git_refs_look(const struct git_refs *refs, size_t repository, const char *name,
                  struct git_ref *ret, struct err *err) MUST_CHECK;

bool git_value_equal(const struct git_value *a, const struct git_value *b);
/* Whether git would take a name, all of it, for a reference's. */
bool git_ref_is_name(const char *name);

#endif
