/*
 * clients: who speaks to a run while it runs, through its control socket.
 *
 * Requests are handed to the run; those who attach get its output from then
 * on, and what they type goes to the command. A client that takes nothing
 * holds the command's output up for a moment, and is then left.
 */
#ifndef AM_MACHINE_CLIENTS_H
#define AM_MACHINE_CLIENTS_H

#include <poll.h>

#include "machine/control.h"

#define CLIENTS_POLLS (1 + CONTROL_CLIENTS_MAX)

/* The run, as they see it. */
struct clients_run {
    void *context;
    /* Does what is asked; may add members to the answer, and a negative return is the refusal. */
    int (*act)(void *context, const struct control_request *request, struct buf *members,
               struct err *err);
    bool (*takes_input)(void *context);
    void (*type)(void *context, struct str bytes); /* empty: the end of what is typed */
};

struct clients;

/* Of a control that outlives them. */
int clients_new(struct control *control, const struct clients_run *run, struct clients **ret,
                struct err *err) MUST_CHECK;
/* They stay connected until the control is freed, so that they see when all is over. */
void clients_free(struct clients *clients);

/* What the loop is to wait for, written anew before each poll; returns how many. */
size_t clients_ask(const struct clients *clients, struct pollfd ret[CLIENTS_POLLS]);
void clients_move(struct clients *clients, const struct pollfd polls[CLIENTS_POLLS], size_t count);
/* Of the command's output; what they do not take now waits for them. */
void clients_hear(struct clients *clients, struct str bytes);
/* Somebody has not taken all of it: there should be no more for now. */
bool clients_are_full(const struct clients *clients);
/* When clients_look is to be called, as clock_now_ms; 0: nothing waits. */
int64_t clients_due(const struct clients *clients);
/* Leaves those who have waited too long. */
void clients_look(struct clients *clients, int64_t now_ms);
/* Gives them what waits, within a time. */
void clients_drain(struct clients *clients);

#endif
