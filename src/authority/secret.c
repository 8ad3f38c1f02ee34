/*
 * secret: where secrets lie, and how one comes into locked memory.
 *
 * Theory of operation. Documents carry references; the map that says where
 * each leads is the person's own and holds no secret either. Resolving one is
 * a lookup in the map and then one of six small readers, each of which puts
 * the bytes straight into pages that are locked, left out of dumps, and wiped
 * when freed. Nothing on the way is stdio, buf, or an ordinary allocation.
 *
 * Invariants:
 *  1. The bytes are in no memory of this program but the pages of struct
 *     secret (an environment variable also where the kernel put it).
 *  2. No message names anything but the reference and the source.
 *  3. A file that anyone but its owner can read or change is refused, with
 *     the command that mends it.
 *
 * Threats: a map written by somebody else (its layer is trusted, or it is not
 * read at all), a file or fifo put in the place of a secret (opened without
 * waiting, and only regular files are read), a command that hangs or prints
 * without end (secret_command.c).
 *
 * Limits: SECRET_BYTES_MAX; a reference has at most REFERENCE_BYTES_MAX.
 */
#include "authority/secret.h"

#include <linux/keyctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "authority/secret_internal.h"
#include "base/json.h"
#include "base/locked.h"

#define SCHEME              "secret://"
#define REFERENCE_BYTES_MAX 2048
#define PATH_BYTES_MAX      4096
#define FIRST_BYTES         3900 /* with the header, one page */
#define WRONG_SOURCE                                                                               \
    "a source is an object with one of env, file, keyring, credential, command, account"

enum source {
    SOURCE_ENV,
    SOURCE_FILE,
    SOURCE_KEYRING,
    SOURCE_CREDENTIAL,
    SOURCE_COMMAND,
    SOURCE_ACCOUNT
};

static int resolve_env(const yyjson_val *value, struct secret **ret, struct err *err);
static int resolve_file(const yyjson_val *value, struct secret **ret, struct err *err);
static int resolve_keyring(const yyjson_val *value, struct secret **ret, struct err *err);
static int resolve_credential(const yyjson_val *value, struct secret **ret, struct err *err);
static int resolve_command(const yyjson_val *value, struct secret **ret, struct err *err);

static const struct {
    const char *name;
    int (*resolve)(const yyjson_val *value, struct secret **ret, struct err *err);
} sources[] = {
    [SOURCE_ENV] = { "env", resolve_env },
    [SOURCE_FILE] = { "file", resolve_file },
    [SOURCE_KEYRING] = { "keyring", resolve_keyring },
    [SOURCE_CREDENTIAL] = { "credential", resolve_credential },
    [SOURCE_COMMAND] = { "command", resolve_command },
    [SOURCE_ACCOUNT] = { "account", secret_account_resolve },
};

/* --- the map ------------------------------------------------------------------------------- */

/* secret://scope/path: no part is empty, "." or ".."; no blanks and nothing that a URI ends at. */
bool secret_is_reference(struct str s)
{
    if (!str_starts(s, STR(SCHEME)) || s.len > REFERENCE_BYTES_MAX)
        return false;
    struct str rest = str_from_offset(s, strlen(SCHEME));
    size_t parts = 0;
    for (size_t start = 0; start <= rest.len; parts++) {
        size_t end = str_index(rest, '/', start);
        struct str part = str_make(rest.ptr + start, end - start);
        if (!part.len || str_equal(part, STR(".")) || str_equal(part, STR("..")))
            return false;
        start = end + 1;
    }
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.ptr[i] <= ' ' || rest.ptr[i] == 0x7f || strchr("?#\\", rest.ptr[i]))
            return false;
    return parts >= 2;
}

const char *secret_wrong_source(const yyjson_val *source)
{
    yyjson_val *object = (yyjson_val *)source;
    for (size_t i = 0; i < ARRAY_LEN(sources) && yyjson_obj_size(object) == 1; i++) {
        yyjson_val *value = yyjson_obj_get(object, sources[i].name);
        if (value && i == SOURCE_ACCOUNT)
            return secret_account_is_known(value) ? NULL : "account is claude-code or codex";
        if (value)
            return (i == SOURCE_COMMAND ? yyjson_arr_size(value) : yyjson_get_len(value))
                       ? NULL
                       : "a source has a text, and a command a list of them";
    }
    return WRONG_SOURCE;
}

static int resolve_source(const yyjson_val *source, struct secret **ret, struct err *err)
{
    yyjson_val *object = (yyjson_val *)source;
    for (size_t i = 0; i < ARRAY_LEN(sources) && yyjson_obj_size(object) == 1; i++) {
        yyjson_val *value = yyjson_obj_get(object, sources[i].name);
        if (value)
            return sources[i].resolve(value, ret, err);
    }
    return err_set(err, ERR_DOCUMENT, SECRET_STEP, WRONG_SOURCE);
}

int secret_resolve(const yyjson_val *map, struct str reference, struct secret **ret,
                   struct err *err)
{
    struct err inner = { 0 };
    if (!secret_is_reference(reference))
        return err_set(err, ERR_DOCUMENT, SECRET_STEP,
                       "a reference to a secret reads secret://SCOPE/PATH");
    const yyjson_val *source = yyjson_obj_getn((yyjson_val *)map, reference.ptr, reference.len);
    int r = source ? resolve_source(source, ret, &inner)
                   : err_set(&inner, ERR_NOT_FOUND, SECRET_STEP,
                             "references.yaml does not say where it lies; add a line for it");
    if (r < 0) {
        err_where(&inner, "%.*s", STR_ARG(reference));
        if (err)
            *err = inner;
    }
    return r;
}

/* --- locked bytes -------------------------------------------------------------------------- */

struct secret *secret_new(size_t capacity, struct err *err)
{
    struct secret *secret = locked_alloc(sizeof(*secret) + capacity);
    if (!secret)
        err_set(err, ERR_MEMORY, SECRET_STEP, "no memory can be locked for it; see `ulimit -l`");
    else
        secret->capacity = capacity;
    return secret;
}

struct str secret_value(const struct secret *secret)
{
    return str_make(secret->bytes, secret->len);
}

enum secret_scheme secret_scheme(const struct secret *secret)
{
    return secret->scheme;
}

struct str secret_account(const struct secret *secret)
{
    return str_from(secret->account);
}

void secret_free(struct secret *secret)
{
    if (secret)
        locked_free(secret, sizeof(*secret) + secret->capacity);
}

static int too_long(const char *name, struct err *err)
{
    return err_set(err, ERR_LIMIT, SECRET_STEP, "%s: a secret is no longer than %d bytes", name,
                   SECRET_BYTES_MAX);
}

int secret_grow(struct secret **secret, struct err *err)
{
    size_t capacity = (*secret)->capacity * 2;
    if (capacity > SECRET_BYTES_MAX + 1)
        capacity = SECRET_BYTES_MAX + 1;
    struct secret *larger = secret_new(capacity, err);
    if (!larger)
        return -ENOMEM;
    memcpy(larger->bytes, (*secret)->bytes, (*secret)->len);
    larger->len = (*secret)->len;
    secret_free(*secret);
    *secret = larger;
    return 0;
}

int secret_finish(struct secret *secret, bool is_text, const char *name, struct err *err)
{
    if (secret->len > SECRET_BYTES_MAX)
        return too_long(name, err);
    if (is_text && secret->len && secret->bytes[secret->len - 1] == '\n')
        secret->bytes[--secret->len] = '\0';
    return secret->len ? 0 : err_set(err, ERR_NOT_FOUND, SECRET_STEP, "%s: it is empty", name);
}

/* --- text of the map ----------------------------------------------------------------------- */

/* The text of a source, ended by a NUL; ERR_DOCUMENT where it is none. */
static int source_text(const yyjson_val *value, enum source source, const char **ret,
                       struct err *err)
{
    const char *text = yyjson_get_str((yyjson_val *)value);
    size_t len = yyjson_get_len((yyjson_val *)value);
    if (!text || !len || len >= PATH_BYTES_MAX || memchr(text, '\0', len))
        return err_set(err, ERR_DOCUMENT, SECRET_STEP, "%s takes a text of 1 to %d bytes",
                       sources[source].name, PATH_BYTES_MAX - 1);
    *ret = text;
    return 0;
}

/* --- environment --------------------------------------------------------------------------- */

static int resolve_env(const yyjson_val *value, struct secret **ret, struct err *err)
{
    const char *name;
    int r = source_text(value, SOURCE_ENV, &name, err);
    if (r < 0)
        return r;
    if (strchr(name, '='))
        return err_set(err, ERR_DOCUMENT, SECRET_STEP, "env takes the name of a variable alone");
    const char *text = getenv(name);
    if (!text)
        return err_set(err, ERR_NOT_FOUND, SECRET_STEP,
                       "the environment variable %s is not set; export it before you start", name);
    size_t len = strlen(text);
    if (len > SECRET_BYTES_MAX)
        return too_long(name, err);
    _cleanup_(cleanup_secret) struct secret *secret = secret_new(len + 1, err);
    if (!secret)
        return -ENOMEM;
    memcpy(secret->bytes, text, len);
    secret->len = len;
    r = secret_finish(secret, false, name, err);
    if (r == 0)
        *ret = TAKE_PTR(secret);
    return r;
}

/* --- files --------------------------------------------------------------------------------- */

/*
 * Who else could read or change it. systemd gives a credential to its service through an access
 * control list, whose mask shows in the group's bits: there only the others' bits count.
 */
static int check_private(const char *path, const struct stat *status, bool is_credential,
                         struct err *err)
{
    mode_t mode = status->st_mode & 07777, open = is_credential ? 0027 : 0077;
    if (!S_ISREG(status->st_mode))
        return err_set(err, ERR_DENIED, SECRET_STEP, "%s is no regular file", path);
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return err_set(err, ERR_DENIED, SECRET_STEP,
                       "%s belongs to the user %u, who could read and change it; make it your own: "
                       "chown %u %s",
                       path, status->st_uid, geteuid(), path);
    if (mode & open)
        return err_set(err, ERR_DENIED, SECRET_STEP,
                       "others can read or change %s (mode %04o); mend it: chmod 600 %s", path,
                       mode, path);
    return 0;
}

static int read_all(int fd, struct secret **secret, struct err *err)
{
    for (;;) {
        struct secret *s = *secret;
        if (s->len > SECRET_BYTES_MAX)
            return 0; /* secret_finish refuses it */
        if (s->len == s->capacity) {
            int r = secret_grow(secret, err);
            if (r < 0)
                return r;
            continue;
        }
        ssize_t n = read(fd, s->bytes + s->len, s->capacity - s->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, SECRET_STEP, "it cannot be read");
        if (n == 0)
            return 0;
        s->len += (size_t)n;
    }
}

static int read_file(const char *path, bool is_credential, struct secret **ret, struct err *err)
{
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, SECRET_STEP, "there is no file %s", path);
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_set_errno(err, errno, SECRET_STEP, "%s", path);
    int r = check_private(path, &status, is_credential, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_secret) struct secret *secret = secret_new(FIRST_BYTES, err);
    if (!secret)
        return -ENOMEM;
    r = read_all(fd, &secret, err);
    if (r == 0)
        r = secret_finish(secret, true, path, err);
    if (r == 0)
        *ret = TAKE_PTR(secret);
    return r;
}

int secret_read_file(const char *path, struct secret **ret, struct err *err)
{
    return read_file(path, false, ret, err);
}

static int resolve_file(const yyjson_val *value, struct secret **ret, struct err *err)
{
    char path[PATH_BYTES_MAX];
    const char *text, *home = getenv("HOME");
    int r = source_text(value, SOURCE_FILE, &text, err);
    if (r < 0)
        return r;
    bool at_home = text[0] == '~' && text[1] == '/' && home && home[0] == '/';
    if (text[0] != '/' && !at_home)
        return err_set(err, ERR_DOCUMENT, SECRET_STEP,
                       "%s: file takes an absolute path, or one that begins with ~/", text);
    int len = snprintf(path, sizeof(path), "%s%s", at_home ? home : "", at_home ? text + 1 : text);
    if (len >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, SECRET_STEP, "%s: the path is too long", text);
    return read_file(path, false, ret, err);
}

static int resolve_credential(const yyjson_val *value, struct secret **ret, struct err *err)
{
    char path[PATH_BYTES_MAX];
    const char *name, *folder = getenv("CREDENTIALS_DIRECTORY");
    int r = source_text(value, SOURCE_CREDENTIAL, &name, err);
    if (r < 0)
        return r;
    if (name[0] == '.' || strchr(name, '/'))
        return err_set(err, ERR_DOCUMENT, SECRET_STEP, "credential takes the name of a file");
    if (!folder || folder[0] != '/')
        return err_set(err, ERR_NOT_FOUND, SECRET_STEP,
                       "systemd gave no credentials; start it as a service with "
                       "LoadCredential=%s:PATH",
                       name);
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (len >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, SECRET_STEP, "%s: the path is too long", name);
    return read_file(path, true, ret, err);
}

/* --- the kernel's keyring ------------------------------------------------------------------ */

static long keyctl(int operation, unsigned long a, unsigned long b, unsigned long c)
{
    return syscall(SYS_keyctl, operation, a, b, c, 0UL);
}

/*
 * A key may be read by who possesses it, that is by a process from whose own keyrings a way leads
 * to it. The session's keyring often has none to the user's keyring; then this process's own gets
 * one.
 */
static long find_key(const char *description)
{
    long key = syscall(SYS_request_key, "user", description, NULL, 0);
    if (key >= 0 || errno == ENOSYS || errno == EPERM)
        return key;
    if (keyctl(KEYCTL_LINK, (unsigned long)KEY_SPEC_USER_KEYRING,
               (unsigned long)KEY_SPEC_PROCESS_KEYRING, 0) < 0)
        return -1;
    return syscall(SYS_request_key, "user", description, NULL, 0);
}

static int refuse_key(int error_number, const char *description, struct err *err)
{
    switch (error_number) {
    case ENOKEY:
        return err_set(err, ERR_NOT_FOUND, SECRET_STEP,
                       "the kernel's keyring has no key %s; add it: keyctl padd user %s @u",
                       description, description);
    case EKEYEXPIRED:
    case EKEYREVOKED:
        return err_set(err, ERR_NOT_FOUND, SECRET_STEP,
                       "the key %s in the kernel's keyring has %s; add it anew: keyctl padd user "
                       "%s @u",
                       description, error_number == EKEYEXPIRED ? "expired" : "been revoked",
                       description);
    case ENOSYS:
    case EPERM:
        return err_set(err, ERR_UNSUPPORTED, SECRET_STEP,
                       "this host has no kernel keyring, or does not let this process use it; "
                       "choose file or command for %s",
                       description);
    default:
        return err_set_errno(err, error_number, SECRET_STEP, "the key %s cannot be read",
                             description);
    }
}

int secret_read_keyring(const char *description, struct secret **ret, struct err *err)
{
    long key = find_key(description);
    long size = key < 0 ? -1 : keyctl(KEYCTL_READ, (unsigned long)key, 0, 0);
    if (size < 0)
        return refuse_key(errno, description, err);
    if (size > SECRET_BYTES_MAX)
        return too_long(description, err);
    _cleanup_(cleanup_secret) struct secret *secret = secret_new((size_t)size + 1, err);
    if (!secret)
        return -ENOMEM;
    long len = keyctl(KEYCTL_READ, (unsigned long)key, (unsigned long)secret->bytes, (size_t)size);
    if (len < 0)
        return refuse_key(errno, description, err);
    if (len > size)
        return err_set(err, ERR_CONFLICT, SECRET_STEP,
                       "the key %s was changed while it was read; try again", description);
    secret->len = (size_t)len;
    int r = secret_finish(secret, false, description, err);
    if (r == 0)
        *ret = TAKE_PTR(secret);
    return r;
}

static int resolve_keyring(const yyjson_val *value, struct secret **ret, struct err *err)
{
    const char *description;
    int r = source_text(value, SOURCE_KEYRING, &description, err);
    return r < 0 ? r : secret_read_keyring(description, ret, err);
}

/* --- commands ------------------------------------------------------------------------------ */

static int resolve_command(const yyjson_val *value, struct secret **ret, struct err *err)
{
    const char *arguments[SECRET_ARGUMENTS_MAX + 1] = { NULL };
    size_t index, count, argument_count = yyjson_arr_size((yyjson_val *)value);
    yyjson_val *item;
    if (!argument_count || argument_count > SECRET_ARGUMENTS_MAX)
        return err_set(err, ERR_DOCUMENT, SECRET_STEP,
                       "command takes a list of 1 to %d words: the program and its arguments",
                       SECRET_ARGUMENTS_MAX);
    yyjson_arr_foreach((yyjson_val *)value, index, count, item)
    {
        const char *word = yyjson_get_str(item);
        if (!word || memchr(word, '\0', yyjson_get_len(item)) || (index == 0 && !word[0]))
            return err_set(err, ERR_DOCUMENT, SECRET_STEP, "word %zu of command is no text",
                           index + 1);
        arguments[index] = word;
    }
    return secret_run(arguments, SECRET_COMMAND_MS, ret, err);
}
