/* net_files: what files tell of the network. */
#ifndef AM_DOCTOR_LINUX_NET_FILES_H
#define AM_DOCTOR_LINUX_NET_FILES_H

#include "doctor/net_record.h"

#define NET_RESOLVERS_FILE "/etc/resolv.conf"

/* The resolver's configuration, the leases of every client, and who waits for one. */
void net_files_read(struct net_record *record);

#endif
