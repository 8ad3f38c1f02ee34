/*
 * network_space: the sandbox's network namespace, made beside the rest.
 *
 * A third of what a sandbox takes is its network, and nothing else of it needs
 * that network before its command is there: a thread makes both, and the first
 * process takes its namespace over and is alone again.
 */
#ifndef AM_MACHINE_LINUX_NETWORK_SPACE_H
#define AM_MACHINE_LINUX_NETWORK_SPACE_H

#include <pthread.h>

#include "base/base.h"
#include "base/err.h"
#include "doors/network/linux/capture.h"

struct network_space {
    pthread_t thread;
    bool has_thread;
    int result;
    int fd; /* of the namespace */
    struct capture capture;
    struct err err;
};

/* Where no thread can be had, it is made at once. What fails is told by network_space_enter. */
void network_space_begin(struct network_space *space);
/* Waits, and enters. `capture` is then the caller's to hand out and to close. */
int network_space_enter(struct network_space *space, struct err *err) MUST_CHECK;

#endif
