/* seccomp_filters: what tools/seccomp.py makes of seccomp.table. */
#ifndef AM_MACHINE_LINUX_SECCOMP_FILTERS_H
#define AM_MACHINE_LINUX_SECCOMP_FILTERS_H

#include "machine/linux/seccomp.h"

struct sock_filter;

struct seccomp_filter {
    const struct sock_filter *instructions;
    unsigned short count;
};

extern const struct seccomp_filter seccomp_filters[SECCOMP_KIND_COUNT];

#endif
