/*
 * work: an operation in the hands of the process that carries it out.
 *
 * It holds the operation's documents as the ledger has them, and the batch
 * that will change them. Every change of a state goes through work_change:
 * it asks state_check, changes the document and adds the event. work_commit
 * makes all of it durable at once, on condition that nobody else has changed
 * the documents since they were read (ERR_CONFLICT; then work_reload).
 */
#ifndef AM_PLANE_WORK_H
#define AM_PLANE_WORK_H

#include "authority/delegation.h"
#include "plane/operation_types.h"
#include "plane/plane.h"
#include "plane/state.h"

#define STEP_PLANE           "carry out an operation"
#define PLANE_ACTOR          STR("urn:srcos:component:supervisor")
#define PLANE_RECOVERY_ACTOR STR("urn:srcos:component:recovery")

/* Documents of the plane's own, that say which operations are not at their end. */
#define SUPERVISION_OPEN  "Supervision"
#define SUPERVISION_ENDED "SupervisionEnded"

struct plane {
    struct plane_options options;
    struct buf state_folder, config_folder;
    struct ledger *ledger;
    struct catalogue *catalogue;
    struct holder self;
    struct gate_layers *gate_layers; /* NULL until a gate asks */
    const struct plane_asks *asks;   /* of the command that is being carried out; or NULL */
};

enum work_document { WORK_OPERATION, WORK_TASK, WORK_DOCUMENT_COUNT };

#define LEASES_MAX 16

struct record {
    yyjson_mut_doc *doc;
    int64_t revision; /* in the ledger; LEDGER_NEW before it stands there */
    bool changed;
};

struct work {
    struct plane *plane;
    const struct operation_type_row *type;
    enum operation_type operation_type;
    struct record records[WORK_DOCUMENT_COUNT];
    yyjson_doc *command;
    struct ledger_batch *batch;
    struct record kept[WORK_DOCUMENT_COUNT]; /* by work_keep; without documents nothing is kept */
    size_t kept_batch;
    bool supervised;  /* whether the ledger has it among what is not at its end */
    struct str actor; /* of the events */
    int64_t now_ms;   /* never before the last change of the documents */
    char leases[LEASES_MAX][PLANE_URN_MAX]; /* the cards on whose answers this attempt rests */
    size_t lease_count;
    struct amounts set_aside, drawn;              /* of this attempt, by this process */
    char top_ups[DIMENSION_COUNT][PLANE_URN_MAX]; /* cards about more of it; empty: none */
    char asked[PLANE_URN_MAX];                    /* a card that the batch makes; empty: none */
    bool moved;                                   /* a state was changed since the last commit */
    int doorbell;                                 /* of the effect; -1: it has none */
};

/* Why an operation fails, for its document and its event. */
struct refusal {
    struct err err;
    const char *id;               /* NULL: the error's own */
    const char *layer;            /* of a denial; NULL: built-in */
    char rule[200];               /* of a denial; empty: no-delegation */
    char smallest_change[512];    /* of a denial, and the remedy of anything else; may be empty */
    char decision[PLANE_URN_MAX]; /* may be empty */
    char card[PLANE_URN_MAX];     /* on which a person is asked; may be empty */
    bool card_is_own;             /* it is about this operation */
    struct str missing_tool;      /* that `responsible` could grant; may be empty */
    char responsible[PLANE_URN_MAX];
};

/* What goes with a change of state. */
struct change {
    enum work_document of;
    enum state to;
    struct str actor;              /* empty: the work's */
    struct str command;            /* that caused it; may be empty */
    const char *message;           /* may be NULL */
    const struct refusal *refusal; /* to failed, blocked */
    const char *warning;           /* to completed_with_warnings */
    const char *cancel_mode;       /* to canceling, canceled */
    struct str cancel_reason;      /* may be empty */
    int64_t retry_delay_ms;        /* to retrying */
    struct str card;               /* to awaiting_decision */
    struct str compensated_by;     /* to compensated: the task or operation */
};

/* Reads an operation, its task and its command. */
int work_load(struct plane *plane, struct str operation, struct work **ret,
              struct err *err) MUST_CHECK;
/* Makes the documents of a new one from its command (which it takes over); nothing is durable yet.
 */
int work_new(struct plane *plane, yyjson_doc *command, struct work **ret,
             struct err *err) MUST_CHECK;
void work_free(struct work *work);
/* Forgets the batch and reads the documents again. */
int work_reload(struct work *work, struct err *err) MUST_CHECK;
/*
 * Reads the documents again and keeps what this process alone adds to them, and the batch up to a
 * size that it had: what was added behind it is forgotten. ERR_CONFLICT: the operation has ended.
 */
int work_follow(struct work *work, size_t batch_size, struct err *err) MUST_CHECK;
/* Whether nothing of it stands in the ledger yet. */
bool work_is_new(const struct work *work);
/* Keeps documents and batch as they are now; a commit forgets what was kept. */
int work_keep(struct work *work, struct err *err) MUST_CHECK;
/* Forgets what was done since work_keep; what has not been kept is read again. */
int work_back(struct work *work, struct err *err) MUST_CHECK;

enum state work_state(const struct work *work, enum work_document of);
struct str work_text(const struct work *work, enum work_document of, const char *member);
uint64_t work_count(const struct work *work, enum work_document of, const char *member);
/* Who carries the task out. */
struct holder work_holder(const struct work *work);

int work_change(struct work *work, const struct change *change, struct err *err) MUST_CHECK;
/* The same change of both, the task's first, so far as their states differ from it. */
int work_change_both(struct work *work, const struct change *change, struct err *err) MUST_CHECK;
/* What both wait for, where they wait already. */
int work_wait_on(struct work *work, const struct change *change, struct err *err) MUST_CHECK;
/* An event without a change of state; `extra` are further members, each with a comma before it. */
int work_event(struct work *work, enum event_type type, struct str extra,
               struct err *err) MUST_CHECK;
void work_set_text(struct work *work, enum work_document of, const char *member, struct str text);
/* Takes over the task: this process carries it out from now on. */
void work_set_holder(struct work *work);
/* Appends an object to an array member, which is made where it is missing. */
int work_append(struct work *work, enum work_document of, const char *member, struct str json,
                struct err *err) MUST_CHECK;
int work_commit(struct work *work, enum plane_step step, struct err *err) MUST_CHECK;

/* --- the same command twice ---------------------------------------------------------------- */

/* By which a command is known again; it points into the command. */
struct identity {
    struct buf key; /* empty: the command has none */
    struct str command;
    char digest[DIGEST_TEXT_SIZE]; /* of the whole command */
    struct str parameters_digest;
};

int identity_of(const yyjson_val *command, struct identity *ret, struct err *err) MUST_CHECK;
void identity_release(struct identity *identity);
/* 1 with how the operation stands that it was given for, 0 where it is new, or -errno. */
int identity_find(struct plane *plane, const struct identity *identity, struct outcome *ret,
                  struct err *err) MUST_CHECK;
/* Adds its names to the batch: ERR_CONFLICT on commit where somebody else has taken them. */
int identity_put(struct work *work, const struct identity *identity, struct err *err) MUST_CHECK;
/* Appends the command with which who runs this program moves an artifact of an operation. */
int command_write_admit(const struct work *work, struct str artifact, const char *to,
                        struct str reason, struct buf *ret, struct err *err) MUST_CHECK;
/* Adds the command's document to the batch. */
int command_put(struct work *work, const yyjson_val *command, struct err *err) MUST_CHECK;

/* --- parts of the way ---------------------------------------------------------------------- */

/* "urn:srcos:TYPE:LOCAL" */
void urn_make(const char *type, struct str local, char ret[PLANE_URN_MAX]);
/* A name that no other process has given, and that sorts by time. */
int urn_fresh(char ret[40], struct err *err) MUST_CHECK;

int plane_holder_self(struct holder *ret, struct err *err) MUST_CHECK;
/* Whether the process still is there; what cannot be known counts as there. */
bool plane_holder_alive(const struct holder *holder);

/* ERR_DOCUMENT names the first fault that schema or rules find, and its place. */
int plane_check_document(struct plane *plane, const yyjson_val *document, const char *type,
                         const char *step, struct err *err) MUST_CHECK;
int plane_check_command(struct plane *plane, const yyjson_val *command, struct err *err) MUST_CHECK;

/* Asks every gate of the operation and adds the decisions; ERR_DENIED fills the refusal. */
int gates_pass(struct work *work, const struct delegation *delegation,
               const struct delegation_request *request, struct refusal *ret,
               struct err *err) MUST_CHECK;

/*
 * What a rule refused before a gate was asked (err_about; without one, what the delegation does not
 * give): adds the decision and fills the refusal. -EACCES, or what made that impossible.
 */
int refused_record(struct work *work, const struct err *why, struct refusal *ret,
                   struct err *err) MUST_CHECK;
/* Adds a PolicyDecision, the event that binds it, and its place in the operation. */
int decision_put(struct work *work, enum gate gate, const char *verdict, const char *id,
                 struct str json, struct err *err) MUST_CHECK;

/* Adds the accounts of a delegation and of all above it that are not open yet; says how many. */
int budget_open_chain(struct work *work, const struct delegation *delegation, size_t *ret_opened,
                      struct err *err) MUST_CHECK;
/* Adds the operation's account and its first reservation to the batch, below those. */
int budget_reserve(struct work *work, const struct delegation *delegation,
                   struct err *err) MUST_CHECK;
/* Adds the end of every reservation of the operation; `used` NULL: its process is gone. */
int budget_settle(struct work *work, const struct amounts *used, struct err *err) MUST_CHECK;
/* Adds more to what the operation may use in all. */
int budget_raise(struct work *work, enum dimension dimension, int64_t more,
                 struct err *err) MUST_CHECK;
/*
 * A draw was refused (`why`) for want of so much: 1 where a person has allowed more and the account
 * is raised; 0 where not, and `why` says who is asked, if somebody is; -errno.
 */
int top_up(struct work *work, enum dimension dimension, int64_t missing, struct err *why,
           struct err *err) MUST_CHECK;
void budget_urn(struct str holder, char ret[PLANE_URN_MAX]);

/*
 * A refusal that a person could lift: 1, it may be lifted now; 0, the refusal stands; -errno. Waits
 * no longer than until a moment.
 */
int standstill(struct work *work, struct refusal *refusal, int64_t until_ms,
               struct err *err) MUST_CHECK;
/* Takes the command `decide`. */
int decide_take(struct plane *plane, const yyjson_val *command, struct outcome *ret,
                struct err *err) MUST_CHECK;
/* Carries out the effect of a running operation and ends it. */
int finish_run(struct work *work, struct err *err) MUST_CHECK;
/* Ends an operation as failed, with its reservations. */
int finish_fail(struct work *work, const struct refusal *refusal, const struct amounts *used,
                struct err *err) MUST_CHECK;
/* Ends an operation that was being cancelled. */
int finish_canceled(struct work *work, const char *mode, struct str reason,
                    const struct amounts *used, struct err *err) MUST_CHECK;
void finish_outcome(const struct work *work, struct outcome *ret);

/* Ends one operation whose holder is gone. */
int recover_operation(struct plane *plane, struct str operation, struct recovered *ret,
                      struct err *err) MUST_CHECK;

/* --- effects ------------------------------------------------------------------------------- */

int effect_execution_cancel(void *context, struct work *work, struct effect_result *ret,
                            struct err *err);
int effect_tool_grant_apply(void *context, struct work *work, struct effect_result *ret,
                            struct err *err);
int effect_tool_grant_revoke(void *context, struct work *work, struct effect_result *ret,
                             struct err *err);
int effect_model_bind(void *context, struct work *work, struct effect_result *ret, struct err *err);
int effect_profile_create(void *context, struct work *work, struct effect_result *ret,
                          struct err *err);
int effect_diagnostics_export(void *context, struct work *work, struct effect_result *ret,
                              struct err *err);

/* Ends an effect as failed, and leaves nothing that it put into the batch. */
int effect_refuse(struct work *work, struct effect_result *ret, const struct err *why,
                  struct err *err) MUST_CHECK;
/* 1 with a document of the ledger and its revision, 0 where there is none, or -errno. */
int effect_stored(struct work *work, struct str id, yyjson_doc **ret, int64_t *ret_revision,
                  struct err *err) MUST_CHECK;
/*
 * Adds a document that the program has written itself to the batch: the document, the event that
 * binds it, and, if it is one, its place among the operation's artifacts. Tests hold it against its
 * schema.
 */
int effect_add(struct work *work, const char *type, struct str id, struct str json,
               struct err *err) MUST_CHECK;
/* Names a document of the ledger as this operation's artifact too. */
int effect_name(struct work *work, const char *type, struct str id, const char *digest,
                struct err *err) MUST_CHECK;
/*
 * Makes a document durable as an artifact of the operation, with what is in the batch, and
 * completes the effect. `revision` is the one that it takes the place of, or LEDGER_NEW. Where it
 * fails, effect_refuse is to follow.
 */
int effect_store(struct work *work, const char *type, struct str id, struct str json,
                 int64_t revision, struct effect_result *ret, struct err *err) MUST_CHECK;

static inline void cleanup_work(struct work **work)
{
    work_free(*work);
}

#endif
