/*
 * yaml_text: what a YAML text must be before a parser sees it.
 *
 * Finds the one document in the text, and refuses what is no text, what the
 * product does not accept anywhere in it, and what is known to be too much for
 * the parser.
 */
#ifndef AM_CONTRACT_YAML_TEXT_H
#define AM_CONTRACT_YAML_TEXT_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define YAML_STEP "read YAML"

#define YAML_SIZE_MAX        ((size_t)8 << 20) /* bytes; people write far less by hand */
#define YAML_BLANKS_MAX      256               /* spaces, tabs and line breaks in a row */
#define YAML_TAG_ESCAPES_MAX 64                /* per cent signs in what may be a tag */

/* The text behind its byte order mark, if it has one: positions count from there. */
struct str yaml_text_body(struct str text);
/* Sets ret to the document's part of the body, without directives and end marker. */
int yaml_text_check(struct str body, struct str *ret_document, struct err *err) MUST_CHECK;

/* Offset of the first byte from `from` on that is no blank, in no comment and not in `also`. */
size_t yaml_text_skip(struct str body, size_t from, const char *also);

/* Fills err, err->where included, and returns the code's -errno. */
int yaml_refuse(struct str body, size_t offset, enum err_code code, struct err *err,
                const char *format, ...) PRINTF_LIKE(5, 6);

#endif
