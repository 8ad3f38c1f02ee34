/* schema: the tables of a ledger, by version. */
#ifndef AM_LEDGER_SCHEMA_H
#define AM_LEDGER_SCHEMA_H

#include "ledger/internal.h"

/*
 * Brings an open database to the newest schema: from nothing, or from an older
 * version. ERR_UNSUPPORTED for a newer one, ERR_DAMAGED for what is no ledger;
 * both are left as they are. Writers alone; the caller keeps others away.
 */
int schema_bring_up(struct db *db, const char *path, struct err *err) MUST_CHECK;
/* The version alone, checked in the same way; 0 where nothing has been made yet. */
int schema_version(struct db *db, const char *path, int64_t *ret, struct err *err) MUST_CHECK;

#endif
