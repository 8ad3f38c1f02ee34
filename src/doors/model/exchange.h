/*
 * exchange: what becomes of a client's request.
 *
 * It is read, routed, permitted, paid for, sent to a provider, and its answer
 * is passed back as it comes; or it is refused in the words of its protocol.
 */
#ifndef AM_DOORS_MODEL_EXCHANGE_H
#define AM_DOORS_MODEL_EXCHANGE_H

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"
#include "doors/model/door.h"
#include "doors/model/http_server.h"

struct exchanges;

/* The options and the loop outlive the exchanges. */
int exchanges_new(const struct model_door_options *options, struct loop *loop,
                  struct exchanges **ret, struct err *err) MUST_CHECK;
/* After the server has been freed. NULL is nothing. */
void exchanges_free(struct exchanges *exchanges);
/* From now on calls that end do so because the door closes. */
void exchanges_close(struct exchanges *exchanges);

/* What a server has to call; good as long as the exchanges. */
const struct http_server_calls *exchanges_calls(const struct exchanges *exchanges);
struct model_door_counts exchanges_counts(const struct exchanges *exchanges);

#endif
