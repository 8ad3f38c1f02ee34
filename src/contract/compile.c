/*
 * compile: from a schema to a program.
 *
 * Theory of operation. Each location of the set that the start leads to
 * becomes one node. compile_node_at hands out the node's number at once and leaves
 * its body to the work list, so that recursion in a schema is no recursion
 * here. A body is compiled by walking the table of emitters (compile_emit.c), which is
 * sorted by the class of value its instructions look at; an emitter that
 * finds nothing of its own in the schema emits nothing.
 *
 * Dynamic references are bound last: when the work list is empty, every
 * resource that has been entered is asked for the dynamic anchors in use,
 * and what that adds is compiled in turn, until nothing new appears.
 *
 * Limits: PROGRAM_NODES_MAX nodes, PROGRAM_BYTES_MAX of memory beside them.
 */
#include "contract/compile_internal.h"
#include "contract/value.h"

#define REFERENCE_HOPS_MAX 64 /* references that are followed ahead of time */

/* --- errors and memory --------------------------------------------------------------------- */

int compile_out_of_memory(struct compiler *c)
{
    return err_set(c->err, ERR_MEMORY, COMPILE_STEP,
                   "the program needs more memory than there is or than the limit of %zu bytes "
                   "allows",
                   PROGRAM_BYTES_MAX);
}

void compile_say_where(struct compiler *c, uint32_t location, const char *keyword)
{
    const struct schema_location *at = schema_location(c->set, location);
    const struct schema_resource *resource = schema_resource(c->set, at->resource);
    err_where(c->err, "%.*s#%.*s%s%s", STR_ARG(resource->uri), STR_ARG(at->pointer),
              keyword ? "/" : "", keyword ? keyword : "");
}

bool compile_grow(void *array_pointer, size_t size, size_t need, size_t *capacity)
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
        return err_set(c->err, ERR_LIMIT, COMPILE_STEP, "the schema has more than %zu subschemas",
                       PROGRAM_NODES_MAX);
    if (!compile_grow(&p->nodes, sizeof(*p->nodes), p->node_count + 1, &c->node_capacity))
        return compile_out_of_memory(c);
    *ret = (uint32_t)p->node_count++;
    p->nodes[*ret] = (struct node){ .types = TYPE_ANY, .is_leaf = true, .target = *ret };
    return 0;
}

/* The node of a location; its body follows when the work list gets there. */
int compile_node_at(struct compiler *c, uint32_t location, uint32_t *ret)
{
    const struct schema_location *at = schema_location(c->set, location);
    if (yyjson_is_true((yyjson_val *)at->schema)) {
        *ret = NODE_TRUE;
        return 0;
    }
    if (!compile_grow(&c->node_of, sizeof(*c->node_of), (size_t)location + 1,
                      &c->node_of_capacity) ||
        !compile_grow(&c->entered, sizeof(*c->entered), (size_t)at->resource + 1,
                      &c->entered_capacity))
        return compile_out_of_memory(c);
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

int compile_child(struct compiler *c, const struct frame *f, enum keyword keyword,
                  const struct str *token, const yyjson_val *schema, uint32_t *ret)
{
    uint32_t location;
    if (!yyjson_is_obj((yyjson_val *)schema) && !yyjson_is_bool((yyjson_val *)schema)) {
        int r = err_set(c->err, ERR_SCHEMA, COMPILE_STEP,
                        "`%s` holds something that is no schema: an "
                        "object or a boolean is expected",
                        keyword_rows[keyword].name.ptr);
        compile_say_where(c, f->location, keyword_rows[keyword].name.ptr);
        return r;
    }
    int r = schema_child(c->set, f->location, keyword_rows[keyword].name, token, schema, &location,
                         c->err);
    return r < 0 ? r : compile_node_at(c, location, ret);
}

int compile_add(struct compiler *c, enum op op, enum keyword keyword,
                struct instruction instruction)
{
    struct program *p = c->program;
    if (!compile_grow(&p->instructions, sizeof(*p->instructions), p->instruction_count + 1,
                      &c->instruction_capacity))
        return compile_out_of_memory(c);
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
    int r = compile_types(c, &f);
    uint32_t first = (uint32_t)p->instruction_count;
    size_t e = 0;
    for (size_t class = 0; class < CLASS_COUNT; class ++) {
        p->nodes[node].begin[class] = (uint32_t)p->instruction_count;
        for (; e < compile_emitter_count && compile_emitters[e].class == (enum value_class) class;
             e++) {
            const yyjson_val *present = f.keywords[compile_emitters[e].keyword];
            if (r == 0 && present)
                r = compile_emitters[e].emit(c, &f, &compile_emitters[e], present);
        }
    }
    p->nodes[node].begin[CLASS_COUNT] = (uint32_t)p->instruction_count;
    p->nodes[node].is_leaf = p->instruction_count == first;
    return r;
}

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
            return compile_out_of_memory(c);
        if (dynamic->count)
            memcpy(nodes, dynamic->nodes, dynamic->count * sizeof(*nodes));
        dynamic->nodes = nodes;
        dynamic->count = resources;
    }
    uint32_t node;
    int r = compile_node_at(c, location, &node);
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
        if (!compile_grow(&c->bound, sizeof(*c->bound), i + 1, &c->bound_capacity))
            return compile_out_of_memory(c);
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
    if (!compile_grow(&c->program->instructions, sizeof(struct instruction), 1,
                      &c->instruction_capacity))
        return compile_out_of_memory(c);
    int r = new_node(c, &always);
    if (r == 0)
        r = compile_node_at(c, location, &c->program->start);
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
        return compile_out_of_memory(&c);
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
