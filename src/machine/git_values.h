/*
 * git_values: what a file of a repository held at three moments: the launch, the run's end, now.
 *
 * For git_refs.c alone.
 */
#ifndef AM_MACHINE_GIT_VALUES_H
#define AM_MACHINE_GIT_VALUES_H

#include "machine/git_refs.h"

#define STEP_REFS "read the run's references"

enum git_moment { GIT_LAUNCH, GIT_RUN, GIT_HOST, GIT_MOMENTS };

/* The file of references that were packed, at one moment. */
struct git_packed {
    bool known;
    struct buf text;
    struct map at; /* by name, where the line begins */
};

struct git_refs_reader {
    const struct worktree *worktree;
    struct arena arena;          /* values, names */
    struct map written, deleted; /* the run's changes, by path */
    struct git_packed packed[GIT_REPOSITORIES_MAX][GIT_MOMENTS];
    bool has_packed[GIT_REPOSITORIES_MAX]; /* they have been read */
};

/* The change of a path that is a file or a link and was written, or was deleted; or NULL. */
const struct changed_path *git_values_written(const struct git_refs_reader *reader,
                                              const char *path);
const struct changed_path *git_values_deleted(const struct git_refs_reader *reader,
                                              const char *path);

/*
 * The file's three texts as values; GIT_ABSENT where there was none. One that is packed is not
 * looked for here.
 */
int git_values_of_file(struct git_refs_reader *reader, const char *path,
                       struct git_value ret[GIT_MOMENTS], struct err *err) MUST_CHECK;
int git_values_read_packed(struct git_refs_reader *reader, size_t repository, const char *prefix,
                           struct err *err) MUST_CHECK;
/* GIT_NOT_KNOWN where the file of that moment is not. */
int git_values_of_packed(struct git_refs_reader *reader, const struct git_packed *packed,
                         struct str name, struct git_value *ret, struct err *err) MUST_CHECK;
/* What a file of one value says; what, in `ret`, which lies in the text. */
enum git_value_kind git_values_parse(struct str text, struct str *ret);
/* The next line that says where a reference stands; false after the last. */
bool git_values_next_packed(const struct git_packed *packed, size_t *at, struct str *ret_object,
                            struct str *ret_name);

#endif
