/*
 * yaml: documents that people write by hand, as the same values JSON gives.
 *
 * One document of YAML 1.2's core schema: mappings with string keys, sequences
 * and scalars. Anchors, aliases, tags, merge keys and duplicate keys are
 * refused: a contract says what it says in one place. Limits as json_read's,
 * but a text has no more than YAML_SIZE_MAX bytes (yaml_text.h).
 */
#ifndef AM_CONTRACT_YAML_H
#define AM_CONTRACT_YAML_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

/* Numbers follow json.h's contract. `name` is for messages. Free with yyjson_doc_free. */
int yaml_read(struct str text, const struct json_limits *limits, yyjson_doc **ret_doc,
              struct err *err) MUST_CHECK;
/* As json_locate and json_position together. -ENOENT where the pointer names nothing. */
int yaml_locate(struct str text, struct str pointer, bool key, struct json_position *ret);

#endif
