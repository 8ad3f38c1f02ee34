/* Input: a configuration. Names come in lower case, and there is always a section and a key. */
#include "machine/git_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(void *context, struct str section, struct str subsection, struct str key,
                  struct str value)
{
    size_t *bytes = context;
    *bytes += subsection.len + value.len;
    if (!section.len || !key.len)
        abort();
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] >= 'A' && key.ptr[i] <= 'Z')
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t bytes = 0;
    (void)!git_config_read(str_make((const char *)data, size), visit, &bytes);
    if (bytes > size * (size + 1)) /* a subsection counts for each of its variables */
        abort();
    return 0;
}
