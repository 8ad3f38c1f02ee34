/* pull_progress_fuzz: any bytes; what is completed is never more than all of it. */
#include "carry/pull_progress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pull_progress progress;
    pull_progress_init(&progress);
    for (size_t at = 0; at < size; at += 13)
        if (pull_progress_feed(
                &progress, str_make((const char *)data + at, size - at < 13 ? size - at : 13)) < 0)
            break;
    if (progress.completed_bytes > progress.total_bytes ||
        progress.first_bytes > progress.total_bytes || (progress.is_whole && !progress.is_verified))
        abort();
    pull_progress_release(&progress);
    return 0;
}
