/*
 * validate: a value against a program.
 *
 * Theory of operation. run() takes a node and a value: the mask of types
 * first, then the instructions of the value's class, then those of every
 * class. It exists twice, made from one source by the compiler: `fast` stops
 * at the first fault and knows nothing of places; `thorough` goes on, and
 * hands every fault to a report. Whatever is written `if (thorough)` costs
 * the fast one nothing.
 *
 * Evaluated members. Only a node with unevaluated… keywords opens an
 * `evaluation`: one bit for each member or item of its value. Keywords that
 * apply to members set bits; a branch that fails has its bits taken back; a
 * node that opened one hands its bits to the outer one when it succeeds.
 * Where no node asks, no bit is kept.
 *
 * Dynamic references. Where a program has them, `scopes` is the list of
 * resources entered, outermost first.
 *
 * Bounds. Every node costs a step, every comparison of uniqueItems too;
 * depth is counted, and so is the stack that it takes; time in patterns is measured. Whatever runs
 * out sets `error`, after which every node fails at once.
 *
 * Trust: program and value are hostile in what they contain, not in how they
 * are built: the compiler and json_read have seen to that.
 */
#include "contract/validate.h"

#include "base/json.h"
#include "contract/validate_check.h"
#include "contract/validate_report.h"
#include "contract/validate_vm.h"

#define PATH_BYTES_MAX ((size_t)1 << 20)

static bool run_fast(struct vm *vm, uint32_t node, const yyjson_val *value,
                     struct evaluation *outer);
static bool run_thorough(struct vm *vm, uint32_t node, const yyjson_val *value,
                         struct evaluation *outer);

/* --- children ------------------------------------------------------------------------------ */

/* A node applied in the same place, or to a member whose place the caller has entered. */
INLINE bool apply(struct vm *vm, uint32_t node, const yyjson_val *value, struct evaluation *e,
                  bool thorough)
{
    if (thorough)
        return run_thorough(vm, node, value, e);
    node = vm->program->nodes[node].target;
    const struct node *n = &vm->program->nodes[node];
    return n->is_leaf ? has_type(n->types, (yyjson_val *)value) : run_fast(vm, node, value, e);
}

/* A subschema in the same place, under a keyword and perhaps a token of it. */
INLINE bool apply_in_place(struct vm *vm, uint32_t node, const yyjson_val *value,
                           struct evaluation *e, enum keyword keyword, int64_t index, bool thorough)
{
    if (!thorough)
        return apply(vm, node, value, e, false);
    struct place place = place_now(vm);
    path_keyword(vm, keyword);
    if (index >= 0)
        json_pointer_add_index(&vm->keyword_path, (size_t)index);
    bool ok = apply(vm, node, value, e, true);
    place_back(vm, place);
    return ok;
}

/* A subschema for a member. */
INLINE bool apply_to_member(struct vm *vm, uint32_t node, const yyjson_val *value,
                            enum keyword keyword, const struct str *token, struct str name,
                            bool thorough)
{
    if (!thorough)
        return apply(vm, node, value, NULL, false);
    struct place place = place_now(vm);
    path_keyword(vm, keyword);
    if (token)
        json_pointer_add(&vm->keyword_path, *token);
    json_pointer_add(&vm->instance, name);
    bool ok = apply(vm, node, value, NULL, true);
    place_back(vm, place);
    return ok;
}

/* A subschema for an item. */
INLINE bool apply_to_item(struct vm *vm, uint32_t node, const yyjson_val *value,
                          enum keyword keyword, bool with_index, size_t index, bool thorough)
{
    if (!thorough)
        return apply(vm, node, value, NULL, false);
    struct place place = place_now(vm);
    path_keyword(vm, keyword);
    if (with_index)
        json_pointer_add_index(&vm->keyword_path, index);
    json_pointer_add_index(&vm->instance, index);
    bool ok = apply(vm, node, value, NULL, true);
    place_back(vm, place);
    return ok;
}

/* --- arrays -------------------------------------------------------------------------------- */

INLINE bool run_items(struct vm *vm, const struct items *items, yyjson_val *array,
                      struct evaluation *e, bool thorough)
{
    bool ok = true;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(array, index, count, item)
    {
        bool in_prefix = index < items->prefix_count;
        if (!in_prefix && !items->has_rest)
            break;
        uint32_t node = in_prefix ? items->prefix[index] : items->rest;
        ok &= apply_to_item(vm, node, item, in_prefix ? items->prefix_keyword : items->rest_keyword,
                            in_prefix, index, thorough);
        mark(e, index);
        if (!ok && !thorough)
            return false;
    }
    return ok;
}

INLINE bool run_contains(struct vm *vm, uint32_t node, const struct contains *contains,
                         yyjson_val *array, struct evaluation *e, bool thorough)
{
    uint64_t found = 0;
    size_t index, count;
    yyjson_val *item;
    struct snapshot before;
    if (!snapshot_take(vm, NULL, &before))
        return false;
    yyjson_arr_foreach(array, index, count, item)
    {
        size_t annotations = vm->annotation_count;
        if (apply_to_item(vm, contains->node, item, KEYWORD_CONTAINS, false, index, thorough)) {
            found++;
            mark(e, index);
        } else {
            vm->annotation_count = annotations;
        }
        if (!thorough && !e && found >= contains->min && contains->max == UINT64_MAX)
            return true;
    }
    if (thorough)
        vm->report->count = before.faults;
    if (found >= contains->min && found <= contains->max)
        return true;
    if (thorough) {
        const struct schema_location *at =
            schema_location(vm->program->set, vm->program->nodes[node].location);
        bool many = found > contains->max;
        bool has_min = yyjson_obj_get((yyjson_val *)at->schema, "minContains");
        struct report_unit *unit = validate_fault(vm, node,
                                                  many      ? KEYWORD_MAX_CONTAINS
                                                  : has_min ? KEYWORD_MIN_CONTAINS
                                                            : KEYWORD_CONTAINS,
                                                  array);
        if (unit)
            unit->count = found;
    }
    return false;
}

/* --- objects ------------------------------------------------------------------------------- */

COLD static void fault_missing(struct vm *vm, uint32_t node, const struct members *members,
                               yyjson_val *object)
{
    for (uint32_t i = 0; i < members->table.count; i++) {
        struct str name = members->table.names[i];
        if (members->members[i].is_required && !yyjson_obj_getn(object, name.ptr, name.len))
            validate_fault_member(vm, node, KEYWORD_REQUIRED, object, name);
    }
}

/* A member that additionalProperties or unevaluatedProperties refuses altogether. */
COLD static void fault_unknown(struct vm *vm, uint32_t node, enum keyword keyword,
                               const yyjson_val *value, struct str name)
{
    size_t before = vm->instance.len;
    json_pointer_add(&vm->instance, name);
    validate_fault_member(vm, node, keyword, value, name);
    buf_truncate(&vm->instance, before);
}

INLINE bool run_patterns(struct vm *vm, const struct members *members, struct str name,
                         const yyjson_val *value, bool *ret_matched, bool thorough)
{
    bool ok = true;
    for (uint32_t i = 0; i < members->pattern_count; i++) {
        const struct member_pattern *pattern = &members->patterns[i];
        if (!validate_search(vm, pattern->regex, name)) {
            if (vm->error)
                return false;
            continue;
        }
        *ret_matched = true;
        ok &= apply_to_member(vm, pattern->node, value, KEYWORD_PATTERN_PROPERTIES,
                              &pattern->pattern, name, thorough);
    }
    return ok;
}

INLINE bool run_additional(struct vm *vm, uint32_t node, const struct members *members,
                           struct str name, const yyjson_val *value, bool thorough)
{
    if (members->additional_is_false) {
        if (thorough)
            fault_unknown(vm, node, KEYWORD_ADDITIONAL_PROPERTIES, value, name);
        return false;
    }
    return apply_to_member(vm, members->additional, value, KEYWORD_ADDITIONAL_PROPERTIES, NULL,
                           name, thorough);
}

INLINE bool run_name(struct vm *vm, const struct members *members, yyjson_val *key, bool thorough)
{
    if (!thorough)
        return apply(vm, members->names, key, NULL, false);
    struct place place = place_now(vm);
    path_keyword(vm, KEYWORD_PROPERTY_NAMES);
    size_t before = vm->report->count;
    bool ok = apply(vm, members->names, key, NULL, true);
    for (size_t i = before; i < vm->report->count; i++)
        vm->report->units[i].member = json_str(key);
    place_back(vm, place);
    return ok;
}

INLINE bool run_members(struct vm *vm, uint32_t node, const struct members *members,
                        yyjson_val *object, struct evaluation *e, bool thorough)
{
    bool ok = true;
    uint32_t required_seen = 0;
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, index, count, key, value)
    {
        struct str name = json_str(key);
        int64_t found = name_table_find(&members->table, name);
        bool matched = false;
        if (found >= 0) {
            const struct member *member = &members->members[found];
            required_seen += member->is_required;
            matched = member->is_property;
            if (matched)
                ok &= apply_to_member(vm, member->node, value, KEYWORD_PROPERTIES, &name, name,
                                      thorough);
        }
        if (members->pattern_count)
            ok &= run_patterns(vm, members, name, value, &matched, thorough);
        if (!matched && members->has_additional) {
            ok &= run_additional(vm, node, members, name, value, thorough);
            matched = true;
        }
        if (members->has_names)
            ok &= run_name(vm, members, key, thorough);
        if (matched)
            mark(e, index);
        if (!ok && !thorough)
            return false;
    }
    if (required_seen < members->required_count) {
        if (thorough)
            fault_missing(vm, node, members, object);
        return false;
    }
    return ok;
}

INLINE bool run_dependent_required(struct vm *vm, uint32_t node, enum keyword keyword,
                                   const struct dependent *d, yyjson_val *object, bool thorough)
{
    bool ok = true;
    if (!yyjson_obj_getn(object, d->name.ptr, d->name.len))
        return true;
    for (uint32_t i = 0; i < d->other_count; i++) {
        if (yyjson_obj_getn(object, d->others[i].ptr, d->others[i].len))
            continue;
        ok = false;
        if (!thorough)
            return false;
        validate_fault_member(vm, node, keyword, object, d->others[i]);
    }
    return ok;
}

INLINE bool run_dependent_schema(struct vm *vm, enum keyword keyword, const struct dependent *d,
                                 yyjson_val *object, struct evaluation *e, bool thorough)
{
    if (!yyjson_obj_getn(object, d->name.ptr, d->name.len))
        return true;
    if (!thorough)
        return apply(vm, d->node, object, e, false);
    struct place place = place_now(vm);
    path_keyword(vm, keyword);
    json_pointer_add(&vm->keyword_path, d->name);
    bool ok = apply(vm, d->node, object, e, true);
    place_back(vm, place);
    return ok;
}

/* What no other keyword has looked at. */
INLINE bool run_unevaluated(struct vm *vm, uint32_t node, const struct instruction *i,
                            yyjson_val *value, struct evaluation *e, bool thorough)
{
    bool of_items = i->op == OP_UNEVALUATED_ITEMS;
    bool ok = true;
    size_t index, count;
    yyjson_val *key, *item;
    if (of_items && yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, index, count, item)
        {
            if (!is_marked(e, index))
                ok &= apply_to_item(vm, i->node, item, KEYWORD_UNEVALUATED_ITEMS, false, index,
                                    thorough);
            if (!ok && !thorough)
                return false;
        }
        mark_all(e);
    } else if (!of_items && yyjson_is_obj(value)) {
        bool refuses = vm->program->nodes[i->node].types == 0;
        yyjson_obj_foreach(value, index, count, key, item)
        {
            if (is_marked(e, index))
                continue;
            if (refuses && thorough)
                fault_unknown(vm, node, KEYWORD_UNEVALUATED_PROPERTIES, item, json_str(key));
            ok &= !refuses && apply_to_member(vm, i->node, item, KEYWORD_UNEVALUATED_PROPERTIES,
                                              NULL, json_str(key), thorough);
            if (!ok && !thorough)
                return false;
        }
        mark_all(e);
    }
    return ok;
}

/* --- branches ------------------------------------------------------------------------------ */

/* anyOf and oneOf: how many branches hold. Without thoroughness, as many as are needed. */
INLINE bool run_alternatives(struct vm *vm, uint32_t node, const struct instruction *i,
                             const yyjson_val *value, struct evaluation *e, bool thorough)
{
    bool one = i->op == OP_ONE_OF;
    size_t held = 0;
    struct closest closest = { 0 };
    size_t own = thorough ? vm->report->count : 0;
    if (thorough)
        validate_fault(vm, node, (enum keyword)i->keyword, value);
    for (uint32_t b = 0; b < i->branches->count; b++) {
        size_t first = thorough ? vm->report->count : 0;
        struct snapshot before;
        if (!snapshot_take(vm, e, &before))
            return false;
        if (apply_in_place(vm, i->branches->nodes[b], value, e, (enum keyword)i->keyword, b,
                           thorough)) {
            held++;
        } else {
            snapshot_restore(vm, e, &before);
            if (thorough)
                validate_closest(vm, &closest, first);
        }
        snapshot_release(&before);
        if (!thorough && (one ? held > 1 : held && !e))
            break;
    }
    bool ok = one ? held == 1 : held > 0;
    if (thorough && own < vm->report->count) {
        struct report_unit *unit = &vm->report->units[own];
        unit->count = held;
        unit->inner_count = (uint32_t)(vm->report->count - own - 1);
        unit->closest = (uint32_t)closest.at;
        if (ok)
            vm->report->count = own;
    }
    return ok;
}

INLINE bool run_not(struct vm *vm, uint32_t node, const struct instruction *i,
                    const yyjson_val *value, bool thorough)
{
    struct snapshot before;
    if (!snapshot_take(vm, NULL, &before))
        return false;
    bool held = apply_in_place(vm, i->node, value, NULL, KEYWORD_NOT, -1, thorough);
    vm->annotation_count = before.annotations;
    if (thorough)
        vm->report->count = before.faults;
    if (held && thorough)
        validate_fault(vm, node, KEYWORD_NOT, value);
    return !held;
}

INLINE bool run_condition(struct vm *vm, const struct condition *c, const yyjson_val *value,
                          struct evaluation *e, bool thorough)
{
    struct snapshot before;
    if (!snapshot_take(vm, e, &before))
        return false;
    bool held = apply_in_place(vm, c->test, value, e, KEYWORD_IF, -1, thorough);
    if (!held)
        snapshot_restore(vm, e, &before);
    if (thorough)
        vm->report->count = before.faults;
    snapshot_release(&before);
    return apply_in_place(vm, held ? c->then : c->otherwise, value, e,
                          held ? KEYWORD_THEN : KEYWORD_ELSE, -1, thorough);
}

INLINE bool run_all_of(struct vm *vm, const struct branches *branches, const yyjson_val *value,
                       struct evaluation *e, bool thorough)
{
    bool ok = true;
    for (uint32_t b = 0; b < branches->count; b++) {
        ok &= apply_in_place(vm, branches->nodes[b], value, e, KEYWORD_ALL_OF, b, thorough);
        if (!ok && !thorough)
            return false;
    }
    return ok;
}

/* Where a dynamic reference leads from here: the outermost resource that has the anchor. */
static uint32_t dynamic_target(const struct vm *vm, const struct instruction *i)
{
    for (size_t s = 0; s < vm->scope_count; s++) {
        uint32_t resource = vm->scopes[s];
        if (resource < i->dynamic->count && i->dynamic->nodes[resource])
            return i->dynamic->nodes[resource] - 1;
    }
    return i->node;
}

/* --- one instruction, one node ------------------------------------------------------------- */

INLINE bool run_instruction(struct vm *vm, uint32_t node, const struct instruction *i,
                            yyjson_val *value, struct evaluation *e, bool thorough)
{
    switch ((enum op)i->op) {
    case OP_ITEMS:
        return run_items(vm, i->items, value, e, thorough);
    case OP_CONTAINS:
        return run_contains(vm, node, i->contains, value, e, thorough);
    case OP_MEMBERS:
        return run_members(vm, node, i->members, value, e, thorough);
    case OP_DEPENDENT_REQUIRED:
        return run_dependent_required(vm, node, (enum keyword)i->keyword, i->dependent, value,
                                      thorough);
    case OP_DEPENDENT_SCHEMA:
        return run_dependent_schema(vm, (enum keyword)i->keyword, i->dependent, value, e, thorough);
    case OP_REF:
        return apply_in_place(vm, i->node, value, e, (enum keyword)i->keyword, -1, thorough);
    case OP_DYNAMIC_REF:
        return apply_in_place(vm, dynamic_target(vm, i), value, e, (enum keyword)i->keyword, -1,
                              thorough);
    case OP_ALL_OF:
        return run_all_of(vm, i->branches, value, e, thorough);
    case OP_ANY_OF:
    case OP_ONE_OF:
        return run_alternatives(vm, node, i, value, e, thorough);
    case OP_NOT:
        return run_not(vm, node, i, value, thorough);
    case OP_IF:
        return run_condition(vm, i->condition, value, e, thorough);
    case OP_UNEVALUATED_ITEMS:
    case OP_UNEVALUATED_PROPERTIES:
        return run_unevaluated(vm, node, i, value, e, thorough);
    default:
        if (run_check(vm, i, value))
            return true;
        if (thorough)
            validate_fault(vm, node, (enum keyword)i->keyword, value);
        return false;
    }
}

INLINE bool run_group(struct vm *vm, uint32_t node, enum value_class class, yyjson_val *value,
                      struct evaluation *e, bool thorough)
{
    const struct node *n = &vm->program->nodes[node];
    const struct instruction *i = &vm->program->instructions[n->begin[class]];
    const struct instruction *end = &vm->program->instructions[n->begin[class + 1]];
    bool ok = true;
    for (; i < end; i++) {
        /* What is left over says little where something else is wrong already. */
        bool last = i->op == OP_UNEVALUATED_ITEMS || i->op == OP_UNEVALUATED_PROPERTIES;
        if (thorough && last && !ok)
            break;
        ok &= run_instruction(vm, node, i, value, e, thorough);
        if (!ok && !thorough)
            return false;
    }
    return ok;
}

static const uint8_t class_of_type[] = {
    [YYJSON_TYPE_NONE] = CLASS_ANY,   [YYJSON_TYPE_RAW] = CLASS_NUMBER,
    [YYJSON_TYPE_NULL] = CLASS_ANY,   [YYJSON_TYPE_BOOL] = CLASS_ANY,
    [YYJSON_TYPE_NUM] = CLASS_NUMBER, [YYJSON_TYPE_STR] = CLASS_STRING,
    [YYJSON_TYPE_ARR] = CLASS_ARRAY,  [YYJSON_TYPE_OBJ] = CLASS_OBJECT,
};

INLINE bool run_body(struct vm *vm, uint32_t node, yyjson_val *value, struct evaluation *e,
                     bool thorough)
{
    const struct node *n = &vm->program->nodes[node];
    bool ok = true;
    if (!has_type(n->types, value)) {
        if (!thorough)
            return false;
        validate_fault(vm, node, n->types ? KEYWORD_TYPE : KEYWORD_NONE, value);
        ok = false;
    }
    enum value_class class = (enum value_class)class_of_type[yyjson_get_type(value)];
    if (class != CLASS_ANY)
        ok &= run_group(vm, node, class, value, e, thorough);
    if (!ok && !thorough)
        return false;
    return run_group(vm, node, CLASS_ANY, value, e, thorough) && ok;
}

/* With its own evaluation, where the node asks what is left over. */
INLINE bool run_evaluating(struct vm *vm, uint32_t node, yyjson_val *value,
                           struct evaluation *outer, bool thorough)
{
    bool opens = vm->program->nodes[node].opens_evaluation && yyjson_is_ctn(value);
    if (!opens)
        return run_body(vm, node, value, outer, thorough);
    struct evaluation own;
    if (!evaluation_open(vm, &own, unsafe_yyjson_get_len(value)))
        return false;
    bool ok = run_body(vm, node, value, &own, thorough);
    if (ok)
        evaluation_merge(outer, &own);
    evaluation_close(&own);
    return ok;
}

INLINE bool run(struct vm *vm, uint32_t node, const yyjson_val *value, struct evaluation *outer,
                bool thorough)
{
    const struct node *n = &vm->program->nodes[node];
    if (vm->error || !charge(vm, 1))
        return false;
    size_t stack_used = (size_t)(vm->stack - (const char *)__builtin_frame_address(0));
    if (vm->depth >= VALIDATE_DEPTH_MAX || stack_used > VALIDATE_STACK_BYTES_MAX)
        return validate_give_up(vm, ERR_LIMIT, "the schema refers to itself without end");
    size_t scopes = vm->scope_count;
    if (vm->scopes && node != NODE_TRUE && (!scopes || vm->scopes[scopes - 1] != n->resource))
        vm->scopes[vm->scope_count++] = n->resource;
    vm->depth++;
    bool ok = run_evaluating(vm, node, (yyjson_val *)value, outer, thorough);
    vm->depth--;
    vm->scope_count = scopes;
    if (thorough && ok && n->annotates)
        validate_annotate(vm, node, value);
    return ok && !vm->error;
}

static bool run_fast(struct vm *vm, uint32_t node, const yyjson_val *value,
                     struct evaluation *outer)
{
    return run(vm, node, value, outer, false);
}

static bool run_thorough(struct vm *vm, uint32_t node, const yyjson_val *value,
                         struct evaluation *outer)
{
    return run(vm, node, value, outer, true);
}

/* --- the two ways in ----------------------------------------------------------------------- */

static uint64_t steps_for(const yyjson_val *value)
{
    /* A container is followed by its content: its size in values says how much there is. */
    const yyjson_val *next = unsafe_yyjson_get_next((yyjson_val *)value);
    return VALIDATE_STEPS_BASE + VALIDATE_STEPS_PER_VALUE * (uint64_t)(next - value);
}

static int vm_init(struct vm *vm, const struct program *program, const yyjson_val *value,
                   struct err *err)
{
    *vm = (struct vm){ .program = program,
                       .steps_left = steps_for(value),
                       .stack = __builtin_frame_address(0),
                       .err = err };
    if (program->has_dynamic) {
        vm->scopes = malloc((VALIDATE_DEPTH_MAX + 1) * sizeof(*vm->scopes));
        if (!vm->scopes)
            return err_set(err, ERR_MEMORY, VALIDATE_STEP, "there is not enough memory");
    }
    return 0;
}

int validate(const struct program *program, const yyjson_val *value, struct err *err)
{
    struct vm vm;
    int r = vm_init(&vm, program, value, err);
    if (r < 0)
        return r;
    bool ok = run_fast(&vm, program->start, value, NULL);
    free(vm.scopes);
    return vm.error ? vm.error : ok;
}

int report_new(const struct program *program, const yyjson_val *value, struct report **ret,
               struct err *err)
{
    struct vm vm;
    struct report *report = calloc(1, sizeof(*report));
    int r = report ? vm_init(&vm, program, value, err)
                   : err_set(err, ERR_MEMORY, VALIDATE_STEP, "there is not enough memory");
    if (r < 0) {
        free(report);
        return r;
    }
    vm.report = report;
    vm.instance = BUF_INIT_LIMIT(PATH_BYTES_MAX);
    vm.keyword_path = BUF_INIT_LIMIT(PATH_BYTES_MAX);
    report->valid = run_thorough(&vm, program->start, value, NULL);
    if (report->valid) {
        free(report->units);
        report->units = TAKE_PTR(vm.annotations);
        report->count = vm.annotation_count;
    }
    free(vm.annotations);
    free(vm.scopes);
    buf_release(&vm.instance);
    buf_release(&vm.keyword_path);
    if (vm.error) {
        report_free(report);
        return vm.error;
    }
    *ret = report;
    return 0;
}
