/*
 * err: what went wrong, where and why, said once.
 *
 * A mechanism returns 0 or -errno. A module boundary takes a last
 * `struct err *`, which it leaves untouched on success and fills on failure;
 * the pointer may be NULL where the caller wants the return value alone.
 * Every domain error stands in the one table below with its JSON identifier,
 * the exit status a verb ends with, and the errno that functions return.
 */
#ifndef AM_BASE_ERR_H
#define AM_BASE_ERR_H

#include "base/base.h"
#include "base/str.h"

/*        code         JSON identifier       exit  errno         text                            */
#define ERR_TABLE(X)                                                                               \
    X(ERR_NONE, "none", 0, 0, "no error")                                                          \
    X(ERR_USAGE, "usage", 2, EINVAL, "the command line is wrong")                                  \
    X(ERR_SYNTAX, "invalid-syntax", 65, EBADMSG, "the text cannot be read")                        \
    X(ERR_DOCUMENT, "invalid-document", 65, EBADMSG, "the document is invalid")                    \
    X(ERR_SCHEMA, "invalid-schema", 65, EBADMSG, "the schema is invalid")                          \
    X(ERR_LIMIT, "limit-exceeded", 65, E2BIG, "a limit was exceeded")                              \
    X(ERR_NOT_FOUND, "not-found", 1, ENOENT, "it does not exist")                                  \
    X(ERR_IO, "input-output", 1, EIO, "reading or writing failed")                                 \
    X(ERR_MEMORY, "out-of-memory", 1, ENOMEM, "there is not enough memory")                        \
    X(ERR_UNSUPPORTED, "unsupported", 1, EOPNOTSUPP, "this host cannot do it")                     \
    X(ERR_CONFLICT, "conflict", 1, EEXIST, "it is otherwise by now")                               \
    X(ERR_DAMAGED, "damaged", 1, EBADF, "stored data is damaged")                                  \
    X(ERR_PENDING, "decision-pending", 75, EAGAIN, "a decision is pending")                        \
    X(ERR_DENIED, "denied", 77, EACCES, "denied")                                                  \
    X(ERR_BUDGET, "budget-exhausted", 78, EDQUOT, "a budget is exhausted")

enum err_code {
#define X(code, id, exit_status, error_number, text) code,
    ERR_TABLE(X)
#undef X
};

#define ERR_WHERE_MAX 512
#define ERR_CAUSE_MAX 1024

struct err {
    enum err_code code;
    const char *step;          /* static text: what was being done */
    char where[ERR_WHERE_MAX]; /* file, line, JSON Pointer; may be empty */
    char cause[ERR_CAUSE_MAX]; /* why it failed, and what to do next */
    /* Of what a rule refuses; see err_rule. */
    const char *rule, *kind; /* static text; NULL: no rule decided */
    char thing[ERR_WHERE_MAX];
    size_t why_len; /* of the cause's beginning that says why; 0: it is not told apart */
};

/* Both fill err, unless it is NULL, and return the code's -errno. */
int err_set(struct err *err, enum err_code code, const char *step, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* As err_set, for callers who take a format themselves. */
int err_setv(struct err *err, enum err_code code, const char *step, const char *format,
             va_list arguments) PRINTF_LIKE(4, 0);
/* As err_set with the text of error_number appended; returns -error_number. */
int err_set_errno(struct err *err, int error_number, const char *step, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Says where an error that is already set happened; outer callers replace inner places. */
void err_where(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);
/* Adds what to do about an error that is already set, told apart from why. */
void err_remedy(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);
/* Says which rule refuses what; the kind of the thing is a PolicyDecision's word. */
void err_about(struct err *err, const char *rule, const char *kind, struct str thing);
/* The same, and the cause ends in the rule's name: the last that is said. */
void err_rule(struct err *err, const char *rule, const char *kind, struct str thing);
/* Views of a cause: why, and what to do (empty where that is not told apart). */
struct str err_why(const struct err *err);
struct str err_to_do(const struct err *err);

const char *err_id(enum err_code code);
const char *err_text(enum err_code code);
int err_exit_status(enum err_code code);

#endif
