/*
 * closed_door: where the Model Door would be, for a run that no model is bound to.
 *
 * Clients of OpenAI, Anthropic and Ollama find somebody there who says so at
 * once, in words that they show, in place of a refused connection that they
 * would try again for minutes. It stands inside the sandbox and leads nowhere.
 */
#ifndef AM_MACHINE_LINUX_CLOSED_DOOR_H
#define AM_MACHINE_LINUX_CLOSED_DOOR_H

#include "base/base.h"
#include "base/err.h"

#define CLOSED_DOOR_PORT    11434
#define CLOSED_DOOR_CLIENTS 16 /* who were answered and may still read */

struct closed_door {
    int listener; /* -1: there is none */
    int clients[CLOSED_DOOR_CLIENTS];
    size_t next;
};

/* On the loopback of the namespace that the caller is in. */
int closed_door_open(struct closed_door *door, struct err *err) MUST_CHECK;
/* Answers whoever waits. Never blocks. */
void closed_door_answer(struct closed_door *door);

#endif
