/*
 * held: what a host executes or trusts without meaning to, in what a run has changed.
 *
 * A file that tells git, a shell, an editor, a build or another agent what to do is held apart when
 * its contents come from a run: it is applied only when a person names it. So is what brings a
 * program, more rights, a way out of the tree, or a secret.
 */
#ifndef AM_MACHINE_HELD_H
#define AM_MACHINE_HELD_H

#include "base/redact.h"
#include "machine/worktree.h"

/* Why a change is held: the first rule that says so. */
struct held {
    const char *rule;   /* its name; NULL: not held */
    const char *reason; /* one line */
    bool never;         /* not applied either when it is named */
};

struct held_rule {
    const char *name;
    const char *patterns[16]; /* as path_patterns.h has them, in lower case */
    const char *reason;
    bool never;
};

/* The rules that a path alone decides. */
extern const struct held_rule held_rules[];
extern const size_t held_rule_count;

#define HELD_SCAN_BYTES_MAX ((uint64_t)64 << 20) /* a larger file is held for its size alone */

/*
 * Looks at one change: its path, its kind and mode, then its contents. A scanner of NULL leaves
 * secrets aside. What cannot be read is held. ERR_MEMORY, ERR_UNSUPPORTED.
 */
int held_look(const struct worktree *worktree, const struct changed_path *change,
              struct redact_scanner *scanner, struct held *ret, struct err *err) MUST_CHECK;

/* Whether a path is that of git's own data, which is never copied. */
bool held_is_git_data(const char *path, bool of_git);
/* Why a change is held for its path, kind or mode alone. */
struct held held_by_itself(const struct changes *changes, size_t index);
/* How many files are held for these. */
size_t held_count(const struct changes *changes);

#endif
