/*
 * git_object: see the header.
 *
 * Theory of operation. A commit begins with the name of its tree, so a few hundred bytes of it are
 * all that is read and inflated, whatever its size. A pack's index is searched in place, by reads
 * at computed offsets, each of which may come short where the file lies about its size. Files are
 * opened beneath the objects' directory.
 */
#include "machine/git_object.h"

#include <dirent.h>
#include <zlib.h>

#include "base/lazy.h"
#include "machine/beneath.h"
#include "machine/git_index.h"

#define ZLIB_FUNCTIONS(X) X(inflateInit_) X(inflate) X(inflateEnd)
LIBRARY(AM_EMBEDS_Z, zlib, "libz.so.1", ZLIB_FUNCTIONS)

#define PACKED_BYTES   1024 /* read of a commit: its first lines need a tenth of it */
#define INFLATED_BYTES 256
#define PATH_BYTES     512

#define IDX_MAGIC       "\377tOc\0\0\0\2"
#define IDX_MAGIC_BYTES 8
#define IDX_FANOUT      (IDX_MAGIC_BYTES + 256 * 4)
#define IDX_CRC_BYTES   4
#define IDX_LARGE       0x80000000u

#define PACK_COMMIT    1
#define PACK_OFS_DELTA 6
#define PACK_REF_DELTA 7

/* --- names --------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool git_oid_read(struct str hex, unsigned char *ret, size_t oid_len)
{
    if (hex.len != oid_len * 2)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        if (hex_digit(hex.ptr[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < oid_len; i++)
        ret[i] = (unsigned char)(hex_digit(hex.ptr[2 * i]) << 4 | hex_digit(hex.ptr[2 * i + 1]));
    return true;
}

/* --- a commit's bytes ---------------------------------------------------------------------- */

static int inflate_start(struct str bytes, char *ret, size_t size, size_t *ret_len)
{
    z_stream stream = { .next_in = (Bytef *)bytes.ptr,
                        .avail_in = (uInt)bytes.len,
                        .next_out = (Bytef *)ret,
                        .avail_out = (uInt)size };
    if (lazy_load(&zlib_library, NULL) < 0)
        return -EOPNOTSUPP;
    if (zlib.inflateInit_(&stream, ZLIB_VERSION, (int)sizeof(stream)) != Z_OK)
        return -ENOMEM;
    int r = zlib.inflate(&stream, Z_SYNC_FLUSH);
    zlib.inflateEnd(&stream);
    *ret_len = size - stream.avail_out;
    return r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR ? 0 : -EBADMSG;
}

int git_commit_read(struct str bytes, bool loose, size_t oid_len, unsigned char *ret_tree)
{
    char inflated[INFLATED_BYTES];
    size_t len;
    int r = inflate_start(bytes, inflated, sizeof(inflated), &len);
    if (r < 0)
        return r;
    struct str text = str_make(inflated, len);
    if (loose) {
        if (!str_starts(text, STR("commit ")))
            return -EBADMSG;
        text = str_from_offset(text, str_index(text, '\0', 0) + 1);
    }
    if (!str_starts(text, STR("tree ")) || text.len < 5 + oid_len * 2 + 1)
        return -EBADMSG;
    struct str hex = str_make(text.ptr + 5, oid_len * 2);
    if (text.ptr[5 + hex.len] != '\n' || !git_oid_read(hex, ret_tree, oid_len))
        return -EBADMSG;
    return 0;
}

/* --- packs --------------------------------------------------------------------------------- */

static int read_at(int fd, uint64_t offset, void *ret, size_t len)
{
    if (offset > INT64_MAX - len)
        return -EBADMSG;
    ssize_t n = pread(fd, ret, len, (off_t)offset);
    if (n < 0)
        return -errno;
    return (size_t)n == len ? 0 : -EBADMSG;
}

static int read_u32(int fd, uint64_t offset, uint32_t *ret)
{
    unsigned char b[4];
    int r = read_at(fd, offset, b, sizeof(b));
    if (r == 0)
        *ret = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return r;
}

/* The offset that belongs to an entry: behind all names and checksums, large ones behind those. */
static int entry_offset(int fd, uint32_t entry, uint32_t count, size_t oid_len, uint64_t *ret)
{
    uint64_t small = IDX_FANOUT + (uint64_t)count * (oid_len + IDX_CRC_BYTES);
    uint32_t offset, high, low;
    int r = read_u32(fd, small + (uint64_t)entry * 4, &offset);
    if (r < 0)
        return r;
    if (!(offset & IDX_LARGE)) {
        *ret = offset;
        return 0;
    }
    uint64_t large = small + (uint64_t)count * 4 + (uint64_t)(offset & ~IDX_LARGE) * 8;
    r = read_u32(fd, large, &high);
    if (r == 0)
        r = read_u32(fd, large + 4, &low);
    if (r == 0)
        *ret = (uint64_t)high << 32 | low;
    return r;
}

int git_pack_find(int fd, const unsigned char *oid, size_t oid_len, uint64_t *ret_offset)
{
    char magic[IDX_MAGIC_BYTES];
    unsigned char name[GIT_OID_MAX];
    uint32_t low = 0, high, count;
    int r = read_at(fd, 0, magic, sizeof(magic));
    if (r == 0 && memcmp(magic, IDX_MAGIC, IDX_MAGIC_BYTES) != 0)
        return -EOPNOTSUPP;
    if (r == 0 && oid[0])
        r = read_u32(fd, IDX_MAGIC_BYTES + (uint64_t)(oid[0] - 1) * 4, &low);
    if (r == 0)
        r = read_u32(fd, IDX_MAGIC_BYTES + (uint64_t)oid[0] * 4, &high);
    if (r == 0)
        r = read_u32(fd, IDX_FANOUT - 4, &count);
    if (r == 0 && (high > count || low > high))
        r = -EBADMSG;
    while (r == 0 && low < high) {
        uint32_t middle = low + (high - low) / 2;
        r = read_at(fd, IDX_FANOUT + (uint64_t)middle * oid_len, name, oid_len);
        int order = r == 0 ? memcmp(oid, name, oid_len) : 0;
        if (r == 0 && order == 0)
            return entry_offset(fd, middle, count, oid_len, ret_offset);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return r < 0 ? r : -ENOENT;
}

/* An object in a pack: a number with type and length, then its compressed bytes. */
static int read_packed(int fd, uint64_t offset, size_t oid_len, unsigned char *ret_tree)
{
    char bytes[PACKED_BYTES];
    if (offset > INT64_MAX - sizeof(bytes))
        return -EBADMSG;
    ssize_t n = pread(fd, bytes, sizeof(bytes), (off_t)offset);
    if (n <= 0)
        return n < 0 ? -errno : -EBADMSG;
    unsigned type = (unsigned char)bytes[0] >> 4 & 7;
    ssize_t at = 0;
    while (at < n && (bytes[at] & 0x80))
        at++;
    if (type == PACK_OFS_DELTA || type == PACK_REF_DELTA)
        return -EOPNOTSUPP;
    if (type != PACK_COMMIT || at + 1 >= n)
        return -EBADMSG;
    return git_commit_read(str_make(bytes + at + 1, (size_t)(n - at - 1)), false, oid_len,
                           ret_tree);
}

static int find_in_pack(int objects, const char *name, const unsigned char *oid, size_t oid_len,
                        unsigned char *ret_tree)
{
    char path[PATH_BYTES];
    uint64_t offset;
    size_t stem = strlen(name) - 4;
    if (snprintf(path, sizeof(path), "pack/%s", name) >= (int)sizeof(path))
        return -ENOENT;
    _cleanup_(cleanup_close) int index = beneath_open(objects, path, O_RDONLY | O_NONBLOCK);
    int r = index < 0 ? index : git_pack_find(index, oid, oid_len, &offset);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "pack/%.*s.pack", (int)stem, name);
    _cleanup_(cleanup_close) int pack = beneath_open(objects, path, O_RDONLY | O_NONBLOCK);
    return pack < 0 ? pack : read_packed(pack, offset, oid_len, ret_tree);
}

static void cleanup_closedir(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

static int find_in_packs(int objects, const unsigned char *oid, size_t oid_len,
                         unsigned char *ret_tree)
{
    int fd = beneath_open(objects, "pack", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    _cleanup_(cleanup_closedir) DIR *packs = fdopendir(fd);
    if (!packs) {
        close(fd);
        return -ENOMEM;
    }
    int r = -ENOENT;
    const struct dirent *entry;
    for (unsigned i = 0; r == -ENOENT && (entry = readdir(packs));) {
        if (!str_ends(str_from(entry->d_name), STR(".idx")))
            continue;
        if (++i > GIT_PACKS_MAX)
            return -EOPNOTSUPP;
        r = find_in_pack(objects, entry->d_name, oid, oid_len, ret_tree);
    }
    return r;
}

/* --- a commit ------------------------------------------------------------------------------ */

static int find_loose(int objects, const unsigned char *oid, size_t oid_len,
                      unsigned char *ret_tree)
{
    char path[2 * GIT_OID_MAX + 2], bytes[PACKED_BYTES];
    int at = snprintf(path, sizeof(path), "%02x/", oid[0]);
    for (size_t i = 1; i < oid_len; i++)
        at += snprintf(path + at, sizeof(path) - (size_t)at, "%02x", oid[i]);
    _cleanup_(cleanup_close) int fd = beneath_open(objects, path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return fd;
    ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    return n < 0 ? -errno : git_commit_read(str_make(bytes, (size_t)n), true, oid_len, ret_tree);
}

int git_commit_tree(int objects, const unsigned char *oid, size_t oid_len, unsigned char *ret_tree)
{
    int r = find_loose(objects, oid, oid_len, ret_tree);
    return r == -ENOENT ? find_in_packs(objects, oid, oid_len, ret_tree) : r;
}
