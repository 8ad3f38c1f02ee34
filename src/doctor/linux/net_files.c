/*
 * net_files: what files tell of the network, into a record: leases, name servers, waiting clients.
 *
 * Of a folder that others may not list, that is what is written down.
 */
#include "doctor/linux/net_files.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"
#include "doctor/lease.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

static void add_file(struct net_record *record, enum net_item_kind kind, const char *path)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(FILE_BYTES_MAX);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status = { 0 };
    int error = fd < 0 ? errno : 0;
    if (!error && fstat(fd, &status) < 0)
        error = errno;
    if (!error && !S_ISREG(status.st_mode))
        error = EINVAL;
    if (!error && file_read_fd(fd, path, &text, NULL) < 0)
        error = EIO;
    struct net_item *item = net_record_add(record, kind, path, error, buf_str(&text));
    item->at_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
}

static bool has_name_of(const char *name, const struct lease_place *place)
{
    struct str text = str_from(name);
    return name[0] != '.' && str_starts(text, str_from(place->prefix)) &&
           str_ends(text, str_from(place->suffix));
}

static void add_leases(struct net_record *record, const struct lease_place *place)
{
    char path[PATH_MAX];
    DIR *folder = opendir(place->folder);
    if (!folder) {
        if (errno != ENOENT)
            net_record_add(record, NET_LEASE, place->folder, errno, STR(""));
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        int len = snprintf(path, sizeof(path), "%s/%s", place->folder, entry->d_name);
        if (has_name_of(entry->d_name, place) && len > 0 && (size_t)len < sizeof(path))
            add_file(record, NET_LEASE, path);
    }
    closedir(folder);
}

void net_files_read(struct net_record *record)
{
    const struct lease_place *place;
    add_file(record, NET_RESOLVERS, NET_RESOLVERS_FILE);
    for (size_t i = 0; (place = lease_place_at(i)); i++)
        add_leases(record, place);
    add_file(record, NET_LISTENERS, "/proc/net/packet");
    add_file(record, NET_LISTENERS, "/proc/net/udp");
}
