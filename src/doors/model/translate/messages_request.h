/* messages_request: requests for Anthropic's messages. */
#ifndef AM_DOORS_MODEL_TRANSLATE_MESSAGES_REQUEST_H
#define AM_DOORS_MODEL_TRANSLATE_MESSAGES_REQUEST_H

#include "doors/model/translate/conversation.h"

/* As chat_request_read and chat_request_write. A request to count tokens is read likewise. */
int messages_request_read(struct conversation *c, yyjson_val *root) MUST_CHECK;
int messages_request_write(struct conversation *c, const char *limit_name,
                           struct buf *body) MUST_CHECK;

#endif
