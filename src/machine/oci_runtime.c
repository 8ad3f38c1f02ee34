/*
 * oci_runtime: see the header.
 *
 * Both are told to leave control groups alone: the run has its own already, into which the runtime
 * is born. crun says so by an option; runc, told that it is rootless, makes none that it was not
 * asked for, but wants to see the host's.
 */
#include "machine/oci_runtime.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/file.h"
#include "machine/file_digest.h"
#include "machine/linux/container.h"

#define STEP_RUNTIME "find the OCI runtime"
#define KEEP         "--preserve-fds"
#define KEEP_COUNT   "6" /* behind the standard ones */
#define ANSWER_MS    2000
#define ANSWER_MAX   4096
#define VERSION_KEY  " version "
_Static_assert(CONTAINER_DESCRIPTORS - 3 == 6, "KEEP_COUNT says so");

static const struct oci_runtime runtimes[] = {
    { "crun",
      (const char *const[]){ "crun", "--root", CONTAINER_PLACE "/runtime",
                             "--cgroup-manager=disabled", "run", "--detach", KEEP, KEEP_COUNT,
                             "--bundle", CONTAINER_PLACE "/bundle", CONTAINER_NAME, NULL },
      false },
    { "runc",
      (const char *const[]){ "runc", "--root", CONTAINER_PLACE "/runtime", "--rootless=true", "run",
                             "--detach", KEEP, KEEP_COUNT, "--bundle", CONTAINER_PLACE "/bundle",
                             CONTAINER_NAME, NULL },
      true },
};

static bool find_in_path(const char *name, char ret[OCI_RUNTIME_PATH_SIZE])
{
    const char *rest = getenv("PATH");
    while (rest && *rest) {
        size_t len = strcspn(rest, ":");
        int size = snprintf(ret, OCI_RUNTIME_PATH_SIZE, "%.*s/%s", (int)len, rest, name);
        if (rest[0] == '/' && size < OCI_RUNTIME_PATH_SIZE && access(ret, X_OK) == 0)
            return true;
        rest += len + (rest[len] == ':');
    }
    return false;
}

/* --- its version --------------------------------------------------------------------------- */

/* "crun version 1.8.1" in the first line of what it says. */
static bool read_version(struct str said, char ret[OCI_RUNTIME_VERSION_SIZE])
{
    struct str line = str_make(said.ptr, str_index(said, '\n', 0));
    const char *at = memmem(line.ptr, line.len, VERSION_KEY, strlen(VERSION_KEY));
    if (!at)
        return false;
    at += strlen(VERSION_KEY);
    size_t len = strcspn(at, " \n\t");
    for (size_t i = 0; i < len; i++)
        if (at[i] <= ' ' || at[i] > '~' || at[i] == '"' || at[i] == '\\')
            return false;
    return len > 0 && snprintf(ret, OCI_RUNTIME_VERSION_SIZE, "%.*s", (int)len, at) > 0;
}

static void hear(int said, struct buf *ret)
{
    struct pollfd wait = { .fd = said, .events = POLLIN };
    ssize_t n = 1;
    while (n > 0 && poll(&wait, 1, ANSWER_MS) == 1) {
        char *room = buf_reserve(ret, 512);
        n = room ? read(said, room, 512) : -1;
        if (n > 0)
            ret->len += (size_t)n;
    }
    buf_add_char(ret, '\n');
}

static void ask_version(const char *path, struct buf *ret)
{
    int said[2];
    if (pipe2(said, O_CLOEXEC) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(said[1], STDOUT_FILENO) >= 0)
            execl(path, path, "--version", (char *)NULL);
        _exit(127);
    }
    close(said[1]);
    if (pid > 0) {
        hear(said[0], ret);
        kill(pid, SIGKILL); /* where it has not ended by itself */
        waitpid(pid, NULL, 0);
    }
    close(said[0]);
}

static int find_version(const char *state_folder, struct oci_runtime_found *found, struct err *err)
{
    _cleanup_(buf_release) struct buf kept = BUF_INIT_LIMIT(ANSWER_MAX);
    _cleanup_(buf_release) struct buf said = BUF_INIT_LIMIT(ANSWER_MAX);
    char path[OCI_RUNTIME_PATH_SIZE];
    int len = snprintf(path, sizeof(path), "%s/runtimes/%s", state_folder,
                       found->digest + strlen("sha256:"));
    bool has_place = len > 0 && (size_t)len < sizeof(path);
    if (has_place && file_read(path, &kept, NULL) == 0 &&
        read_version(buf_str(&kept), found->version))
        return 0;
    ask_version(found->path, &said);
    if (!read_version(buf_str(&said), found->version))
        return err_set(err, ERR_UNSUPPORTED, STEP_RUNTIME, "%s does not say its version",
                       found->path);
    char *slash = has_place ? strrchr(path, '/') : NULL;
    if (slash) {
        *slash = '\0';
        int r = file_make_folder(path, NULL);
        *slash = '/';
        _cleanup_(cleanup_close) int fd =
            r < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0) /* one that cannot be kept is asked again */
            dprintf(fd, "%s version %s\n", found->runtime->name, found->version);
    }
    return 0;
}

int oci_runtime_find(struct str wanted, const char *state_folder, const char *digests_folder,
                     struct oci_runtime_found *ret, struct err *err)
{
    if (!wanted.len || str_equal(wanted, STR("none")))
        wanted = str_from(runtimes[0].name);
    *ret = (struct oci_runtime_found){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(runtimes); i++)
        if (str_equal(wanted, str_from(runtimes[i].name)))
            ret->runtime = &runtimes[i];
    if (!ret->runtime)
        return err_set(err, ERR_UNSUPPORTED, STEP_RUNTIME,
                       "the profile asks for the runtime %.*s, and this release starts crun and "
                       "runc",
                       STR_ARG(wanted));
    if (!find_in_path(ret->runtime->name, ret->path))
        return err_set(err, ERR_UNSUPPORTED, STEP_RUNTIME,
                       "there is no %s in PATH, which an image needs; to mend it: sudo apt-get "
                       "install %s",
                       ret->runtime->name, ret->runtime->name);
    int r = file_digest(ret->path, digests_folder, ret->digest, err);
    return r < 0 ? r : find_version(state_folder, ret, err);
}
