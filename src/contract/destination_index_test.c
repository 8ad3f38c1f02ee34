/* destination_index: what covers a host, and in which order. */
#include "contract/destination_index.h"

#include "base/arena.h"
#include "base/test.h"

static const char *const rows[] = {
    "*",           "example",  "a.example", "*.a.example", ".a.example",  "10.0.0.0/8",
    "10.1.0.0/16", "10.1.2.3", "fd00::/8",  ".example",    "b.a.example", "a.example",
};

/* The rows that cover a host, separated by blanks, in the order of the walk. */
static const char *covering(const char *host)
{
    static char text[512];
    char path[DESTINATION_PATH_SIZE];
    struct destination_index index = { 0 };
    struct destination_walk walk;
    struct destination destination;
    struct arena paths = ARENA_INIT;
    uint32_t value;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(destination_read(str_from(rows[i]), path, &destination, NULL), 1);
        destination.path.ptr = arena_copy(&paths, destination.path);
        CHECK_INT(destination_index_add(&index, &destination, (uint32_t)i), 0);
    }
    destination_index_sort(&index);
    CHECK_INT(destination_read(str_from(host), path, &destination, NULL), 1);
    destination_walk_begin(&walk, &index, &destination);
    text[0] = '\0';
    while (destination_walk_next(&walk, &value)) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "%s%s:%u", len ? " " : "", rows[value], value);
    }
    CHECK(!destination_walk_next(&walk, &value));
    destination_index_release(&index);
    arena_release(&paths);
    return text;
}

TEST(what_covers_a_host_comes_narrowest_first_and_of_equals_by_value)
{
    CHECK_TEXT(covering("a.example"), "a.example:2 a.example:11 .a.example:4 .example:9 *:0");
    CHECK_TEXT(covering("b.a.example"), "b.a.example:10 *.a.example:3 .a.example:4 .example:9 *:0");
    CHECK_TEXT(covering("example"), "example:1 .example:9 *:0");
    CHECK_TEXT(covering("xa.example"), ".example:9 *:0");
    CHECK_TEXT(covering("example.org"), "*:0");
    CHECK_TEXT(covering("10.1.2.3"), "10.1.2.3:7 10.1.0.0/16:6 10.0.0.0/8:5 *:0");
    CHECK_TEXT(covering("11.0.0.1"), "*:0");
    CHECK_TEXT(covering("fd12::1"), "fd00::/8:8 *:0");
}

TEST(an_empty_index_covers_nothing)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination_index index = { 0 };
    struct destination_walk walk;
    struct destination host;
    uint32_t value;
    CHECK_INT(destination_read(STR("a.example"), path, &host, NULL), 1);
    destination_index_sort(&index);
    destination_walk_begin(&walk, &index, &host);
    CHECK(!destination_walk_next(&walk, &value));
}
