/* budget: accounts of the ledger as Budget documents. */
#ifndef AM_PLANE_BUDGET_H
#define AM_PLANE_BUDGET_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include "ledger/ledger.h"

struct budget_view {
    struct str id, holder, opened_at;
    struct str settled_at; /* empty: not settled */
};

/* A ceiling that is used up: the account's own, or that of one above it. */
struct exhaustion {
    enum dimension dimension;
    char account[512]; /* empty: none is */
};

/* Looks for one in the account and those above it. */
int budget_exhaustion(struct ledger *ledger, struct str account, struct exhaustion *ret,
                      struct err *err) MUST_CHECK;
/* Appends the document; `exhaustion` may be NULL. */
void budget_document(struct buf *ret, const struct budget_view *view, const struct account *account,
                     const struct exhaustion *exhaustion);

#endif
