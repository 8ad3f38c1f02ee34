/* validate_report: see the header. All of it is off the fast run's way. */
#include "contract/validate_report.h"

static struct report_unit *add_unit(struct vm *vm, struct report_unit **units, size_t *count,
                                    size_t *capacity)
{
    if (*count >= REPORT_UNITS_MAX) {
        vm->report->cut = true;
        return NULL;
    }
    if (*count == *capacity) {
        size_t larger = *capacity ? *capacity * 2 : 16;
        struct report_unit *grown = realloc(*units, larger * sizeof(*grown));
        if (!grown) {
            validate_out_of_memory(vm);
            return NULL;
        }
        *units = grown;
        *capacity = larger;
    }
    struct report_unit *unit = &(*units)[(*count)++];
    *unit =
        (struct report_unit){ .instance = arena_copy(&vm->report->arena, buf_str(&vm->instance)),
                              .keyword_path =
                                  arena_copy(&vm->report->arena, buf_str(&vm->keyword_path)) };
    if (vm->instance.error || vm->keyword_path.error || !unit->instance || !unit->keyword_path) {
        (*count)--;
        validate_out_of_memory(vm);
        return NULL;
    }
    return unit;
}

struct report_unit *validate_fault(struct vm *vm, uint32_t node, enum keyword keyword,
                                   const yyjson_val *value)
{
    size_t mark = vm->keyword_path.len;
    if (keyword != KEYWORD_NONE)
        path_keyword(vm, keyword);
    struct report_unit *unit =
        add_unit(vm, &vm->report->units, &vm->report->count, &vm->unit_capacity);
    buf_truncate(&vm->keyword_path, mark);
    if (unit) {
        unit->keyword = keyword;
        unit->location = vm->program->nodes[node].location;
        unit->value = value;
    }
    return unit;
}

void validate_fault_member(struct vm *vm, uint32_t node, enum keyword keyword,
                           const yyjson_val *value, struct str member)
{
    struct report_unit *unit = validate_fault(vm, node, keyword, value);
    if (unit)
        unit->member = member;
}

void validate_annotate(struct vm *vm, uint32_t node, const yyjson_val *value)
{
    const struct schema_location *location =
        schema_location(vm->program->set, vm->program->nodes[node].location);
    struct dialect dialect = schema_resource(vm->program->set, location->resource)->dialect;
    size_t index, count;
    yyjson_val *key, *content;
    yyjson_obj_foreach((yyjson_val *)location->schema, index, count, key, content)
    {
        enum keyword keyword = keyword_find(json_str(key), dialect);
        if (keyword < KEYWORD_FORMAT)
            continue;
        size_t mark = vm->keyword_path.len;
        json_pointer_add(&vm->keyword_path, json_str(key));
        struct report_unit *unit =
            add_unit(vm, &vm->annotations, &vm->annotation_count, &vm->annotation_capacity);
        buf_truncate(&vm->keyword_path, mark);
        if (!unit)
            return;
        unit->keyword = keyword;
        unit->location = vm->program->nodes[node].location;
        unit->value = value;
        unit->member = json_str(key);
        unit->annotation = content;
    }
}

void validate_closest(const struct vm *vm, struct closest *closest, size_t first)
{
    size_t faults = vm->report->count - first;
    size_t depth = 0;
    if (!faults)
        return;
    for (size_t i = first; i < vm->report->count; i++)
        if (strlen(vm->report->units[i].instance) > depth)
            depth = strlen(vm->report->units[i].instance);
    if (closest->known &&
        (depth < closest->depth || (depth == closest->depth && faults >= closest->faults)))
        return;
    *closest = (struct closest){ first, depth, faults, true };
}

void report_free(struct report *report)
{
    if (!report)
        return;
    free(report->units);
    arena_release(&report->arena);
    free(report);
}
