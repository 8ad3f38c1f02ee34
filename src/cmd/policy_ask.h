/* policy_ask: one thing that a policy is asked about, from the words of a person. */
#ifndef AM_CMD_POLICY_ASK_H
#define AM_CMD_POLICY_ASK_H

#include "authority/gate.h"
#include "cmd/policy.h"

/* Beside hosts: tool, model, network, path, image. */
#define POLICY_WORD_COUNT GATE_COUNT
extern const char *const policy_words[POLICY_WORD_COUNT]; /* by gate */

struct policy_asked {
    bool of_gate;
    struct policy_destination destination; /* of a host */
    const char *resolved;                  /* an address that it resolved to; may be NULL */
    enum gate gate;                        /* of another thing */
    char name[GATE_NAME_MAX + 1];
};

/* HOST, HOST:PORT, [ADDRESS]:PORT, or an IPv6 address without brackets; it must outlive what is
 * read. */
int policy_asked_host(const char *text, struct policy_asked *ret, struct err *err) MUST_CHECK;
int policy_asked_protocol(const char *text, struct policy_asked *ret, struct err *err) MUST_CHECK;
/* A URN or its last part; a path, from the current folder on; an image. */
int policy_asked_thing(enum gate gate, struct str value, struct policy_asked *ret,
                       struct err *err) MUST_CHECK;

/* "host" or one of the words; and what was asked about under it. */
const char *policy_asked_word(const struct policy_asked *asked);
struct str policy_asked_name(const struct policy_asked *asked);

/* Where a connection to a host would lead; false where it is no host at all. */
bool policy_asked_target(const struct policy_asked *asked, struct target *ret);

/* A host is denied too where the way to it cannot be gone. */
int policy_ask(const struct loaded_policy *loaded, const struct policy_request *request,
               const struct policy_asked *asked, struct verdict *ret, struct err *err) MUST_CHECK;

/* Prints the verdict on one thing and the way to it; the exit status says which it is. */
int policy_explain(const struct invocation *invocation, const struct policy_request *request,
                   const struct policy_asked *asked, bool as_json);

/* Prints a text that others wrote, cut where it is long. */
void policy_tell_str(struct str text);
/* Appends a member of a JSON object; the first one follows its `{`. */
void policy_add_member(struct buf *out, const char *name, struct str value);

#endif
