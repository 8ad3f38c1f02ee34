/*
 * key: the user's key, made once and read with care.
 *
 * Theory of operation. A key is written to a file of its own name that nobody
 * else can open, synced, and then linked to `key.pem`, which fails where there
 * is one: of two that make it at the same time one wins, a crash leaves no
 * half of a key, and no key is ever replaced. `key.pub` can be lost, since it
 * is written anew from the private half.
 *
 * Reading goes through secret.c: the same checks on files, the same locked
 * memory. The one place where a private key stands in ordinary memory is the
 * text that is written when the key is made; it is wiped at once.
 *
 * Invariants: no private key is written with a mode other than 0600; no
 * existing key.pem is changed.
 */
#include "authority/key.h"

#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "authority/secret_internal.h"
#include "base/file.h"

#define STEP                  "open a key"
#define STEP_MAKE             "make the user's key"
#define PATH_BYTES_MAX        4096
#define PEM_BYTES_MAX         4096
#define PUBLIC_FILE_BYTES_MAX 4096
#define FILE_PREFIX           "file:"
#define KEYRING_PREFIX        "keyring:"

/* --- the folder ---------------------------------------------------------------------------- */

static int path_in(const char *folder, const char *name, char ret[PATH_BYTES_MAX], struct err *err)
{
    int len = snprintf(ret, PATH_BYTES_MAX, "%s/%s", folder, name);
    return len < PATH_BYTES_MAX ? 0
                                : err_set(err, ERR_LIMIT, STEP, "%s: the path is too long", folder);
}

/* --- writing ------------------------------------------------------------------------------- */

static int write_all(int fd, struct str bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder(const char *folder)
{
    _cleanup_(cleanup_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Puts a file into the folder, whole; -EEXIST where there is one of this name already. */
static int put_file(const char *folder, const char *name, struct str bytes, mode_t mode,
                    struct err *err)
{
    char path[PATH_BYTES_MAX], draft[PATH_BYTES_MAX], draft_name[64];
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set_errno(err, errno, STEP_MAKE, "the kernel gives no random bytes");
    snprintf(draft_name, sizeof(draft_name), ".%s.%016llx", name, (unsigned long long)random);
    int r = path_in(folder, name, path, err);
    if (r == 0)
        r = path_in(folder, draft_name, draft, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_close) int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_set_errno(err, errno, STEP_MAKE, "%s cannot be made", draft);
    r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, bytes);
    if (r == 0 && link(draft, path) < 0)
        r = -errno;
    unlink(draft);
    if (r == -EEXIST)
        return r;
    if (r == 0)
        r = sync_folder(folder);
    return r < 0 ? err_set_errno(err, -r, STEP_MAKE, "%s cannot be written", path) : 0;
}

static int put_key(const char *folder, const struct sign_key *key, struct err *err)
{
    struct buf pem = BUF_INIT_LIMIT(PEM_BYTES_MAX);
    int r = sign_key_write(key, &pem, err);
    if (r == 0)
        r = put_file(folder, KEY_FILE, buf_str(&pem), 0600, err);
    explicit_bzero(pem.data, pem.len);
    buf_release(&pem);
    return r;
}

/* Whether the key.pub that is there already is the key's. */
static int check_public(const char *folder, const struct sign_public *public, struct err *err)
{
    char path[PATH_BYTES_MAX];
    struct sign_public found;
    int r = path_in(folder, KEY_PUBLIC_FILE, path, err);
    if (r == 0)
        r = key_open_public(path, &found, err);
    if (r == 0 && memcmp(&found, public, sizeof(found)) != 0)
        r = err_set(err, ERR_CONFLICT, STEP_MAKE,
                    "%s is not the public half of %s; remove it and run this again", path,
                    KEY_FILE);
    return r;
}

static int put_public(const char *folder, const struct sign_key *key, struct err *err)
{
    struct sign_public public;
    char text[SIGN_PUBLIC_TEXT_MAX], line[SIGN_PUBLIC_TEXT_MAX + 1];
    sign_key_public(key, &public);
    if (sign_public_text(&public, text) < 0)
        return err_set(err, ERR_MEMORY, STEP_MAKE, "there is not enough memory");
    snprintf(line, sizeof(line), "%s\n", text);
    int r = put_file(folder, KEY_PUBLIC_FILE, str_from(line), 0644, err);
    return r == -EEXIST ? check_public(folder, &public, err) : r;
}

static int make_key(const char *folder, struct sign_key **ret, struct err *err)
{
    struct sign_key *key;
    int r = sign_key_generate(&key, err);
    if (r < 0)
        return r;
    r = put_key(folder, key, err);
    if (r < 0)
        sign_key_free(key);
    else
        *ret = key;
    return r;
}

int key_init(const char *config_folder, bool *ret_made, struct err *err)
{
    char path[PATH_BYTES_MAX];
    struct sign_key *key = NULL;
    bool made = false;
    int r = path_in(config_folder, KEY_FILE, path, err);
    if (r == 0)
        r = file_make_folder(config_folder, err);
    if (r < 0)
        return r;
    if (access(path, F_OK) < 0) {
        r = make_key(config_folder, &key, err);
        made = r == 0;
    }
    if (!made && (r == 0 || r == -EEXIST)) /* it was there, or somebody else has just made it */
        r = key_open_user(config_folder, &key, err);
    if (r == 0)
        r = put_public(config_folder, key, err);
    sign_key_free(key);
    if (r == 0)
        *ret_made = made;
    return r;
}

/* --- reading ------------------------------------------------------------------------------- */

/* Of the bytes of a private key; where they come from is said by the caller. */
static int parse_key(struct secret *pem, struct sign_key **ret, struct err *err)
{
    int r = sign_key_parse(secret_value(pem), ret, err);
    secret_free(pem);
    return r;
}

static int open_file(const char *path, struct sign_key **ret, struct err *err)
{
    struct secret *pem;
    int r = secret_read_file(path, &pem, err);
    if (r < 0)
        return r;
    r = parse_key(pem, ret, err);
    if (r < 0)
        err_where(err, "%s", path);
    return r;
}

int key_open_user(const char *config_folder, struct sign_key **ret, struct err *err)
{
    char path[PATH_BYTES_MAX];
    int r = path_in(config_folder, KEY_FILE, path, err);
    if (r == 0)
        r = open_file(path, ret, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, STEP,
                       "you have no key yet (%s); make one: agent-machine init", path);
    return r;
}

int key_open(const char *reference, struct sign_key **ret, struct err *err)
{
    struct secret *pem;
    if (strncmp(reference, KEYRING_PREFIX, strlen(KEYRING_PREFIX)) != 0) {
        bool is_file = strncmp(reference, FILE_PREFIX, strlen(FILE_PREFIX)) == 0;
        return open_file(reference + (is_file ? strlen(FILE_PREFIX) : 0), ret, err);
    }
    int r = secret_read_keyring(reference + strlen(KEYRING_PREFIX), &pem, err);
    if (r < 0)
        return r;
    r = parse_key(pem, ret, err);
    if (r < 0)
        err_where(err, "%s", reference);
    return r;
}

int key_open_public(const char *reference, struct sign_public *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PUBLIC_FILE_BYTES_MAX);
    if (sign_public_parse(str_from(reference), ret))
        return 0;
    if (strncmp(reference, "ed25519:", strlen("ed25519:")) == 0)
        return err_set(err, ERR_SYNTAX, STEP,
                       "%s is no public key: ed25519: and 44 characters of base64", reference);
    int r = file_read(reference, &text, err);
    if (r < 0)
        return r;
    struct str line = buf_str(&text);
    while (line.len && strchr(" \t\r\n", line.ptr[line.len - 1]))
        line.len--;
    if (sign_public_parse(line, ret))
        return 0;
    return err_set(err, ERR_SYNTAX, STEP,
                   "%s holds no public key: ed25519: and 44 characters of base64", reference);
}

/* --- whose it is --------------------------------------------------------------------------- */

/* Whether a name may stand in a URN as it is. */
static bool fits_urn(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char marks[] = "._:@%+~-";
    size_t len = strlen(name);
    if (!len || len > 64 || !strchr(letters, name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!strchr(letters, name[i]) && !strchr(marks, name[i]))
            return false;
    return true;
}

void key_user(char ret[KEY_USER_TEXT_MAX])
{
    static char known[KEY_USER_TEXT_MAX];
    static uid_t known_id;
    uid_t id = geteuid();
    if (!known[0] || known_id != id) { /* whoever is asked for it may ask a server */
        const struct passwd *entry = getpwuid(id);
        if (entry && fits_urn(entry->pw_name))
            snprintf(known, sizeof(known), "urn:srcos:user:%s", entry->pw_name);
        else
            snprintf(known, sizeof(known), "urn:srcos:user:uid-%u", id);
        known_id = id;
    }
    memcpy(ret, known, sizeof(known));
}
