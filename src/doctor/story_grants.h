/* story_grants: what one operation was given and refused, as preflight says it. */
#ifndef AM_DOCTOR_STORY_GRANTS_H
#define AM_DOCTOR_STORY_GRANTS_H

#include "base/buf.h"
#include "doctor/story.h"

#define STORY_GRANTS_MAX 1000 /* as a CapabilityGrantState has them */

struct story_grants {
    struct story_run run;
    const struct story_decision *decisions[STORY_GRANTS_MAX]; /* the latest word on each thing */
    size_t count, left_out;
};

/* ERR_NOT_FOUND where there is no such operation. */
int story_grants(const struct story *story, struct str operation, struct story_grants *ret,
                 struct err *err) MUST_CHECK;
/* The thing that a decision is about, with its port: what an objectRef holds. */
void story_add_object(struct buf *text, const struct story_decision *decision);
/* Appends a CapabilityGrantState. */
int story_write_grants(const struct story_grants *grants, struct buf *ret,
                       struct err *err) MUST_CHECK;

#endif
