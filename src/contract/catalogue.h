/*
 * catalogue: the document types of the product, built in.
 *
 * Each type is one schema of schemas/, carried by the binary. A document says
 * its type in `type` or, in the carry family, in `kind`; a reference says it
 * in its URN.
 */
#ifndef AM_CONTRACT_CATALOGUE_H
#define AM_CONTRACT_CATALOGUE_H

#include <yyjson.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/compile.h"

#define CATALOGUE_URI_PREFIX "https://schemas.srcos.ai/v2/"

/* Made at build time from schemas/, sorted by type. */
struct embedded_schema {
    const char *type;
    const char *urn_prefix;
    const char *description;
    const char *text;
    size_t len;
};
extern const struct embedded_schema embedded_schemas[];
extern const size_t embedded_schemas_count;

/* NULL where there is no such type. */
const struct embedded_schema *catalogue_find(struct str type);
/* By the prefix of a URN; NULL where it names none of the catalogue's types. */
const struct embedded_schema *catalogue_find_urn(struct str urn);
/* The type a document claims to have; NULL, with err saying why, where it claims none of ours. */
const struct embedded_schema *catalogue_type_of(const yyjson_val *document, struct err *err);
/* The URN that a document of the catalogue has; empty where it has none. */
struct str catalogue_id_of(const yyjson_val *document);

/* The schema document of a type, by its $id; -ENOENT where the URI is none of ours. */
int catalogue_fetch(struct str uri, yyjson_doc **ret_doc, struct err *err) MUST_CHECK;

/* The programs of the types, compiled when first asked for. */
struct catalogue;
int catalogue_new(const struct compile_options *options, struct catalogue **ret,
                  struct err *err) MUST_CHECK;
void catalogue_free(struct catalogue *catalogue);
int catalogue_program(struct catalogue *catalogue, const struct embedded_schema *schema,
                      const struct program **ret, struct err *err) MUST_CHECK;

#endif
