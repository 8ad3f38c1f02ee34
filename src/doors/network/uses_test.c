#include "doors/network/uses.h"

#include "base/test.h"

static struct target target_of(const char *name, uint16_t port)
{
    struct target target = { .port = port };
    snprintf(target.name, sizeof(target.name), "%s", name);
    return target;
}

static struct use_entry *meet(struct uses *uses, const char *name, enum answer answer, int64_t now,
                              bool *ret_is_new)
{
    struct target target = target_of(name, 443);
    return uses_meet(uses, &target, answer, REFUSED_BY_POLICY, now, ret_is_new);
}

TEST(the_same_thing_is_one_entry_with_its_count_and_moments)
{
    struct uses *uses;
    bool is_new;
    CHECK_INT(uses_new(&uses, NULL), 0);
    struct use_entry *first = meet(uses, "a.example", ANSWER_DENY, 10, &is_new);
    CHECK(is_new);
    CHECK(meet(uses, "a.example", ANSWER_DENY, 20, &is_new) == first);
    CHECK(!is_new);
    CHECK_INT(first->count, 2);
    CHECK_INT(first->first_ms, 10);
    CHECK_INT(first->last_ms, 20);
    CHECK(meet(uses, "a.example", ANSWER_ALLOW, 30, &is_new) != first); /* another answer */
    CHECK(meet(uses, "b.example", ANSWER_DENY, 30, &is_new) != first);
    struct target by_address = { .port = 443 }, other = { .port = 443 };
    other.address.address[0] = 10;
    CHECK(uses_meet(uses, &by_address, ANSWER_DENY, REFUSED_BY_POLICY, 30, &is_new) !=
          uses_meet(uses, &other, ANSWER_DENY, REFUSED_BY_POLICY, 30, &is_new));
    CHECK_INT(uses_count(uses), 5);
    uses_free(uses);
}

TEST(denials_without_room_are_one_entry_that_counts_them)
{
    struct uses *uses;
    bool is_new;
    char name[32];
    struct use_entry *others = NULL;
    CHECK_INT(uses_new(&uses, NULL), 0);
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "n%d.example", i);
        struct use_entry *entry = meet(uses, name, ANSWER_DENY, i, &is_new);
        bool is_own = strcmp(entry->target.name, name) == 0;
        CHECK(is_own == (i < USES_DENIED_MAX - 1));
        if (!is_own)
            others = entry;
    }
    CHECK_INT(uses_count(uses), USES_DENIED_MAX);
    CHECK_TEXT(others->target.name, USES_OTHERS);
    CHECK_INT(others->count, 100000 - USES_DENIED_MAX + 1);
    CHECK_INT(others->first_ms, USES_DENIED_MAX - 1);
    CHECK_INT(others->last_ms, 99999);
    CHECK(meet(uses, "n7.example", ANSWER_DENY, 2, &is_new) != others); /* which is known */
    /* What is allowed has room of its own, to its own limit. */
    for (int i = 0; i <= USES_ALLOWED_MAX; i++) {
        snprintf(name, sizeof(name), "n%d.example", i);
        CHECK((meet(uses, name, ANSWER_ALLOW, 1, &is_new) != NULL) == (i < USES_ALLOWED_MAX));
    }
    CHECK_INT(uses_count(uses), USES_DENIED_MAX + USES_ALLOWED_MAX);
    uses_free(uses);
}

TEST(one_that_came_to_nothing_was_not_met)
{
    struct uses *uses;
    bool is_new;
    CHECK_INT(uses_new(&uses, NULL), 0);
    CHECK(meet(uses, "a.example", ANSWER_ALLOW, 1, &is_new));
    uses_forget_last(uses);
    CHECK_INT(uses_count(uses), 0);
    struct use_entry *again = meet(uses, "a.example", ANSWER_ALLOW, 2, &is_new);
    CHECK(is_new);
    CHECK_INT(again->count, 1);
    uses_free(uses);
}
