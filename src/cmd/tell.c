/* tell: see the header. */
#include "cmd/tell.h"

static bool wants_colour(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (no_colour && no_colour[0])
        return false;
    return term && strcmp(term, "dumb") != 0 && isatty(fileno(stream));
}

const char *tell_colour(FILE *stream, enum colour colour)
{
    static const char *const escapes[] = {
        [COLOUR_GOOD] = "\033[32m",
        [COLOUR_BAD] = "\033[31m",
        [COLOUR_WARN] = "\033[33m",
        [COLOUR_DIM] = "\033[2m",
    };
    return wants_colour(stream) ? escapes[colour] : "";
}

const char *tell_colour_end(FILE *stream)
{
    return wants_colour(stream) ? "\033[0m" : "";
}

void tell_text(FILE *stream, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool is_control = *c < 0x20 || *c == 0x7f;
        bool is_c1 = *c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (is_control)
            fprintf(stream, "\\x%02x", *c);
        else if (is_c1)
            fprintf(stream, "\\x%02x", *++c);
        else
            fputc(*c, stream);
    }
}

int tell_error(const struct invocation *invocation, const struct err *err)
{
    fprintf(stderr, "agent-machine %s: ", invocation->path);
    tell_text(stderr, err->where);
    fprintf(stderr, "%s%s: ", err->where[0] ? ": " : "", err_text(err->code));
    tell_text(stderr, err->cause);
    fputc('\n', stderr);
    return err_exit_status(err->code);
}

int tell_usage(const char *path, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "agent-machine%s%s: ", path[0] ? " " : "", path);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry: agent-machine help%s%s\n", path[0] ? " " : "", path);
    return EXIT_USAGE;
}

void tell_age(int64_t seconds, char ret[TELL_AGE_SIZE])
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;
    while (i < ARRAY_LEN(units) - 1 && seconds < units[i].seconds)
        i++;
    snprintf(ret, TELL_AGE_SIZE, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
}
