/*
 * supervise_question: questions to who sits at the run's terminal.
 *
 * Theory of operation. A question is put between two turns of the loop, which
 * goes on meanwhile: ceilings, cancels and the doors hold as ever. The terminal
 * is the supervisor's for that time (relay_hold): the command's output waits in
 * its pipe or pseudo-terminal, and what was typed before is thrown away, so that
 * no key that was meant for the command becomes an answer, nor the other way
 * round. When it is answered, here or elsewhere, the command is told to draw
 * its screen anew, and what waited at the door goes on.
 */
#include <signal.h>

#include "base/clock.h"
#include "machine/supervise_internal.h"

#define LOOK_MS    500
#define LINE_BYTES 256

static void put(struct run *run)
{
    const struct run_questions *questions = run->watch->questions;
    if (!relay_hold(run->of->relay, true)) {
        (void)relay_hold(run->of->relay, false);
        return;
    }
    run->asking = true;
    questions->draw(questions->context);
}

static void take_away(struct run *run)
{
    run->asking = false;
    (void)relay_hold(run->of->relay, false);
    if (run->of->plan->terminal)
        run_signal(run, SIGWINCH);
    if (run->watch->door)
        network_door_answered(run->watch->door);
}

void run_look_for_questions(struct run *run, int64_t now)
{
    const struct run_questions *questions = run->watch->questions;
    if (!questions || (run->asking && now < run->question_ms))
        return;
    bool pending = !run->grace_ms && !run->ended && questions->pending(questions->context);
    if (pending && !run->asking)
        put(run);
    else if (!pending && run->asking)
        take_away(run);
    run->question_ms = run->asking ? now + LOOK_MS : 0;
}

void run_take_line(struct run *run)
{
    const struct run_questions *questions = run->watch->questions;
    char line[LINE_BYTES];
    ssize_t len = read(STDIN_FILENO, line, sizeof(line));
    if (len < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    questions->take(questions->context, str_make(line, len > 0 ? (size_t)len : 0));
    run->question_ms = 0; /* look at once whether it still stands */
}

void run_end_questions(struct run *run)
{
    if (run->asking)
        take_away(run);
}
