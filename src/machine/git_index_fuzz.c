/* Input: a byte that says SHA-1 or SHA-256, then an index. What is handed out lies in the input. */
#include "machine/git_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned touch(struct str bytes)
{
    unsigned sum = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sum += (unsigned char)bytes.ptr[i];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct git_index index = { .name = BUF_INIT };
    struct git_index_entry entry;
    struct git_index_extensions extensions;
    if (!size)
        return 0;
    size_t oid_len = data[0] & 1 ? 32 : 20;
    int r = -EBADMSG;
    unsigned sum = 0;
    if (git_index_open(&index, str_make((const char *)data + 1, size - 1), oid_len)) {
        while ((r = git_index_next(&index, &entry)) > 0) {
            if (!entry.name.len || entry.name.len > GIT_NAME_MAX)
                abort();
            sum += touch(entry.name) + touch(str_make((const char *)entry.oid, oid_len));
        }
    }
    if (r == 0 && git_index_end(&index, &extensions) == 0 && extensions.tree)
        sum += touch(str_make((const char *)extensions.tree, oid_len));
    git_index_release(&index);
    (void)sum;
    return 0;
}
