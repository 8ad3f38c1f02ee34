/*
 * compile_emit: from a keyword to its instructions.
 *
 * One function for each kind of keyword, and the table that says which keyword
 * is whose. A function finds the keyword's value in its frame, checks that it
 * is what the keyword takes, and adds instructions. Keywords that look at an
 * object's members, or at an array's items, are one instruction together, which
 * the first of them in the table emits.
 */
#include "base/json.h"
#include "contract/compile_internal.h"
#include "contract/number.h"
#include "contract/value.h"

static int wrong(struct compiler *c, const struct frame *f, enum keyword keyword,
                 const char *expected)
{
    const char *name = keyword_rows[keyword].name.ptr;
    int r = err_set(c->err, ERR_SCHEMA, COMPILE_STEP, "`%s` must be %s", name, expected);
    compile_say_where(c, f->location, name);
    return r;
}

/* --- emitters: types, numbers, strings ----------------------------------------------------- */

static unsigned type_of_name(struct str name)
{
    static const unsigned types[] = { TYPE_NULL,   TYPE_BOOLEAN, TYPE_OBJECT, TYPE_ARRAY,
                                      TYPE_STRING, TYPE_INTEGER, TYPE_NUMBER };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_equal(name, str_from(value_type_name(types[i]))))
            return types[i];
    return 0;
}

/* `type` is no instruction but the mask of its node. */
int compile_types(struct compiler *c, const struct frame *f)
{
    static const char expected[] = "one of the seven type names, or an array of them";
    yyjson_val *v = (yyjson_val *)f->keywords[KEYWORD_TYPE];
    if (!v)
        return 0;
    unsigned types = yyjson_is_str(v) ? type_of_name(json_str(v)) : 0;
    size_t index, count;
    yyjson_val *item;
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, index, count, item)
        {
            unsigned type = yyjson_is_str(item) ? type_of_name(json_str(item)) : 0;
            if (!type)
                return wrong(c, f, KEYWORD_TYPE, expected);
            types |= type;
        }
    }
    if (!types && !(yyjson_is_arr(v) && !yyjson_arr_size(v)))
        return wrong(c, f, KEYWORD_TYPE, expected);
    c->program->nodes[f->node].types = (uint8_t)types;
    return 0;
}

static int emit_bound(struct compiler *c, const struct frame *f, const struct emitter *e,
                      const yyjson_val *value)
{
    static const yyjson_val zero = { .tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT };
    if (!number_is(value))
        return wrong(c, f, e->keyword, "a number");
    if (e->op == OP_MULTIPLE_OF && number_compare(value, &zero) <= 0)
        return wrong(c, f, e->keyword, "a number above 0");
    return compile_add(c, e->op, e->keyword, (struct instruction){ .value = value });
}

/* A count: an integer from 0, in any spelling; what exceeds 64 bits is as good as endless. */
static bool count_of(const yyjson_val *value, uint64_t *ret)
{
    static const yyjson_val zero = { .tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_UINT };
    if (!number_is(value) || !number_is_integer(value) || number_compare(value, &zero) < 0)
        return false;
    if (yyjson_is_uint((yyjson_val *)value))
        *ret = yyjson_get_uint((yyjson_val *)value);
    else if (yyjson_is_real((yyjson_val *)value) && yyjson_get_real((yyjson_val *)value) < 1e18)
        *ret = (uint64_t)yyjson_get_real((yyjson_val *)value);
    else
        *ret = number_compare(value, &zero) == 0 ? 0 : UINT64_MAX;
    return true;
}

static int emit_count(struct compiler *c, const struct frame *f, const struct emitter *e,
                      const yyjson_val *value)
{
    uint64_t number;
    if (!count_of(value, &number))
        return wrong(c, f, e->keyword, "an integer from 0");
    return compile_add(c, e->op, e->keyword, (struct instruction){ .number = number });
}

static int new_regex(struct compiler *c, const struct frame *f, enum keyword keyword,
                     struct str pattern, const struct regex **ret)
{
    struct program *p = c->program;
    if (!compile_grow(&p->regexes, sizeof(struct regex *), p->regex_count + 1, &c->regex_capacity))
        return compile_out_of_memory(c);
    struct regex **regex = &p->regexes[p->regex_count];
    int r = c->options.known_patterns ? regex_new_known(pattern, regex, c->err)
                                      : regex_new(pattern, regex, c->err);
    if (r < 0) {
        compile_say_where(c, f->location, keyword_rows[keyword].name.ptr);
        return r;
    }
    *ret = p->regexes[p->regex_count++];
    return 0;
}

static int emit_pattern(struct compiler *c, const struct frame *f, const struct emitter *e,
                        const yyjson_val *value)
{
    const struct regex *regex;
    if (!yyjson_is_str((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a string");
    int r = new_regex(c, f, e->keyword, json_str(value), &regex);
    return r < 0 ? r : compile_add(c, e->op, e->keyword, (struct instruction){ .regex = regex });
}

static int emit_format(struct compiler *c, const struct frame *f, const struct emitter *e,
                       const yyjson_val *value)
{
    if (!yyjson_is_str((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a string");
    bool asserts =
        c->options.assert_formats || (f->dialect.vocabularies & VOCABULARY_FORMAT_ASSERTION);
    const struct format *format = asserts ? format_find(json_str(value)) : NULL;
    return format ? compile_add(c, e->op, e->keyword, (struct instruction){ .format = format }) : 0;
}

/* --- emitters: arrays ---------------------------------------------------------------------- */

static int emit_unique(struct compiler *c, const struct frame *f, const struct emitter *e,
                       const yyjson_val *value)
{
    if (!yyjson_is_bool((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a boolean");
    return yyjson_is_true((yyjson_val *)value)
               ? compile_add(c, e->op, e->keyword, (struct instruction){ 0 })
               : 0;
}

/* The nodes of an array of schemas. */
static int nodes_of_array(struct compiler *c, const struct frame *f, enum keyword keyword,
                          const yyjson_val *array, uint32_t *ret_nodes)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)array, index, count, item)
    {
        char text[24];
        snprintf(text, sizeof(text), "%zu", index);
        struct str token = str_from(text);
        int r = compile_child(c, f, keyword, &token, item, &ret_nodes[index]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* prefixItems and items; in draft 2019-09 an array of items, and additionalItems. */
static int emit_items(struct compiler *c, const struct frame *f, const struct emitter *e,
                      const yyjson_val *value)
{
    const yyjson_val *prefix = f->keywords[KEYWORD_PREFIX_ITEMS];
    const yyjson_val *rest = f->keywords[KEYWORD_ITEMS];
    enum keyword prefix_keyword = KEYWORD_PREFIX_ITEMS, rest_keyword = KEYWORD_ITEMS;
    (void)value;
    if (e->keyword == KEYWORD_ITEMS && prefix)
        return 0; /* the row of prefixItems has done both */
    if (f->dialect.draft == DRAFT_2019_09 && yyjson_is_arr((yyjson_val *)rest)) {
        prefix = rest;
        prefix_keyword = KEYWORD_ITEMS;
        rest = f->keywords[KEYWORD_ADDITIONAL_ITEMS];
        rest_keyword = KEYWORD_ADDITIONAL_ITEMS;
    }
    if (prefix && !yyjson_is_arr((yyjson_val *)prefix))
        return wrong(c, f, prefix_keyword, "an array of schemas");
    size_t count = prefix ? yyjson_arr_size((yyjson_val *)prefix) : 0;
    struct items *items =
        arena_alloc(&c->program->arena, sizeof(*items) + count * sizeof(items->prefix[0]));
    if (!items)
        return compile_out_of_memory(c);
    items->prefix_count = (uint32_t)count;
    items->prefix_keyword = prefix_keyword;
    items->rest_keyword = rest_keyword;
    items->has_rest = rest;
    items->rest = NODE_TRUE;
    int r = prefix ? nodes_of_array(c, f, prefix_keyword, prefix, items->prefix) : 0;
    if (r == 0 && rest)
        r = compile_child(c, f, rest_keyword, NULL, rest, &items->rest);
    return r < 0 ? r : compile_add(c, e->op, e->keyword, (struct instruction){ .items = items });
}

static int emit_contains(struct compiler *c, const struct frame *f, const struct emitter *e,
                         const yyjson_val *value)
{
    struct contains *contains = arena_new(&c->program->arena, struct contains);
    if (!contains)
        return compile_out_of_memory(c);
    contains->min = 1;
    contains->max = UINT64_MAX;
    const yyjson_val *min = f->keywords[KEYWORD_MIN_CONTAINS];
    const yyjson_val *max = f->keywords[KEYWORD_MAX_CONTAINS];
    if (min && !count_of(min, &contains->min))
        return wrong(c, f, KEYWORD_MIN_CONTAINS, "an integer from 0");
    if (max && !count_of(max, &contains->max))
        return wrong(c, f, KEYWORD_MAX_CONTAINS, "an integer from 0");
    int r = compile_child(c, f, e->keyword, NULL, value, &contains->node);
    return r < 0 ? r
                 : compile_add(c, e->op, e->keyword, (struct instruction){ .contains = contains });
}

/* --- emitters: objects --------------------------------------------------------------------- */

static int add_properties(struct compiler *c, const struct frame *f, struct members *members)
{
    const yyjson_val *properties = f->keywords[KEYWORD_PROPERTIES];
    if (!properties)
        return 0;
    if (!yyjson_is_obj((yyjson_val *)properties))
        return wrong(c, f, KEYWORD_PROPERTIES, "an object of schemas");
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach((yyjson_val *)properties, index, count, key, value)
    {
        struct str name = json_str(key);
        struct member *member = &members->members[name_table_add(&members->table, name)];
        member->is_property = true;
        int r = compile_child(c, f, KEYWORD_PROPERTIES, &name, value, &member->node);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_required(struct compiler *c, const struct frame *f, struct members *members)
{
    static const char expected[] = "an array of different strings";
    const yyjson_val *required = f->keywords[KEYWORD_REQUIRED];
    if (!required)
        return 0;
    if (!yyjson_is_arr((yyjson_val *)required))
        return wrong(c, f, KEYWORD_REQUIRED, expected);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)required, index, count, item)
    {
        if (!yyjson_is_str(item))
            return wrong(c, f, KEYWORD_REQUIRED, expected);
        struct member *member = &members->members[name_table_add(&members->table, json_str(item))];
        if (!member->is_required)
            members->required_count++;
        member->is_required = true;
    }
    return 0;
}

static int add_patterns(struct compiler *c, const struct frame *f, struct members *members)
{
    const yyjson_val *patterns = f->keywords[KEYWORD_PATTERN_PROPERTIES];
    if (!patterns)
        return 0;
    if (!yyjson_is_obj((yyjson_val *)patterns))
        return wrong(c, f, KEYWORD_PATTERN_PROPERTIES, "an object of schemas");
    size_t index, count;
    yyjson_val *key, *value;
    members->patterns = arena_array(&c->program->arena, struct member_pattern,
                                    yyjson_obj_size((yyjson_val *)patterns));
    if (!members->patterns)
        return compile_out_of_memory(c);
    yyjson_obj_foreach((yyjson_val *)patterns, index, count, key, value)
    {
        struct member_pattern *pattern = &members->patterns[members->pattern_count++];
        pattern->pattern = json_str(key);
        int r = new_regex(c, f, KEYWORD_PATTERN_PROPERTIES, pattern->pattern, &pattern->regex);
        if (r == 0)
            r = compile_child(c, f, KEYWORD_PATTERN_PROPERTIES, &pattern->pattern, value,
                              &pattern->node);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The five keywords that look at an object's members, made one walk. */
static int emit_members(struct compiler *c, const struct frame *f, const struct emitter *e,
                        const yyjson_val *value)
{
    static const enum keyword together[] = { KEYWORD_PROPERTIES, KEYWORD_PATTERN_PROPERTIES,
                                             KEYWORD_ADDITIONAL_PROPERTIES, KEYWORD_REQUIRED,
                                             KEYWORD_PROPERTY_NAMES };
    (void)value;
    for (size_t i = 0; together[i] != e->keyword; i++)
        if (f->keywords[together[i]])
            return 0; /* the row of an earlier one has done all */
    struct arena *arena = &c->program->arena;
    size_t names = yyjson_obj_size((yyjson_val *)f->keywords[KEYWORD_PROPERTIES]) +
                   yyjson_arr_size((yyjson_val *)f->keywords[KEYWORD_REQUIRED]);
    struct members *members = arena_new(arena, struct members);
    if (!members || !name_table_init(&members->table, arena, (uint32_t)names))
        return compile_out_of_memory(c);
    members->members = arena_array(arena, struct member, names);
    if (!members->members)
        return compile_out_of_memory(c);
    int r = add_properties(c, f, members);
    if (r == 0)
        r = add_required(c, f, members);
    if (r == 0)
        r = add_patterns(c, f, members);
    const yyjson_val *additional = f->keywords[KEYWORD_ADDITIONAL_PROPERTIES];
    if (r == 0 && additional) {
        members->has_additional = true;
        members->additional_is_false = yyjson_is_false((yyjson_val *)additional);
        r = compile_child(c, f, KEYWORD_ADDITIONAL_PROPERTIES, NULL, additional,
                          &members->additional);
    }
    if (r == 0 && f->keywords[KEYWORD_PROPERTY_NAMES]) {
        members->has_names = true;
        r = compile_child(c, f, KEYWORD_PROPERTY_NAMES, NULL, f->keywords[KEYWORD_PROPERTY_NAMES],
                          &members->names);
    }
    return r < 0 ? r
                 : compile_add(c, e->op, e->keyword, (struct instruction){ .members = members });
}

static int emit_dependent_required(struct compiler *c, const struct frame *f, enum keyword keyword,
                                   struct str name, const yyjson_val *others)
{
    struct dependent *dependent = arena_new(&c->program->arena, struct dependent);
    struct str *list =
        arena_array(&c->program->arena, struct str, yyjson_arr_size((yyjson_val *)others));
    if (!dependent || !list)
        return compile_out_of_memory(c);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)others, index, count, item)
    {
        if (!yyjson_is_str(item))
            return wrong(c, f, keyword, "an object whose values are arrays of strings");
        list[index] = json_str(item);
    }
    *dependent = (struct dependent){ .name = name, .others = list, .other_count = (uint32_t)count };
    return compile_add(c, OP_DEPENDENT_REQUIRED, keyword,
                       (struct instruction){ .dependent = dependent });
}

static int emit_dependent_schema(struct compiler *c, const struct frame *f, enum keyword keyword,
                                 struct str name, const yyjson_val *schema)
{
    struct dependent *dependent = arena_new(&c->program->arena, struct dependent);
    if (!dependent)
        return compile_out_of_memory(c);
    dependent->name = name;
    int r = compile_child(c, f, keyword, &name, schema, &dependent->node);
    return r < 0 ? r
                 : compile_add(c, OP_DEPENDENT_SCHEMA, keyword,
                               (struct instruction){ .dependent = dependent });
}

/* dependentRequired, dependentSchemas, and the dependencies of old that was both. */
static int emit_dependent(struct compiler *c, const struct frame *f, const struct emitter *e,
                          const yyjson_val *value)
{
    if (!yyjson_is_obj((yyjson_val *)value))
        return wrong(c, f, e->keyword, "an object");
    size_t index, count;
    yyjson_val *key, *item;
    yyjson_obj_foreach((yyjson_val *)value, index, count, key, item)
    {
        bool is_array = yyjson_is_arr(item);
        if (!is_array && e->keyword == KEYWORD_DEPENDENT_REQUIRED)
            return wrong(c, f, e->keyword, "an object whose values are arrays of strings");
        bool names = is_array && e->keyword != KEYWORD_DEPENDENT_SCHEMAS;
        int r = names ? emit_dependent_required(c, f, e->keyword, json_str(key), item)
                      : emit_dependent_schema(c, f, e->keyword, json_str(key), item);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- emitters: any value ------------------------------------------------------------------- */

static int emit_const(struct compiler *c, const struct frame *f, const struct emitter *e,
                      const yyjson_val *value)
{
    (void)f;
    return compile_add(c, e->op, e->keyword, (struct instruction){ .value = value });
}

static int emit_enum(struct compiler *c, const struct frame *f, const struct emitter *e,
                     const yyjson_val *value)
{
    if (!yyjson_is_arr((yyjson_val *)value))
        return wrong(c, f, e->keyword, "an array");
    struct value_set *set = arena_new(&c->program->arena, struct value_set);
    uint32_t size = (uint32_t)yyjson_arr_size((yyjson_val *)value);
    if (!set || !name_table_init(&set->table, &c->program->arena, size))
        return compile_out_of_memory(c);
    set->array = value;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)value, index, count, item)
    {
        set->types |= value_type(item);
        if (yyjson_is_str(item))
            name_table_add(&set->table, json_str(item));
    }
    set->all_strings = !(set->types & ~(unsigned)TYPE_STRING);
    return compile_add(c, e->op, e->keyword, (struct instruction){ .set = set });
}

static int emit_ref(struct compiler *c, const struct frame *f, const struct emitter *e,
                    const yyjson_val *value)
{
    uint32_t location, node;
    if (!yyjson_is_str((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a string");
    int r = schema_resolve(c->set, f->location, json_str(value), &location, c->err);
    if (r < 0) {
        compile_say_where(c, f->location, keyword_rows[e->keyword].name.ptr);
        return r;
    }
    r = compile_node_at(c, location, &node);
    return r < 0 ? r : compile_add(c, OP_REF, e->keyword, (struct instruction){ .node = node });
}

/* All references to one dynamic anchor share what it is bound to. */
static int dynamic_of_name(struct compiler *c, struct str name, const struct dynamic **ret)
{
    uint32_t known;
    if (map_get(&c->dynamic_names, name, &known)) {
        *ret = c->dynamics[known];
        return 0;
    }
    struct dynamic *dynamic = arena_new(&c->program->arena, struct dynamic);
    if (!dynamic ||
        !compile_grow(&c->dynamics, sizeof(struct dynamic *), c->dynamic_count + 1,
                      &c->dynamic_capacity) ||
        map_put(&c->dynamic_names, name, (uint32_t)c->dynamic_count) < 0)
        return compile_out_of_memory(c);
    c->dynamics[c->dynamic_count++] = dynamic;
    c->program->has_dynamic = true;
    *ret = dynamic;
    return 0;
}

static int emit_dynamic_ref(struct compiler *c, const struct frame *f, const struct emitter *e,
                            const yyjson_val *value)
{
    uint32_t location, node;
    if (!yyjson_is_str((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a string");
    struct str reference = json_str(value);
    struct str anchor = str_from_offset(reference, str_index(reference, '#', 0) + 1);
    int r = schema_resolve(c->set, f->location, reference, &location, c->err);
    if (r < 0) {
        compile_say_where(c, f->location, keyword_rows[e->keyword].name.ptr);
        return r;
    }
    yyjson_val *own =
        yyjson_obj_get((yyjson_val *)schema_location(c->set, location)->schema, "$dynamicAnchor");
    bool is_dynamic =
        schema_location(c->set, location)->dynamic_anchor && str_equal(anchor, json_str(own));
    r = compile_node_at(c, location, &node);
    if (r < 0)
        return r;
    if (!is_dynamic)
        return compile_add(c, OP_REF, e->keyword, (struct instruction){ .node = node });
    const struct dynamic *dynamic = NULL;
    r = dynamic_of_name(c, anchor, &dynamic);
    return r < 0 ? r
                 : compile_add(c, e->op, e->keyword,
                               (struct instruction){ .node = node, .dynamic = dynamic });
}

static int emit_recursive_ref(struct compiler *c, const struct frame *f, const struct emitter *e,
                              const yyjson_val *value)
{
    (void)value;
    int r = err_set(c->err, ERR_SCHEMA, COMPILE_STEP,
                    "`$recursiveRef` of draft 2019-09 is not supported; use `$dynamicRef` of "
                    "draft 2020-12");
    compile_say_where(c, f->location, keyword_rows[e->keyword].name.ptr);
    return r;
}

static int emit_branches(struct compiler *c, const struct frame *f, const struct emitter *e,
                         const yyjson_val *value)
{
    size_t count = yyjson_arr_size((yyjson_val *)value);
    if (!count)
        return wrong(c, f, e->keyword, "an array of at least one schema");
    struct branches *branches =
        arena_alloc(&c->program->arena, sizeof(*branches) + count * sizeof(branches->nodes[0]));
    if (!branches)
        return compile_out_of_memory(c);
    branches->count = (uint32_t)count;
    int r = nodes_of_array(c, f, e->keyword, value, branches->nodes);
    return r < 0 ? r
                 : compile_add(c, e->op, e->keyword, (struct instruction){ .branches = branches });
}

static int emit_node(struct compiler *c, const struct frame *f, const struct emitter *e,
                     const yyjson_val *value)
{
    uint32_t node;
    int r = compile_child(c, f, e->keyword, NULL, value, &node);
    if (r < 0)
        return r;
    if (e->op == OP_UNEVALUATED_ITEMS || e->op == OP_UNEVALUATED_PROPERTIES)
        c->program->nodes[f->node].opens_evaluation = true;
    return compile_add(c, e->op, e->keyword, (struct instruction){ .node = node });
}

static int emit_condition(struct compiler *c, const struct frame *f, const struct emitter *e,
                          const yyjson_val *value)
{
    struct condition *condition = arena_new(&c->program->arena, struct condition);
    if (!condition)
        return compile_out_of_memory(c);
    const yyjson_val *then = f->keywords[KEYWORD_THEN];
    const yyjson_val *otherwise = f->keywords[KEYWORD_ELSE];
    int r = compile_child(c, f, e->keyword, NULL, value, &condition->test);
    if (r == 0 && then)
        r = compile_child(c, f, KEYWORD_THEN, NULL, then, &condition->then);
    if (r == 0 && otherwise)
        r = compile_child(c, f, KEYWORD_ELSE, NULL, otherwise, &condition->otherwise);
    return r < 0
               ? r
               : compile_add(c, e->op, e->keyword, (struct instruction){ .condition = condition });
}

/* Sorted by class. What costs least and fails most often stands first in each. */
const struct emitter compile_emitters[] = {
    { CLASS_NUMBER, KEYWORD_MINIMUM, OP_MINIMUM, emit_bound },
    { CLASS_NUMBER, KEYWORD_EXCLUSIVE_MINIMUM, OP_EXCLUSIVE_MINIMUM, emit_bound },
    { CLASS_NUMBER, KEYWORD_MAXIMUM, OP_MAXIMUM, emit_bound },
    { CLASS_NUMBER, KEYWORD_EXCLUSIVE_MAXIMUM, OP_EXCLUSIVE_MAXIMUM, emit_bound },
    { CLASS_NUMBER, KEYWORD_MULTIPLE_OF, OP_MULTIPLE_OF, emit_bound },
    { CLASS_STRING, KEYWORD_MIN_LENGTH, OP_MIN_LENGTH, emit_count },
    { CLASS_STRING, KEYWORD_MAX_LENGTH, OP_MAX_LENGTH, emit_count },
    { CLASS_STRING, KEYWORD_PATTERN, OP_PATTERN, emit_pattern },
    { CLASS_STRING, KEYWORD_FORMAT, OP_FORMAT, emit_format },
    { CLASS_ARRAY, KEYWORD_MIN_ITEMS, OP_MIN_ITEMS, emit_count },
    { CLASS_ARRAY, KEYWORD_MAX_ITEMS, OP_MAX_ITEMS, emit_count },
    { CLASS_ARRAY, KEYWORD_PREFIX_ITEMS, OP_ITEMS, emit_items },
    { CLASS_ARRAY, KEYWORD_ITEMS, OP_ITEMS, emit_items },
    { CLASS_ARRAY, KEYWORD_CONTAINS, OP_CONTAINS, emit_contains },
    { CLASS_ARRAY, KEYWORD_UNIQUE_ITEMS, OP_UNIQUE_ITEMS, emit_unique },
    { CLASS_OBJECT, KEYWORD_MIN_PROPERTIES, OP_MIN_PROPERTIES, emit_count },
    { CLASS_OBJECT, KEYWORD_MAX_PROPERTIES, OP_MAX_PROPERTIES, emit_count },
    { CLASS_OBJECT, KEYWORD_PROPERTIES, OP_MEMBERS, emit_members },
    { CLASS_OBJECT, KEYWORD_PATTERN_PROPERTIES, OP_MEMBERS, emit_members },
    { CLASS_OBJECT, KEYWORD_ADDITIONAL_PROPERTIES, OP_MEMBERS, emit_members },
    { CLASS_OBJECT, KEYWORD_REQUIRED, OP_MEMBERS, emit_members },
    { CLASS_OBJECT, KEYWORD_PROPERTY_NAMES, OP_MEMBERS, emit_members },
    { CLASS_OBJECT, KEYWORD_DEPENDENT_REQUIRED, OP_DEPENDENT_REQUIRED, emit_dependent },
    { CLASS_OBJECT, KEYWORD_DEPENDENT_SCHEMAS, OP_DEPENDENT_SCHEMA, emit_dependent },
    { CLASS_OBJECT, KEYWORD_DEPENDENCIES, OP_DEPENDENT_SCHEMA, emit_dependent },
    { CLASS_ANY, KEYWORD_CONST, OP_CONST, emit_const },
    { CLASS_ANY, KEYWORD_ENUM, OP_ENUM, emit_enum },
    { CLASS_ANY, KEYWORD_REF, OP_REF, emit_ref },
    { CLASS_ANY, KEYWORD_DYNAMIC_REF, OP_DYNAMIC_REF, emit_dynamic_ref },
    { CLASS_ANY, KEYWORD_RECURSIVE_REF, OP_REF, emit_recursive_ref },
    { CLASS_ANY, KEYWORD_ALL_OF, OP_ALL_OF, emit_branches },
    { CLASS_ANY, KEYWORD_ANY_OF, OP_ANY_OF, emit_branches },
    { CLASS_ANY, KEYWORD_ONE_OF, OP_ONE_OF, emit_branches },
    { CLASS_ANY, KEYWORD_NOT, OP_NOT, emit_node },
    { CLASS_ANY, KEYWORD_IF, OP_IF, emit_condition },
    { CLASS_ANY, KEYWORD_UNEVALUATED_ITEMS, OP_UNEVALUATED_ITEMS, emit_node },
    { CLASS_ANY, KEYWORD_UNEVALUATED_PROPERTIES, OP_UNEVALUATED_PROPERTIES, emit_node },
};
const size_t compile_emitter_count = ARRAY_LEN(compile_emitters);
