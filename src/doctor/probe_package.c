/* probe_package: whether a package's receipt says that it is installed whole. */
#include "base/file.h"
#include "doctor/capability.h"
#include "doctor/dpkg.h"

struct looking {
    struct str wanted; /* name, or name:architecture */
    struct dpkg_package found;
};

static int compare(void *context, const struct dpkg_package *package)
{
    struct looking *looking = context;
    size_t colon = str_index(looking->wanted, ':', 0);
    struct str architecture = str_from_offset(looking->wanted, colon + 1);
    if (!str_equal(package->name, str_make(looking->wanted.ptr, colon)) ||
        (architecture.len && !str_equal(package->architecture, architecture)))
        return 0;
    looking->found = *package;
    return str_equal(package->state, STR("installed"));
}

void probe_package(const struct surroundings *around, const struct capability_row *row,
                   const char *object, struct capability_state *ret)
{
    _cleanup_(buf_release) struct buf status = BUF_INIT_LIMIT(DPKG_STATUS_BYTES_MAX);
    struct looking looking = { .wanted = str_from(object ? object : "") };
    struct err err = { 0 };
    char folder[DPKG_PATH_MAX], path[DPKG_PATH_MAX + 8];
    (void)row;
    if (!object || !dpkg_folder(folder)) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "the contract names no package");
        capability_remedy(ret, "Name it in the contract: package.installed:NAME.");
        return;
    }
    snprintf(path, sizeof(path), "%s/status", folder);
    observer_add_path(around->observer, path);
    if (file_read(path, &status, &err) < 0) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE,
                       "the receipts cannot be read: %.300s", err.cause);
        capability_remedy(ret, "Ask on a Debian system; %s has its receipts there.", path);
        return;
    }
    (void)dpkg_each_package(buf_str(&status), compare, &looking);
    const struct dpkg_package *found = &looking.found;
    if (!found->name.len || str_equal(found->state, STR("not-installed")) ||
        str_equal(found->state, STR("config-files"))) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "it has no receipt");
        capability_remedy(ret, "sudo apt install %s", object);
    } else if (!str_equal(found->state, STR("installed")) || !str_equal(found->flag, STR("ok"))) {
        capability_set(ret, FOUND_BROKEN, SOURCE_BROKER, "its receipt says %.*s %.*s",
                       STR_ARG(found->flag), STR_ARG(found->state));
        capability_remedy(ret, "sudo dpkg --configure -a; or sudo apt install --reinstall %s",
                          object);
    } else
        capability_set(ret, FOUND_GRANTED, SOURCE_BROKER, "version %.*s is installed",
                       STR_ARG(found->version));
}
