#include "ledger/tree.h"

#include "base/test.h"

#define LEAVES_MAX 70

static struct hash *new_hash(void)
{
    struct hash *hash = NULL;
    CHECK_INT(hash_new(&hash, NULL), 0);
    return hash;
}

/* RFC 6962 section 2.1 word by word, by recursion, against which everything is held. */
static void naive_root(struct hash *hash, unsigned char (*leaves)[HASH_BYTES], int count,
                       unsigned char ret[HASH_BYTES])
{
    if (count == 0) {
        hash_message(hash, STR(""), ret);
    } else if (count == 1) {
        memcpy(ret, leaves[0], HASH_BYTES);
    } else {
        unsigned char left[HASH_BYTES], right[HASH_BYTES];
        int half = 1;
        while (half * 2 < count)
            half *= 2;
        naive_root(hash, leaves, half, left);
        naive_root(hash, leaves + half, count - half, right);
        hash_node(hash, left, right, ret);
    }
}

struct leaves {
    struct hash *hash;
    unsigned char leaf[LEAVES_MAX][HASH_BYTES];
};

static int leaf_at(void *context, bool subtree, int64_t index, unsigned char ret[HASH_BYTES],
                   struct err *err)
{
    struct leaves *leaves = context;
    (void)err;
    CHECK(!subtree);
    memcpy(ret, leaves->leaf[index], HASH_BYTES);
    return 0;
}

static void make_leaves(struct leaves *ret, struct hash *hash)
{
    ret->hash = hash;
    for (int i = 0; i < LEAVES_MAX; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "leaf %d", i);
        hash_leaf(hash, str_make(text, (size_t)len), ret->leaf[i]);
    }
}

/* The eight leaves and roots that implementations of Certificate Transparency test with. */
TEST(tree_has_the_published_roots)
{
    static const struct str inputs[] = {
        STR(""),
        { "\x00", 1 },
        STR("\x10"),
        STR("\x20\x21"),
        STR("\x30\x31"),
        STR("\x40\x41\x42\x43"),
        STR("\x50\x51\x52\x53\x54\x55\x56\x57"),
        STR("\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"),
    };
    static const struct {
        int size;
        const char *root;
    } rows[] = {
        { 0, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { 1, "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
        { 8, "sha256:5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
    };
    struct hash *hash = new_hash();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct frontier frontier = { 0 };
        unsigned char leaf[HASH_BYTES], root[HASH_BYTES], subtree[HASH_BYTES];
        char text[DIGEST_TEXT_SIZE];
        for (int j = 0; j < rows[i].size; j++) {
            hash_leaf(hash, inputs[j], leaf);
            frontier_add(&frontier, hash, leaf, subtree);
        }
        frontier_root(&frontier, hash, root);
        hash_text(root, text);
        CHECK_TEXT(text, rows[i].root);
    }
    hash_free(hash);
}

TEST(frontier_has_the_root_of_every_size_also_after_writing_and_reading)
{
    struct hash *hash = new_hash();
    struct leaves leaves;
    struct frontier frontier = { 0 };
    make_leaves(&leaves, hash);
    for (int size = 0; size < LEAVES_MAX; size++) {
        unsigned char expected[HASH_BYTES], root[HASH_BYTES], subtree[HASH_BYTES];
        unsigned char bytes[TREE_FRONTIER_BYTES];
        naive_root(hash, leaves.leaf, size, expected);
        size_t len = frontier_write(&frontier, bytes);
        struct frontier copy = { 0 };
        CHECK(frontier_read(&copy, size, str_make((char *)bytes, len)));
        CHECK(!frontier_read(&copy, size, str_make((char *)bytes, len + HASH_BYTES)));
        frontier_root(&copy, hash, root);
        CHECK(memcmp(root, expected, HASH_BYTES) == 0);
        frontier_add(&frontier, hash, leaves.leaf[size], subtree);
    }
    hash_free(hash);
}

TEST(frontier_names_each_complete_subtree)
{
    struct hash *hash = new_hash();
    struct frontier frontier = { 0 };
    static unsigned char leaves[600][HASH_BYTES];
    for (int i = 0; i < 600; i++) {
        unsigned char subtree[HASH_BYTES], expected[HASH_BYTES];
        hash_leaf(hash, str_make((char *)&i, sizeof(i)), leaves[i]);
        bool completed = frontier_add(&frontier, hash, leaves[i], subtree);
        CHECK_INT(completed, (i + 1) % TREE_SUBTREE_LEAVES == 0);
        if (!completed)
            continue;
        naive_root(hash, leaves + i + 1 - TREE_SUBTREE_LEAVES, TREE_SUBTREE_LEAVES, expected);
        CHECK(memcmp(subtree, expected, HASH_BYTES) == 0);
    }
    hash_free(hash);
}

TEST(inclusion_of_every_leaf_in_every_size_holds_and_nothing_else_does)
{
    struct hash *hash = new_hash();
    struct leaves leaves;
    struct tree_source source = { .context = &leaves, .hash_at = leaf_at };
    make_leaves(&leaves, hash);
    for (int size = 1; size < LEAVES_MAX; size++) {
        unsigned char root[HASH_BYTES];
        naive_root(hash, leaves.leaf, size, root);
        for (int i = 0; i < size; i++) {
            struct tree_path path;
            CHECK_INT(tree_inclusion(&source, hash, i, size, &path, NULL), 0);
            CHECK(tree_inclusion_holds(hash, i, size, leaves.leaf[i], &path, root));
            CHECK(!tree_inclusion_holds(hash, i, size, leaves.leaf[i + 1], &path, root));
            CHECK(!tree_inclusion_holds(hash, i + 1, size, leaves.leaf[i], &path, root));
            CHECK(!tree_inclusion_holds(hash, i, size, leaves.leaf[i], &path, leaves.leaf[i + 1]));
            if (path.count) {
                path.node[path.count / 2][5] ^= 1;
                CHECK(!tree_inclusion_holds(hash, i, size, leaves.leaf[i], &path, root));
                path.node[path.count / 2][5] ^= 1;
                path.count--;
                CHECK(!tree_inclusion_holds(hash, i, size, leaves.leaf[i], &path, root));
            }
        }
    }
    hash_free(hash);
}

TEST(consistency_of_every_two_sizes_holds_and_nothing_else_does)
{
    struct hash *hash = new_hash();
    struct leaves leaves;
    struct tree_source source = { .context = &leaves, .hash_at = leaf_at };
    make_leaves(&leaves, hash);
    for (int to = 1; to < LEAVES_MAX; to++) {
        for (int from = 1; from <= to; from++) {
            unsigned char early[HASH_BYTES], late[HASH_BYTES], other[HASH_BYTES];
            struct tree_path path;
            naive_root(hash, leaves.leaf, from, early);
            naive_root(hash, leaves.leaf, to, late);
            naive_root(hash, leaves.leaf + 1, from, other);
            CHECK_INT(tree_consistency(&source, hash, from, to, &path, NULL), 0);
            CHECK(tree_consistency_holds(hash, from, to, early, late, &path));
            CHECK(!tree_consistency_holds(hash, from, to, other, late, &path));
            CHECK(!tree_consistency_holds(hash, from, to, early, other, &path));
            CHECK(!tree_consistency_holds(hash, from + 1, to, early, late, &path) || from == to);
            if (path.count) {
                path.node[path.count - 1][0] ^= 1;
                CHECK(!tree_consistency_holds(hash, from, to, early, late, &path));
            }
        }
    }
    hash_free(hash);
}
