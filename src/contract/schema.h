/*
 * schema: the schemas that are known, and how they name one another.
 *
 * A set holds documents. Adding one finds every resource ($id), anchor and
 * dynamic anchor in it, by the keywords of its dialect, and gives each
 * subschema a location: which resource it belongs to and where in it it
 * stands. References are resolved here, by URI, JSON Pointer or anchor; what
 * is not there yet is asked of the fetch function that the owner gave.
 */
#ifndef AM_CONTRACT_SCHEMA_H
#define AM_CONTRACT_SCHEMA_H

#include <yyjson.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/keyword.h"

#define SCHEMA_BYTES_MAX     ((size_t)16 << 20)  /* one schema document */
#define SCHEMA_SET_BYTES_MAX ((size_t)512 << 20) /* what the set keeps beside the documents */
#define SCHEMA_DOCUMENTS_MAX 1024

/* The base of schemas that have no address of their own. */
#define SCHEMA_ANONYMOUS_URI "schema:///"

struct schema_set;

/* A schema resource: a document, or a part of one that has an $id. */
struct schema_resource {
    struct str uri; /* absolute, without fragment */
    struct dialect dialect;
    uint32_t document;
    uint32_t root; /* location */
};

/* A place where a schema stands. */
struct schema_location {
    const yyjson_val *schema;
    uint32_t resource;
    struct str pointer; /* from the resource's root */
    bool dynamic_anchor;
};

/*
 * Brings the document that lies at an absolute URI: 0 with *ret_doc, -ENOENT
 * where the owner knows none, another -errno with err set.
 */
typedef int schema_fetch(void *context, struct str uri, yyjson_doc **ret_doc, struct err *err);

/* fetch may be NULL. The metaschemas of draft 2020-12 are always known. */
int schema_set_new(schema_fetch *fetch, void *context, struct schema_set **ret,
                   struct err *err) MUST_CHECK;
void schema_set_free(struct schema_set *set);

/*
 * Adds a document under its retrieval URI (SCHEMA_ANONYMOUS_URI where it has
 * none). The set owns `doc` from here on, also when adding fails.
 */
int schema_set_add(struct schema_set *set, struct str uri, yyjson_doc *doc, uint32_t *ret_location,
                   struct err *err) MUST_CHECK;

/* The location that an absolute URI, with or without fragment, names. */
int schema_set_find(struct schema_set *set, struct str uri, uint32_t *ret_location,
                    struct err *err) MUST_CHECK;
/* The same for a reference that stands at a location. */
int schema_resolve(struct schema_set *set, uint32_t from, struct str reference,
                   uint32_t *ret_location, struct err *err) MUST_CHECK;
/* The location of a value below a location, at one keyword and (optional, or NULL) one token. */
int schema_child(struct schema_set *set, uint32_t parent, struct str keyword,
                 const struct str *token, const yyjson_val *schema, uint32_t *ret_location,
                 struct err *err) MUST_CHECK;
/* The dynamic anchors of all documents, by index from 0; false past the last. */
bool schema_dynamic_anchor(const struct schema_set *set, size_t index, struct str *ret_name,
                           uint32_t *ret_resource, uint32_t *ret_location);

/* Pointers are good until the next call that may add to the set. */
const struct schema_location *schema_location(const struct schema_set *set, uint32_t location);
const struct schema_resource *schema_resource(const struct schema_set *set, uint32_t resource);
uint32_t schema_resource_count(const struct schema_set *set);

#endif
