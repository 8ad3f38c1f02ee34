#include "doctor/lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[] = {
    "/var/lib/dhcp/dhclient.eth0.leases",
    "/run/systemd/netif/leases/2",
    "/var/lib/dhcpcd/eth0.lease",
    "/var/lib/NetworkManager/internal-0f0e0d0c-1111-2222-3333-444455556666-eth0.lease",
};

/* The first byte says whose file it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lease lease;
    size_t at = 0, before = 0;
    if (!size)
        return 0;
    struct str path = str_from(paths[data[0] % ARRAY_LEN(paths)]);
    struct str bytes = str_make((const char *)data + 1, size - 1);
    while (lease_next(path, bytes, 0, &at, &lease)) {
        if (!lease.address.family || !memchr(lease.link, '\0', sizeof(lease.link)) ||
            !memchr(lease.portal, '\0', sizeof(lease.portal)) || at <= before)
            abort();
        before = at;
    }
    return 0;
}
