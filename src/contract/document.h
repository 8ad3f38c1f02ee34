/*
 * document: one file that a person or a program wrote, with its places.
 *
 * JSON, or YAML where the name ends in .yaml or .yml. From standard input it
 * is JSON if it begins as JSON does, YAML else. The text is kept, so that a
 * JSON Pointer can be shown as line and column.
 */
#ifndef AM_CONTRACT_DOCUMENT_H
#define AM_CONTRACT_DOCUMENT_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct document {
    char *name; /* for messages: the path, or "<standard input>" */
    struct buf text;
    bool is_yaml;
    yyjson_doc *doc;
};

/* err->where is set to name:line:column where the text is at fault. */
int document_read(const char *path, const struct json_limits *limits, struct document *ret,
                  struct err *err) MUST_CHECK;
void document_release(struct document *document);

/* Where a pointer's value stands (its key, if wanted); the nearest place around it that exists. */
struct json_position document_position(const struct document *document, struct str pointer,
                                       bool key);

#endif
