/*
 * interpreter: see the header.
 *
 * A script's first line is `#!`, a path, and at most one argument, which for
 * `env` is the program to look for, or `-S` and a whole command line, of which
 * assignments come first. A line that has no end within what was read is none.
 */
#include "machine/interpreter.h"

#include "base/base.h"

static const char blanks[] = " \t";

static bool is_blank(char c)
{
    return c && strchr(blanks, c);
}

/* Takes the next word off a line; empty at its end. */
static struct str take_word(struct str *line)
{
    size_t begin = 0, end;
    while (begin < line->len && is_blank(line->ptr[begin]))
        begin++;
    for (end = begin; end < line->len && !is_blank(line->ptr[end]);)
        end++;
    struct str word = str_make(line->ptr + begin, end - begin);
    *line = str_from_offset(*line, end);
    return word;
}

struct str interpreter_name(struct str beginning)
{
    size_t end = str_index(beginning, '\n', 0);
    if (!str_starts(beginning, STR("#!")) || end == beginning.len)
        return STR("");
    struct str line = str_make(beginning.ptr + 2, end - 2);
    struct str path = take_word(&line), word = take_word(&line);
    if (!str_ends(path, STR("/env")))
        return STR("");
    if (str_equal(word, STR("-S")))
        word = take_word(&line);
    else if (str_starts(word, STR("-S")))
        word = str_from_offset(word, 2);
    while (str_index(word, '=', 0) < word.len)
        word = take_word(&line);
    bool is_name = word.len && word.ptr[0] != '-' && str_index(word, '/', 0) == word.len &&
                   str_index(word, '\0', 0) == word.len;
    return is_name ? word : STR("");
}
