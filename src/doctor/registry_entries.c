/*
 * registry_entries: what programs register themselves by, in folders that all of them share.
 *
 * Theory of operation. Each folder is a row. A manifest belongs to the
 * component whose package brought it; one that nobody brought is a component
 * of its own, told only where something is wrong with it, since no receipt is
 * to be had for what a user put there. D-Bus services come first, because
 * portals and desktop entries lean on them.
 *
 * A unit that leads to /dev/null in the administrator's folder, and a
 * native-messaging host that a browser's policy blocks, are held apart.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "doctor/dpkg.h"
#include "doctor/registry_entry.h"
#include "doctor/registry_internal.h"

static const struct folder_row {
    enum registry_base base;
    const char *path, *suffix;
    const char *within; /* the manifest's name in a folder of its own; NULL: plain files */
    enum registry_entry_kind kind;
    enum record_kind record;
    const char *impact;
} rows[] = {
    { BASE_ROOT, "/usr/share/dbus-1/services", ".service", NULL, ENTRY_SERVICE, RECORD_BROKER,
      "Who calls this service in a session gets no answer." },
    { BASE_ROOT, "/usr/share/dbus-1/system-services", ".service", NULL, ENTRY_SERVICE,
      RECORD_BROKER, "Who calls this service of the system gets no answer." },
    { BASE_DATA, "/dbus-1/services", ".service", NULL, ENTRY_SERVICE, RECORD_BROKER,
      "Who calls this service in a session gets no answer." },
    { BASE_ROOT, "/usr/share/applications", ".desktop", NULL, ENTRY_DESKTOP, RECORD_LAUNCH,
      "The program is in the menu and does not start, or is not there." },
    { BASE_ROOT, "/usr/local/share/applications", ".desktop", NULL, ENTRY_DESKTOP, RECORD_LAUNCH,
      "The program is in the menu and does not start, or is not there." },
    { BASE_DATA, "/applications", ".desktop", NULL, ENTRY_DESKTOP, RECORD_LAUNCH,
      "The program is in the menu and does not start, or is not there." },
    { BASE_ROOT, "/usr/lib/systemd/system", ".service", NULL, ENTRY_UNIT, RECORD_LAUNCH,
      "The service does not start." },
    { BASE_ROOT, "/usr/lib/systemd/user", ".service", NULL, ENTRY_UNIT, RECORD_LAUNCH,
      "The user's service does not start." },
    { BASE_ROOT, "/etc/systemd/system", ".service", NULL, ENTRY_UNIT, RECORD_LAUNCH,
      "The service does not start." },
    { BASE_ROOT, "/etc/systemd/user", ".service", NULL, ENTRY_UNIT, RECORD_LAUNCH,
      "The user's service does not start." },
    { BASE_CONFIG, "/systemd/user", ".service", NULL, ENTRY_UNIT, RECORD_LAUNCH,
      "The user's service does not start." },
    { BASE_ROOT, "/usr/share/xdg-desktop-portal/portals", ".portal", NULL, ENTRY_PORTAL,
      RECORD_EXTENSION, "What asks the desktop for a file, a link or a secret gets no answer." },
    { BASE_ROOT, "/usr/share/webext", "", "manifest.json", ENTRY_EXTENSION, RECORD_EXTENSION,
      "The browser does not load the extension." },
    { BASE_ROOT, "/usr/lib/mozilla/native-messaging-hosts", ".json", NULL, ENTRY_NATIVE_HOST,
      RECORD_EXTENSION_POINT, "The browser's extension cannot talk to its program." },
    { BASE_ROOT, "/etc/chromium/native-messaging-hosts", ".json", NULL, ENTRY_NATIVE_HOST,
      RECORD_EXTENSION_POINT, "The browser's extension cannot talk to its program." },
    { BASE_ROOT, "/etc/opt/chrome/native-messaging-hosts", ".json", NULL, ENTRY_NATIVE_HOST,
      RECORD_EXTENSION_POINT, "The browser's extension cannot talk to its program." },
    { BASE_HOME, "/.mozilla/native-messaging-hosts", ".json", NULL, ENTRY_NATIVE_HOST,
      RECORD_EXTENSION_POINT, "The browser's extension cannot talk to its program." },
    { BASE_CONFIG, "/google-chrome/NativeMessagingHosts", ".json", NULL, ENTRY_NATIVE_HOST,
      RECORD_EXTENSION_POINT, "The browser's extension cannot talk to its program." },
    { BASE_CONFIG, "/chromium/NativeMessagingHosts", ".json", NULL, ENTRY_NATIVE_HOST,
      RECORD_EXTENSION_POINT, "The browser's extension cannot talk to its program." },
};

static const char *const policy_folders[] = { "/etc/chromium/policies/managed",
                                              "/etc/opt/chrome/policies/managed" };

static const struct {
    enum registry_base base;
    const char *path;
} mime_lists[] = {
    { BASE_ROOT, "/usr/share/applications/mimeinfo.cache" },
    { BASE_ROOT, "/etc/xdg/mimeapps.list" },
    { BASE_CONFIG, "/mimeapps.list" },
    { BASE_DATA, "/applications/mimeapps.list" },
};

struct entries {
    struct registry *registry;
    const struct folder_row *row;
    struct map services; /* names on a bus that somebody offers */
    struct map desktops; /* names of desktop entries */
    struct map blocked;  /* native-messaging hosts */
    const char *list;    /* of MIME types that is read */
};

/* --- places --------------------------------------------------------------------------------- */

bool registry_place(enum registry_base base, const char *path, char *ret)
{
    static const struct {
        const char *variable, *usual;
    } bases[] = {
        [BASE_ROOT] = { NULL, "" },
        [BASE_DATA] = { "XDG_DATA_HOME", "/.local/share" },
        [BASE_CONFIG] = { "XDG_CONFIG_HOME", "/.config" },
        [BASE_HOME] = { NULL, "" },
    };
    const char *home = getenv("HOME"), *named = NULL;
    int len;
    if (base == BASE_ROOT)
        len = snprintf(ret, PATH_MAX, "%s%s", dpkg_root(), path);
    else if (dpkg_root()[0] || !home || home[0] != '/')
        return false;
    else {
        named = bases[base].variable ? getenv(bases[base].variable) : NULL;
        bool is_named = named && named[0] == '/';
        len = snprintf(ret, PATH_MAX, "%s%s%s", is_named ? named : home,
                       is_named ? "" : bases[base].usual, path);
    }
    return len > 0 && len < PATH_MAX;
}

static bool is_there(const char *path)
{
    char place[PATH_MAX];
    struct stat status;
    int len = snprintf(place, sizeof(place), "%s%s", dpkg_root(), path);
    return len > 0 && len < PATH_MAX && stat(place, &status) == 0;
}

/* Whether a program is there, by its path or in the folders where programs are. */
static bool has_program(const char *program)
{
    static const char *const usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:"
                                     "/usr/games:/usr/local/games";
    char path[PATH_MAX];
    const char *named = dpkg_root()[0] ? NULL : getenv("PATH");
    if (program[0] == '/')
        return is_there(program);
    for (int i = 0; i < 2; i++) {
        struct str rest = str_from(i ? usual : named ? named : "");
        while (rest.len) {
            size_t end = str_index(rest, ':', 0);
            int len = snprintf(path, sizeof(path), "%.*s/%s", (int)end, rest.ptr, program);
            if (len > 0 && len < PATH_MAX && path[0] == '/' && is_there(path))
                return true;
            rest = str_from_offset(rest, end + 1);
        }
    }
    return false;
}

/* --- one manifest --------------------------------------------------------------------------- */

const char *registry_name(const char *path)
{
    return path + strlen(dpkg_root());
}

static void note(struct entries *entries, struct map *map, const char *name)
{
    uint32_t known;
    if (!map_get(map, str_from(name), &known) &&
        map_put(map, str_from(registry_text(entries->registry, "%s", name)), 1) == -ENOMEM)
        entries->registry->no_memory = true;
}

static bool is_noted(const struct map *map, const char *name)
{
    uint32_t known;
    return map_get(map, str_from(name), &known);
}

/* What is wrong with an entry; false where nothing is. */
static bool find_fault(struct entries *entries, const struct registry_entry *entry,
                       enum record_state *ret_state, struct record_fault *ret)
{
    struct registry *registry = entries->registry;
    enum registry_entry_kind kind = entries->row->kind;
    *ret_state = RECORD_INVALID;
    ret->impact = entries->row->impact;
    ret->remedy = "Install again what brought it, or remove the file.";
    if (kind == ENTRY_NATIVE_HOST && entry->name[0] &&
        (is_noted(&entries->blocked, entry->name) || is_noted(&entries->blocked, "*"))) {
        *ret_state = RECORD_QUARANTINED;
        ret->code = "BLOCKED_BY_POLICY";
        ret->remedy = "Nothing for its user: who administers the browser has to take it out of "
                      "NativeMessagingBlocklist.";
        return true;
    }
    if (entry->fault) {
        ret->code = entry->fault;
        return true;
    }
    if (kind == ENTRY_PORTAL && !is_noted(&entries->services, entry->name)) {
        *ret_state = RECORD_MISSING;
        ret->code = "EXTENSION_NOT_REGISTERED";
        ret->remedy = registry_text(registry,
                                    "Install again what offers %s: no D-Bus service has "
                                    "that name.",
                                    entry->name);
        return true;
    }
    if (!entry->program[0] || entry->is_optional || has_program(entry->program))
        return false;
    ret->code = "PROGRAM_MISSING";
    ret->remedy =
        registry_text(registry, "Install %s, or remove the file that starts it.", entry->program);
    return true;
}

void registry_tell_file(struct registry *registry, const char *path, enum record_kind kind,
                        enum record_state state, const struct record_fault *fault)
{
    const char *name = registry_name(path);
    const char *ref = registry_text(registry, "file:%s", name);
    struct registry_component *owner = registry_owner(registry, name);
    if (!owner && state == RECORD_PRESENT)
        return;
    if (!owner)
        owner = registry_component(registry, ref, name);
    registry_add(registry, owner, kind, state, ref, fault);
}

/* A unit that leads nowhere on purpose; the one that it masks says whose it is. */
static bool is_masked(struct entries *entries, const char *path)
{
    static const struct record_fault fault = {
        "UNIT_MASKED", "The service does not start, whoever asks for it.",
        "Nothing, if that is meant; else: sudo systemctl unmask its name"
    };
    char target[PATH_MAX], masked[PATH_MAX];
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    const char *name = strrchr(path, '/') + 1, *folder = entries->row->path;
    if (len < 0)
        return false;
    target[len] = '\0';
    if (strcmp(target, "/dev/null") != 0 || strncmp(folder, "/etc/", 5) != 0)
        return true; /* a link to a unit that is looked at where it lies */
    snprintf(masked, sizeof(masked), "/usr/lib%.*s/%.200s", (int)sizeof(masked) / 2,
             folder + strlen("/etc"), name);
    struct registry *registry = entries->registry;
    struct registry_component *owner = registry_owner(registry, masked);
    const char *ref = registry_text(registry, "file:%s", registry_name(path));
    if (!owner)
        owner = registry_component(registry, ref, registry_name(path));
    registry_add(registry, owner, RECORD_LAUNCH, RECORD_QUARANTINED, ref, &fault);
    return true;
}

static void look_at(struct entries *entries, const char *path)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(ENTRY_BYTES_MAX);
    struct registry_entry *entry = malloc(sizeof(*entry));
    struct record_fault fault = { 0 };
    enum record_state state = RECORD_PRESENT;
    struct stat status;
    if (!entry) {
        entries->registry->no_memory = true;
        return;
    }
    if (entries->row->kind == ENTRY_UNIT && is_masked(entries, path)) {
        free(entry);
        return;
    }
    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) || file_read(path, &text, NULL) < 0) {
        fault = (struct record_fault){ "MANIFEST_UNREADABLE", entries->row->impact,
                                       "See who may read it, and where it leads: ls -l" };
        state = errno == EACCES ? RECORD_UNKNOWN : RECORD_INVALID;
    } else {
        registry_entry_read(entries->row->kind, buf_str(&text), entry);
        if (entries->row->kind == ENTRY_SERVICE && entry->name[0])
            note(entries, &entries->services, entry->name);
        if (entries->row->kind == ENTRY_DESKTOP)
            note(entries, &entries->desktops, strrchr(path, '/') + 1);
        if (entry->is_hidden || !find_fault(entries, entry, &state, &fault))
            state = RECORD_PRESENT;
    }
    registry_tell_file(entries->registry, path, entries->row->record, state, &fault);
    free(entry);
}

static void look_into(struct entries *entries, const char *folder)
{
    const struct folder_row *row = entries->row;
    char path[PATH_MAX];
    struct dirent *file;
    size_t count = 0;
    DIR *files = opendir(folder);
    while (files && (file = readdir(files))) {
        struct str name = str_from(file->d_name);
        if (name.ptr[0] == '.' || !str_ends(name, str_from(row->suffix)))
            continue;
        if (count++ == REGISTRY_FOLDER_FILES_MAX) {
            entries->registry->is_full = true;
            break;
        }
        int len = snprintf(path, sizeof(path), "%s/%s%s%s", folder, file->d_name,
                           row->within ? "/" : "", row->within ? row->within : "");
        if (len > 0 && len < PATH_MAX && (!row->within || access(path, F_OK) == 0))
            look_at(entries, path);
    }
    if (files)
        closedir(files);
}

/* --- lists ---------------------------------------------------------------------------------- */

static void take_blocked(void *context, struct str name)
{
    struct entries *entries = context;
    if (name.len < ENTRY_NAME_MAX)
        note(entries, &entries->blocked, registry_text(entries->registry, "%.*s", STR_ARG(name)));
}

static int take_policy(void *context, const char *path, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(ENTRY_BYTES_MAX);
    (void)err;
    if (file_read(path, &text, NULL) == 0)
        (void)registry_policy_read(buf_str(&text), "NativeMessagingBlocklist", take_blocked,
                                   context);
    return 0;
}

static void take_association(void *context, struct str name)
{
    static const struct record_fault fault = {
        "DESKTOP_ENTRY_MISSING", "A file of that type does not open in the program chosen for it.",
        "Choose another program for the type, or make the list anew: update-desktop-database"
    };
    struct entries *entries = context;
    struct registry *registry = entries->registry;
    const char *wanted = registry_text(registry, "%.*s", STR_ARG(name));
    if (is_noted(&entries->desktops, wanted))
        return;
    note(entries, &entries->desktops, wanted); /* told once */
    struct registry_component *list = registry_component(
        registry, registry_text(registry, "file:%s", entries->list), entries->list);
    registry_add(registry, list, RECORD_EXTENSION, RECORD_MISSING,
                 registry_text(registry, "desktop:%s", wanted), &fault);
}

static void look_at_associations(struct entries *entries)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(mime_lists); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(ENTRY_BYTES_MAX);
        if (!registry_place(mime_lists[i].base, mime_lists[i].path, path) ||
            file_read(path, &text, NULL) < 0)
            continue;
        entries->list = registry_text(entries->registry, "%s", registry_name(path));
        (void)registry_mime_read(buf_str(&text), take_association, entries);
    }
}

int registry_entries(struct registry *registry, struct err *err)
{
    struct entries entries = { .registry = registry };
    char path[PATH_MAX];
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(policy_folders) && r == 0; i++)
        if (registry_place(BASE_ROOT, policy_folders[i], path) && access(path, F_OK) == 0)
            r = file_walk(path, take_policy, &entries, err);
    for (size_t i = 0; i < ARRAY_LEN(rows) && r == 0; i++) {
        entries.row = &rows[i];
        if (registry_place(rows[i].base, rows[i].path, path))
            look_into(&entries, path);
    }
    if (r == 0)
        look_at_associations(&entries);
    map_release(&entries.services);
    map_release(&entries.desktops);
    map_release(&entries.blocked);
    return r;
}
