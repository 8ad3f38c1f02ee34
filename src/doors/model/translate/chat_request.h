/* chat_request: requests for OpenAI's chat completions. */
#ifndef AM_DOORS_MODEL_TRANSLATE_CHAT_REQUEST_H
#define AM_DOORS_MODEL_TRANSLATE_CHAT_REQUEST_H

#include "doors/model/translate/conversation.h"

/* -EBADMSG, -EOPNOTSUPP, -ENOMEM, with the conversation's fault. */
int chat_request_read(struct conversation *c, yyjson_val *root) MUST_CHECK;
/*
 * Appends the body; `limit_name` is what the provider calls the limit on output. Likewise. Neither
 * usage nor a limit is asked for where the client asked for none.
 */
int chat_request_write(struct conversation *c, const char *limit_name, struct buf *body) MUST_CHECK;

/* A message's parts, as chat and others write them: a text, or an array of texts and images. */
int chat_content_read(struct conversation *c, yyjson_val *content,
                      struct part_list *list) MUST_CHECK;
/* Tools as chat and Ollama's clients write them. */
int chat_tools_read(struct conversation *c, yyjson_val *tools, void *context) MUST_CHECK;

#endif
