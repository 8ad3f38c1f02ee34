/*
 * utf8: by the table of well-formed byte sequences in the Unicode standard
 * (chapter 3, table 3-7): the second byte's range depends on the first, which
 * is what keeps out over-long forms, surrogates and what lies past U+10FFFF.
 */
#include "base/utf8.h"

#define ASCII_HIGH_BITS 0x8080808080808080ull

static inline bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the sequence that starts the bytes, with its code point; 0 where invalid. */
static size_t decode(const unsigned char *p, size_t left, uint32_t *ret)
{
    unsigned char first = p[0];
    if (first < 0x80) {
        *ret = first;
        return 1;
    }
    if (first < 0xc2 || first > 0xf4 || left < 2 || !is_continuation(p[1]))
        return 0;
    uint32_t second = p[1] & 0x3f;
    if (first < 0xe0) {
        *ret = (uint32_t)(first & 0x1f) << 6 | second;
        return 2;
    }
    if (left < 3 || !is_continuation(p[2]))
        return 0;
    if (first < 0xf0) {
        uint32_t c = (uint32_t)(first & 0x0f) << 12 | second << 6 | (p[2] & 0x3f);
        if (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))
            return 0;
        *ret = c;
        return 3;
    }
    if (left < 4 || !is_continuation(p[3]))
        return 0;
    uint32_t c = (uint32_t)(first & 0x07) << 18 | second << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
                 (p[3] & 0x3f);
    if (c < 0x10000 || c > 0x10ffff)
        return 0;
    *ret = c;
    return 4;
}

int32_t utf8_next(struct str s, size_t *offset)
{
    if (*offset >= s.len)
        return -1;
    uint32_t code_point;
    size_t len = decode((const unsigned char *)s.ptr + *offset, s.len - *offset, &code_point);
    if (len == 0)
        return -1;
    *offset += len;
    return (int32_t)code_point;
}

bool utf8_valid(struct str s)
{
    for (size_t i = 0; i < s.len;) {
        uint64_t word;
        if (s.len - i >= sizeof(word)) {
            memcpy(&word, s.ptr + i, sizeof(word));
            if (!(word & ASCII_HIGH_BITS)) {
                i += sizeof(word);
                continue;
            }
        }
        uint32_t code_point;
        size_t len = decode((const unsigned char *)s.ptr + i, s.len - i, &code_point);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

/* Counts the bytes that do not continue a sequence, eight at a time. */
size_t utf8_length(struct str s)
{
    size_t continuations = 0, i = 0;
    uint64_t word;
    for (; s.len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, s.ptr + i, sizeof(word));
        /* The high bit of each byte that has 10 in its two highest bits. */
        uint64_t marks = word & (~word << 1) & ASCII_HIGH_BITS;
        continuations += (size_t)__builtin_popcountll(marks);
    }
    for (; i < s.len; i++)
        continuations += is_continuation((unsigned char)s.ptr[i]);
    return s.len - continuations;
}

int utf8_add(struct buf *buf, uint32_t c)
{
    char bytes[4];
    size_t len;
    if (c < 0x80) {
        bytes[0] = (char)c;
        len = 1;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xc0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 0x3f));
        len = 2;
    } else if (c < 0x10000) {
        if (c >= 0xd800 && c <= 0xdfff)
            return -EINVAL;
        bytes[0] = (char)(0xe0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (c & 0x3f));
        len = 3;
    } else if (c <= 0x10ffff) {
        bytes[0] = (char)(0xf0 | c >> 18);
        bytes[1] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[2] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[3] = (char)(0x80 | (c & 0x3f));
        len = 4;
    } else {
        return -EINVAL;
    }
    return buf_add(buf, bytes, len);
}
