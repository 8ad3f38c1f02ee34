/* A package of MIME types from anybody: it ends, and each type that it names is one. */
#include "doctor/mime_package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_type(void *context, struct str type)
{
    size_t *count = context;
    assert(type.len >= 3 && type.len <= MIME_TYPE_BYTES_MAX);
    assert(str_index(type, '/', 0) > 0 && str_index(type, '/', 0) < type.len - 1);
    assert(!memchr(type.ptr, '.', 1) && !memmem(type.ptr, type.len, "/.", 2));
    ++*count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *fault = "none";
    size_t count = 0;
    int r = mime_package_read(str_make((const char *)data, size), take_type, &count, &fault, NULL);
    assert(r < 0 || !fault || strcmp(fault, "none") != 0);
    assert(count <= MIME_ELEMENTS_MAX);
    return 0;
}
