/* ollama_request: requests for Ollama's chat, which are read and never written. */
#ifndef AM_DOORS_MODEL_TRANSLATE_OLLAMA_REQUEST_H
#define AM_DOORS_MODEL_TRANSLATE_OLLAMA_REQUEST_H

#include "doors/model/translate/conversation.h"

/* As chat_request_read. */
int ollama_request_read(struct conversation *c, yyjson_val *root) MUST_CHECK;

#endif
