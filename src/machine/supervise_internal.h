/* supervise_internal: what the parts of supervision have of one run. */
#ifndef AM_MACHINE_SUPERVISE_INTERNAL_H
#define AM_MACHINE_SUPERVISE_INTERNAL_H

#include "machine/supervise.h"

#define STEP_SUPERVISE "supervise a run"

struct sandbox_message;

struct run {
    const struct supervised *of;
    const struct run_watch *watch;
    struct run_result *result;
    struct clients *clients;
    int signals, doorbell;
    enum run_wish wish;
    bool exhausted, crowded, killed, ended;
    bool paused;
    bool asking;         /* a question is on the terminal */
    int64_t question_ms; /* when to look whether it still stands */
    int64_t listen_ms;   /* when the doorbell is to be opened; 0: it is */
    int64_t meter_ms;    /* when the limits are to be looked at again; 0: not needed */
    int64_t deadline_ms; /* of the wall clock */
    int64_t grace_ms;    /* when the grace ends; 0: nobody has asked it to end */
};

/* --- how it ends (supervise_end.c) ---------------------------------------------------------- */

void run_signal(const struct run *run, int number);
/* Asks it to end; at once, where it is not to be asked. */
void run_begin_end(struct run *run, bool at_once);
void run_kill(struct run *run);
void run_exhaust(struct run *run, enum dimension dimension);
/* It has more processes than its limit, which nobody but the meter sees to: it ends at once. */
void run_overcrowd(struct run *run);
/* The command has ended, or could not be started. */
void run_take_status(struct run *run, const struct sandbox_message *message);
void run_refuse_start(struct run *run, int number);
/* The sandbox could not make its process. */
void run_refuse(struct run *run, const struct err *why);
/* What all of it comes to, once nothing is left of it. */
void run_judge(struct run *run);

/* --- who sits at its terminal (supervise_question.c) ------------------------------------------ */

/* Puts a question that is to be put, or takes one away that stands no more. */
void run_look_for_questions(struct run *run, int64_t now);
/* A line was typed while a question is on the terminal. */
void run_take_line(struct run *run);
/* The run has ended: nobody is asked any more. */
void run_end_questions(struct run *run);

/* --- what is asked of it (supervise_asked.c) ------------------------------------------------- */

int run_pause(struct run *run, bool paused, struct err *err) MUST_CHECK;
/* What the plane asks: is listened for from now on; was asked. */
void run_listen(struct run *run);
void run_take_wish(struct run *run);
/* What somebody asks through the control socket; see clients.h. */
int run_act(void *context, const struct control_request *request, struct buf *members,
            struct err *err) MUST_CHECK;

#endif
