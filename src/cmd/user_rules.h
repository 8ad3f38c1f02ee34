/*
 * user_rules: rules that let destinations through for good, in the user's layer.
 *
 * They stand in one document of the user's folder, a FirewallBindingProfile
 * that holds nothing else. What is proposed is tried first, beside everything
 * that the layers say: a rule that would change nothing is left out, and why.
 */
#ifndef AM_CMD_USER_RULES_H
#define AM_CMD_USER_RULES_H

#include "base/buf.h"
#include "cmd/policy.h"

#define USER_RULES_FILE "allowed.json"
#define USER_RULES_MAX  200

/* What is to be let through, and what was found about it. Its texts are somebody else's. */
struct user_rule {
    struct str subject, destination; /* for whom; a host or an address */
    uint64_t port;                   /* 0: at any */
    struct str reason;
    enum { USER_RULE_HELPS, USER_RULE_NEEDLESS, USER_RULE_IN_VAIN } use;
    char why[VERDICT_TEXT_SIZE]; /* of one that is in vain: what else would have to change */
};

struct user_rules {
    char path[PLACE_SIZE + sizeof("/user/" USER_RULES_FILE)];
    struct buf before, after; /* the document as text; `before` is empty where there is none */
    size_t count;             /* of rules that help, and are in `after` */
};

/* Tries the rules one by one, in their order, and makes the document of those that help. */
int user_rules_propose(struct user_rule *rules, size_t count, struct user_rules *ret,
                       struct err *err) MUST_CHECK;
void user_rules_print_diff(const struct user_rules *rules, FILE *stream);
/* Puts the document in its place. ERR_CONFLICT where it has changed since. */
int user_rules_apply(const struct user_rules *rules, struct err *err) MUST_CHECK;
void user_rules_release(struct user_rules *rules);

static inline void cleanup_user_rules(struct user_rules *rules)
{
    user_rules_release(rules);
}

#endif
