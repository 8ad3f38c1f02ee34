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

struct row_step {
    uint64_t min, max;
    enum regex_beyond beyond;
    uint8_t ascii[256]; /* by byte; those of a longer sequence are 0 */
};

struct regex_row {
    bool from_start, to_end;
    size_t literal_len; /* what the subject starts with, before any step */
    char literal[REGEX_STEPS_MAX];
    size_t count;
    struct row_step step[];
};

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

/* The one ASCII character that the step takes once; NUL where it takes others or more. */
static char only_character(const struct regex_step *step)
{
    const uint64_t *ascii = step->set.ascii;
    if (step->min != 1 || step->max != 1 || step->set.beyond != BEYOND_NONE ||
        __builtin_popcountll(ascii[0]) + __builtin_popcountll(ascii[1]) != 1)
        return '\0';
    return (char)(ascii[0] ? __builtin_ctzll(ascii[0]) : 64 + __builtin_ctzll(ascii[1]));
}

struct regex_row *regex_row_new(const struct regex_steps *steps)
{
    size_t literal_len = 0;
    while (steps->from_start && literal_len < steps->count &&
           only_character(&steps->step[literal_len]))
        literal_len++;
    size_t count = steps->count - literal_len;
    struct regex_row *row = calloc(1, sizeof(*row) + count * sizeof(struct row_step));
    if (!row)
        return NULL;
    row->from_start = steps->from_start;
    row->to_end = steps->to_end;
    row->literal_len = literal_len;
    for (size_t i = 0; i < literal_len; i++)
        row->literal[i] = only_character(&steps->step[i]);
    row->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct regex_step *step = &steps->step[literal_len + i];
        row->step[i].beyond = step->set.beyond;
        row->step[i].min = step->min;
        row->step[i].max = step->max;
        for (size_t c = 0; c < 0x80; c++)
            row->step[i].ascii[c] = step->set.ascii[c / 64] >> c % 64 & 1;
    }
    return row;
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

/* Moves past the code point at *at if it is beyond ASCII and the step's set holds it. */
static bool take_beyond(const struct row_step *step, struct str subject, size_t *at)
{
    if (*at == subject.len || step->beyond == BEYOND_NONE || (unsigned char)subject.ptr[*at] < 0x80)
        return false;
    size_t next = *at;
    int32_t c = utf8_next(subject, &next);
    if (c < 0 || !beyond_holds(step->beyond, c))
        return false;
    *at = next;
    return true;
}

/* As many as the step allows; at the code point behind them in the end. */
static uint64_t take(const struct row_step *step, struct str subject, size_t *at)
{
    uint64_t taken = 0;
    do {
        size_t left = subject.len - *at, run = 0;
        size_t most = step->max - taken < left ? (size_t)(step->max - taken) : left;
        const unsigned char *bytes = (const unsigned char *)subject.ptr + *at;
        while (run < most && step->ascii[bytes[run]])
            run++;
        *at += run;
        taken += run;
    } while (taken < step->max && take_beyond(step, subject, at) && ++taken < step->max);
    return taken;
}

static bool is_anywhere(const struct row_step *step, struct str subject)
{
    for (size_t at = 0; at < subject.len; at++) {
        size_t before = at;
        if (step->ascii[(unsigned char)subject.ptr[at]] || take_beyond(step, subject, &before))
            return true;
    }
    return false;
}

bool regex_row_search(const struct regex_row *row, struct str subject)
{
    if (!row->from_start)
        return !row->count || is_anywhere(&row->step[0], subject);
    if (!str_starts(subject, str_make(row->literal, row->literal_len)))
        return false;
    size_t at = row->literal_len;
    for (size_t i = 0; i < row->count; i++) {
        if (take(&row->step[i], subject, &at) < row->step[i].min)
            return false;
    }
    return !row->to_end || at == subject.len;
}
