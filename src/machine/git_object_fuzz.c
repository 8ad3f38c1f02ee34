/*
 * Input: a byte for the kind, a name to look for, then a pack's index or a commit's compressed
 * bytes. Whatever stands in it, reading ends and stays within it.
 */
#include "machine/git_object.h"

#include <sys/mman.h>

#define OID_BYTES 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    unsigned char tree[32];
    uint64_t offset;
    if (size < 1 + OID_BYTES)
        return 0;
    const char *rest = (const char *)data + 1 + OID_BYTES;
    size_t len = size - 1 - OID_BYTES;
    if (data[0] & 1) {
        (void)!git_commit_read(str_make(rest, len), data[0] & 2, OID_BYTES, tree);
        return 0;
    }
    if (file < 0)
        file = memfd_create("index", MFD_CLOEXEC);
    if (ftruncate(file, 0) < 0 || pwrite(file, rest, len, 0) != (ssize_t)len)
        return 0;
    (void)!git_pack_find(file, data + 1, OID_BYTES, &offset);
    return 0;
}
