/*
 * mime_package: the MIME types that a program brings, as its package describes them.
 *
 * A package is a file of XML (shared-mime-info) that somebody installed. It is
 * read as hostile: it may declare no entity, and what it has of anything is
 * bounded.
 */
#ifndef AM_DOCTOR_MIME_PACKAGE_H
#define AM_DOCTOR_MIME_PACKAGE_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MIME_PACKAGE_BYTES_MAX ((size_t)16 << 20)
#define MIME_TYPE_BYTES_MAX    255 /* as RFC 6838 allows: 127, a slash, 127 */
#define MIME_DEPTH_MAX         64  /* elements within one another */
#define MIME_ELEMENTS_MAX      1000000
#define MIME_ATTRIBUTES_MAX    128 /* that a document type declares for all elements together */

/* "media/subtype", each in the characters that names of types have. */
typedef void mime_visit_type(void *context, struct str type);

/*
 * Calls visit for each type that is declared. ret_fault is NULL, or a code: MANIFEST_UNREADABLE
 * where it is no XML, or has what it may not have; MANIFEST_INCOMPLETE where its root or a type is
 * otherwise than the specification has it. ERR_UNSUPPORTED where this host has no libexpat,
 * ERR_MEMORY.
 */
int mime_package_read(struct str text, mime_visit_type *visit, void *context,
                      const char **ret_fault, struct err *err) MUST_CHECK;

#endif
