/* net_probe: see the header. */
#include "doctor/net_probe.h"

#define STEP_PROBE "ask the network"

int net_probe(const struct net_targets *targets, const struct resolv *resolv,
              struct net_record *record, struct err *err)
{
    _cleanup_(cleanup_free) struct net_found *found = calloc(targets->count + 1, sizeof(*found));
    if (!found)
        return err_set(err, ERR_MEMORY, STEP_PROBE, "there is not enough memory");
    for (size_t i = 0; i < targets->count; i++) {
        const struct net_target *target = &targets->rows[i];
        found[i].host = target->probe.host;
        for (size_t k = 0; k < target->address_count; k++) {
            const struct address_range *range = &target->addresses[k];
            struct net_address *address = &found[i].addresses[found[i].count++];
            address->family = range->is_ipv6 ? AF_INET6 : AF_INET;
            memcpy(address->bytes, range->address, sizeof(address->bytes));
        }
    }
    int r = net_ask_names(targets, resolv, record, found, err);
    if (r == 0)
        r = net_dial_hosts(targets, found, record, err);
    if (r == 0)
        net_fetch_pages(targets, found, record);
    return r;
}
