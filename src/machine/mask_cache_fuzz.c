/*
 * Input: the records of a cache file. They are given a header that fits, so that the checks behind
 * the checksum are what is tried; whatever is accepted must be walked within its bytes.
 */
#include "machine/mask_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk_items(struct mask_cursor cursor)
{
    struct mask_item item;
    size_t bytes = 0;
    while (mask_cursor_next(&cursor, &item)) {
        for (size_t i = 0; i < item.name.len; i++)
            bytes += item.name.ptr[i] != 0;
        if (bytes < item.name.len)
            abort(); /* a name has no NUL */
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = BUF_INIT_LIMIT(MASK_CACHE_BYTES_MAX);
    struct mask_cache cache = { .text = BUF_INIT };
    struct mask_cursor cursor;
    struct mask_stamp stamp;
    mask_cache_begin(&text);
    buf_add(&text, data, size);
    if (mask_cache_seal(&text) == 0 && mask_cache_read(&cache, buf_str(&text)) &&
        size >= sizeof(stamp)) {
        memcpy(&stamp, data, sizeof(stamp)); /* the first record's */
        for (unsigned context = 0; context < 64; context++) {
            if (mask_cache_find(&cache, &stamp, (uint16_t)context, &cursor))
                walk_items(cursor);
        }
    }
    mask_cache_release(&cache);
    buf_release(&text);
    return 0;
}
