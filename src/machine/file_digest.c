/* file_digest: see the header. The cache is the user's own, and private to him. */
#include "machine/file_digest.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"

#define STEP_DIGEST    "take the digest of a program"
#define FILE_BYTES_MAX ((int64_t)4 << 30)
#define PATH_BYTES_MAX 4096
#define LINE_BYTES_MAX 256

/* What the file is now, as the cache writes it. */
static void describe(const struct stat *status, char ret[LINE_BYTES_MAX])
{
    snprintf(ret, LINE_BYTES_MAX, "%" PRId64 " %" PRId64 ".%09ld ", (int64_t)status->st_size,
             (int64_t)status->st_ctim.tv_sec, (long)status->st_ctim.tv_nsec);
}

static bool recall(const char *cache, const char *what, char ret[DIGEST_TEXT_SIZE])
{
    char line[LINE_BYTES_MAX];
    _cleanup_(cleanup_close) int fd = open(cache, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof(line));
    size_t known = strlen(what);
    if (len != (ssize_t)(known + DIGEST_TEXT_SIZE - 1) || memcmp(line, what, known) != 0)
        return false;
    memcpy(ret, line + known, DIGEST_TEXT_SIZE - 1);
    ret[DIGEST_TEXT_SIZE - 1] = '\0';
    return true;
}

static void keep(const char *cache, const char *what, const char *digest)
{
    char line[LINE_BYTES_MAX], fresh[PATH_BYTES_MAX + 16];
    int len = snprintf(line, sizeof(line), "%s%s", what, digest);
    snprintf(fresh, sizeof(fresh), "%s.%d", cache, getpid());
    _cleanup_(cleanup_close) int fd =
        open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (write(fd, line, (size_t)len) != len || rename(fresh, cache) < 0)
        unlink(fresh);
}

static int compute(int fd, const struct stat *status, const char *path, char ret[DIGEST_TEXT_SIZE],
                   struct err *err)
{
    size_t len = (size_t)status->st_size;
    if (status->st_size > FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, STEP_DIGEST, "%s is too large", path);
    if (len == 0)
        return digest_text(STR(""), ret, err);
    void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return err_set_errno(err, errno, STEP_DIGEST, "cannot read %s", path);
    int r = digest_text(str_make(bytes, len), ret, err);
    munmap(bytes, len);
    return r;
}

int file_digest(const char *path, const char *cache_folder, char ret[DIGEST_TEXT_SIZE],
                struct err *err)
{
    struct stat status;
    char cache[PATH_BYTES_MAX], what[LINE_BYTES_MAX];
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_set_errno(err, errno, STEP_DIGEST, "cannot open %s", path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_IO, STEP_DIGEST, "%s is no file", path);
    snprintf(cache, sizeof(cache), "%s/%" PRIx64 "-%" PRIx64, cache_folder, (uint64_t)status.st_dev,
             (uint64_t)status.st_ino);
    describe(&status, what);
    if (recall(cache, what, ret))
        return 0;
    int r = compute(fd, &status, path, ret, err);
    if (r == 0 && file_make_folder(cache_folder, NULL) == 0)
        keep(cache, what, ret);
    return r;
}
