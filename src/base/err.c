/* err: one table of every domain error; see the header for the contract. */
#include "base/err.h"

struct err_row {
    const char *id;
    int exit_status;
    int error_number;
    const char *text;
};

static const struct err_row rows[] = {
#define X(code, id, exit_status, error_number, text)                                               \
    [code] = { id, exit_status, error_number, text },
    ERR_TABLE(X)
#undef X
};

static void __attribute__((format(printf, 4, 0)))
fill(struct err *err, enum err_code code, const char *step, const char *format, va_list arguments)
{
    err->code = code;
    err->step = step;
    err->where[0] = err->thing[0] = '\0';
    err->rule = err->kind = NULL;
    err->why_len = 0;
    vsnprintf(err->cause, sizeof(err->cause), format, arguments);
}

int err_set(struct err *err, enum err_code code, const char *step, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        fill(err, code, step, format, arguments);
        va_end(arguments);
    }
    return -rows[code].error_number;
}

int err_setv(struct err *err, enum err_code code, const char *step, const char *format,
             va_list arguments)
{
    if (err)
        fill(err, code, step, format, arguments);
    return -rows[code].error_number;
}

static enum err_code code_of_errno(int error_number)
{
    if (error_number == ENOMEM)
        return ERR_MEMORY;
    if (error_number == ENOENT || error_number == ENOTDIR)
        return ERR_NOT_FOUND;
    if (error_number == EMSGSIZE || error_number == E2BIG || error_number == EFBIG)
        return ERR_LIMIT;
    return ERR_IO;
}

int err_set_errno(struct err *err, int error_number, const char *step, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        fill(err, code_of_errno(error_number), step, format, arguments);
        va_end(arguments);
        size_t used = strlen(err->cause);
        snprintf(err->cause + used, sizeof(err->cause) - used, ": %s", strerror(error_number));
    }
    return -error_number;
}

void err_where(struct err *err, const char *format, ...)
{
    if (!err)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->where, sizeof(err->where), format, arguments);
    va_end(arguments);
}

void err_remedy(struct err *err, const char *format, ...)
{
    if (!err)
        return;
    size_t used = err->why_len = strlen(err->cause);
    va_list arguments;
    used += (size_t)snprintf(err->cause + used, sizeof(err->cause) - used, "; ");
    if (used >= sizeof(err->cause))
        return;
    va_start(arguments, format);
    vsnprintf(err->cause + used, sizeof(err->cause) - used, format, arguments);
    va_end(arguments);
}

void err_about(struct err *err, const char *rule, const char *kind, struct str thing)
{
    if (!err)
        return;
    err->rule = rule;
    err->kind = kind;
    snprintf(err->thing, sizeof(err->thing), "%.*s", STR_ARG(thing));
}

void err_rule(struct err *err, const char *rule, const char *kind, struct str thing)
{
    if (!err)
        return;
    size_t used = strlen(err->cause), room = sizeof(err->cause) - strlen(rule) - sizeof(" []");
    used = used < room ? used : room; /* the rule is told, whatever else is */
    snprintf(err->cause + used, sizeof(err->cause) - used, " [%s]", rule);
    err_about(err, rule, kind, thing);
}

/* What stands before the rule. */
static struct str told(const struct err *err)
{
    struct str cause = str_from(err->cause);
    size_t open = cause.len;
    while (err->rule && open > 0 && cause.ptr[open - 1] != '[')
        open--;
    struct str last = str_from_offset(cause, open);
    if (err->rule && open > 1 && last.len == strlen(err->rule) + 1 &&
        str_starts(last, str_from(err->rule)))
        cause.len = open - strlen(" [");
    return cause;
}

struct str err_why(const struct err *err)
{
    struct str why = told(err);
    if (err->why_len && err->why_len < why.len)
        why.len = err->why_len;
    return why;
}

struct str err_to_do(const struct err *err)
{
    return err->why_len ? str_from_offset(told(err), err->why_len + strlen("; ")) : STR("");
}

const char *err_id(enum err_code code)
{
    return rows[code].id;
}

const char *err_text(enum err_code code)
{
    return rows[code].text;
}

int err_exit_status(enum err_code code)
{
    return rows[code].exit_status;
}
