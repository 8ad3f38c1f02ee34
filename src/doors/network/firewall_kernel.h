/*
 * firewall_kernel: the tables of nftables in this network namespace, by libnftables.
 *
 * A text is one transaction: all of it holds, or nothing. ERR_DENIED where the
 * kernel does not let this process, ERR_UNSUPPORTED where there is no
 * libnftables or no nftables in the kernel.
 */
#ifndef AM_DOORS_NETWORK_FIREWALL_KERNEL_H
#define AM_DOORS_NETWORK_FIREWALL_KERNEL_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Whether it is the name of a table that a plan can have: nothing else is ever listed or removed.
 */
bool firewall_table_is(struct str name);

int firewall_kernel_load(struct str text, struct err *err) MUST_CHECK;
/* 1 with the table's rules appended, as nft lists them without counters; 0 where it is not there.
 */
int firewall_kernel_list(struct str table, struct buf *ret, struct err *err) MUST_CHECK;
/* 1; 0 where it is not there. */
int firewall_kernel_remove(struct str table, struct err *err) MUST_CHECK;

#endif
