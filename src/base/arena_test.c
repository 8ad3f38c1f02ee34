#include "base/arena.h"
#include "base/test.h"

TEST(arena_hands_out_zeroed_aligned_memory)
{
    struct arena arena = ARENA_INIT;
    for (size_t size = 1; size < 40000; size = size * 3 + 1) {
        unsigned char *p = arena_alloc(&arena, size);
        CHECK(p && (uintptr_t)p % _Alignof(max_align_t) == 0);
        bool zero = true;
        for (size_t i = 0; p && i < size; i++)
            zero = zero && p[i] == 0;
        CHECK(zero);
        if (p)
            memset(p, 0xff, size);
    }
    CHECK_TEXT(arena_copy(&arena, STR("kept")), "kept");
    arena_release(&arena);
}

TEST(arena_refuses_past_its_bound_and_on_overflow)
{
    struct arena arena = { .limit = 100 };
    CHECK(arena_alloc(&arena, 64));
    CHECK(!arena_alloc(&arena, 64));
    CHECK(!arena_alloc(&arena, SIZE_MAX));
    CHECK(!arena_alloc_array(&arena, SIZE_MAX / 2, 3));
    CHECK(arena_alloc(&arena, 16));
    arena_release(&arena);
}
