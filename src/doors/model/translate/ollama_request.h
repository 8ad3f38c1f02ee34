/* ollama_request: requests for Ollama's chat and generate, which are read and never written. */
#ifndef AM_DOORS_MODEL_TRANSLATE_OLLAMA_REQUEST_H
#define AM_DOORS_MODEL_TRANSLATE_OLLAMA_REQUEST_H

#include "doors/model/translate/conversation.h"

/* As chat_request_read. */
int ollama_request_read(struct conversation *c, yyjson_val *root) MUST_CHECK;
/* A prompt becomes what the user says, as Ollama itself takes it. Likewise. */
int ollama_generate_read(struct conversation *c, yyjson_val *root) MUST_CHECK;
/* The member `options` of any request: those that sample are carried. */
int ollama_options_read(struct conversation *c, yyjson_val *value, void *context) MUST_CHECK;

#endif
