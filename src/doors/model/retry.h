/* retry: whether and when a provider that refused a call is asked again. Pure. */
#ifndef AM_DOORS_MODEL_RETRY_H
#define AM_DOORS_MODEL_RETRY_H

#include "base/base.h"
#include "base/str.h"

#define MODEL_RETRIES_MAX       2    /* of a call, beside its first try */
#define MODEL_RETRY_FIRST_MS    250  /* doubled each time, and up to a quarter longer */
#define MODEL_RETRY_WAIT_MAX_MS 5000 /* a client whose provider asks for more is told so */

/*
 * How long to wait before the next try, by the head of an answer; -1: there is none, and the client
 * gets the answer. `retries` are those that were made, `now_ms` is the time of day, and `spread`
 * any number: it keeps calls that were refused together from coming back together.
 */
int64_t retry_wait_ms(unsigned status, struct str headers, unsigned retries, int64_t now_ms,
                      uint64_t spread);

#endif
