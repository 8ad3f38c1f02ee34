/*
 * arena: memory of one operation, freed as a whole.
 *
 * Nothing allocated here is freed alone. A bound can be set, so that hostile
 * input ends in a refusal and not in the host's memory.
 */
#ifndef AM_BASE_ARENA_H
#define AM_BASE_ARENA_H

#include "base/base.h"
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t used;  /* bytes handed out, over all blocks */
    size_t limit; /* the largest `used` allowed; 0 is no bound */
};

#define ARENA_INIT ((struct arena){ 0 })

void arena_release(struct arena *arena);
/* Zeroed, aligned for any type; NULL without memory or past the bound. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy with a NUL behind it; NULL without memory or past the bound. */
char *arena_copy(struct arena *arena, struct str s);

#define arena_new(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_alloc_array((arena), sizeof(type), (count)))

void *arena_alloc_array(struct arena *arena, size_t size, size_t count);

#endif
