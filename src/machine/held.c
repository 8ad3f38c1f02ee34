/*
 * held: see the header.
 *
 * Theory of operation. The path is asked first, by the table: each directory on the way, and then
 * the name, in lower case, since some file systems make no difference. Then what the entry is: no
 * devices, no borrowed rights, no new programs, no links that lead out. Last its contents, read
 * once within a bound: machine code, scripts of a package, secrets. The agent has written all of
 * it; nothing here is interpreted further than that.
 */
#include "machine/held.h"

#include <strings.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/git_link.h"
#include "machine/held_scripts.h"
#include "machine/path_patterns.h"
#include "machine/secret_names.h"
#include "machine/worktree_diff.h"

#define STEP "look at what was changed"

static struct held because(const char *rule, const char *reason)
{
    return (struct held){ .rule = rule, .reason = reason };
}

/* --- the path ------------------------------------------------------------------------------ */

/* A rule matches the path, or a directory that the path lies in. */
static bool matches(const struct held_rule *rule, const char *path, bool directory)
{
    for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/'))
        if (path_patterns_ask(rule->patterns, str_make(path, (size_t)(end - path)), true) ==
            PATTERN_MATCHED)
            return true;
    return path_patterns_ask(rule->patterns, str_from(path), directory) == PATTERN_MATCHED;
}

static bool is_secret_name(const char *path, bool directory)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *parent = name - 1;
    while (parent > path && parent[-1] != '/')
        parent--;
    struct str above = name == path ? STR("") : str_make(parent, (size_t)(name - 1 - parent));
    const struct secret_name *row =
        secret_name_find(str_from(name), secret_parent(above), directory);
    return row && row->content == SECRET_ALWAYS;
}

/* What a directory of git's own has in it is looked at as if it were called .git. */
static struct held look_at_path(const struct changed_path *change, bool of_git)
{
    char path[CHANGES_PATH_MAX + 8];
    bool directory = change->kind == CHANGED_DIRECTORY;
    for (const unsigned char *c = (const unsigned char *)change->path; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return because("control-characters", "its name has control characters");
    snprintf(path, sizeof(path), "%s%s", of_git ? ".git/" : "", change->path);
    for (char *c = path; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    for (size_t i = 0; i < held_rule_count; i++)
        if (matches(&held_rules[i], path, directory))
            return (struct held){ held_rules[i].name, held_rules[i].reason, held_rules[i].never };
    return is_secret_name(change->path, directory)
               ? because("secret-name", "files of that name hold secrets")
               : (struct held){ 0 };
}

/*
 * Git takes any folder with HEAD, objects and refs for a directory of its own, and the settings in
 * it for its settings. So HEAD is held wherever it is, and what lies in such a folder of the host's
 * is looked at as if that were called .git.
 */
static struct held look_at_folder(const struct worktree *worktree,
                                  const struct changed_path *change)
{
    const char *slash = strrchr(change->path, '/');
    struct changed_path inside = *change;
    char folder[CHANGES_PATH_MAX + 1];
    if (strcmp(slash ? slash + 1 : change->path, "HEAD") == 0)
        return because("git-directory", "with it git takes the folder for a repository");
    for (const char *end = change->path; (end = strchr(end, '/')); end++) {
        inside.path = end + 1;
        struct held held = look_at_path(&inside, true);
        if (held.never || worktree->host < 0)
            continue;
        snprintf(folder, sizeof(folder), "%.*s", (int)(end - change->path), change->path);
        _cleanup_(cleanup_close) int fd =
            beneath_open(worktree->host, folder, O_PATH | O_DIRECTORY);
        if (fd >= 0 && git_is_directory(fd))
            return held;
    }
    return (struct held){ 0 };
}

bool held_is_git_data(const char *path, bool of_git)
{
    struct changed_path change = { .path = path, .kind = CHANGED_FILE };
    struct held held = look_at_path(&change, of_git);
    return held.rule && strcmp(held.rule, "git-data") == 0;
}

/* --- kind and mode ------------------------------------------------------------------------- */

/* By its text: whether a link climbs out of the tree, or begins at the root. */
static bool leads_out(const char *path, const char *target)
{
    int depth = 0;
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/'))
        depth++;
    if (target[0] == '/')
        return true;
    for (const char *at = target; *at && depth >= 0;) {
        size_t len = strcspn(at, "/");
        if (len == 2 && at[0] == '.' && at[1] == '.')
            depth--;
        else if (len && !(len == 1 && at[0] == '.'))
            depth++;
        at += len + (at[len] == '/');
    }
    return depth < 0;
}

static struct held look_at_link(const struct worktree *worktree, const struct changed_path *change)
{
    char target[CHANGES_PATH_MAX + 1];
    ssize_t len = worktree_link_after(worktree, change->path, target);
    if (len < 0 || leads_out(change->path, target))
        return because("link-out", "the link leads out of the tree");
    struct changed_path there = { .path = target, .kind = CHANGED_FILE };
    return worktree_is_of_git(target) || look_at_path(&there, worktree->changes.of_git).never
               ? because("link-to-git", "the link leads into git's own data")
               : (struct held){ 0 };
}

/* A name that the profile does not have among the usual ones, nor a directory on the way to it. */
static bool is_unusual(const struct worktree *worktree, const struct changed_path *change)
{
    struct held_rule usual = { .name = NULL };
    if (!worktree || !worktree->usual || change->type != CHANGE_ADDED)
        return false;
    for (const char *const *pattern = worktree->usual; *pattern; pattern++) {
        usual.patterns[0] = *pattern;
        if (matches(&usual, change->path, false))
            return false;
    }
    return true;
}

static struct held look_at_kind(const struct worktree *worktree, const struct changed_path *change)
{
    bool runs = change->mode & 0111,
         ran = change->type != CHANGE_ADDED && change->mode_before & 0111;
    if (change->kind == CHANGED_SPECIAL)
        return (struct held){ "special", "devices, pipes and sockets are not applied", true };
    if (change->kind == CHANGED_LINK)
        return look_at_link(worktree, change);
    if (change->kind != CHANGED_FILE)
        return (struct held){ 0 };
    if (change->mode & 07000)
        return because("borrowed-rights", "it would run with the rights of its owner or group");
    if (runs && !ran)
        return because("new-program", "it can be executed, and could not before");
    return is_unusual(worktree, change)
               ? because("unusual-kind", "the profile has no such files among the usual ones")
               : (struct held){ 0 };
}

struct held held_by_itself(const struct changes *changes, size_t index)
{
    const struct changed_path *change = &changes->items[index];
    if (change->kind == CHANGED_DIRECTORY)
        return (struct held){ 0 };
    struct held held = look_at_path(change, changes->of_git);
    return held.rule || change->type == CHANGE_DELETED || change->kind == CHANGED_LINK
               ? held
               : look_at_kind(NULL, change);
}

size_t held_count(const struct changes *changes)
{
    size_t count = 0;
    for (size_t i = 0; i < changes->count; i++)
        count += held_by_itself(changes, i).rule != NULL;
    return count;
}

/* --- contents ------------------------------------------------------------------------------ */

struct sought {
    const struct worktree *worktree;
    const struct changed_path *change;
    struct str text;
    struct buf before; /* what stood in the file, once it is asked for */
    bool is_read, found;
};

static void read_before(struct sought *sought);

/* A secret that stood in the file before comes from the host. */
static int note_secret(void *context, const struct redact_match *match, struct err *err)
{
    struct sought *sought = context;
    (void)err;
    read_before(sought);
    if (!memmem(sought->before.data, sought->before.len, sought->text.ptr + match->offset,
                match->len))
        sought->found = true;
    return 0;
}

static void read_before(struct sought *sought)
{
    const struct worktree *worktree = sought->worktree;
    const struct changed_path *change = sought->change;
    struct stat status;
    if (sought->is_read)
        return;
    sought->is_read = true;
    int fd =
        change->type == CHANGE_ADDED ? -ENOENT : worktree_open_before(worktree, change, &status);
    if (fd == -ENOENT && change->type != CHANGE_ADDED)
        fd = worktree_open_host(worktree, change->path, &status);
    _cleanup_(cleanup_close) int owned = fd;
    if (owned >= 0 && file_read_fd(owned, change->path, &sought->before, NULL) < 0)
        buf_reset(&sought->before);
}

static int look_at_text(const struct worktree *worktree, const struct changed_path *change,
                        struct str text, struct redact_scanner *scanner, struct held *ret,
                        struct err *err)
{
    const char *slash = strrchr(change->path, '/'), *name = slash ? slash + 1 : change->path;
    const char *reason = held_scripts_reason(name);
    if (str_starts(text, STR("\177ELF")) || str_starts(text, STR("\xcf\xfa\xed\xfe")) ||
        str_starts(text, STR("MZ")))
        *ret = because("machine-code", "it is machine code");
    if (ret->rule)
        return 0;
    struct sought sought = { .worktree = worktree,
                             .change = change,
                             .text = text,
                             .before = BUF_INIT_LIMIT(HELD_SCAN_BYTES_MAX) };
    if (reason) {
        read_before(&sought);
        if (held_scripts_differ(name, buf_str(&sought.before), text))
            *ret = because("package-scripts", reason);
    }
    int r = scanner && !ret->rule ? redact_scan(scanner, text, note_secret, &sought, err) : 0;
    if (r == 0 && sought.found)
        *ret = because("secret", "a secret stands in it");
    buf_release(&sought.before);
    return r;
}

static int look_at_contents(const struct worktree *worktree, const struct changed_path *change,
                            struct redact_scanner *scanner, struct held *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(HELD_SCAN_BYTES_MAX);
    struct stat status;
    _cleanup_(cleanup_close) int fd = worktree_open_after(worktree, change, &status);
    if (fd < 0 || (uint64_t)status.st_size > HELD_SCAN_BYTES_MAX ||
        file_read_fd(fd, change->path, &text, NULL) < 0) {
        *ret = fd < 0 ? because("unreadable", "it cannot be read, so nothing is known of it")
                      : because("too-large", "it is too large to be looked through");
        return 0;
    }
    return look_at_text(worktree, change, buf_str(&text), scanner, ret, err);
}

int held_look(const struct worktree *worktree, const struct changed_path *change,
              struct redact_scanner *scanner, struct held *ret, struct err *err)
{
    bool written = change->type == CHANGE_ADDED || change->type == CHANGE_MODIFIED;
    struct held held = look_at_path(change, worktree->changes.of_git);
    if (!held.rule)
        held = look_at_folder(worktree, change);
    if (!held.rule && change->type != CHANGE_DELETED)
        held = look_at_kind(worktree, change);
    int r = !held.rule && written && change->kind == CHANGED_FILE && change->size
                ? look_at_contents(worktree, change, scanner, &held, err)
                : 0;
    if (r == 0)
        *ret = held;
    return r;
}
