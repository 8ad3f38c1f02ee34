/* Input: a line feed parts two texts of a package's file. The same text twice never differs. */
#include "machine/held_scripts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "package.json", "composer.json", "pyproject.toml",
                                         "Cargo.toml", "Makefile" };
    struct str text = str_make((const char *)data, size);
    size_t half = size / 2;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)held_scripts_differ(names[i], str_make(text.ptr, half), str_from_offset(text, half));
        if (i >= 2 && held_scripts_differ(names[i], text, text))
            abort();
    }
    return 0;
}
