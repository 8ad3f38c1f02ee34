/*
 * pseudonym: names of people and hosts, replaced by names that say nothing.
 *
 * The same name gets the same pseudonym on this installation, always; who does
 * not have its key cannot tell whether a name was a certain one. Replaced are
 * the host's names and ids, and the names of its users; where a name is an
 * ordinary word (`agent`, `user`), only where it stands as a name.
 */
#ifndef AM_DOCTOR_PSEUDONYM_H
#define AM_DOCTOR_PSEUDONYM_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define PSEUDONYMS_MAX           256
#define PSEUDONYM_NAME_BYTES_MAX 256
#define PSEUDONYM_KEY_FILE       "pseudonym-key" /* in the state folder, for its owner alone */

enum pseudonym_kind { PSEUDONYM_USER, PSEUDONYM_HOST, PSEUDONYM_KIND_COUNT };

struct pseudonyms;

/* `make_key`: a key that is not there is made and kept; else it is made up for this once. */
int pseudonyms_new(const char *state_folder, bool make_key, struct pseudonyms **ret,
                   struct err *err) MUST_CHECK;
void pseudonyms_free(struct pseudonyms *pseudonyms);

/* Adds a name; those of this host and its users are there already (pseudonyms_add_host). */
int pseudonyms_add(struct pseudonyms *pseudonyms, enum pseudonym_kind kind, struct str name,
                   struct err *err) MUST_CHECK;
int pseudonyms_add_host(struct pseudonyms *pseudonyms, struct err *err) MUST_CHECK;

/* Appends the text with every name replaced; counts each replacement. */
int pseudonyms_replace(struct pseudonyms *pseudonyms, struct str text, struct buf *ret,
                       struct err *err) MUST_CHECK;
/* The pseudonym of a name that is known to be one; it counts as replaced. ERR_LIMIT: too long. */
#define PSEUDONYM_SIZE 24
int pseudonyms_name(struct pseudonyms *pseudonyms, enum pseudonym_kind kind, struct str name,
                    char ret[PSEUDONYM_SIZE], struct err *err) MUST_CHECK;
/* How often names of a kind were replaced, and how many different ones. */
uint64_t pseudonyms_count(const struct pseudonyms *pseudonyms, enum pseudonym_kind kind);
uint64_t pseudonyms_distinct(const struct pseudonyms *pseudonyms, enum pseudonym_kind kind);

#endif
