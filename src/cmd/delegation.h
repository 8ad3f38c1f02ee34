/* delegation: what the verbs below `delegation` share. */
#ifndef AM_CMD_DELEGATION_H
#define AM_CMD_DELEGATION_H

#include "authority/delegation.h"
#include "cmd/verb.h"

/* The user's ledger, and the chain of what is in it. */
struct delegation_place {
    struct ledger *ledger;
    struct delegation_source source;
};

/* `root` names the public key that is trusted; NULL: the user's. */
int delegation_place_open(const char *root, enum ledger_mode mode, struct delegation_place *ret,
                          struct err *err) MUST_CHECK;
void delegation_place_close(struct delegation_place *place);

/* Prints the document inside an envelope, or the envelope itself. */
int delegation_print(struct str envelope, bool is_whole, bool as_json, struct err *err) MUST_CHECK;

int run_delegation_issue(const struct invocation *invocation);
#define DELEGATION_ISSUE_OPTION_COUNT 16
extern const struct option_row delegation_issue_options[DELEGATION_ISSUE_OPTION_COUNT];

int run_delegation_attenuate(const struct invocation *invocation);
#define DELEGATION_ATTENUATE_OPTION_COUNT (DELEGATION_ISSUE_OPTION_COUNT + 2)
extern const struct option_row delegation_attenuate_options[DELEGATION_ATTENUATE_OPTION_COUNT];

#endif
