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

#include <math.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/utf8.h"
#include "contract/number.h"
#include "contract/program.h"
#include "contract/value.h"

#define STEP               "validate"
#define PAIRWISE_ITEMS_MAX 8  /* larger arrays are hashed for uniqueItems */
#define PATTERN_CLOCK_EACH 64 /* the clock is read once in so many patterns */
#define PATH_BYTES_MAX     ((size_t)1 << 20)

struct evaluation {
    uint64_t *bits;
    size_t words;
    uint64_t few; /* bits of values with up to 64 members */
};

struct vm {
    const struct program *program;
    uint64_t steps_left;
    uint32_t depth;
    const char *stack; /* where it stood at the start; it grows down */
    uint32_t pattern_count;
    uint64_t pattern_ns;
    int error;
    struct err *err;
    uint32_t *scopes;
    size_t scope_count;
    struct report *report; /* NULL in the fast run */
    size_t unit_capacity;
    struct report_unit *annotations;
    size_t annotation_count, annotation_capacity;
    struct buf instance, keyword_path;
};

#define INLINE static inline __attribute__((always_inline))
#define COLD   __attribute__((noinline, cold))

static bool run_fast(struct vm *vm, uint32_t node, const yyjson_val *value,
                     struct evaluation *outer);
static bool run_thorough(struct vm *vm, uint32_t node, const yyjson_val *value,
                         struct evaluation *outer);

/* --- bounds -------------------------------------------------------------------------------- */

COLD static bool give_up(struct vm *vm, enum err_code code, const char *why)
{
    if (!vm->error)
        vm->error = err_set(vm->err, code, STEP, "%s", why);
    return false;
}

COLD static bool out_of_memory(struct vm *vm)
{
    return give_up(vm, ERR_MEMORY, "there is not enough memory");
}

/* Charges steps; false when they have run out. */
INLINE bool charge(struct vm *vm, uint64_t steps)
{
    if (vm->steps_left < steps)
        return give_up(vm, ERR_LIMIT,
                       "the schema needs more steps than the limit allows: it is "
                       "recursive without end, or it branches exponentially");
    vm->steps_left -= steps;
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A search whose time is sampled: long subjects always, short ones now and then. */
static bool search(struct vm *vm, const struct regex *regex, struct str subject)
{
    bool timed = subject.len > 256 || ++vm->pattern_count % PATTERN_CLOCK_EACH == 0;
    uint64_t start = timed ? now_ns() : 0;
    int r = regex_search(regex, subject, vm->err);
    if (r < 0) {
        vm->error = vm->error ? vm->error : r;
        return false;
    }
    if (timed) {
        vm->pattern_ns += (now_ns() - start) * (subject.len > 256 ? 1 : PATTERN_CLOCK_EACH);
        if (vm->pattern_ns / 1000000 > VALIDATE_PATTERN_MS_MAX)
            return give_up(vm, ERR_LIMIT,
                           "the schema's patterns take longer than the limit "
                           "allows");
    }
    return r == 1;
}

/* --- places and faults (thorough only) ----------------------------------------------------- */

struct place {
    size_t instance, keyword_path;
};

static struct place place_now(const struct vm *vm)
{
    return (struct place){ vm->instance.len, vm->keyword_path.len };
}

static void place_back(struct vm *vm, struct place place)
{
    buf_truncate(&vm->instance, place.instance);
    buf_truncate(&vm->keyword_path, place.keyword_path);
}

static void path_keyword(struct vm *vm, enum keyword keyword)
{
    json_pointer_add(&vm->keyword_path, keyword_rows[keyword].name);
}

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
            out_of_memory(vm);
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
        out_of_memory(vm);
        return NULL;
    }
    return unit;
}

/* Records a fault of a keyword of a node's schema; NULL where it cannot be recorded. */
COLD static struct report_unit *fault(struct vm *vm, uint32_t node, enum keyword keyword,
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

/* What a fault of a member of the value says more: its name. */
COLD static void fault_member(struct vm *vm, uint32_t node, enum keyword keyword,
                              const yyjson_val *value, struct str member)
{
    struct report_unit *unit = fault(vm, node, keyword, value);
    if (unit)
        unit->member = member;
}

COLD static void annotate(struct vm *vm, uint32_t node, const yyjson_val *value)
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

/* --- evaluated members --------------------------------------------------------------------- */

/* How much is evaluated now, to be taken back when a branch fails. */
struct snapshot {
    uint64_t *bits;
    size_t annotations, faults;
};

static bool evaluation_open(struct vm *vm, struct evaluation *e, size_t members)
{
    e->words = (members + 63) / 64;
    e->few = 0;
    e->bits = e->words > 1 ? calloc(e->words, sizeof(*e->bits)) : &e->few;
    return e->bits || out_of_memory(vm);
}

static void evaluation_close(struct evaluation *e)
{
    if (e->words > 1)
        free(e->bits);
}

INLINE void mark(struct evaluation *e, size_t index)
{
    if (e)
        e->bits[index / 64] |= (uint64_t)1 << (index % 64);
}

static void mark_all(struct evaluation *e)
{
    if (e)
        memset(e->bits, 0xff, (e->words ? e->words : 1) * sizeof(*e->bits));
}

INLINE bool is_marked(const struct evaluation *e, size_t index)
{
    return e->bits[index / 64] >> (index % 64) & 1;
}

static void evaluation_merge(struct evaluation *into, const struct evaluation *from)
{
    for (size_t i = 0; into && i < from->words; i++)
        into->bits[i] |= from->bits[i];
}

static bool snapshot_take(struct vm *vm, const struct evaluation *e, struct snapshot *s)
{
    *s = (struct snapshot){ .annotations = vm->annotation_count,
                            .faults = vm->report ? vm->report->count : 0 };
    if (!e || !e->words)
        return true;
    s->bits = malloc(e->words * sizeof(*s->bits));
    if (!s->bits)
        return out_of_memory(vm);
    memcpy(s->bits, e->bits, e->words * sizeof(*s->bits));
    return true;
}

/* A branch has failed: what it evaluated and annotated counts no more. */
static void snapshot_restore(struct vm *vm, struct evaluation *e, const struct snapshot *s)
{
    if (s->bits)
        memcpy(e->bits, s->bits, e->words * sizeof(*s->bits));
    vm->annotation_count = s->annotations;
}

static void snapshot_release(struct snapshot *s)
{
    free(s->bits);
}

/* --- children ------------------------------------------------------------------------------ */

/* The types of a mask that a value's own tag settles; numbers may need a look at the fraction. */
INLINE bool has_type(unsigned types, yyjson_val *value)
{
    static const uint8_t types_of[] = {
        [YYJSON_TYPE_NONE] = 0,          [YYJSON_TYPE_RAW] = TYPE_NUMBER,
        [YYJSON_TYPE_NULL] = TYPE_NULL,  [YYJSON_TYPE_BOOL] = TYPE_BOOLEAN,
        [YYJSON_TYPE_NUM] = TYPE_NUMBER, [YYJSON_TYPE_STR] = TYPE_STRING,
        [YYJSON_TYPE_ARR] = TYPE_ARRAY,  [YYJSON_TYPE_OBJ] = TYPE_OBJECT,
    };
    unsigned possible = types_of[yyjson_get_type(value)];
    if (!(possible & types))
        return false;
    return possible != TYPE_NUMBER || (types & TYPE_NUMBER) == TYPE_NUMBER ||
           (types & value_type(value));
}

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

/* --- strings and arrays -------------------------------------------------------------------- */

/* Whether a string has at least (or at most) so many code points; bytes settle most cases. */
INLINE bool long_enough(struct str s, uint64_t min)
{
    return s.len / 4 >= min || (s.len >= min && utf8_length(s) >= min);
}

INLINE bool short_enough(struct str s, uint64_t max)
{
    return s.len <= max || (s.len / 4 <= max && utf8_length(s) <= max);
}

static bool unique_pairwise(yyjson_val *array)
{
    yyjson_val *items[PAIRWISE_ITEMS_MAX];
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(array, index, count, item)
    {
        for (size_t i = 0; i < index; i++)
            if (value_equal(items[i], item))
                return false;
        items[index] = item;
    }
    return true;
}

struct hashed_item {
    uint64_t hash;
    const yyjson_val *value;
};

/* Open addressing by seeded hashes; equal hashes are compared, and paid for. */
static bool unique_hashed(struct vm *vm, yyjson_val *array)
{
    size_t capacity = 32;
    while (capacity < yyjson_arr_size(array) * 2)
        capacity *= 2;
    _cleanup_(cleanup_free) struct hashed_item *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return out_of_memory(vm);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(array, index, count, item)
    {
        uint64_t hash = value_hash(item);
        size_t at = hash & (capacity - 1);
        for (; slots[at].value; at = (at + 1) & (capacity - 1)) {
            if (!charge(vm, 1))
                return false;
            if (slots[at].hash == hash && value_equal(slots[at].value, item))
                return false;
        }
        slots[at] = (struct hashed_item){ hash, item };
    }
    return true;
}

static bool is_unique(struct vm *vm, yyjson_val *array)
{
    return yyjson_arr_size(array) <= PAIRWISE_ITEMS_MAX ? unique_pairwise(array)
                                                        : unique_hashed(vm, array);
}

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
        struct report_unit *unit = fault(vm, node,
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
            fault_member(vm, node, KEYWORD_REQUIRED, object, name);
    }
}

/* A member that additionalProperties or unevaluatedProperties refuses altogether. */
COLD static void fault_unknown(struct vm *vm, uint32_t node, enum keyword keyword,
                               const yyjson_val *value, struct str name)
{
    size_t before = vm->instance.len;
    json_pointer_add(&vm->instance, name);
    fault_member(vm, node, keyword, value, name);
    buf_truncate(&vm->instance, before);
}

INLINE bool run_patterns(struct vm *vm, const struct members *members, struct str name,
                         const yyjson_val *value, bool *ret_matched, bool thorough)
{
    bool ok = true;
    for (uint32_t i = 0; i < members->pattern_count; i++) {
        const struct member_pattern *pattern = &members->patterns[i];
        if (!search(vm, pattern->regex, name)) {
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
        fault_member(vm, node, keyword, object, d->others[i]);
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

/* The first fault of the branch that came closest: the one whose faults lie deepest and are few. */
struct closest {
    size_t at, depth, faults;
    bool known;
};

COLD static void consider_closest(const struct vm *vm, struct closest *closest, size_t first)
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

/* anyOf and oneOf: how many branches hold. Without thoroughness, as many as are needed. */
INLINE bool run_alternatives(struct vm *vm, uint32_t node, const struct instruction *i,
                             const yyjson_val *value, struct evaluation *e, bool thorough)
{
    bool one = i->op == OP_ONE_OF;
    size_t held = 0;
    struct closest closest = { 0 };
    size_t own = thorough ? vm->report->count : 0;
    if (thorough)
        fault(vm, node, (enum keyword)i->keyword, value);
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
                consider_closest(vm, &closest, first);
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
        fault(vm, node, KEYWORD_NOT, value);
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

static bool in_set(const struct value_set *set, yyjson_val *value)
{
    if (yyjson_is_str(value) && (set->types & TYPE_STRING))
        return name_table_find(&set->table, json_str(value)) >= 0;
    if (set->all_strings || !(set->types & value_type(value)))
        return false;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)set->array, index, count, item)
    {
        if (value_equal(item, value))
            return true;
    }
    return false;
}

/* --- one instruction, one node ------------------------------------------------------------- */

/* Keywords that check the value itself: a fault is theirs alone. */
INLINE bool run_check(struct vm *vm, const struct instruction *i, yyjson_val *value)
{
    int r;
    switch ((enum op)i->op) {
    case OP_MINIMUM:
        return number_compare(value, i->value) >= 0;
    case OP_EXCLUSIVE_MINIMUM:
        return number_compare(value, i->value) > 0;
    case OP_MAXIMUM:
        return number_compare(value, i->value) <= 0;
    case OP_EXCLUSIVE_MAXIMUM:
        return number_compare(value, i->value) < 0;
    case OP_MULTIPLE_OF:
        r = number_is_multiple(value, i->value, vm->err);
        vm->error = r < 0 && !vm->error ? r : vm->error;
        return r == 1;
    case OP_MIN_LENGTH:
        return long_enough(json_str(value), i->number);
    case OP_MAX_LENGTH:
        return short_enough(json_str(value), i->number);
    case OP_PATTERN:
        return search(vm, i->regex, json_str(value));
    case OP_FORMAT:
        r = format_check(i->format, json_str(value), vm->err);
        vm->error = r < 0 && !vm->error ? r : vm->error;
        return r == 1;
    case OP_MIN_ITEMS:
        return yyjson_arr_size(value) >= i->number;
    case OP_MAX_ITEMS:
        return yyjson_arr_size(value) <= i->number;
    case OP_UNIQUE_ITEMS:
        return is_unique(vm, value);
    case OP_MIN_PROPERTIES:
        return yyjson_obj_size(value) >= i->number;
    case OP_MAX_PROPERTIES:
        return yyjson_obj_size(value) <= i->number;
    case OP_CONST:
        return value_equal(value, i->value);
    case OP_ENUM:
        return in_set(i->set, value);
    default: /* the applicators: run_instruction has them */
        return false;
    }
}

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
            fault(vm, node, (enum keyword)i->keyword, value);
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
        fault(vm, node, n->types ? KEYWORD_TYPE : KEYWORD_NONE, value);
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
        return give_up(vm, ERR_LIMIT, "the schema refers to itself without end");
    size_t scopes = vm->scope_count;
    if (vm->scopes && node != NODE_TRUE && (!scopes || vm->scopes[scopes - 1] != n->resource))
        vm->scopes[vm->scope_count++] = n->resource;
    vm->depth++;
    bool ok = run_evaluating(vm, node, (yyjson_val *)value, outer, thorough);
    vm->depth--;
    vm->scope_count = scopes;
    if (thorough && ok && n->annotates)
        annotate(vm, node, value);
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
            return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
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
                   : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
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

void report_free(struct report *report)
{
    if (!report)
        return;
    free(report->units);
    arena_release(&report->arena);
    free(report);
}
