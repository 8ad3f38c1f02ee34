/*
 * plane: the one way in which durable state changes.
 *
 * A surface hands an OperationCommand to the plane. The plane finds the
 * delegation under which it may act, asks the gates, sets the budget aside,
 * and only then lets the effect of the operation happen; each of these is
 * durable before what it permits. Surfaces read; nobody else writes.
 */
#ifndef AM_PLANE_PLANE_H
#define AM_PLANE_PLANE_H

#include <sys/types.h>
#include <yyjson.h>

#include "authority/verdict.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/vocabulary.h"
#include "ledger/ledger.h"

#define PLANE_URN_MAX           512 /* bytes, the NUL included */
#define PLANE_COMMAND_BYTES_MAX ((size_t)1 << 20)
#define PLANE_QUESTIONS_MAX     300 /* asked of the gates by one attempt */

struct layers_places;
struct plane;
struct work;

/* The part of a URN behind its type, which is what a person types. */
struct str urn_local(struct str urn);

/* --- what others plug in ------------------------------------------------------------------- */

/* What a gate is asked. */
struct gate_question {
    enum gate gate;
    const char *kind;    /* of the resource, as PolicyDecision names it */
    struct str name;     /* of the resource */
    const char *pointer; /* into the delegation: where it is delegated */
    struct str subject, workspace;
    struct str profile;       /* the machine profile that it runs under; may be empty */
    const yyjson_val *detail; /* of an image: reference, source, digest; else NULL */
    struct str digest;        /* of a tool's program, or of an image; may be empty */
};

/* What the layers say; they can only narrow what the delegation gives. */
struct gate_answer {
    enum answer answer; /* ANSWER_NOTHING: no layer says anything */
    enum layer layer;
    bool built_in; /* a rule of the program itself */
    char rule[200];
    char document[PLANE_URN_MAX]; /* may be empty */
    char pointer[VERDICT_POINTER_SIZE];
    char engine[PLANE_URN_MAX]; /* an external one that was asked too; may be empty */
    const char *engine_answer;  /* allow, ask, deny or unreachable */
    char reason[512];
    char smallest_change[512];
};
/* ANSWER_ASK: a person may have answered before; else one is asked, on a DecisionCard. */
typedef int plane_gate(void *context, const struct gate_question *question, struct gate_answer *ret,
                       struct err *err);

/* How an effect ended. */
struct effect_result {
    /* completed, completed_with_warnings (with a warning), failed, or canceled by its own process
     */
    enum state end;
    struct err failure; /* why, where it failed; of a cancel the cause is its reason */
    char warning[1024];
    struct amounts used; /* wall-clock seconds are measured by the plane */
};
/* Carries an operation out. -errno only where the plane itself failed: the ledger, memory. */
typedef int plane_effect(void *context, struct work *work, struct effect_result *ret,
                         struct err *err);

/*
 * Does to a change set what a person asked, once that is durable: applies it, or throws it away.
 * Says whether nothing of it is left. What fails leaves it as it was.
 */
typedef int plane_admission(void *context, bool *ret_whole, struct err *err);

/* The steps that are durable, in order; after each of them a crash may come. */
enum plane_step {
    PLANE_STEP_RUNNING, /* with all that permits it: command, delegation, verdicts, reservation */
    PLANE_STEP_STORED,
    PLANE_STEP_ENDED,
    PLANE_STEP_CANCELING,
    PLANE_STEP_RETRYING,
    PLANE_STEP_STALE,
    PLANE_STEP_WAITING,     /* for a decision, or for what somebody else has to bring */
    PLANE_STEP_RESERVED,    /* a further block of the budget was set aside */
    PLANE_STEP_COMPENSATED, /* an artifact was moved, or an effect was taken back */
    PLANE_STEP_ASKED,       /* a run was asked to pause, or to go on */
    PLANE_STEP_CARD,        /* a card was answered, or its time is over */
    PLANE_STEP_VERDICT,     /* a door has met something for the first time */
    PLANE_STEP_COUNT,
};

/* For whom an operation waits. */
struct standstill {
    struct plane *plane; /* which may be asked, and given other commands */
    struct str operation;
    enum state state;              /* awaiting_decision or blocked */
    const char *card;              /* of awaiting_decision */
    struct str missing_tool;       /* of blocked: what is not granted, */
    struct str subject, workspace; /* to whom, and where */
    const char *reason;            /* why it does not go on */
    const char *remediation;       /* what would let it go on */
};

struct plane_options {
    const char *state_folder, *config_folder; /* the ledger's; the user's key's */
    enum ledger_mode mode;
    plane_gate *gate; /* NULL: the layers of policy (gate_layers.h) */
    void *gate_context;
    /* Of those layers, outlives the plane; NULL: this user's, and of the folder it is in. */
    const struct layers_places *places;
    plane_effect *execution_start; /* NULL: a typed `unsupported` */
    /*
     * Called where gates and budget have their place in the batch and before it is durable, so that
     * what it adds (effect_add) stands with them. A result that is failed, or a negative return,
     * ends the operation so; then nothing of it remains. Called again where another process was
     * faster at something that both needed. NULL: nothing is added.
     */
    plane_effect *execution_prepare;
    void *effect_context;
    plane_admission *admission; /* NULL: a typed `unsupported` */
    void *admission_context;
    const char *enterprise_key; /* by which it delegates answering; NULL: the system's */
    uid_t enterprise_owner;     /* of that file */
    int64_t wait_ms; /* how long a command waits for a person; 0: what waits is denied for now */
    /*
     * Told while it waits: at once, whenever the ledger has moved, and every second. False: nobody
     * will answer, and it is denied for now. May be NULL.
     */
    bool (*waiting)(void *context, const struct standstill *standstill);
    void *waiting_context;
    /* Told of each card on which a person is asked from now on; may be NULL. */
    void (*asked)(void *context, const char *card);
    void *asked_context;
    void (*committed)(void *context, enum plane_step step); /* may be NULL: told of each step */
    void *committed_context;
};

int plane_open(const struct plane_options *options, struct plane **ret, struct err *err) MUST_CHECK;
void plane_close(struct plane *plane);
struct ledger *plane_ledger(struct plane *plane);

/* --- commands ------------------------------------------------------------------------------ */

/* A document that speaks beside those of the layers' folders, for this command alone. */
struct plane_addition {
    enum layer layer;
    const char *name; /* for verdicts */
    const yyjson_val *root;
};

/* The user's consent to a destination, or refusal, for this command alone. */
struct plane_choice {
    const char *destination;
    bool allow;
};

/* What the command's references lead to, for the delegation and the gates. */
struct plane_asks {
    struct str network_profile;
    const struct plane_addition *additions;
    const struct plane_choice *choices;
    size_t addition_count, choice_count;
    const struct str *providers, *mount_paths, *mount_semantics;
    const bool *mounts_by_profile; /* see delegation_request */
    size_t provider_count, mount_count;
    const char *tool_program;   /* the file that the tool surface starts; NULL: not known */
    const char *digests_folder; /* of digests of files that are known already */
    const struct amounts *most; /* what the user's own delegation may give; NULL: what is asked */
    const struct err *refused; /* by a rule, before anything was asked (err_about); NULL: nothing */
    /*
     * The command was written by this process itself (plane_write_…), and nothing in it but what
     * has been held against schema and rules already: it is not held against them again.
     */
    bool is_checked;
};

struct outcome {
    char operation[PLANE_URN_MAX];
    enum state state;
    bool repeated;      /* the same command was given before; nothing was done now */
    struct err failure; /* code ERR_NONE unless it failed */
    char remedy[512];   /* of that; may be empty */
};

/*
 * Takes an OperationCommand. 0 with the outcome once an operation stands in
 * the ledger, also where that operation failed: of the new one, or of the one
 * that the command acts on. Otherwise
 * nothing was recorded: ERR_DOCUMENT, ERR_SYNTAX, ERR_LIMIT the command is
 * wrong; ERR_CONFLICT the key is another command's, or the operation's state
 * forbids it; ERR_NOT_FOUND; ERR_UNSUPPORTED; or the ledger failed. `asks` may
 * be NULL.
 */
int plane_submit(struct plane *plane, struct str command, const struct plane_asks *asks,
                 struct outcome *ret, struct err *err) MUST_CHECK;

/* How an operation stands now; ERR_NOT_FOUND where there is none. */
int plane_outcome(struct plane *plane, struct str operation, struct outcome *ret,
                  struct err *err) MUST_CHECK;

/*
 * Append the command with which who runs this program cancels an operation (`grace_seconds` below
 * zero: the usual time), or tries it again.
 */
int plane_write_cancel(struct plane *plane, struct str operation, bool forced,
                       int64_t grace_seconds, struct str reason, struct buf *ret,
                       struct err *err) MUST_CHECK;
/* The submit of an operation by who runs this program; `parameters` are a JSON object. */
struct submission {
    enum operation_type type;
    struct str workspace, parameters;
    struct str compensates;             /* an operation; may be empty */
    struct str delegation, key, reason; /* may be empty; a type that needs a key is given one */
    struct str ceiling;                 /* a JSON object of amounts; may be empty */
};
int plane_write_submit(const struct submission *submission, struct buf *ret,
                       struct err *err) MUST_CHECK;
int plane_write_retry(struct plane *plane, struct str operation, struct buf *ret,
                      struct err *err) MUST_CHECK;
/* The same by the submit given anew, in all but its key; ERR_CONFLICT where it was another one. */
int plane_write_retry_of(struct plane *plane, struct str operation,
                         const struct submission *submission, struct buf *ret,
                         struct err *err) MUST_CHECK;

/* The command (`pause`, `resume`) about a run by who runs this program. */
int plane_write_control(struct plane *plane, const char *verb, struct str operation,
                        struct str reason, struct buf *ret, struct err *err) MUST_CHECK;
/*
 * The command that takes the effect of an operation back: a submit of the inverse operation, or an
 * admit by which an artifact leaves service. ERR_CONFLICT where there is nothing to take back.
 */
int plane_write_compensate(struct plane *plane, struct str operation, struct str reason,
                           struct buf *ret, struct err *err) MUST_CHECK;
/*
 * The command about the change set of a run by who runs this program: `activated` applies it,
 * `admitted` takes it elsewhere, `rejected` throws it away. ERR_CONFLICT where the run left none.
 */
struct change_set_request {
    struct str operation;
    enum admission to;
    const struct str *paths; /* these alone; none: all of it */
    size_t path_count;
    const struct str *held; /* what is held apart, and taken all the same */
    size_t held_count;
    struct str reason; /* may be empty */
};
int plane_write_change_set(struct plane *plane, const struct change_set_request *request,
                           struct buf *ret, struct err *err) MUST_CHECK;
/* The answer to a decision card by who runs this program. */
struct plane_answer {
    struct str card, option;
    struct str delegation, reason; /* may be empty */
    int64_t seconds, uses;         /* less than the option offers; 0: what it offers */
};
int plane_write_decide(struct plane *plane, const struct plane_answer *answer, struct buf *ret,
                       struct err *err) MUST_CHECK;

/* Ends what dead processes left; counts what was found. Cheap where there is nothing. */
struct recovered {
    size_t failed, canceled, resumed;
};
int plane_recover(struct plane *plane, struct recovered *ret, struct err *err) MUST_CHECK;

/* --- for effects --------------------------------------------------------------------------- */

struct plane *work_plane(const struct work *work);
const yyjson_val *work_command(const struct work *work);
struct str work_operation(const struct work *work);
/*
 * Takes an amount from what is set aside for this attempt, in memory; where that does not suffice,
 * a further block is set aside first, durably, with what is in the batch. ERR_BUDGET where a
 * ceiling forbids it, as ledger_reserve says it: a failure of the effect with this error names
 * dimension and account. What was drawn and not given back is charged at the end.
 */
int budget_draw(struct work *work, enum dimension dimension, int64_t amount,
                struct err *err) MUST_CHECK;
/* Less was used than was drawn. */
void budget_give_back(struct work *work, enum dimension dimension, int64_t amount);
/* What somebody else asks of an operation that runs. */
enum asked {
    ASKED_NOTHING, /* to run on, also after a pause */
    ASKED_PAUSE,
    ASKED_CANCEL,
    ASKED_CANCEL_FORCED, /* at once; also where it has been ended already */
    ASKED_REVOKED,       /* authority under which it runs was taken back: as a cancel */
};
struct work_asked {
    enum asked asked;
    char reason[512]; /* may be empty */
};
int work_control(struct work *work, struct work_asked *ret, struct err *err) MUST_CHECK;
/* Waits until it is something else than `known`, or the time is over. */
int work_control_wait(struct work *work, enum asked known, int timeout_ms, struct work_asked *ret,
                      struct err *err) MUST_CHECK;
/*
 * A descriptor for the effect's loop: readable when it is time to look (drain it, then
 * work_control). The work closes it.
 */
int work_doorbell(struct work *work, struct err *err) MUST_CHECK;

#endif
