#include "machine/merge.h"

#include "base/test.h"

static const struct merge_case {
    const char *before, *ours, *theirs, *merged;
    size_t conflicts;
} cases[] = {
    { "a\nb\nc\n", "a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n", 0 },
    { "a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n", 0 },
    { "a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n", "a\nB\nc\n", 0 },
    { "a\nb\nc\n", "a\nx\nc\n", "a\ny\nc\n", "a\n<<<<<<< host\nx\n=======\ny\n>>>>>>> run\nc\n",
      1 },
    { "a\n", "a\nx\n", "a\ny\n", "a\n<<<<<<< host\nx\n=======\ny\n>>>>>>> run\n", 1 },
    { "a\n", "", "b\n", "<<<<<<< host\n=======\nb\n>>>>>>> run\n", 1 },
    { "", "x\n", "x\n", "x\n", 0 },
    { "a\nb\nc\nd\n", "a\nc\nd\n", "a\nb\nc\nD\n", "a\nc\nD\n", 0 },
    { "a\nb", "a\nx", "a\ny", "a\n<<<<<<< host\nx\n=======\ny\n>>>>>>> run\n", 1 },
    { "1\n2\n3\n4\n5\n", "1\nx\nsame\n4\n5\n", "1\ny\nsame\n4\nfive\n",
      "1\n<<<<<<< host\nx\n=======\ny\n>>>>>>> run\nsame\n4\nfive\n", 1 },
    { "1\n2\n3\n", "0\n1\n2\n3\n", "1\n2\n3\n4\n", "0\n1\n2\n3\n4\n", 0 },
};

TEST(takes_what_either_side_changed)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct merge_sides sides = { str_from(cases[i].before), str_from(cases[i].ours),
                                     str_from(cases[i].theirs), "host", "run" };
        struct buf merged = BUF_INIT;
        size_t conflicts = 99;
        CHECK_INT(merge_texts(&sides, &merged, &conflicts), 0);
        CHECK_TEXT(merged.data, cases[i].merged);
        CHECK_INT(conflicts, cases[i].conflicts);
        buf_release(&merged);
    }
}

/* Two sides that change different stretches of a text are merged as one after the other. */
TEST(changes_that_lie_apart_never_conflict)
{
    unsigned seed = 3;
    for (int round = 0; round < 500; round++) {
        struct buf texts[4] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT }, merged = BUF_INIT;
        size_t conflicts = 99;
        for (int line = 0; line < 60; line++) {
            unsigned what = (unsigned)rand_r(&seed) % 12, side = (line / 5) % 4;
            bool changed =
                side != 1 && side != 3 && what < 6; /* stretches 0 and 2; between, none */
            for (int i = 0; i < 4; i++) {
                bool here = changed && ((i == 1 && side == 0) || (i == 2 && side == 2) || i == 3);
                if (!here || what < 2)
                    buf_addf(&texts[i], "line %d\n", line);
                if (here && what < 4)
                    buf_addf(&texts[i], "more %u %d\n", what, line);
            }
        }
        struct merge_sides sides = { buf_str(&texts[0]), buf_str(&texts[1]), buf_str(&texts[2]),
                                     "host", "run" };
        CHECK_INT(merge_texts(&sides, &merged, &conflicts), 0);
        CHECK_INT(conflicts, 0);
        CHECK_STR(buf_str(&merged), buf_str(&texts[3]));
        buf_release(&merged);
        for (int i = 0; i < 4; i++)
            buf_release(&texts[i]);
    }
}
