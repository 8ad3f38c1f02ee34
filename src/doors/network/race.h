/*
 * race: a connection to the first of several addresses that answers (RFC 8305, happy eyeballs).
 *
 * One that does not answer at once does not hold the others up, and the first
 * to answer is the one.
 */
#ifndef AM_DOORS_NETWORK_RACE_H
#define AM_DOORS_NETWORK_RACE_H

#include "base/base.h"
#include "base/loop.h"
#include "contract/destination.h"

#define RACE_ADDRESSES_MAX 8
#define RACE_STAGGER_MS    250

struct race;
/* 0: the winner's watch has the connected socket; or the -errno of the last that failed. */
typedef void race_done(struct race *race, int r);

struct race_options {
    struct loop *loop;
    const struct address_range *addresses; /* copied; RACE_ADDRESSES_MAX of them at the most */
    size_t count;
    uint16_t port;
    bool speaks_first; /* there are bytes that will be sent at once */
    /*
     * Of the socket, non-blocking, that is connected in the end, and what it is then watched for;
     * what is heard of it before goes to race_hear. Free, with fd -1.
     */
    struct loop_watch *winner;
    uint32_t events;
    race_done *done;
};

struct race {
    struct loop *loop; /* NULL: there is no race */
    race_done *done;
    struct loop_watch *winner;
    uint32_t events;
    uint16_t port;
    bool speaks_first;
    int error;
    struct loop_timer stagger;
    struct address_range addresses[RACE_ADDRESSES_MAX];
    size_t count, next, running;
    struct runner {
        struct loop_watch watch;
        struct race *race;
    } runners[RACE_ADDRESSES_MAX];
};

/*
 * The addresses, families by turns, each RACE_STAGGER_MS after the one before or when all before
 * have failed. `done` is called once, from the loop, unless race_stop comes first; it may free the
 * race. 0, or -errno where none can be tried at all.
 */
int race_start(struct race *race, const struct race_options *options) MUST_CHECK;
/* The winner's watch was called, while there is a race. */
void race_hear(struct race *race, uint32_t events);
/* A race that was zeroed and never started, or is over, is nothing. */
void race_stop(struct race *race);

#endif
