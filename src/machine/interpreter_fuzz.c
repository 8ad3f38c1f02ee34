/* Input: the beginning of a file. A name is one of its words and no path. */
#include "machine/interpreter.h"

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str name = interpreter_name(str_make((const char *)data, size));
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] == '/' || name.ptr[i] == '\n' || !name.ptr[i])
            abort();
    return 0;
}
