/* metaschema: the schemas of draft 2020-12 itself, built in. */
#ifndef AM_CONTRACT_METASCHEMA_H
#define AM_CONTRACT_METASCHEMA_H

#include <yyjson.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

/* Made at build time from src/contract/draft2020-12/. */
struct embedded_metaschema {
    const char *uri;
    const char *text;
    size_t len;
};
extern const struct embedded_metaschema embedded_metaschemas[];
extern const size_t embedded_metaschemas_count;

/* 0 with the document, -ENOENT where the URI names none of them. */
int metaschema_fetch(struct str uri, yyjson_doc **ret_doc, struct err *err) MUST_CHECK;

#endif
