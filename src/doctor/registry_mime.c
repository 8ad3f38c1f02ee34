/*
 * registry_mime: the packages of MIME types, and whether their types are known.
 *
 * Theory of operation. Each package is a manifest of whoever installed it. What
 * programs look into is not the packages but the database that was made of
 * them; where there is one beside them, every type that a package declares has
 * a file there, and one that has none is not known to anybody. Where nobody
 * made a database, none of them is looked for.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "doctor/mime_package.h"
#include "doctor/registry_internal.h"

#define PACKAGES "/packages"
#define DATABASE "/mime.cache"
#define IMPACT   "Files of its types do not open in any program, or open in the wrong one."

static const struct {
    enum registry_base base;
    const char *path, *privilege; /* what the remedy's command begins with */
} folders[] = {
    { BASE_ROOT, "/usr/share/mime", "sudo " },
    { BASE_ROOT, "/usr/local/share/mime", "sudo " },
    { BASE_DATA, "/mime", "" },
};

struct package {
    struct registry *registry;
    const char *folder; /* that the database lies in */
    bool has_database;
    size_t missing;                      /* types that the database has not */
    char first[MIME_TYPE_BYTES_MAX + 1]; /* of these */
};

static bool has_type(const struct package *package, const char *type)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s.xml", package->folder, type);
    return len > 0 && len < PATH_MAX && access(path, F_OK) == 0;
}

static void take_type(void *context, struct str type)
{
    struct package *package = context;
    char name[MIME_TYPE_BYTES_MAX + 1], lower[sizeof(name)];
    memset(name, 0, sizeof(name));
    memcpy(name, type.ptr, type.len); /* which fits, or it were no type */
    for (size_t i = 0; i < sizeof(name); i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
    /* update-mime-database has small letters in most names. */
    if (!package->has_database || has_type(package, name) || has_type(package, lower))
        return;
    if (package->missing++ == 0)
        memcpy(package->first, name, sizeof(name));
}

static enum record_state judge(struct package *package, struct str text, size_t folder,
                               struct record_fault *ret, struct err *err)
{
    struct registry *registry = package->registry;
    *ret =
        (struct record_fault){ NULL, IMPACT, "Install again what brought it, or remove the file." };
    if (mime_package_read(text, take_type, package, &ret->code, err) < 0) {
        ret->code = "MANIFEST_UNSEEN";
        ret->remedy = registry_text(registry, "Nobody could look into it: %s", err->cause);
        return RECORD_UNKNOWN;
    }
    if (ret->code)
        return RECORD_INVALID;
    if (!package->missing)
        return RECORD_PRESENT;
    ret->code = "TYPE_NOT_REGISTERED";
    ret->remedy = registry_text(
        registry, "%supdate-mime-database %s (%s%s is not known)", folders[folder].privilege,
        registry_name(package->folder), package->first,
        package->missing == 1 ? ""
                              : registry_text(registry, ", with %zu more,", package->missing - 1));
    return RECORD_MISSING;
}

static void look_at(struct registry *registry, size_t folder, const char *place, const char *path)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(MIME_PACKAGE_BYTES_MAX);
    struct record_fault fault = { "MANIFEST_UNREADABLE", IMPACT,
                                  "See who may read it, and where it leads: ls -l" };
    struct package package = { .registry = registry, .folder = place };
    enum record_state state = RECORD_INVALID;
    struct err err = { 0 };
    char database[PATH_MAX];
    int len = snprintf(database, sizeof(database), "%s" DATABASE, place);
    package.has_database = len > 0 && len < PATH_MAX && access(database, F_OK) == 0;
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) || file_read(path, &text, NULL) < 0)
        state = errno == EACCES ? RECORD_UNKNOWN : RECORD_INVALID;
    else
        state = judge(&package, buf_str(&text), folder, &fault, &err);
    registry_tell_file(registry, path, RECORD_EXTENSION, state, &fault);
}

static void look_into(struct registry *registry, size_t folder, const char *place)
{
    char path[PATH_MAX];
    struct dirent *file;
    size_t count = 0;
    int len = snprintf(path, sizeof(path), "%s" PACKAGES, place);
    DIR *files = len > 0 && len < PATH_MAX ? opendir(path) : NULL;
    while (files && (file = readdir(files))) {
        if (file->d_name[0] == '.' || !str_ends(str_from(file->d_name), STR(".xml")))
            continue;
        if (count++ == REGISTRY_FOLDER_FILES_MAX) {
            registry->is_full = true;
            break;
        }
        len = snprintf(path, sizeof(path), "%s" PACKAGES "/%s", place, file->d_name);
        if (len > 0 && len < PATH_MAX)
            look_at(registry, folder, place, path);
    }
    if (files)
        closedir(files);
}

int registry_mime(struct registry *registry, struct err *err)
{
    char place[PATH_MAX];
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (registry_place(folders[i].base, folders[i].path, place))
            look_into(registry, i, place);
    return 0;
}
