/* host_tries: the facts of host.h that are found out by doing the thing, in a child. */
#ifndef AM_MACHINE_LINUX_HOST_TRIES_H
#define AM_MACHINE_LINUX_HOST_TRIES_H

#include "machine/linux/host.h"

/* Each fills a fact and may leave its process in any namespace. */
typedef void host_try(struct host_fact *fact);
host_try host_try_user_namespaces, host_try_proc, host_try_overlay, host_try_id_mapped,
    host_try_seccomp, host_try_netfilter;

/* Says what was seen. */
void host_found(struct host_fact *fact, enum host_state state, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
