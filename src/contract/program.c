/* program: tables of names, and the end of a program; what makes one is in compile.c. */
#include "contract/program.h"

#include "contract/compile.h"
#include "contract/value.h"

#define NAMES_COMPARED_MAX 4 /* tables up to this size are searched one by one */

int64_t name_table_find(const struct name_table *table, struct str name)
{
    if (!table->slot_mask) {
        for (uint32_t i = 0; i < table->count; i++)
            if (str_equal(table->names[i], name))
                return i;
        return -1;
    }
    for (uint64_t at = hash_bytes(name.ptr, name.len);; at++) {
        uint32_t slot = table->slots[at & table->slot_mask];
        if (!slot)
            return -1;
        if (str_equal(table->names[slot - 1], name))
            return slot - 1;
    }
}

bool name_table_init(struct name_table *table, struct arena *arena, uint32_t capacity)
{
    *table = (struct name_table){ .names = arena_array(arena, struct str, capacity) };
    if (!table->names)
        return false;
    if (capacity <= NAMES_COMPARED_MAX)
        return true;
    uint32_t slots = 8;
    while (slots < capacity * 2)
        slots *= 2;
    table->slots = arena_array(arena, uint32_t, slots);
    table->slot_mask = slots - 1;
    return table->slots;
}

uint32_t name_table_add(struct name_table *table, struct str name)
{
    int64_t known = name_table_find(table, name);
    if (known >= 0)
        return (uint32_t)known;
    table->names[table->count++] = name;
    if (table->slot_mask) {
        uint64_t at = hash_bytes(name.ptr, name.len);
        while (table->slots[at & table->slot_mask])
            at++;
        table->slots[at & table->slot_mask] = table->count;
    }
    return table->count - 1;
}

void program_free(struct program *program)
{
    if (!program)
        return;
    for (size_t i = 0; i < program->regex_count; i++)
        regex_free(program->regexes[i]);
    free(program->regexes);
    free(program->nodes);
    free(program->instructions);
    arena_release(&program->arena);
    free(program);
}

const struct schema_set *program_set(const struct program *program)
{
    return program->set;
}
