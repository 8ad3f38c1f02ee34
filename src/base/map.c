/*
 * map: open addressing, linear probing, at most half full.
 *
 * The hash folds eight bytes at a time through a 64×64→128 multiplication;
 * the seed comes from getrandom once per process.
 */
#include "base/map.h"

#include <sys/random.h>

#define MAP_CAPACITY_MIN 16
#define HASH_MULTIPLIER  0x9e3779b97f4a7c15ull

struct map_slot {
    struct str key;
    uint64_t hash; /* 0 marks an empty slot */
    uint32_t value;
};

static uint64_t hash_seed(void)
{
    static uint64_t seed;
    if (!seed) {
        if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
            seed = (uint64_t)(uintptr_t)&seed ^ (uint64_t)getpid();
        seed |= 1;
    }
    return seed;
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ HASH_MULTIPLIER) * (b ^ hash_seed());
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    uint64_t hash = hash_mix(len, HASH_MULTIPLIER);
    uint64_t word = 0;
    size_t left = len;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        hash = hash_mix(hash ^ word, HASH_MULTIPLIER);
    }
    if (left) {
        word = 0;
        memcpy(&word, p, left);
        hash = hash_mix(hash ^ word, HASH_MULTIPLIER);
    }
    return hash;
}

void map_release(struct map *map)
{
    free(map->slots);
    *map = MAP_INIT;
}

/* The slot that holds the key, or the empty one where it belongs. */
static struct map_slot *find(const struct map *map, struct str key, uint64_t hash)
{
    for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
        struct map_slot *slot = &map->slots[i];
        if (!slot->hash || (slot->hash == hash && str_equal(slot->key, key)))
            return slot;
    }
}

static uint64_t hash_key(struct str key)
{
    return hash_bytes(key.ptr, key.len) | 1;
}

static int grow(struct map *map)
{
    struct map larger = { .capacity = map->capacity ? map->capacity * 2 : MAP_CAPACITY_MIN,
                          .count = map->count };
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].hash)
            *find(&larger, map->slots[i].key, map->slots[i].hash) = map->slots[i];
    free(map->slots);
    *map = larger;
    return 0;
}

bool map_get(const struct map *map, struct str key, uint32_t *ret)
{
    if (!map->count)
        return false;
    struct map_slot *slot = find(map, key, hash_key(key));
    if (!slot->hash)
        return false;
    *ret = slot->value;
    return true;
}

int map_put(struct map *map, struct str key, uint32_t value)
{
    if (map->count * 2 >= map->capacity && grow(map) < 0)
        return -ENOMEM;
    uint64_t hash = hash_key(key);
    struct map_slot *slot = find(map, key, hash);
    if (slot->hash)
        return -EEXIST;
    *slot = (struct map_slot){ .key = key, .hash = hash, .value = value };
    map->count++;
    return 0;
}
