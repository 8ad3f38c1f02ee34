/*
 * net_facts: see the header.
 *
 * Theory of operation. One table says which reader takes which kind of item.
 * The epoch is a digest over what is listed of links, addresses, routes, rules
 * and resolvers, without what changes by itself (lifetimes, counters): whoever
 * looks twice at the same network finds the same epoch.
 */
#include "doctor/net_facts.h"

#include <linux/rtnetlink.h>

#define STEP_FACTS     "read what was seen of the network"
#define ROWS_FIRST     16
#define EPOCH_TEXT_MAX ((size_t)32 << 20)

void *net_row_add(struct net_facts *facts, void *rows, size_t *count, size_t size, size_t max)
{
    void **place = rows;
    if (*count == max) {
        facts->is_cut = true;
        return NULL;
    }
    /* There is room up to the next power of two, from ROWS_FIRST on. */
    bool is_full = *count == 0 || (*count >= ROWS_FIRST && (*count & (*count - 1)) == 0);
    if (is_full) {
        void *larger = arena_alloc_array(&facts->arena, size, *count ? *count * 2 : ROWS_FIRST);
        if (!larger)
            return NULL;
        if (*count)
            memcpy(larger, *place, *count * size);
        *place = larger;
    }
    return memset((char *)*place + (*count)++ * size, 0, size);
}

/* --- looking up ----------------------------------------------------------------------------- */

const struct net_link *net_link_at(const struct net_facts *facts, int index)
{
    for (size_t i = 0; i < facts->links_count; i++)
        if (facts->links[i].index == index)
            return &facts->links[i];
    return NULL;
}

const struct net_link *net_link_named(const struct net_facts *facts, const char *name)
{
    for (size_t i = 0; i < facts->links_count; i++)
        if (strcmp(facts->links[i].name, name) == 0)
            return &facts->links[i];
    return NULL;
}

/* --- files ---------------------------------------------------------------------------------- */

static int read_lease_item(struct net_facts *facts, const struct net_item *item)
{
    struct lease lease;
    size_t at = 0;
    while (lease_next(str_from(item->name), item->bytes, item->at_ms, &at, &lease)) {
        struct net_lease *row = NET_ROW(facts, leases, NET_LEASES_MAX);
        if (!row)
            return facts->is_cut ? 0 : -ENOMEM;
        *row = (struct net_lease){ lease, item };
    }
    return 0;
}

/* Of several files the first that names a server counts: observers put them in that order. */
static int read_resolvers_item(struct net_facts *facts, const struct net_item *item)
{
    if (facts->resolvers && (item->error || facts->resolv.server_count))
        return 0;
    facts->resolvers = item;
    if (!item->error)
        resolv_read(item->bytes, &facts->resolv);
    return 0;
}

/* --- the epoch ------------------------------------------------------------------------------ */

static void add_links(const struct net_facts *facts, struct buf *text)
{
    for (size_t i = 0; i < facts->links_count; i++) {
        const struct net_link *link = &facts->links[i];
        buf_addf(text, "link %d %s %s %u %x %d %d\n", link->index, link->name, link->kind,
                 link->state, link->flags & (IFF_UP | IFF_RUNNING), link->has_carrier,
                 link->master);
        (void)buf_add(text, link->identity, link->identity_len);
    }
}

static void add_addresses(const struct net_facts *facts, struct buf *text)
{
    char address[NET_ADDRESS_TEXT];
    for (size_t i = 0; i < facts->addresses_count; i++)
        buf_addf(text, "address %d %s/%u %x\n", facts->addresses[i].link,
                 net_address_text(&facts->addresses[i].address, address),
                 facts->addresses[i].prefix, facts->addresses[i].flags);
}

static void add_routes(const struct net_facts *facts, struct buf *text)
{
    char to[NET_ADDRESS_TEXT], gateway[NET_ADDRESS_TEXT];
    for (size_t i = 0; i < facts->routes_count; i++) {
        const struct net_route *route = &facts->routes[i];
        buf_addf(text, "route %s/%u %u %u %u %d %s\n", net_address_text(&route->to, to),
                 route->prefix, route->table, route->priority, route->type, route->link,
                 net_address_text(&route->gateway, gateway));
    }
    for (size_t i = 0; i < facts->rules_count; i++) {
        const struct net_rule *rule = &facts->rules[i];
        buf_addf(text, "rule %u %u %u %u %s %s\n", rule->family, rule->action, rule->priority,
                 rule->table, rule->in, rule->out);
    }
}

static int make_epoch(struct net_facts *facts, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(EPOCH_TEXT_MAX);
    char address[NET_ADDRESS_TEXT];
    add_links(facts, &text);
    add_addresses(facts, &text);
    add_routes(facts, &text);
    for (size_t i = 0; i < facts->resolv.server_count; i++)
        buf_addf(&text, "resolver %s\n", net_address_text(&facts->resolv.servers[i], address));
    if (text.error)
        return err_set(err, ERR_MEMORY, STEP_FACTS, "there is not enough memory");
    int r = digest_text(buf_str(&text), facts->epoch, err);
    const struct net_item *before = net_record_next(facts->record, NET_EPOCH, NULL);
    facts->is_stale = r == 0 && before && !str_equal(before->bytes, str_from(facts->epoch));
    return r;
}

/* --- all of it ------------------------------------------------------------------------------ */

/* NULL: nothing is made of it before it is judged. */
static int (*const readers[NET_ITEM_COUNT])(struct net_facts *facts,
                                            const struct net_item *item) = {
    [NET_LINKS] = net_read_links,
    [NET_ADDRESSES] = net_read_addresses,
    [NET_ROUTES] = net_read_routes,
    [NET_RULES] = net_read_rules,
    [NET_NEIGHBOURS] = net_read_neighbours,
    [NET_LOOKUP] = net_read_lookup,
    [NET_RADIOS] = net_read_radios,
    [NET_STATIONS] = net_read_stations,
    [NET_RADIO_EVENT] = net_read_radio_event,
    [NET_SWITCHES] = net_read_switches,
    [NET_WIREGUARD] = net_read_wireguard,
    [NET_LEASE] = read_lease_item,
    [NET_RESOLVERS] = read_resolvers_item,
};

int net_facts_read(const struct net_record *record, struct net_facts *ret, struct err *err)
{
    int r = 0;
    *ret = (struct net_facts){ .arena = ARENA_INIT,
                               .record = record,
                               .is_cut = record->lacking == -E2BIG };
    for (size_t kind = 0; kind < NET_ITEM_COUNT; kind++)
        ret->errors[kind] = ENODATA;
    for (size_t i = 0; i < record->count && r == 0; i++) {
        const struct net_item *item = &record->items[i];
        if (!item->error || ret->errors[item->kind] == ENODATA)
            ret->errors[item->kind] = item->error;
        if (readers[item->kind] &&
            (!item->error || item->kind == NET_LOOKUP || item->kind == NET_RESOLVERS))
            r = readers[item->kind](ret, item);
    }
    if (r == 0)
        r = make_epoch(ret, err);
    else
        r = err_set(err, ERR_MEMORY, STEP_FACTS, "there is not enough memory");
    if (r < 0)
        net_facts_release(ret);
    return r;
}

void net_facts_release(struct net_facts *facts)
{
    arena_release(&facts->arena);
    *facts = (struct net_facts){ 0 };
}
