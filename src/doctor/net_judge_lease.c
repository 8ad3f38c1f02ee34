/*
 * net_judge_lease: whether the link has an address by a lease, asks for one, or got none.
 *
 * A lease counts that has not run out and whose address is the link's: a file
 * that tells of another network's is of an earlier epoch, and said so. Without
 * a file, an IPv4 address that is to run out was leased by somebody.
 */
#include <linux/if_addr.h>

#include "base/clock.h"
#include "doctor/net_truth.h"

#define REF_ADDRESSES "netlink:route/addresses"
#define PROTOCOL_IP   0x0800
#define PROTOCOL_ALL  0x0003
#define CLIENT_PORT   ":0044 "

static bool is_of_link(const struct lease *lease, const struct net_link *link)
{
    size_t len = strlen(link->name);
    if (lease->link_index)
        return lease->link_index == link->index;
    /* A client may put the radio network's name behind it. */
    return strncmp(lease->link, link->name, len) == 0 &&
           (!lease->link[len] || lease->link[len] == '-');
}

static const struct net_own_address *address_of(const struct net_truth *truth,
                                                const struct net_address *wanted)
{
    for (size_t i = 0; i < truth->facts->addresses_count; i++) {
        const struct net_own_address *own = &truth->facts->addresses[i];
        if (own->link == truth->link->index && net_address_shares(&own->address, wanted, 128))
            return own;
    }
    return NULL;
}

/* The newest lease of the link that holds; those that do not are told of. */
static const struct net_lease *find_lease(struct net_truth *truth, bool *ret_ran_out)
{
    const struct net_facts *facts = truth->facts;
    const struct net_lease *best = NULL;
    char address[NET_ADDRESS_TEXT];
    for (size_t i = 0; i < facts->leases_count; i++) {
        const struct net_lease *row = &facts->leases[i];
        if (!is_of_link(&row->lease, truth->link))
            continue;
        net_address_text(&row->lease.address, address);
        if (!address_of(truth, &row->lease.address))
            net_saw(truth, NET_DHCP, "", "the lease of %s is of an earlier time: %s has it no more",
                    address, truth->link->name);
        else if (row->lease.end_ms && row->lease.end_ms < facts->record->at_ms)
            *ret_ran_out = true;
        else if (!best || row->lease.end_ms >= best->lease.end_ms)
            best = row;
    }
    return best;
}

/* --- without a file that holds -------------------------------------------------------------- */

/* IPv4 addresses of the link: to run out, for ever, and those that a machine gives to itself. */
struct own {
    const struct net_own_address *leased, *fixed, *made_up;
    bool has_other; /* of IPv6, beyond this cable */
};

static struct own look_at_addresses(const struct net_truth *truth)
{
    struct own own = { 0 };
    for (size_t i = 0; i < truth->facts->addresses_count; i++) {
        const struct net_own_address *row = &truth->facts->addresses[i];
        if (row->link != truth->link->index)
            continue;
        if (row->address.family == AF_INET6)
            own.has_other |= !net_address_is_link_local(&row->address);
        else if (net_address_is_link_local(&row->address))
            own.made_up = row;
        else if (row->valid_s != UINT32_MAX)
            own.leased = row;
        else
            own.fixed = row;
    }
    return own;
}

/* The number in a column of blanks-separated words; -1 where there is none. */
static long column_of(struct str line, unsigned column, int base)
{
    char word[24];
    size_t at = 0;
    for (unsigned i = 0;; i++) {
        while (at < line.len && line.ptr[at] == ' ')
            at++;
        size_t end = str_index(line, ' ', at);
        if (i == column) {
            char *stop;
            if (end == at || end - at >= sizeof(word))
                return -1;
            memcpy(word, line.ptr + at, end - at);
            word[end - at] = '\0';
            long number = strtol(word, &stop, base);
            return *stop ? -1 : number;
        }
        if (end >= line.len)
            return -1;
        at = end;
    }
}

/* Whether somebody waits for IP packets of the link itself, as a client without an address does. */
static bool is_asked_for(const struct net_truth *truth, const char **ret_ref)
{
    const struct net_item *item = NULL;
    while ((item = net_record_next(truth->facts->record, NET_LISTENERS, item))) {
        bool is_packets = strstr(item->name, "packet") != NULL;
        for (size_t at = 0; at < item->bytes.len;) {
            size_t end = str_index(item->bytes, '\n', at);
            struct str line = str_make(item->bytes.ptr + at, end - at);
            long protocol = is_packets ? column_of(line, 3, 16) : 0;
            *ret_ref = is_packets ? "file:/proc/net/packet" : "file:/proc/net/udp";
            if (is_packets ? (protocol == PROTOCOL_IP || protocol == PROTOCOL_ALL) &&
                                 column_of(line, 4, 10) == truth->link->index
                           : line.len && memmem(line.ptr, line.len, CLIENT_PORT,
                                                strlen(CLIENT_PORT)) != NULL)
                return true;
            at = end + 1;
        }
    }
    return false;
}

static void judge_without_lease(struct net_truth *truth, bool ran_out)
{
    struct own own = look_at_addresses(truth);
    char address[NET_ADDRESS_TEXT];
    const char *ref = "";
    bool asks = is_asked_for(truth, &ref);
    bool is_closed = truth->facts->errors[NET_LEASE] == EACCES;
    if (own.leased && !ran_out) {
        net_find(truth, NET_DHCP, "leased");
        net_saw(truth, NET_DHCP, REF_ADDRESSES, "%s is %s's for %u s more",
                net_address_text(&own.leased->address, address), truth->link->name,
                own.leased->valid_s);
    } else if (ran_out || own.made_up) {
        net_find(truth, NET_DHCP, "failed");
        net_saw(truth, NET_DHCP, REF_ADDRESSES, "%s",
                ran_out ? "the lease has run out, and was not given anew"
                        : "the machine gave itself an address, since nobody gave it one");
    } else if (own.fixed || own.has_other) {
        net_find(truth, NET_DHCP, is_closed ? "observer-failed" : "not-started");
        net_saw(truth, NET_DHCP, REF_ADDRESSES, "%s has an address that no lease gave",
                truth->link->name);
    } else if (asks) {
        net_find(truth, NET_DHCP, "acquiring");
        net_saw(truth, NET_DHCP, ref, "somebody waits for an answer on %s", truth->link->name);
    } else {
        net_find(truth, NET_DHCP, is_closed ? "observer-failed" : "not-started");
        net_saw(truth, NET_DHCP, REF_ADDRESSES, "%s has no address, and nobody asks for one",
                truth->link->name);
        if (!is_closed && strcmp(truth->layers[NET_ASSOCIATION].state, "associated") == 0) {
            truth->layers[NET_DHCP].grade = NET_FAILS;
            net_say(truth, NET_DHCP, "%s has no address, and no DHCP client asks for one.",
                    truth->link->name);
            net_mend(truth, NET_DHCP, "Start a DHCP client for %s, or give it an address.",
                     truth->link->name);
        }
    }
    if (is_closed)
        net_saw(truth, NET_DHCP, "",
                "not seen: the files of a DHCP client are closed to this user");
}

/* --- all of it ------------------------------------------------------------------------------ */

void net_judge_lease(struct net_truth *truth)
{
    char ref[NET_REF_MAX], address[NET_ADDRESS_TEXT], server[NET_ADDRESS_TEXT];
    bool ran_out = false;
    if (!truth->link || truth->facts->errors[NET_ADDRESSES]) {
        net_find(truth, NET_DHCP, "unknown");
        if (!truth->link)
            truth->layers[NET_DHCP].grade = NET_UNUSED;
        net_saw(truth, NET_DHCP, "", "%s",
                truth->link ? "the addresses cannot be listed" : "there is no link");
        return;
    }
    const struct net_lease *row = find_lease(truth, &ran_out);
    if (!row) {
        judge_without_lease(truth, ran_out);
        return;
    }
    char until[CLOCK_TEXT_SIZE] = "ever";
    if (row->lease.end_ms && row->lease.end_ms != INT64_MAX)
        clock_text(row->lease.end_ms, until);
    snprintf(ref, sizeof(ref), "file:%.80s", row->item->name);
    net_holds_until(truth, row->lease.end_ms);
    net_find(truth, NET_DHCP, "leased");
    net_saw(truth, NET_DHCP, ref, "%s is %s's by a lease of %s, kept by %s, until %s",
            net_address_text(&row->lease.address, address), truth->link->name,
            row->lease.server.family ? net_address_text(&row->lease.server, server) : "somebody",
            row->lease.client, until);
}
