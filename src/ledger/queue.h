/*
 * queue: where writers of many processes meet.
 *
 * A file mapped by everybody who writes, with a slot for each writer that has
 * to wait, and a lock whose holder leads: the leader takes what stands in the
 * slots, makes it durable with its own batch, and answers. The kernel frees
 * lock and slots when their holder dies. What stands in the file is believed
 * by nobody.
 */
#ifndef AM_LEDGER_QUEUE_H
#define AM_LEDGER_QUEUE_H

#include "ledger/internal.h"

#define QUEUE_FILE        "ledger.queue"
#define QUEUE_SLOTS       COMMIT_SLOTS_MAX
#define QUEUE_SLOT_BYTES  ((size_t)64 << 10)
#define QUEUE_HEAD_BYTES  ((size_t)4096)
#define QUEUE_FILE_BYTES  (QUEUE_HEAD_BYTES + QUEUE_SLOTS * QUEUE_SLOT_BYTES)
#define QUEUE_PATIENCE_MS 30000 /* how long a leader may take before it counts as stuck */
#define QUEUE_ID_BYTES    16

/* Opens the folder's queue, and makes or mends it where it must be. */
int queue_open(const char *folder, struct queue **ret, struct err *err) MUST_CHECK;
void queue_close(struct queue *queue);
/* Whether the file under its path is still the one that is open, and whole. */
bool queue_is_current(const struct queue *queue);
struct str queue_id(const struct queue *queue);

/* --- leading ------------------------------------------------------------------------------- */

/* The lock: taken if it is free and nobody is impatient; or waited for, -EBUSY past the limit. */
bool queue_try_lock(struct queue *queue);
int queue_lock(struct queue *queue, struct err *err) MUST_CHECK;
/* Another limit than QUEUE_PATIENCE_MS. */
void queue_set_patience(struct queue *queue, int patience_ms);
int queue_patience(const struct queue *queue);
/* Frees the lock, has one of those who still wait lead, and wakes those who were answered. */
void queue_unlock(struct queue *queue);
/* Wakes them before, where the leader has yet something to do that they need not wait for. */
void queue_wake(struct queue *queue);

/* Begins a group with the leader's own batch. */
int queue_group_begin(struct queue_group *group, const struct entry *own,
                      struct err *err) MUST_CHECK;
/* Adds what waits in the slots, except the leader's own. Only under the lock. */
int queue_collect(struct queue *queue, struct queue_group *group, struct err *err) MUST_CHECK;
/* Tells the writers what became of their batches, unless that is in doubt. Only under the lock. */
void queue_answer(struct queue *queue, const struct queue_group *group);
void queue_group_release(struct queue_group *group);

/* --- waiting ------------------------------------------------------------------------------- */

enum queue_state {
    QUEUE_WAITING,
    QUEUE_ANSWERED, /* entry says what became of the batch */
    QUEUE_LOST,     /* the slot makes no sense any more: only the database knows */
};

/* Puts a batch into this handle's slot. -EMSGSIZE too large, -EBUSY there is no slot. */
int queue_put(struct queue *queue, struct str bytes, struct entry *ret);
enum queue_state queue_look(struct queue *queue, struct entry *entry);
/* Waits for something to happen, a little while at most. */
void queue_wait(struct queue *queue);
/* Takes the batch back: true if no leader has it and none ever will. */
bool queue_withdraw(struct queue *queue);
/* Empties this handle's slot, whatever it says, once the batch's fate is known. */
void queue_clear(struct queue *queue);

/* --- watching ------------------------------------------------------------------------------ */

/* A number that changes with every commit; and a wait until it is no longer `seen`. */
uint32_t queue_commits(const struct queue *queue);
void queue_watch(struct queue *queue, uint32_t seen, int timeout_ms);

/* What leaders tell each other about the write-ahead log (group.c). */
int queue_log_state(const struct queue *queue);
void queue_set_log_state(struct queue *queue, int state);

#endif
