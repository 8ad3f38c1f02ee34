/*
 * preflight: a contract, held against what is found.
 *
 * What came of it is a CapabilityGrantState and one answer: whether the
 * component may start whole, with less, or not. Denied, missing, locked, out
 * of phase and broken are told apart by decision, source and words.
 */
#ifndef AM_DOCTOR_PREFLIGHT_H
#define AM_DOCTOR_PREFLIGHT_H

#include <yyjson.h>

#include "base/buf.h"
#include "doctor/capability.h"
#include "doctor/phase.h"

#define PREFLIGHT_ITEMS_MAX 1000 /* states of one document */

enum readiness { PREFLIGHT_READY, PREFLIGHT_DEGRADED, PREFLIGHT_REFUSED, READINESS_COUNT };
extern const char *const readiness_names[READINESS_COUNT];

/* One question and its answer. */
struct preflight_item {
    struct str capability; /* as the contract has it; of a broker and of the phase, our word */
    const char *operation;
    struct capability_state state;
    struct str fallback, impact;
    bool counts; /* towards less than was declared */
};

struct preflight {
    const yyjson_val *contract;
    struct phase_sight sight;
    struct preflight_item *items;
    size_t count;
    enum readiness readiness;
    char epoch[80]; /* the same as long as every answer is the same */
};

/* ERR_MEMORY, or ERR_LIMIT where the contract asks for more than a document can answer. */
int preflight_look(const yyjson_val *contract, const struct surroundings *around,
                   struct preflight *ret, struct err *err) MUST_CHECK;
void preflight_release(struct preflight *preflight);

/* Appends a CapabilityGrantState. */
int preflight_write(const struct preflight *preflight, struct buf *ret, struct err *err) MUST_CHECK;

#endif
