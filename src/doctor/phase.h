/*
 * phase: how far a boot and its session have come.
 *
 * What was seen of the machine (phase_look.h) is a set of facts; the phase is
 * derived from them alone, by the first row of one table that fits. A
 * component whose contract asks for a later phase is blocked, with words that
 * tell a person what to do.
 */
#ifndef AM_DOCTOR_PHASE_H
#define AM_DOCTOR_PHASE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* The first four follow one another; the last two stand outside of that order. */
#define PHASE_TABLE(X)                                                                             \
    X(PHASE_SEALED_BOOT, "sealed-boot")                                                            \
    X(PHASE_PRE_LOGIN, "pre-login")                                                                \
    X(PHASE_POST_LOGIN_LOCKED, "post-login-locked")                                                \
    X(PHASE_UNLOCKED_USER_SESSION, "unlocked-user-session")                                        \
    X(PHASE_DEGRADED_SESSION, "degraded-session")                                                  \
    X(PHASE_RECOVERY_SESSION, "recovery-session")

#define PHASE_VERDICT_TABLE(X)                                                                     \
    X(PHASE_READY, "ready")                                                                        \
    X(PHASE_NOT_READY, "not-ready")                                                                \
    X(PHASE_DEGRADED, "degraded")                                                                  \
    X(PHASE_RECOVERY_ONLY, "recovery-only")                                                        \
    X(PHASE_UNKNOWN, "unknown")

#define PHASE_ENUM(name, text) name,
enum phase { PHASE_TABLE(PHASE_ENUM) PHASE_COUNT };
enum phase_verdict { PHASE_VERDICT_TABLE(PHASE_ENUM) PHASE_VERDICT_COUNT };
#undef PHASE_ENUM
extern const char *const phase_names[PHASE_COUNT];
extern const char *const phase_verdict_names[PHASE_VERDICT_COUNT];

/* --- facts --------------------------------------------------------------------------------- */

enum boot_fact { BOOT_UNSEEN, BOOT_STARTING, BOOT_UP, BOOT_STOPPING };
enum session_fact { SESSION_UNSEEN, SESSION_NONE, SESSION_GREETER, SESSION_USER, SESSION_CLOSING };
/* LOCK_NOBODY: nothing on this host locks a session. */
enum lock_fact { LOCK_UNSEEN, LOCK_NOBODY, LOCK_OPEN, LOCK_LOCKED };
enum keyring_fact { KEYRING_UNSEEN, KEYRING_ABSENT, KEYRING_OPEN, KEYRING_LOCKED };

struct phase_facts {
    enum boot_fact boot;
    bool recovery; /* the machine was started, or turned, to be repaired */
    enum session_fact session;
    bool is_graphical;
    bool bus_is_silent; /* the session names a bus that does not answer */
    enum lock_fact lock;
    enum keyring_fact keyring; /* the user's secrets */
};

#define PHASE_TEXT_MAX     256
#define PHASE_EVIDENCE_MAX 16
#define PHASE_NAMES_MAX    64

/* One thing that was looked at. */
struct phase_evidence {
    const char *fact;          /* which of the facts it speaks for */
    char ref[PHASE_TEXT_MAX];  /* where: a file, a name on a bus */
    char seen[PHASE_TEXT_MAX]; /* what was there */
    bool unseen;               /* it could not be looked at, and `seen` says why */
};

struct phase_sight {
    struct phase_facts facts;
    char boot_id[64];
    char session_id[64]; /* "none" where there is no session */
    struct phase_evidence evidence[PHASE_EVIDENCE_MAX];
    size_t evidence_count;
    char keyrings[PHASE_NAMES_MAX][64]; /* open ones */
    size_t keyring_count;
    char portals[PHASE_NAMES_MAX][64]; /* that answer */
    size_t portal_count;
    int64_t at_ms;
};

void phase_see(struct phase_sight *sight, const char *fact, const char *ref, const char *format,
               ...) PRINTF_LIKE(4, 5);
/* The same for what could not be looked at. */
void phase_miss(struct phase_sight *sight, const char *fact, const char *ref, const char *format,
                ...) PRINTF_LIKE(4, 5);

/* --- what follows from them ---------------------------------------------------------------- */

struct phase_finding {
    enum phase phase;
    enum phase_verdict verdict;
    const char *reason; /* a sentence */
    const char *hint;   /* what a person can do to get further; NULL: nothing to do */
};

struct phase_finding phase_derive(const struct phase_facts *facts);

/* What a phase means for a component that asks for at least another one. */
enum phase_answer { PHASE_ALLOWED, PHASE_ALLOWED_DEGRADED, PHASE_BLOCKED };
enum phase_answer phase_permits(enum phase now, enum phase minimum);
/* Whether whoever waits for a phase need not wait on. */
bool phase_is_reached(enum phase now, enum phase wanted);

struct phase_component {
    struct str ref;
    enum phase minimum;
};

/* Appends a BootSessionPhaseState. */
int phase_write(const struct phase_sight *sight, const struct phase_component *components,
                size_t component_count, struct buf *ret, struct err *err) MUST_CHECK;

#endif
