/*
 * narrow: whether one Delegation is within another.
 *
 * The one comparison behind the rule operations.delegation-narrows and behind
 * the verification of a chain. Both documents have been accepted by their
 * schema. Amounts that are absent are zero; a list that is empty is nothing.
 */
#ifndef AM_CONTRACT_NARROW_H
#define AM_CONTRACT_NARROW_H

#include <yyjson.h>

#include "base/base.h"
#include "base/str.h"

#define NARROW_MESSAGE_MAX 1024

/* One thing in which the inner goes beyond the outer, and what to do; nonzero ends it. */
typedef int narrow_visit(void *context, const char *pointer, const char *message);

/*
 * Calls visit for each: issuer, depth, times, operation types, scope, network,
 * ceilings. 0, or what visit returned. Which document the inner names as its
 * parent, and by what digest, is for the caller to check.
 */
int narrow_compare(const yyjson_val *outer, const yyjson_val *inner, narrow_visit *visit,
                   void *context) MUST_CHECK;

/*
 * Whether one of a delegation's scope.mounts lets an absolute path be mounted
 * so. Paths are compared as they are written: one that has ".." beneath the
 * mount is within none, and whoever mounts has resolved the links.
 */
bool narrow_mount_admits(const yyjson_val *mounts, struct str path, struct str semantics);

#endif
