/*
 * worktree_hunks: what a person takes of each file, place by place.
 *
 * A text of which some places are taken is put together of the tree's lines and the run's. Its
 * other places stay in the change set; the tree's file has changed then, and `apply --merge` brings
 * them in.
 */
#include "cmd/tell.h"
#include "cmd/worktree_ask.h"
#include "cmd/worktree_taking.h"
#include "machine/diff.h"
#include "machine/patch.h"

#define STEP_HUNKS    "choose what to take"
#define CONTEXT_LINES 3u

enum take { TAKE_ALL, TAKE_NOTHING, TAKE_PARTS };

struct hunk_file {
    size_t mount;
    const char *path; /* the change set's */
    enum take take;
    struct buf text; /* of TAKE_PARTS */
};

struct hunks {
    struct hunk_file *files;
    size_t count, capacity;
    bool quit; /* the rest is left out */
};

void hunks_free(struct hunks *hunks)
{
    for (size_t i = 0; hunks && i < hunks->count; i++)
        buf_release(&hunks->files[i].text);
    if (hunks)
        free(hunks->files);
    free(hunks);
}

static const struct hunk_file *find(const struct hunks *hunks, size_t mount, const char *path)
{
    for (size_t i = 0; i < hunks->count; i++)
        if (hunks->files[i].mount == mount && strcmp(hunks->files[i].path, path) == 0)
            return &hunks->files[i];
    return NULL;
}

/* A directory that is to go stays while something in it does; others come with what is in them. */
bool hunks_leave(const struct hunks *hunks, size_t mount, const char *path)
{
    size_t len = strlen(path);
    const struct hunk_file *file = find(hunks, mount, path);
    if (file)
        return file->take == TAKE_NOTHING;
    for (size_t i = 0; i < hunks->count; i++) {
        const struct hunk_file *inner = &hunks->files[i];
        if (inner->mount == mount && inner->take == TAKE_NOTHING &&
            strncmp(inner->path, path, len) == 0 && inner->path[len] == '/')
            return true;
    }
    return false;
}

static struct hunk_file *add(struct hunks *hunks, size_t mount, const char *path, struct err *err)
{
    if (hunks->count == hunks->capacity) {
        size_t larger = hunks->capacity ? hunks->capacity * 2 : 16;
        struct hunk_file *files = reallocarray(hunks->files, larger, sizeof(*files));
        if (!files) {
            err_set(err, ERR_MEMORY, STEP_HUNKS, "there is not enough memory");
            return NULL;
        }
        hunks->files = files;
        hunks->capacity = larger;
    }
    struct hunk_file *file = &hunks->files[hunks->count++];
    *file = (struct hunk_file){ .mount = mount,
                                .path = path,
                                .take = TAKE_NOTHING,
                                .text = BUF_INIT_LIMIT(2 * PATCH_TEXT_MAX) };
    return file;
}

/* --- showing ------------------------------------------------------------------------------- */

static void show_lines(char sign, enum colour colour, const struct diff_text *text, uint32_t from,
                       uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct str line = diff_line(text, i);
        _cleanup_(buf_release) struct buf copy = BUF_INIT;
        line.len -= line.len && line.ptr[line.len - 1] == '\n';
        buf_add_str(&copy, line);
        fprintf(stderr, "%s%c", sign == ' ' ? "" : tell_colour(stderr, colour), sign);
        tell_text(stderr, copy.data);
        fprintf(stderr, "%s\n", sign == ' ' ? "" : tell_colour_end(stderr));
    }
}

static void show_change(const struct diff *diff, const struct diff_change *change)
{
    uint32_t from = change->before < CONTEXT_LINES ? 0 : change->before - CONTEXT_LINES;
    uint32_t end = change->before + change->before_count, to = end + CONTEXT_LINES;
    show_lines(' ', COLOUR_DIM, &diff->before, from, change->before);
    show_lines('-', COLOUR_BAD, &diff->before, change->before, end);
    show_lines('+', COLOUR_GOOD, &diff->after, change->after, change->after + change->after_count);
    show_lines(' ', COLOUR_DIM, &diff->before, end,
               to < diff->before.count ? to : diff->before.count);
}

/* --- asking -------------------------------------------------------------------------------- */

static void add_lines(struct buf *out, const struct diff_text *text, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        buf_add_str(out, diff_line(text, i));
}

/* 'y' or 'n'; what the person said about the rest of the file, or of all, is remembered. */
static char ask_change(struct hunks *hunks, char *rest)
{
    while (!*rest) {
        char answer = worktree_ask_letter(
            "take it? [y]es, [n]o, [a]ll of the file, [d]one with the file, [q]uit",
            WORKTREE_ASK_MS);
        if (answer == 'y' || answer == 'n')
            return answer;
        hunks->quit = answer == 'q' || answer == 0;
        *rest = answer == 'a' ? 'y' : answer == 'd' || hunks->quit ? 'n' : '\0';
    }
    return *rest;
}

static void ask_text(struct hunks *hunks, struct hunk_file *file, const struct diff *diff)
{
    size_t taken = 0;
    uint32_t at = 0;
    char rest = '\0';
    for (size_t i = 0; i < diff->count; i++) {
        const struct diff_change *change = &diff->changes[i];
        uint32_t end = change->before + change->before_count;
        add_lines(&file->text, &diff->before, at, change->before);
        if (!rest)
            show_change(diff, change);
        if (ask_change(hunks, &rest) == 'y') {
            add_lines(&file->text, &diff->after, change->after,
                      change->after + change->after_count);
            taken++;
        } else {
            add_lines(&file->text, &diff->before, change->before, end);
        }
        at = end;
    }
    add_lines(&file->text, &diff->before, at, diff->before.count);
    file->take = taken == diff->count ? TAKE_ALL : taken ? TAKE_PARTS : TAKE_NOTHING;
}

static void ask_whole(struct hunks *hunks, struct hunk_file *file)
{
    for (;;) {
        char answer = worktree_ask_letter("take it? [y]es, [n]o, [q]uit", WORKTREE_ASK_MS);
        if (answer == 'y')
            file->take = TAKE_ALL;
        hunks->quit = answer == 'q' || answer == 0;
        if (answer == 'y' || answer == 'n' || hunks->quit)
            return;
    }
}

static int ask_item(struct taking *taking, size_t mount, size_t index,
                    const struct apply_item *item, struct err *err)
{
    _cleanup_(buf_release) struct buf tree = BUF_INIT_LIMIT(PATCH_TEXT_MAX);
    _cleanup_(buf_release) struct buf run = BUF_INIT_LIMIT(PATCH_TEXT_MAX);
    struct diff diff = { 0 };
    struct hunk_file *file = add(taking->hunks, mount, item->change->path, err);
    if (!file)
        return -ENOMEM;
    if (taking->hunks->quit)
        return 0;
    fprintf(stderr, "%s ", change_names[item->change->type]);
    tell_text(stderr, item->change->path);
    fputc('\n', stderr);
    int r = worktree_apply_texts(taking->plans[mount], index, &tree, &run, err);
    if (r > 0)
        r = diff_lines(buf_str(&tree), buf_str(&run), &diff) == 0 && diff.count;
    if (r > 0)
        ask_text(taking->hunks, file, &diff);
    else if (r == 0)
        ask_whole(taking->hunks, file);
    diff_release(&diff);
    return r < 0              ? r
           : file->text.error ? err_set(err, ERR_MEMORY, STEP_HUNKS, "there is not enough memory")
                              : 0;
}

int hunks_ask(struct taking *taking, struct err *err)
{
    int r = 0;
    taking->hunks = calloc(1, sizeof(*taking->hunks));
    if (!taking->hunks)
        return err_set(err, ERR_MEMORY, STEP_HUNKS, "there is not enough memory");
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++) {
        size_t count;
        const struct apply_item *items = worktree_apply_items(taking->plans[i], &count);
        for (size_t j = 0; j < count && r == 0; j++)
            if ((items[j].fate == FATE_TAKEN || items[j].fate == FATE_MERGED) &&
                items[j].change->kind != CHANGED_DIRECTORY)
                r = ask_item(taking, i, j, &items[j], err);
    }
    return r;
}

int hunks_fill(struct taking *taking, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++) {
        size_t count;
        const struct apply_item *items = worktree_apply_items(taking->plans[i], &count);
        for (size_t j = 0; j < count && r == 0; j++) {
            const struct hunk_file *file = find(taking->hunks, i, items[j].change->path);
            if (file && file->take == TAKE_PARTS && items[j].fate == FATE_TAKEN)
                r = worktree_apply_set_text(taking->plans[i], j, buf_str(&file->text), err);
        }
    }
    return r;
}
