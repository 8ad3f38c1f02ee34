/*
 * compile: from a schema to a program.
 *
 * Theory of operation. Each location of the set that the start leads to
 * becomes one node. node_at hands out the node's number at once and leaves
 * its body to the work list, so that recursion in a schema is no recursion
 * here. A body is compiled by walking the const table of emitters, which is
 * sorted by the class of value its instructions look at; an emitter that
 * finds nothing of its own in the schema emits nothing.
 *
 * Dynamic references are bound last: when the work list is empty, every
 * resource that has been entered is asked for the dynamic anchors in use,
 * and what that adds is compiled in turn, until nothing new appears.
 *
 * Limits: PROGRAM_NODES_MAX nodes, PROGRAM_BYTES_MAX of memory beside them.
 */
#include "contract/compile.h"

#include "base/json.h"
#include "contract/number.h"
#include "contract/program.h"
#include "contract/value.h"

#define STEP               "compile a schema"
#define NAMES_COMPARED_MAX 4  /* tables up to this size are searched one by one */
#define REFERENCE_HOPS_MAX 64 /* references that are followed ahead of time */

struct compiler {
    struct program *program;
    struct schema_set *set;
    struct compile_options options;
    struct err *err;
    uint32_t *node_of; /* by location: node + 1, or 0 */
    size_t node_of_capacity;
    size_t node_capacity, instruction_capacity, regex_capacity;
    size_t compiled;          /* nodes whose body stands */
    struct map dynamic_names; /* name → index in dynamics */
    struct dynamic **dynamics;
    size_t dynamic_count, dynamic_capacity;
    bool *bound; /* by dynamic anchor of the set */
    size_t bound_capacity;
    bool *entered; /* by resource */
    size_t entered_capacity;
};

/* One schema while its body is compiled. */
struct frame {
    uint32_t node;
    uint32_t location;
    const yyjson_val *schema;
    struct dialect dialect;
    const yyjson_val *keywords[KEYWORD_COUNT];
};

struct emitter {
    enum value_class class;
    enum keyword keyword; /* runs where this one is present */
    enum op op;
    int (*emit)(struct compiler *, const struct frame *, const struct emitter *,
                const yyjson_val *value);
};

static const struct emitter emitters[];
static const size_t emitter_count;
static int set_types(struct compiler *c, const struct frame *f);

/* --- errors and memory --------------------------------------------------------------------- */

static int out_of_memory(struct compiler *c)
{
    return err_set(c->err, ERR_MEMORY, STEP,
                   "the program needs more memory than there is or than the limit of %zu bytes "
                   "allows",
                   PROGRAM_BYTES_MAX);
}

static void say_where(struct compiler *c, uint32_t location, const char *keyword)
{
    const struct schema_location *at = schema_location(c->set, location);
    const struct schema_resource *resource = schema_resource(c->set, at->resource);
    err_where(c->err, "%.*s#%.*s%s%s", STR_ARG(resource->uri), STR_ARG(at->pointer),
              keyword ? "/" : "", keyword ? keyword : "");
}

static int wrong(struct compiler *c, const struct frame *f, enum keyword keyword,
                 const char *expected)
{
    const char *name = keyword_rows[keyword].name.ptr;
    int r = err_set(c->err, ERR_SCHEMA, STEP, "`%s` must be %s", name, expected);
    say_where(c, f->location, name);
    return r;
}

static bool grow(void *array_pointer, size_t size, size_t need, size_t *capacity)
{
    if (need <= *capacity)
        return true;
    size_t larger = *capacity ? *capacity : 32;
    while (larger < need)
        larger *= 2;
    void *array = realloc(*(void **)array_pointer, larger * size);
    if (!array)
        return false;
    memset((char *)array + *capacity * size, 0, (larger - *capacity) * size);
    *(void **)array_pointer = array;
    *capacity = larger;
    return true;
}

/* --- nodes and instructions ---------------------------------------------------------------- */

static int new_node(struct compiler *c, uint32_t *ret)
{
    struct program *p = c->program;
    if (p->node_count >= PROGRAM_NODES_MAX)
        return err_set(c->err, ERR_LIMIT, STEP, "the schema has more than %zu subschemas",
                       PROGRAM_NODES_MAX);
    if (!grow(&p->nodes, sizeof(*p->nodes), p->node_count + 1, &c->node_capacity))
        return out_of_memory(c);
    *ret = (uint32_t)p->node_count++;
    p->nodes[*ret] = (struct node){ .types = TYPE_ANY, .is_leaf = true, .target = *ret };
    return 0;
}

/* The node of a location; its body follows when the work list gets there. */
static int node_at(struct compiler *c, uint32_t location, uint32_t *ret)
{
    const struct schema_location *at = schema_location(c->set, location);
    if (yyjson_is_true((yyjson_val *)at->schema)) {
        *ret = NODE_TRUE;
        return 0;
    }
    if (!grow(&c->node_of, sizeof(*c->node_of), (size_t)location + 1, &c->node_of_capacity) ||
        !grow(&c->entered, sizeof(*c->entered), (size_t)at->resource + 1, &c->entered_capacity))
        return out_of_memory(c);
    if (!c->node_of[location]) {
        uint32_t node;
        int r = new_node(c, &node);
        if (r < 0)
            return r;
        c->program->nodes[node].location = location;
        c->program->nodes[node].resource = at->resource;
        c->node_of[location] = node + 1;
        c->entered[at->resource] = true;
    }
    *ret = c->node_of[location] - 1;
    return 0;
}

static int child_node(struct compiler *c, const struct frame *f, enum keyword keyword,
                      const struct str *token, const yyjson_val *schema, uint32_t *ret)
{
    uint32_t location;
    if (!yyjson_is_obj((yyjson_val *)schema) && !yyjson_is_bool((yyjson_val *)schema)) {
        int r = err_set(c->err, ERR_SCHEMA, STEP,
                        "`%s` holds something that is no schema: an "
                        "object or a boolean is expected",
                        keyword_rows[keyword].name.ptr);
        say_where(c, f->location, keyword_rows[keyword].name.ptr);
        return r;
    }
    int r = schema_child(c->set, f->location, keyword_rows[keyword].name, token, schema, &location,
                         c->err);
    return r < 0 ? r : node_at(c, location, ret);
}

static int emit(struct compiler *c, enum op op, enum keyword keyword,
                struct instruction instruction)
{
    struct program *p = c->program;
    if (!grow(&p->instructions, sizeof(*p->instructions), p->instruction_count + 1,
              &c->instruction_capacity))
        return out_of_memory(c);
    instruction.op = (uint8_t)op;
    instruction.keyword = (uint8_t)keyword;
    p->instructions[p->instruction_count++] = instruction;
    return 0;
}

static int compile_body(struct compiler *c, uint32_t node)
{
    struct program *p = c->program;
    struct frame f = { .node = node, .location = p->nodes[node].location };
    const struct schema_location *at = schema_location(c->set, f.location);
    f.schema = at->schema;
    f.dialect = schema_resource(c->set, at->resource)->dialect;
    for (size_t i = 0; i <= CLASS_COUNT; i++)
        p->nodes[node].begin[i] = (uint32_t)p->instruction_count;
    if (yyjson_is_false((yyjson_val *)f.schema)) {
        p->nodes[node].types = 0;
        return 0;
    }
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach((yyjson_val *)f.schema, index, count, key, value)
    {
        enum keyword keyword = keyword_find(json_str(key), f.dialect);
        if (keyword != KEYWORD_NONE)
            f.keywords[keyword] = value;
        if (keyword == KEYWORD_NONE || keyword >= KEYWORD_FORMAT)
            p->nodes[node].annotates = true;
    }
    int r = set_types(c, &f);
    uint32_t first = (uint32_t)p->instruction_count;
    size_t e = 0;
    for (size_t class = 0; class < CLASS_COUNT; class ++) {
        p->nodes[node].begin[class] = (uint32_t)p->instruction_count;
        for (; e < emitter_count && emitters[e].class == (enum value_class) class; e++) {
            const yyjson_val *present = f.keywords[emitters[e].keyword];
            if (r == 0 && present)
                r = emitters[e].emit(c, &f, &emitters[e], present);
        }
    }
    p->nodes[node].begin[CLASS_COUNT] = (uint32_t)p->instruction_count;
    p->nodes[node].is_leaf = p->instruction_count == first;
    return r;
}

/* --- names --------------------------------------------------------------------------------- */

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

static bool name_table_init(struct name_table *table, struct arena *arena, uint32_t capacity)
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

/* The index of a name, which is added if it is new. */
static uint32_t name_table_add(struct name_table *table, struct str name)
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
static int set_types(struct compiler *c, const struct frame *f)
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
    return emit(c, e->op, e->keyword, (struct instruction){ .value = value });
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
    return emit(c, e->op, e->keyword, (struct instruction){ .number = number });
}

static int new_regex(struct compiler *c, const struct frame *f, enum keyword keyword,
                     struct str pattern, const struct regex **ret)
{
    struct program *p = c->program;
    if (!grow(&p->regexes, sizeof(struct regex *), p->regex_count + 1, &c->regex_capacity))
        return out_of_memory(c);
    struct regex **regex = &p->regexes[p->regex_count];
    int r = c->options.known_patterns ? regex_new_known(pattern, regex, c->err)
                                      : regex_new(pattern, regex, c->err);
    if (r < 0) {
        say_where(c, f->location, keyword_rows[keyword].name.ptr);
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
    return r < 0 ? r : emit(c, e->op, e->keyword, (struct instruction){ .regex = regex });
}

static int emit_format(struct compiler *c, const struct frame *f, const struct emitter *e,
                       const yyjson_val *value)
{
    if (!yyjson_is_str((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a string");
    bool asserts =
        c->options.assert_formats || (f->dialect.vocabularies & VOCABULARY_FORMAT_ASSERTION);
    const struct format *format = asserts ? format_find(json_str(value)) : NULL;
    return format ? emit(c, e->op, e->keyword, (struct instruction){ .format = format }) : 0;
}

/* --- emitters: arrays ---------------------------------------------------------------------- */

static int emit_unique(struct compiler *c, const struct frame *f, const struct emitter *e,
                       const yyjson_val *value)
{
    if (!yyjson_is_bool((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a boolean");
    return yyjson_is_true((yyjson_val *)value)
               ? emit(c, e->op, e->keyword, (struct instruction){ 0 })
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
        int r = child_node(c, f, keyword, &token, item, &ret_nodes[index]);
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
        return out_of_memory(c);
    items->prefix_count = (uint32_t)count;
    items->prefix_keyword = prefix_keyword;
    items->rest_keyword = rest_keyword;
    items->has_rest = rest;
    items->rest = NODE_TRUE;
    int r = prefix ? nodes_of_array(c, f, prefix_keyword, prefix, items->prefix) : 0;
    if (r == 0 && rest)
        r = child_node(c, f, rest_keyword, NULL, rest, &items->rest);
    return r < 0 ? r : emit(c, e->op, e->keyword, (struct instruction){ .items = items });
}

static int emit_contains(struct compiler *c, const struct frame *f, const struct emitter *e,
                         const yyjson_val *value)
{
    struct contains *contains = arena_new(&c->program->arena, struct contains);
    if (!contains)
        return out_of_memory(c);
    contains->min = 1;
    contains->max = UINT64_MAX;
    const yyjson_val *min = f->keywords[KEYWORD_MIN_CONTAINS];
    const yyjson_val *max = f->keywords[KEYWORD_MAX_CONTAINS];
    if (min && !count_of(min, &contains->min))
        return wrong(c, f, KEYWORD_MIN_CONTAINS, "an integer from 0");
    if (max && !count_of(max, &contains->max))
        return wrong(c, f, KEYWORD_MAX_CONTAINS, "an integer from 0");
    int r = child_node(c, f, e->keyword, NULL, value, &contains->node);
    return r < 0 ? r : emit(c, e->op, e->keyword, (struct instruction){ .contains = contains });
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
        int r = child_node(c, f, KEYWORD_PROPERTIES, &name, value, &member->node);
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
        return out_of_memory(c);
    yyjson_obj_foreach((yyjson_val *)patterns, index, count, key, value)
    {
        struct member_pattern *pattern = &members->patterns[members->pattern_count++];
        pattern->pattern = json_str(key);
        int r = new_regex(c, f, KEYWORD_PATTERN_PROPERTIES, pattern->pattern, &pattern->regex);
        if (r == 0)
            r = child_node(c, f, KEYWORD_PATTERN_PROPERTIES, &pattern->pattern, value,
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
        return out_of_memory(c);
    members->members = arena_array(arena, struct member, names);
    if (!members->members)
        return out_of_memory(c);
    int r = add_properties(c, f, members);
    if (r == 0)
        r = add_required(c, f, members);
    if (r == 0)
        r = add_patterns(c, f, members);
    const yyjson_val *additional = f->keywords[KEYWORD_ADDITIONAL_PROPERTIES];
    if (r == 0 && additional) {
        members->has_additional = true;
        members->additional_is_false = yyjson_is_false((yyjson_val *)additional);
        r = child_node(c, f, KEYWORD_ADDITIONAL_PROPERTIES, NULL, additional, &members->additional);
    }
    if (r == 0 && f->keywords[KEYWORD_PROPERTY_NAMES]) {
        members->has_names = true;
        r = child_node(c, f, KEYWORD_PROPERTY_NAMES, NULL, f->keywords[KEYWORD_PROPERTY_NAMES],
                       &members->names);
    }
    return r < 0 ? r : emit(c, e->op, e->keyword, (struct instruction){ .members = members });
}

static int emit_dependent_required(struct compiler *c, const struct frame *f, enum keyword keyword,
                                   struct str name, const yyjson_val *others)
{
    struct dependent *dependent = arena_new(&c->program->arena, struct dependent);
    struct str *list =
        arena_array(&c->program->arena, struct str, yyjson_arr_size((yyjson_val *)others));
    if (!dependent || !list)
        return out_of_memory(c);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)others, index, count, item)
    {
        if (!yyjson_is_str(item))
            return wrong(c, f, keyword, "an object whose values are arrays of strings");
        list[index] = json_str(item);
    }
    *dependent = (struct dependent){ .name = name, .others = list, .other_count = (uint32_t)count };
    return emit(c, OP_DEPENDENT_REQUIRED, keyword, (struct instruction){ .dependent = dependent });
}

static int emit_dependent_schema(struct compiler *c, const struct frame *f, enum keyword keyword,
                                 struct str name, const yyjson_val *schema)
{
    struct dependent *dependent = arena_new(&c->program->arena, struct dependent);
    if (!dependent)
        return out_of_memory(c);
    dependent->name = name;
    int r = child_node(c, f, keyword, &name, schema, &dependent->node);
    return r < 0 ? r
                 : emit(c, OP_DEPENDENT_SCHEMA, keyword,
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
    return emit(c, e->op, e->keyword, (struct instruction){ .value = value });
}

static int emit_enum(struct compiler *c, const struct frame *f, const struct emitter *e,
                     const yyjson_val *value)
{
    if (!yyjson_is_arr((yyjson_val *)value))
        return wrong(c, f, e->keyword, "an array");
    struct value_set *set = arena_new(&c->program->arena, struct value_set);
    uint32_t size = (uint32_t)yyjson_arr_size((yyjson_val *)value);
    if (!set || !name_table_init(&set->table, &c->program->arena, size))
        return out_of_memory(c);
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
    return emit(c, e->op, e->keyword, (struct instruction){ .set = set });
}

static int emit_ref(struct compiler *c, const struct frame *f, const struct emitter *e,
                    const yyjson_val *value)
{
    uint32_t location, node;
    if (!yyjson_is_str((yyjson_val *)value))
        return wrong(c, f, e->keyword, "a string");
    int r = schema_resolve(c->set, f->location, json_str(value), &location, c->err);
    if (r < 0) {
        say_where(c, f->location, keyword_rows[e->keyword].name.ptr);
        return r;
    }
    r = node_at(c, location, &node);
    return r < 0 ? r : emit(c, OP_REF, e->keyword, (struct instruction){ .node = node });
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
        !grow(&c->dynamics, sizeof(struct dynamic *), c->dynamic_count + 1, &c->dynamic_capacity) ||
        map_put(&c->dynamic_names, name, (uint32_t)c->dynamic_count) < 0)
        return out_of_memory(c);
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
        say_where(c, f->location, keyword_rows[e->keyword].name.ptr);
        return r;
    }
    yyjson_val *own =
        yyjson_obj_get((yyjson_val *)schema_location(c->set, location)->schema, "$dynamicAnchor");
    bool is_dynamic =
        schema_location(c->set, location)->dynamic_anchor && str_equal(anchor, json_str(own));
    r = node_at(c, location, &node);
    if (r < 0)
        return r;
    if (!is_dynamic)
        return emit(c, OP_REF, e->keyword, (struct instruction){ .node = node });
    const struct dynamic *dynamic = NULL;
    r = dynamic_of_name(c, anchor, &dynamic);
    return r < 0 ? r
                 : emit(c, e->op, e->keyword,
                        (struct instruction){ .node = node, .dynamic = dynamic });
}

static int emit_recursive_ref(struct compiler *c, const struct frame *f, const struct emitter *e,
                              const yyjson_val *value)
{
    (void)value;
    int r = err_set(c->err, ERR_SCHEMA, STEP,
                    "`$recursiveRef` of draft 2019-09 is not supported; use `$dynamicRef` of "
                    "draft 2020-12");
    say_where(c, f->location, keyword_rows[e->keyword].name.ptr);
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
        return out_of_memory(c);
    branches->count = (uint32_t)count;
    int r = nodes_of_array(c, f, e->keyword, value, branches->nodes);
    return r < 0 ? r : emit(c, e->op, e->keyword, (struct instruction){ .branches = branches });
}

static int emit_node(struct compiler *c, const struct frame *f, const struct emitter *e,
                     const yyjson_val *value)
{
    uint32_t node;
    int r = child_node(c, f, e->keyword, NULL, value, &node);
    if (r < 0)
        return r;
    if (e->op == OP_UNEVALUATED_ITEMS || e->op == OP_UNEVALUATED_PROPERTIES)
        c->program->nodes[f->node].opens_evaluation = true;
    return emit(c, e->op, e->keyword, (struct instruction){ .node = node });
}

static int emit_condition(struct compiler *c, const struct frame *f, const struct emitter *e,
                          const yyjson_val *value)
{
    struct condition *condition = arena_new(&c->program->arena, struct condition);
    if (!condition)
        return out_of_memory(c);
    const yyjson_val *then = f->keywords[KEYWORD_THEN];
    const yyjson_val *otherwise = f->keywords[KEYWORD_ELSE];
    int r = child_node(c, f, e->keyword, NULL, value, &condition->test);
    if (r == 0 && then)
        r = child_node(c, f, KEYWORD_THEN, NULL, then, &condition->then);
    if (r == 0 && otherwise)
        r = child_node(c, f, KEYWORD_ELSE, NULL, otherwise, &condition->otherwise);
    return r < 0 ? r : emit(c, e->op, e->keyword, (struct instruction){ .condition = condition });
}

/* Sorted by class. What costs least and fails most often stands first in each. */
static const struct emitter emitters[] = {
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
static const size_t emitter_count = ARRAY_LEN(emitters);

/* --- the whole ----------------------------------------------------------------------------- */

static int compile_pending(struct compiler *c)
{
    for (; c->compiled < c->program->node_count; c->compiled++) {
        if (c->compiled == NODE_TRUE)
            continue;
        int r = compile_body(c, (uint32_t)c->compiled);
        if (r < 0)
            return r;
    }
    return 0;
}

static int bind_anchor(struct compiler *c, struct dynamic *dynamic, uint32_t resource,
                       uint32_t location)
{
    uint32_t resources = schema_resource_count(c->set);
    if (resource >= dynamic->count) {
        uint32_t *nodes = arena_array(&c->program->arena, uint32_t, resources);
        if (!nodes)
            return out_of_memory(c);
        if (dynamic->count)
            memcpy(nodes, dynamic->nodes, dynamic->count * sizeof(*nodes));
        dynamic->nodes = nodes;
        dynamic->count = resources;
    }
    uint32_t node;
    int r = node_at(c, location, &node);
    if (r == 0)
        dynamic->nodes[resource] = node + 1;
    return r;
}

/* Binds every dynamic anchor in use that stands in a resource entered by now. */
static int bind_dynamic(struct compiler *c, bool *ret_added)
{
    uint32_t resource, location, index;
    struct str name;
    for (size_t i = 0; schema_dynamic_anchor(c->set, i, &name, &resource, &location); i++) {
        if (!grow(&c->bound, sizeof(*c->bound), i + 1, &c->bound_capacity))
            return out_of_memory(c);
        if (c->bound[i] || resource >= c->entered_capacity || !c->entered[resource] ||
            !map_get(&c->dynamic_names, name, &index))
            continue;
        c->bound[i] = true;
        *ret_added = true;
        int r = bind_anchor(c, c->dynamics[index], resource, location);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Where a node that is nothing but a reference leads; a chain without end leads to itself. */
static uint32_t target_of(const struct program *p, uint32_t node)
{
    uint32_t at = node;
    for (size_t hops = 0; hops < REFERENCE_HOPS_MAX; hops++) {
        const struct node *n = &p->nodes[at];
        const struct instruction *only = &p->instructions[n->begin[CLASS_ANY]];
        bool refers = n->types == TYPE_ANY && n->begin[0] == n->begin[CLASS_ANY] &&
                      n->begin[CLASS_COUNT] - n->begin[CLASS_ANY] == 1 && only->op == OP_REF;
        if (!refers)
            return at;
        at = only->node;
    }
    return node;
}

static int compile_all(struct compiler *c, uint32_t location)
{
    uint32_t always;
    /* Groups are spans of one array, which is there even where it stays empty. */
    if (!grow(&c->program->instructions, sizeof(struct instruction), 1, &c->instruction_capacity))
        return out_of_memory(c);
    int r = new_node(c, &always);
    if (r == 0)
        r = node_at(c, location, &c->program->start);
    for (bool added = true; r == 0 && added;) {
        added = false;
        r = compile_pending(c);
        if (r == 0)
            r = bind_dynamic(c, &added);
    }
    /* With dynamic references, the resources on the way matter. */
    for (uint32_t node = 0; r == 0 && !c->program->has_dynamic && node < c->program->node_count;
         node++)
        c->program->nodes[node].target = target_of(c->program, node);
    return r;
}

int program_new(struct schema_set *set, uint32_t location, const struct compile_options *options,
                struct program **ret, struct err *err)
{
    struct compiler c = { .set = set, .options = *options, .err = err };
    c.program = calloc(1, sizeof(*c.program));
    if (!c.program)
        return out_of_memory(&c);
    c.program->set = set;
    c.program->arena.limit = PROGRAM_BYTES_MAX;
    int r = compile_all(&c, location);
    free(c.node_of);
    free(c.entered);
    free(c.dynamics);
    free(c.bound);
    map_release(&c.dynamic_names);
    if (r < 0)
        program_free(c.program);
    else
        *ret = c.program;
    return r;
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
