/* own_answer: what the door answers by itself: which models there are, and who it is. */
#ifndef AM_DOORS_MODEL_OWN_ANSWER_H
#define AM_DOORS_MODEL_OWN_ANSWER_H

#include "base/base.h"
#include "base/buf.h"
#include "doors/model/http_request.h"
#include "doors/model/protocol.h"
#include "doors/model/route.h"

/* Appends the body of an answer. -ENOENT: the path names a model that no route answers. */
int own_answer_add(struct buf *body, const struct endpoint *endpoint, struct str path,
                   const struct model_route *routes, size_t count) MUST_CHECK;

/* Whether a client shows the door's token where it shows keys; an empty token is shown by all. */
bool own_answer_token_fits(const struct http_request *request, struct str token);

#endif
