/*
 * worktree_paths: lists of paths beside the list of changes: what was thrown away of it, and what
 * the run could not see.
 *
 * A line for each: a length, a blank, the path, a line feed. Paths may hold anything.
 */
#include "base/file.h"
#include "machine/worktree_kept.h"

int kept_append_paths(const char *layer, const char *name, const struct buf *lines, struct err *err)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/%s", layer, name);
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || lines->error || write(fd, lines->data, lines->len) != (ssize_t)lines->len)
        return err_set_errno(err, lines->error ? ENOMEM : errno, STEP_WORKTREE, "write %s", path);
    return TAKE_FD(fd);
}

int kept_read_paths(const char *layer, const char *name, struct buf *text, kept_path_visit *visit,
                    void *context, struct err *err)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/%s", layer, name);
    int r = access(path, F_OK) < 0 && errno == ENOENT ? 0 : file_read(path, text, err);
    for (size_t at = 0; at < text->len && r == 0;) {
        char *end = NULL;
        unsigned long long len = strtoull(text->data + at, &end, 10);
        size_t from = (size_t)(end - text->data) + 1;
        if (*end != ' ' || len > CHANGES_PATH_MAX || from + len >= text->len)
            return err_set(err, ERR_DAMAGED, STEP_WORKTREE, "%s cannot be read", path);
        if (visit(context, str_make(text->data + from, len)) == -ENOMEM)
            return err_set(err, ERR_MEMORY, STEP_WORKTREE, "there is not enough memory");
        at = from + len + 1;
    }
    return r;
}
