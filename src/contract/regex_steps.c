/*
 * regex_steps: the patterns that need no backtracking, matched without PCRE2.
 *
 * Most patterns of schemas are a row of sets: `^urn:x:`, `^[0-9a-f]{64}$`,
 * `\S`. Such a row is matched exactly by taking each step as often as it goes,
 * if no step could ever have left a character to a later one: every step whose
 * number is open must share no character with those that may come next. Rows
 * of which that is not true stay with PCRE2.
 */
#include "base/utf8.h"
#include "contract/regex_internal.h"

static bool intersect(const struct regex_set *a, const struct regex_set *b)
{
    return (a->ascii[0] & b->ascii[0]) || (a->ascii[1] & b->ascii[1]) ||
           (a->beyond != BEYOND_NONE && b->beyond != BEYOND_NONE);
}

/* Whether taking as much as possible is always right. */
static bool is_greedy_exact(const struct regex_steps *steps, size_t index)
{
    const struct regex_step *step = &steps->step[index];
    if (step->min == step->max)
        return true;
    for (size_t i = index + 1; i < steps->count; i++) {
        if (intersect(&step->set, &steps->step[i].set))
            return false;
        if (steps->step[i].min)
            break;
    }
    return true;
}

void regex_steps_settle(struct regex_steps *steps)
{
    /* With an open end, the last step is taken no more often than it must. */
    while (!steps->to_end && steps->count) {
        struct regex_step *last = &steps->step[steps->count - 1];
        last->max = last->min;
        if (last->min)
            break;
        steps->count--;
    }
    if (!steps->from_start) {
        bool one = steps->count == 1 && !steps->to_end && steps->step[0].max == 1;
        steps->usable = steps->usable && (one || !steps->count);
    }
    for (size_t i = 0; i < steps->count; i++)
        steps->usable = steps->usable && is_greedy_exact(steps, i);
}

static bool is_space_beyond_ascii(int32_t c)
{
    return c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000 || c == 0xFEFF;
}

static bool beyond_holds(enum regex_beyond beyond, int32_t c)
{
    switch (beyond) {
    case BEYOND_ALL:
        return true;
    case BEYOND_SPACES:
        return is_space_beyond_ascii(c);
    case BEYOND_NOT_SPACES:
        return !is_space_beyond_ascii(c);
    case BEYOND_NOT_LINES:
        return c != 0x2028 && c != 0x2029;
    case BEYOND_NONE:
    case BEYOND_MIXED:
        break;
    }
    return false;
}

/* Moves past the code point at *at if the set holds it. */
static inline bool take(const struct regex_set *set, struct str subject, size_t *at)
{
    if (*at == subject.len)
        return false;
    unsigned char byte = (unsigned char)subject.ptr[*at];
    if (byte < 0x80) {
        bool held = set->ascii[byte / 64] >> byte % 64 & 1;
        *at += held;
        return held;
    }
    if (set->beyond == BEYOND_NONE)
        return false;
    size_t next = *at;
    int32_t c = utf8_next(subject, &next);
    if (c < 0 || !beyond_holds(set->beyond, c))
        return false;
    *at = next;
    return true;
}

static bool is_anywhere(const struct regex_set *set, struct str subject)
{
    for (size_t at = 0, before; at < subject.len; at += at == before) {
        before = at;
        if (take(set, subject, &at))
            return true;
    }
    return false;
}

bool regex_steps_search(const struct regex_steps *steps, struct str subject)
{
    size_t at = 0;
    if (!steps->from_start)
        return !steps->count || is_anywhere(&steps->step[0].set, subject);
    for (size_t i = 0; i < steps->count; i++) {
        const struct regex_step *step = &steps->step[i];
        uint64_t taken = 0;
        while (taken < step->max && take(&step->set, subject, &at))
            taken++;
        if (taken < step->min)
            return false;
    }
    return !steps->to_end || at == subject.len;
}
