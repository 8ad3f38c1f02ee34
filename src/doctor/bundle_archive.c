/*
 * bundle_archive: files to a frame, the same bytes every time.
 *
 * Theory of operation. libarchive writes the tar (ustar) into memory, with
 * what could differ between two machines or days fixed: times 0, owner 0
 * without a name, mode 0644. zstd packs it in one frame, by one thread at a
 * fixed level, with its checksum. Both libraries are loaded on first use.
 *
 * Two frames read as one archive because the tar in the first does not end:
 * its blocks of zeros are left out, and the second one's end it all. The same
 * version of zstd gives the same bytes; another one may pack otherwise, which
 * changes the bundle's digest and no file's.
 */
#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include "base/lazy.h"
#include "doctor/bundle.h"

#define STEP      "pack a bundle"
#define LEVEL     9
#define TAR_BLOCK 512
#define END_BYTES (2 * TAR_BLOCK)
#define FILE_MODE 0644

#define ARCHIVE_FUNCTIONS(X)                                                                       \
    X(archive_write_new)                                                                           \
    X(archive_write_set_format_ustar)                                                              \
    X(archive_write_add_filter_none)                                                               \
    X(archive_write_set_bytes_per_block)                                                           \
    X(archive_write_set_bytes_in_last_block)                                                       \
    X(archive_write_open)                                                                          \
    X(archive_write_header)                                                                        \
    X(archive_write_data)                                                                          \
    X(archive_write_close)                                                                         \
    X(archive_write_free)                                                                          \
    X(archive_entry_new)                                                                           \
    X(archive_entry_clear)                                                                         \
    X(archive_entry_free)                                                                          \
    X(archive_entry_set_pathname)                                                                  \
    X(archive_entry_set_filetype)                                                                  \
    X(archive_entry_set_perm)                                                                      \
    X(archive_entry_set_size)                                                                      \
    X(archive_entry_set_mtime)                                                                     \
    X(archive_error_string)
LAZY_LIBRARY(tar, "libarchive.so.13", ARCHIVE_FUNCTIONS)

#define ZSTD_FUNCTIONS(X)                                                                          \
    X(ZSTD_compressBound)                                                                          \
    X(ZSTD_createCCtx)                                                                             \
    X(ZSTD_CCtx_setParameter)                                                                      \
    X(ZSTD_compress2)                                                                              \
    X(ZSTD_freeCCtx)                                                                               \
    X(ZSTD_isError)                                                                                \
    X(ZSTD_getErrorName)
LAZY_LIBRARY(zstd, "libzstd.so.1", ZSTD_FUNCTIONS)

static la_ssize_t to_buf(struct archive *archive, void *context, const void *bytes, size_t len)
{
    (void)archive;
    return buf_add(context, bytes, len) < 0 ? -1 : (la_ssize_t)len;
}

static int write_entry(struct archive *archive, struct archive_entry *header,
                       const struct bundle_entry *entry)
{
    tar.archive_entry_clear(header);
    tar.archive_entry_set_pathname(header, entry->path);
    tar.archive_entry_set_filetype(header, AE_IFREG);
    tar.archive_entry_set_perm(header, FILE_MODE);
    tar.archive_entry_set_size(header, (int64_t)entry->bytes.len);
    tar.archive_entry_set_mtime(header, 0, 0);
    if (tar.archive_write_header(archive, header) != ARCHIVE_OK)
        return -EIO;
    return tar.archive_write_data(archive, entry->bytes.ptr, entry->bytes.len) ==
                   (la_ssize_t)entry->bytes.len
               ? 0
               : -EIO;
}

static int write_tar(const struct bundle_entry *entries, size_t count, struct buf *ret,
                     struct err *err)
{
    struct archive *archive = tar.archive_write_new();
    struct archive_entry *header = tar.archive_entry_new();
    int r = archive && header && tar.archive_write_set_format_ustar(archive) == ARCHIVE_OK &&
                    tar.archive_write_add_filter_none(archive) == ARCHIVE_OK &&
                    tar.archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK &&
                    tar.archive_write_set_bytes_in_last_block(archive, 1) == ARCHIVE_OK &&
                    tar.archive_write_open(archive, ret, NULL, to_buf, NULL) == ARCHIVE_OK
                ? 0
                : -EIO;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = write_entry(archive, header, &entries[i]);
    if (r == 0 && tar.archive_write_close(archive) != ARCHIVE_OK)
        r = -EIO;
    if (r < 0)
        err_set(err, ret->error ? ERR_MEMORY : ERR_IO, STEP, "%s",
                archive && tar.archive_error_string(archive) ? tar.archive_error_string(archive)
                                                             : "libarchive fails");
    tar.archive_entry_free(header);
    tar.archive_write_free(archive);
    return r;
}

static int compress(struct str bytes, struct buf *ret, struct err *err)
{
    size_t room = zstd.ZSTD_compressBound(bytes.len);
    char *to = buf_reserve(ret, room);
    ZSTD_CCtx *context = to ? zstd.ZSTD_createCCtx() : NULL;
    if (!context)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    size_t r = zstd.ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
    if (!zstd.ZSTD_isError(r))
        r = zstd.ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (!zstd.ZSTD_isError(r))
        r = zstd.ZSTD_compress2(context, to, room, bytes.ptr, bytes.len);
    zstd.ZSTD_freeCCtx(context);
    if (zstd.ZSTD_isError(r))
        return err_set(err, ERR_IO, STEP, "zstd fails: %s", zstd.ZSTD_getErrorName(r));
    ret->len += r;
    ret->data[ret->len] = '\0';
    return 0;
}

int bundle_archive(const struct bundle_entry *entries, size_t count, bool ends, struct buf *ret,
                   struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(2 * BUNDLE_BYTES_MAX);
    int r = lazy_load(&tar_library, err);
    if (r == 0)
        r = lazy_load(&zstd_library, err);
    if (r == 0)
        r = write_tar(entries, count, &bytes, err);
    if (r < 0)
        return r;
    if (!ends && bytes.len >= END_BYTES)
        buf_truncate(&bytes, bytes.len - END_BYTES);
    return compress(buf_str(&bytes), ret, err);
}
