/*
 * artifact: bytes beside the database, named by their digest.
 *
 * Theory of operation. An artifact is `artifacts/sha256/ab/cd…`. It is written
 * to a file without a name, synced, linked under a random one, and renamed to
 * its place; then its folder is synced. Two who store the same bytes at once
 * put the same bytes in the same place. A crash leaves nothing that anybody
 * reads, and nothing at all unless it strikes between link and rename (or the
 * file system knows no files without names). Bytes that are there already are
 * compared, and replaced where they were damaged.
 */
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "ledger/internal.h"

#define ARTIFACT_FOLDER   "artifacts/sha256"
#define ARTIFACT_MODE     0400
#define NEW_MODE          0600
#define FOLDER_MODE       0700
#define NEW_PREFIX        ".new-"
#define DIGEST_PREFIX_LEN (sizeof("sha256:") - 1)
#define STEP_STORE        "store an artifact"
#define STEP_READ         "read an artifact"

struct place {
    char folder[PATH_MAX];
    char path[PATH_MAX];
    char new_path[PATH_MAX];
};

static int find_place(const struct ledger *ledger, const char *digest, struct place *ret,
                      const char *step, struct err *err)
{
    unsigned char hash[HASH_BYTES];
    if (!hash_parse(str_from(digest), hash))
        return err_set(err, ERR_DOCUMENT, step, "%.80s is no digest", digest);
    const char *hex = digest + DIGEST_PREFIX_LEN;
    int len = snprintf(ret->folder, sizeof(ret->folder), "%s/" ARTIFACT_FOLDER "/%.2s",
                       ledger->folder, hex);
    if (len < 0 || (size_t)len + DIGEST_TEXT_SIZE + sizeof(NEW_PREFIX) > sizeof(ret->folder))
        return err_set_errno(err, ENAMETOOLONG, step, "%s", ledger->folder);
    memcpy(ret->path, ret->folder, (size_t)len);
    memcpy(ret->new_path, ret->folder, (size_t)len);
    snprintf(ret->path + len, sizeof(ret->path) - (size_t)len, "/%s", hex + 2);
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return err_set_errno(err, errno, step, "draw a random name");
    snprintf(ret->new_path + len, sizeof(ret->new_path) - (size_t)len, "/" NEW_PREFIX "%016llx",
             (unsigned long long)random);
    return 0;
}

static int sync_folder(const char *path, struct err *err)
{
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_set_errno(err, errno, STEP_STORE, "%s", path);
    return 0;
}

/* Makes the folders down to the artifact's, each durable in the one above it. */
static int make_folders(const struct ledger *ledger, struct place *place, struct err *err)
{
    for (char *slash = place->folder + strlen(ledger->folder); slash;) {
        char *next = strchr(slash + 1, '/');
        if (next)
            *next = '\0';
        bool made = mkdir(place->folder, FOLDER_MODE) == 0;
        int error = made ? 0 : errno;
        *slash = '\0';
        int r = made ? sync_folder(place->folder, err) : 0;
        *slash = '/';
        if (!made && error != EEXIST)
            r = err_set_errno(err, error, STEP_STORE, "make %s", place->folder);
        if (next)
            *next = '/';
        if (r < 0)
            return r;
        slash = next;
    }
    return 0;
}

/* Whether the artifact's bytes are there already, and are these. */
static bool holds(const char *path, struct str bytes)
{
    _cleanup_(buf_release) struct buf found = BUF_INIT_LIMIT(bytes.len);
    return file_read(path, &found, NULL) == 0 && str_equal(buf_str(&found), bytes);
}

static int write_all(int fd, struct str bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes = str_from_offset(bytes, (size_t)n);
    }
    return 0;
}

/* Opens a new file: without a name, or where there are none such, under its random one. */
static int open_new(const struct place *place, bool *ret_named)
{
    int fd = open(place->folder, O_RDWR | O_TMPFILE | O_CLOEXEC, NEW_MODE);
    *ret_named = fd < 0;
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return fd < 0 ? -errno : fd;
    fd = open(place->new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, NEW_MODE);
    return fd < 0 ? -errno : fd;
}

static int link_new(int fd, const struct place *place)
{
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, place->new_path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int store(const struct place *place, struct str bytes, struct err *err)
{
    bool named = false;
    _cleanup_(cleanup_close) int fd = open_new(place, &named);
    int r = fd < 0 ? fd : write_all(fd, bytes);
    if (r == 0 && (fchmod(fd, ARTIFACT_MODE) < 0 || fsync(fd) < 0))
        r = -errno;
    if (r == 0 && !named)
        r = link_new(fd, place);
    if (r == 0 && rename(place->new_path, place->path) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        unlink(place->new_path); /* nothing half-written stays */
    if (r < 0)
        return err_set_errno(err, r == -EDQUOT ? ENOSPC : -r, STEP_STORE, "%s", place->path);
    return 0;
}

int ledger_store_artifact(struct ledger *ledger, struct str bytes,
                          char ret_digest[DIGEST_TEXT_SIZE], struct err *err)
{
    struct place place;
    unsigned char hash[HASH_BYTES];
    char digest[DIGEST_TEXT_SIZE];
    if (ledger->mode == LEDGER_READ)
        return err_set_errno(err, EROFS, STEP_STORE, "%s was opened for reading", ledger->folder);
    int r = ledger_need_hash(ledger, err);
    if (r < 0)
        return r;
    hash_message(ledger->hash, bytes, hash);
    hash_text(hash, digest);
    r = find_place(ledger, digest, &place, STEP_STORE, err);
    if (r == 0)
        r = make_folders(ledger, &place, err);
    if (r == 0 && !holds(place.path, bytes))
        r = store(&place, bytes, err);
    if (r == 0)
        r = sync_folder(place.folder, err);
    if (r == 0)
        memcpy(ret_digest, digest, sizeof(digest));
    return r;
}

int ledger_read_artifact(struct ledger *ledger, const char *digest, struct buf *ret,
                         struct err *err)
{
    struct place place;
    unsigned char wanted[HASH_BYTES], hash[HASH_BYTES];
    size_t begin = ret->len;
    int r = ledger_need_hash(ledger, err);
    if (r == 0)
        r = find_place(ledger, digest, &place, STEP_READ, err);
    if (r == 0)
        r = file_read(place.path, ret, err);
    if (r < 0)
        return r;
    hash_message(ledger->hash, str_make(ret->data + begin, ret->len - begin), hash);
    if (!hash_parse(str_from(digest), wanted) || memcmp(hash, wanted, HASH_BYTES) != 0)
        r = err_set(err, ERR_DAMAGED, STEP_READ, "%s no longer has its digest", place.path);
    if (r < 0)
        buf_truncate(ret, begin);
    return r;
}
