/*
 * run_ask: see the header.
 *
 * Theory of operation. The plane says for what an operation waits, at once and
 * then every second. The first time the question is drawn on standard error;
 * then a line is waited for, in slices, so that an answer given elsewhere ends
 * the wait too. The answer is a command as `op decide` or `grant apply` gives
 * it, through the same plane, recorded under the same user.
 *
 * While the command runs the doors meet what a layer leaves to a person. Their
 * cards are queued here, and the supervisor puts one after another at the
 * terminal (machine/supervise_question.c); one that is answered elsewhere, or
 * whose time is over, is taken away. A queue that is full, and a run that was
 * put into the background, ask nobody: the thing is denied for now.
 *
 * Invariants. Nothing but a typed answer allows: an empty line, the end of the
 * input and every failure are a no. What only the enterprise may answer is not
 * asked for here.
 */
#include "cmd/run_ask.h"

#include <ctype.h>
#include <poll.h>

#include "base/clock.h"
#include "cmd/grant.h"
#include "cmd/op.h"
#include "cmd/op_decide.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "plane/card.h"

#define STEP           "ask at the terminal"
#define ASK_WAIT_MS    ((int64_t)10 * 60 * 1000)
#define ASK_SLICE_MS   500
#define LINE_BYTES     256
#define GRANT_VALID_MS ((int64_t)8 * 3600 * 1000)
#define REASON         "Answered at the terminal of the run."

/* --- a line -------------------------------------------------------------------------------- */

/* Without the blanks around it. */
static void trim(char line[LINE_BYTES], size_t len)
{
    while (len > 0 && isspace((unsigned char)line[len - 1]))
        len--;
    line[len] = '\0';
    size_t blanks = strspn(line, " \t");
    memmove(line, line + blanks, len - blanks + 1);
}

/* 1 with a line, without the blanks around it; 0: nothing yet. The end of the input is empty. */
static int read_answer(char ret[LINE_BYTES])
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    if (poll(&input, 1, ASK_SLICE_MS) <= 0)
        return 0;
    ssize_t got = read(STDIN_FILENO, ret, LINE_BYTES - 1);
    trim(ret, got > 0 ? (size_t)got : 0);
    return 1;
}

static void prompt(const char *question, const char *usual)
{
    fprintf(stderr, "%s [%s] ", question, usual);
    fflush(stderr);
}

/* --- a card -------------------------------------------------------------------------------- */

/* The one option that an answer begins; NULL: none, or several. Without an answer the default. */
static const yyjson_val *find_option(const struct card *card, const char *answer)
{
    struct str given =
        answer[0] ? str_from(answer) : text_of(member(card->root, "defaultOptionId"));
    const yyjson_val *found = NULL;
    size_t i, count;
    yyjson_val *option;
    yyjson_arr_foreach(member(card->root, "options"), i, count, option)
    {
        struct str id = text_of(member(option, "optionId"));
        if (str_equal(id, given))
            return option;
        if (str_starts(id, given) && found)
            return NULL;
        if (str_starts(id, given))
            found = option;
    }
    return found;
}

static int decide(struct plane *plane, const struct card *card, const yyjson_val *option,
                  struct err *err)
{
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    struct plane_answer answer = { .card = text_of(member(card->root, "id")),
                                   .option = text_of(member(option, "optionId")),
                                   .reason = STR(REASON) };
    struct outcome outcome;
    int r = plane_write_decide(plane, &answer, &command, err);
    return r < 0 ? r : plane_submit(plane, buf_str(&command), NULL, &outcome, err);
}

/* Whether to go on waiting; `is_new`: it is not on the terminal yet. */
static bool ask_card(const struct standstill *standstill, const struct card *card, bool is_new,
                     struct err *err)
{
    char line[LINE_BYTES];
    if (array_has(member(card->root, "answerableByRefs"), STR(CARD_ENTERPRISE)))
        return false; /* a delegation of the enterprise's answers it, by op decide */
    if (card_state(card) != CARD_PENDING)
        return true; /* somebody has answered it elsewhere */
    if (is_new) {
        op_print_card(stderr, card);
        prompt("answer", "no");
    }
    if (read_answer(line) == 0)
        return true;
    const yyjson_val *option = find_option(card, line);
    if (!option) {
        prompt("one of the answers above", "no");
        return true;
    }
    int r = decide(standstill->plane, card, option, err);
    if (r < 0 && err->code == ERR_CONFLICT) { /* somebody has answered it at this moment */
        *err = (struct err){ 0 };
        return true;
    }
    return r == 0;
}

/* --- a tool -------------------------------------------------------------------------------- */

static int grant(const struct standstill *standstill, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, command = BUF_INIT;
    char end[CLOCK_TEXT_SIZE], tool[PLANE_URN_MAX];
    char *const tools[] = { tool, NULL };
    struct outcome outcome = { 0 };
    snprintf(tool, sizeof(tool), "%.*s", STR_ARG(standstill->missing_tool));
    clock_text(clock_now_ms() + GRANT_VALID_MS, end);
    int r = grant_write_apply(&json, standstill->subject, end, tools, 1, err);
    struct submission submission = { .type = OPERATION_TOOL_GRANT_APPLY,
                                     .workspace = standstill->workspace,
                                     .parameters = buf_str(&json),
                                     .reason = STR(REASON) };
    if (r == 0)
        r = plane_write_submit(&submission, &command, err);
    if (r == 0)
        r = plane_submit(standstill->plane, buf_str(&command), NULL, &outcome, err);
    if (r == 0 && outcome.failure.code) {
        *err = outcome.failure;
        r = -EACCES;
    }
    return r;
}

static bool ask_grant(const struct standstill *standstill, bool is_new, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char line[LINE_BYTES];
    if (is_new) {
        buf_addf(&text, "%s %s", standstill->reason, standstill->remediation);
        op_tell_wrapped(stderr, "not granted", 13, buf_str(&text));
        prompt("grant it now, for 8 hours?", "no");
    }
    if (read_answer(line) == 0)
        return true;
    return str_starts(STR("yes"), str_from(line)) && line[0] && grant(standstill, err) == 0;
}

/* --- what the plane calls ------------------------------------------------------------------ */

static bool ask(struct run_ask *state, const struct standstill *standstill, struct err *err)
{
    struct card card = { 0 };
    struct str what = standstill->card[0] ? str_from(standstill->card) : standstill->missing_tool;
    bool is_new = !str_equal(what, str_from(state->asked)), goes_on = false;
    snprintf(state->asked, sizeof(state->asked), "%.*s", STR_ARG(what));
    if (!standstill->card[0])
        return ask_grant(standstill, is_new, err);
    if (card_read(standstill->plane, what, &card, err) == 0)
        goes_on = ask_card(standstill, &card, is_new, err);
    card_release(&card);
    return goes_on;
}

static void tell_failure(const struct err *err)
{
    fputs("agent-machine: ", stderr);
    tell_text(stderr, err->cause);
    fputc('\n', stderr);
}

static bool wait(void *context, const struct standstill *standstill)
{
    struct run_ask *state = context;
    struct err err = { 0 };
    if (state->busy) /* an answer that itself would have to be asked for */
        return false;
    state->busy = true;
    bool goes_on = ask(state, standstill, &err);
    state->busy = false;
    if (err.code)
        tell_failure(&err);
    return goes_on;
}

static bool is_watched(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void run_ask_plug(struct run_ask *ask, struct plane_options *options)
{
    ask->is_here = is_watched();
    if (!ask->is_here)
        return;
    options->wait_ms = ASK_WAIT_MS;
    options->waiting = wait;
    options->waiting_context = ask;
}

/* --- while the command runs ---------------------------------------------------------------- */

static bool is_queued(const struct run_ask *ask, const char *card)
{
    for (size_t i = 0; i < ask->count; i++)
        if (strcmp(ask->queue[i], card) == 0)
            return true;
    return false;
}

/* What the enterprise asks, nobody answers here. */
bool run_ask_offer(void *context, const char *urn)
{
    struct run_ask *ask = context;
    struct card card = { 0 };
    struct err unread;
    if (is_queued(ask, urn))
        return true;
    if (!ask->plane || !is_watched() || ask->count == RUN_ASK_QUEUE_MAX ||
        card_read(ask->plane, str_from(urn), &card, &unread) < 0)
        return false;
    bool is_ours = !array_has(member(card.root, "answerableByRefs"), STR(CARD_ENTERPRISE));
    card_release(&card);
    if (is_ours)
        snprintf(ask->queue[ask->count++], PLANE_URN_MAX, "%s", urn);
    return is_ours;
}

/* The first card of the queue that is still pending; those before it leave. */
static bool open_first(struct run_ask *ask, struct card *ret)
{
    struct err unread;
    for (; ask->count; memmove(ask->queue, ask->queue + 1, --ask->count * sizeof(ask->queue[0]))) {
        if (card_read(ask->plane, str_from(ask->queue[0]), ret, &unread) < 0)
            continue;
        if (card_state(ret) == CARD_PENDING)
            return true;
        card_release(ret);
    }
    return false;
}

static bool is_pending(void *context)
{
    struct run_ask *ask = context;
    struct card card = { 0 };
    if (!ask->count || !is_watched())
        return false;
    if (ask->asked[0] && strcmp(ask->asked, ask->queue[0]) != 0)
        ask->asked[0] = '\0';
    bool found = open_first(ask, &card);
    card_release(&card);
    bool is_drawn = found && strcmp(ask->asked, ask->queue[0]) == 0;
    if (!is_drawn && ask->asked[0]) { /* it was answered elsewhere */
        ask->asked[0] = '\0';
        return false; /* the terminal goes back first; the next one is put at the next turn */
    }
    return found;
}

static void draw(void *context)
{
    struct run_ask *ask = context;
    struct card card = { 0 };
    if (!open_first(ask, &card))
        return;
    snprintf(ask->asked, sizeof(ask->asked), "%s", ask->queue[0]);
    fputs("\n--- agent-machine asks; the run's output waits ---\n", stderr);
    op_print_card(stderr, &card);
    prompt("answer", "no");
    card_release(&card);
}

static void take_line(void *context, struct str typed)
{
    struct run_ask *ask = context;
    struct card card = { 0 };
    struct err err = { 0 };
    char line[LINE_BYTES];
    size_t len = typed.len < LINE_BYTES ? typed.len : LINE_BYTES - 1;
    memcpy(line, typed.ptr, len);
    trim(line, len);
    if (!open_first(ask, &card))
        return;
    const yyjson_val *option = find_option(&card, iscntrl((unsigned char)line[0]) ? "" : line);
    if (!option)
        prompt("one of the answers above", "no");
    else if (decide(ask->plane, &card, option, &err) < 0 && err.code != ERR_CONFLICT) {
        tell_failure(&err);
        ask->queue[0][0] = '\0'; /* nobody can answer it here */
    }
    card_release(&card);
}

void run_ask_doors(struct run_ask *ask, struct plane *plane, struct execution *execution)
{
    if (!ask->is_here)
        return;
    ask->plane = plane;
    ask->asked[0] = '\0';
    ask->questions = (struct run_questions){ ask, is_pending, draw, take_line };
    execution->questions = &ask->questions;
    execution->offer = run_ask_offer;
    execution->offer_context = ask;
}
