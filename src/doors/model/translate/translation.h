/*
 * translation: a client and a provider that speak different protocols.
 *
 * One table says what can be carried over: the places where a client asks, and those where a
 * provider is asked instead. Where they speak the same protocol nothing is translated, and bytes
 * pass as they are. A translation is pure: documents and events go in, documents and events come
 * out.
 */
#ifndef AM_DOORS_MODEL_TRANSLATE_TRANSLATION_H
#define AM_DOORS_MODEL_TRANSLATE_TRANSLATION_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include "doors/model/protocol.h"
#include "doors/model/route.h"

#define TRANSLATION_FAULT_SIZE 512
#define TRANSLATION_BODY_MAX   ((size_t)64 << 20)

/*
 * Where a route's provider is asked for what a client asks at a place: there, where it speaks the
 * client's protocol; at another place, by translation; or NULL. Pure.
 */
const struct endpoint *translation_place(const struct endpoint *client,
                                         const struct model_route *route);
/*
 * Another place of the same route, for a provider that turns out not to know the one that it should
 * (servers learn protocols with their versions), or NULL. Pure.
 */
const struct endpoint *translation_instead(const struct endpoint *client,
                                           const struct model_route *route);
/* A place in words: "Anthropic's messages". */
const char *translation_words(const struct endpoint *place);

struct translation;

/*
 * Reads a client's request and appends the provider's to `body`. `number` and `now_s` are of ids
 * and times that answers have. -EBADMSG: the client has to mend something; -EOPNOTSUPP: something
 * in it cannot be carried over; both with a sentence; -ENOMEM.
 */
int translation_new(const struct endpoint *client, const struct endpoint *place,
                    const struct model_route *route, struct str request, uint64_t number,
                    int64_t now_s, struct translation **ret, struct buf *body,
                    char ret_fault[TRANSLATION_FAULT_SIZE]) MUST_CHECK;
/* NULL is nothing. */
void translation_free(struct translation *translation);

/* Whether the client wants a stream; its type, or that of a document. */
bool translation_streams(const struct translation *translation);
const char *translation_type(const struct translation *translation);

/*
 * The provider's answer: whole events (or lines) of a stream, or all of a document. What there is
 * for the client by then is *ret, good until the next call. -EBADMSG, with a sentence: the answer
 * cannot be carried over, or the provider says in it that it failed.
 */
int translation_feed(struct translation *translation, bool is_stream, struct str bytes,
                     struct str *ret, char ret_fault[TRANSLATION_FAULT_SIZE]) MUST_CHECK;
/* It is whole. Likewise. */
int translation_end(struct translation *translation, struct str *ret,
                    char ret_fault[TRANSLATION_FAULT_SIZE]) MUST_CHECK;

/* Appends what the provider says in the body of a refusal, as a sentence; may be nothing. */
void translation_add_refusal(struct str body, struct buf *text);

#endif
