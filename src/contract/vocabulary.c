/* vocabulary: see the header. */
#include "contract/vocabulary.h"

#define NAME(name, text) [name] = text,
const char *const operation_type_names[OPERATION_TYPE_COUNT] = { OPERATION_TYPE_TABLE(NAME) };
const char *const gate_names[GATE_COUNT] = { GATE_TABLE(NAME) };
const char *const state_names[STATE_COUNT] = { STATE_TABLE(NAME) };
const char *const admission_names[ADMISSION_COUNT] = { ADMISSION_TABLE(NAME) };
const char *const event_type_names[EVENT_TYPE_COUNT] = { EVENT_TYPE_TABLE(NAME) };
const char *const dimension_names[DIMENSION_COUNT] = { DIMENSION_TABLE(NAME) };
const char *const layer_names[LAYER_COUNT] = { LAYER_TABLE(NAME) };

int vocabulary_index(const char *const *names, size_t count, struct str word)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(str_from(names[i]), word))
            return (int)i;
    return -1;
}
