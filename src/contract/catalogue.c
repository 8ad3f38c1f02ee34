/* catalogue: see the header. The schemas are few; look-ups walk or bisect the sorted table. */
#include "contract/catalogue.h"

#include "base/json.h"
#include "contract/schema.h"

struct catalogue {
    struct compile_options options;
    struct schema_set *set;
    struct program **programs; /* beside embedded_schemas */
};

const struct embedded_schema *catalogue_find(struct str type)
{
    size_t low = 0, high = embedded_schemas_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct embedded_schema *schema = &embedded_schemas[middle];
        size_t len = strlen(schema->type);
        int order = memcmp(type.ptr, schema->type, type.len < len ? type.len : len);
        if (!order && type.len == len)
            return schema;
        if (order < 0 || (!order && type.len < len))
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct embedded_schema *catalogue_find_urn(struct str urn)
{
    for (size_t i = 0; i < embedded_schemas_count; i++)
        if (str_starts(urn, str_from(embedded_schemas[i].urn_prefix)))
            return &embedded_schemas[i];
    return NULL;
}

const struct embedded_schema *catalogue_type_of(const yyjson_val *document, struct err *err)
{
    static const char step[] = "find the document's type";
    yyjson_val *d = (yyjson_val *)document;
    if (!yyjson_is_obj(d)) {
        err_set(err, ERR_DOCUMENT, step, "a document is an object");
        return NULL;
    }
    yyjson_val *type = yyjson_obj_get(d, "type");
    type = yyjson_is_str(type) ? type : yyjson_obj_get(d, "kind");
    if (!yyjson_is_str(type)) {
        err_set(err, ERR_DOCUMENT, step,
                "it says no `type` and no `kind`: name a schema with --schema, or see "
                "`agent-machine contract list`");
        return NULL;
    }
    const struct embedded_schema *schema = catalogue_find(json_str(type));
    if (!schema)
        err_set(err, ERR_DOCUMENT, step,
                "%.*s is no type of the catalogue: see `agent-machine contract list`",
                STR_ARG(json_str(type)));
    return schema;
}

struct str catalogue_id_of(const yyjson_val *document)
{
    yyjson_val *id = yyjson_obj_get((yyjson_val *)document, "id");
    if (!yyjson_is_str(id))
        id = yyjson_obj_get((yyjson_val *)document, "profileId");
    return yyjson_is_str(id) ? json_str(id) : STR("");
}

int catalogue_fetch(struct str uri, yyjson_doc **ret_doc, struct err *err)
{
    if (!str_starts(uri, STR(CATALOGUE_URI_PREFIX)) || !str_ends(uri, STR(".json")))
        return -ENOENT;
    struct str type = str_from_offset(uri, strlen(CATALOGUE_URI_PREFIX));
    type.len -= strlen(".json");
    const struct embedded_schema *schema = catalogue_find(type);
    return schema
               ? json_read(str_make(schema->text, schema->len), &json_limits_default, ret_doc, err)
               : -ENOENT;
}

static int fetch(void *context, struct str uri, yyjson_doc **ret_doc, struct err *err)
{
    (void)context;
    return catalogue_fetch(uri, ret_doc, err);
}

int catalogue_new(const struct compile_options *options, struct catalogue **ret, struct err *err)
{
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    struct program **programs = calloc(embedded_schemas_count, sizeof(struct program *));
    if (!catalogue || !programs) {
        free(catalogue);
        free(programs);
        return err_set(err, ERR_MEMORY, "open the catalogue", "there is not enough memory");
    }
    catalogue->options = *options;
    catalogue->options.known_patterns = true; /* a test compiles those of every schema */
    catalogue->programs = programs;
    int r = schema_set_new(fetch, NULL, &catalogue->set, err);
    if (r < 0) {
        catalogue_free(catalogue);
        return r;
    }
    *ret = catalogue;
    return 0;
}

void catalogue_free(struct catalogue *catalogue)
{
    if (!catalogue)
        return;
    for (size_t i = 0; i < embedded_schemas_count; i++)
        program_free(catalogue->programs[i]);
    free(catalogue->programs);
    schema_set_free(catalogue->set);
    free(catalogue);
}

int catalogue_program(struct catalogue *catalogue, const struct embedded_schema *schema,
                      const struct program **ret, struct err *err)
{
    struct program **program = &catalogue->programs[schema - embedded_schemas];
    if (!*program) {
        char uri[256];
        uint32_t location;
        snprintf(uri, sizeof(uri), CATALOGUE_URI_PREFIX "%s.json", schema->type);
        int r = schema_set_find(catalogue->set, str_from(uri), &location, err);
        if (r == 0)
            r = program_new(catalogue->set, location, &catalogue->options, program, err);
        if (r < 0)
            return r;
    }
    *ret = *program;
    return 0;
}
