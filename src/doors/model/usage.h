/*
 * usage: how many tokens a provider says that a call took, read out of its answer in passing.
 *
 * The answer comes in pieces, as a JSON document, as server-sent events or as
 * lines of JSON; nothing of it is kept but the figures.
 */
#ifndef AM_DOORS_MODEL_USAGE_H
#define AM_DOORS_MODEL_USAGE_H

#include "base/base.h"
#include "base/str.h"
#include "doors/model/json_scan.h"
#include "doors/model/protocol.h"

enum answer_form {
    ANSWER_DOCUMENT,
    ANSWER_EVENTS, /* text/event-stream */
    ANSWER_LINES,  /* application/x-ndjson */
};

/* By the Content-Type of an answer. */
enum answer_form answer_form_of(struct str content_type);

struct model_usage {
    uint64_t input, output; /* tokens; input with what was read from and written to a cache */
    bool has_input, has_output;
    bool is_final; /* the provider has said all that it says */
};

/* Its members are the reader's own. */
struct usage_reader {
    enum model_protocol protocol;
    enum endpoint_kind kind;
    enum answer_form form;
    struct json_scan scan;
    uint64_t figures[5];
    unsigned seen; /* bits, by figure */
    bool is_bad;   /* the document, event or line: what is left of it is passed over */
    bool has_bytes;
    /* Of events: */
    unsigned char line_state, field_at;
    bool after_return;
};

void usage_reader_init(struct usage_reader *reader, enum model_protocol protocol,
                       enum endpoint_kind kind, enum answer_form form);
void usage_reader_feed(struct usage_reader *reader, struct str bytes);
/* As far as it has been read; whatever is not JSON says nothing. */
struct model_usage usage_reader_result(const struct usage_reader *reader);

#endif
