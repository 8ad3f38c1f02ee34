/*
 * worktree_keep: what the end of a run leaves on the disk (stop 8 of a run).
 *
 * While a run lives its overlay syncs nothing; what it leaves is synced once, and only where there
 * is something. The list comes last, by a rename: a layer without one is that of a supervisor that
 * died.
 */
#include <sys/file.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/layer.h"
#include "machine/worktree_copy.h"
#include "machine/worktree_kept.h"

static int copy_all(int from, int to)
{
    char piece[8192];
    ssize_t n;
    while ((n = read(from, piece, sizeof(piece))) > 0)
        for (ssize_t at = 0, written; at < n; at += written) {
            written = write(to, piece + at, (size_t)(n - at));
            if (written < 0)
                return -errno;
        }
    return n < 0 ? -errno : 0;
}

/* How each copy begins in their one file: its digest and its size. */
static int write_head(const unsigned char digest[DIGEST_BYTES], uint64_t size,
                      char ret[BEFORE_HEAD_SIZE])
{
    char text[DIGEST_TEXT_SIZE];
    digest_write(digest, text);
    return snprintf(ret, BEFORE_HEAD_SIZE, "%s %llu\n", text, (unsigned long long)size);
}

/*
 * One that cannot be copied, or changes meanwhile, is not there, and no merge will have it. All of
 * them are in one file: thousands of small ones would cost more than all else that ends a run.
 */
static void keep_before(int copies, int host, const struct changed_path *change, uint64_t *kept)
{
    char head[BEFORE_HEAD_SIZE];
    struct stat status, again;
    _cleanup_(cleanup_close) int from = beneath_open(host, change->path, O_RDONLY | O_NONBLOCK);
    off_t begin = lseek(copies, 0, SEEK_END);
    if (from < 0 || begin < 0 || fstat(from, &status) < 0 || !S_ISREG(status.st_mode) ||
        (uint64_t)status.st_size > WORKTREE_BEFORE_FILE_MAX ||
        *kept + (uint64_t)status.st_size > WORKTREE_BEFORE_ALL_MAX)
        return;
    int len = write_head(change->before, (uint64_t)status.st_size, head);
    if (write(copies, head, (size_t)len) != len || copy_all(from, copies) < 0 ||
        lseek(copies, 0, SEEK_END) != begin + len + status.st_size || fstat(from, &again) < 0 ||
        memcmp(&again.st_ctim, &status.st_ctim, sizeof(status.st_ctim)) != 0)
        (void)!ftruncate(copies, begin);
    else
        *kept += (uint64_t)status.st_size;
}

static int write_piece(void *context, struct str piece)
{
    return fwrite(piece.ptr, 1, piece.len, context) == piece.len ? 0 : -EIO;
}

static int write_list(int layer, int host, const struct changes *changes)
{
    struct stat status;
    int fd = openat(layer, LIST_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file || fstat(host, &status) < 0)
        return -errno;
    fprintf(file, "%s%llu %lld\n", changes->of_git ? HEAD_GIT : HEAD_WORD,
            (unsigned long long)status.st_ino, (long long)changes->launched_ns);
    int r = changes_write_text(changes, write_piece, file);
    return fclose(file) < 0 ? -errno : r;
}

static int keep(const char *path, int upper, int host, const struct changes *changes,
                struct err *err)
{
    uint64_t kept = 0;
    _cleanup_(cleanup_close) int layer = kept_open_folder(path, err);
    if (layer < 0)
        return layer;
    _cleanup_(cleanup_close) int copies =
        openat(layer, BEFORE_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (size_t i = 0; i < changes->count && copies >= 0; i++)
        if (changes->items[i].has_before && changes->items[i].kind == CHANGED_FILE)
            keep_before(copies, host, &changes->items[i], &kept);
    int r = write_list(layer, host, changes);
    if (r == 0 &&
        (syncfs(upper) < 0 || renameat(layer, LIST_NEW, layer, LIST_FILE) < 0 || fsync(layer) < 0))
        r = -errno;
    return r < 0 ? err_set_errno(err, -r, STEP_WORKTREE, "cannot make %s durable", path) : 0;
}

/* --- going on ------------------------------------------------------------------------------ */

/* When the first of the runs was launched that have made a layer; 0: this one is the first. */
static int64_t launched_before(const char *layer)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(256);
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/" CONTINUED_FILE, layer);
    if (access(path, F_OK) < 0 || file_read(path, &text, NULL) < 0)
        return 0;
    const char *blank = strrchr(text.data, ' ');
    return blank ? strtoll(blank + 1, NULL, 10) : 0;
}

/* What of a list says when its run was launched. */
static int copy_first_line(int from, int to, struct err *err)
{
    char line[256];
    _cleanup_(cleanup_close) int list = openat(from, LIST_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t len = list < 0 ? -1 : read(list, line, sizeof(line));
    const char *end = len <= 0 ? NULL : memchr(line, '\n', (size_t)len);
    _cleanup_(cleanup_close) int copy =
        !end ? -1 : openat(to, CONTINUED_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (copy < 0 || write(copy, line, (size_t)(end - line)) != end - line)
        return err_set_errno(err, end ? errno : EBADMSG, STEP_WORKTREE,
                             "the list of what was changed");
    return 0;
}

int worktree_continue(const char *from, const char *to, struct err *err)
{
    _cleanup_(cleanup_close) int old_layer = kept_open_folder(from, err);
    _cleanup_(cleanup_close) int new_layer = old_layer < 0 ? -1 : kept_open_folder(to, err);
    _cleanup_(cleanup_close) int old_upper = new_layer < 0 ? -1 : kept_open_upper(from, err);
    _cleanup_(cleanup_close) int new_upper = old_upper < 0 ? -1 : kept_open_upper(to, err);
    if (new_upper < 0)
        return -EIO;
    int64_t launched_ns, copied_ns;
    if (worktree_is_copy(from, &launched_ns, &copied_ns))
        return err_set(err, ERR_UNSUPPORTED, STEP_WORKTREE,
                       "the change set was made in a copy, which nothing can go on from; apply it "
                       "first");
    if (faccessat(old_layer, DISCARDED_FILE, F_OK, 0) == 0)
        return err_set(err, ERR_CONFLICT, STEP_WORKTREE,
                       "parts of the change set were thrown away, and would be there again");
    int r = copy_first_line(old_layer, new_layer, err);
    return r < 0 ? r : layer_copy(old_upper, new_upper, err);
}

/* --- keeping it ---------------------------------------------------------------------------- */

int kept_read_changes(const char *layer, int upper, int host, const struct mask_list *hidden,
                      struct changes *ret, struct err *err)
{
    int64_t launched_ns, copied_ns;
    return worktree_is_copy(layer, &launched_ns, &copied_ns)
               ? changes_read_copy(upper, host, hidden, launched_ns, copied_ns, ret, err)
               : changes_read(upper, host, hidden, launched_before(layer), ret, err);
}

int worktree_keep(const char *layer, const char *host_path, const struct mask_list *hidden,
                  struct changes *ret, struct err *err)
{
    int64_t unused[2];
    *ret = (struct changes){ 0 };
    _cleanup_(cleanup_close) int upper = kept_open_upper(layer, err);
    if (upper < 0)
        return upper == -ENOENT ? 0 : upper;
    _cleanup_(cleanup_close) int host = kept_open_folder(host_path, err);
    int r = host < 0 ? host : kept_read_changes(layer, upper, host, hidden, ret, err);
    if (r == 0 && ret->count)
        r = keep(layer, upper, host, ret, err);
    /* Once the list is durable: what goes would be missing from it else. */
    if (r == 0 && worktree_is_copy(layer, &unused[0], &unused[1]))
        r = worktree_prune(upper, ret, err);
    if (r < 0)
        changes_release(ret);
    return r;
}

/* --- where the supervisor was killed -------------------------------------------------------- */

int worktree_note_hidden(const char *layer, const struct mask_list *hidden, struct err *err)
{
    _cleanup_(buf_release) struct buf lines = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    for (size_t i = 0; i < hidden->count; i++)
        if (hidden->entries[i].action == MASK_HIDE)
            buf_addf(&lines, "%zu %s\n", strlen(hidden->entries[i].path), hidden->entries[i].path);
    _cleanup_(cleanup_close) int fd = kept_append_paths(layer, HIDDEN_FILE, &lines, err);
    return fd < 0 ? fd : 0;
}

static int add_hidden(void *context, struct str path)
{
    struct mask_list *list = context;
    struct mask_entry *entry = &list->entries[list->count++];
    *entry = (struct mask_entry){ .path = arena_copy(&list->arena, path), .action = MASK_HIDE };
    return entry->path ? 0 : -ENOMEM;
}

static int count_path(void *context, struct str path)
{
    (void)path;
    ++*(size_t *)context;
    return 0;
}

/* Those of the patterns as the launch found them, and what are secrets by name now. */
int kept_find_hidden(const char *layer, int host, bool secrets_prohibited, struct mask_list *ret,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    struct mask_list list = { 0 };
    size_t noted = 0;
    int r = secrets_prohibited ? mask_find(host, NULL, &list, err) : 0;
    if (r == 0)
        r = kept_read_paths(layer, HIDDEN_FILE, &text, count_path, &noted, err);
    if (r == 0 && noted) {
        struct mask_entry *all = arena_array(&list.arena, struct mask_entry, list.count + noted);
        if (all && list.count)
            memcpy(all, list.entries, list.count * sizeof(*all));
        list.entries = all;
        buf_reset(&text);
        r = all ? kept_read_paths(layer, HIDDEN_FILE, &text, add_hidden, &list, err)
                : err_set(err, ERR_MEMORY, STEP_WORKTREE, "there is not enough memory");
        mask_list_finish(&list);
    }
    if (r < 0)
        mask_list_release(&list);
    else
        *ret = list;
    return r;
}

int worktree_keep_left(const char *layer, const char *host_path, bool secrets_prohibited,
                       struct changes *ret, struct err *err)
{
    struct mask_list hidden = { 0 };
    *ret = (struct changes){ 0 };
    _cleanup_(cleanup_close) int folder = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, STEP_WORKTREE, "%s", layer);
    if (flock(folder, LOCK_EX | LOCK_NB) < 0) /* or it would be read twice at the same time */
        return err_set(err, ERR_CONFLICT, STEP_WORKTREE, "somebody else reads %s just now", layer);
    _cleanup_(cleanup_close) int host = kept_open_folder(host_path, err);
    int r = host < 0 ? host : kept_read_list(layer, ret, err);
    if (r != 0) /* its supervisor died behind that */
        return r < 0 ? r : 0;
    r = kept_find_hidden(layer, host, secrets_prohibited, &hidden, err);
    if (r == 0)
        r = worktree_keep(layer, host_path, &hidden, ret, err);
    mask_list_release(&hidden);
    return r;
}
