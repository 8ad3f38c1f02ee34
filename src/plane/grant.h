/* grant: which tools are granted to whom, as the ledger's ToolGrantRecords say. */
#ifndef AM_PLANE_GRANT_H
#define AM_PLANE_GRANT_H

#include <yyjson.h>

#include "plane/plane.h"

#define GRANT_RECORD_TYPE "ToolGrantRecord"
#define GRANT_RULE        "tool-granted" /* by which a verdict says that it rests on a record */
/* Keys of the ledger, one for each tool that was taken back: grant_key leads to the revocation. */
#define GRANT_REVOCATION_SPACE  "tool-grant-revocation"
#define GRANT_PROGRAM_BYTES_MAX ((size_t)1 << 30) /* of a program that is pinned */

enum grant_state {
    GRANT_IN_FORCE,
    GRANT_EXPIRED,
    GRANT_REVOKED,
    GRANT_UNDELEGATED, /* the delegation under which it was given has ended, or is no more */
};

/* How one tool of a record that grants stands. */
int grant_tool_state(struct plane *plane, const yyjson_val *record, struct str tool,
                     enum grant_state *ret, struct err *err) MUST_CHECK;

struct grant {
    char record[PLANE_URN_MAX], digest[DIGEST_TEXT_SIZE];
    char pointer[32]; /* to the tool in the record */
    char until[64];
};
/* 1 with a grant in force, 0 where there is none, or -errno. */
int grant_find(struct plane *plane, struct str subject, struct str workspace, struct str tool,
               struct grant *ret, struct err *err) MUST_CHECK;

/* Appends the key of a tool of a grant in GRANT_REVOCATION_SPACE. */
void grant_key(struct buf *ret, struct str record, struct str tool);

/* The digest of a program file; a name without a slash is looked for in PATH. */
int grant_pin(struct str program, char ret[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;

#endif
