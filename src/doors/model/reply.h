/*
 * reply: an answer of HTTP/1.1, read as it comes.
 *
 * The bytes are the caller's: of a body it is told where a piece stands. What may
 * be read is bounded but for the body, which whoever takes it bounds.
 */
#ifndef AM_DOORS_MODEL_REPLY_H
#define AM_DOORS_MODEL_REPLY_H

#include <llhttp.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define REPLY_HEAD_BYTES_MAX    65536
#define REPLY_TRAILER_BYTES_MAX 65536 /* and extensions of chunks */

/* Its members are the reader's own. */
struct reply {
    llhttp_t parser;
    struct buf head; /* lines */
    size_t beside;   /* bytes of trailers and extensions */
    struct str body;
    bool has_begun, has_head, is_interim, is_whole, is_wrong;
};

enum reply_reading {
    REPLY_MORE,  /* all was taken, and more is needed */
    REPLY_HEAD,  /* status and headers are there */
    REPLY_BODY,  /* a piece of the body is */
    REPLY_WHOLE, /* it has ended */
    REPLY_WRONG, /* it is no such answer, or too long: nothing more is read */
};

void reply_init(struct reply *reply);
void reply_release(struct reply *reply);
/* For the next answer on the same connection. */
void reply_next(struct reply *reply);

/* Until it is REPLY_MORE there may be something to be told without another byte. */
enum reply_reading reply_feed(struct reply *reply, struct str bytes, size_t *ret_taken);
/* The connection has ended. Whether the answer is whole by that. */
bool reply_end(struct reply *reply);

unsigned reply_status(const struct reply *reply);
/* Whole lines, "name: value" and their end; until reply_next. */
struct str reply_headers(const struct reply *reply);
/* After REPLY_BODY. */
struct str reply_body(const struct reply *reply);
bool reply_keeps_connection(const struct reply *reply);
/* Whether a byte of an answer was read. */
bool reply_has_begun(const struct reply *reply);

#endif
