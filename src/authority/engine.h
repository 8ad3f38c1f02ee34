/*
 * engine: a policy engine of somebody else's, behind a gate.
 *
 * A layer names a command or a Unix socket. It is given one line of JSON:
 *
 *     {"specVersion":"1.0.0","gate":"toolGrant","name":"urn:srcos:…",
 *      "subjectRef":"urn:srcos:…","workspaceRef":"urn:srcos:…",
 *      "answer":"allow","policyDigest":"sha256:…"}
 *
 * (for an image also its digest, where one is known) and answers one line:
 *
 *     {"answer":"deny","reason":"Not on this branch."}
 *
 * within its time. `answer` is what the layers say; the engine can only narrow
 * it. What does not answer, or answers anything else, denies, by name.
 */
#ifndef AM_AUTHORITY_ENGINE_H
#define AM_AUTHORITY_ENGINE_H

#include "authority/gate.h"

#define ENGINE_ANSWER_BYTES_MAX 4096

struct engine_request {
    const struct gate_thing *thing;
    struct str subject, workspace; /* may be empty */
};

/* What a PolicyDecision says of it; `reference` is empty where none was asked. */
struct engine_record {
    char reference[GATE_NAME_MAX];
    const char *answer; /* allow, ask, deny or unreachable */
};

/*
 * Asks the engines of the gate, those of the highest layer first, until one denies; the verdict
 * becomes narrower, or stays. -errno only where there is no memory to ask.
 */
int policy_ask_engines(const struct policy *policy, const struct engine_request *request,
                       struct verdict *verdict, struct engine_record *ret,
                       struct err *err) MUST_CHECK;
/* Whether a gate has an engine behind it. */
bool policy_has_engine(const struct policy *policy, enum gate gate);

/* The line that an engine answers; ERR_DENIED says what is wrong with it. */
struct engine_reply {
    enum answer answer;
    char reason[GATE_REASON_MAX + 1]; /* may be empty */
};
int engine_read_reply(struct str text, struct engine_reply *ret, struct err *err) MUST_CHECK;

#endif
