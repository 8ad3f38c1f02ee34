/*
 * outside: the addresses that a permitted name has in the world, asked for just before a
 * connection.
 *
 * The host's own name servers and its /etc/hosts are asked, as they are configured at that time.
 */
#ifndef AM_DOORS_NETWORK_OUTSIDE_H
#define AM_DOORS_NETWORK_OUTSIDE_H

#include "base/loop.h"
#include "contract/destination.h"

#define OUTSIDE_ADDRESSES_MAX 16    /* of one name; the rest is as if it were not there */
#define OUTSIDE_QUERIES_MAX   8192  /* that wait at a time */
#define OUTSIDE_ASKED_MAX     256   /* names that are asked for at a time */
#define OUTSIDE_KEPT_MAX      256   /* names whose addresses are remembered */
#define OUTSIDE_KEPT_MS       60000 /* at the longest */

struct outside;
struct outside_query;

/*
 * 0 with at least one address, valid within the call; or -errno, with none. The query has ended.
 * Must not free `outside`.
 */
typedef void outside_done(void *context, int r, const struct address_range *addresses,
                          size_t count);

/* The loop outlives it. Nothing is loaded, read or opened before the first question. */
int outside_new(struct loop *loop, struct outside **ret, struct err *err) MUST_CHECK;
/* Whoever still waits is not called. NULL is nothing. */
void outside_free(struct outside *outside);

/*
 * Asks for a name, as host_name_read leaves names. `done` is called once, and not before this
 * returns. 0, -ENOMEM, -EBUSY beyond a limit, -EOPNOTSUPP (no c-ares), or -EIO.
 */
int outside_resolve(struct outside *outside, const char *name, outside_done *done, void *context,
                    struct outside_query **ret) MUST_CHECK;
/* Ends a query whose `done` was not called; it never will be. */
void outside_cancel(struct outside_query *query);

/* What an error of the above means, for those who are told. */
const char *outside_text(int r);

/* Asks these servers ("127.0.0.1:5353", with commas between) and not the host's; for tests. */
int outside_set_servers(struct outside *outside, const char *servers) MUST_CHECK;

#endif
