/*
 * tree: the Merkle tree of RFC 6962 over a sequence that only grows.
 *
 * A frontier holds the roots of the complete subtrees that make up a tree of
 * some size, so that adding a leaf and naming the root cost a few hashes and
 * no reading. Proofs are made from ranges, which a source knows how to hash.
 */
#ifndef AM_LEDGER_TREE_H
#define AM_LEDGER_TREE_H

#include "ledger/hash.h"

#define TREE_LEVELS_MAX     63 /* a size is below 2^63 */
#define TREE_PATH_MAX       (2 * TREE_LEVELS_MAX)
#define TREE_SUBTREE_LEVEL  8 /* whose roots are kept, so that proofs need not hash every leaf */
#define TREE_SUBTREE_LEAVES ((int64_t)1 << TREE_SUBTREE_LEVEL)
#define TREE_FRONTIER_BYTES (TREE_LEVELS_MAX * HASH_BYTES)

struct frontier {
    int64_t size;
    unsigned char node[TREE_LEVELS_MAX][HASH_BYTES]; /* by level; valid where size has that bit */
};

/*
 * Adds a leaf. True where that completed a subtree of TREE_SUBTREE_LEAVES, whose root goes to
 * ret_subtree and whose number is size / TREE_SUBTREE_LEAVES - 1.
 */
bool frontier_add(struct frontier *frontier, struct hash *hash,
                  const unsigned char leaf[HASH_BYTES], unsigned char ret_subtree[HASH_BYTES]);
void frontier_root(const struct frontier *frontier, struct hash *hash,
                   unsigned char ret[HASH_BYTES]);
/* The nodes alone, highest level first; and back, false where the length does not fit the size. */
size_t frontier_write(const struct frontier *frontier, unsigned char ret[TREE_FRONTIER_BYTES]);
bool frontier_read(struct frontier *ret, int64_t size, struct str bytes);

/* Where the hashes of a ledger's complete, aligned ranges come from. */
struct tree_source {
    void *context;
    /* The leaf at `index`, or (subtree) the root of the subtree with that number. */
    int (*hash_at)(void *context, bool subtree, int64_t index, unsigned char ret[HASH_BYTES],
                   struct err *err);
};

struct tree_path {
    size_t count;
    unsigned char node[TREE_PATH_MAX][HASH_BYTES];
};

/* The root over the leaves from `begin` to before `end`. */
int tree_range(const struct tree_source *source, struct hash *hash, int64_t begin, int64_t end,
               unsigned char ret[HASH_BYTES], struct err *err) MUST_CHECK;
/* PATH(index, D[size]) and PROOF(from, D[to]) of RFC 6962; 0 <= index < size, 0 < from <= to. */
int tree_inclusion(const struct tree_source *source, struct hash *hash, int64_t index, int64_t size,
                   struct tree_path *ret, struct err *err) MUST_CHECK;
int tree_consistency(const struct tree_source *source, struct hash *hash, int64_t from, int64_t to,
                     struct tree_path *ret, struct err *err) MUST_CHECK;

/* Whether a path leads from a leaf to a root; and from one root to a later one. */
bool tree_inclusion_holds(struct hash *hash, int64_t index, int64_t size,
                          const unsigned char leaf[HASH_BYTES], const struct tree_path *path,
                          const unsigned char root[HASH_BYTES]);
bool tree_consistency_holds(struct hash *hash, int64_t from, int64_t to,
                            const unsigned char from_root[HASH_BYTES],
                            const unsigned char to_root[HASH_BYTES], const struct tree_path *path);

#endif
