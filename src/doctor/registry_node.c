/*
 * registry_node: packages that npm installed for everybody, or for this user.
 *
 * npm keeps no receipt beside the package: its package.json is one. Those that
 * a system's package brought are that package's.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "doctor/dpkg.h"
#include "doctor/registry_entry.h"
#include "doctor/registry_internal.h"

#define MODULES "lib/node_modules"

struct node {
    struct registry *registry;
    struct registry_component *component;
    const char *prefix, *folder;
};

/* A program that the package brings, and the link by which it is found. */
static void take_program(void *context, struct str name, struct str path)
{
    const struct node *node = context;
    struct registry *registry = node->registry;
    char link[PATH_MAX], file[PATH_MAX];
    struct stat status;
    int len = snprintf(link, sizeof(link), "%s/bin/%.*s", node->prefix, STR_ARG(name));
    int file_len = snprintf(file, sizeof(file), "%s/%.*s", node->folder, STR_ARG(path));
    if (len < 0 || len >= PATH_MAX || file_len < 0 || file_len >= PATH_MAX)
        return;
    bool has_file = stat(file, &status) == 0, has_link = lstat(link, &status) == 0;
    const char *remedy =
        registry_text(registry, "npm install --global %s", node->component->ref + strlen("npm:"));
    struct record_fault gone = { "PROGRAM_MISSING", "The program does not start.", remedy };
    struct record_fault unlinked = { "PROGRAM_NOT_LINKED", "The program is not found by its name.",
                                     remedy };
    registry_add(registry, node->component, RECORD_LAUNCH,
                 !has_file  ? RECORD_INVALID
                 : has_link ? RECORD_PRESENT
                            : RECORD_MISSING,
                 registry_text(registry, "file:%s", link), has_file ? &unlinked : &gone);
}

static int look_at_package(struct registry *registry, const char *prefix, const char *folder,
                           const char *name, struct err *err)
{
    static const struct record_fault absent = {
        "RECEIPT_NOT_FOUND", "npm does not know the package, and does not update it.",
        "Remove the folder, or install the package again with npm install --global"
    };
    struct record_fault broken = { NULL, "Programs that need it do not find it.",
                                   "Install it again with npm install --global" };
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(ENTRY_BYTES_MAX);
    struct registry_entry *entry = malloc(sizeof(*entry));
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/package.json", folder);
    if (!entry || len < 0 || len >= PATH_MAX ||
        registry_owner(registry, path + strlen(dpkg_root()))) {
        registry->no_memory |= !entry;
        free(entry);
        return 0;
    }
    int r = 0;
    bool has_manifest = file_read(path, &text, NULL) == 0;
    if (has_manifest)
        registry_entry_read(ENTRY_NODE, buf_str(&text), entry);
    bool is_whole = has_manifest && !entry->fault;
    struct node node = { registry, NULL, prefix, folder };
    node.component =
        registry_component(registry, registry_text(registry, "npm:%s", name),
                           registry_text(registry, "%s %s", name, is_whole ? entry->version : ""));
    if (node.component) {
        const char *ref = registry_text(registry, "file:%s", path);
        node.component->receipt = has_manifest ? RECORD_PRESENT : RECORD_MISSING;
        registry_add(registry, node.component, RECORD_RECEIPT, node.component->receipt,
                     registry_text(registry, "npm:%s/receipt", name), &absent);
        broken.code = has_manifest && entry->fault ? entry->fault : "MANIFEST_UNREADABLE";
        if (has_manifest) {
            registry_add(registry, node.component, RECORD_MANIFEST,
                         is_whole ? RECORD_PRESENT : RECORD_INVALID, ref, &broken);
            r = digest_text(buf_str(&text), node.component->manifest_digest, err);
            (void)registry_node_read(buf_str(&text), take_program, &node);
        }
    }
    free(entry);
    return r;
}

/* Packages of one folder; those of a scope lie one folder deeper. */
static int look_into(struct registry *registry, const char *prefix, const char *folder,
                     const char *scope, struct err *err)
{
    char path[PATH_MAX], name[2 * ENTRY_NAME_MAX];
    struct stat status;
    struct dirent *entry;
    DIR *packages = opendir(folder);
    int r = 0;
    while (r == 0 && packages && (entry = readdir(packages))) {
        int len = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || len < 0 || len >= PATH_MAX || stat(path, &status) < 0 ||
            !S_ISDIR(status.st_mode))
            continue;
        bool is_scope = entry->d_name[0] == '@' && !scope[0];
        snprintf(name, sizeof(name), "%s%s%s", scope, entry->d_name, is_scope ? "/" : "");
        r = is_scope ? look_into(registry, prefix, path, name, err)
                     : look_at_package(registry, prefix, path, name, err);
    }
    if (packages)
        closedir(packages);
    return r;
}

int registry_node(struct registry *registry, struct err *err)
{
    static const char *const homes[] = { "/.npm-global", "/.local" };
    static const char *const prefixes[] = { "/usr/local", "/usr" };
    char prefix[PATH_MAX / 2], folder[PATH_MAX];
    const char *home = getenv("HOME"), *named = getenv("NPM_CONFIG_PREFIX");
    bool has_home = home && home[0] == '/' && !dpkg_root()[0];
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(prefixes) + ARRAY_LEN(homes) + 1; i++) {
        bool is_home = i >= ARRAY_LEN(prefixes) && i < ARRAY_LEN(prefixes) + ARRAY_LEN(homes);
        if (i < ARRAY_LEN(prefixes))
            snprintf(prefix, sizeof(prefix), "%.1000s%s", dpkg_root(), prefixes[i]);
        else if (is_home && has_home)
            snprintf(prefix, sizeof(prefix), "%.1000s%s", home, homes[i - ARRAY_LEN(prefixes)]);
        else if (!is_home && named && named[0] == '/')
            snprintf(prefix, sizeof(prefix), "%.1000s", named);
        else
            continue;
        snprintf(folder, sizeof(folder), "%s/" MODULES, prefix);
        r = look_into(registry, prefix, folder, "", err);
    }
    return r;
}
