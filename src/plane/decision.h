/* decision: a PolicyDecision, into the batch of the operation that it is about. */
#ifndef AM_PLANE_DECISION_H
#define AM_PLANE_DECISION_H

#include "plane/work.h"

/* Adds the document and the event that binds it; `json` is all of it. */
int decision_bind(struct work *work, const char *id, struct str json, enum gate gate,
                  const char *verdict, struct err *err) MUST_CHECK;

#endif
