/* exchange_internal: an exchange, for exchange.c, exchange_provider.c and exchange_translate.c. */
#ifndef AM_DOORS_MODEL_EXCHANGE_INTERNAL_H
#define AM_DOORS_MODEL_EXCHANGE_INTERNAL_H

#include "base/digest.h"
#include "doors/model/answer_stream.h"
#include "doors/model/exchange.h"
#include "doors/model/prompt.h"
#include "doors/model/route_use.h"
#include "doors/model/settle.h"
#include "doors/model/translate/translation.h"
#include "doors/model/upstream.h"
#include "doors/model/usage.h"

#define EXCHANGE_MESSAGE_SIZE 1024

struct exchanges {
    const struct model_door_options *options;
    struct loop *loop;
    struct http_server_calls calls;
    struct upstream *upstream;                  /* NULL until it is needed */
    struct route_use *uses;                     /* of providers: one for the first route of each */
    struct route_use *use_of[MODEL_ROUTES_MAX]; /* by route */
    struct model_door_counts counts;
    struct redact_scanner *scanner; /* likewise */
    uint64_t numbers;
    bool is_closing;
};

struct exchange {
    struct exchanges *all;
    struct http_call *client;
    const struct endpoint *endpoint;
    struct prompt prompt;
    struct prompt_edits edits;
    struct egress_findings secrets;
    struct buf masked; /* the body that leaves in the place of the client's; empty: there is none */
    const struct endpoint *place;    /* where the candidate's provider is asked */
    struct translation *translation; /* NULL: there, bytes pass as they are */
    struct buf body, collected;      /* what it made of the request; a provider's document */
    struct prompt_cost cost;
    struct route_choice choice;
    size_t candidate; /* that is being tried */
    struct model_call record;
    char digest[DIGEST_TEXT_SIZE];

    struct upstream_calls calls;
    struct upstream_call *provider; /* NULL: none is being asked */
    bool is_reserved, has_head, streams;
    bool has_events;         /* of a translated answer: the provider streams */
    size_t elsewhere;        /* one more than the candidate whose provider did not know the place */
    struct loop_timer again; /* while a provider that refused is let rest, or a person is asked */
    bool is_held;            /* for a person's answer */
    int64_t held_until_ms;   /* that is waited for no longer; 0: nobody was asked */
    unsigned retries;        /* of this candidate */
    uint64_t sent_before;    /* by tries that were refused */
    char reason[MODEL_REASON_SIZE]; /* why the candidate is tried, and how often */
    unsigned status;
    uint64_t sent_bytes, answer_bytes;
    struct usage_reader usage;
    struct answer_stream stream;

    /* Why no candidate was taken: the first one's fault, and what each said. */
    enum model_fault fault;
    struct model_ceiling ceiling;
    char message[EXCHANGE_MESSAGE_SIZE];
};

/* --- exchange.c ---------------------------------------------------------------------------- */

/* Answers with a problem in the protocol's form; the call is no more after this. */
void exchange_answer_problem(struct http_call *client, enum model_protocol protocol,
                             const struct model_problem *problem);
/* Tells a client that an answer ended in its midst; the exchange is no more after this. */
void exchange_tell_cut(struct exchange *x, enum model_fault fault, const char *message);
/* Notes why a candidate was not taken. */
void exchange_fail(struct exchange *x, enum model_fault fault, const char *message);
/* Tells the client why none was taken; the exchange is no more after this. */
void exchange_refuse(struct exchange *x);
/* Says what a call cost, where something is reserved for it. */
void exchange_settle(struct exchange *x, enum model_end end);
/* How much the provider of the candidate is being used. */
struct route_use *exchange_use(const struct exchange *x);
/* Leaves the provider, if one is being asked. */
void exchange_leave(struct exchange *x);
void exchange_free(struct exchange *x);

/* --- exchange_provider.c ------------------------------------------------------------------- */

/* Tries the candidates from x->candidate on, until one is being asked. */
void exchange_try(struct exchange *x);
void exchange_set_calls(struct exchange *x);

/* --- exchange_translate.c ------------------------------------------------------------------ */

/* The body that is to be sent, before edits. */
struct str exchange_body(const struct exchange *x);
/* Makes x->place, body and prompt those of a candidate. Whether it can be asked at all. */
bool exchange_translate(struct exchange *x, const struct route_candidate *candidate);
/*
 * Whether a provider that does not know the place is asked at another: it has been left, and the
 * candidate will be tried again.
 */
bool exchange_turns_elsewhere(struct exchange *x);
/* Whether this was a count of tokens that no provider makes: it is answered, and is no more. */
bool exchange_estimates(struct exchange *x);
/* The provider's answer, where there is a translation; each of the latter may end the exchange. */
void exchange_translate_head(struct exchange *x, enum answer_form form);
void exchange_translate_body(struct exchange *x, struct str bytes);
void exchange_translate_whole(struct exchange *x);

#endif
