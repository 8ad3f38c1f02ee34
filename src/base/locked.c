/* locked: anonymous pages of their own; see the header. */
#include "base/locked.h"

#include <sys/mman.h>

static size_t whole_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *locked_alloc(size_t size)
{
    size_t length = whole_pages(size ? size : 1);
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (mlock(memory, length) < 0 || madvise(memory, length, MADV_DONTDUMP) < 0) {
        munmap(memory, length);
        return NULL;
    }
    return memory;
}

void locked_free(void *memory, size_t size)
{
    if (!memory)
        return;
    explicit_bzero(memory, size);
    munmap(memory, whole_pages(size ? size : 1));
}
