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
    err->where[0] = '\0';
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
