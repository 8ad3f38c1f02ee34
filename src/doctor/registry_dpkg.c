/*
 * registry_dpkg: packages of a Debian system.
 *
 * Theory of operation. The status file has the receipts, NAME.list what a
 * package brought, NAME.md5sums the digests. All are read first; then the
 * files of the packages that are asked for are held against their digests, all
 * at once. A file that another package has diverted is looked for where it
 * went; one that dpkg was told not to unpack is not missed.
 *
 * What attacks it. Whoever can write below /var/lib/dpkg is root already; MD5
 * is what Debian has, finds what broke, and proves nothing against somebody
 * who means harm.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "base/file.h"
#include "doctor/dpkg.h"
#include "doctor/registry_internal.h"

#define FILTERS_MAX 256
#define NAME_MAX_   256
#define LIST_SUFFIX ".list"

struct filters {
    struct dpkg_filter rows[FILTERS_MAX];
    size_t count;
    struct buf texts[FILTERS_MAX];
    size_t text_count;
};

struct dpkg_reading {
    struct registry *registry;
    char folder[DPKG_PATH_MAX];
    struct buf status, diversions;
    struct map diverted; /* path → index into places */
    struct dpkg_diversion *places;
    size_t place_count, place_capacity;
    struct filters filters;
    struct str package; /* whose digests are read */
    uint32_t component;
};

/* Where a path of a manifest may lie; whose these are is remembered. */
static const char *const manifest_places[] = {
    "/applications/",       "/dbus-1/", "/mime/packages/",         "/systemd/",
    "/xdg-desktop-portal/", "/webext/", "native-messaging-hosts/", "/chromium/extensions/",
};

static bool is_manifest(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(manifest_places); i++)
        if (memmem(path.ptr, path.len, manifest_places[i], strlen(manifest_places[i])))
            return true;
    return str_ends(path, STR("/package.json"));
}

/* --- receipts ------------------------------------------------------------------------------- */

/* The file of a package below info/: with its architecture where the package may be there twice. */
static bool info_path(const struct dpkg_reading *reading, struct str name, struct str architecture,
                      const char *suffix, char ret[DPKG_PATH_MAX])
{
    int len = snprintf(ret, DPKG_PATH_MAX, "%s/info/%.*s%s%.*s%s", reading->folder, STR_ARG(name),
                       architecture.len ? ":" : "", STR_ARG(architecture), suffix);
    return len > 0 && len < DPKG_PATH_MAX;
}

static void judge_receipt(struct dpkg_reading *reading, struct registry_component *component,
                          const struct dpkg_package *package)
{
    const char *ref = registry_text(reading->registry, "dpkg:status/%s", component->ref + 4);
    bool is_whole =
        str_equal(package->flag, STR("ok")) && (str_equal(package->state, STR("installed")) ||
                                                str_starts(package->state, STR("triggers-")));
    component->receipt = is_whole ? RECORD_PRESENT : RECORD_INVALID;
    struct record_fault fault = {
        "RECEIPT_NOT_WHOLE",
        registry_text(reading->registry, "Its installation stopped: %.*s %.*s.",
                      STR_ARG(package->flag), STR_ARG(package->state)),
        registry_text(reading->registry,
                      "sudo dpkg --configure -a; or sudo apt install --reinstall %.*s",
                      STR_ARG(package->name)),
    };
    registry_add(reading->registry, component, RECORD_RECEIPT, component->receipt, ref, &fault);
}

/* What a package brought: whose manifests are whose. */
static int read_list(struct dpkg_reading *reading, const char *path, uint32_t component,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT_LIMIT(DPKG_LIST_BYTES_MAX);
    const char *wanted = reading->registry->options->component;
    struct err inner = { 0 };
    int r = file_read(path, &list, &inner);
    if (r < 0 && inner.code == ERR_MEMORY)
        return err_set(err, ERR_MEMORY, STEP_REGISTRY, "there is not enough memory");
    for (size_t at = 0; r == 0 && at < list.len;) {
        size_t end = str_index(buf_str(&list), '\n', at);
        struct str line = str_make(list.data + at, end - at);
        if (is_manifest(line) || (wanted && str_equal(line, str_from(wanted))))
            registry_own_path(reading->registry, line, component);
        at = end + 1;
    }
    return 0;
}

static int take_package(void *context, const struct dpkg_package *package)
{
    struct dpkg_reading *reading = context;
    char ref[NAME_MAX_ + 8], identity[2 * NAME_MAX_], path[DPKG_PATH_MAX];
    struct str architecture = package->many ? package->architecture : STR("");
    if (str_equal(package->state, STR("not-installed")) ||
        str_equal(package->state, STR("config-files")) || package->name.len > NAME_MAX_ / 2 ||
        package->architecture.len > NAME_MAX_ / 4)
        return 0;
    snprintf(ref, sizeof(ref), "deb:%.*s%s%.*s", STR_ARG(package->name),
             architecture.len ? ":" : "", STR_ARG(architecture));
    snprintf(identity, sizeof(identity), "%.*s %.*s %.*s", STR_ARG(package->name),
             STR_ARG(package->version), STR_ARG(package->architecture));
    struct registry_component *component = registry_component(reading->registry, ref, identity);
    if (!component)
        return -E2BIG;
    judge_receipt(reading, component, package);
    uint32_t index = (uint32_t)(component - reading->registry->components);
    return info_path(reading, package->name, architecture, LIST_SUFFIX, path)
               ? read_list(reading, path, index, NULL)
               : 0;
}

/* Lists that no receipt speaks of: something was unpacked here, and nobody knows of it. */
static void find_orphans(struct dpkg_reading *reading)
{
    char path[DPKG_PATH_MAX + 8], ref[NAME_MAX_ + 8];
    struct dirent *entry;
    snprintf(path, sizeof(path), "%s/info", reading->folder);
    DIR *folder = opendir(path);
    uint32_t known;
    while (folder && (entry = readdir(folder))) {
        struct str name = str_from(entry->d_name);
        if (!str_ends(name, STR(LIST_SUFFIX)) || name.len > NAME_MAX_)
            continue;
        name.len -= strlen(LIST_SUFFIX);
        snprintf(ref, sizeof(ref), "deb:%.*s", STR_ARG(name));
        if (map_get(&reading->registry->by_ref, str_from(ref), &known))
            continue;
        struct registry_component *component =
            registry_component(reading->registry, ref, ref + strlen("deb:"));
        struct record_fault fault = { "RECEIPT_NOT_FOUND",
                                      "Nobody can say who installed it, and it gets no updates.",
                                      registry_text(reading->registry,
                                                    "sudo apt install --reinstall %.*s",
                                                    (int)str_index(name, ':', 0), name.ptr) };
        if (!component)
            break;
        component->receipt = RECORD_MISSING;
        registry_add(reading->registry, component, RECORD_RECEIPT, RECORD_MISSING,
                     registry_text(reading->registry, "dpkg:status/%.*s", STR_ARG(name)), &fault);
    }
    if (folder)
        closedir(folder);
}

/* --- what is elsewhere, or not unpacked ----------------------------------------------------- */

static int take_diversion(void *context, const struct dpkg_diversion *diversion)
{
    struct dpkg_reading *reading = context;
    if (reading->place_count == reading->place_capacity) {
        size_t larger = reading->place_capacity ? reading->place_capacity * 2 : 64;
        struct dpkg_diversion *places = realloc(reading->places, larger * sizeof(*places));
        if (!places)
            return -ENOMEM;
        reading->places = places;
        reading->place_capacity = larger;
    }
    reading->places[reading->place_count] = *diversion;
    int r = map_put(&reading->diverted, diversion->from, (uint32_t)reading->place_count++);
    return r == -ENOMEM ? r : 0;
}

static int take_filter(void *context, const struct dpkg_filter *filter)
{
    struct filters *filters = context;
    if (filters->count < FILTERS_MAX)
        filters->rows[filters->count++] = *filter;
    return 0;
}

static int take_configuration(void *context, const char *path, struct err *err)
{
    struct filters *filters = context;
    (void)err;
    if (filters->text_count == FILTERS_MAX)
        return 0;
    struct buf *text = &filters->texts[filters->text_count++];
    *text = BUF_INIT_LIMIT(DPKG_LIST_BYTES_MAX);
    return file_read(path, text, NULL) < 0 ? 0
                                           : dpkg_each_filter(buf_str(text), take_filter, filters);
}

static void read_elsewhere(struct dpkg_reading *reading)
{
    char path[DPKG_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/diversions", reading->folder);
    if (file_read(path, &reading->diversions, NULL) == 0 &&
        dpkg_each_diversion(buf_str(&reading->diversions), take_diversion, reading) < 0)
        reading->registry->no_memory = true;
    snprintf(path, sizeof(path), "%s/etc/dpkg/dpkg.cfg", dpkg_root());
    (void)take_configuration(&reading->filters, path, NULL);
    snprintf(path, sizeof(path), "%s/etc/dpkg/dpkg.cfg.d", dpkg_root());
    if (access(path, F_OK) == 0 && file_walk(path, take_configuration, &reading->filters, NULL) < 0)
        return;
}

/* The last rule that fits decides, as for dpkg. */
static bool is_left_out(const struct filters *filters, const char *path)
{
    char pattern[DPKG_PATH_MAX];
    bool left_out = false;
    for (size_t i = 0; i < filters->count; i++) {
        struct str text = filters->rows[i].pattern;
        if (text.len >= sizeof(pattern))
            continue;
        memcpy(pattern, text.ptr, text.len);
        pattern[text.len] = '\0';
        if (fnmatch(pattern, path, 0) == 0)
            left_out = !filters->rows[i].includes;
    }
    return left_out;
}

static struct str place_of(const struct dpkg_reading *reading, struct str path)
{
    uint32_t index;
    if (!map_get(&reading->diverted, path, &index))
        return path;
    /* The package that diverts keeps its own file at the place. */
    return str_equal(reading->places[index].by, reading->package) ? path
                                                                  : reading->places[index].to;
}

/* --- digests -------------------------------------------------------------------------------- */

static int take_digest(void *context, const struct dpkg_digest *digest)
{
    struct dpkg_reading *reading = context;
    struct registry *registry = reading->registry;
    char path[DPKG_PATH_MAX], place_path[2 * DPKG_PATH_MAX];
    int len = snprintf(path, sizeof(path), "/%.*s", STR_ARG(digest->path));
    if (len < 0 || (size_t)len >= sizeof(path) || is_left_out(&reading->filters, path))
        return 0;
    if (registry->file_count == REGISTRY_FILES_MAX)
        return -E2BIG;
    if (registry->file_count == registry->file_capacity) {
        size_t larger = registry->file_capacity ? registry->file_capacity * 2 : 4096;
        struct registry_file *files = realloc(registry->files, larger * sizeof(*files));
        if (!files)
            return -ENOMEM;
        registry->files = files;
        registry->file_capacity = larger;
    }
    struct str place = place_of(reading, str_make(path, (size_t)len));
    struct registry_file *file = &registry->files[registry->file_count++];
    *file = (struct registry_file){ .package = reading->component };
    snprintf(place_path, sizeof(place_path), "%s%.*s", dpkg_root(), STR_ARG(place));
    file->path = arena_copy(&registry->arena, str_from(place_path));
    memcpy(file->md5, digest->md5, sizeof(file->md5));
    return file->path ? 0 : -ENOMEM;
}

/* The list of digests of one component. */
static int read_digests(struct dpkg_reading *reading, size_t index, struct err *err)
{
    _cleanup_(buf_release) struct buf sums = BUF_INIT_LIMIT(DPKG_LIST_BYTES_MAX);
    struct registry_component *component = &reading->registry->components[index];
    struct str name = str_from(component->ref + strlen("deb:"));
    char path[DPKG_PATH_MAX];
    size_t odd = 0;
    if (!info_path(reading, name, STR(""), ".md5sums", path) || file_read(path, &sums, NULL) < 0)
        return 0; /* a package without plain files has none */
    int r = digest_text(buf_str(&sums), component->manifest_digest, err);
    if (r < 0)
        return r;
    reading->component = (uint32_t)index;
    reading->package = str_make(name.ptr, str_index(name, ':', 0));
    r = dpkg_each_digest(buf_str(&sums), take_digest, reading, &odd);
    if (r < 0)
        return err_set(err, r == -E2BIG ? ERR_LIMIT : ERR_MEMORY, STEP_REGISTRY,
                       "the packages have too many files");
    struct record_fault fault = { "MANIFEST_UNREADABLE", "Not all of its files can be checked.",
                                  registry_text(reading->registry,
                                                "sudo apt install --reinstall %.*s",
                                                STR_ARG(reading->package)) };
    registry_add(reading->registry, component, RECORD_MANIFEST,
                 odd ? RECORD_INVALID : RECORD_PRESENT,
                 registry_text(reading->registry, "file:%s", path), &fault);
    return 0;
}

static void tell_file(struct registry *registry, const struct registry_file *file)
{
    static const struct {
        enum record_state state;
        const char *code, *impact;
    } faults[] = {
        [FILE_UNSEEN] = { RECORD_UNKNOWN, "FILE_UNREADABLE",
                          "Nobody can say whether it is whole." },
        [FILE_SAME] = { RECORD_PRESENT, NULL, NULL },
        [FILE_DIFFERS] = { RECORD_INVALID, "FILE_DIGEST_DIFFERS",
                           "It is not the file that the package brought." },
        [FILE_MISSING] = { RECORD_MISSING, "FILE_MISSING", "What needs this file does not work." },
        [FILE_UNREADABLE] = { RECORD_UNKNOWN, "FILE_UNREADABLE",
                              "Nobody can say whether it is whole." },
    };
    if (file->state == FILE_SAME)
        return;
    struct registry_component *component = &registry->components[file->package];
    const char *name = component->ref + strlen("deb:");
    struct record_fault fault = { faults[file->state].code, faults[file->state].impact, NULL };
    fault.remedy = faults[file->state].state == RECORD_UNKNOWN
                       ? "Ask as root: sudo agent-machine doctor registry"
                       : registry_text(registry, "sudo apt install --reinstall %.*s",
                                       (int)strcspn(name, ":"), name);
    registry_add(registry, component, RECORD_MANIFEST, faults[file->state].state,
                 registry_text(registry, "file:%s", file->path), &fault);
}

/* --- all of it ------------------------------------------------------------------------------ */

static int read_all(struct dpkg_reading *reading, struct err *err)
{
    struct registry *registry = reading->registry;
    int r = dpkg_each_package(buf_str(&reading->status), take_package, reading);
    if (r < 0)
        return err_set(err, r == -E2BIG ? ERR_LIMIT : ERR_MEMORY, STEP_REGISTRY,
                       "there are too many packages");
    find_orphans(reading);
    read_elsewhere(reading);
    for (size_t i = 0; r == 0 && i < registry->count; i++)
        if (registry_chooses(registry, &registry->components[i]))
            r = read_digests(reading, i, err);
    if (r == 0 && registry->file_count)
        r = registry_digest(registry->files, registry->file_count, registry->options->tell,
                            registry->options->context, &registry->total, err);
    for (size_t i = 0; r == 0 && i < registry->file_count; i++)
        tell_file(registry, &registry->files[i]);
    return r;
}

int registry_dpkg(struct registry *registry, struct err *err)
{
    struct dpkg_reading *reading = calloc(1, sizeof(*reading));
    struct err inner = { 0 };
    char path[DPKG_PATH_MAX + 8];
    int r = 0;
    if (!reading || !dpkg_folder(reading->folder)) {
        free(reading);
        return err_set(err, ERR_MEMORY, STEP_REGISTRY, "there is not enough memory");
    }
    reading->registry = registry;
    reading->status = BUF_INIT_LIMIT(DPKG_STATUS_BYTES_MAX);
    reading->diversions = BUF_INIT_LIMIT(DPKG_LIST_BYTES_MAX);
    snprintf(path, sizeof(path), "%s/status", reading->folder);
    if (file_read(path, &reading->status, &inner) == 0)
        r = read_all(reading, err);
    else if (inner.code != ERR_NOT_FOUND) { /* without dpkg there are no such packages */
        *err = inner;
        r = -EIO;
    }
    buf_release(&reading->status);
    buf_release(&reading->diversions);
    for (size_t i = 0; i < reading->filters.text_count; i++)
        buf_release(&reading->filters.texts[i]);
    map_release(&reading->diverted);
    free(reading->places);
    free(reading);
    return r;
}
