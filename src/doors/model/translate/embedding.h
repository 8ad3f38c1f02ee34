/* embedding: requests for embeddings and what comes of them, of OpenAI's protocol and Ollama's. */
#ifndef AM_DOORS_MODEL_TRANSLATE_EMBEDDING_H
#define AM_DOORS_MODEL_TRANSLATE_EMBEDDING_H

#include "doors/model/translate/answer.h"

/* As chat_request_read and chat_request_write. */
int openai_embedding_read(struct conversation *c, yyjson_val *root) MUST_CHECK;
int openai_embedding_write(struct conversation *c, const char *limit_name,
                           struct buf *body) MUST_CHECK;
int ollama_embed_read(struct conversation *c, yyjson_val *root) MUST_CHECK;
int ollama_embed_write(struct conversation *c, const char *limit_name, struct buf *body) MUST_CHECK;
/* Of /api/embeddings, which Ollama's older clients ask: for one text. */
int ollama_embeddings_read(struct conversation *c, yyjson_val *root) MUST_CHECK;

/* As chat_answer_read. */
int openai_embedding_answer_read(struct answer *answer, yyjson_val *root) MUST_CHECK;
int ollama_embed_answer_read(struct answer *answer, yyjson_val *root) MUST_CHECK;

extern const struct answer_form openai_embedding_form;
extern const struct answer_form ollama_embed_form;
extern const struct answer_form ollama_embeddings_form;

#endif
