/*
 * json: reading hostile JSON within limits, and writing it.
 *
 * Documents are yyjson values. Reading refuses invalid UTF-8, duplicate keys
 * and whatever exceeds the limits. A number is kept as binary only where that
 * is exact: integers within 64 bits as uint or sint, decimals of at most 15
 * significant digits as real; every other number stays its own text (yyjson
 * type RAW), so that nothing is ever rounded before it is compared.
 */
#ifndef AM_BASE_JSON_H
#define AM_BASE_JSON_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define JSON_SIZE_MAX          ((size_t)64 << 20) /* bytes of text; parsing takes up to 16 for each */
#define JSON_DEPTH_MAX         256
#define JSON_ARRAY_ITEMS_MAX   ((size_t)10000000)
#define JSON_MEMBERS_MAX       ((size_t)1000000)
#define JSON_STRING_BYTES_MAX  ((size_t)16 << 20)
#define JSON_NUMBER_DIGITS_MAX 1024 /* bytes of a number's text */

struct json_limits {
    size_t size_bytes;
    size_t depth;
    size_t array_items;
    size_t members;
    size_t string_bytes;
    size_t number_digits;
};

extern const struct json_limits json_limits_default;

/*
 * Reads one document. The text need not outlive the call. On failure err says
 * line:column and why (ERR_SYNTAX, ERR_LIMIT, ERR_MEMORY). Free with
 * yyjson_doc_free.
 */
int json_read(struct str text, const struct json_limits *limits, yyjson_doc **ret_doc,
              struct err *err) MUST_CHECK;

/* Line and column, both from 1, of a byte offset; columns count code points. */
struct json_position {
    size_t line;
    size_t column;
};
struct json_position json_position(struct str text, size_t offset);

/*
 * Byte offset, in a text that json_read accepted, of the value that a JSON
 * Pointer names (or of its key, if wanted). -ENOENT where there is none.
 */
int json_locate(struct str text, struct str pointer, bool key, size_t *ret_offset);

/* Appends a JSON string, quoted and escaped; bytes that are not UTF-8 become U+FFFD. */
int json_add_string(struct buf *buf, struct str s);
/* Appends a member's name and colon, with a comma before it unless the object has just begun. */
int json_add_name(struct buf *object, const char *name);
/* The same with a string behind it. */
int json_add_text(struct buf *object, const char *name, struct str text);
/* Appends a value, minified (indent 0) or pretty with `indent` spaces; raw numbers as they were. */
int json_add_value(struct buf *buf, const yyjson_val *value, unsigned indent);
/* The text of a number that is not RAW: the shortest that reads back the same. Its length. */
#define JSON_NUMBER_TEXT_SIZE 40
size_t json_number_text(const yyjson_val *number, char ret_text[JSON_NUMBER_TEXT_SIZE]);
/* Appends "/token" with ~ and / escaped. */
int json_pointer_add(struct buf *pointer, struct str token);
int json_pointer_add_index(struct buf *pointer, size_t index);

static inline struct str json_str(const yyjson_val *string)
{
    return str_make(unsafe_yyjson_get_str((void *)string), unsafe_yyjson_get_len((void *)string));
}

static inline void cleanup_json_doc(yyjson_doc **doc)
{
    yyjson_doc_free(*doc);
}

#endif
