/*
 * map: from byte strings to small integers.
 *
 * Keys are views that the caller keeps alive. Hashes are seeded afresh in
 * every process, so that hostile keys cannot be made to collide on purpose.
 */
#ifndef AM_BASE_MAP_H
#define AM_BASE_MAP_H

#include "base/base.h"
#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

#define MAP_INIT ((struct map){ 0 })

void map_release(struct map *map);
bool map_get(const struct map *map, struct str key, uint32_t *ret);
/* 0, -EEXIST (the old value stays) or -ENOMEM. */
int map_put(struct map *map, struct str key, uint32_t value);

/* The seeded hash behind map, for tables of other shapes. */
uint64_t hash_bytes(const void *bytes, size_t len);
/* Mixes two hashes, order mattering. */
uint64_t hash_mix(uint64_t a, uint64_t b);

#endif
