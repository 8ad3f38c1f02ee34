/* output: verdicts as JSON, in the draft's `flag` and `basic` formats. */
#ifndef AM_CONTRACT_OUTPUT_H
#define AM_CONTRACT_OUTPUT_H

#include "base/base.h"
#include "base/buf.h"
#include "contract/schema.h"
#include "contract/validate.h"

/* {"valid":true} */
int output_flag(struct buf *ret, bool valid);
/* The verdict with its errors, or with its annotations where there are any. */
int output_basic(struct buf *ret, const struct schema_set *set, const struct report *report);

#endif
