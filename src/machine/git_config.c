/*
 * git_config: sections, variables, quotes and comments, as git-config(1) says.
 *
 * Theory of operation. One reader goes over the text once. A section's header sets names that hold
 * until the next; a value ends at the line's end, outside quotes at a comment, goes on after a
 * backslash at the line's end, and loses the blanks around it. What is not of this form ends the
 * reading: git would refuse the file too.
 */
#include "machine/git_config.h"

struct reader {
    struct str text;
    size_t at;
    struct buf section, subsection, key, value;
};

static int peek(const struct reader *reader)
{
    return reader->at < reader->text.len ? (unsigned char)reader->text.ptr[reader->at] : EOF;
}

static int next(struct reader *reader)
{
    int c = peek(reader);
    if (c != EOF)
        reader->at++;
    return c;
}

static bool is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct reader *reader)
{
    while (is_blank(peek(reader)))
        reader->at++;
}

static void skip_line(struct reader *reader)
{
    reader->at = str_index(reader->text, '\n', reader->at);
}

static void read_word(struct reader *reader, struct buf *ret, bool dots)
{
    buf_reset(ret);
    while (is_word(peek(reader)) || (dots && peek(reader) == '.')) {
        int c = next(reader);
        buf_add_char(ret, (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c));
    }
}

static int read_header(struct reader *reader)
{
    read_word(reader, &reader->section, true);
    buf_reset(&reader->subsection);
    skip_blanks(reader);
    if (peek(reader) == '"') {
        reader->at++;
        for (int c = next(reader); c != '"'; c = next(reader)) {
            if (c == '\\')
                c = next(reader);
            if (c == EOF || c == '\n')
                return -EBADMSG;
            buf_add_char(&reader->subsection, (char)c);
        }
    }
    return next(reader) == ']' && reader->section.len ? 0 : -EBADMSG;
}

/* What a backslash makes of the next byte; EOF where that is no escape. A line's end is nothing. */
static int unescape(int c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case '\\':
    case '"':
        return c;
    }
    return EOF;
}

static int read_value(struct reader *reader)
{
    bool quoted = false;
    size_t kept = 0; /* without the blanks at the end */
    buf_reset(&reader->value);
    skip_blanks(reader);
    for (int c = next(reader); c != EOF && c != '\n'; c = next(reader)) {
        if (!quoted && (c == '#' || c == ';')) {
            skip_line(reader);
            break;
        }
        if (c == '"') {
            quoted = !quoted;
            continue;
        }
        bool escaped = c == '\\';
        if (escaped) {
            c = next(reader);
            if (c == '\r' && peek(reader) == '\n')
                c = next(reader);
            if (c == '\n')
                continue;
            c = unescape(c);
            if (c == EOF)
                return -EBADMSG;
        }
        buf_add_char(&reader->value, (char)c);
        if (quoted || escaped || !is_blank(c))
            kept = reader->value.len;
    }
    if (quoted)
        return -EBADMSG;
    if (!reader->value.error)
        buf_truncate(&reader->value, kept);
    return 0;
}

static int read_variable(struct reader *reader, git_config_visit *visit, void *context)
{
    int r = 0;
    read_word(reader, &reader->key, false);
    if (!reader->key.len || !reader->section.len)
        return -EBADMSG;
    skip_blanks(reader);
    if (peek(reader) == '=') {
        reader->at++;
        r = read_value(reader);
    } else {
        buf_reset(&reader->value);
        buf_add_text(&reader->value, "true");
        if (peek(reader) != '\n' && peek(reader) != EOF && peek(reader) != '#' &&
            peek(reader) != ';')
            return -EBADMSG;
    }
    const struct buf *parts[] = { &reader->section, &reader->subsection, &reader->key,
                                  &reader->value };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i]->error)
            return parts[i]->error == -ENOMEM ? -ENOMEM : -EBADMSG;
    }
    if (r == 0)
        visit(context, buf_str(&reader->section), buf_str(&reader->subsection),
              buf_str(&reader->key), buf_str(&reader->value));
    return r;
}

static int read_all(struct reader *reader, git_config_visit *visit, void *context)
{
    int r = 0;
    if (str_starts(reader->text, STR("\xef\xbb\xbf")))
        reader->at = 3;
    while (r == 0 && peek(reader) != EOF) {
        int c = peek(reader);
        if (is_blank(c) || c == '\n') {
            reader->at++;
        } else if (c == '#' || c == ';') {
            skip_line(reader);
        } else if (c == '[') {
            reader->at++;
            r = read_header(reader);
        } else {
            r = read_variable(reader, visit, context);
        }
    }
    return r;
}

int git_config_read(struct str text, git_config_visit *visit, void *context)
{
    struct reader reader = { .text = text,
                             .section = BUF_INIT_LIMIT(GIT_CONFIG_VALUE_MAX),
                             .subsection = BUF_INIT_LIMIT(GIT_CONFIG_VALUE_MAX),
                             .key = BUF_INIT_LIMIT(GIT_CONFIG_VALUE_MAX),
                             .value = BUF_INIT_LIMIT(GIT_CONFIG_VALUE_MAX) };
    int r = read_all(&reader, visit, context);
    buf_release(&reader.section);
    buf_release(&reader.subsection);
    buf_release(&reader.key);
    buf_release(&reader.value);
    return r;
}
