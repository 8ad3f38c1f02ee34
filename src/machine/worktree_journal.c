/*
 * worktree_journal: what is going to be done to a tree, written down before it is.
 *
 * Two files in the layer. `apply` says the tree, its staging folder and the steps; it is there
 * before the first byte is staged. `apply.commit` has the inodes of what was staged, and of
 * what it is to take the place of; it comes by a rename, and with it the steps are to be done. A
 * journal without it is undone by removing the staging folder. Both are lines of text; paths have
 * their length before them, since they may hold anything.
 */
#include "base/file.h"
#include "machine/beneath.h"
#include "machine/worktree_apply_internal.h"

#define JOURNAL       "apply"
#define COMMIT        "apply.commit"
#define FIRST_LINE    "agent-machine apply 1\n"
#define JOURNAL_BYTES ((size_t)1 << 30)

#define STEP_TEXT(kind, text) [kind] = text,
const char *const apply_step_names[APPLY_STEP_KIND_COUNT] = { APPLY_STEP_TABLE(STEP_TEXT) };
#undef STEP_TEXT

/* --- writing ------------------------------------------------------------------------------- */

/* A file of the layer by a rename, durable. */
static int replace(int layer, const char *name, struct str text, struct err *err)
{
    char new_name[64];
    snprintf(new_name, sizeof(new_name), "%s.new", name);
    _cleanup_(cleanup_close) int fd =
        openat(layer, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : 0;
    while (text.len && r == 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            r = -errno;
        text = str_from_offset(text, n < 0 ? 0 : (size_t)n);
    }
    if (r == 0 && (fsync(fd) < 0 || renameat(layer, new_name, layer, name) < 0 || fsync(layer) < 0))
        r = -errno;
    if (r < 0)
        unlinkat(layer, new_name, 0);
    return r < 0 ? err_set_errno(err, -r, STEP_APPLY, "write the journal") : 0;
}

static int put(int layer, const char *name, const struct buf *text, struct err *err)
{
    return text->error ? err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory")
                       : replace(layer, name, buf_str(text), err);
}

int journal_begin(const struct applying *applying, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(JOURNAL_BYTES);
    unlinkat(applying->layer, COMMIT, 0); /* of an earlier one that lost its journal */
    buf_addf(&text, FIRST_LINE "%s\n%zu %s\n", applying->staging_name, strlen(applying->root_path),
             applying->root_path);
    for (size_t i = 0; i < applying->steps.count; i++) {
        const struct apply_step *step = &applying->steps.items[i];
        buf_addf(&text, "%s %o %o %zu %s\n", apply_step_names[step->kind], step->mode,
                 step->mode_before, strlen(step->path), step->path);
    }
    return put(applying->layer, JOURNAL, &text, err);
}

int journal_commit(const struct applying *applying, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(JOURNAL_BYTES);
    for (size_t i = 0; i < applying->steps.count; i++)
        buf_addf(&text, "%llu %llu %llu\n", (unsigned long long)applying->steps.items[i].inode,
                 (unsigned long long)applying->steps.items[i].seen_inode,
                 (unsigned long long)applying->steps.items[i].seen_mtime_ns);
    return put(applying->layer, COMMIT, &text, err);
}

int journal_end(const struct applying *applying, struct err *err)
{
    /* The commit goes last: without it, what was done would be undone by who finds the rest. */
    if ((unlinkat(applying->layer, JOURNAL, 0) < 0 && errno != ENOENT) ||
        fsync(applying->layer) < 0 || (unlinkat(applying->layer, COMMIT, 0) < 0 && errno != ENOENT))
        return err_set_errno(err, errno, STEP_APPLY, "remove the journal");
    return 0;
}

/* --- reading ------------------------------------------------------------------------------- */

static bool read_number(struct str text, size_t *at, unsigned base, char end, uint64_t *ret)
{
    uint64_t value = 0;
    size_t from = *at;
    for (; *at < text.len && text.ptr[*at] != end; ++*at) {
        unsigned digit = (unsigned)(unsigned char)text.ptr[*at] - '0';
        if (digit >= base || value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    *ret = value;
    return *at > from && (*at)++ < text.len;
}

/* A length, a blank, that many bytes and a line feed; none of the bytes is a NUL. */
static bool read_counted(struct str text, size_t *at, size_t max, struct str *ret)
{
    uint64_t len;
    if (!read_number(text, at, 10, ' ', &len) || len > max || len >= text.len - *at ||
        text.ptr[*at + len] != '\n' || memchr(text.ptr + *at, '\0', len))
        return false;
    *ret = str_make(text.ptr + *at, len);
    *at += len + 1;
    return true;
}

static bool read_step(struct str text, size_t *at, struct apply_steps *steps, struct err *err)
{
    struct apply_step step = { .kind = APPLY_STEP_KIND_COUNT };
    struct str path, word = str_make(text.ptr + *at, str_index(text, ' ', *at) - *at);
    uint64_t mode, before;
    for (size_t kind = 0; kind < APPLY_STEP_KIND_COUNT; kind++)
        if (str_equal(word, str_from(apply_step_names[kind])))
            step.kind = (enum apply_step_kind)kind;
    *at += word.len + 1;
    if (step.kind == APPLY_STEP_KIND_COUNT || !read_number(text, at, 8, ' ', &mode) ||
        !read_number(text, at, 8, ' ', &before) || mode > 07777 || before > 07777 ||
        !read_counted(text, at, CHANGES_PATH_MAX, &path) || !path.len)
        return false;
    step.mode = (unsigned)mode;
    step.mode_before = (unsigned)before;
    step.path = arena_copy(&steps->arena, path);
    return step.path && steps_add(steps, &step, err) == 0;
}

int journal_parse(struct str text, struct applying *ret, struct err *err)
{
    size_t at = strlen(FIRST_LINE);
    struct str name, root;
    bool good = str_starts(text, STR(FIRST_LINE));
    if (good) {
        name = str_make(text.ptr + at, str_index(text, '\n', at) - at);
        at += name.len + 1;
        good = str_starts(name, STR(STAGING_PREFIX)) && name.len < STAGING_SIZE &&
               !memchr(name.ptr, '/', name.len) && !memchr(name.ptr, '\0', name.len) &&
               at < text.len && read_counted(text, &at, sizeof(ret->root_path) - 1, &root);
    }
    if (good) {
        snprintf(ret->staging_name, sizeof(ret->staging_name), "%.*s", STR_ARG(name));
        snprintf(ret->root_path, sizeof(ret->root_path), "%.*s", STR_ARG(root));
    }
    while (good && at < text.len)
        good = read_step(text, &at, &ret->steps, err);
    return good ? 0 : err_set(err, ERR_DAMAGED, STEP_APPLY, "the journal cannot be read");
}

int journal_parse_commit(struct str text, struct apply_steps *steps, struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < steps->count; i++)
        if (!read_number(text, &at, 10, ' ', &steps->items[i].inode) ||
            !read_number(text, &at, 10, ' ', &steps->items[i].seen_inode) ||
            !read_number(text, &at, 10, '\n', &steps->items[i].seen_mtime_ns))
            return err_set(err, ERR_DAMAGED, STEP_APPLY, "the journal cannot be read");
    return at == text.len ? 0 : err_set(err, ERR_DAMAGED, STEP_APPLY, "the journal cannot be read");
}

static int read_file(int layer, const char *name, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_close) int fd = openat(layer, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, STEP_APPLY, "open the journal");
    int r = file_read_fd(fd, name, ret, err);
    return r < 0 ? r : 1;
}

int journal_read(struct applying *ret, bool *ret_committed, struct err *err)
{
    _cleanup_(buf_release) struct buf steps = BUF_INIT_LIMIT(JOURNAL_BYTES);
    _cleanup_(buf_release) struct buf commit = BUF_INIT_LIMIT(JOURNAL_BYTES);
    int r = read_file(ret->layer, JOURNAL, &steps, err);
    int committed = r <= 0 ? 0 : read_file(ret->layer, COMMIT, &commit, err);
    if (r == 0) /* one that was done, but for the last of it */
        unlinkat(ret->layer, COMMIT, 0);
    if (r <= 0 || committed < 0)
        return r <= 0 ? r : committed;
    r = journal_parse(buf_str(&steps), ret, err);
    if (r == 0 && committed)
        r = journal_parse_commit(buf_str(&commit), &ret->steps, err);
    *ret_committed = committed;
    return r < 0 ? r : 1;
}
