/*
 * Input: a byte that says which of two, then a file of one value, or of packed references. What
 * comes out lies in the input, is an object's name, or a name that no path can be made of which
 * leads elsewhere.
 */
#include "machine/git_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_object(struct str object)
{
    if (object.len != 40 && object.len != 64)
        abort();
    for (size_t i = 0; i < object.len; i++)
        if (!memchr("0123456789abcdef", object.ptr[i], 16))
            abort();
}

static void check_name(struct str name)
{
    struct arena arena = ARENA_INIT;
    const char *copy = arena_copy(&arena, name);
    if (!copy || strlen(copy) != name.len)
        abort();
    if (git_ref_is_name(copy) && (strncmp(copy, "refs/", 5) != 0 || strstr(copy, "..") ||
                                  strpbrk(copy, " \n\t\\*?[") || strstr(copy, "/.")))
        abort();
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value, object, name;
    if (!size)
        return 0;
    struct str text = str_make((const char *)data + 1, size - 1);
    if (data[0] & 1) {
        enum git_value_kind kind = git_values_parse(text, &value);
        if (kind == GIT_OBJECT)
            check_object(value);
        else if (kind == GIT_SYMBOLIC)
            check_name(value);
        return 0;
    }
    struct git_packed packed = { .known = true, .text = BUF_INIT };
    buf_add_str(&packed.text, text);
    for (size_t at = 0; git_values_next_packed(&packed, &at, &object, &name);) {
        check_object(object);
        check_name(name);
    }
    buf_release(&packed.text);
    return 0;
}
