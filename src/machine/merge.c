/*
 * merge: see the header.
 *
 * Theory of operation. Both sides are compared with the text before. The changes of both are walked
 * in the order of its lines; those that touch each other are one region, in which each side has its
 * lines. A region that one side alone changed is that side's; one in which both have the same lines
 * is taken once; else it is a conflict. What both begin and end with stays outside the markers.
 */
#include "machine/merge.h"

#include "machine/diff.h"

/* One side's way through its changes. */
struct cursor {
    const struct diff *diff;
    size_t next;   /* change */
    int64_t shift; /* lines of the side less those before, up to there */
};

/* Lines [from, to) of a text. */
struct lines {
    const struct diff_text *text;
    uint32_t from, to;
};

static const struct diff_change *peek(const struct cursor *cursor)
{
    return cursor->next < cursor->diff->count ? &cursor->diff->changes[cursor->next] : NULL;
}

/* Takes the changes of a side that touch a region, which grows by them; whether there were any. */
static bool take(struct cursor *cursor, uint32_t from, uint32_t *to)
{
    const struct diff_change *change;
    bool taken = false;
    while ((change = peek(cursor)) && change->before <= *to && change->before >= from) {
        uint32_t end = change->before + change->before_count;
        *to = end > *to ? end : *to;
        cursor->shift += (int64_t)change->after_count - change->before_count;
        cursor->next++;
        taken = true;
    }
    return taken;
}

static void add(struct buf *out, struct lines lines)
{
    for (uint32_t i = lines.from; i < lines.to; i++)
        buf_add_str(out, diff_line(lines.text, i));
}

/* A marker stands at the beginning of a line, also where the line above has no end. */
static void add_marker(struct buf *out, const char *marker, const char *name)
{
    if (out->len && out->data[out->len - 1] != '\n')
        buf_add_char(out, '\n');
    buf_addf(out, "%s%s%s\n", marker, name[0] ? " " : "", name);
}

static bool equal(struct lines a, struct lines b)
{
    bool same = a.to - a.from == b.to - b.from;
    for (uint32_t i = 0; same && a.from + i < a.to; i++)
        same = str_equal(diff_line(a.text, a.from + i), diff_line(b.text, b.from + i));
    return same;
}

static void add_conflict(struct buf *out, const struct merge_sides *sides, struct lines ours,
                         struct lines theirs)
{
    uint32_t common = 0;
    while (ours.from < ours.to && theirs.from < theirs.to &&
           str_equal(diff_line(ours.text, ours.from), diff_line(theirs.text, theirs.from))) {
        buf_add_str(out, diff_line(ours.text, ours.from));
        ours.from++, theirs.from++;
    }
    while (ours.from + common < ours.to && theirs.from + common < theirs.to &&
           str_equal(diff_line(ours.text, ours.to - common - 1),
                     diff_line(theirs.text, theirs.to - common - 1)))
        common++;
    struct lines tail = { ours.text, ours.to - common, ours.to };
    ours.to -= common;
    theirs.to -= common;
    add_marker(out, "<<<<<<<", sides->ours_name);
    add(out, ours);
    add_marker(out, "=======", "");
    add(out, theirs);
    add_marker(out, ">>>>>>>", sides->theirs_name);
    add(out, tail);
}

/* The lines of a side that stand for a region of the text before. */
static struct lines side_of(const struct cursor *cursor, int64_t shift, uint32_t from, uint32_t to)
{
    return (struct lines){ &cursor->diff->after, (uint32_t)(from + shift),
                           (uint32_t)(to + cursor->shift) };
}

static void merge(const struct merge_sides *sides, const struct diff diffs[2], struct buf *out,
                  size_t *conflicts)
{
    struct cursor ours = { .diff = &diffs[0] }, theirs = { .diff = &diffs[1] };
    const struct diff_text *before = &diffs[0].before;
    uint32_t at = 0;
    for (const struct diff_change *a, *b; (a = peek(&ours), b = peek(&theirs), a || b);) {
        uint32_t from = !b || (a && a->before < b->before) ? a->before : b->before, to = from;
        int64_t shifts[2] = { ours.shift, theirs.shift };
        bool of_ours = false, of_theirs = false;
        add(out, (struct lines){ before, at, from });
        for (uint32_t last = to;; last = to) { /* each may make it touch more of the other */
            of_ours |= take(&ours, from, &to);
            of_theirs |= take(&theirs, from, &to);
            if (to == last && !(peek(&ours) && peek(&ours)->before <= to) &&
                !(peek(&theirs) && peek(&theirs)->before <= to))
                break;
        }
        struct lines mine = side_of(&ours, shifts[0], from, to);
        struct lines other = side_of(&theirs, shifts[1], from, to);
        if (!of_theirs || equal(mine, other)) {
            add(out, mine);
        } else if (!of_ours) {
            add(out, other);
        } else {
            add_conflict(out, sides, mine, other);
            ++*conflicts;
        }
        at = to;
    }
    add(out, (struct lines){ before, at, before->count });
}

int merge_texts(const struct merge_sides *sides, struct buf *ret, size_t *ret_conflicts)
{
    struct diff diffs[2] = { 0 };
    size_t conflicts = 0;
    int r = diff_lines(sides->before, sides->ours, &diffs[0]);
    if (r == 0)
        r = diff_lines(sides->before, sides->theirs, &diffs[1]);
    if (r == 0) {
        merge(sides, diffs, ret, &conflicts);
        r = ret->error;
    }
    if (r == 0)
        *ret_conflicts = conflicts;
    diff_release(&diffs[0]);
    diff_release(&diffs[1]);
    return r;
}
