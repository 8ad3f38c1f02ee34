/*
 * Input: a byte that says how many blocks the lower layer has, then the bytes of it and of the one
 * above. The sums of their headers and their digests are mended, so that what comes behind them is
 * what is tried. Nothing outside of the tree changes, and a layer with other bytes is refused.
 */
#include "base/digest.h"
#include "machine/image.h"
#include "machine/image_testing.h"

#define BLOCK_BYTES 512
#define SUM_AT      148
#define SUM_BYTES   8
#define MAGIC_AT    257
#define INPUT_MAX   ((size_t)256 << 10)
#define LAYERS      2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_sums(uint8_t *bytes, size_t size)
{
    for (uint8_t *block = bytes; size >= BLOCK_BYTES; block += BLOCK_BYTES, size -= BLOCK_BYTES) {
        unsigned sum = 0;
        char text[SUM_BYTES];
        if (memcmp(block + MAGIC_AT, "ustar", 5) != 0)
            continue;
        memset(block + SUM_AT, ' ', SUM_BYTES);
        for (size_t i = 0; i < BLOCK_BYTES; i++)
            sum += block[i];
        snprintf(text, sizeof(text), "%06o", sum);
        memcpy(block + SUM_AT, text, SUM_BYTES - 1);
    }
}

static void put_layer(const char *name, const uint8_t *bytes, size_t size)
{
    _cleanup_(cleanup_close) int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *blobs[LAYERS] = { "lower", "upper" }, *digests[LAYERS];
    char texts[LAYERS][DIGEST_TEXT_SIZE];
    int64_t sizes[LAYERS];
    struct image_place place;
    if (!size || size > INPUT_MAX)
        return 0;
    size_t len = size - 1, lower = (size_t)data[0] * BLOCK_BYTES;
    if (lower > len)
        lower = len;
    _cleanup_(cleanup_free) uint8_t *bytes = malloc(len + 1);
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, len);
    mend_sums(bytes, lower);
    mend_sums(bytes + lower, len - lower);
    image_place_enter(&place);
    for (size_t i = 0; i < LAYERS; i++) {
        struct str layer =
            i ? str_make((char *)bytes + lower, len - lower) : str_make((char *)bytes, lower);
        put_layer(blobs[i], (const uint8_t *)layer.ptr, layer.len);
        if (digest_text(layer, texts[i], NULL) < 0)
            abort();
        digests[i] = texts[i];
        sizes[i] = (int64_t)layer.len;
    }
    image_place_note(&place); /* the layers' files are there */
    struct image image = {
        .layer_count = LAYERS, .layers = digests, .diffs = digests, .blobs = blobs, .sizes = sizes
    };
    (void)!image_unpack(&image, place.tree, NULL);
    texts[1][DIGEST_TEXT_SIZE - 2] ^= 1; /* 0 and 1, 2 and 3, … */
    if (image_unpack(&image, place.tree, NULL) == 0)
        abort();
    image_place_leave(&place);
    return 0;
}
