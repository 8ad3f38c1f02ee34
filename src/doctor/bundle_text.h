/* bundle_text: what of documents and of an environment is left out of a bundle. */
#ifndef AM_DOCTOR_BUNDLE_TEXT_H
#define AM_DOCTOR_BUNDLE_TEXT_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define BUNDLE_WORDS_MASK       "[redacted:free-text]"
#define BUNDLE_ENVIRONMENT_MASK "[redacted:environment-value]"

/*
 * A copy without the words of people and of what ran: strings behind a name
 * such as `reason` or `message`, arguments, and any that have a blank, a
 * control character or a letter beyond ASCII, or are long. Identifiers, URNs,
 * digests, times and numbers stay. Counts what was left out.
 */
int bundle_without_words(const yyjson_val *value, yyjson_doc **ret, uint64_t *count,
                         struct err *err) MUST_CHECK;
/* Whether the value of a variable says nothing of a person. */
bool bundle_is_plain_variable(struct str name);

#endif
