/* keyfile: see the header. */
#include "doctor/keyfile.h"

static struct str trim(struct str s)
{
    while (s.len && strchr(" \t\r", s.ptr[0]) && s.ptr[0])
        s = str_from_offset(s, 1);
    while (s.len && strchr(" \t\r", s.ptr[s.len - 1]) && s.ptr[s.len - 1])
        s.len--;
    return s;
}

int keyfile_read(struct str text, keyfile_visit *visit, void *context)
{
    struct keyfile_pair pair = { 0 };
    bool goes_on = false;
    int r = 0;
    for (size_t at = 0; r == 0 && at < text.len;) {
        size_t end = str_index(text, '\n', at);
        struct str line = trim(str_make(text.ptr + at, end - at));
        at = end + 1;
        bool was_open = goes_on;
        goes_on = str_ends(line, STR("\\"));
        if (was_open || !line.len || line.ptr[0] == '#' || line.ptr[0] == ';') {
            goes_on = was_open && (goes_on || (line.len && strchr("#;", line.ptr[0])));
            continue;
        }
        size_t equals = str_index(line, '=', 0);
        if (line.ptr[0] == '[' && line.ptr[line.len - 1] == ']')
            pair.group = str_make(line.ptr + 1, line.len - 2);
        else if (equals == line.len || equals == 0 || !pair.group.ptr)
            return -EBADMSG;
        else {
            pair.key = trim(str_make(line.ptr, equals));
            pair.value = trim(str_from_offset(line, equals + 1));
            if (!str_ends(pair.key, STR("]")))
                r = visit(context, &pair);
        }
    }
    return r;
}

bool keyfile_program(struct str command, char *ret, size_t size)
{
    size_t len = 0, i = 0;
    command = trim(command);
    char quote =
        command.len && (command.ptr[0] == '"' || command.ptr[0] == '\'') ? command.ptr[0] : '\0';
    for (i = quote != '\0'; i < command.len; i++) {
        char c = command.ptr[i];
        if (quote ? c == quote : c == ' ' || c == '\t')
            break;
        if (c == '\\' && i + 1 < command.len)
            c = command.ptr[++i];
        if (len + 1 >= size || !c)
            return false;
        ret[len++] = c;
    }
    ret[len] = '\0';
    return len > 0;
}
