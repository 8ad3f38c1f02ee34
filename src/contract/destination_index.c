/*
 * destination_index: see the header.
 *
 * Theory of operation. Rows are sorted by path, form and value. What covers a
 * host has a path that the host's own begins with, so that a walk climbs from
 * the host to everything, a label or a bit at a time, with a binary search for
 * each path on the way. At the host's own path a row counts unless it is for
 * what lies below; above it, unless it is for itself alone.
 */
#include "contract/destination_index.h"

void destination_index_release(struct destination_index *index)
{
    free(index->rows);
    *index = (struct destination_index){ 0 };
}

int destination_index_add(struct destination_index *index, const struct destination *destination,
                          uint32_t value)
{
    if (index->count == index->capacity) {
        size_t larger = index->capacity ? index->capacity * 2 : 16;
        struct destination_row *rows = realloc(index->rows, larger * sizeof(*rows));
        if (!rows)
            return -ENOMEM;
        index->rows = rows;
        index->capacity = larger;
    }
    index->rows[index->count++] = (struct destination_row){ *destination, value };
    return 0;
}

/* --- order ---------------------------------------------------------------------------------- */

static int compare_paths(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_rows(const void *a, const void *b)
{
    const struct destination_row *left = a, *right = b;
    int order = compare_paths(left->destination.path, right->destination.path);
    if (order == 0)
        order = (int)left->destination.form - (int)right->destination.form;
    return order ? order : (left->value > right->value) - (left->value < right->value);
}

void destination_index_sort(struct destination_index *index)
{
    if (index->count)
        qsort(index->rows, index->count, sizeof(*index->rows), compare_rows);
}

/* The first row that does not stand before a path. */
static size_t find_path(const struct destination_index *index, struct str path)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_paths(index->rows[middle].destination.path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- walks ---------------------------------------------------------------------------------- */

void destination_walk_begin(struct destination_walk *walk, const struct destination_index *index,
                            const struct destination *host)
{
    *walk = (struct destination_walk){ .index = index, .at = *host, .is_whole = true };
    walk->next = find_path(index, host->path);
}

/* To the next path above, everything being the last; false: there is none. */
static bool climb(struct destination_walk *walk)
{
    if (walk->is_everything)
        return false;
    walk->is_whole = false;
    if (!destination_climb(&walk->at)) {
        walk->is_everything = true;
        walk->at.path.len = 0;
    }
    walk->next = find_path(walk->index, walk->at.path);
    return true;
}

bool destination_walk_next(struct destination_walk *walk, uint32_t *ret_value)
{
    const struct destination_index *index = walk->index;
    do {
        enum destination_form other = walk->is_whole ? DESTINATION_BELOW : DESTINATION_ITSELF;
        while (walk->next < index->count &&
               str_equal(index->rows[walk->next].destination.path, walk->at.path)) {
            const struct destination_row *row = &index->rows[walk->next++];
            if (row->destination.form != other) {
                *ret_value = row->value;
                return true;
            }
        }
    } while (climb(walk));
    return false;
}
