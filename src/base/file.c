/* file: see the header. Regular files are read in one go, streams in growing steps. */
#include "base/file.h"

#include <sys/stat.h>

#define READ_STEP_BYTES ((size_t)64 << 10)

int file_read_fd(int fd, const char *name, struct buf *ret, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        return err_set_errno(err, EISDIR, "read a file", "%s", name);
    size_t step = READ_STEP_BYTES;
    if (S_ISREG(status.st_mode) && status.st_size > 0 && (size_t)status.st_size < ret->limit)
        step = (size_t)status.st_size + 1;
    for (;;) {
        size_t left = ret->limit - ret->len;
        char extra;
        char *room = left ? buf_reserve(ret, left < step ? left : step) : &extra;
        if (!room)
            return err_set_errno(err, -ret->error, "read a file", "%s", name);
        ssize_t n = read(fd, room, left ? (left < step ? left : step) : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, "read a file", "%s", name);
        if (n == 0)
            return 0;
        if (!left)
            return err_set(err, ERR_LIMIT, "read a file", "%s is larger than %zu bytes", name,
                           ret->limit);
        ret->len += (size_t)n;
        ret->data[ret->len] = '\0';
        step = READ_STEP_BYTES;
    }
}

int file_read(const char *path, struct buf *ret, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return file_read_fd(STDIN_FILENO, "standard input", ret, err);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set_errno(err, errno, "open a file", "%s", path);
    return file_read_fd(fd, path, ret, err);
}
