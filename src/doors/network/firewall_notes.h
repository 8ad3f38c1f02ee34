/*
 * firewall_notes: what a rendered text does not say as it was meant.
 *
 * Each thing is said once. A note is one line of plain characters, for a
 * comment of any format and for a terminal alike.
 */
#ifndef AM_DOORS_NETWORK_FIREWALL_NOTES_H
#define AM_DOORS_NETWORK_FIREWALL_NOTES_H

#include "base/base.h"
#include "base/map.h"
#include "base/str.h"

#define FIREWALL_NOTES_MAX 50000

/* What becomes of a rule where it is not simply in the text. */
#define FIREWALL_EFFECT_TABLE(X)                                                                   \
    X(FIREWALL_LEFT_OUT, "left-out")   /* what it allows is not allowed there */                   \
    X(FIREWALL_STRICTER, "stricter")   /* it denies more, or allows less, than it says */          \
    X(FIREWALL_LOOSER, "looser")       /* it allows more than it says */                           \
    X(FIREWALL_NOT_HELD, "not-held")   /* what it denies is not denied there */                    \
    X(FIREWALL_ELSEWHERE, "elsewhere") /* it holds, by other means */                              \
    X(FIREWALL_WARNING, "warning")     /* has a name of its own in place of a rule's */

enum firewall_effect {
#define X(effect, name) effect,
    FIREWALL_EFFECT_TABLE(X)
#undef X
        FIREWALL_EFFECT_COUNT
};
extern const char *const firewall_effect_names[FIREWALL_EFFECT_COUNT];

struct firewall_note {
    enum firewall_effect effect;
    struct str rule, document; /* as the document has them; empty: of the whole plan */
    const char *reason;
    char *text; /* all of it in one line of plain characters; the reason is its end */
};

struct firewall_notes {
    struct firewall_note *of;
    size_t count, capacity, kept;
    struct map said;      /* the texts */
    bool shows_documents; /* there are several, and a rule's id alone does not tell */
    int error;            /* -ENOMEM or -E2BIG; sticky */
};

void firewall_notes_release(struct firewall_notes *notes);
/* What was said so far stays when the rest is forgotten. */
void firewall_notes_keep(struct firewall_notes *notes);
void firewall_notes_forget(struct firewall_notes *notes);
/* `rule` and `document` must outlive the notes. */
void firewall_notes_add(struct firewall_notes *notes, enum firewall_effect effect, struct str rule,
                        struct str document, const char *format, ...) PRINTF_LIKE(5, 6);
void firewall_notes_addv(struct firewall_notes *notes, enum firewall_effect effect, struct str rule,
                         struct str document, const char *format, va_list arguments)
    PRINTF_LIKE(5, 0);

#endif
