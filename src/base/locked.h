/*
 * locked: memory for secrets: never swapped, never in a core dump, wiped when freed.
 *
 * Where the limit on locked memory is reached the allocation fails; a secret
 * is not kept in ordinary memory instead.
 */
#ifndef AM_BASE_LOCKED_H
#define AM_BASE_LOCKED_H

#include "base/base.h"

/* Zeroed, of whole pages; NULL where it cannot be had. */
void *locked_alloc(size_t size);
/* Wipes and frees; NULL is nothing. `size` as it was asked for. */
void locked_free(void *memory, size_t size);

#endif
