/* Input: a pattern, a line end, a path. A pattern that has one name in the root matches it. */
#include "machine/path_patterns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_make((const char *)data, size);
    size_t end = str_index(input, '\n', 0);
    char pattern[TEXT_MAX];
    if (end == size || end >= sizeof(pattern))
        return 0;
    memcpy(pattern, data, end);
    pattern[end] = '\0';
    const char *const patterns[] = { pattern, NULL };
    struct str path = str_from_offset(input, end + 1);
    (void)path_patterns_ask(patterns, path, false);
    struct str name = path_pattern_root_name(pattern);
    if (name.len && path_patterns_ask(patterns, name, true) != PATTERN_MATCHED)
        abort();
    return 0;
}
