/*
 * git_values: what a file of a repository held at three moments: the launch, the run's end, now.
 *
 * For git_refs.c alone.
 */
#ifndef AM_MACHINE_GIT_VALUES_H
#define AM_MACHINE_GIT_VALUES_H

#include "machine/git_refs.h"

#define STEP_REFS "read the run's references"

#define GIT_PACKED_BYTES_MAX ((size_t)16 << 20)

enum git_moment { GIT_LAUNCH, GIT_RUN, GIT_HOST, GIT_MOMENTS };

/*
 * References that are not files of their own, at one moment: a line for each, its value first. They
 * stand in the file of packed ones, or in tables. Of tables the value may be "ref:" and another
 * reference's name, "-" where the reference is gone, "?" where it is nothing that git would take.
 */
struct git_packed {
    bool known;
    bool of_tables;
    bool partial; /* of tables: some are not there any more, so what is not named is not known */
    struct buf text;
    struct map at; /* by name, where the line begins */
};

struct git_refs_reader {
    const struct worktree *worktree;
    struct arena arena;          /* values, names */
    struct map written, deleted; /* the run's changes, by path */
    struct git_packed packed[GIT_REPOSITORIES_MAX][GIT_MOMENTS];
    bool has_packed[GIT_REPOSITORIES_MAX]; /* they have been read */
    bool of_tables[GIT_REPOSITORIES_MAX];  /* as the host keeps them */
};

/* The change of a path that is a file or a link and was written, or was deleted; or NULL. */
const struct changed_path *git_values_written(const struct git_refs_reader *reader,
                                              const char *path);
const struct changed_path *git_values_deleted(const struct git_refs_reader *reader,
                                              const char *path);

/* A file at one moment: 1 with its text, 0 where there was none, -ENODATA where it is not known. */
int git_values_read(const struct git_refs_reader *reader, const char *path, enum git_moment moment,
                    struct buf *ret, struct err *err) MUST_CHECK;

/*
 * The file's three texts as values; GIT_ABSENT where there was none. One that is packed is not
 * looked for here.
 */
int git_values_of_file(struct git_refs_reader *reader, const char *path,
                       struct git_value ret[GIT_MOMENTS], struct err *err) MUST_CHECK;
int git_values_read_packed(struct git_refs_reader *reader, size_t repository, const char *prefix,
                           struct err *err) MUST_CHECK;
/* What the log of a reference says of where it stood at the launch, and whether the run began it.
 */
int git_values_of_log(struct git_refs_reader *reader, const char *path, struct git_value *ret,
                      bool *ret_begun, struct err *err) MUST_CHECK;
/* GIT_NOT_KNOWN where the file of that moment is not. */
int git_values_of_packed(struct git_refs_reader *reader, const struct git_packed *packed,
                         struct str name, struct git_value *ret, struct err *err) MUST_CHECK;
/* What a file of one value says; what, in `ret`, which lies in the text. */
enum git_value_kind git_values_parse(struct str text, struct str *ret);
/* The next line that says where a reference stands; false after the last. */
bool git_values_next_packed(const struct git_packed *packed, size_t *at, struct str *ret_value,
                            struct str *ret_name);
/* The value in the line that begins there. */
struct str git_values_packed_at(const struct git_packed *packed, uint32_t at);
/* Where the last line of a reference's log says that it stood then; empty where it says nothing. */
struct str git_values_last_logged(struct str log);
void git_packed_release(struct git_packed *packed);

#endif
