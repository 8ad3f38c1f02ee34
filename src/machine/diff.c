/*
 * diff: see the header.
 *
 * Theory of operation. Every distinct line gets a number. What both texts begin and end with is
 * left out, and so are lines that only one of them has: those have changed whatever else is found.
 * Of what remains Myers' algorithm finds the edit script in linear space: from both ends it follows
 * the paths that reach furthest with 0, 1, 2… edits until two of them meet, and goes on with the
 * parts before and behind the place where they met. Where that takes more than COST_MAX edits, the
 * parts are cut where the path that got furthest stands, so that the time stays linear in the size
 * of hostile texts, and the script may be longer than it need be.
 *
 * The result is a mark for each line that has changed, of both texts; the unmarked ones match one
 * by one. A recursion goes into the smaller part alone, so its depth is a logarithm.
 */
#include "machine/diff.h"

#include "base/map.h"

#define COST_MAX 512

struct side {
    const uint32_t *ids;   /* of the lines that are compared */
    const uint32_t *lines; /* which those are */
    unsigned char *changed;
};

struct myers {
    struct side a, b;
    int64_t *forward, *backward; /* by diagonal, which is a line of a less one of b */
};

/* A part of both: lines [a_from, a_to) and [b_from, b_to). */
struct box {
    int64_t a_from, a_to, b_from, b_to;
};

void diff_release(struct diff *diff)
{
    free(diff->before.starts);
    free(diff->after.starts);
    free(diff->changes);
    *diff = (struct diff){ 0 };
}

/* --- lines --------------------------------------------------------------------------------- */

static int split(struct str text, struct diff_text *ret)
{
    uint32_t count = 0;
    if (text.len > DIFF_BYTES_MAX)
        return -E2BIG;
    for (size_t at = 0; at < text.len; at = str_index(text, '\n', at) + 1)
        count++;
    ret->text = text;
    ret->starts = reallocarray(NULL, (size_t)count + 1, sizeof(*ret->starts));
    if (!ret->starts)
        return -ENOMEM;
    for (size_t at = 0; at < text.len; at = str_index(text, '\n', at) + 1)
        ret->starts[ret->count++] = (uint32_t)at;
    ret->starts[ret->count] = (uint32_t)text.len;
    return 0;
}

/* Gives each line the number of the first that is like it. */
static int number(struct map *map, const struct diff_text *text, uint32_t *ids)
{
    for (uint32_t i = 0; i < text->count; i++) {
        struct str line = diff_line(text, i);
        if (map_get(map, line, &ids[i]))
            continue;
        ids[i] = (uint32_t)map->count;
        int r = map_put(map, line, ids[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- Myers --------------------------------------------------------------------------------- */

/* One end's search: the diagonals that it has reached, and how far in a on each. */
struct search {
    int64_t *v;
    int64_t min, max;
};

/* Where a box is cut in two: a place on a path through it. */
struct cut {
    int64_t a, b;
};

/* One diagonal more on each side, as far as the box has any; beyond them nothing is reached. */
static void widen(struct search *search, const struct box *box, int64_t nothing)
{
    int64_t lowest = box->a_from - box->b_to, highest = box->a_to - box->b_from;
    if (search->min > lowest)
        search->v[--search->min - 1] = nothing;
    else
        search->min++;
    if (search->max < highest)
        search->v[++search->max + 1] = nothing;
    else
        search->max--;
}

static bool reached(const struct search *search, int64_t k)
{
    return search->min <= k && k <= search->max;
}

/* One edit more from the beginning; true with the place where the other end had been. */
static bool go_forward(const struct myers *m, const struct box *box, struct search *search,
                       const struct search *other, bool meets, struct cut *ret)
{
    widen(search, box, -1);
    for (int64_t k = search->max; k >= search->min; k -= 2) {
        int64_t by_a = search->v[k - 1] + 1, by_b = search->v[k + 1], a = by_a > by_b ? by_a : by_b;
        while (a < box->a_to && a - k < box->b_to && m->a.ids[a] == m->b.ids[a - k])
            a++;
        search->v[k] = a;
        if (meets && reached(other, k) && other->v[k] <= a) {
            *ret = (struct cut){ a, a - k };
            return true;
        }
    }
    return false;
}

static bool go_backward(const struct myers *m, const struct box *box, struct search *search,
                        const struct search *other, bool meets, struct cut *ret)
{
    widen(search, box, INT64_MAX);
    for (int64_t k = search->max; k >= search->min; k -= 2) {
        int64_t by_a = search->v[k + 1] - 1, by_b = search->v[k - 1], a = by_a < by_b ? by_a : by_b;
        while (a > box->a_from && a - k > box->b_from && m->a.ids[a - 1] == m->b.ids[a - k - 1])
            a--;
        search->v[k] = a;
        if (meets && reached(other, k) && a <= other->v[k]) {
            *ret = (struct cut){ a, a - k };
            return true;
        }
    }
    return false;
}

/* Of all that was reached from the beginning, what lies furthest. */
static struct cut furthest(const struct box *box, const struct search *search)
{
    struct cut best = { box->a_from, box->b_from };
    for (int64_t k = search->max; k >= search->min; k -= 2) {
        int64_t a = search->v[k] < box->a_to ? search->v[k] : box->a_to;
        if (a - k > box->b_to)
            a = box->b_to + k;
        if (a + a - k > best.a + best.b)
            best = (struct cut){ a, a - k };
    }
    return best;
}

static struct cut find_cut(const struct myers *m, const struct box *box)
{
    int64_t first = box->a_from - box->b_from, last = box->a_to - box->b_to;
    struct search forward = { m->forward, first, first }, backward = { m->backward, last, last };
    bool odd = (first - last) & 1;
    struct cut cut;
    forward.v[first] = box->a_from;
    backward.v[last] = box->a_to;
    for (int cost = 1; cost <= COST_MAX; cost++)
        if (go_forward(m, box, &forward, &backward, odd, &cut) ||
            go_backward(m, box, &backward, &forward, !odd, &cut))
            return cut;
    return furthest(box, &forward);
}

/* Marks what differs in a box. */
static void compare(const struct myers *m, struct box box)
{
    for (;;) {
        while (box.a_from < box.a_to && box.b_from < box.b_to &&
               m->a.ids[box.a_from] == m->b.ids[box.b_from])
            box.a_from++, box.b_from++;
        while (box.a_from < box.a_to && box.b_from < box.b_to &&
               m->a.ids[box.a_to - 1] == m->b.ids[box.b_to - 1])
            box.a_to--, box.b_to--;
        if (box.a_from == box.a_to || box.b_from == box.b_to)
            break;
        struct cut cut = find_cut(m, &box);
        struct box head = { box.a_from, cut.a, box.b_from, cut.b };
        struct box tail = { cut.a, box.a_to, cut.b, box.b_to };
        bool head_first =
            cut.a + cut.b - box.a_from - box.b_from < box.a_to + box.b_to - cut.a - cut.b;
        compare(m, head_first ? head : tail);
        box = head_first ? tail : head;
    }
    for (int64_t i = box.a_from; i < box.a_to; i++)
        m->a.changed[m->a.lines[i]] = 1;
    for (int64_t i = box.b_from; i < box.b_to; i++)
        m->b.changed[m->b.lines[i]] = 1;
}

/* --- both texts ---------------------------------------------------------------------------- */

/* What is needed for the time of a comparison. */
struct room {
    uint32_t *ids[2], *lines[2];
    unsigned char *changed[2], *seen; /* by number: a bit for each text */
    int64_t *diagonals;
};

static void room_release(struct room *room)
{
    for (int i = 0; i < 2; i++) {
        free(room->ids[i]);
        free(room->lines[i]);
        free(room->changed[i]);
    }
    free(room->seen);
    free(room->diagonals);
}

static int room_init(struct room *room, const struct diff_text *const texts[2])
{
    size_t all = (size_t)texts[0]->count + texts[1]->count + 1;
    *room = (struct room){ .seen = calloc(all, 1),
                           .diagonals = reallocarray(NULL, 2 * (all + 4), sizeof(int64_t)) };
    bool good = room->seen && room->diagonals;
    for (int i = 0; i < 2; i++) {
        size_t count = (size_t)texts[i]->count + 1;
        room->ids[i] = calloc(count, sizeof(uint32_t));
        room->lines[i] = calloc(count, sizeof(uint32_t));
        room->changed[i] = calloc(count, 1);
        good = good && room->ids[i] && room->lines[i] && room->changed[i];
    }
    return good ? 0 : -ENOMEM;
}

/* Leaves the lines that both have, and marks the others; says how many are left. */
static int64_t leave_common(struct room *room, int side, uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = room->ids[side][i];
        room->changed[side][i] = room->seen[id] != 3;
        if (room->changed[side][i])
            continue;
        room->ids[side][left] = id;
        room->lines[side][left++] = i;
    }
    return left;
}

static int mark(struct room *room, const struct diff_text *const texts[2])
{
    struct map map = MAP_INIT;
    struct box box = { 0 };
    int r = number(&map, texts[0], room->ids[0]);
    if (r == 0)
        r = number(&map, texts[1], room->ids[1]);
    map_release(&map);
    if (r < 0)
        return r;
    for (int side = 0; side < 2; side++)
        for (uint32_t i = 0; i < texts[side]->count; i++)
            room->seen[room->ids[side][i]] |= (unsigned char)(1 << side);
    box.a_to = leave_common(room, 0, texts[0]->count);
    box.b_to = leave_common(room, 1, texts[1]->count);
    size_t each = (size_t)(box.a_to + box.b_to) + 4; /* diagonals from -b_to - 1 to a_to + 1 */
    struct myers m = { .a = { room->ids[0], room->lines[0], room->changed[0] },
                       .b = { room->ids[1], room->lines[1], room->changed[1] },
                       .forward = room->diagonals + box.b_to + 1,
                       .backward = room->diagonals + each + box.b_to + 1 };
    compare(&m, box);
    return 0;
}

static int gather(struct diff *diff, const struct room *room)
{
    uint32_t a = 0, b = 0, a_count = diff->before.count, b_count = diff->after.count;
    size_t capacity = 0;
    while (a < a_count || b < b_count) {
        struct diff_change change = { .before = a, .after = b };
        while (a < a_count && room->changed[0][a])
            a++;
        while (b < b_count && room->changed[1][b])
            b++;
        change.before_count = a - change.before;
        change.after_count = b - change.after;
        if (!change.before_count && !change.after_count) {
            a++, b++;
            continue;
        }
        if (diff->count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct diff_change *larger =
                reallocarray(diff->changes, capacity, sizeof(*diff->changes));
            if (!larger)
                return -ENOMEM;
            diff->changes = larger;
        }
        diff->changes[diff->count++] = change;
    }
    return 0;
}

/*
 * What was only put in, or only taken out, may as well begin a line later where its first line is
 * like the one behind it: as far down as it goes, so that a new function ends with its own brace.
 */
static void slide(struct diff *diff)
{
    for (size_t i = 0; i < diff->count; i++) {
        struct diff_change *change = &diff->changes[i];
        bool added = change->before_count == 0;
        if (!added && change->after_count)
            continue;
        const struct diff_text *text = added ? &diff->after : &diff->before;
        uint32_t from = added ? change->after : change->before, down = 0;
        uint32_t count = added ? change->after_count : change->before_count;
        uint32_t end = i + 1 == diff->count ? text->count
                       : added              ? diff->changes[i + 1].after
                                            : diff->changes[i + 1].before;
        end -= i + 1 < diff->count && end > 0; /* one line stays between two changes */
        while (from + down + count < end &&
               str_equal(diff_line(text, from + down), diff_line(text, from + down + count)))
            down++;
        change->before += down;
        change->after += down;
    }
}

int diff_lines(struct str before, struct str after, struct diff *ret)
{
    struct diff diff = { 0 };
    struct room room = { 0 };
    const struct diff_text *const texts[2] = { &diff.before, &diff.after };
    int r = split(before, &diff.before);
    if (r == 0)
        r = split(after, &diff.after);
    if (r == 0)
        r = room_init(&room, texts);
    if (r == 0)
        r = mark(&room, texts);
    if (r == 0)
        r = gather(&diff, &room);
    room_release(&room);
    if (r < 0) {
        diff_release(&diff);
        return r;
    }
    slide(&diff);
    *ret = diff;
    return 0;
}
