/* own_code: see the header. */
#include "base/own_code.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* Called for the program itself first. */
static int map_code(struct dl_phdr_info *program, size_t size, void *context)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    (void)context;
    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &program->dlpi_phdr[i];
        uintptr_t begin = program->dlpi_addr + part->p_vaddr, from = begin & ~(page - 1);
        if (part->p_type == PT_LOAD && part->p_flags & PF_X)
            madvise((void *)from, begin + part->p_memsz - from, MADV_POPULATE_READ);
    }
    return 1; /* of the libraries, little is used */
}

void own_code_map(void)
{
    dl_iterate_phdr(map_code, NULL);
}
