/*
 * secret_names: the table, and how a name is held against it.
 *
 * Theory of operation. A mount that prohibits secrets hides what stands here, so a row costs twice:
 * one too few shows a secret, one too many hides what a build needs. Names that mostly hold secrets
 * are hidden as they are. Names that often do not (a bundle of certificates, an .npmrc that only
 * names a registry) are candidates, whose contents are read, up to a bound; what cannot be read,
 * or is not plainly harmless, is a secret. A value that only refers to a variable is none.
 *
 * The table is what is known. A secret in a file of any other name is found by nobody here: the
 * scanner of what leaves (base/redact.h) and the doors stand behind it.
 */
#include "machine/secret_names.h"

#include <strings.h>

#define ANYWHERE  NULL
#define FILES     false
#define DIRECTORY true

const struct secret_name secret_names[] = {
    { "env-file", ".env", ANYWHERE, SECRET_ALWAYS, FILES },
    { "env-file", ".env.*", ANYWHERE, SECRET_ALWAYS, FILES },
    { "env-file", ".envrc", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", "id_rsa", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", "id_dsa", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", "id_ecdsa", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", "id_ed25519", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", "id_*_sk", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", "*.pem", ANYWHERE, SECRET_IF_NOT_PUBLIC_PEM, FILES },
    { "private-key", "*.key", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", "*.ppk", ANYWHERE, SECRET_ALWAYS, FILES },
    { "private-key", ".ssh", ANYWHERE, SECRET_ALWAYS, DIRECTORY },
    { "private-key", ".gnupg", ANYWHERE, SECRET_ALWAYS, DIRECTORY },
    { "key-store", "*.p8", ANYWHERE, SECRET_IF_NOT_PUBLIC_PEM, FILES },
    { "key-store", "*.p12", ANYWHERE, SECRET_ALWAYS, FILES },
    { "key-store", "*.pfx", ANYWHERE, SECRET_ALWAYS, FILES },
    { "key-store", "*.jks", ANYWHERE, SECRET_ALWAYS, FILES },
    { "key-store", "*.keystore", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-store", "*.kdbx", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-store", "*.kdb", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-store", ".password-store", ANYWHERE, SECRET_ALWAYS, DIRECTORY },
    { "password-file", ".netrc", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", "_netrc", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", ".htpasswd", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", ".vault_pass*", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", ".vault-pass*", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", "vault_pass.txt", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", "vault-password.txt", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", ".pgpass", ANYWHERE, SECRET_ALWAYS, FILES },
    { "password-file", ".my.cnf", ANYWHERE, SECRET_IF_PASSWORD, FILES },
    { "git-credential", ".git-credentials", ANYWHERE, SECRET_ALWAYS, FILES },
    { "registry-token", ".npmrc", ANYWHERE, SECRET_IF_NPM_TOKEN, FILES },
    { "registry-token", ".yarnrc", ANYWHERE, SECRET_IF_NPM_TOKEN, FILES },
    { "registry-token", ".yarnrc.yml", ANYWHERE, SECRET_IF_YARN_TOKEN, FILES },
    { "registry-token", ".pypirc", ANYWHERE, SECRET_IF_PASSWORD, FILES },
    { "registry-token", "credentials", ".cargo", SECRET_ALWAYS, FILES },
    { "registry-token", "credentials.toml", ".cargo", SECRET_ALWAYS, FILES },
    { "registry-token", "credentials", ".gem", SECRET_ALWAYS, FILES },
    { "registry-token", "config.json", ".docker", SECRET_IF_REGISTRY_AUTH, FILES },
    { "registry-token", ".dockercfg", ANYWHERE, SECRET_ALWAYS, FILES },
    { "registry-token", ".dockerconfigjson", ANYWHERE, SECRET_ALWAYS, FILES },
    { "cloud-credential", "credentials", ".aws", SECRET_ALWAYS, FILES },
    { "cloud-credential", ".azure", ANYWHERE, SECRET_ALWAYS, DIRECTORY },
    { "cloud-credential", "gcloud", ".config", SECRET_ALWAYS, DIRECTORY },
    { "cloud-credential", ".credentials.json", ".claude", SECRET_ALWAYS, FILES },
    { "cloud-credential", "auth.json", ".codex", SECRET_ALWAYS, FILES },
    { "cloud-credential", ".boto", ANYWHERE, SECRET_ALWAYS, FILES },
    { "cloud-credential", ".s3cfg", ANYWHERE, SECRET_ALWAYS, FILES },
    { "cloud-credential", ".vault-token", ANYWHERE, SECRET_ALWAYS, FILES },
    { "cloud-credential", "application_default_credentials.json", ANYWHERE, SECRET_ALWAYS, FILES },
    { "cloud-credential", "*service*account*.json", ANYWHERE, SECRET_IF_PRIVATE_MEMBER, FILES },
    { "cloud-credential", "*credentials*.json", ANYWHERE, SECRET_IF_PRIVATE_MEMBER, FILES },
    { "cloud-credential", "client_secret*.json", ANYWHERE, SECRET_IF_PRIVATE_MEMBER, FILES },
    { "kube-config", "config", ".kube", SECRET_ALWAYS, FILES },
    { "kube-config", "kubeconfig", ANYWHERE, SECRET_ALWAYS, FILES },
    { "kube-config", "*.kubeconfig", ANYWHERE, SECRET_ALWAYS, FILES },
    { "terraform-state", "*.tfstate", ANYWHERE, SECRET_ALWAYS, FILES },
    { "terraform-state", "*.tfstate.backup", ANYWHERE, SECRET_ALWAYS, FILES },
    { "terraform-state", "terraform.tfvars", ANYWHERE, SECRET_ALWAYS, FILES },
    { "terraform-state", "terraform.tfvars.json", ANYWHERE, SECRET_ALWAYS, FILES },
};
const size_t secret_names_count = ARRAY_LEN(secret_names);

static_assert(ARRAY_LEN(secret_names) < UINT16_MAX, "a row's number is kept in 16 bits");

/* What is made to be shared, although a row's pattern takes it. */
static const char *const shared_ends[] = { ".example", ".sample", ".template", ".dist" };

/* The members and settings whose values are secrets, per kind of contents. */
#define KEYS_MAX 4
static const char *const secret_keys[SECRET_CONTENT_COUNT][KEYS_MAX] = {
    [SECRET_IF_NPM_TOKEN] = { "_authToken", "_auth", "_password" },
    [SECRET_IF_YARN_TOKEN] = { "npmAuthToken", "npmAuthIdent" },
    [SECRET_IF_PASSWORD] = { "password" },
    [SECRET_IF_REGISTRY_AUTH] = { "auth", "identitytoken", "registrytoken" },
    [SECRET_IF_PRIVATE_MEMBER] = { "private_key", "client_secret", "refresh_token" },
};

/* What a PEM file may hold without being a secret. */
static const char *const public_labels[] = {
    "CERTIFICATE-----",     "TRUSTED CERTIFICATE-----", "X509 CRL-----",
    "PUBLIC KEY-----",      "CERTIFICATE REQUEST-----", "RSA PUBLIC KEY-----",
    "DH PARAMETERS-----",   "EC PARAMETERS-----",       "NEW CERTIFICATE REQUEST-----",
    "X509 CERTIFICATE-----"
};

/* --- names --------------------------------------------------------------------------------- */

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool equal_folded(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (folded(a[i]) != folded(b[i]))
            return false;
    }
    return true;
}

/* The last "*" is tried longer and longer; an earlier one need not be. */
static bool glob(struct str name, const char *pattern)
{
    size_t at = 0, retry = 0;
    const char *star = NULL;
    while (at < name.len) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = at;
        } else if (*pattern && folded(*pattern) == folded(name.ptr[at])) {
            pattern++;
            at++;
        } else if (star) {
            pattern = star;
            at = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* Most names differ from most rows at the first byte or the last. */
static bool name_is(struct str name, const char *pattern)
{
    size_t len = strlen(pattern);
    if (pattern[0] != '*')
        return folded(pattern[0]) == folded(name.ptr[0]) && glob(name, pattern);
    if (memchr(pattern + 1, '*', len - 1))
        return folded(pattern[len - 1]) == folded(name.ptr[name.len - 1]) && glob(name, pattern);
    return name.len >= len - 1 &&
           equal_folded(name.ptr + name.len - (len - 1), pattern + 1, len - 1);
}

static bool is_shared(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(shared_ends); i++) {
        size_t len = strlen(shared_ends[i]);
        if (name.len > len && equal_folded(name.ptr + name.len - len, shared_ends[i], len))
            return true;
    }
    return false;
}

/* The number of the first row with the same parent, which stands for that parent. */
static unsigned parent_number(const char *parent)
{
    unsigned number = 0;
    for (size_t i = 0; i < secret_names_count; i++) {
        if (secret_names[i].parent && strcmp(secret_names[i].parent, parent) == 0)
            break;
        number++;
    }
    return number + 1;
}

unsigned secret_parent(struct str name)
{
    if (!name.len || name.ptr[0] != '.')
        return 0;
    for (size_t i = 0; i < secret_names_count; i++) {
        const char *parent = secret_names[i].parent;
        if (parent && strlen(parent) == name.len && equal_folded(name.ptr, parent, name.len))
            return parent_number(parent);
    }
    return 0;
}

const struct secret_name *secret_name_find(struct str name, unsigned parent, bool directory)
{
    for (size_t i = 0; name.len && i < secret_names_count; i++) {
        const struct secret_name *row = &secret_names[i];
        if (row->directory != directory || !name_is(name, row->name))
            continue;
        if (row->parent && (!parent || parent_number(row->parent) != parent))
            continue;
        if (!is_shared(name))
            return row;
    }
    return NULL;
}

bool secret_name_is_literal(const struct secret_name *row)
{
    return strchr(row->name, '*') == NULL;
}

/* --- contents ------------------------------------------------------------------------------ */

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* Whether what stands behind a key is a value: not nothing, and not only a variable's name. */
static bool is_value(struct str rest)
{
    size_t at = 0;
    while (at < rest.len && is_one_of(rest.ptr[at], "\"' \t=:"))
        at++;
    rest = str_from_offset(rest, at);
    if (!rest.len || is_one_of(rest.ptr[0], "\r\n,{}[]"))
        return false;
    if (!str_starts(rest, STR("${")))
        return true;
    size_t end = str_index(rest, '}', 0);
    return memchr(rest.ptr, '\n', end) ||
           (end + 1 < rest.len && !is_one_of(rest.ptr[end + 1], "\"' \t\r\n,"));
}

static bool holds_value(struct str text, const char *key)
{
    size_t len = strlen(key);
    while (text.len) {
        const char *hit = memmem(text.ptr, text.len, key, len);
        if (!hit)
            return false;
        text = str_from_offset(text, (size_t)(hit - text.ptr) + len);
        if (text.len && is_one_of(text.ptr[0], "\"' \t=:") && is_value(text))
            return true;
    }
    return false;
}

static bool is_public_label(struct str text)
{
    for (size_t i = 0; i < ARRAY_LEN(public_labels); i++) {
        if (str_starts(text, str_from(public_labels[i])))
            return true;
    }
    return false;
}

static bool is_public_pem(struct str text)
{
    static const struct str begin = { "-----BEGIN ", 11 };
    size_t blocks = 0;
    if (memmem(text.ptr, text.len, "PRIVATE", 7))
        return false;
    for (;; blocks++) {
        const char *hit = memmem(text.ptr, text.len, begin.ptr, begin.len);
        if (!hit)
            return blocks > 0;
        text = str_from_offset(text, (size_t)(hit - text.ptr) + begin.len);
        if (!is_public_label(text))
            return false;
    }
}

bool secret_content_tells(enum secret_content content, struct str text)
{
    if (content == SECRET_ALWAYS)
        return true;
    if (memchr(text.ptr, '\0', text.len)) /* no text, as which it is read here */
        return true;
    if (content == SECRET_IF_NOT_PUBLIC_PEM)
        return !is_public_pem(text);
    for (size_t i = 0; i < KEYS_MAX && secret_keys[content][i]; i++) {
        if (holds_value(text, secret_keys[content][i]))
            return true;
    }
    return false;
}

/* --- the table's own mark ------------------------------------------------------------------ */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return (hash ^ 0xff) * 0x100000001b3u;
}

uint64_t secret_names_hash(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < secret_names_count; i++) {
        const struct secret_name *row = &secret_names[i];
        hash = hash_text(hash_text(hash_text(hash, row->kind), row->name), row->parent);
        hash = (hash ^ (unsigned)(row->content * 2 + row->directory)) * 0x100000001b3u;
    }
    for (size_t i = 0; i < ARRAY_LEN(shared_ends); i++)
        hash = hash_text(hash, shared_ends[i]);
    return hash_text(hash, AM_VERSION); /* what contents tell is code */
}
