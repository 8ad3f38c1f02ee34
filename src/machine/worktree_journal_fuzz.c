/*
 * Input: the text of a journal, and behind a line "---" that of its commit. What is accepted leads
 * nowhere but below its root.
 */
#include "machine/worktree_apply_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char line[] = "---\n";
    struct applying applying = { .root = -1, .layer = -1, .staging = -1 };
    const char *at = memmem(data, size, line, strlen(line));
    size_t len = at ? (size_t)(at - (const char *)data) : size;
    if (journal_parse(str_make((const char *)data, len), &applying, NULL) == 0) {
        if (strchr(applying.staging_name, '/') || !applying.staging_name[0])
            abort();
        for (size_t i = 0; i < applying.steps.count; i++)
            if (!applying.steps.items[i].path[0] || applying.steps.items[i].mode > 07777)
                abort();
        if (at)
            (void)!journal_parse_commit(str_make(at + strlen(line), size - len - strlen(line)),
                                        &applying.steps, NULL);
    }
    steps_release(&applying.steps);
    return 0;
}
