/*
 * redact_shape: masking that keeps the shape of what it masks.
 *
 * Masked JSON still parses and has the same members; a log has the same lines,
 * those of JSON still JSON; an environment has the same names. Beside what the
 * scanner finds in a text, a value is masked whole by the name that it stands
 * behind ("password": …, NAME_TOKEN=…), unless it refers to something
 * (secret://…, urn:…, $NAME). A name that is a secret itself is masked too.
 */
#ifndef AM_BASE_REDACT_SHAPE_H
#define AM_BASE_REDACT_SHAPE_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/redact.h"
#include "base/str.h"

#define REDACT_LINE_BYTES_MAX ((size_t)1 << 20) /* a longer line is masked in parts */

/* Changes a text that was masked already (names to pseudonyms); appends it to ret. */
typedef int redact_rename(void *context, struct str masked, struct buf *ret, struct err *err);

struct redact_shape {
    struct redact_scanner *scanner;
    redact_rename *rename; /* NULL: nothing is changed */
    void *context;
    uint64_t counts[REDACT_KIND_COUNT]; /* masks that were written; they only grow */
};

/* Each appends to ret, and fails as the scanner and json_read do. */
int redact_plain(struct redact_shape *shape, struct str text, struct buf *ret,
                 struct err *err) MUST_CHECK;
/* `indent` as json_add_value has it; 0 is minified. */
int redact_json_value(struct redact_shape *shape, const yyjson_val *value, unsigned indent,
                      struct buf *ret, struct err *err) MUST_CHECK;
int redact_json(struct redact_shape *shape, struct str text, struct buf *ret,
                struct err *err) MUST_CHECK;
/* Each line for itself: JSON, or NAME=value, or a text. */
int redact_lines(struct redact_shape *shape, struct str text, struct buf *ret,
                 struct err *err) MUST_CHECK;

/* Whether what stands behind a name is a secret by the name alone. */
bool redact_is_secret_name(struct str name);

#endif
