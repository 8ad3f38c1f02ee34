/*
 * Input: a byte that says which of two, then a table, or a list of tables. What comes out lies in
 * the input, or is an object's name; a table's name is one of a folder's.
 */
#include "machine/git_tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *context, struct str name, enum git_value_kind kind, struct str value)
{
    size_t *visits = context;
    unsigned char sum = 0; /* each byte is read, so that a sanitizer sees it */
    for (size_t i = 0; i < name.len; i++)
        sum |= (unsigned char)name.ptr[i];
    for (size_t i = 0; i < value.len; i++)
        sum |= (unsigned char)value.ptr[i];
    __asm__ volatile("" : : "r"(sum));
    if (kind == GIT_OBJECT && value.len != 40 && value.len != 64)
        abort();
    if ((kind == GIT_ABSENT && value.len) || kind == GIT_NOT_KNOWN)
        abort();
    return ++*visits > 100000 ? -E2BIG : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct str names[GIT_TABLES_MAX];
    size_t visits = 0;
    if (!size)
        return 0;
    struct str text = str_make((const char *)data + 1, size - 1);
    if (data[0] & 1) {
        int r = git_table_read(text, look, &visits);
        if (r > 0 || visits > size)
            abort(); /* each takes a byte at least */
        return 0;
    }
    for (ssize_t count = git_tables_names(text, names); count > 0; count--)
        if (!names[count - 1].len || memchr(names[count - 1].ptr, '/', names[count - 1].len) ||
            names[count - 1].ptr[0] == '.')
            abort();
    return 0;
}
