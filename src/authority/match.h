/*
 * match: names by their labels from the last, address ranges by their bits.
 *
 * A trie gives out node numbers; what stands at a node is its owner's. A path
 * is every node that covers what was looked up, widest first. Built once, then
 * read by any number of threads.
 */
#ifndef AM_AUTHORITY_MATCH_H
#define AM_AUTHORITY_MATCH_H

#include "base/arena.h"
#include "base/base.h"
#include "base/str.h"
#include "contract/destination.h"

#define MATCH_NODES_MAX 16000000u
#define NAME_LABELS_MAX ((HOST_NAME_BYTES_MAX + 1) / 2)
#define RANGE_BITS_MAX  128
/* Nodes of a path: the root, and one for each label or bit. */
#define MATCH_PATH_MAX (RANGE_BITS_MAX + 1)
static_assert(NAME_LABELS_MAX < MATCH_PATH_MAX, "a path holds every label of a name");

struct name_node;

struct name_trie {
    struct name_node *nodes; /* 0 is the root: every name */
    uint32_t count, capacity;
    uint32_t *slots; /* hash table of nodes by parent and label; 0 is empty */
    uint32_t slot_count;
    struct arena labels;
};

/* All return 0, -ENOMEM or -E2BIG. */
int name_trie_init(struct name_trie *trie);
void name_trie_release(struct name_trie *trie);
/* `name` as host_name_read left it. */
int name_trie_add(struct name_trie *trie, struct str name, uint32_t *ret_node);
/* The number of nodes; *ret_whole: the last of them is the name itself. */
size_t name_trie_path(const struct name_trie *trie, struct str name,
                      uint32_t ret_path[MATCH_PATH_MAX], bool *ret_whole);

/* The first bits of an address, from the highest bit of `high`. */
struct prefix {
    uint64_t high, low;
    unsigned bits;
};

struct prefix prefix_of(const struct address_range *range);
bool prefix_covers(struct prefix wide, struct prefix narrow);

struct prefix_node;

/* One family's ranges; IPv4 and IPv6 have a trie each. */
struct prefix_trie {
    struct prefix_node *nodes; /* 0 is the root: every address */
    uint32_t count, capacity;
};

int prefix_trie_init(struct prefix_trie *trie);
void prefix_trie_release(struct prefix_trie *trie);
int prefix_trie_add(struct prefix_trie *trie, struct prefix prefix, uint32_t *ret_node);
size_t prefix_trie_path(const struct prefix_trie *trie, struct prefix prefix,
                        uint32_t ret_path[MATCH_PATH_MAX]);

#endif
