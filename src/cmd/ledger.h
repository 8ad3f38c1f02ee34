/* ledger: what the files of the ledger's verbs share. */
#ifndef AM_CMD_LEDGER_H
#define AM_CMD_LEDGER_H

#include "base/sign.h"
#include "cmd/verb.h"
#include "ledger/ledger.h"

#define STATE_OPTION                                                                               \
    {                                                                                              \
        "state", 0, "DIR", "the ledger's folder (agent-machine in XDG_STATE_HOME)"                 \
    }

/* Opens the ledger for reading: in the folder that --state names, or in the user's. */
int ledger_verb_open(const char *state, struct ledger **ret, struct err *err) MUST_CHECK;

/* The public key that an option names, or the user's own. */
int ledger_verb_key(const char *given, struct sign_public *ret, struct err *err) MUST_CHECK;

#define LEDGER_EXPORT_OPTION_COUNT 4
#define LEDGER_TAIL_OPTION_COUNT   5
extern const struct option_row ledger_export_options[LEDGER_EXPORT_OPTION_COUNT];
extern const struct option_row ledger_tail_options[LEDGER_TAIL_OPTION_COUNT];
int run_ledger_export(const struct invocation *invocation);
int run_ledger_tail(const struct invocation *invocation);

static inline void cleanup_ledger(struct ledger **ledger)
{
    ledger_close(*ledger);
}

#endif
