/*
 * storm_mask: what stays of a log message when its values are taken out.
 *
 * A form is a message as a row of tokens, in which each value (a number, an
 * identifier, an address, a path, a date) is STORM_BLANK. Two messages that
 * were written by the same statement of a program mostly have the same form.
 * Nothing is allocated, nothing is kept, and every input has a form.
 */
#ifndef AM_DOCTOR_STORM_MASK_H
#define AM_DOCTOR_STORM_MASK_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define STORM_MESSAGE_BYTES_MAX ((size_t)4096) /* of a message that are looked at */
#define STORM_TOKENS_MAX        96             /* of a message that are kept */
#define STORM_TEXT_BYTES_MAX    ((size_t)1024) /* of all tokens together */
#define STORM_WORD_BYTES_MAX    ((size_t)96)   /* what is longer is a value */

/* Stands in a form's text for a value. It occurs in no message: control characters are blanks. */
#define STORM_BLANK '\x01'
/* How a value is written in a template. */
#define STORM_BLANK_TEXT "<*>"

struct storm_token {
    uint64_t hash;   /* of its text */
    uint16_t offset; /* in the form's text */
    uint8_t len;
    bool spaced : 1;   /* a blank stands before it */
    bool blank : 1;    /* it is a value and nothing else */
    bool quantity : 1; /* a value that had a unit */
    bool word : 1;     /* it has a letter in it, so that it may yet turn out to be a value */
    bool state : 1;    /* a word in capitals: the name of a state and no value */
};

struct storm_form {
    uint16_t count;
    uint16_t text_len;
    bool cut; /* there was more than fits */
    struct storm_token tokens[STORM_TOKENS_MAX];
    char text[STORM_TEXT_BYTES_MAX];
};

/* The hash of the token that is a value and nothing else. */
uint64_t storm_blank_hash(void);

/* Much of its beginning is control characters: then what is in it is not looked at. */
bool storm_is_binary(struct str message);

void storm_mask(struct str message, struct storm_form *ret);

/* Appends tokens as a person reads them: values as STORM_BLANK_TEXT, blanks where there were any.
 */
void storm_add_template(struct buf *out, const struct storm_token *tokens, size_t count,
                        const char *text, bool cut);

#endif
