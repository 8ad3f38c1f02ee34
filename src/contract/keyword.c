/*
 * keyword: look-up by name in a table that is hashed once, at first use.
 *
 * The hash is fixed (length, first, middle and last byte): the names are ours, so
 * nobody can make them collide, and the probe sequence is short.
 */
#include "contract/keyword.h"

const struct keyword_row keyword_rows[KEYWORD_COUNT] = {
#define X(keyword, name_, vocabulary_, drafts_, shape_)                                            \
    [keyword] = { .name = { name_, sizeof(name_) - 1 },                                            \
                  .vocabularies = VOCABULARY_##vocabulary_,                                        \
                  .drafts = drafts_,                                                               \
                  .shape = shape_ },
    KEYWORD_TABLE(X)
#undef X
};

#define SLOTS 256

static uint8_t slots[SLOTS]; /* keyword + 1, or 0 */

static size_t slot_of(struct str name)
{
    if (!name.len)
        return 0;
    size_t middle = (unsigned char)name.ptr[name.len / 2];
    size_t last = (unsigned char)name.ptr[name.len - 1];
    return (name.len * 31 + (unsigned char)name.ptr[0] * 7 + middle * 13 + last * 3) % SLOTS;
}

static void fill_slots(void)
{
    for (size_t k = 0; k < KEYWORD_COUNT; k++) {
        size_t i = slot_of(keyword_rows[k].name);
        while (slots[i])
            i = (i + 1) % SLOTS;
        slots[i] = (uint8_t)(k + 1);
    }
}

enum keyword keyword_find(struct str name, struct dialect dialect)
{
    static bool filled;
    if (!filled)
        fill_slots();
    filled = true;
    for (size_t i = slot_of(name); slots[i]; i = (i + 1) % SLOTS) {
        const struct keyword_row *row = &keyword_rows[slots[i] - 1];
        if (!str_equal(row->name, name))
            continue;
        bool known = (row->drafts & dialect.draft) && (row->vocabularies & dialect.vocabularies);
        return known ? (enum keyword)(slots[i] - 1) : KEYWORD_NONE;
    }
    return KEYWORD_NONE;
}
