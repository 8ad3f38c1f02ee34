/*
 * git_repository: finding what belongs to a work tree, and HEAD.
 *
 * Theory of operation. `.git` is the git directory, or a file that names it (a linked work tree, a
 * submodule); `commondir` in it names what linked work trees share. Those two names may lead
 * anywhere, as in git itself; from there on every file is opened beneath the directory, without
 * links, read up to a bound, and only what has the exact form of a reference, an object's name or
 * a URL goes on. HEAD is followed through a bounded number of references, loose first, then
 * packed.
 */
#include "machine/git_repository.h"

#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/git_config.h"
#include "machine/git_object.h"
#include "machine/git_tables.h"

#define SMALL_BYTES_MAX   ((size_t)8 << 10)
#define PACKED_REFS_MAX   ((size_t)64 << 20)
#define SYMBOLIC_REFS_MAX 5

int64_t git_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads a regular file beneath a directory. */
static int read_beneath(int directory, const char *path, struct buf *ret)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd =
        beneath_open(directory, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return -errno;
    return S_ISREG(status.st_mode) ? file_read_fd(fd, path, ret, NULL) : -EISDIR;
}

static struct str trimmed(struct str text)
{
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r' ||
                        text.ptr[text.len - 1] == ' '))
        text.len--;
    return text;
}

/* --- addresses ----------------------------------------------------------------------------- */

/* Schemes, and whether a user name alone is a name and no token. */
static const struct {
    const char *scheme;
    bool keeps_user;
} schemes[] = {
    { "https://", false }, { "http://", false }, { "ssh://", true },   { "git+ssh://", true },
    { "git://", false },   { "ftp://", false },  { "ftps://", false }, { "file://", false },
};

static bool is_plain_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\')
            return false;
    }
    return text.len > 0 && text.len <= GIT_URL_MAX;
}

static void put(char *ret, struct str head, struct str tail)
{
    snprintf(ret, GIT_URL_MAX + 1, "%.*s%.*s", STR_ARG(head), STR_ARG(tail));
}

static void clean_scheme_url(struct str url, struct str scheme, bool keeps_user, char *ret)
{
    struct str rest = str_from_offset(url, scheme.len);
    rest.len = str_index(rest, '?', 0);
    rest.len = str_index(rest, '#', 0);
    struct str host = str_make(rest.ptr, str_index(rest, '/', 0));
    const char *at = memrchr(host.ptr, '@', host.len);
    if (at) {
        struct str user = str_make(rest.ptr, (size_t)(at - rest.ptr));
        if (!keeps_user || memchr(user.ptr, ':', user.len) || memchr(user.ptr, '@', user.len))
            rest = str_from_offset(rest, user.len + 1);
    }
    put(ret, scheme, rest);
}

void git_clean_url(struct str url, char ret[GIT_URL_MAX + 1])
{
    ret[0] = '\0';
    if (!is_plain_text(url))
        return;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct str scheme = str_from(schemes[i].scheme);
        if (str_starts(url, scheme)) {
            clean_scheme_url(url, scheme, schemes[i].keeps_user, ret);
            return;
        }
    }
    /* user@host:path and paths; what names a helper, "ext::…", may hold anything */
    size_t colon = str_index(url, ':', 0);
    if (memmem(url.ptr, url.len, "::", 2) || memmem(url.ptr, url.len, "://", 3) ||
        memchr(str_from_offset(url, colon).ptr, '@', url.len - colon))
        return;
    put(ret, url, STR(""));
}

bool git_url_host(const char *url, char ret[GIT_HOST_SIZE])
{
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    size_t len = strcspn(begin, "/");
    const char *at = memchr(begin, '@', len);
    bool is_short = begin == url; /* user@host:path, where a path has no "/" before the ":" */
    if (at) {
        len -= (size_t)(at + 1 - begin);
        begin = at + 1;
    }
    size_t host = strcspn(begin, ":/");
    if (!host || begin[0] == '[' || host >= GIT_HOST_SIZE ||
        (is_short && (host >= len || begin[host] != ':')))
        return false;
    for (size_t i = 0; i < host; i++)
        ret[i] = (char)(begin[i] >= 'A' && begin[i] <= 'Z' ? begin[i] - 'A' + 'a' : begin[i]);
    ret[host] = '\0';
    return true;
}

/* --- settings ------------------------------------------------------------------------------ */

static bool is_true(struct str value)
{
    return str_equal(value, STR("true")) || str_equal(value, STR("yes")) ||
           str_equal(value, STR("on")) || str_equal(value, STR("1"));
}

static void take_setting(void *context, struct str section, struct str subsection, struct str key,
                         struct str value)
{
    struct git_repository *repository = context;
    if (str_equal(section, STR("extensions"))) {
        if (str_equal(key, STR("objectformat")))
            repository->oid_len = str_equal(value, STR("sha256")) ? 32 : 20;
        if (str_equal(key, STR("refstorage")) && !str_equal(value, STR("files")))
            repository->of_tables = true;
    } else if (str_equal(section, STR("core"))) {
        if (str_equal(key, STR("autocrlf")) && !str_equal(value, STR("false")))
            repository->converts = true;
        if (str_equal(key, STR("filemode")))
            repository->ignores_modes = !is_true(value);
    } else if (str_equal(section, STR("remote")) && str_equal(subsection, STR("origin")) &&
               str_equal(key, STR("url")) && !repository->url[0]) {
        git_clean_url(value, repository->url);
    }
}

static int read_settings(struct git_repository *repository)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(GIT_CONFIG_BYTES_MAX);
    int r = read_beneath(repository->common, "config", &text);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : git_config_read(buf_str(&text), take_setting, repository);
}

/* --- references ---------------------------------------------------------------------------- */

/* What git takes for the name of a reference, as far as it matters for a path. */
static bool is_ref_name(struct str name)
{
    if (!str_starts(name, STR("refs/")) || name.len > GIT_REF_MAX ||
        memmem(name.ptr, name.len, "..", 2) || memmem(name.ptr, name.len, "//", 2) ||
        name.ptr[name.len - 1] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == 0x7f || strchr("~^:?*[\\", c))
            return false;
    }
    return true;
}

static bool is_commit(const struct git_repository *repository, struct str text)
{
    unsigned char oid[GIT_OID_MAX];
    return git_oid_read(text, oid, repository->oid_len);
}

/* "<name of the object> <reference>" is a line of its own. */
static int find_packed(const struct git_repository *repository, const char *ref, struct buf *ret)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PACKED_REFS_MAX);
    char line[GIT_REF_MAX + 4];
    int r = read_beneath(repository->common, "packed-refs", &text);
    if (r < 0)
        return r;
    int len = snprintf(line, sizeof(line), " %s\n", ref);
    size_t hex = repository->oid_len * 2;
    struct str rest = buf_str(&text);
    for (;;) {
        const char *hit = memmem(rest.ptr, rest.len, line, (size_t)len);
        if (!hit)
            return -ENOENT;
        const char *start = hit - hex;
        if ((size_t)(hit - text.data) >= hex && (start == text.data || start[-1] == '\n'))
            return buf_add(ret, start, hex);
        rest = str_from_offset(rest, (size_t)(hit - rest.ptr) + 1);
    }
}

struct sought {
    struct str name;
    struct buf *ret;
};

/* As a file would say it; 1 where this is the one. */
static int note_value(void *context, struct str name, enum git_value_kind kind, struct str value)
{
    const struct sought *sought = context;
    if (!str_equal(name, sought->name))
        return 0;
    if (kind == GIT_ABSENT)
        return -ENOENT;
    if (kind == GIT_SYMBOLIC)
        buf_add_text(sought->ret, "ref: ");
    return buf_add_str(sought->ret, value) < 0 ? -ENOMEM : 1;
}

/* The newest table that names it counts. */
static int find_in_tables(int directory, const char *ref, struct buf *ret)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT_LIMIT(PACKED_REFS_MAX);
    _cleanup_(buf_release) struct buf table = BUF_INIT_LIMIT(PACKED_REFS_MAX);
    struct sought sought = { str_from(ref), ret };
    struct str names[GIT_TABLES_MAX];
    char path[PATH_MAX];
    int r = read_beneath(directory, GIT_TABLES_LIST, &list);
    ssize_t count = r < 0 ? 0 : git_tables_names(buf_str(&list), names);
    for (ssize_t i = 0; i < count && r == 0; i++) {
        snprintf(path, sizeof(path), GIT_TABLES_FOLDER "%.*s", STR_ARG(names[i]));
        buf_reset(&table);
        r = read_beneath(directory, path, &table);
        if (r == 0)
            r = git_table_read(buf_str(&table), note_value, &sought);
    }
    return count < 0 ? (int)count : r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

static int read_ref(const struct git_repository *repository, const char *ref, struct buf *ret)
{
    bool own = strcmp(ref, "HEAD") == 0 || strncmp(ref, "refs/bisect/", 12) == 0 ||
               strncmp(ref, "refs/worktree/", 14) == 0 || strncmp(ref, "refs/rewritten/", 15) == 0;
    int directory = own ? repository->git : repository->common;
    if (repository->of_tables)
        return find_in_tables(directory, ref, ret);
    int r = read_beneath(directory, ref, ret);
    return r == -ENOENT || r == -EISDIR || r == -ENOTDIR ? find_packed(repository, ref, ret) : r;
}

/* Follows HEAD; a reference that does not exist yet is a branch without a commit. */
static int read_head(struct git_repository *repository)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SMALL_BYTES_MAX);
    char ref[GIT_REF_MAX + 1] = "HEAD";
    for (unsigned i = 0; i < SYMBOLIC_REFS_MAX; i++) {
        buf_reset(&text);
        int r = read_ref(repository, ref, &text);
        if (r == -ENOENT && i > 0)
            return 0;
        if (r < 0)
            return r;
        struct str value = trimmed(buf_str(&text));
        if (is_commit(repository, value)) {
            memcpy(repository->commit, value.ptr, value.len);
            repository->commit[value.len] = '\0';
            return 0;
        }
        if (!str_starts(value, STR("ref:")))
            return -EBADMSG;
        do
            value = str_from_offset(value, str_starts(value, STR("ref:")) ? 4 : 1);
        while (str_starts(value, STR(" ")));
        if (!is_ref_name(value))
            return -EBADMSG;
        snprintf(ref, sizeof(ref), "%.*s", STR_ARG(value));
        if (i == 0)
            memcpy(repository->ref, ref, sizeof(ref));
    }
    return -EBADMSG;
}

/* --- directories --------------------------------------------------------------------------- */

/* A directory that a file names, relative to where the file lies or absolute. */
static int open_named(int beside, int directory, const char *file, struct str prefix)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SMALL_BYTES_MAX);
    int r = read_beneath(directory, file, &text);
    if (r < 0)
        return r;
    struct str name = trimmed(buf_str(&text));
    if (!str_starts(name, prefix))
        return -EBADMSG;
    name = str_from_offset(name, prefix.len);
    while (str_starts(name, STR(" ")))
        name = str_from_offset(name, 1);
    if (!name.len || memchr(name.ptr, '\0', name.len) || name.len >= PATH_MAX)
        return -EBADMSG;
    text.data[(size_t)(name.ptr - text.data) + name.len] = '\0';
    int fd = openat(beside, name.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_directories(struct git_repository *repository)
{
    int fd = beneath_open(repository->work, ".git", O_RDONLY | O_DIRECTORY);
    if (fd == -ENOTDIR)
        fd = open_named(repository->work, repository->work, ".git", STR("gitdir:"));
    if (fd < 0)
        return fd;
    repository->git = fd;
    fd = open_named(repository->git, repository->git, "commondir", STR(""));
    if (fd == -ENOENT)
        fd = fcntl(repository->git, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    repository->common = fd;
    return 0;
}

int git_repository_open(struct git_repository *repository, int work)
{
    struct git_repository opened = { .work = work, .git = -1, .common = -1, .oid_len = 20 };
    int r = open_directories(&opened);
    if (r == 0 && (faccessat(opened.git, "HEAD", F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
                   faccessat(opened.common, "objects", F_OK, 0) < 0))
        r = -ENOENT;
    if (r == 0)
        r = read_settings(&opened);
    if (r == 0)
        r = read_head(&opened);
    if (r < 0 && opened.of_tables) {
        opened.is_unread = true;
        opened.ref[0] = opened.commit[0] = '\0';
        r = 0;
    }
    if (r < 0) {
        git_repository_close(&opened);
        return r;
    }
    *repository = opened;
    return 0;
}

void git_repository_close(struct git_repository *repository)
{
    cleanup_close(&repository->git);
    cleanup_close(&repository->common);
}
