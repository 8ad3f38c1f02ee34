/*
 * egress: secrets in a prompt that is about to leave this machine.
 *
 * Every text of the body is looked at as its reader will see it, with its escapes
 * resolved: members' names, messages, arguments of tools.
 */
#ifndef AM_DOORS_MODEL_EGRESS_H
#define AM_DOORS_MODEL_EGRESS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/redact.h"
#include "base/str.h"

#define EGRESS_MASKED_MAX                                                                          \
    256 /* texts with secrets that are masked; a prompt with more is refused */

/* The names are those of ModelProviderBinding's `promptEgress.onSecret`. */
#define EGRESS_TABLE(X)                                                                            \
    X(EGRESS_DENY, "deny")     /* the prompt stays here */                                         \
    X(EGRESS_MASK, "mask")     /* it leaves without them */                                        \
    X(EGRESS_REPORT, "report") /* it leaves, and it is on record */

enum egress_on_secret {
#define X(what, name) what,
    EGRESS_TABLE(X)
#undef X
        EGRESS_COUNT
};

/* What a binding says; deny where it says nothing that is known. */
enum egress_on_secret egress_on_secret_find(struct str name);

struct egress_findings {
    uint64_t counts[REDACT_KIND_COUNT];
    uint64_t total;
};

/*
 * Looks through a body. Where it is to be masked and something is found, *ret_masked has the body
 * without it, else nothing. ERR_SYNTAX: it is no JSON; ERR_LIMIT: it cannot be masked;
 * ERR_UNSUPPORTED, ERR_MEMORY: it could not be looked through.
 */
int egress_scan(struct redact_scanner *scanner, struct str body, bool masks,
                struct egress_findings *ret, struct buf *ret_masked, struct err *err) MUST_CHECK;

/* Appends "2 cloud-key, 1 jwt". */
void egress_add_findings(struct buf *text, const struct egress_findings *findings);

#endif
