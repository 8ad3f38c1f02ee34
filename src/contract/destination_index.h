/*
 * destination_index: which of many destinations cover a host, narrowest first.
 *
 * Rows are added, then sorted once, then looked up by any number of threads. A
 * row's value is its owner's; of rows that say the same of a host (one path, one
 * form) the one with the lowest value comes first.
 */
#ifndef AM_CONTRACT_DESTINATION_INDEX_H
#define AM_CONTRACT_DESTINATION_INDEX_H

#include "contract/destination.h"

struct destination_row {
    struct destination destination;
    uint32_t value;
};

struct destination_index {
    struct destination_row *rows;
    size_t count, capacity;
};

void destination_index_release(struct destination_index *index);
/* The destination's path must outlive the index. 0 or -ENOMEM. */
int destination_index_add(struct destination_index *index, const struct destination *destination,
                          uint32_t value) MUST_CHECK;
void destination_index_sort(struct destination_index *index);

/* A walk over what covers a host; allocates nothing. */
struct destination_walk {
    const struct destination_index *index;
    struct destination at;
    size_t next;
    bool is_whole, is_everything;
};

/* `host` is one name or one address, and its path outlives the walk. */
void destination_walk_begin(struct destination_walk *walk, const struct destination_index *index,
                            const struct destination *host);
/* The next row that covers the host; false: there is none left. */
bool destination_walk_next(struct destination_walk *walk, uint32_t *ret_value);

#endif
