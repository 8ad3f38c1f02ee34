/*
 * Input: the name of a format, a newline, a value. A check must decide, and the
 * formats that contain others must contain them here too.
 */
#include "base/utf8.h"
#include "contract/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool holds(const char *name, struct str value)
{
    struct err err = { 0 };
    int r = format_check(format_find(str_from(name)), value, &err);
    if (r < 0 && err.code != ERR_LIMIT && err.code != ERR_UNSUPPORTED)
        abort();
    return r > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const contained[][2] = {
        { "uri", "uri-reference" },
        { "uri", "iri" },
        { "iri", "iri-reference" },
        { "uri-reference", "iri-reference" },
    };
    struct str text = str_make((const char *)data, size);
    struct str name = str_make(text.ptr, str_index(text, '\n', 0));
    struct str value = str_from_offset(text, name.len + 1);
    const struct format *format = format_find(name);
    if (!format || !utf8_valid(value))
        return 0;
    bool held = holds(format_name(format), value);
    for (size_t i = 0; i < ARRAY_LEN(contained); i++) {
        if (held && strcmp(format_name(format), contained[i][0]) == 0 &&
            !holds(contained[i][1], value))
            abort();
    }
    return 0;
}
