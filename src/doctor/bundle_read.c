/*
 * bundle_read: a bundle of anyone's, looked into.
 *
 * Theory of operation. The first frame's length says where the second begins,
 * whose digest is the one that the manifest has. Both are unpacked into one
 * buffer, and libarchive walks over it with nothing switched on but tar. Each
 * entry has to be a plain file with a relative path without dot segments, in
 * its place among the sorted. Nothing is written to any file system, so that a
 * link, a device or a path that leads elsewhere has nothing to act on; it is
 * refused all the same, because whoever unpacks the bundle by other means
 * would meet it.
 *
 * Limits: what is unpacked (BUNDLE_BYTES_MAX, with room for headers), entries,
 * paths, the manifest, and zstd's window. A bomb ends at the first of these.
 */
#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include "base/json.h"
#include "base/lazy.h"
#include "base/utf8.h"
#include "doctor/bundle.h"

#define STEP           "look into a bundle"
#define UNPACKED_MAX   (BUNDLE_BYTES_MAX + BUNDLE_ENTRIES_MAX * (size_t)2048)
#define UNPACK_BYTES   ((size_t)256 << 10)
#define WINDOW_LOG_MAX 27

#define ARCHIVE_FUNCTIONS(X)                                                                       \
    X(archive_read_new)                                                                            \
    X(archive_read_support_format_tar)                                                             \
    X(archive_read_open_memory)                                                                    \
    X(archive_read_next_header)                                                                    \
    X(archive_read_data)                                                                           \
    X(archive_read_free)                                                                           \
    X(archive_entry_pathname)                                                                      \
    X(archive_entry_filetype)                                                                      \
    X(archive_entry_hardlink)                                                                      \
    X(archive_entry_symlink)                                                                       \
    X(archive_entry_size)                                                                          \
    X(archive_error_string)
LAZY_LIBRARY(tar, "libarchive.so.13", ARCHIVE_FUNCTIONS)

#define ZSTD_FUNCTIONS(X)                                                                          \
    X(ZSTD_findFrameCompressedSize)                                                                \
    X(ZSTD_createDCtx)                                                                             \
    X(ZSTD_DCtx_setParameter)                                                                      \
    X(ZSTD_decompressStream)                                                                       \
    X(ZSTD_freeDCtx)                                                                               \
    X(ZSTD_isError)                                                                                \
    X(ZSTD_getErrorName)
LAZY_LIBRARY(zstd, "libzstd.so.1", ZSTD_FUNCTIONS)

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

/* --- unpacking ----------------------------------------------------------------------------- */

static int unpack_with(ZSTD_DCtx *context, struct str packed, struct buf *ret, struct err *err)
{
    ZSTD_inBuffer in = { packed.ptr, packed.len, 0 };
    size_t left = 1; /* of a frame */
    while (in.pos < in.size || left) {
        char *to = buf_reserve(ret, UNPACK_BYTES);
        if (!to)
            return ret->error == -EMSGSIZE
                       ? err_set(err, ERR_LIMIT, STEP, "unpacked it is longer than %zu bytes",
                                 UNPACKED_MAX)
                       : no_memory(err);
        ZSTD_outBuffer out = { to, UNPACK_BYTES, 0 };
        size_t begin = in.pos;
        left = zstd.ZSTD_decompressStream(context, &out, &in);
        if (zstd.ZSTD_isError(left))
            return err_set(err, ERR_SYNTAX, STEP, "zstd: %s", zstd.ZSTD_getErrorName(left));
        ret->len += out.pos;
        ret->data[ret->len] = '\0';
        if (in.pos == begin && out.pos == 0 && left)
            return err_set(err, ERR_SYNTAX, STEP, "it ends too early");
    }
    return 0;
}

static int unpack(struct str packed, struct buf *ret, struct err *err)
{
    ZSTD_DCtx *context = zstd.ZSTD_createDCtx();
    if (!context)
        return no_memory(err);
    size_t set = zstd.ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    int r = zstd.ZSTD_isError(set) ? err_set(err, ERR_UNSUPPORTED, STEP, "zstd takes no limits")
                                   : unpack_with(context, packed, ret, err);
    zstd.ZSTD_freeDCtx(context);
    return r;
}

/* --- entries ------------------------------------------------------------------------------- */

/* Relative, without dot segments, control characters and backslashes. */
static bool is_inside(const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(((struct bundle_view_entry *)NULL)->path) || path[0] == '/')
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)path[i] < ' ' || path[i] == 0x7f || path[i] == '\\')
            return false;
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t part = strcspn(at, "/");
        if (part == 0 || (part == 1 && at[0] == '.') || (part == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += part;
        if (!*at)
            break;
    }
    return utf8_valid(str_make(path, len));
}

static int check_entry(const struct bundle_view *view, struct archive_entry *header,
                       struct err *err)
{
    const char *path = tar.archive_entry_pathname(header);
    const struct bundle_view_entry *before =
        view->entry_count ? &view->entries[view->entry_count - 1] : NULL;
    if (view->entry_count == BUNDLE_ENTRIES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "it has more than %d entries", BUNDLE_ENTRIES_MAX);
    if (!path || !is_inside(path))
        return err_set(err, ERR_DOCUMENT, STEP, "entry %zu has a path that leads out of the bundle",
                       view->entry_count + 1);
    if (tar.archive_entry_filetype(header) != AE_IFREG || tar.archive_entry_hardlink(header) ||
        tar.archive_entry_symlink(header))
        return err_set(err, ERR_DOCUMENT, STEP, "%s is no plain file", path);
    if (view->entry_count == 0)
        return strcmp(path, BUNDLE_MANIFEST) == 0
                   ? 0
                   : err_set(err, ERR_DOCUMENT, STEP, "its first file is %s, and not %s", path,
                             BUNDLE_MANIFEST);
    if (strcmp(path, BUNDLE_MANIFEST) == 0 ||
        (view->entry_count > 1 && strcmp(before->path, path) >= 0))
        return err_set(err, ERR_DOCUMENT, STEP, "%s is not in its place among the sorted", path);
    return 0;
}

/* Reads an entry's bytes; those of the first are the manifest. */
static int read_entry(struct archive *archive, struct archive_entry *header,
                      struct bundle_view *view, struct err *err)
{
    /* A sparse file can be longer than what it was unpacked from. */
    _cleanup_(buf_release) struct buf bytes =
        BUF_INIT_LIMIT(view->entry_count ? UNPACKED_MAX - view->bytes : BUNDLE_MANIFEST_BYTES_MAX);
    struct bundle_view_entry entry = { .bytes = 0 };
    la_ssize_t n;
    snprintf(entry.path, sizeof(entry.path), "%s", tar.archive_entry_pathname(header));
    do {
        char *to = buf_reserve(&bytes, UNPACK_BYTES);
        if (!to)
            return bytes.error == -EMSGSIZE
                       ? err_set(err, ERR_LIMIT, STEP, "%s is too long", entry.path)
                       : no_memory(err);
        n = tar.archive_read_data(archive, to, UNPACK_BYTES);
        if (n > 0)
            bytes.len += (size_t)n;
    } while (n > 0);
    if (n < 0)
        return err_set(err, ERR_SYNTAX, STEP, "%s cannot be read: %s", entry.path,
                       tar.archive_error_string(archive));
    entry.bytes = bytes.len;
    view->bytes += bytes.len;
    int r = digest_text(buf_str(&bytes), entry.digest, err);
    if (r == 0 && view->entry_count == 0) {
        r = json_read(buf_str(&bytes), &json_limits_default, &view->manifest, err);
        if (r < 0)
            err_where(err, "%s", BUNDLE_MANIFEST);
    }
    if (r == 0)
        view->entries[view->entry_count++] = entry;
    return r;
}

static int make_room(struct bundle_view *view, struct err *err)
{
    if (view->entry_count < view->entry_capacity)
        return 0;
    size_t capacity = view->entry_capacity ? 2 * view->entry_capacity : 32;
    struct bundle_view_entry *entries = realloc(view->entries, capacity * sizeof(*entries));
    if (!entries)
        return no_memory(err);
    view->entries = entries;
    view->entry_capacity = capacity;
    return 0;
}

static int walk(struct archive *archive, struct bundle_view *view, struct err *err)
{
    struct archive_entry *header;
    for (;;) {
        int r = tar.archive_read_next_header(archive, &header);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r != ARCHIVE_OK)
            return err_set(err, ERR_SYNTAX, STEP, "its tar cannot be read: %s",
                           tar.archive_error_string(archive));
        r = check_entry(view, header, err);
        if (r == 0)
            r = make_room(view, err);
        if (r == 0)
            r = read_entry(archive, header, view, err);
        if (r < 0)
            return r;
    }
}

static int read_entries(struct bundle_view *view, struct str bytes, struct err *err)
{
    struct archive *archive = tar.archive_read_new();
    if (!archive)
        return no_memory(err);
    int r = tar.archive_read_support_format_tar(archive) == ARCHIVE_OK &&
                    tar.archive_read_open_memory(archive, bytes.ptr, bytes.len) == ARCHIVE_OK
                ? walk(archive, view, err)
                : err_set(err, ERR_SYNTAX, STEP, "it holds no tar");
    tar.archive_read_free(archive);
    if (r == 0 && view->entry_count == 0)
        r = err_set(err, ERR_SYNTAX, STEP, "it is empty");
    return r;
}

int bundle_open(struct str bytes, struct bundle_view *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf unpacked = BUF_INIT_LIMIT(UNPACKED_MAX);
    struct bundle_view view = { 0 };
    int r = lazy_load(&tar_library, err);
    if (r == 0)
        r = lazy_load(&zstd_library, err);
    if (r < 0)
        return r;
    size_t first = zstd.ZSTD_findFrameCompressedSize(bytes.ptr, bytes.len);
    if (zstd.ZSTD_isError(first) || first > bytes.len)
        return err_set(err, ERR_SYNTAX, STEP, "it is no bundle: its first zstd frame is not whole");
    struct str archive = str_from_offset(bytes, first);
    view.archive_bytes = archive.len;
    r = digest_text(archive, view.archive_digest, err);
    if (r == 0)
        r = unpack(bytes, &unpacked, err);
    if (r == 0)
        r = read_entries(&view, buf_str(&unpacked), err);
    if (r < 0) {
        bundle_close(&view);
        return r;
    }
    *ret = view;
    return 0;
}

void bundle_close(struct bundle_view *view)
{
    yyjson_doc_free(view->manifest);
    free(view->entries);
    *view = (struct bundle_view){ 0 };
}
