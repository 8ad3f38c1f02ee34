/*
 * answer_stream: a provider's stream of answers on its way to a client.
 *
 * Whole events (or lines) are passed on, byte for byte, as soon as they are
 * there; what is not whole yet is held, so that a stream which is cut can end
 * with an error that its client understands. Where usage was asked for that the
 * client did not ask for, what came of it is taken out.
 */
#ifndef AM_DOORS_MODEL_ANSWER_STREAM_H
#define AM_DOORS_MODEL_ANSWER_STREAM_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include "doors/model/usage.h"

#define ANSWER_HELD_BYTES_MAX ((size_t)1 << 20) /* a longer event is passed on in pieces */

struct answer_stream {
    enum answer_form form;
    bool hides_usage;
    struct buf held; /* the beginning of an event */
    struct buf out;
    bool line_is_empty, after_return; /* of the line that is being read */
    bool is_long;                     /* the event has been passed on in part */
};

void answer_stream_init(struct answer_stream *stream, enum answer_form form, bool hides_usage);
void answer_stream_release(struct answer_stream *stream);

/*
 * What may go on to the client, good until the next call; may be empty. 0, or -ENOMEM, after which
 * the stream is broken.
 */
int answer_stream_feed(struct answer_stream *stream, struct str bytes, struct str *ret) MUST_CHECK;
/* What is held, for a stream that ended by itself. */
struct str answer_stream_rest(const struct answer_stream *stream);
/* Whether the client has been given an event in part, behind which nothing can be said. */
bool answer_stream_is_within(const struct answer_stream *stream);

#endif
