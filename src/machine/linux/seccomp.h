/*
 * seccomp: the filter over system calls that stays on whatever runs in the sandbox.
 *
 * What each call answers stands in seccomp.table; tools/seccomp.py makes the
 * filters of it when the program is built.
 */
#ifndef AM_MACHINE_LINUX_SECCOMP_H
#define AM_MACHINE_LINUX_SECCOMP_H

#include "base/base.h"
#include "base/err.h"

enum seccomp_kind {
    SECCOMP_DEFAULT,    /* inside namespaces of its own */
    SECCOMP_NO_SOCKETS, /* the same without sockets: seccompProfile `no-sockets` */
    /* As NO_SOCKETS, and without what only a namespace would confine (System V IPC, message
     * queues, limits of other processes): the tier `process`. */
    SECCOMP_PROCESS,
};
#define SECCOMP_KIND_COUNT 3

/*
 * Puts the filter on the calling thread, for good; children inherit it. One
 * system call, no allocation. Meant for the child, last before execve; needs
 * no_new_privs. ERR_UNSUPPORTED where the kernel has no filters, ERR_IO with
 * errno's text otherwise.
 */
int seccomp_install(enum seccomp_kind kind, struct err *err) MUST_CHECK;

/* Whether this kernel takes filters; asks it without installing one. */
bool seccomp_available(void);

#endif
