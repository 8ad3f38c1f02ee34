/*
 * match: see the header.
 *
 * Theory of operation. A name's node is found by its parent and its label in
 * one hash table, so that looking up a name costs one probe for each label,
 * however many names there are. Ranges stand in a binary trie without nodes
 * that have one child and no range, so that a look-up visits no more nodes
 * than nested ranges and the branches between them, at most one for each bit.
 *
 * The hash is seeded afresh in every process (base/map.h): names that were
 * chosen to collide do not.
 *
 * Invariants: node 0 is the root; a child is numbered after its parent is
 * made, except where a branch was put between the two; slots are at most half
 * full.
 */
#include "authority/match.h"

#include <endian.h>

#include "base/map.h"

#define NODES_MIN 64
#define HALF_BITS 64

struct name_node {
    const char *label;
    uint32_t parent;
    uint32_t len;
};

struct prefix_node {
    struct prefix prefix;
    uint32_t children[2]; /* 0: none */
};

/* Makes room for one more node; `nodes` is the address of the array. */
static int grow_nodes(void *nodes, size_t size, uint32_t count, uint32_t *capacity)
{
    void **array = nodes;
    if (count < *capacity)
        return 0;
    if (count >= MATCH_NODES_MAX)
        return -E2BIG;
    uint32_t larger = *capacity ? *capacity * 2 : NODES_MIN;
    void *grown = realloc(*array, larger * size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = larger;
    return 0;
}

/* --- names ---------------------------------------------------------------------------------- */

static uint64_t hash_child(uint32_t parent, struct str label)
{
    return hash_mix(hash_bytes(label.ptr, label.len), parent);
}

int name_trie_init(struct name_trie *trie)
{
    *trie = (struct name_trie){ 0 };
    int r = grow_nodes(&trie->nodes, sizeof(*trie->nodes), 0, &trie->capacity);
    if (r < 0)
        return r;
    trie->nodes[trie->count++] = (struct name_node){ 0 };
    return 0;
}

void name_trie_release(struct name_trie *trie)
{
    free(trie->nodes);
    free(trie->slots);
    arena_release(&trie->labels);
    *trie = (struct name_trie){ 0 };
}

/* The slot of a child, or the empty one where it belongs. */
static uint32_t *find_slot(const struct name_trie *trie, uint32_t parent, struct str label)
{
    for (uint64_t i = hash_child(parent, label);; i++) {
        uint32_t *slot = &trie->slots[i & (trie->slot_count - 1)];
        const struct name_node *node = &trie->nodes[*slot];
        if (!*slot || (node->parent == parent && node->len == label.len &&
                       memcmp(node->label, label.ptr, label.len) == 0))
            return slot;
    }
}

static int grow_slots(struct name_trie *trie)
{
    struct name_trie larger = *trie;
    if (trie->count * 2 < trie->slot_count)
        return 0;
    larger.slot_count = trie->slot_count ? trie->slot_count * 2 : 2 * NODES_MIN;
    larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
    if (!larger.slots)
        return -ENOMEM;
    for (uint32_t i = 1; i < trie->count; i++) {
        const struct name_node *node = &trie->nodes[i];
        *find_slot(&larger, node->parent, str_make(node->label, node->len)) = i;
    }
    free(trie->slots);
    *trie = larger;
    return 0;
}

static int add_child(struct name_trie *trie, uint32_t parent, struct str label, uint32_t *ret)
{
    int r = grow_slots(trie);
    if (r == 0)
        r = grow_nodes(&trie->nodes, sizeof(*trie->nodes), trie->count, &trie->capacity);
    if (r < 0)
        return r;
    uint32_t *slot = find_slot(trie, parent, label);
    if (!*slot) {
        const char *copy = arena_copy(&trie->labels, label);
        if (!copy)
            return -ENOMEM;
        trie->nodes[trie->count] = (struct name_node){ copy, parent, (uint32_t)label.len };
        *slot = trie->count++;
    }
    *ret = *slot;
    return 0;
}

/* Takes the last label off a name. */
static struct str take_label(struct str *name)
{
    const char *dot = name->len ? memrchr(name->ptr, '.', name->len) : NULL;
    size_t start = dot ? (size_t)(dot - name->ptr) + 1 : 0;
    struct str label = str_from_offset(*name, start);
    name->len = dot ? start - 1 : 0;
    return label;
}

int name_trie_add(struct name_trie *trie, struct str name, uint32_t *ret_node)
{
    uint32_t node = 0;
    int r = 0;
    while (r == 0 && name.len) {
        struct str label = take_label(&name);
        r = add_child(trie, node, label, &node);
    }
    if (r == 0)
        *ret_node = node;
    return r;
}

size_t name_trie_path(const struct name_trie *trie, struct str name,
                      uint32_t ret_path[MATCH_PATH_MAX], bool *ret_whole)
{
    size_t count = 0;
    ret_path[count++] = 0;
    while (name.len && trie->slot_count && count < MATCH_PATH_MAX) {
        struct str rest = name;
        struct str label = take_label(&rest);
        uint32_t node = *find_slot(trie, ret_path[count - 1], label);
        if (!node)
            break;
        ret_path[count++] = node;
        name = rest;
    }
    *ret_whole = !name.len;
    return count;
}

/* --- ranges --------------------------------------------------------------------------------- */

struct prefix prefix_of(const struct address_range *range)
{
    uint64_t halves[2];
    memcpy(halves, range->address, sizeof(halves));
    return (struct prefix){ be64toh(halves[0]), be64toh(halves[1]), range->prefix_bits };
}

static unsigned bit_of(struct prefix prefix, unsigned at)
{
    uint64_t half = at < HALF_BITS ? prefix.high : prefix.low;
    return half >> (HALF_BITS - 1 - at % HALF_BITS) & 1;
}

/* How many first bits of two prefixes are equal. */
static unsigned common_bits(struct prefix a, struct prefix b)
{
    unsigned shorter = a.bits < b.bits ? a.bits : b.bits;
    uint64_t high = a.high ^ b.high;
    uint64_t low = a.low ^ b.low;
    unsigned equal = high  ? (unsigned)__builtin_clzll(high)
                     : low ? HALF_BITS + (unsigned)__builtin_clzll(low)
                           : 2 * HALF_BITS;
    return equal < shorter ? equal : shorter;
}

static struct prefix cut(struct prefix prefix, unsigned bits)
{
    uint64_t high = bits >= HALF_BITS ? UINT64_MAX : ~(UINT64_MAX >> bits);
    uint64_t low = bits >= 2 * HALF_BITS ? UINT64_MAX
                   : bits > HALF_BITS    ? ~(UINT64_MAX >> (bits - HALF_BITS))
                                         : 0;
    return (struct prefix){ prefix.high & high, prefix.low & low, bits };
}

bool prefix_covers(struct prefix wide, struct prefix narrow)
{
    return common_bits(wide, narrow) == wide.bits;
}

static int add_node(struct prefix_trie *trie, struct prefix prefix, uint32_t *ret)
{
    int r = grow_nodes(&trie->nodes, sizeof(*trie->nodes), trie->count, &trie->capacity);
    if (r < 0)
        return r;
    trie->nodes[trie->count] = (struct prefix_node){ .prefix = prefix };
    *ret = trie->count++;
    return 0;
}

int prefix_trie_init(struct prefix_trie *trie)
{
    uint32_t root;
    *trie = (struct prefix_trie){ 0 };
    return add_node(trie, (struct prefix){ 0 }, &root);
}

void prefix_trie_release(struct prefix_trie *trie)
{
    free(trie->nodes);
    *trie = (struct prefix_trie){ 0 };
}

/* Puts a branch, where the two part, between a node and its child. */
static int add_branch(struct prefix_trie *trie, uint32_t parent, uint32_t child, unsigned bits,
                      uint32_t *ret)
{
    struct prefix below = trie->nodes[child].prefix;
    int r = add_node(trie, cut(below, bits), ret);
    if (r < 0)
        return r;
    trie->nodes[*ret].children[bit_of(below, bits)] = child;
    trie->nodes[parent].children[bit_of(below, trie->nodes[parent].prefix.bits)] = *ret;
    return 0;
}

int prefix_trie_add(struct prefix_trie *trie, struct prefix prefix, uint32_t *ret_node)
{
    uint32_t node = 0;
    uint32_t next = 0;
    int r = 0;
    prefix = cut(prefix, prefix.bits);
    while (r == 0 && trie->nodes[node].prefix.bits < prefix.bits) {
        unsigned side = bit_of(prefix, trie->nodes[node].prefix.bits);
        uint32_t child = trie->nodes[node].children[side];
        unsigned common = child ? common_bits(prefix, trie->nodes[child].prefix) : 0;
        if (!child) {
            r = add_node(trie, prefix, &next);
            if (r == 0)
                trie->nodes[node].children[side] = next;
        } else if (common < trie->nodes[child].prefix.bits) {
            r = add_branch(trie, node, child, common, &next);
        } else {
            next = child;
        }
        node = next;
    }
    if (r == 0)
        *ret_node = node;
    return r;
}

size_t prefix_trie_path(const struct prefix_trie *trie, struct prefix prefix,
                        uint32_t ret_path[MATCH_PATH_MAX])
{
    size_t count = 0;
    uint32_t node = 0;
    do {
        ret_path[count++] = node;
        if (trie->nodes[node].prefix.bits >= prefix.bits)
            break;
        node = trie->nodes[node].children[bit_of(prefix, trie->nodes[node].prefix.bits)];
    } while (node && prefix_covers(trie->nodes[node].prefix, prefix));
    return count;
}
