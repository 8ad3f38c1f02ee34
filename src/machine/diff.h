/*
 * diff: which lines of a text another one has changed.
 *
 * A line ends with its line feed; the last may lack one, and is then another line than one that has
 * it. The result is a smallest one as long as it is cheap, and a correct one always: what is not in
 * a change stands in both texts, in the same order.
 */
#ifndef AM_MACHINE_DIFF_H
#define AM_MACHINE_DIFF_H

#include "base/base.h"
#include "base/str.h"

#define DIFF_BYTES_MAX ((size_t)256 << 20) /* of one text */

/* Lines [before, before + before_count) became [after, after + after_count); from 0 on. */
struct diff_change {
    uint32_t before, before_count, after, after_count;
};

struct diff_text {
    struct str text;
    uint32_t *starts; /* count + 1 of them: the last is the end */
    uint32_t count;
};

struct diff {
    struct diff_text before, after;
    struct diff_change *changes;
    size_t count;
};

/* The texts outlive the result. 0, -E2BIG, -ENOMEM. Release with diff_release. */
int diff_lines(struct str before, struct str after, struct diff *ret) MUST_CHECK;
void diff_release(struct diff *diff);

static inline struct str diff_line(const struct diff_text *text, uint32_t line)
{
    return str_make(text->text.ptr + text->starts[line],
                    text->starts[line + 1] - text->starts[line]);
}

#endif
