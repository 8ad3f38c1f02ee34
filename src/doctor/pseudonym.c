/*
 * pseudonym: a keyed digest of each name, put wherever the name stands.
 *
 * Theory of operation. Names are folded to small letters; a pseudonym is
 * "user-" or "host-" and eight digits of SHA-256 over the installation's key,
 * the kind and the name. A text is gone through once; at the beginning of
 * every word all names are tried, the longest first, so that a host's full
 * name goes before its first label. A word ends where letters and digits do.
 *
 * Some names are words of the contracts or of everybody (`root`, `user`,
 * `agent`): to replace these everywhere would spoil a text and hide nobody.
 * They are replaced where they can only be a name: behind "urn:srcos:user:",
 * "/home/", "@".
 *
 * Threats: names come from the host and the environment, and are bounded in
 * number and length. A name of one letter is none.
 */
#include "doctor/pseudonym.h"

#include <ctype.h>
#include <pwd.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/file.h"

#define STEP           "replace names"
#define KEY_BYTES      32
#define PATH_SIZE      4200
#define FIRST_USER_UID 1000
#define LAST_USER_UID  60000
#define NAME_LEAST     2
#define ID_BYTES_MAX   100

struct name {
    char text[PSEUDONYM_NAME_BYTES_MAX + 1]; /* in small letters */
    char alias[PSEUDONYM_SIZE];
    size_t len;
    enum pseudonym_kind kind;
    bool is_common, was_met;
};

struct pseudonyms {
    unsigned char key[KEY_BYTES];
    bool begins[256];                  /* whether a name begins with this byte, in either case */
    struct name names[PSEUDONYMS_MAX]; /* the longest first */
    size_t count;
    uint64_t replaced[PSEUDONYM_KIND_COUNT];
};

/* --- the key ------------------------------------------------------------------------------- */

static int write_key(const char *path, const unsigned char *key, struct err *err)
{
    _cleanup_(cleanup_close) int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, key, KEY_BYTES) != KEY_BYTES || fsync(fd) < 0)
        return err_set_errno(err, errno ? errno : EIO, STEP, "write %s", path);
    return 0;
}

static int open_key(const char *state_folder, bool make, unsigned char ret[KEY_BYTES],
                    struct err *err)
{
    _cleanup_(buf_release) struct buf key = BUF_INIT_LIMIT(KEY_BYTES);
    char path[PATH_SIZE];
    struct err inner = { 0 };
    int len = snprintf(path, sizeof(path), "%s/" PSEUDONYM_KEY_FILE, state_folder);
    if (len < 0 || (size_t)len >= sizeof(path))
        return err_set(err, ERR_LIMIT, STEP, "the state folder's path is too long");
    int r = file_read(path, &key, &inner);
    if (r == 0 && key.len == KEY_BYTES) {
        memcpy(ret, key.data, KEY_BYTES);
        return 0;
    }
    if (r != -ENOENT)
        return err_set(err, ERR_DAMAGED, STEP, "%s is no key; remove it, and names get new ones",
                       path);
    if (getrandom(ret, KEY_BYTES, 0) != KEY_BYTES)
        return err_set_errno(err, errno, STEP, "the kernel gives no random bytes");
    return make ? write_key(path, ret, err) : 0;
}

int pseudonyms_new(const char *state_folder, bool make_key, struct pseudonyms **ret,
                   struct err *err)
{
    struct pseudonyms *pseudonyms = calloc(1, sizeof(*pseudonyms));
    if (!pseudonyms)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    int r = open_key(state_folder, make_key, pseudonyms->key, err);
    if (r < 0) {
        pseudonyms_free(pseudonyms);
        return r;
    }
    *ret = pseudonyms;
    return 0;
}

void pseudonyms_free(struct pseudonyms *pseudonyms)
{
    if (pseudonyms)
        explicit_bzero(pseudonyms, sizeof(*pseudonyms));
    free(pseudonyms);
}

/* --- names --------------------------------------------------------------------------------- */

static bool is_common(const char *name)
{
    static const char *const words[] = {
        "admin",   "agent",   "artifact", "build",     "ci",     "container", "daemon",
        "debian",  "default", "device",   "docker",    "dev",    "event",     "fedora",
        "git",     "guest",   "home",     "host",      "linux",  "local",     "localdomain",
        "machine", "main",    "network",  "node",      "nobody", "operation", "personal",
        "policy",  "profile", "root",     "run",       "runner", "sandbox",   "server",
        "service", "srcos",   "system",   "task",      "test",   "tool",      "ubuntu",
        "urn",     "user",    "vagrant",  "vm",        "work",   "workspace", "localhost",
        "model",   "tier",    "state",    "completed", "failed", "running",   "queued",
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(name, words[i]) == 0)
            return true;
    return false;
}

static int alias(const struct pseudonyms *pseudonyms, struct name *name, struct err *err)
{
    static const char *const words[PSEUDONYM_KIND_COUNT] = { "user", "host" };
    unsigned char bytes[KEY_BYTES + 1 + PSEUDONYM_NAME_BYTES_MAX], digest[DIGEST_BYTES];
    memcpy(bytes, pseudonyms->key, KEY_BYTES);
    bytes[KEY_BYTES] = (unsigned char)name->kind;
    memcpy(bytes + KEY_BYTES + 1, name->text, name->len);
    int r = digest_sha256(str_make((const char *)bytes, KEY_BYTES + 1 + name->len), digest, err);
    snprintf(name->alias, sizeof(name->alias), "%s-%02x%02x%02x%02x", words[name->kind], digest[0],
             digest[1], digest[2], digest[3]);
    explicit_bzero(bytes, sizeof(bytes));
    return r;
}

int pseudonyms_add(struct pseudonyms *pseudonyms, enum pseudonym_kind kind, struct str text,
                   struct err *err)
{
    struct name name = { .kind = kind, .len = text.len };
    if (text.len < NAME_LEAST || text.len > PSEUDONYM_NAME_BYTES_MAX ||
        pseudonyms->count == PSEUDONYMS_MAX)
        return 0;
    for (size_t i = 0; i < text.len; i++)
        name.text[i] = (char)tolower((unsigned char)text.ptr[i]);
    name.is_common = is_common(name.text);
    for (size_t i = 0; i < pseudonyms->count; i++)
        if (strcmp(pseudonyms->names[i].text, name.text) == 0)
            return 0;
    int r = alias(pseudonyms, &name, err);
    if (r < 0)
        return r;
    pseudonyms->begins[(unsigned char)name.text[0]] = true;
    pseudonyms->begins[toupper((unsigned char)name.text[0])] = true;
    size_t at = pseudonyms->count++;
    for (; at > 0 && pseudonyms->names[at - 1].len < name.len; at--)
        pseudonyms->names[at] = pseudonyms->names[at - 1];
    pseudonyms->names[at] = name;
    return 0;
}

int pseudonyms_name(struct pseudonyms *pseudonyms, enum pseudonym_kind kind, struct str text,
                    char ret[PSEUDONYM_SIZE], struct err *err)
{
    int r = pseudonyms_add(pseudonyms, kind, text, err);
    for (size_t i = 0; r == 0 && i < pseudonyms->count; i++) {
        struct name *name = &pseudonyms->names[i];
        if (name->len != text.len || strncasecmp(name->text, text.ptr, text.len) != 0)
            continue;
        name->was_met = true;
        pseudonyms->replaced[kind]++;
        snprintf(ret, PSEUDONYM_SIZE, "%s", name->alias);
        return 0;
    }
    return r < 0 ? r : err_set(err, ERR_LIMIT, STEP, "a name is too short or too long to replace");
}

static int add_text(struct pseudonyms *pseudonyms, enum pseudonym_kind kind, const char *text,
                    struct err *err)
{
    return text ? pseudonyms_add(pseudonyms, kind, str_from(text), err) : 0;
}

/* What a file of one line says of the host. */
static int add_id(struct pseudonyms *pseudonyms, const char *path, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(ID_BYTES_MAX);
    if (file_read(path, &text, NULL) < 0)
        return 0;
    size_t len = 0;
    while (len < text.len && !isspace((unsigned char)text.data[len]))
        len++;
    return pseudonyms_add(pseudonyms, PSEUDONYM_HOST, str_make(text.data, len), err);
}

static int add_users(struct pseudonyms *pseudonyms, struct err *err)
{
    const struct passwd *entry;
    int r = 0;
    setpwent();
    while (r == 0 && (entry = getpwent())) {
        bool is_person = entry->pw_uid >= FIRST_USER_UID && entry->pw_uid < LAST_USER_UID;
        if (!is_person && entry->pw_uid != getuid())
            continue;
        r = add_text(pseudonyms, PSEUDONYM_USER, entry->pw_name, err);
        size_t len = entry->pw_gecos ? strcspn(entry->pw_gecos, ",") : 0;
        if (r == 0 && len)
            r = pseudonyms_add(pseudonyms, PSEUDONYM_USER, str_make(entry->pw_gecos, len), err);
    }
    endpwent();
    return r;
}

int pseudonyms_add_host(struct pseudonyms *pseudonyms, struct err *err)
{
    static const char *const variables[] = { "USER", "LOGNAME", "SUDO_USER" };
    static const char *const ids[] = { "/etc/hostname", "/etc/machine-id",
                                       "/var/lib/dbus/machine-id",
                                       "/proc/sys/kernel/random/boot_id" };
    char host[PSEUDONYM_NAME_BYTES_MAX] = "";
    int r = add_users(pseudonyms, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(variables); i++)
        r = add_text(pseudonyms, PSEUDONYM_USER, getenv(variables[i]), err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(ids); i++)
        r = add_id(pseudonyms, ids[i], err);
    if (r == 0)
        r = add_text(pseudonyms, PSEUDONYM_HOST, getenv("HOSTNAME"), err);
    if (r < 0 || gethostname(host, sizeof(host) - 1) < 0)
        return r;
    r = add_text(pseudonyms, PSEUDONYM_HOST, host, err);
    return r < 0 ? r
                 : pseudonyms_add(pseudonyms, PSEUDONYM_HOST, str_make(host, strcspn(host, ".")),
                                  err);
}

/* --- texts --------------------------------------------------------------------------------- */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) != 0;
}

/* Whether only a name can stand here. */
static bool is_name_place(struct str text, size_t at)
{
    static const char *const before[] = { "urn:srcos:user:", "/home/", "@", "user=", "host=" };
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        size_t size = strlen(before[i]);
        if (at >= size && memcmp(text.ptr + at - size, before[i], size) == 0)
            return true;
    }
    return false;
}

static struct name *name_at(struct pseudonyms *pseudonyms, struct str text, size_t at)
{
    for (size_t i = 0; i < pseudonyms->count; i++) {
        struct name *name = &pseudonyms->names[i];
        if (name->len > text.len - at || strncasecmp(text.ptr + at, name->text, name->len) != 0)
            continue;
        if (at + name->len < text.len && is_word(text.ptr[at + name->len]))
            continue;
        if (!name->is_common || is_name_place(text, at))
            return name;
    }
    return NULL;
}

int pseudonyms_replace(struct pseudonyms *pseudonyms, struct str text, struct buf *ret,
                       struct err *err)
{
    size_t done = 0;
    for (size_t at = 0; at < text.len; at++) {
        if (!pseudonyms->begins[(unsigned char)text.ptr[at]] ||
            (at > 0 && is_word(text.ptr[at - 1])))
            continue;
        struct name *name = name_at(pseudonyms, text, at);
        if (!name)
            continue;
        buf_add(ret, text.ptr + done, at - done);
        buf_add_text(ret, name->alias);
        name->was_met = true;
        pseudonyms->replaced[name->kind]++;
        at += name->len - 1;
        done = at + 1;
    }
    buf_add_str(ret, str_from_offset(text, done));
    return ret->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
}

uint64_t pseudonyms_count(const struct pseudonyms *pseudonyms, enum pseudonym_kind kind)
{
    return pseudonyms->replaced[kind];
}

uint64_t pseudonyms_distinct(const struct pseudonyms *pseudonyms, enum pseudonym_kind kind)
{
    uint64_t count = 0;
    for (size_t i = 0; i < pseudonyms->count; i++)
        count += pseudonyms->names[i].kind == kind && pseudonyms->names[i].was_met;
    return count;
}
