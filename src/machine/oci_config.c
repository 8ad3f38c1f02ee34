/* oci_config: see the header. */
#include "machine/oci_config.h"

#include "base/json.h"
#include "machine/linux/container.h"

#define STEP_CONFIG "write config.json"

static void add_option(struct buf *ret, const char *option, bool first)
{
    buf_addf(ret, "%s\"%s\"", first ? "" : ",", option);
}

static void add_mount(struct buf *ret, const char *destination, const char *type,
                      const char *source, const char *const *options)
{
    buf_add_text(ret, ret->data[ret->len - 1] == '[' ? "{" : ",{");
    json_add_text(ret, "destination", str_from(destination));
    json_add_text(ret, "type", str_from(type));
    json_add_text(ret, "source", str_from(source));
    json_add_name(ret, "options");
    buf_add_char(ret, '[');
    for (size_t i = 0; options[i]; i++)
        add_option(ret, options[i], i == 0);
    buf_add_text(ret, "]}");
}

/* Each already has the attributes of its tree; they are repeated for whoever makes them anew. */
static const char *const written[] = { "rbind", "rprivate", "nosuid", "nodev", NULL };
static const char *const read_only[] = { "rbind", "rprivate", "nosuid", "nodev", "ro", NULL };

static void add_mounts(struct buf *ret, const struct plan *plan)
{
    static const char *const proc[] = { "nosuid", "noexec", "nodev", NULL };
    static const char *const devices[] = { "nosuid", "strictatime", "mode=755", "size=64k", NULL };
    static const char *const terminals[] = { "nosuid",        "noexec",    "newinstance",
                                             "ptmxmode=0666", "mode=0620", NULL };
    json_add_name(ret, "mounts");
    buf_add_char(ret, '[');
    add_mount(ret, "/proc", "proc", "proc", proc);
    add_mount(ret, "/dev", "tmpfs", "tmpfs", devices);
    add_mount(ret, "/dev/pts", "devpts", "devpts", terminals);
    add_mount(ret, "/dev/shm", "bind", CONTAINER_PLACE "/shm", written);
    add_mount(ret, "/tmp", "bind", CONTAINER_PLACE "/tmp", written);
    add_mount(ret, plan->home, "bind", CONTAINER_PLACE "/home", written);
    add_mount(ret, CONTAINER_TOLD, "bind", CONTAINER_PLACE "/told", read_only);
    for (size_t i = 0; i < plan->mount_count; i++) {
        char source[64];
        bool fixed = plan->mounts[i].semantics == MOUNT_READ_ONLY;
        snprintf(source, sizeof(source), CONTAINER_MOUNTS "/%zu", i);
        add_mount(ret, plan->mounts[i].agent_path, "bind", source, fixed ? read_only : written);
    }
    buf_add_char(ret, ']');
}

/*
 * Root's one capability is what the kernel asks of who leaves for a user namespace in which root is
 * somebody else, as the container's first process does; it gives it up with all others.
 */
static void add_process(struct buf *ret, const struct plan *plan)
{
    static const struct {
        const char *name;
        bool has_any;
    } sets[] = { { "bounding", true },
                 { "effective", true },
                 { "permitted", true },
                 { "inheritable", false },
                 { "ambient", false } };
    const char *kept = plan->inside_uid == 0 ? "" : "\"CAP_SETFCAP\"";
    buf_add_text(ret, ",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},"
                      "\"args\":[\"" CONTAINER_INIT "\"],\"env\":[],\"cwd\":\"/\","
                      "\"noNewPrivileges\":true,\"capabilities\":{");
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        buf_addf(ret, "%s\"%s\":[%s]", i ? "," : "", sets[i].name, sets[i].has_any ? kept : "");
    buf_add_text(ret, "}}");
}

/*
 * The user namespace changes nobody's id. It is there because mounts that come from one above keep
 * what they are restricted by: a runtime could take `nosuid` off, as crun does of the root.
 */
static void add_linux(struct buf *ret)
{
    static const char *const spaces[] = { "user", "mount", "pid", "ipc", "uts", "cgroup" };
    static const char *const maps[] = { "uidMappings", "gidMappings" };
    const char *hidden;
    buf_add_text(ret, ",\"linux\":{\"namespaces\":[");
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        buf_addf(ret, "%s{\"type\":\"%s\"}", i ? "," : "", spaces[i]);
    buf_add_char(ret, ']');
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        buf_addf(ret, ",\"%s\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]", maps[i]);
    buf_add_text(ret, ",\"maskedPaths\":[");
    for (size_t i = 0; (hidden = view_hidden(i)); i++)
        buf_addf(ret, "%s\"/%s\"", i ? "," : "", hidden);
    buf_add_text(ret, "],\"readonlyPaths\":[\"/proc/sys\"]}");
}

int oci_config_write(const struct plan *plan, struct buf *ret, struct err *err)
{
    buf_add_text(ret, "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"" CONTAINER_ROOT "\"},"
                      "\"hostname\":\"agent-machine\"");
    add_process(ret, plan);
    add_mounts(ret, plan);
    add_linux(ret);
    buf_add_char(ret, '}');
    return ret->error ? err_set(err, ERR_LIMIT, STEP_CONFIG, "it does not fit") : 0;
}
