/*
 * image_unpack: the layers of an image, verified as they become a tree.
 *
 * Theory of operation. A layer's bytes are read once. On their way they are
 * hashed as they lie there, decompressed by libarchive, hashed again as the
 * tar archive that they are, and taken apart by libarchive into entries. Both
 * digests are known only at the end, and so nothing that was made is used
 * before: the tree gets its name when all of it is verified (image.c).
 *
 * Limits: a layer has the size that its manifest says; what it unpacks to, with
 * the holes of its files, is bounded in all (IMAGE_UNPACKED_MAX) and by its own size
 * (IMAGE_RATIO_MAX), so that a bomb ends early; IMAGE_ENTRIES_MAX.
 */
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "base/lazy.h"
#include "machine/image.h"
#include "machine/image_apply.h"

#define STEP_UNPACK "unpack the image"
#define PIECE_BYTES ((size_t)128 << 10)

#define ARCHIVE_FUNCTIONS(X)                                                                       \
    X(archive_read_new)                                                                            \
    X(archive_read_free)                                                                           \
    X(archive_read_support_format_raw)                                                             \
    X(archive_read_support_format_tar)                                                             \
    X(archive_read_support_filter_gzip)                                                            \
    X(archive_read_support_filter_zstd)                                                            \
    X(archive_read_open)                                                                           \
    X(archive_read_next_header)                                                                    \
    X(archive_read_data)                                                                           \
    X(archive_error_string)                                                                        \
    X(archive_entry_pathname)                                                                      \
    X(archive_entry_pathname_utf8)                                                                 \
    X(archive_entry_hardlink)                                                                      \
    X(archive_entry_hardlink_utf8)                                                                 \
    X(archive_entry_symlink)                                                                       \
    X(archive_entry_symlink_utf8)                                                                  \
    X(archive_entry_mode)                                                                          \
    X(archive_entry_mtime)                                                                         \
    X(archive_entry_mtime_nsec)
LAZY_LIBRARY(lib, "libarchive.so.13", ARCHIVE_FUNCTIONS)

/* One layer on its way. */
struct unpacking {
    int blob;
    int64_t size, read;       /* of its bytes as they lie there */
    int64_t unpacked, before; /* of this layer, and of those below it */
    int64_t written;          /* into this layer's files: holes are in it */
    struct digest_stream *packed_digest, *digest;
    struct archive *outer, *inner; /* decompresses; takes the archive apart */
    char *packed, *piece, *contents;
    struct image_apply *apply;
    struct err *err; /* why a callback failed */
    bool failed;
};

static int fail(struct unpacking *layer, int r)
{
    layer->failed = true;
    return r;
}

/* --- bytes on their way -------------------------------------------------------------------- */

static la_ssize_t read_packed(struct archive *archive, void *context, const void **ret)
{
    struct unpacking *layer = context;
    ssize_t n;
    (void)archive;
    do
        n = read(layer->blob, layer->packed, PIECE_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(layer, err_set_errno(layer->err, errno, STEP_UNPACK, "cannot read a layer"));
    layer->read += n;
    if (layer->read > layer->size)
        return fail(layer, err_set(layer->err, ERR_DENIED, STEP_UNPACK,
                                   "a layer is longer than the image says"));
    digest_stream_add(layer->packed_digest, str_make(layer->packed, (size_t)n));
    *ret = layer->packed;
    return n;
}

static int check_growth(struct unpacking *layer)
{
    const int64_t grown = layer->unpacked > layer->written ? layer->unpacked : layer->written;
    if (layer->before + grown > IMAGE_UNPACKED_MAX)
        return err_set(layer->err, ERR_LIMIT, STEP_UNPACK,
                       "the image unpacks to more than %lld "
                       "bytes",
                       (long long)IMAGE_UNPACKED_MAX);
    if (grown > IMAGE_RATIO_FROM && grown / IMAGE_RATIO_MAX > layer->read)
        return err_set(layer->err, ERR_LIMIT, STEP_UNPACK,
                       "a layer unpacks to more than %d times its bytes", IMAGE_RATIO_MAX);
    return 0;
}

static la_ssize_t read_unpacked(struct archive *archive, void *context, const void **ret)
{
    struct unpacking *layer = context;
    (void)archive;
    la_ssize_t n = lib.archive_read_data(layer->outer, layer->piece, PIECE_BYTES);
    if (layer->failed)
        return -1;
    if (n < 0)
        return fail(layer, err_set(layer->err, ERR_DOCUMENT, STEP_UNPACK,
                                   "a layer cannot be decompressed: %s",
                                   lib.archive_error_string(layer->outer) ?: "it is damaged"));
    layer->unpacked += n;
    int r = check_growth(layer);
    if (r < 0)
        return fail(layer, r);
    digest_stream_add(layer->digest, str_make(layer->piece, (size_t)n));
    *ret = layer->piece;
    return n;
}

/* --- entries ------------------------------------------------------------------------------- */

/* A name in whichever form the archive has it. */
static const char *text_in(const char *plain, const char *utf8)
{
    return plain ? plain : utf8;
}

static int copy_contents(struct unpacking *layer, int file)
{
    la_ssize_t n;
    while ((n = lib.archive_read_data(layer->inner, layer->contents, PIECE_BYTES)) > 0) {
        layer->written += n;
        int r = check_growth(layer);
        if (r < 0)
            return r;
        for (la_ssize_t at = 0; at < n;) {
            ssize_t written = write(file, layer->contents + at, (size_t)(n - at));
            if (written < 0 && errno != EINTR)
                return err_set_errno(layer->err, errno, STEP_UNPACK, "cannot write a file");
            at += written > 0 ? written : 0;
        }
    }
    return n < 0 && !layer->failed
               ? err_set(layer->err, ERR_DOCUMENT, STEP_UNPACK, "a layer is damaged: %s",
                         lib.archive_error_string(layer->inner) ?: "it ends within a file")
           : n < 0 ? -EIO
                   : 0;
}

static int unpack_entry(struct unpacking *layer, struct archive_entry *from)
{
    struct image_entry entry = {
        .path = text_in(lib.archive_entry_pathname(from), lib.archive_entry_pathname_utf8(from)),
        .mode = lib.archive_entry_mode(from),
        .changed = { .tv_sec = lib.archive_entry_mtime(from),
                     .tv_nsec = lib.archive_entry_mtime_nsec(from) },
    };
    entry.link = text_in(lib.archive_entry_hardlink(from), lib.archive_entry_hardlink_utf8(from));
    entry.is_hard_link = entry.link != NULL;
    if (!entry.link)
        entry.link = text_in(lib.archive_entry_symlink(from), lib.archive_entry_symlink_utf8(from));
    if (!entry.path)
        return err_set(layer->err, ERR_DENIED, STEP_UNPACK, "a layer has an entry without a path");
    int file;
    int r = image_apply_entry(layer->apply, &entry, &file, layer->err);
    if (r < 0 || file < 0)
        return r;
    r = copy_contents(layer, file);
    if (r < 0) {
        close(file);
        return r;
    }
    return image_apply_file(file, &entry, layer->err);
}

/* Nothing behind the archive's end is lost to the digests. */
static int read_rest(struct unpacking *layer)
{
    const void *piece;
    la_ssize_t n;
    while ((n = read_unpacked(NULL, layer, &piece)) > 0)
        continue;
    if (n < 0)
        return -EIO;
    while ((n = read_packed(NULL, layer, &piece)) > 0)
        continue;
    return n < 0 ? -EIO : 0;
}

static int read_entries(struct unpacking *layer)
{
    struct archive_entry *entry;
    int status, r = 0;
    if (lib.archive_read_open(layer->outer, layer, NULL, read_packed, NULL) != ARCHIVE_OK ||
        lib.archive_read_next_header(layer->outer, &entry) != ARCHIVE_OK ||
        lib.archive_read_open(layer->inner, layer, NULL, read_unpacked, NULL) != ARCHIVE_OK)
        return layer->failed ? -EIO
                             : err_set(layer->err, ERR_DOCUMENT, STEP_UNPACK,
                                       "a layer is no archive (tar, gzip or zstd)");
    while (r == 0 && ((status = lib.archive_read_next_header(layer->inner, &entry)) == ARCHIVE_OK ||
                      status == ARCHIVE_WARN))
        r = unpack_entry(layer, entry);
    if (r == 0 && status != ARCHIVE_EOF)
        r = layer->failed ? -EIO
                          : err_set(layer->err, ERR_DOCUMENT, STEP_UNPACK, "a layer is damaged: %s",
                                    lib.archive_error_string(layer->inner) ?: "it ends early");
    return r < 0 ? r : read_rest(layer);
}

/* --- one layer ----------------------------------------------------------------------------- */

static int check_digest(struct digest_stream *stream, const char *wanted, const char *what,
                        struct err *err)
{
    unsigned char bytes[DIGEST_BYTES];
    char text[DIGEST_TEXT_SIZE];
    digest_stream_end(stream, bytes);
    digest_write(bytes, text);
    return strcmp(text, wanted) == 0
               ? 0
               : err_set(err, ERR_DENIED, STEP_UNPACK,
                         "%s of the image has other bytes than its digest %s says", what, wanted);
}

static int unpack_layer(const struct image *image, size_t index, struct unpacking *layer)
{
    _cleanup_(cleanup_close) int blob =
        open(image->blobs[index], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (blob < 0 || fstat(blob, &status) < 0)
        return err_set_errno(layer->err, errno, STEP_UNPACK, "%s", image->blobs[index]);
    if (!S_ISREG(status.st_mode))
        return err_set(layer->err, ERR_DENIED, STEP_UNPACK, "%s is no file", image->blobs[index]);
    layer->before += layer->unpacked > layer->written ? layer->unpacked : layer->written;
    layer->blob = blob;
    layer->size = image->sizes[index];
    layer->read = layer->unpacked = layer->written = 0;
    layer->outer = lib.archive_read_new();
    layer->inner = lib.archive_read_new();
    int r = layer->outer && layer->inner
                ? 0
                : err_set(layer->err, ERR_MEMORY, STEP_UNPACK, "there is not enough memory");
    if (r == 0) {
        lib.archive_read_support_format_raw(layer->outer);
        lib.archive_read_support_filter_gzip(layer->outer);
        lib.archive_read_support_filter_zstd(layer->outer);
        lib.archive_read_support_format_tar(layer->inner);
        image_apply_begin(layer->apply);
        r = read_entries(layer);
    }
    lib.archive_read_free(layer->inner);
    lib.archive_read_free(layer->outer);
    if (r == 0 && layer->read != layer->size)
        r = err_set(layer->err, ERR_DENIED, STEP_UNPACK, "a layer is shorter than the image says");
    if (r == 0)
        r = check_digest(layer->packed_digest, image->layers[index], "a layer", layer->err);
    return r < 0 ? r
                 : check_digest(layer->digest, image->diffs[index], "the contents of a layer",
                                layer->err);
}

int image_unpack(const struct image *image, int folder, struct err *err)
{
    struct err why = { 0 };
    struct unpacking layer = { .err = &why };
    _cleanup_(cleanup_free) char *memory = malloc(3 * PIECE_BYTES);
    int r = lazy_load(&lib_library, &why);
    if (r == 0 && !memory)
        r = err_set(&why, ERR_MEMORY, STEP_UNPACK, "there is not enough memory");
    layer.packed = memory;
    layer.piece = memory ? memory + PIECE_BYTES : NULL;
    layer.contents = memory ? memory + 2 * PIECE_BYTES : NULL;
    if (r == 0)
        r = digest_stream_new(DIGEST_SHA256, &layer.packed_digest, &why);
    if (r == 0)
        r = digest_stream_new(DIGEST_SHA256, &layer.digest, &why);
    if (r == 0)
        r = image_apply_new(folder, &layer.apply, &why);
    for (size_t i = 0; i < image->layer_count && r == 0; i++)
        r = unpack_layer(image, i, &layer);
    if (r == 0)
        r = image_apply_end(layer.apply, &why);
    image_apply_free(layer.apply);
    digest_stream_free(layer.digest);
    digest_stream_free(layer.packed_digest);
    if (r < 0 && err)
        *err = why;
    return r;
}
