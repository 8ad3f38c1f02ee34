#include "machine/diff.h"

#include "base/buf.h"
#include "base/test.h"

/* The text after, made of the text before and the changes; and what is unchanged must be equal. */
static bool rebuilds(const struct diff *diff, struct str after)
{
    struct buf made = BUF_INIT;
    uint32_t a = 0, b = 0;
    bool good = true;
    for (size_t i = 0; i <= diff->count && good; i++) {
        bool end = i == diff->count;
        uint32_t until = end ? diff->before.count : diff->changes[i].before;
        for (; a < until && good; a++, b++) {
            good = b < diff->after.count &&
                   str_equal(diff_line(&diff->before, a), diff_line(&diff->after, b));
            buf_add_str(&made, diff_line(&diff->before, a));
        }
        if (end || !good)
            break;
        const struct diff_change *change = &diff->changes[i];
        good = change->after == b && (change->before_count || change->after_count);
        for (uint32_t line = 0; line < change->after_count; line++)
            buf_add_str(&made, diff_line(&diff->after, b + line));
        a += change->before_count;
        b += change->after_count;
    }
    good = good && str_equal(buf_str(&made), after);
    buf_release(&made);
    return good;
}

static size_t cost(const struct diff *diff)
{
    size_t lines = 0;
    for (size_t i = 0; i < diff->count; i++)
        lines += diff->changes[i].before_count + diff->changes[i].after_count;
    return lines;
}

static void check_cost(struct str before, struct str after, size_t expected)
{
    struct diff diff = { 0 };
    CHECK_INT(diff_lines(before, after, &diff), 0);
    CHECK(rebuilds(&diff, after));
    CHECK_INT(cost(&diff), expected);
    diff_release(&diff);
}

TEST(finds_the_smallest_script)
{
    check_cost(STR(""), STR(""), 0);
    check_cost(STR("a\n"), STR("a\n"), 0);
    check_cost(STR(""), STR("a\nb"), 2);
    check_cost(STR("a\nb\n"), STR(""), 2);
    check_cost(STR("a\nb\nc\n"), STR("a\nx\nc\n"), 2);
    check_cost(STR("a\nb\nc\na\nb\nb\na\n"), STR("c\nb\na\nb\na\nc\n"), 5);
    check_cost(STR("a"), STR("a\n"), 2);
    check_cost(STR("\n\n\n"), STR("\n\n\n\n"), 1);
    check_cost(STR("one\n\0\n"), STR("one\n\0\ntwo\n"), 1);
}

TEST(what_is_added_ends_with_its_own_line)
{
    struct diff diff = { 0 };
    CHECK_INT(diff_lines(STR("f {\n}\n"), STR("f {\n}\n\ng {\n}\n"), &diff), 0);
    CHECK_INT(diff.count, 1);
    CHECK_INT(diff.changes[0].after, 2);
    CHECK_INT(diff.changes[0].after_count, 3);
    diff_release(&diff);
}

/* The length of the shortest script, by the plain table. */
static size_t shortest(const struct diff *diff)
{
    enum { MAX = 64 };
    static size_t table[MAX + 1][MAX + 1];
    uint32_t n = diff->before.count, m = diff->after.count;
    for (uint32_t i = n + 1; i-- > 0;)
        for (uint32_t j = m + 1; j-- > 0;) {
            if (i == n || j == m)
                table[i][j] = n - i + m - j;
            else if (str_equal(diff_line(&diff->before, i), diff_line(&diff->after, j)))
                table[i][j] = table[i + 1][j + 1];
            else
                table[i][j] =
                    1 + (table[i + 1][j] < table[i][j + 1] ? table[i + 1][j] : table[i][j + 1]);
        }
    return table[0][0];
}

static void random_text(unsigned *seed, struct buf *ret, unsigned lines, unsigned words)
{
    for (unsigned i = 0; i < lines; i++)
        buf_addf(ret, "%u\n", (unsigned)rand_r(seed) % words);
    if (rand_r(seed) % 4 == 0 && ret->len)
        buf_truncate(ret, ret->len - 1);
}

TEST(any_two_texts)
{
    unsigned seed = 7;
    for (int i = 0; i < 3000; i++) {
        struct buf before = BUF_INIT, after = BUF_INIT;
        struct diff diff = { 0 };
        unsigned words = 1 + (unsigned)rand_r(&seed) % 12;
        random_text(&seed, &before, (unsigned)rand_r(&seed) % 60, words);
        random_text(&seed, &after, (unsigned)rand_r(&seed) % 60, words);
        CHECK_INT(diff_lines(buf_str(&before), buf_str(&after), &diff), 0);
        CHECK(rebuilds(&diff, buf_str(&after)));
        CHECK_INT(cost(&diff), shortest(&diff));
        diff_release(&diff);
        buf_release(&before);
        buf_release(&after);
    }
}

TEST(texts_that_have_little_in_common_take_no_age)
{
    unsigned seed = 11;
    struct buf before = BUF_INIT, after = BUF_INIT;
    struct diff diff = { 0 };
    random_text(&seed, &before, 100000, 300);
    random_text(&seed, &after, 100000, 300);
    CHECK_INT(diff_lines(buf_str(&before), buf_str(&after), &diff), 0);
    CHECK(rebuilds(&diff, buf_str(&after)));
    diff_release(&diff);
    buf_release(&before);
    buf_release(&after);
}
