/* resolv: see the header. */
#include "doctor/resolv.h"

static struct str take_word(struct str *line)
{
    size_t begin = 0, end;
    while (begin < line->len && (line->ptr[begin] == ' ' || line->ptr[begin] == '\t'))
        begin++;
    end = begin;
    while (end < line->len && line->ptr[end] != ' ' && line->ptr[end] != '\t')
        end++;
    struct str word = str_make(line->ptr + begin, end - begin);
    *line = str_from_offset(*line, end);
    return word;
}

/* A server may name the link that it is reached by, behind a percent sign. */
static bool read_server(struct str word, struct net_address *ret)
{
    return net_address_parse(str_make(word.ptr, str_index(word, '%', 0)), ret);
}

void resolv_read(struct str text, struct resolv *ret)
{
    struct net_address address;
    *ret = (struct resolv){ 0 };
    for (size_t at = 0; at < text.len;) {
        size_t end = str_index(text, '\n', at);
        struct str line = str_make(text.ptr + at, end - at);
        at = end + 1;
        if (!str_equal(take_word(&line), STR("nameserver")))
            continue;
        if (!read_server(take_word(&line), &address))
            ret->wrong_count++;
        else if (ret->server_count < RESOLV_SERVERS_MAX)
            ret->servers[ret->server_count++] = address;
    }
}
