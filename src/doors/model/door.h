/*
 * door: the Model Door of one run, or of `model serve`.
 *
 * It takes connections from listeners that its owner made, answers clients of
 * OpenAI, Anthropic and Ollama, and stands behind one descriptor in whatever
 * loop its owner has (base/loop.h).
 */
#ifndef AM_DOORS_MODEL_DOOR_H
#define AM_DOORS_MODEL_DOOR_H

#include "authority/references.h"
#include "base/base.h"
#include "base/err.h"
#include "doors/model/route.h"
#include "doors/model/sink.h"

struct model_door;

struct model_door_options {
    /* All of them outlive the door. */
    const struct model_route *routes;
    size_t route_count;
    const struct model_sink *sink;
    const struct references *references; /* secrets, authorities; NULL: there are none */
    struct str token; /* that a client has to show as its key; empty: none (inside a run) */
};

int model_door_open(const struct model_door_options *options, struct model_door **ret,
                    struct err *err) MUST_CHECK;
/* Calls that are on their way end, and are settled. NULL is nothing. */
void model_door_close(struct model_door *door);

/* Takes connections from a listener of any family, the door's from then on, also on failure. */
int model_door_listen(struct model_door *door, int listener, struct err *err) MUST_CHECK;

/* In which it stands; the calls behind are what its owner may do with it. */
struct loop *model_door_loop(const struct model_door *door);
int model_door_fd(const struct model_door *door);
int64_t model_door_due(const struct model_door *door);
void model_door_turn(struct model_door *door);

/* What the door has done so far. */
struct model_door_counts {
    uint64_t calls;        /* that were forwarded */
    uint64_t refused;      /* that were not */
    uint64_t prompt_bytes; /* that left this machine, by hosted routes */
    uint64_t input_tokens, output_tokens;
};
struct model_door_counts model_door_counts(const struct model_door *door);

#endif
