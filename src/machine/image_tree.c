/*
 * image_tree: the digest of a root directory.
 *
 * Over its names in their order: each with its depth, kind and mode, and the
 * digest of a file's contents or the target of a link. Nothing is followed, and
 * no file system that is mounted within is entered.
 *
 * Limits: IMAGE_ENTRIES_MAX, IMAGE_UNPACKED_MAX, TREE_DEPTH_MAX.
 */
#include <limits.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "machine/image.h"
#include "machine/layer.h"

#define STEP_TREE      "read the root directory"
#define TREE_DEPTH_MAX 256

struct walk {
    struct digest_stream *whole, *file;
    char *piece;
    dev_t device;
    size_t entries;
    int64_t bytes;
    struct err *err;
};

static int walk_folder(struct walk *walk, int folder, int depth);

static int add_entry(struct walk *walk, const char *name, const struct stat *status, int depth,
                     const char *digest)
{
    char line[NAME_MAX + DIGEST_TEXT_SIZE + 64];
    int len = snprintf(line, sizeof(line), "%d %o %s %s", depth, status->st_mode, name, digest);
    digest_stream_add(walk->whole, str_make(line, (size_t)len + 1)); /* with the NUL */
    return 0;
}

/* What only its owner may read, and that is another, has no contents for the digest or a run. */
static int add_contents(struct walk *walk, int folder, const char *name, const struct stat *status,
                        int depth)
{
    unsigned char bytes[DIGEST_BYTES];
    char digest[DIGEST_TEXT_SIZE];
    walk->bytes += S_ISREG(status->st_mode) ? status->st_size : 0;
    if (walk->bytes > IMAGE_UNPACKED_MAX)
        return err_set(walk->err, ERR_LIMIT, STEP_TREE, "it has more than %lld bytes",
                       (long long)IMAGE_UNPACKED_MAX);
    int r = layer_digest(folder, name, status, walk->piece, walk->file);
    digest_stream_end(walk->file, bytes);
    if (r == -EACCES || r == -EPERM)
        return add_entry(walk, name, status, depth, "closed");
    if (r < 0)
        return err_set_errno(walk->err, -r, STEP_TREE, "cannot read %s", name);
    digest_write(bytes, digest);
    return add_entry(walk, name, status, depth, digest);
}

static int add_name(struct walk *walk, int folder, const char *name, int depth)
{
    struct stat status;
    if (++walk->entries > IMAGE_ENTRIES_MAX || depth > TREE_DEPTH_MAX)
        return err_set(walk->err, ERR_LIMIT, STEP_TREE,
                       "it has too many entries, or too deep ones");
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set_errno(walk->err, errno, STEP_TREE, "cannot look at %s", name);
    if (S_ISREG(status.st_mode) || S_ISLNK(status.st_mode))
        return add_contents(walk, folder, name, &status, depth);
    int r = add_entry(walk, name, &status, depth, "");
    if (r < 0 || !S_ISDIR(status.st_mode) || status.st_dev != walk->device)
        return r;
    _cleanup_(cleanup_close) int below =
        openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return errno == EACCES ? add_entry(walk, name, &status, depth, "closed")
                               : err_set_errno(walk->err, errno, STEP_TREE, "cannot open %s", name);
    return walk_folder(walk, below, depth + 1);
}

static int walk_folder(struct walk *walk, int folder, int depth)
{
    struct names names = { 0 };
    int r = names_read(folder, &names);
    if (r < 0)
        r = err_set_errno(walk->err, -r, STEP_TREE, "cannot read a folder");
    names_sort(&names);
    for (size_t i = 0; i < names.count && r == 0; i++)
        r = add_name(walk, folder, names.items[i], depth);
    names_release(&names);
    return r;
}

int image_tree_digest(const char *path, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *whole = NULL, *file = NULL;
    _cleanup_(cleanup_free) char *piece = malloc(LAYER_PIECE_BYTES);
    _cleanup_(cleanup_close) int folder =
        open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    unsigned char bytes[DIGEST_BYTES];
    struct stat status;
    if (folder < 0 || fstat(folder, &status) < 0)
        return err_set_errno(err, errno, STEP_TREE, "cannot open %s", path);
    int r = piece ? digest_stream_new(DIGEST_SHA256, &whole, err)
                  : err_set(err, ERR_MEMORY, STEP_TREE, "there is not enough memory");
    if (r == 0)
        r = digest_stream_new(DIGEST_SHA256, &file, err);
    struct walk walk = {
        .whole = whole, .file = file, .piece = piece, .device = status.st_dev, .err = err
    };
    if (r == 0)
        r = walk_folder(&walk, folder, 0);
    if (r < 0)
        return r;
    digest_stream_end(whole, bytes);
    digest_write(bytes, ret);
    return 0;
}
