/*
 * schema: documents, resources, anchors and references.
 *
 * Theory of operation. schema_set_add walks a document once, through the
 * keywords of its dialect that hold schemas and nothing else, so that an $id
 * inside an enum or an unknown keyword names nothing. Each schema met gets a
 * location; `location_of` of the document maps a value to it by its index,
 * since yyjson keeps the values of a document in one block. One map leads
 * from "uri" and from "uri#anchor" to locations.
 *
 * Owned by the set: the documents, and in its arena every string and array
 * entry's text. Recursion follows the depth of a document, which json_read
 * has bounded; the memory of the set is bounded by SCHEMA_SET_BYTES_MAX.
 *
 * A reference may lead to a place that no keyword of the dialect reaches
 * (an unknown keyword, say). It is a schema from then on, in the resource
 * around it, but identifiers inside it stay unknown.
 */
#include "contract/schema.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "contract/metaschema.h"
#include "contract/uri.h"

#define STEP              "resolve a schema"
#define URI_BYTES_MAX     ((size_t)64 << 10)
#define DIALECT_CHAIN_MAX 8
#define LOCATIONS_MAX     ((size_t)4000000)

struct document {
    yyjson_doc *doc;
    uint32_t *location_of; /* by index of the value: location + 1, or 0 */
};

struct schema_set {
    schema_fetch *fetch;
    void *context;
    struct arena arena;
    struct map names; /* "uri" and "uri#anchor" → location */
    struct document *documents;
    struct schema_resource *resources;
    struct schema_location *locations;
    uint32_t *dynamics; /* locations of dynamic anchors */
    size_t dynamic_count, dynamic_capacity;
    size_t document_count, document_capacity;
    size_t resource_count, resource_capacity;
    size_t location_count, location_capacity;
    unsigned dialect_chain; /* metaschemas being looked up within one another */
};

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP,
                   "the schemas need more memory than there is or than the "
                   "limit of %zu bytes allows",
                   SCHEMA_SET_BYTES_MAX);
}

/* Makes room for one more in an array of the set. */
static bool grow(void *array_pointer, size_t size, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return true;
    size_t larger = *capacity ? *capacity * 2 : 16;
    void *array = realloc(*(void **)array_pointer, larger * size);
    if (!array)
        return false;
    *(void **)array_pointer = array;
    *capacity = larger;
    return true;
}

int schema_set_new(schema_fetch *fetch, void *context, struct schema_set **ret, struct err *err)
{
    struct schema_set *set = calloc(1, sizeof(*set));
    if (!set)
        return out_of_memory(err);
    set->fetch = fetch;
    set->context = context;
    set->arena.limit = SCHEMA_SET_BYTES_MAX;
    *ret = set;
    return 0;
}

void schema_set_free(struct schema_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->document_count; i++) {
        yyjson_doc_free(set->documents[i].doc);
        free(set->documents[i].location_of);
    }
    free(set->documents);
    free(set->resources);
    free(set->locations);
    free(set->dynamics);
    map_release(&set->names);
    arena_release(&set->arena);
    free(set);
}

const struct schema_location *schema_location(const struct schema_set *set, uint32_t location)
{
    return &set->locations[location];
}

const struct schema_resource *schema_resource(const struct schema_set *set, uint32_t resource)
{
    return &set->resources[resource];
}

uint32_t schema_resource_count(const struct schema_set *set)
{
    return (uint32_t)set->resource_count;
}

/* --- dialects ------------------------------------------------------------------------------ */

static const struct {
    struct str uri;
    enum draft draft;
    unsigned vocabulary;
} vocabularies[] = {
#define V2020(name, bit)                                                                           \
    {                                                                                              \
        STR("https://json-schema.org/draft/2020-12/vocab/" name), DRAFT_2020_12, bit               \
    }
#define V2019(name, bit)                                                                           \
    {                                                                                              \
        STR("https://json-schema.org/draft/2019-09/vocab/" name), DRAFT_2019_09, bit               \
    }
    V2020("core", VOCABULARY_CORE),
    V2020("applicator", VOCABULARY_APPLICATOR),
    V2020("unevaluated", VOCABULARY_UNEVALUATED),
    V2020("validation", VOCABULARY_VALIDATION),
    V2020("meta-data", VOCABULARY_META_DATA),
    V2020("format-annotation", VOCABULARY_FORMAT_ANNOTATION),
    V2020("format-assertion", VOCABULARY_FORMAT_ASSERTION),
    V2020("content", VOCABULARY_CONTENT),
    V2019("core", VOCABULARY_CORE),
    V2019("applicator", VOCABULARY_APPLICATOR | VOCABULARY_UNEVALUATED),
    V2019("validation", VOCABULARY_VALIDATION),
    V2019("meta-data", VOCABULARY_META_DATA),
    V2019("format", VOCABULARY_FORMAT_ANNOTATION),
    V2019("content", VOCABULARY_CONTENT),
#undef V2020
#undef V2019
};

#define VOCABULARIES_DEFAULT                                                                       \
    (VOCABULARY_CORE | VOCABULARY_APPLICATOR | VOCABULARY_UNEVALUATED | VOCABULARY_VALIDATION |    \
     VOCABULARY_META_DATA | VOCABULARY_FORMAT_ANNOTATION | VOCABULARY_CONTENT)

static const struct dialect dialect_default = { DRAFT_2020_12, VOCABULARIES_DEFAULT };

/* What a metaschema's $vocabulary makes of the keywords. */
static int dialect_of_vocabulary(yyjson_val *vocabulary, struct str metaschema, struct dialect *ret,
                                 struct err *err)
{
    struct dialect dialect = { DRAFT_2020_12, VOCABULARY_CORE };
    size_t index, count;
    yyjson_val *key, *required;
    yyjson_obj_foreach(vocabulary, index, count, key, required)
    {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(vocabularies); i++) {
            if (!str_equal(vocabularies[i].uri, json_str(key)))
                continue;
            known = true;
            dialect.draft = vocabularies[i].draft;
            dialect.vocabularies |= vocabularies[i].vocabulary;
        }
        if (!known && !yyjson_is_false(required))
            return err_set(err, ERR_SCHEMA, STEP,
                           "the metaschema %.*s requires the vocabulary %.*s, which is not known",
                           STR_ARG(metaschema), STR_ARG(json_str(key)));
    }
    *ret = dialect;
    return 0;
}

static int dialect_of(struct schema_set *set, struct str metaschema, struct dialect *ret,
                      struct err *err)
{
    if (str_ends(metaschema, STR("#")))
        metaschema.len--;
    if (str_equal(metaschema, STR("https://json-schema.org/draft/2020-12/schema"))) {
        *ret = dialect_default;
        return 0;
    }
    if (str_equal(metaschema, STR("https://json-schema.org/draft/2019-09/schema"))) {
        *ret = (struct dialect){ DRAFT_2019_09, VOCABULARIES_DEFAULT };
        return 0;
    }
    if (set->dialect_chain >= DIALECT_CHAIN_MAX)
        return err_set(err, ERR_SCHEMA, STEP,
                       "the metaschema %.*s is its own metaschema, or the "
                       "chain of metaschemas is longer than %d",
                       STR_ARG(metaschema), DIALECT_CHAIN_MAX);
    uint32_t location;
    set->dialect_chain++;
    int r = schema_set_find(set, metaschema, &location, err);
    set->dialect_chain--;
    if (r < 0)
        return r;
    const yyjson_val *root = set->locations[location].schema;
    yyjson_val *vocabulary = yyjson_obj_get((yyjson_val *)root, "$vocabulary");
    if (!yyjson_is_obj(vocabulary)) {
        *ret = dialect_default;
        return 0;
    }
    return dialect_of_vocabulary(vocabulary, metaschema, ret, err);
}

/* --- adding a document --------------------------------------------------------------------- */

struct walk {
    struct schema_set *set;
    uint32_t document;
    bool identify; /* whether $id and anchors found here count */
    struct err *err;
};

static int add_location(struct schema_set *set, uint32_t document, const yyjson_val *schema,
                        uint32_t resource, struct str pointer, uint32_t *ret, struct err *err)
{
    if (set->location_count >= LOCATIONS_MAX)
        return err_set(err, ERR_LIMIT, STEP, "more than %zu subschemas", LOCATIONS_MAX);
    char *copy = arena_copy(&set->arena, pointer);
    if (!copy || !grow(&set->locations, sizeof(*set->locations), set->location_count,
                       &set->location_capacity))
        return out_of_memory(err);
    struct document *owner = &set->documents[document];
    *ret = (uint32_t)set->location_count++;
    set->locations[*ret] = (struct schema_location){
        .schema = schema,
        .resource = resource,
        .pointer = str_make(copy, pointer.len),
    };
    owner->location_of[schema - owner->doc->root] = *ret + 1;
    return 0;
}

static int add_name(struct schema_set *set, struct str uri, struct str anchor, uint32_t location,
                    struct err *err)
{
    _cleanup_(buf_release) struct buf name = BUF_INIT_LIMIT(URI_BYTES_MAX);
    buf_add_str(&name, uri);
    if (anchor.len) {
        buf_add_char(&name, '#');
        buf_add_str(&name, anchor);
    }
    if (name.error)
        return err_set(err, ERR_LIMIT, STEP, "a schema's name is longer than %zu bytes",
                       URI_BYTES_MAX);
    char *copy = arena_copy(&set->arena, buf_str(&name));
    int r = copy ? map_put(&set->names, str_make(copy, name.len), location) : -ENOMEM;
    if (r == -EEXIST) {
        uint32_t other;
        if (map_get(&set->names, buf_str(&name), &other) && other == location)
            return 0;
        return err_set(err, ERR_SCHEMA, STEP, "two schemas claim the name %s", name.data);
    }
    return r < 0 ? out_of_memory(err) : 0;
}

static int add_resource(struct schema_set *set, struct str uri, uint32_t document,
                        struct dialect dialect, uint32_t *ret, struct err *err)
{
    char *copy = arena_copy(&set->arena, uri);
    if (!copy || !grow(&set->resources, sizeof(*set->resources), set->resource_count,
                       &set->resource_capacity))
        return out_of_memory(err);
    *ret = (uint32_t)set->resource_count++;
    set->resources[*ret] = (struct schema_resource){
        .uri = str_make(copy, uri.len),
        .dialect = dialect,
        .document = document,
    };
    return 0;
}

/* The resource that a schema with an $id, or at a document's root, begins. */
static int begin_resource(struct walk *walk, const yyjson_val *schema, struct str base,
                          struct dialect inherited, uint32_t *ret_resource)
{
    struct schema_set *set = walk->set;
    _cleanup_(buf_release) struct buf uri = BUF_INIT_LIMIT(URI_BYTES_MAX);
    yyjson_val *id = yyjson_obj_get((yyjson_val *)schema, "$id");
    yyjson_val *metaschema = yyjson_obj_get((yyjson_val *)schema, "$schema");
    int r = yyjson_is_str(id) ? uri_resolve(base, json_str(id), &uri) : buf_add_str(&uri, base);
    if (r < 0)
        return err_set(walk->err, ERR_LIMIT, STEP, "an $id is longer than %zu bytes",
                       URI_BYTES_MAX);
    size_t hash = str_index(buf_str(&uri), '#', 0);
    if (hash + 1 < uri.len)
        return err_set(walk->err, ERR_SCHEMA, STEP,
                       "the $id %s has a fragment; use $anchor to name a place", uri.data);
    buf_truncate(&uri, hash);
    if (yyjson_is_str(metaschema)) {
        r = dialect_of(set, json_str(metaschema), &inherited, walk->err);
        if (r < 0)
            return r;
    }
    return add_resource(set, buf_str(&uri), walk->document, inherited, ret_resource, walk->err);
}

static int add_anchor(struct walk *walk, const yyjson_val *schema, const char *keyword,
                      uint32_t location)
{
    yyjson_val *anchor = yyjson_obj_get((yyjson_val *)schema, keyword);
    if (!yyjson_is_str(anchor) || !yyjson_get_len(anchor))
        return 0;
    uint32_t resource = walk->set->locations[location].resource;
    return add_name(walk->set, walk->set->resources[resource].uri, json_str(anchor), location,
                    walk->err);
}

static int add_dynamic_anchor(struct walk *walk, const yyjson_val *schema, uint32_t location)
{
    struct schema_set *set = walk->set;
    if (!yyjson_is_str(yyjson_obj_get((yyjson_val *)schema, "$dynamicAnchor")))
        return 0;
    if (!grow(&set->dynamics, sizeof(*set->dynamics), set->dynamic_count, &set->dynamic_capacity))
        return out_of_memory(walk->err);
    set->dynamics[set->dynamic_count++] = location;
    set->locations[location].dynamic_anchor = true;
    return add_anchor(walk, schema, "$dynamicAnchor", location);
}

static int walk_schema(struct walk *walk, const yyjson_val *schema, uint32_t resource,
                       struct buf *pointer, uint32_t *ret_location);

static int walk_below(struct walk *walk, const yyjson_val *schema, uint32_t resource,
                      struct buf *pointer, struct str token)
{
    uint32_t location;
    size_t mark = pointer->len;
    json_pointer_add(pointer, token);
    int r = walk_schema(walk, schema, resource, pointer, &location);
    buf_truncate(pointer, mark);
    return r;
}

static int walk_array(struct walk *walk, const yyjson_val *array, uint32_t resource,
                      struct buf *pointer)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)array, index, count, item)
    {
        char token[24];
        snprintf(token, sizeof(token), "%zu", index);
        int r = walk_below(walk, item, resource, pointer, str_from(token));
        if (r < 0)
            return r;
    }
    return 0;
}

static int walk_map(struct walk *walk, const yyjson_val *map, uint32_t resource,
                    struct buf *pointer)
{
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach((yyjson_val *)map, index, count, key, value)
    {
        int r = walk_below(walk, value, resource, pointer, json_str(key));
        if (r < 0)
            return r;
    }
    return 0;
}

static int walk_keyword(struct walk *walk, enum keyword_shape shape, const yyjson_val *value,
                        uint32_t resource, struct buf *pointer, struct str name)
{
    bool is_array = yyjson_is_arr((yyjson_val *)value);
    bool is_object = yyjson_is_obj((yyjson_val *)value);
    bool wants_array = shape == SHAPE_SCHEMAS || (shape == SHAPE_SCHEMA_OR_ARRAY && is_array);
    bool wants_map = shape == SHAPE_SCHEMA_MAP || shape == SHAPE_DEPENDENCIES;
    if (shape == SHAPE_DATA || (wants_array && !is_array) || (wants_map && !is_object))
        return 0;
    if (!wants_array && !wants_map)
        return walk_below(walk, value, resource, pointer, name);
    size_t mark = pointer->len;
    json_pointer_add(pointer, name);
    int r = wants_array ? walk_array(walk, value, resource, pointer)
                        : walk_map(walk, value, resource, pointer);
    buf_truncate(pointer, mark);
    return r;
}

/* Gives a schema and everything below it a location. `pointer` is from the resource's root. */
static int walk_schema(struct walk *walk, const yyjson_val *schema, uint32_t resource,
                       struct buf *pointer, uint32_t *ret_location)
{
    struct schema_set *set = walk->set;
    bool is_object = yyjson_is_obj((yyjson_val *)schema);
    if (!is_object && !yyjson_is_bool((yyjson_val *)schema))
        return 0;
    if (pointer->error)
        return err_set(walk->err, ERR_LIMIT, STEP, "a pointer is longer than %zu bytes",
                       pointer->limit);
    _cleanup_(buf_release) struct buf inner = BUF_INIT_LIMIT(URI_BYTES_MAX);
    bool is_resource = walk->identify && is_object && pointer->len &&
                       yyjson_is_str(yyjson_obj_get((yyjson_val *)schema, "$id"));
    int r;
    if (is_resource) {
        struct schema_resource outer = set->resources[resource];
        r = begin_resource(walk, schema, outer.uri, outer.dialect, &resource);
        if (r < 0)
            return r;
        pointer = &inner;
    }
    uint32_t location = 0;
    r = add_location(set, walk->document, schema, resource, buf_str(pointer), &location, walk->err);
    if (r < 0)
        return r;
    *ret_location = location;
    if (!is_object)
        return 0;
    if (is_resource) {
        set->resources[resource].root = location;
        r = add_name(set, set->resources[resource].uri, STR(""), location, walk->err);
    }
    if (r == 0 && walk->identify)
        r = add_anchor(walk, schema, "$anchor", location);
    if (r == 0 && walk->identify && set->resources[resource].dialect.draft == DRAFT_2020_12)
        r = add_dynamic_anchor(walk, schema, location);
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach((yyjson_val *)schema, index, count, key, value)
    {
        if (r < 0)
            return r;
        enum keyword keyword = keyword_find(json_str(key), set->resources[resource].dialect);
        if (keyword != KEYWORD_NONE)
            r = walk_keyword(walk, keyword_rows[keyword].shape, value, resource, pointer,
                             json_str(key));
    }
    return r;
}

/* Takes the document; the values' index needs its own table. */
static int add_document(struct schema_set *set, yyjson_doc *doc, uint32_t *ret, struct err *err)
{
    uint32_t *location_of = calloc(yyjson_doc_get_val_count(doc), sizeof(*location_of));
    bool full = set->document_count >= SCHEMA_DOCUMENTS_MAX;
    if (!location_of || full ||
        !grow(&set->documents, sizeof(*set->documents), set->document_count,
              &set->document_capacity)) {
        free(location_of);
        yyjson_doc_free(doc);
        return full ? err_set(err, ERR_LIMIT, STEP, "more than %d schema documents",
                              SCHEMA_DOCUMENTS_MAX)
                    : out_of_memory(err);
    }
    *ret = (uint32_t)set->document_count++;
    set->documents[*ret] = (struct document){ doc, location_of };
    return 0;
}

int schema_set_add(struct schema_set *set, struct str uri, yyjson_doc *doc, uint32_t *ret_location,
                   struct err *err)
{
    struct walk walk = { .set = set, .identify = true, .err = err };
    yyjson_val *root = yyjson_doc_get_root(doc);
    int r = add_document(set, doc, &walk.document, err);
    if (r < 0)
        return r;
    if (!yyjson_is_obj(root) && !yyjson_is_bool(root))
        return err_set(err, ERR_SCHEMA, STEP, "%.*s is neither an object nor a boolean",
                       STR_ARG(uri));
    _cleanup_(buf_release) struct buf pointer = BUF_INIT_LIMIT(URI_BYTES_MAX);
    uint32_t resource, location;
    struct str base = str_make(uri.ptr, str_index(uri, '#', 0));
    r = begin_resource(&walk, root, base, dialect_default, &resource);
    if (r < 0)
        return r;
    r = walk_schema(&walk, root, resource, &pointer, &location);
    if (r < 0)
        return r;
    set->resources[resource].root = location;
    r = add_name(set, set->resources[resource].uri, STR(""), location, err);
    if (r == 0)
        r = add_name(set, base, STR(""), location, err);
    if (r == 0)
        *ret_location = location;
    return r;
}

/* --- references ---------------------------------------------------------------------------- */

/* The location of a value that a pointer led to; a schema from now on if it was none before. */
static int location_at(struct schema_set *set, uint32_t document, const yyjson_val *value,
                       uint32_t resource, struct buf *pointer, uint32_t *ret, struct err *err)
{
    struct document *owner = &set->documents[document];
    uint32_t known = owner->location_of[value - owner->doc->root];
    if (known) {
        *ret = known - 1;
        return 0;
    }
    if (!yyjson_is_obj((yyjson_val *)value) && !yyjson_is_bool((yyjson_val *)value))
        return err_set(err, ERR_SCHEMA, STEP, "%.*s#%s is no schema",
                       STR_ARG(set->resources[resource].uri), pointer->data);
    struct walk walk = { .set = set, .document = document, .identify = false, .err = err };
    return walk_schema(&walk, value, resource, pointer, ret);
}

/* One step of a JSON Pointer; NULL where it leads nowhere. */
static const yyjson_val *step_into(const yyjson_val *value, struct str token)
{
    if (yyjson_is_obj((yyjson_val *)value))
        return yyjson_obj_getn((yyjson_val *)value, token.ptr, token.len);
    if (!yyjson_is_arr((yyjson_val *)value) || !token.len || token.len > 9 ||
        (token.len > 1 && token.ptr[0] == '0'))
        return NULL;
    size_t index = 0;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9')
            return NULL;
        index = index * 10 + (size_t)(token.ptr[i] - '0');
    }
    return yyjson_arr_get((yyjson_val *)value, index);
}

static int unescape_token(struct str escaped, struct buf *ret)
{
    buf_reset(ret);
    for (size_t i = 0; i < escaped.len; i++) {
        if (escaped.ptr[i] != '~') {
            buf_add_char(ret, escaped.ptr[i]);
            continue;
        }
        if (++i >= escaped.len || (escaped.ptr[i] != '0' && escaped.ptr[i] != '1'))
            return -EINVAL;
        buf_add_char(ret, escaped.ptr[i] == '0' ? '~' : '/');
    }
    return ret->error;
}

static int follow_pointer(struct schema_set *set, uint32_t from, struct str pointer, uint32_t *ret,
                          struct err *err)
{
    uint32_t resource = set->locations[from].resource;
    uint32_t document = set->resources[resource].document;
    const yyjson_val *value = set->locations[from].schema;
    _cleanup_(buf_release) struct buf token = BUF_INIT_LIMIT(URI_BYTES_MAX);
    _cleanup_(buf_release) struct buf walked = BUF_INIT_LIMIT(URI_BYTES_MAX);
    for (size_t at = 0; at < pointer.len && value;) {
        size_t end = str_index(pointer, '/', at + 1);
        if (unescape_token(str_make(pointer.ptr + at + 1, end - at - 1), &token) < 0)
            return err_set(err, ERR_SCHEMA, STEP, "#%.*s is not a JSON Pointer", STR_ARG(pointer));
        value = step_into(value, buf_str(&token));
        json_pointer_add(&walked, buf_str(&token));
        at = end;
        struct document *owner = &set->documents[document];
        uint32_t known = value ? owner->location_of[value - owner->doc->root] : 0;
        if (known && set->locations[known - 1].resource != resource) {
            resource = set->locations[known - 1].resource;
            buf_reset(&walked);
        }
    }
    if (!value)
        return err_set(err, ERR_SCHEMA, STEP, "nothing stands at %.*s#%.*s",
                       STR_ARG(set->resources[set->locations[from].resource].uri),
                       STR_ARG(pointer));
    return location_at(set, document, value, resource, &walked, ret, err);
}

static int find_resource(struct schema_set *set, struct str uri, uint32_t *ret, struct err *err)
{
    if (map_get(&set->names, uri, ret))
        return 0;
    yyjson_doc *doc = NULL;
    int r = metaschema_fetch(uri, &doc, err);
    if (r == -ENOENT && set->fetch)
        r = set->fetch(set->context, uri, &doc, err);
    if (r == -ENOENT)
        return err_set(err, ERR_SCHEMA, STEP,
                       "the schema %.*s is not known here; nothing is fetched from a network",
                       STR_ARG(uri));
    return r < 0 ? r : schema_set_add(set, uri, doc, ret, err);
}

int schema_set_find(struct schema_set *set, struct str uri, uint32_t *ret_location, struct err *err)
{
    size_t hash = str_index(uri, '#', 0);
    uint32_t root;
    int r = find_resource(set, str_make(uri.ptr, hash), &root, err);
    if (r < 0)
        return r;
    _cleanup_(buf_release) struct buf fragment = BUF_INIT_LIMIT(URI_BYTES_MAX);
    if (!uri_percent_decode(str_from_offset(uri, hash + 1), &fragment) || fragment.error)
        return err_set(err, ERR_SCHEMA, STEP, "the fragment of %.*s is malformed", STR_ARG(uri));
    if (!fragment.len || fragment.data[0] == '/')
        return follow_pointer(set, root, buf_str(&fragment), ret_location, err);
    _cleanup_(buf_release) struct buf name = BUF_INIT_LIMIT(URI_BYTES_MAX);
    buf_add_str(&name, set->resources[set->locations[root].resource].uri);
    buf_add_char(&name, '#');
    buf_add_str(&name, buf_str(&fragment));
    if (name.error || !map_get(&set->names, buf_str(&name), ret_location))
        return err_set(err, ERR_SCHEMA, STEP, "no anchor is named %.*s", STR_ARG(uri));
    return 0;
}

int schema_resolve(struct schema_set *set, uint32_t from, struct str reference,
                   uint32_t *ret_location, struct err *err)
{
    _cleanup_(buf_release) struct buf uri = BUF_INIT_LIMIT(URI_BYTES_MAX);
    struct str base = set->resources[set->locations[from].resource].uri;
    if (uri_resolve(base, reference, &uri) < 0)
        return err_set(err, ERR_LIMIT, STEP, "a reference is longer than %zu bytes", URI_BYTES_MAX);
    return schema_set_find(set, buf_str(&uri), ret_location, err);
}

int schema_child(struct schema_set *set, uint32_t parent, struct str keyword,
                 const struct str *token, const yyjson_val *schema, uint32_t *ret_location,
                 struct err *err)
{
    struct schema_location outer = set->locations[parent];
    _cleanup_(buf_release) struct buf pointer = BUF_INIT_LIMIT(URI_BYTES_MAX);
    buf_add_str(&pointer, outer.pointer);
    json_pointer_add(&pointer, keyword);
    if (token)
        json_pointer_add(&pointer, *token);
    return location_at(set, set->resources[outer.resource].document, schema, outer.resource,
                       &pointer, ret_location, err);
}

bool schema_dynamic_anchor(const struct schema_set *set, size_t index, struct str *ret_name,
                           uint32_t *ret_resource, uint32_t *ret_location)
{
    if (index >= set->dynamic_count)
        return false;
    const struct schema_location *location = &set->locations[set->dynamics[index]];
    yyjson_val *name = yyjson_obj_get((yyjson_val *)location->schema, "$dynamicAnchor");
    *ret_name = json_str(name);
    *ret_resource = location->resource;
    *ret_location = set->dynamics[index];
    return true;
}
