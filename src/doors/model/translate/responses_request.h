/* responses_request: requests for OpenAI's responses, which are read and never written. */
#ifndef AM_DOORS_MODEL_TRANSLATE_RESPONSES_REQUEST_H
#define AM_DOORS_MODEL_TRANSLATE_RESPONSES_REQUEST_H

#include "doors/model/translate/conversation.h"

/* As chat_request_read. */
int responses_request_read(struct conversation *c, yyjson_val *root) MUST_CHECK;

/* In responses_tools.c: a member `tools`, and the name by which a provider knows a tool. */
int responses_tools_read(struct conversation *c, yyjson_val *value, void *context) MUST_CHECK;
int responses_tool_name(struct conversation *c, struct str space, struct str name,
                        struct str *ret) MUST_CHECK;

#endif
