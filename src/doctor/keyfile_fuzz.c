#include "doctor/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str whole;

static void check(struct str part)
{
    if (part.len && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len))
        abort();
}

static int take(void *context, const struct keyfile_pair *pair)
{
    char program[64];
    (void)context;
    check(pair->group);
    check(pair->key);
    check(pair->value);
    if (keyfile_program(pair->value, program, sizeof(program)) && !program[0])
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    whole = str_make((const char *)data, size);
    (void)keyfile_read(whole, take, NULL);
    return 0;
}
