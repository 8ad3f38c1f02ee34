/*
 * uri: RFC 3986 references, and RFC 3987's wider alphabet.
 *
 * Parsing splits a reference and checks it against the grammar; resolving
 * follows RFC 3986 section 5.2 and leaves the text otherwise as it was.
 */
#ifndef AM_CONTRACT_URI_H
#define AM_CONTRACT_URI_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

struct uri {
    bool has_scheme, has_authority, has_query, has_fragment;
    struct str scheme, authority, path, query, fragment; /* views into the text */
};

enum uri_alphabet { URI_ASCII, URI_INTERNATIONAL };

/* Strict: false unless the text is a URI-reference (IRI-reference) of the grammar. */
bool uri_parse(struct str text, enum uri_alphabet alphabet, struct uri *ret);
/* Lenient: splits any text by RFC 3986 appendix B; never fails. */
struct uri uri_split(struct str text);
/* Appends `reference` resolved against the absolute `base` (an empty base leaves it as it is). */
int uri_resolve(struct str base, struct str reference, struct buf *ret);
/* Whether RFC 3987 knows the code point, which is beyond ASCII: ucschar, or iprivate too. */
bool uri_is_international(int32_t code_point, bool or_private);
/* Appends the text with %XX decoded; false where an escape is malformed. */
bool uri_percent_decode(struct str text, struct buf *ret);

#endif
