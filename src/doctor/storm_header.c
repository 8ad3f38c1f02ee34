/*
 * storm_header: a header is read from the left, part by part, as far as it goes.
 *
 * Theory of operation. After the time come, in this order and each only if it
 * is there: a host, a level, a bracket with what runs (a thread, a process), a
 * name with its process (`sshd[123]:`). A name counts only where a colon
 * follows it, so that the first word of a message is not taken for one.
 *
 * Threats: any bytes. Everything is a view into the line; nothing is copied,
 * and each part is looked for within HEADER_PART_MAX bytes.
 */
#include "doctor/storm_header.h"

#include <strings.h>

#define HEADER_PART_MAX ((size_t)128)
#define LEVEL_MIN       3 /* letters of a level's name */
#define LEVEL_MAX       11

const char *const storm_severity_names[STORM_SEVERITY_COUNT] = {
    [STORM_DEBUG] = "debug", [STORM_INFO] = "info",         [STORM_WARN] = "warn",
    [STORM_ERROR] = "error", [STORM_CRITICAL] = "critical",
};

static const struct {
    const char *word;
    enum storm_severity severity;
} level_words[] = {
    { "debug", STORM_DEBUG },    { "trace", STORM_DEBUG },        { "verbose", STORM_DEBUG },
    { "info", STORM_INFO },      { "information", STORM_INFO },   { "notice", STORM_INFO },
    { "default", STORM_INFO },   { "activity", STORM_INFO },      { "warn", STORM_WARN },
    { "warning", STORM_WARN },   { "error", STORM_ERROR },        { "err", STORM_ERROR },
    { "severe", STORM_ERROR },   { "failure", STORM_ERROR },      { "critical", STORM_CRITICAL },
    { "crit", STORM_CRITICAL },  { "fatal", STORM_CRITICAL },     { "alert", STORM_CRITICAL },
    { "emerg", STORM_CRITICAL }, { "emergency", STORM_CRITICAL }, { "panic", STORM_CRITICAL },
    { "fault", STORM_CRITICAL },
};

/* The letters that levels begin with, as bits from 'a' on. */
#define LETTER(c) (1u << ((c) - 'a'))
#define LEVEL_LETTERS                                                                              \
    (LETTER('a') | LETTER('c') | LETTER('d') | LETTER('e') | LETTER('f') | LETTER('i') |           \
     LETTER('n') | LETTER('p') | LETTER('s') | LETTER('t') | LETTER('v') | LETTER('w'))

bool storm_severity_read(struct str word, enum storm_severity *ret)
{
    if (word.len < LEVEL_MIN || word.len > LEVEL_MAX)
        return false;
    unsigned letter = (unsigned)(word.ptr[0] | 0x20) - 'a';
    if (letter >= 26 || !(LEVEL_LETTERS >> letter & 1))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(level_words); i++) {
        if ((word.ptr[0] | 0x20) == level_words[i].word[0] &&
            strncasecmp(level_words[i].word, word.ptr, word.len) == 0 &&
            !level_words[i].word[word.len]) {
            *ret = level_words[i].severity;
            return true;
        }
    }
    return false;
}

enum storm_severity storm_severity_of_priority(unsigned priority)
{
    static const enum storm_severity severities[8] = {
        STORM_CRITICAL, STORM_CRITICAL, STORM_CRITICAL, STORM_ERROR,
        STORM_WARN,     STORM_INFO,     STORM_INFO,     STORM_DEBUG,
    };
    return severities[priority & 7];
}

/* --- parts ---------------------------------------------------------------------------------- */

static bool is_name_char(char c)
{
    static const bool names[256] = {
        ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['_'] = true,
        ['.'] = true,         ['-'] = true,         ['/'] = true,         ['$'] = true,
        ['@'] = true,         ['('] = true,         [')'] = true,
    };
    return names[(unsigned char)c];
}

static void skip_blanks(struct str *rest)
{
    while (rest->len && (*rest->ptr == ' ' || *rest->ptr == '\t'))
        *rest = str_from_offset(*rest, 1);
}

static struct str next_word(struct str rest)
{
    size_t len = 0;
    while (len < rest.len && len < HEADER_PART_MAX && rest.ptr[len] != ' ' && rest.ptr[len] != '\t')
        len++;
    return str_make(rest.ptr, len);
}

/* Digits alone: their number; else 0. */
static uint32_t number_of(struct str text)
{
    uint32_t number = 0;
    if (text.len == 0 || text.len > 9)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return 0;
        number = number * 10 + digit;
    }
    return number;
}

/* "<34>" and, in RFC 5424, the version behind it. */
static size_t priority_end(struct str line, unsigned *ret)
{
    if (line.len < 3 || line.ptr[0] != '<')
        return 0;
    size_t close = str_index(str_make(line.ptr, line.len < 5 ? line.len : 5), '>', 0);
    if (close < 2 || close == line.len || close > 4)
        return 0;
    struct str digits = str_make(line.ptr + 1, close - 1);
    uint32_t number = number_of(digits);
    if (number > 191 || (number == 0 && !str_equal(digits, STR("0"))))
        return 0;
    *ret = number;
    size_t end = close + 1;
    if (str_starts(str_from_offset(line, end), STR("1 ")))
        end += 2;
    return end;
}

/* "name:", "name[123]:", "name(part)[123]:" at the start of the rest. */
static bool take_component(struct str *rest, struct storm_event *event)
{
    size_t len = 0, end;
    while (len < rest->len && len < HEADER_PART_MAX && is_name_char(rest->ptr[len]))
        len++;
    if (len == 0 || number_of(str_make(rest->ptr, len)))
        return false;
    uint32_t pid = 0;
    end = len;
    if (end < rest->len && rest->ptr[end] == '[') {
        size_t close = str_index(*rest, ']', end);
        if (close == rest->len || close - end > HEADER_PART_MAX)
            return false;
        pid = number_of(str_make(rest->ptr + end + 1, close - end - 1));
        end = close + 1;
    }
    struct str behind = str_from_offset(*rest, end);
    if (!str_starts(behind, STR(": ")) && !(behind.len == 1 && behind.ptr[0] == ':'))
        return false;
    event->component = str_make(rest->ptr, len);
    event->pid = pid ? pid : event->pid;
    *rest = str_from_offset(*rest, end + 1);
    return true;
}

static const bool level_ends[256] = {
    [']'] = true, ['>'] = true, [':'] = true, ['|'] = true, [','] = true,
};

/* A level, bare or in brackets, with a colon, a bar or a dash behind it or without. */
static bool take_level(struct str *rest, struct storm_event *event)
{
    struct str word = next_word(*rest);
    size_t used = word.len;
    if (word.len > 2 && (word.ptr[0] == '[' || word.ptr[0] == '<'))
        word = str_make(word.ptr + 1, word.len - 1);
    while (word.len && level_ends[(unsigned char)word.ptr[word.len - 1]])
        word.len--;
    size_t dot = str_index(word, ':', 0); /* Apache: "[core:error]" */
    if (dot < word.len)
        word = str_from_offset(word, dot + 1);
    if (!storm_severity_read(word, &event->severity))
        return false;
    event->has_severity = true;
    *rest = str_from_offset(*rest, used);
    return true;
}

/* "[main]", "[pid 123]": what runs. The message of a line without more begins behind it. */
static bool take_bracket(struct str *rest, struct storm_event *event)
{
    if (!rest->len || *rest->ptr != '[')
        return false;
    size_t close = str_index(*rest, ']', 0);
    if (close == rest->len || close > HEADER_PART_MAX)
        return false;
    struct str inner = str_make(rest->ptr + 1, close - 1);
    if (str_starts(inner, STR("pid ")))
        inner = str_from_offset(inner, 4);
    uint32_t pid = number_of(inner);
    bool plain = inner.len > 0;
    for (size_t i = 0; i < inner.len; i++)
        plain &= is_name_char(inner.ptr[i]) || inner.ptr[i] == '#' || inner.ptr[i] == ':';
    struct str behind = str_from_offset(*rest, close + 1);
    skip_blanks(&behind);
    /* A thread's name may be anything, if a component follows it. */
    if (!plain && !take_component(&behind, event))
        return false;
    event->pid = pid ? pid : event->pid;
    *rest = plain ? str_from_offset(*rest, close + 1) : behind;
    return true;
}

static bool take_dash(struct str *rest)
{
    if (!str_starts(*rest, STR("- ")) && !str_starts(*rest, STR("| ")))
        return false;
    *rest = str_from_offset(*rest, 2);
    return true;
}

/* RFC 5424: host, application, process, message id, structured data. */
static void read_5424(struct str rest, struct storm_event *event)
{
    struct str part[4];
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        skip_blanks(&rest);
        part[i] = next_word(rest);
        rest = str_from_offset(rest, part[i].len);
    }
    skip_blanks(&rest);
    if (!str_equal(part[1], STR("-")))
        event->component = part[1];
    event->pid = number_of(part[2]);
    if (str_starts(rest, STR("-"))) {
        rest = str_from_offset(rest, 1);
    } else {
        while (rest.len && *rest.ptr == '[') {
            size_t close = str_index(rest, ']', 0);
            while (close > 0 && close < rest.len && rest.ptr[close - 1] == '\\')
                close = str_index(rest, ']', close + 1);
            rest = str_from_offset(rest, close + 1);
        }
    }
    skip_blanks(&rest);
    event->message = rest;
}

/* macOS: "0x1f3 Default 0x0 123 0 name: (library) [subsystem:category] message". */
static bool read_unified(struct str rest, struct storm_event *event)
{
    struct str part[5];
    if (!str_starts(rest, STR("0x")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        skip_blanks(&rest);
        part[i] = next_word(rest);
        rest = str_from_offset(rest, part[i].len);
    }
    skip_blanks(&rest);
    if (!str_starts(part[2], STR("0x")) || !storm_severity_read(part[1], &event->severity))
        return false;
    event->has_severity = true;
    event->pid = number_of(part[3]);
    size_t colon = str_index(rest, ':', 0);
    if (colon > HEADER_PART_MAX || colon == rest.len)
        return false;
    event->component = str_make(rest.ptr, colon);
    event->message = str_from_offset(rest, colon + 1);
    skip_blanks(&event->message);
    return true;
}

/* "[   12.345678]" is how the kernel writes it, and only there no host and no name follow. */
static bool is_kernel_time(struct str time)
{
    size_t digits = 0, dots = 0;
    for (size_t i = 1; i + 1 < time.len; i++) {
        digits += time.ptr[i] >= '0' && time.ptr[i] <= '9' && !dots;
        dots += time.ptr[i] == '.';
        if (!strchr(" .0123456789", time.ptr[i]))
            return false;
    }
    return time.len > 2 && time.ptr[0] == '[' && dots == 1 && digits < 10;
}

/* What follows a time in a line that is neither RFC 5424 nor macOS. */
static void read_common(struct str rest, struct storm_event *event)
{
    bool dashed = take_dash(&rest), levelled = take_level(&rest, event);
    skip_blanks(&rest);
    if (!levelled && !dashed && !take_component(&rest, event)) {
        struct str host = next_word(rest), behind = str_from_offset(rest, host.len);
        skip_blanks(&behind);
        /* A host only where a component follows it. */
        if (host.len && is_name_char(host.ptr[0]) && take_component(&behind, event))
            rest = behind;
    }
    skip_blanks(&rest);
    while (!event->component.len && (take_bracket(&rest, event) || take_dash(&rest)))
        skip_blanks(&rest);
    if (!levelled)
        (void)take_level(&rest, event);
    skip_blanks(&rest);
    if (!event->component.len)
        (void)take_component(&rest, event);
    skip_blanks(&rest);
    event->message = rest;
}

/* --- lines ---------------------------------------------------------------------------------- */

bool storm_header_time(struct storm_time_reader *reader, struct str line, int64_t *ret_ms,
                       size_t *ret_end)
{
    unsigned priority;
    size_t start = line.len && line.ptr[0] == '<' ? priority_end(line, &priority) : 0, len;
    if (!storm_time_read(reader, str_from_offset(line, start), ret_ms, &len))
        return false;
    *ret_end = start + len;
    return true;
}

void storm_header_read(struct storm_time_reader *reader, struct str line, struct storm_event *ret)
{
    struct storm_event event = { .message = line };
    unsigned priority = 0;
    size_t start = priority_end(line, &priority), end = start;
    if (start) {
        event.severity = storm_severity_of_priority(priority);
        event.has_severity = true;
    }
    event.has_time = storm_header_time(reader, line, &event.time_ms, &end);
    struct str rest = str_from_offset(line, event.has_time ? end : start);
    skip_blanks(&rest);
    bool is_5424 = start > 2 && line.ptr[start - 1] == ' ';
    if (event.has_time && is_kernel_time(str_make(line.ptr + start, end - start))) {
        event.component = STR("kernel");
        event.message = rest;
    } else if (is_5424)
        read_5424(rest, &event);
    else if (!read_unified(rest, &event))
        read_common(rest, &event);
    /* A line that is nothing but its header is a message all the same. */
    if (!event.message.len)
        event.message = rest.len ? rest : line;
    *ret = event;
}
