/* storm_hash: one multiplication for 16 bytes. Seeded afresh in every process. */
#ifndef AM_DOCTOR_STORM_HASH_H
#define AM_DOCTOR_STORM_HASH_H

#include "base/base.h"
#include "base/map.h"

static inline uint64_t storm_fold(uint64_t hash, uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ 0x9e3779b97f4a7c15ull) * (b ^ hash);
    return (uint64_t)product ^ (uint64_t)(product >> 64) ^ hash;
}

static inline uint64_t storm_seed(void)
{
    static uint64_t seed;
    if (__builtin_expect(!seed, 0))
        seed = hash_bytes("storm", 5);
    return seed;
}

static inline uint64_t storm_hash(const char *bytes, size_t len)
{
    uint64_t hash = storm_seed() + len, pair[2];
    for (; len > sizeof(pair); len -= sizeof(pair), bytes += sizeof(pair)) {
        memcpy(pair, bytes, sizeof(pair));
        hash = storm_fold(hash, pair[0], pair[1]);
    }
    pair[0] = pair[1] = 0;
    if (len >= 8) {
        memcpy(&pair[0], bytes, 8);
        memcpy(&pair[1], bytes + len - 8, 8);
    } else if (len >= 4) {
        memcpy(&pair[0], bytes, 4);
        memcpy(&pair[1], bytes + len - 4, 4);
    } else if (len) {
        pair[0] = (uint64_t)(unsigned char)bytes[0] << 16 |
                  (uint64_t)(unsigned char)bytes[len / 2] << 8 | (unsigned char)bytes[len - 1];
    }
    return storm_fold(hash, pair[0], pair[1]);
}

#endif
