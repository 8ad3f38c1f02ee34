/*
 * validate_vm: one run of the validator, what it may still cost, and what it has evaluated.
 *
 * Only the files of the validator include this. What is INLINE here is so that the fast run pays
 * for no call.
 */
#ifndef AM_CONTRACT_VALIDATE_VM_H
#define AM_CONTRACT_VALIDATE_VM_H

#include "base/buf.h"
#include "contract/program.h"
#include "contract/validate.h"

#define VALIDATE_STEP "validate"

struct evaluation {
    uint64_t *bits;
    size_t words;
    uint64_t few; /* bits of values with up to 64 members */
};

struct vm {
    const struct program *program;
    uint64_t steps_left;
    uint32_t depth;
    const char *stack; /* where it stood at the start; it grows down */
    uint32_t pattern_count;
    uint64_t pattern_ns;
    int error;
    struct err *err;
    uint32_t *scopes;
    size_t scope_count;
    struct report *report; /* NULL in the fast run */
    size_t unit_capacity;
    struct report_unit *annotations;
    size_t annotation_count, annotation_capacity;
    struct buf instance, keyword_path;
};

#define INLINE static inline __attribute__((always_inline))
#define COLD   __attribute__((noinline, cold))

/* --- bounds -------------------------------------------------------------------------------- */

/* Sets the error, unless there is one, and fails. */
COLD bool validate_give_up(struct vm *vm, enum err_code code, const char *why);
COLD bool validate_out_of_memory(struct vm *vm);

/* Charges steps; false when they have run out. */
INLINE bool charge(struct vm *vm, uint64_t steps)
{
    if (vm->steps_left < steps)
        return validate_give_up(vm, ERR_LIMIT,
                                "the schema needs more steps than the limit allows: it is "
                                "recursive without end, or it branches exponentially");
    vm->steps_left -= steps;
    return true;
}

/* --- evaluated members --------------------------------------------------------------------- */

/* How much is evaluated now, to be taken back when a branch fails. */
struct snapshot {
    uint64_t *bits;
    size_t annotations, faults;
};

static inline bool evaluation_open(struct vm *vm, struct evaluation *e, size_t members)
{
    e->words = (members + 63) / 64;
    e->few = 0;
    e->bits = e->words > 1 ? calloc(e->words, sizeof(*e->bits)) : &e->few;
    return e->bits || validate_out_of_memory(vm);
}

static inline void evaluation_close(struct evaluation *e)
{
    if (e->words > 1)
        free(e->bits);
}

INLINE void mark(struct evaluation *e, size_t index)
{
    if (e)
        e->bits[index / 64] |= (uint64_t)1 << (index % 64);
}

static inline void mark_all(struct evaluation *e)
{
    if (e)
        memset(e->bits, 0xff, (e->words ? e->words : 1) * sizeof(*e->bits));
}

INLINE bool is_marked(const struct evaluation *e, size_t index)
{
    return e->bits[index / 64] >> (index % 64) & 1;
}

static inline void evaluation_merge(struct evaluation *into, const struct evaluation *from)
{
    for (size_t i = 0; into && i < from->words; i++)
        into->bits[i] |= from->bits[i];
}

static inline bool snapshot_take(struct vm *vm, const struct evaluation *e, struct snapshot *s)
{
    *s = (struct snapshot){ .annotations = vm->annotation_count,
                            .faults = vm->report ? vm->report->count : 0 };
    if (!e || !e->words)
        return true;
    s->bits = malloc(e->words * sizeof(*s->bits));
    if (!s->bits)
        return validate_out_of_memory(vm);
    memcpy(s->bits, e->bits, e->words * sizeof(*s->bits));
    return true;
}

/* A branch has failed: what it evaluated and annotated counts no more. */
static inline void snapshot_restore(struct vm *vm, struct evaluation *e, const struct snapshot *s)
{
    if (s->bits)
        memcpy(e->bits, s->bits, e->words * sizeof(*s->bits));
    vm->annotation_count = s->annotations;
}

static inline void snapshot_release(struct snapshot *s)
{
    free(s->bits);
}

#endif
