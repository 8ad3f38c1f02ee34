/*
 * Input: a line for each entry: its kind (`f`, `d`, `l`, `h` for a hard link, `c` and `p` for what
 * is left out), its mode, its path and behind a tab what a link says; an empty line begins the next
 * layer. Whatever they name, nothing outside of the tree changes.
 */
#include "machine/image_apply.h"

#include "machine/image_testing.h"

#define ENTRIES_MAX 256
#define LINE_SIZE   8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_entry(char *line, struct image_entry *ret)
{
    static const struct {
        char letter;
        mode_t kind;
    } kinds[] = { { 'f', S_IFREG }, { 'd', S_IFDIR }, { 'l', S_IFLNK },
                  { 'h', S_IFREG }, { 'c', S_IFCHR }, { 'p', S_IFIFO } };
    char *rest;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (line[0] == kinds[i].letter)
            ret->mode = kinds[i].kind;
    if (!ret->mode)
        return false;
    ret->mode |= (mode_t)strtoul(line + 1, &rest, 8) & 07777;
    rest += *rest == ' ';
    ret->is_hard_link = line[0] == 'h';
    ret->path = rest;
    char *tab = strchr(rest, '\t');
    if (tab) {
        *tab = '\0';
        ret->link = tab + 1;
    }
    return tab || !ret->is_hard_link; /* a hard link always says to what */
}

static int apply_line(struct image_apply *apply, struct str text)
{
    char line[LINE_SIZE];
    struct image_entry entry = { 0 };
    int file = -1;
    if (text.len >= sizeof(line))
        return 0;
    if (!text.len) {
        image_apply_begin(apply);
        return 0;
    }
    memcpy(line, text.ptr, text.len);
    line[text.len] = '\0';
    if (!read_entry(line, &entry))
        return 0;
    int r = image_apply_entry(apply, &entry, &file, NULL);
    if (r < 0 || file < 0)
        return r;
    if (write(file, "new", 3) != 3)
        abort();
    return image_apply_file(file, &entry, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct image_place place;
    struct image_apply *apply;
    size_t lines = 0;
    int r = 0;
    image_place_enter(&place);
    if (image_apply_new(place.tree, &apply, NULL) < 0)
        abort();
    image_apply_begin(apply);
    for (size_t at = 0, end; at < size && lines < ENTRIES_MAX && r == 0; at = end + 1, lines++) {
        end = str_index(text, '\n', at);
        r = apply_line(apply, str_make(text.ptr + at, end - at));
    }
    if (r == 0)
        (void)!image_apply_end(apply, NULL);
    image_apply_free(apply);
    image_place_leave(&place);
    return 0;
}
