/*
 * host_path: one spelling for paths, and the table of host secrets.
 *
 * Theory of operation. Whatever an agent sees of the host must not be, hold or
 * lie within a key store, a credential file, an agent socket or a browser
 * profile. The table names these places below a home, and what a home is
 * called on each system; so the home itself, and whatever holds homes, is
 * refused for what stands in it. Two paths touch where their components agree
 * as far as the shorter of them goes. Letters are compared without regard to
 * case, as two of the three systems do; on the third this refuses a little
 * more.
 *
 * The table is what is known to hold secrets. It cannot be complete, which is
 * why mounts are an allow-list in the first place.
 */
#include "contract/host_path.h"

#include <strings.h>

/* Patterns: "*" is any component, "?" any letter. */
static const char *const homes[] = {
    "~", "/root", "/home/*", "/var/home/*", "/Users/*", "?:/Users/*", "/mnt/?/Users/*",
};

static const char *const secrets_of_home[] = {
    /* keys */
    ".ssh",
    ".gnupg",
    ".pki",
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".config/sops",
    ".config/op",
    ".config/1Password",
    ".config/Bitwarden",
    ".config/keepassxc",
    "Library/Keychains",
    "Library/Application Support/1Password",
    "Library/Group Containers",
    "AppData/Local/Microsoft/Credentials",
    "AppData/Local/Microsoft/Vault",
    "AppData/Roaming/Microsoft/Credentials",
    "AppData/Roaming/Microsoft/Protect",
    "AppData/Roaming/gnupg",
    /* clouds and registries */
    ".aws",
    ".azure",
    ".oci",
    ".boto",
    ".s3cfg",
    ".config/gcloud",
    ".config/doctl",
    ".config/rclone",
    ".kube",
    ".docker",
    ".config/containers",
    ".terraform.d",
    ".vault-token",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".cache/huggingface/token",
    /* hosts, mail and databases */
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh",
    ".config/glab-cli",
    ".config/github-copilot",
    ".thunderbird",
    /* browsers */
    ".mozilla",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/vivaldi",
    ".var/app",
    "snap/firefox",
    "snap/chromium",
    "Library/Cookies",
    "Library/Application Support/Google/Chrome",
    "Library/Application Support/Firefox",
    "Library/Application Support/BraveSoftware",
    "AppData/Local/Google/Chrome",
    "AppData/Local/Microsoft/Edge",
    "AppData/Roaming/Mozilla",
    /* agents, and this program */
    ".codex",
    ".claude",
    ".claude.json",
    ".gemini",
    ".openclaw",
    ".config/agent-machine",
    ".local/share/agent-machine",
    ".local/state/agent-machine",
};

static const char *const secrets_of_system[] = {
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/var/run",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/krb5.keytab",
    "/etc/NetworkManager/system-connections",
    "/etc/wireguard",
    "/var/lib/docker",
    "/var/lib/sss",
    "/var/lib/systemd/credential.secret",
    "/Library/Keychains",
    "/tmp/.X11-unix",
    "/tmp/.ICE-unix",
};

/* Of files, wherever they lie; with a "*" in front, how their names end. */
static const char *const secret_names[] = {
    ".netrc",          "_netrc",      ".npmrc",           ".pypirc",
    ".pgpass",         ".my.cnf",     "id_rsa",           "id_dsa",
    "id_ecdsa",        "id_ed25519",  ".git-credentials", "docker.sock",
    "containerd.sock", "podman.sock", "*.kdbx",           "*.p12",
    "*.pfx",           "*.jks",       "*.keystore",       "*.pem",
    "*.key",           "*.sock",
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has_drive(struct str path)
{
    return path.len >= 2 && is_letter(path.ptr[0]) && path.ptr[1] == ':';
}

static size_t component_len(const char *path, const char *end, bool drive)
{
    const char *p = path;
    while (p < end && *p != '/' && !(drive && *p == '\\'))
        p++;
    return (size_t)(p - path);
}

int host_path_normalise(struct str path, struct buf *ret)
{
    const char *end = path.ptr + path.len;
    bool drive = has_drive(path);
    size_t mark = ret->len;
    for (const char *p = path.ptr; p < end; p++) {
        size_t len = component_len(p, end, drive);
        if (len && p > path.ptr)
            buf_add_char(ret, '/');
        buf_add(ret, p, len);
        p += len;
    }
    if (drive && !ret->error)
        ret->data[mark] = (char)(ret->data[mark] & ~0x20);
    return ret->error;
}

int host_path_expand(struct str path, const char *home, struct buf *ret)
{
    bool in_home = str_starts(path, STR("~")) && (path.len == 1 || path.ptr[1] == '/');
    if (in_home)
        host_path_normalise(str_from(home), ret);
    return host_path_normalise(in_home ? str_from_offset(path, 1) : path, ret);
}

bool host_path_is_within(struct str path, struct str other)
{
    return str_starts(path, other) && (path.len == other.len || path.ptr[other.len] == '/');
}

/* Whether a component is what a pattern's is. */
static bool component_is(struct str component, struct str pattern)
{
    if (str_equal(pattern, STR("*")))
        return component.len > 0;
    if (pattern.len && pattern.ptr[0] == '?')
        return component.len == pattern.len && is_letter(component.ptr[0]) &&
               memcmp(component.ptr + 1, pattern.ptr + 1, pattern.len - 1) == 0;
    return component.len == pattern.len &&
           strncasecmp(component.ptr, pattern.ptr, pattern.len) == 0;
}

/* Takes the first component off a path; false at its end. */
static bool next_component(struct str *path, struct str *ret)
{
    if (!path->ptr)
        return false;
    size_t end = str_index(*path, '/', 0);
    *ret = str_make(path->ptr, end);
    *path = end < path->len ? str_from_offset(*path, end + 1) : (struct str){ 0 };
    return true;
}

/* Whether one of a path and a pattern is, or lies below, the other. */
static bool touches(struct str path, struct str pattern)
{
    struct str component, expected;
    while (next_component(&path, &component) && next_component(&pattern, &expected)) {
        if (!component_is(component, expected))
            return false;
    }
    return true;
}

static bool name_is(struct str name, const char *pattern)
{
    struct str expected = str_from(pattern + (pattern[0] == '*'));
    if (name.len < expected.len || (pattern[0] != '*' && name.len > expected.len))
        return false;
    return strncasecmp(name.ptr + name.len - expected.len, expected.ptr, expected.len) == 0;
}

/* Whether a path touches one of a list of places below a home; an empty home is the system. */
static bool touches_any(struct str path, const char *home, const char *const places[], size_t count,
                        char ret_secret[HOST_SECRET_SIZE])
{
    char place[HOST_SECRET_SIZE];
    for (size_t i = 0; i < count; i++) {
        snprintf(place, sizeof(place), "%s%s%s", home, home[0] ? "/" : "", places[i]);
        if (touches(path, str_from(place))) {
            memcpy(ret_secret, place, sizeof(place));
            return true;
        }
    }
    return false;
}

bool host_path_touches_secret(struct str path, char ret_secret[HOST_SECRET_SIZE])
{
    const char *slash = memrchr(path.ptr, '/', path.len);
    struct str name = slash ? str_from_offset(path, (size_t)(slash - path.ptr) + 1) : path;
    for (size_t i = 0; i < ARRAY_LEN(homes); i++) {
        if (touches(path, str_from(homes[i])) &&
            touches_any(path, homes[i], secrets_of_home, ARRAY_LEN(secrets_of_home), ret_secret))
            return true;
    }
    if (touches_any(path, "", secrets_of_system, ARRAY_LEN(secrets_of_system), ret_secret))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(secret_names); i++) {
        if (name_is(name, secret_names[i])) {
            snprintf(ret_secret, HOST_SECRET_SIZE, "%s", secret_names[i]);
            return true;
        }
    }
    return false;
}
