/* main: the table of verbs. Each stands in a file of its own under src/cmd/. */
#include "cmd/verb.h"

int main(int argc, char **argv)
{
    const struct verb verbs[] = { verb_init,    verb_profile,  verb_policy, verb_delegation,
                                  verb_grant,   verb_budget,   verb_op,     verb_ledger,
                                  verb_recover, verb_contract, verb_redact, verb_doctor,
                                  verb_help,    verb_version };
    const struct verb program = {
        .name = "agent-machine",
        .summary = "run any AI agent or command with no ambient authority",
        .description =
            "Runs any AI agent, or any command, on this machine with no ambient authority: every "
            "file, host, model, tool and token is delegated, budgeted, gated by policy, and "
            "leaves evidence.\n\n"
            "This release holds the contracts that say so, the engine that checks documents "
            "against them, the scanner that keeps secrets out of them, and the ledger with "
            "delegations, budgets and operations. The run itself comes next.",
        .verbs = verbs,
        .verb_count = ARRAY_LEN(verbs),
    };
    return verb_main(&program, argc, argv);
}
