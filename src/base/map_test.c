#include "base/arena.h"
#include "base/map.h"
#include "base/test.h"

TEST(map_keeps_what_is_put_and_refuses_twice)
{
    struct map map = MAP_INIT;
    struct arena arena = ARENA_INIT;
    uint32_t value = 7;
    CHECK(!map_get(&map, STR("absent"), &value));
    for (uint32_t i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "k%u", i);
        CHECK_INT(map_put(&map, str_from(arena_copy(&arena, str_from(name))), i), 0);
    }
    CHECK_INT(map_put(&map, STR("k17"), 99), -EEXIST);
    CHECK(map_get(&map, STR("k17"), &value));
    CHECK_INT(value, 17);
    CHECK(map_get(&map, STR("k4999"), &value));
    CHECK_INT(value, 4999);
    CHECK(!map_get(&map, STR("k5000"), &value));
    CHECK_INT(value, 4999);
    CHECK_INT(map_put(&map, STR(""), 1), 0);
    CHECK(map_get(&map, STR(""), &value));
    map_release(&map);
    arena_release(&arena);
}

TEST(hash_depends_on_every_byte_and_on_length)
{
    char bytes[40] = { 0 };
    uint64_t zero = hash_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        CHECK(hash_bytes(bytes, sizeof(bytes)) != zero);
        bytes[i] = 0;
        CHECK(hash_bytes(bytes, i) != zero);
    }
}
