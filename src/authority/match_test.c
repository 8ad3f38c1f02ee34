/* match: the tries beside plain searches through lists. */
#include "authority/match.h"

#include "base/test.h"

static uint64_t state = 7;

static uint64_t next(void)
{
    state += 0x9e3779b97f4a7c15ull;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    return z ^ (z >> 31);
}

#define RANGES 400

TEST(a_range_path_is_every_range_around_an_address)
{
    static const unsigned widths[] = { 32, 128 };
    for (size_t w = 0; w < ARRAY_LEN(widths); w++) {
        struct prefix_trie trie;
        struct prefix ranges[RANGES];
        uint32_t nodes[RANGES], again;
        CHECK_INT(prefix_trie_init(&trie), 0);
        for (int i = 0; i < RANGES; i++) {
            /* Few bits set, so that ranges nest and part at every length. */
            ranges[i] = (struct prefix){ next() & next() & next() & next(),
                                         w ? next() & next() & next() & next() : 0,
                                         (unsigned)(next() % (widths[w] + 1)) };
            CHECK_INT(prefix_trie_add(&trie, ranges[i], &nodes[i]), 0);
            CHECK_INT(prefix_trie_add(&trie, ranges[i], &again), 0);
            CHECK_INT(again, nodes[i]);
        }
        for (int i = 0; i < 4000; i++) {
            struct prefix asked = ranges[next() % RANGES];
            uint32_t path[MATCH_PATH_MAX];
            asked.high ^= i % 3 ? 0 : (uint64_t)1 << (63 - next() % 32);
            asked.low ^= i % 5 && w ? (uint64_t)1 << next() % 64 : 0;
            asked.bits = widths[w];
            size_t count = prefix_trie_path(&trie, asked, path);
            for (int j = 0; j < RANGES; j++) {
                bool on_path = false;
                for (size_t k = 0; k < count; k++)
                    on_path = on_path || path[k] == nodes[j];
                bool around = true;
                for (unsigned bit = 0; bit < ranges[j].bits; bit++) {
                    uint64_t here =
                        bit < 64 ? ranges[j].high ^ asked.high : ranges[j].low ^ asked.low;
                    around = around && !(here >> (63 - bit % 64) & 1);
                }
                if (on_path != around)
                    test_fail(__FILE__, __LINE__, "%016llx/%u around %016llx: %d",
                              (unsigned long long)ranges[j].high, ranges[j].bits,
                              (unsigned long long)asked.high, on_path);
                CHECK_INT(prefix_covers(ranges[j], asked), around);
            }
        }
        prefix_trie_release(&trie);
    }
}

TEST(a_name_path_leads_down_its_labels)
{
    struct name_trie trie;
    uint32_t path[MATCH_PATH_MAX], com, example, deep, again;
    bool whole = true;
    CHECK_INT(name_trie_init(&trie), 0);
    CHECK_INT(name_trie_path(&trie, STR("example.com"), path, &whole), 1);
    CHECK(!whole);
    CHECK_INT(name_trie_add(&trie, STR("a.b.example.com"), &deep), 0);
    CHECK_INT(name_trie_add(&trie, STR("example.com"), &example), 0);
    CHECK_INT(name_trie_add(&trie, STR("com"), &com), 0);
    CHECK_INT(name_trie_add(&trie, STR("example.com"), &again), 0);
    CHECK_INT(again, example);
    CHECK_INT(name_trie_path(&trie, STR("example.com"), path, &whole), 3);
    CHECK(whole && path[0] == 0 && path[1] == com && path[2] == example);
    CHECK_INT(name_trie_path(&trie, STR("x.example.com"), path, &whole), 3);
    CHECK(!whole);
    CHECK_INT(name_trie_path(&trie, STR("a.b.example.com"), path, &whole), 5);
    CHECK(whole && path[4] == deep);
    CHECK_INT(name_trie_path(&trie, STR("ample.com"), path, &whole), 2);
    name_trie_release(&trie);
}

TEST(many_names_and_the_deepest_are_found_again)
{
    enum { NAMES = 20000 };
    struct name_trie trie;
    uint32_t *nodes = calloc(NAMES, sizeof(*nodes)), path[MATCH_PATH_MAX];
    char name[HOST_NAME_BYTES_MAX + 1];
    bool whole;
    CHECK_INT(name_trie_init(&trie), 0);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "h%d.z%d.test", i, i % 97);
        CHECK_INT(name_trie_add(&trie, str_from(name), &nodes[i]), 0);
    }
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "h%d.z%d.test", i, i % 97);
        size_t count = name_trie_path(&trie, str_from(name), path, &whole);
        if (count != 4 || !whole || path[3] != nodes[i])
            test_fail(__FILE__, __LINE__, "%s is not found", name);
    }
    for (size_t i = 0; i < HOST_NAME_BYTES_MAX; i++)
        name[i] = i % 2 ? '.' : 'a';
    CHECK_INT(name_trie_add(&trie, str_make(name, HOST_NAME_BYTES_MAX), &nodes[0]), 0);
    CHECK_INT(name_trie_path(&trie, str_make(name, HOST_NAME_BYTES_MAX), path, &whole),
              NAME_LABELS_MAX + 1);
    CHECK(whole);
    name_trie_release(&trie);
    free(nodes);
}
