/*
 * tree: see the header.
 *
 * Theory of operation. A tree of n leaves splits at the largest power of two
 * below n, all the way down; so the roots of the perfect trees that n's binary
 * digits name determine its root, and adding a leaf works like adding one to a
 * binary number. Proofs are those of RFC 6962 section 2.1; checking them
 * follows RFC 9162 section 2.1.3.2 and 2.1.4.2, which consume a path node by
 * node and never recurse over what a stranger sent.
 */
#include "ledger/tree.h"

static_assert(TREE_SUBTREE_LEVEL < TREE_LEVELS_MAX, "subtrees stand inside the tree");

bool frontier_add(struct frontier *frontier, struct hash *hash,
                  const unsigned char leaf[HASH_BYTES], unsigned char ret_subtree[HASH_BYTES])
{
    unsigned char node[HASH_BYTES];
    bool completed = false;
    int level = 0;
    memcpy(node, leaf, HASH_BYTES);
    for (; frontier->size >> level & 1; level++) {
        hash_node(hash, frontier->node[level], node, node);
        if (level + 1 == TREE_SUBTREE_LEVEL) {
            memcpy(ret_subtree, node, HASH_BYTES);
            completed = true;
        }
    }
    assert(level < TREE_LEVELS_MAX);
    memcpy(frontier->node[level], node, HASH_BYTES);
    frontier->size++;
    return completed;
}

void frontier_root(const struct frontier *frontier, struct hash *hash,
                   unsigned char ret[HASH_BYTES])
{
    bool first = true;
    if (frontier->size == 0)
        hash_message(hash, STR(""), ret);
    for (int level = 0; level < TREE_LEVELS_MAX; level++) {
        if (!(frontier->size >> level & 1))
            continue;
        if (first)
            memcpy(ret, frontier->node[level], HASH_BYTES);
        else
            hash_node(hash, frontier->node[level], ret, ret);
        first = false;
    }
}

size_t frontier_write(const struct frontier *frontier, unsigned char ret[TREE_FRONTIER_BYTES])
{
    size_t len = 0;
    for (int level = TREE_LEVELS_MAX - 1; level >= 0; level--) {
        if (!(frontier->size >> level & 1))
            continue;
        memcpy(ret + len, frontier->node[level], HASH_BYTES);
        len += HASH_BYTES;
    }
    return len;
}

bool frontier_read(struct frontier *ret, int64_t size, struct str bytes)
{
    if (size < 0 || bytes.len != (size_t)__builtin_popcountll((uint64_t)size) * HASH_BYTES)
        return false;
    ret->size = size;
    for (int level = TREE_LEVELS_MAX - 1; level >= 0; level--) {
        if (!(size >> level & 1))
            continue;
        memcpy(ret->node[level], bytes.ptr, HASH_BYTES);
        bytes = str_from_offset(bytes, HASH_BYTES);
    }
    return true;
}

/* --- ranges and proofs --------------------------------------------------------------------- */

/* The largest power of two below n, for n > 1. */
static int64_t split_of(int64_t n)
{
    return (int64_t)1 << (63 - __builtin_clzll((uint64_t)(n - 1)));
}

int tree_range(const struct tree_source *source, struct hash *hash, int64_t begin, int64_t end,
               unsigned char ret[HASH_BYTES], struct err *err)
{
    /* Left parts are perfect and leave a hash each; the stack is as high as the tree. */
    int64_t count = end - begin;
    if (count == 1)
        return source->hash_at(source->context, false, begin, ret, err);
    if (count == TREE_SUBTREE_LEAVES && begin % TREE_SUBTREE_LEAVES == 0)
        return source->hash_at(source->context, true, begin / TREE_SUBTREE_LEAVES, ret, err);
    unsigned char left[HASH_BYTES], right[HASH_BYTES];
    int64_t middle = begin + split_of(count);
    int r = tree_range(source, hash, begin, middle, left, err);
    if (r == 0)
        r = tree_range(source, hash, middle, end, right, err);
    if (r == 0)
        hash_node(hash, left, right, ret);
    return r;
}

/* Writes down the ranges whose hashes make a path, from the root down. */
struct steps {
    size_t count;
    struct {
        int64_t begin, end;
    } range[TREE_PATH_MAX];
};

static void add_step(struct steps *steps, int64_t begin, int64_t end)
{
    assert(steps->count < TREE_PATH_MAX);
    steps->range[steps->count].begin = begin;
    steps->range[steps->count++].end = end;
}

/* A path begins at the bottom: what was found last comes first. */
static int hash_steps(const struct tree_source *source, struct hash *hash,
                      const struct steps *steps, struct tree_path *ret, struct err *err)
{
    for (size_t i = 0; i < steps->count; i++) {
        size_t from = steps->count - 1 - i;
        int r = tree_range(source, hash, steps->range[from].begin, steps->range[from].end,
                           ret->node[i], err);
        if (r < 0)
            return r;
    }
    ret->count = steps->count;
    return 0;
}

int tree_inclusion(const struct tree_source *source, struct hash *hash, int64_t index, int64_t size,
                   struct tree_path *ret, struct err *err)
{
    struct steps steps = { 0 };
    int64_t begin = 0, end = size;
    while (end - begin > 1) {
        int64_t middle = begin + split_of(end - begin);
        if (index < middle) {
            add_step(&steps, middle, end);
            end = middle;
        } else {
            add_step(&steps, begin, middle);
            begin = middle;
        }
    }
    return hash_steps(source, hash, &steps, ret, err);
}

int tree_consistency(const struct tree_source *source, struct hash *hash, int64_t from, int64_t to,
                     struct tree_path *ret, struct err *err)
{
    struct steps steps = { 0 };
    int64_t begin = 0, end = to;
    while (from != end) {
        int64_t middle = begin + split_of(end - begin);
        if (from <= middle) {
            add_step(&steps, middle, end);
            end = middle;
        } else {
            add_step(&steps, begin, middle);
            begin = middle;
        }
    }
    if (begin > 0) /* the old tree is not a whole subtree from the left: its last part is named */
        add_step(&steps, begin, end);
    return hash_steps(source, hash, &steps, ret, err);
}

bool tree_inclusion_holds(struct hash *hash, int64_t index, int64_t size,
                          const unsigned char leaf[HASH_BYTES], const struct tree_path *path,
                          const unsigned char root[HASH_BYTES])
{
    if (index < 0 || index >= size)
        return false;
    unsigned char node[HASH_BYTES];
    int64_t at = index, last = size - 1;
    memcpy(node, leaf, HASH_BYTES);
    for (size_t i = 0; i < path->count; i++) {
        if (last == 0)
            return false;
        if ((at & 1) || at == last) {
            hash_node(hash, path->node[i], node, node);
            while (!(at & 1) && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash_node(hash, node, path->node[i], node);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(node, root, HASH_BYTES) == 0;
}

bool tree_consistency_holds(struct hash *hash, int64_t from, int64_t to,
                            const unsigned char from_root[HASH_BYTES],
                            const unsigned char to_root[HASH_BYTES], const struct tree_path *path)
{
    if (from < 1 || from > to)
        return false;
    if (from == to)
        return path->count == 0 && memcmp(from_root, to_root, HASH_BYTES) == 0;
    bool whole = (from & (from - 1)) == 0; /* then the old root itself is the first node */
    if (!whole && path->count == 0)
        return false;
    unsigned char old[HASH_BYTES], new[HASH_BYTES];
    memcpy(old, whole ? from_root : path->node[0], HASH_BYTES);
    memcpy(new, old, HASH_BYTES);
    int64_t at = from - 1, last = to - 1;
    while (at & 1) {
        at >>= 1;
        last >>= 1;
    }
    for (size_t i = whole ? 0 : 1; i < path->count; i++) {
        if (last == 0)
            return false;
        if ((at & 1) || at == last) {
            hash_node(hash, path->node[i], old, old);
            hash_node(hash, path->node[i], new, new);
            while (!(at & 1) && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash_node(hash, new, path->node[i], new);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(old, from_root, HASH_BYTES) == 0 &&
           memcmp(new, to_root, HASH_BYTES) == 0;
}
