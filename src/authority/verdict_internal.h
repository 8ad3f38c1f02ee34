/* verdict_internal: the layers' answers and the words about them, for hosts and for gates. */
#ifndef AM_AUTHORITY_VERDICT_INTERNAL_H
#define AM_AUTHORITY_VERDICT_INTERNAL_H

#include "authority/policy.h"

/* What the layers answer to one question. */
struct answers {
    const struct compiled_rule *layers[LAYER_COUNT]; /* the rule that decides; NULL: nothing */
    const struct compiled_rule *model_host;          /* the built-in rule, where it holds */
    bool observed;                                   /* an observing document denies */
    bool named; /* a rule names the special address, and does not deny it */
    bool some_ports, log_only, tls;
};

/* Units that have decided. */
#define SEEN_WORD_BITS 64
#define SEEN_WORDS     ((POLICY_UNITS_MAX + SEEN_WORD_BITS - 1) / SEEN_WORD_BITS)
struct seen {
    uint64_t words[SEEN_WORDS];
};

static inline void seen_clear(struct seen *seen, const struct policy *policy)
{
    memset(seen->words, 0,
           (policy->unit_count + SEEN_WORD_BITS - 1) / SEEN_WORD_BITS * sizeof(uint64_t));
}

static inline bool seen_has(const struct seen *seen, uint32_t unit)
{
    return seen->words[unit / SEEN_WORD_BITS] >> (unit % SEEN_WORD_BITS) & 1;
}

static inline void seen_set(struct seen *seen, uint32_t unit)
{
    seen->words[unit / SEEN_WORD_BITS] |= (uint64_t)1 << (unit % SEEN_WORD_BITS);
}

/* Text that is cut where there is no more room. */
struct text {
    char *at, *end;
};

static inline struct text text_begin(char *buffer, size_t size)
{
    return (struct text){ buffer, buffer + size - 1 };
}

void text_add(struct text *text, struct str s);
#define ADD(text, literal) text_add((text), STR(literal))

/* The layers' own answers about a host, as a door asks; 1, or 0 where it is no host at all. */
int verdict_ask_host(const struct policy *policy, const struct policy_destination *destination,
                     struct answers *ret, struct err *err) MUST_CHECK;
enum answer verdict_answer_of(const struct answers *answers, int layer);
/* Whether the conflict policy lets a layer's answer count beside the others'. */
bool verdict_counts(const struct policy *policy, const struct answers *answers, int layer);
/* The layer whose answer holds; LAYER_COUNT where all are silent. *ret is the answer. */
int verdict_combine(const struct policy *policy, const struct answers *answers, enum answer *ret);

void verdict_clear(struct verdict *verdict);
void verdict_fill_layers(const struct policy *policy, const struct answers *answers,
                         struct verdict *verdict);
void verdict_deny_unreadable(const struct policy *policy, struct verdict *verdict);
/* A rule of the program itself denies. */
void verdict_deny_built_in(struct verdict *verdict, struct str rule, struct str reason,
                           struct str change);
/* Fills what decided, and the reason. */
void verdict_tell_layer(const struct policy *policy, const struct answers *answers, int layer,
                        struct verdict *verdict);
void verdict_add_place(struct text *text, const struct policy *policy,
                       const struct compiled_rule *rule);

#endif
