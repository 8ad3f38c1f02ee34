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

/* Of the block at a place; what is behind the line's end is neither. */
static inline struct masks masks_at(struct str line, size_t at)
{
    size_t left = line.len - at;
    if (left >= BLOCK)
        return classify(line.ptr + at);
    if (line.len >= BLOCK) { /* the line's last 64 bytes, without those that were had already */
        struct masks masks = classify(line.ptr + line.len - BLOCK);
        masks.word >>= BLOCK - left;
        masks.digit >>= BLOCK - left;
        return masks;
    }
    char last[BLOCK] = { 0 };
    memcpy(last, line.ptr + at, left);
    return classify(last);
}

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
    uint64_t low, high;
    for (; len >= 16; len -= 16, bytes += 16) {
        memcpy(&low, bytes, 8);
        memcpy(&high, bytes + 8, 8);
        hash = storm_fold(hash, low, high);
    }
    if (__builtin_expect(end - bytes >= 16, 1)) {
        memcpy(&low, bytes, 8);
        memcpy(&high, bytes + 8, 8);
    } else {
        uint64_t pair[2] = { 0 };
        memcpy(pair, bytes, len);
        low = pair[0];
        high = pair[1];
    }
    unsigned bits = (unsigned)len * 8;
    high = len > 8 ? high & ~(~0ull << (bits - 64)) : 0;
    low = len < 8 ? low & ~(~0ull << bits) : low;
    return storm_fold(hash ^ len, low, high);
}

static inline uint64_t fold_stretch(uint64_t hash, struct str line)
{
    const char *end = line.ptr + line.len;
    uint64_t before = 0; /* whether the last byte of the block before is dropped */
    size_t start = 0;
    bool kept = true, carry = false;
    for (size_t at = 0; at < line.len; at += BLOCK) {
        uint64_t dropped = numbered(masks_at(line, at), &carry);
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
    if (!line.len) /* and perhaps no pointer */
        return hash | 1;
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
