/* main: the table of verbs. Each stands in a file of its own under src/cmd/. */
#include <signal.h>

#include "cmd/verb.h"

/* A standard stream that the caller has closed would become the first file that is opened. */
static bool open_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int main(int argc, char **argv)
{
    const struct verb verbs[] = { verb_run,         verb_ps,       verb_attach,     verb_logs,
                                  verb_stop,        verb_init,     verb_profile,    verb_policy,
                                  verb_network,     verb_model,    verb_delegation, verb_grant,
                                  verb_budget,      verb_op,       verb_ledger,     verb_receipt,
                                  verb_recover,     verb_contract, verb_redact,     verb_doctor,
                                  verb_diagnostics, verb_storm,    verb_help,       verb_version,
                                  verb_worktree };
    const struct verb program = {
        .name = "agent-machine",
        .summary = "run any AI agent or command with no ambient authority",
        .description =
            "Runs any AI agent, or any command, on this machine with no ambient authority: every "
            "file, host, model, tool and token is delegated, budgeted, gated by policy, and "
            "leaves evidence.\n\n"
            "agent-machine run -- COMMAND runs a command in the repository around the current "
            "folder; what it writes there goes to a change set.",
        .verbs = verbs,
        .verb_count = ARRAY_LEN(verbs),
    };
    signal(SIGCHLD, SIG_DFL); /* a caller may ignore it: then children would end unseen */
    return open_standard_streams() ? verb_main(&program, argc, argv) : 1;
}
