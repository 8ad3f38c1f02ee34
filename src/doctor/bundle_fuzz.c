/*
 * Input: a bundle, or, behind a byte 0, a tar that is packed here, so that what
 * mutates the input gets past zstd's checksum. It opens or is refused, in
 * bounded memory; what opens has a manifest and sorted paths that stay inside.
 */
#include <zstd.h>

#include "base/lazy.h"
#include "doctor/bundle.h"

#define ZSTD_FUNCTIONS(X)                                                                          \
    X(ZSTD_compressBound)                                                                          \
    X(ZSTD_compress)
LAZY_LIBRARY(packer, "libzstd.so.1", ZSTD_FUNCTIONS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct str bytes)
{
    struct bundle_view view;
    if (bundle_open(bytes, &view, NULL) < 0)
        return;
    if (!view.manifest || view.entry_count == 0 ||
        strcmp(view.entries[0].path, BUNDLE_MANIFEST) != 0)
        abort();
    for (size_t i = 1; i < view.entry_count; i++)
        if (view.entries[i].path[0] == '/' || strstr(view.entries[i].path, "/../") ||
            (i > 1 && strcmp(view.entries[i - 1].path, view.entries[i].path) >= 0))
            abort();
    bundle_close(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || lazy_load(&packer_library, NULL) < 0)
        return 0;
    if (data[0] != 0) {
        look(str_make((const char *)data, size));
        return 0;
    }
    size_t room = packer.ZSTD_compressBound(size);
    char *packed = malloc(room);
    size_t len = packed ? packer.ZSTD_compress(packed, room, data + 1, size - 1, 1) : 0;
    if (len && len <= room)
        look(str_make(packed, len));
    free(packed);
    return 0;
}
