/* settle: what a call is charged, by what was reserved and what the provider said. Pure. */
#ifndef AM_DOORS_MODEL_SETTLE_H
#define AM_DOORS_MODEL_SETTLE_H

#include "base/base.h"
#include "doors/model/prompt.h"
#include "doors/model/sink.h"
#include "doors/model/usage.h"

struct call_outcome {
    enum model_end end;
    unsigned status; /* of the provider; 0: it did not answer */
    uint64_t sent_bytes, answer_bytes;
    struct model_usage usage;
    struct prompt_cost reserved;
};

/*
 * A figure that the provider did not say is charged as it was reserved, once anything of the
 * request had been sent and unless the provider refused it: so that nobody can use more than what
 * is charged by ending a call early.
 */
void settle_compute(const struct call_outcome *outcome, struct model_settlement *ret);

#endif
