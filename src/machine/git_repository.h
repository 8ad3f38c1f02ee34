/* git_repository: a work tree with its git directory, opened; HEAD and the few settings we need. */
#ifndef AM_MACHINE_GIT_REPOSITORY_H
#define AM_MACHINE_GIT_REPOSITORY_H

#include "machine/git_index.h"
#include "machine/git_state.h"

struct git_repository {
    int work;   /* the work tree's root */
    int git;    /* its git directory */
    int common; /* what all work trees of the repository share; may be the same */
    size_t oid_len;
    bool of_tables;     /* references are kept in tables, and not in files, */
    bool is_unread;     /* which could not be read: nothing is known of HEAD */
    bool converts;      /* line ends: files may differ from what git keeps of them */
    bool ignores_modes; /* core.fileMode = false */
    char url[GIT_URL_MAX + 1];
    char ref[GIT_REF_MAX + 1];
    char commit[GIT_COMMIT_MAX + 1];
};

/* 0 or -ENOENT where the directory is no work tree's root, or another -errno. Takes no ownership.
 */
int git_repository_open(struct git_repository *repository, int work) MUST_CHECK;
void git_repository_close(struct git_repository *repository);

/* An address as it may be kept: without user names that may be tokens, passwords and queries. */
void git_clean_url(struct str url, char ret[GIT_URL_MAX + 1]);

/* Compares the index with the commit and the files with the index, until a moment. */
enum git_dirty git_dirty_check(const struct git_repository *repository, int64_t deadline_ms,
                               unsigned depth, const char **ret_reason);
int64_t git_clock_ms(void);

#endif
