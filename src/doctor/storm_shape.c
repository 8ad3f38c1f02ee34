/*
 * storm_shape: 64 bytes at a time.
 *
 * Theory of operation. For a block of 64 bytes two masks are made: which are
 * letters or digits, and which are digits. Adding the two lets a carry run
 * from the first digit of every word to its end, so that the bits which
 * change are the word's numbered part; a word that goes on in the next block
 * hands its carry over. What remains is hashed run by run, from where the run
 * begins, so that it does not matter where a block ends. Where the processor has no vectors of 16
 * bytes the masks are made byte by byte, with the same result.
 */
#include "doctor/storm_shape.h"

#include "doctor/storm_hash.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64
/* A line is taken in stretches; where a number goes from one to the next, the shape depends on it.
 */
#define STRETCH_BYTES ((size_t)4096)
#define MARK          0x9ddfea08eb382d69ull

struct masks {
    uint64_t word;
    uint64_t digit;
};

#ifdef __SSE2__

static inline struct masks classify(const char *block)
{
    struct masks masks = { 0 };
    const __m128i zero = _mm_set1_epi8('0'), nine = _mm_set1_epi8(9), a = _mm_set1_epi8('a'),
                  z = _mm_set1_epi8(25), lower = _mm_set1_epi8(0x20);
    for (unsigned i = 0; i < BLOCK / 16; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(block + (size_t)i * 16));
        __m128i digit = _mm_sub_epi8(bytes, zero);
        __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, lower), a);
        digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, nine), digit);
        letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, z), letter);
        uint64_t digits = (unsigned)_mm_movemask_epi8(digit);
        uint64_t letters = (unsigned)_mm_movemask_epi8(letter);
        masks.digit |= digits << (i * 16);
        masks.word |= (digits | letters) << (i * 16);
    }
    return masks;
}

#else

static inline struct masks classify(const char *block)
{
    struct masks masks = { 0 };
    for (unsigned i = 0; i < BLOCK; i++) {
        unsigned char byte = (unsigned char)block[i];
        bool digit = (unsigned char)(byte - '0') <= 9;
        bool letter = (unsigned char)((byte | 0x20) - 'a') <= 25;
        masks.digit |= (uint64_t)digit << i;
        masks.word |= (uint64_t)(digit || letter) << i;
    }
    return masks;
}

#endif

/* The bits of numbered parts. *carry: the last one goes on in the next block. */
static inline uint64_t numbered(struct masks masks, bool *carry)
{
    uint64_t sum, digits = masks.digit;
    /* A word that goes on counts as if its first byte here were a digit. */
    digits |= *carry ? masks.word & 1 : 0;
    *carry = __builtin_add_overflow(masks.word, digits, &sum);
    return (masks.word & ~sum) | digits;
}

/* Folds a run 16 bytes at a time; reads no further than `end`. */
static inline uint64_t fold_run(uint64_t hash, const char *bytes, size_t len, const char *end)
{
    uint64_t pair[2];
    for (; len >= sizeof(pair); len -= sizeof(pair), bytes += sizeof(pair)) {
        memcpy(pair, bytes, sizeof(pair));
        hash = storm_fold(hash, pair[0], pair[1]);
    }
    if ((size_t)(end - bytes) >= sizeof(pair)) {
        memcpy(pair, bytes, sizeof(pair));
    } else {
        memset(pair, 0, sizeof(pair));
        memcpy(pair, bytes, len);
    }
    unsigned bits = (unsigned)len * 8;
    pair[1] = len > 8 ? pair[1] & ~(~0ull << (bits - 64)) : 0;
    pair[0] = len < 8 ? pair[0] & ~(~0ull << bits) : pair[0];
    return storm_fold(hash ^ len, pair[0], pair[1]);
}

static inline uint64_t fold_stretch(uint64_t hash, struct str line)
{
    const char *end = line.ptr + line.len;
    uint64_t before = 0; /* whether the last byte of the block before is dropped */
    size_t start = 0;
    bool kept = true, carry = false;
    for (size_t at = 0; at < line.len; at += BLOCK) {
        char last[BLOCK];
        const char *block = line.ptr + at;
        if (line.len - at < BLOCK) {
            memset(last, 0, sizeof(last));
            block = memcpy(last, block, line.len - at);
        }
        uint64_t dropped = numbered(classify(block), &carry);
        uint64_t edges = dropped ^ (dropped << 1 | before);
        before = dropped >> (BLOCK - 1);
        for (; edges; edges &= edges - 1, kept = !kept) {
            size_t edge = at + (size_t)__builtin_ctzll(edges);
            if (edge >= line.len)
                break;
            if (kept)
                hash = fold_run(hash, line.ptr + start, edge - start, end) + MARK;
            start = edge;
        }
    }
    return kept ? fold_run(hash, line.ptr + start, line.len - start, end) : hash;
}

uint64_t storm_shape(struct str line)
{
    uint64_t hash = storm_seed();
    for (; line.len > STRETCH_BYTES; line = str_from_offset(line, STRETCH_BYTES))
        hash = fold_stretch(hash, str_make(line.ptr, STRETCH_BYTES));
    return fold_stretch(hash, line) | 1;
}

size_t storm_shape_text(struct str line, char mark, char *ret, size_t size)
{
    size_t len = 0;
    bool in_number = false;
    for (size_t i = 0; i < line.len && len < size; i++) {
        unsigned char byte = (unsigned char)line.ptr[i];
        bool digit = (unsigned char)(byte - '0') <= 9;
        bool letter = (unsigned char)((byte | 0x20) - 'a') <= 25;
        if (digit && !in_number)
            ret[len++] = mark;
        in_number = digit || (in_number && letter);
        if (!in_number)
            ret[len++] = line.ptr[i];
    }
    return len;
}
