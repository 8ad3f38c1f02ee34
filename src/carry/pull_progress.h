/*
 * pull_progress: what Ollama says while it downloads a model: a line of JSON for each step.
 */
#ifndef AM_CARRY_PULL_PROGRESS_H
#define AM_CARRY_PULL_PROGRESS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define PULL_LINE_MAX   65536
#define PULL_LAYERS_MAX 256

struct pull_layer {
    char digest[72];
    uint64_t total_bytes, completed_bytes;
    uint64_t first_bytes; /* that were there when it was first heard of */
};

struct pull_progress {
    struct pull_layer layers[PULL_LAYERS_MAX];
    size_t count;
    uint64_t total_bytes, completed_bytes, first_bytes; /* of all layers that are known */
    bool is_verified; /* it says that it has verified the digests */
    bool is_whole;    /* and that all of it is there */
    char error[256];  /* why it failed; empty: it has not */
    struct buf line;
};

void pull_progress_init(struct pull_progress *progress);
void pull_progress_release(struct pull_progress *progress);
/* Any bytes, however they are cut. 0; -EBADMSG: that is nothing that Ollama says. */
int pull_progress_feed(struct pull_progress *progress, struct str bytes) MUST_CHECK;

#endif
