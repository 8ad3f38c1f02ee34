/*
 * carrier: a thread with a loop and a pool of its own.
 *
 * What is in its loop is the thread's, except while somebody is entered: then
 * the thread does nothing, and all of it may be touched. The thread tells its
 * owner that there is something to fetch by a descriptor.
 */
#ifndef AM_DOORS_NETWORK_CARRIER_H
#define AM_DOORS_NETWORK_CARRIER_H

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"
#include "doors/network/pump.h"

struct carrier;

/* ERR_UNSUPPORTED where there is one processor alone, which has nothing to gain. */
int carrier_new(struct carrier **ret, struct err *err) MUST_CHECK;
/* Ends the thread; what was in its loop is forgotten. NULL is nothing. */
void carrier_free(struct carrier *carrier);

/* Waits until the thread rests, and keeps it resting until carrier_leave. */
void carrier_enter(struct carrier *carrier);
void carrier_leave(struct carrier *carrier);

/* For who is entered, and for the thread. */
struct loop *carrier_loop(struct carrier *carrier);
struct pump_pool *carrier_pool(struct carrier *carrier);

/* The thread's: its owner has something to fetch. */
void carrier_call(struct carrier *carrier);
/* The owner's: readable from carrier_call until carrier_hear. */
int carrier_called(const struct carrier *carrier);
void carrier_hear(struct carrier *carrier);

#endif
