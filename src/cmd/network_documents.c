/*
 * network_documents: the documents that a plan is made of, by file or by name.
 *
 * A file is read as it lies there. A name is looked for among the documents of
 * the layers, then in the ledger. Whatever is found is held against schema and
 * rules before anything is made of it, because a plan's text is believed by
 * whoever loads it into a firewall.
 */
#include "base/json.h"
#include "cmd/network.h"
#include "cmd/op.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "contract/rules.h"

#define STEP "read a profile"

static bool is_file(const char *name)
{
    struct str s = str_from(name);
    return strcmp(name, "-") == 0 || strchr(name, '/') || access(name, F_OK) == 0 ||
           str_ends(s, STR(".json")) || str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml"));
}

static int check(const yyjson_val *root, struct err *err)
{
    struct catalogue *catalogue = NULL;
    const struct program *program;
    const struct embedded_schema *schema = catalogue_type_of(root, err);
    if (!schema)
        return -EBADMSG;
    int r = catalogue_new(&(struct compile_options){ 0 }, &catalogue, err);
    if (r == 0)
        r = catalogue_program(catalogue, schema, &program, err);
    if (r == 0)
        r = explain_check(program, root, schema->type, STEP, err);
    if (r == 0)
        r = lint_alone(root, schema, STEP, err);
    catalogue_free(catalogue);
    return r;
}

static int open_file(const char *path, struct network_documents *documents, const yyjson_val **ret,
                     struct err *err)
{
    struct document *document = &documents->files[documents->file_count];
    struct err inner = { 0 };
    int r = document_read(path, &json_limits_default, document, err);
    if (r < 0)
        return r;
    documents->file_count++;
    *ret = yyjson_doc_get_root(document->doc);
    r = check(*ret, &inner);
    if (r < 0) {
        struct json_position at = document_position(document, str_from(inner.where), false);
        if (err)
            *err = inner;
        err_where(err, "%s:%zu:%zu%s%s", document->name, at.line, at.column,
                  inner.where[0] ? ": " : "", inner.where);
    }
    return r;
}

static bool open_layers(struct network_documents *documents)
{
    struct layers_places places;
    return documents->layers || (layers_places_default(NULL, &places, NULL) == 0 &&
                                 layers_open(&places, &documents->layers, NULL) == 0);
}

const struct references *network_documents_references(struct network_documents *documents)
{
    return open_layers(documents) ? layers_references(documents->layers) : NULL;
}

static const yyjson_val *find_in_layers(struct network_documents *documents, struct str urn)
{
    if (!open_layers(documents))
        return NULL;
    for (size_t i = 0; i < layers_count(documents->layers); i++) {
        struct layer_document document = layers_at(documents->layers, i);
        if (document.root && str_equal(text_of(member(document.root, "id")), urn))
            return document.root;
    }
    return NULL;
}

static const yyjson_val *find_in_ledger(struct network_documents *documents, struct str urn)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    int64_t revision;
    yyjson_doc *doc = NULL;
    if (documents->stored_count == NETWORK_DOCUMENTS_MAX ||
        op_open(LEDGER_READ, &plane, NULL) < 0 ||
        ledger_get_document(plane_ledger(plane), urn, &text, &revision, NULL) < 0 ||
        json_read(buf_str(&text), &json_limits_default, &doc, NULL) < 0)
        return NULL;
    documents->stored[documents->stored_count++] = doc;
    return yyjson_doc_get_root(doc);
}

const yyjson_val *network_documents_find(struct network_documents *documents, struct str urn)
{
    for (size_t i = 0; i < documents->count; i++) {
        if (str_equal(text_of(member(documents->roots[i], "id")), urn))
            return documents->roots[i];
    }
    const yyjson_val *found = find_in_layers(documents, urn);
    return found ? found : find_in_ledger(documents, urn);
}

/* By URN, or by what stands behind the type of one of those that are planned. */
static int open_named(const char *name, const char *type, struct network_documents *documents,
                      const yyjson_val **ret, struct err *err)
{
    const char *const types[] = { type, "network-access-profile", "firewall-binding-profile" };
    char urn[PLANE_URN_MAX];
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        op_urn(types[i], name, urn);
        const yyjson_val *found = network_documents_find(documents, str_from(urn));
        if (found) {
            *ret = found;
            return check(found, err);
        }
    }
    return err_set(err, ERR_NOT_FOUND, STEP,
                   "there is no file `%s`, and no such profile among the layers' documents or in "
                   "the ledger; see `agent-machine policy show`",
                   name);
}

int network_documents_open(const struct invocation *invocation, const char *type,
                           struct network_documents *ret, struct err *err)
{
    int r = 0;
    *ret = (struct network_documents){ 0 };
    for (int i = 0; r == 0 && i < invocation->operand_count; i++) {
        const char *name = invocation->operands[i];
        const yyjson_val *root = NULL;
        r = is_file(name) ? open_file(name, ret, &root, err)
                          : open_named(name, type, ret, &root, err);
        if (r == 0)
            ret->roots[ret->count++] = root;
    }
    if (r < 0)
        network_documents_close(ret);
    return r;
}

void network_documents_close(struct network_documents *documents)
{
    for (size_t i = 0; i < documents->file_count; i++)
        document_release(&documents->files[i]);
    for (size_t i = 0; i < documents->stored_count; i++)
        yyjson_doc_free(documents->stored[i]);
    layers_close(documents->layers);
    *documents = (struct network_documents){ 0 };
}
