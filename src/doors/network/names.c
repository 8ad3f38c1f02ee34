/*
 * names: see the header.
 *
 * Theory of operation. A lease has a slot and a number. Numbers count the addresses of the ranges,
 * and are the last bits of both addresses; a slot has every NAMES_MAX'th of them, and takes its
 * next one whenever it changes hands. So an address that a client still remembers stands for
 * nothing for a while before it can stand for another name, and a number leads to its slot without
 * a table of addresses. A name leads to its slot by a hash table that is chained by slot.
 *
 * Clients remember addresses for longer than they are told to (some for as long as they run), so
 * that no lease ends by time: only where all slots are taken, and then the one that was used least
 * recently. The list of who may go, from that one on, has all leases but those that are held.
 *
 * Invariants: a slot below `used` has a name, and stands in the chain of its name's hash; it is in
 * the list exactly while nobody holds it; the next number of a slot is never beyond the range.
 * Same questions in the same order get the same addresses.
 *
 * Threats: a program inside that asks for ever more names below a permitted wildcard ends leases of
 * its own only; what flows are open keep theirs. An address of a lease that has ended stands for
 * no name, and is refused as such.
 *
 * Limits: NAMES_MAX leases; the table's memory is touched as it fills, and a name takes its length.
 */
#include "doors/network/names.h"

#include <arpa/inet.h>

#include "base/map.h"

#define NUMBER_FIRST 256     /* what lies before is not leased: CAPTURE_IPV4 is there */
#define NUMBER_COUNT 131072u /* of NAMES_IPV4_RANGE */
#define TURNS        ((NUMBER_COUNT - NUMBER_FIRST) / NAMES_MAX) /* numbers of a slot */
#define NOWHERE      UINT32_MAX

static const struct address_range ipv4_range = { .prefix_bits = 15, .address = { 198, 18 } };
static const struct address_range ipv6_range = {
    .is_ipv6 = true,
    .prefix_bits = 48,
    .address = { 0xfd, 0x61, 0x6d, 0x61, 0x63, 0x68 },
};

struct slot {
    char *name;
    uint32_t turn;           /* which of its numbers it has */
    uint32_t holds;          /* how often it is held */
    uint32_t same_hash;      /* the next slot of its chain */
    uint32_t earlier, later; /* its neighbours in the list, while it is in it */
};

struct names {
    uint32_t used;           /* slots that have ever had a lease: the first ones */
    uint32_t oldest, newest; /* the ends of the list */
    uint32_t chains[NAMES_MAX];
    struct slot slots[NAMES_MAX];
};

int names_new(struct names **ret, struct err *err)
{
    struct names *names = calloc(1, sizeof(*names));
    if (!names)
        return err_set(err, ERR_MEMORY, "open the table of names", "there is not enough memory");
    names->oldest = names->newest = NOWHERE;
    memset(names->chains, 0xff, sizeof(names->chains));
    *ret = names;
    return 0;
}

void names_free(struct names *names)
{
    if (!names)
        return;
    for (uint32_t i = 0; i < names->used; i++)
        free(names->slots[i].name);
    free(names);
}

/* --- who may go ---------------------------------------------------------------------------- */

static void list_add(struct names *names, uint32_t index)
{
    struct slot *slot = &names->slots[index];
    slot->earlier = names->newest;
    slot->later = NOWHERE;
    *(names->newest == NOWHERE ? &names->oldest : &names->slots[names->newest].later) = index;
    names->newest = index;
}

static void list_remove(struct names *names, uint32_t index)
{
    const struct slot *slot = &names->slots[index];
    *(slot->earlier == NOWHERE ? &names->oldest : &names->slots[slot->earlier].later) = slot->later;
    *(slot->later == NOWHERE ? &names->newest : &names->slots[slot->later].earlier) = slot->earlier;
}

static void use(struct names *names, uint32_t index)
{
    if (names->slots[index].holds || names->newest == index)
        return;
    list_remove(names, index);
    list_add(names, index);
}

/* --- from names to slots ------------------------------------------------------------------- */

/* Where the slot of a name is chained in; it holds NOWHERE where the name has none. */
static uint32_t *find_link(struct names *names, const char *name)
{
    uint32_t *link = &names->chains[hash_bytes(name, strlen(name)) % NAMES_MAX];
    while (*link != NOWHERE && strcmp(names->slots[*link].name, name) != 0)
        link = &names->slots[*link].same_hash;
    return link;
}

/* A slot without a name: one that never had one, or the one whose lease ends now. */
static uint32_t clear_slot(struct names *names)
{
    if (names->used < NAMES_MAX)
        return names->used++;
    uint32_t index = names->oldest;
    struct slot *slot = &names->slots[index];
    *find_link(names, slot->name) = slot->same_hash;
    list_remove(names, index);
    free(slot->name);
    slot->turn = (slot->turn + 1) % TURNS;
    return index;
}

/* --- from addresses to slots --------------------------------------------------------------- */

static struct address_range address_of(const struct address_range *range, uint32_t number)
{
    struct address_range address = *range;
    unsigned bytes = range->is_ipv6 ? 16 : 4;
    address.prefix_bits = 8 * bytes;
    for (unsigned i = 0; i < 4; i++)
        address.address[bytes - 1 - i] |= (unsigned char)(number >> 8 * i);
    return address;
}

static bool is_within(const struct address_range *range, const struct address_range *address)
{
    unsigned whole = range->prefix_bits / 8, rest = range->prefix_bits % 8;
    return address->is_ipv6 == range->is_ipv6 && address->prefix_bits >= range->prefix_bits &&
           memcmp(address->address, range->address, whole) == 0 &&
           (address->address[whole] ^ range->address[whole]) >> (8 - rest) == 0;
}

bool names_is_ours(const struct address_range *address)
{
    return is_within(&ipv4_range, address) || is_within(&ipv6_range, address);
}

/* The slot whose lease an address belongs to, or NOWHERE. */
static uint32_t find_slot(const struct names *names, const struct address_range *address)
{
    const struct address_range *range = address->is_ipv6 ? &ipv6_range : &ipv4_range;
    uint32_t number = 0;
    for (unsigned bytes = address->is_ipv6 ? 16 : 4, i = bytes - 4; i < bytes; i++)
        number = number << 8 | address->address[i];
    if (!address->is_ipv6)
        number &= NUMBER_COUNT - 1;
    struct address_range same = address_of(range, number);
    if (number < NUMBER_FIRST || address->prefix_bits != same.prefix_bits ||
        memcmp(address->address, same.address, sizeof(same.address)) != 0)
        return NOWHERE;
    uint32_t index = (number - NUMBER_FIRST) % NAMES_MAX;
    bool is_leased =
        index < names->used && (number - NUMBER_FIRST) / NAMES_MAX == names->slots[index].turn;
    return is_leased ? index : NOWHERE;
}

/* --- leases -------------------------------------------------------------------------------- */

static int add(struct names *names, const char *name, uint32_t *ret_index)
{
    if (names->used == NAMES_MAX && names->oldest == NOWHERE)
        return -ENOSPC;
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    uint32_t index = clear_slot(names), *link = find_link(names, name);
    names->slots[index].name = copy;
    names->slots[index].same_hash = NOWHERE;
    *link = index;
    list_add(names, index);
    *ret_index = index;
    return 0;
}

int names_lease(struct names *names, const char *name, struct name_lease *ret)
{
    uint32_t index = *find_link(names, name);
    int r = index == NOWHERE ? add(names, name, &index) : 0;
    if (r < 0)
        return r;
    use(names, index);
    uint32_t number = NUMBER_FIRST + names->slots[index].turn * NAMES_MAX + index;
    *ret = (struct name_lease){ address_of(&ipv4_range, number), address_of(&ipv6_range, number) };
    return 0;
}

const char *names_find(struct names *names, const struct address_range *address)
{
    uint32_t index = find_slot(names, address);
    if (index == NOWHERE)
        return NULL;
    use(names, index);
    return names->slots[index].name;
}

const char *names_hold(struct names *names, const struct address_range *address)
{
    uint32_t index = find_slot(names, address);
    if (index == NOWHERE)
        return NULL;
    if (!names->slots[index].holds++)
        list_remove(names, index);
    return names->slots[index].name;
}

void names_let_go(struct names *names, const struct address_range *address)
{
    uint32_t index = find_slot(names, address);
    assert(index != NOWHERE && names->slots[index].holds);
    if (!--names->slots[index].holds)
        list_add(names, index);
}
