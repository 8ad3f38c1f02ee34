/*
 * settle: see the header.
 *
 * Theory of operation. Four cases, looked at in this order: the provider said all;
 * nothing can have been made; it said a part; it said nothing.
 */
#include "doors/model/settle.h"

static const char *const basis_names[] = {
#define X(basis, name) [basis] = name,
    MODEL_BASIS_TABLE(X)
#undef X
};

static const char *const end_names[] = {
#define X(end, name) [end] = name,
    MODEL_END_TABLE(X)
#undef X
};

const char *model_basis_name(enum model_basis basis)
{
    return basis_names[basis];
}

const char *model_end_name(enum model_end end)
{
    return end_names[end];
}

static bool can_have_made_nothing(const struct call_outcome *outcome)
{
    return outcome->end == CALL_UNREACHABLE || outcome->status >= 400 ||
           (!outcome->sent_bytes && !outcome->status) ||
           !(outcome->reserved.input || outcome->reserved.output);
}

void settle_compute(const struct call_outcome *outcome, struct model_settlement *ret)
{
    const struct model_usage *usage = &outcome->usage;
    struct model_settlement settlement = {
        .end = outcome->end,
        .basis = BASIS_RESERVED,
        .calls = outcome->end == CALL_UNREACHABLE ? 0 : 1,
        .input_tokens = outcome->reserved.input,
        .output_tokens = outcome->reserved.output,
        .sent_bytes = outcome->sent_bytes,
        .answer_bytes = outcome->answer_bytes,
        .status = outcome->status,
    };
    if (usage->is_final) {
        settlement.basis = BASIS_REPORTED;
        settlement.input_tokens = usage->input;
        settlement.output_tokens = usage->output;
    } else if (can_have_made_nothing(outcome)) {
        settlement.basis = BASIS_NOTHING;
        settlement.input_tokens = settlement.output_tokens = 0;
    } else if (usage->has_input || usage->has_output) {
        settlement.basis = BASIS_PARTIAL;
        if (usage->has_input)
            settlement.input_tokens = usage->input;
        /* So far: there may have been more since, up to what was reserved. */
        if (usage->output > settlement.output_tokens)
            settlement.output_tokens = usage->output;
    }
    settlement.tokens = settlement.input_tokens + settlement.output_tokens;
    *ret = settlement;
}
