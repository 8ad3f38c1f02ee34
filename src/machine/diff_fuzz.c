/*
 * Input: two texts with a NUL between them. Whatever they are, what stands in no change must stand
 * in both, and the changes must cover the rest.
 */
#include "machine/diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_make((const char *)data, size);
    size_t middle = str_index(all, '\0', 0);
    struct diff diff = { 0 };
    uint32_t a = 0, b = 0;
    if (diff_lines(str_make(all.ptr, middle), str_from_offset(all, middle + 1), &diff) < 0)
        return 0;
    for (size_t i = 0; i <= diff.count; i++) {
        bool last = i == diff.count;
        uint32_t until = last ? diff.before.count : diff.changes[i].before;
        for (; a < until; a++, b++)
            if (b >= diff.after.count ||
                !str_equal(diff_line(&diff.before, a), diff_line(&diff.after, b)))
                abort();
        if (last)
            break;
        if (diff.changes[i].after != b ||
            !(diff.changes[i].before_count + diff.changes[i].after_count))
            abort();
        a += diff.changes[i].before_count;
        b += diff.changes[i].after_count;
    }
    if (b != diff.after.count)
        abort();
    diff_release(&diff);
    return 0;
}
