#include "doors/model/settle.h"

#include "base/test.h"

TEST(what_is_charged)
{
    static const struct {
        struct call_outcome outcome;
        enum model_basis basis;
        uint64_t calls, tokens;
    } cases[] = {
        /* Reported, also above what was reserved. */
        { { CALL_COMPLETED, 200, 9, 9, { 7, 5, true, true, true }, { 100, 50 } },
          BASIS_REPORTED,
          1,
          12 },
        { { CALL_COMPLETED, 200, 9, 9, { 700, 5, true, true, true }, { 100, 50 } },
          BASIS_REPORTED,
          1,
          705 },
        /* Not a word. */
        { { CALL_COMPLETED, 200, 9, 9, { 0 }, { 100, 50 } }, BASIS_RESERVED, 1, 150 },
        { { CALL_CLIENT_GONE, 0, 9, 0, { 0 }, { 100, 50 } }, BASIS_RESERVED, 1, 150 },
        /* Gone before anything was sent; refused; never reached. */
        { { CALL_CLIENT_GONE, 0, 0, 0, { 0 }, { 100, 50 } }, BASIS_NOTHING, 1, 0 },
        { { CALL_PROVIDER_REFUSED, 429, 9, 9, { 0 }, { 100, 50 } }, BASIS_NOTHING, 1, 0 },
        { { CALL_UNREACHABLE, 0, 0, 0, { 0 }, { 100, 50 } }, BASIS_NOTHING, 0, 0 },
        /* Cut: the prompt is known, and of the answer a beginning. */
        { { CALL_PROVIDER_CUT, 200, 9, 9, { 7, 1, true, true, false }, { 100, 50 } },
          BASIS_PARTIAL,
          1,
          57 },
        { { CALL_PROVIDER_CUT, 200, 9, 9, { 7, 60, true, true, false }, { 100, 50 } },
          BASIS_PARTIAL,
          1,
          67 },
        /* Tokens are only counted. */
        { { CALL_COMPLETED, 200, 9, 9, { 0 }, { 0, 0 } }, BASIS_NOTHING, 1, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_settlement settlement;
        settle_compute(&cases[i].outcome, &settlement);
        if (settlement.basis != cases[i].basis || settlement.calls != cases[i].calls ||
            settlement.tokens != cases[i].tokens)
            test_fail(__FILE__, __LINE__, "case %zu: %s, %llu calls, %llu tokens", i,
                      model_basis_name(settlement.basis), (unsigned long long)settlement.calls,
                      (unsigned long long)settlement.tokens);
    }
}
