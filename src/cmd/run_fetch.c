/*
 * run_fetch: see the header.
 *
 * The host's policy of signatures goes in by skopeo's standard input; keys that
 * it names are not seen in the sandbox, so that an image that needs one is
 * refused by skopeo, and never taken without.
 */
#include "cmd/run_fetch.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/file.h"

#define STEP_FETCH "fetch the image"
#define INSIDE     "/image"
/* The shell's own input could not be opened anew where the caller is root. */
#define SKOPEO                                                                                     \
    "cat >/tmp/policy.json && exec skopeo --policy /tmp/policy.json copy --quiet \"$1\" "          \
    "dir:" INSIDE
#define OWN_PROGRAM    "/proc/self/exe"
#define WORDS_MAX      (16 + 2 * 128)
#define POLICY_MAX     ((size_t)1 << 20)
#define ACCEPT_ANY     "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}"
#define STATUS_REFUSED 125

/* --- the run of skopeo --------------------------------------------------------------------- */

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    bool empty = folder != NULL;
    while (folder && empty && (entry = readdir(folder)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (folder)
        closedir(folder);
    return empty;
}

/* A digest says it all: with a tag beside it skopeo takes no name. */
static int untagged_len(const char *reference)
{
    const char *slash = strrchr(reference, '/');
    const char *tag = strchr(slash ? slash : reference, ':');
    return (int)(tag ? (size_t)(tag - reference) : strlen(reference));
}

int run_fetch_plan(struct run_fetch *fetch, const char *image, const char *folder,
                   struct plan_request *request, struct run_mounts *mounts, struct err *err)
{
    struct image_name name = { 0 };
    if (!image)
        return err_set(err, ERR_USAGE, STEP_FETCH, "--fetch goes with --image docker://NAME");
    int r = image_name_read(image, &name, err);
    if (r == 0 && name.source != IMAGE_REGISTRY)
        r = err_set(err, ERR_USAGE, STEP_FETCH, "only what is in a registry is fetched: docker://");
    if (r == 0)
        r = facts_resolve(folder, fetch->folder, err);
    if (r == 0 && !is_empty(fetch->folder))
        r = err_set(err, ERR_USAGE, STEP_FETCH, "%s is no empty folder", fetch->folder);
    if (r == 0 && mounts->count == PLAN_MOUNTS_MAX)
        r = err_set(err, ERR_LIMIT, STEP_FETCH, "there are too many mounts");
    if (r < 0)
        return r;
    bool pinned = name.digest[0] != '\0';
    snprintf(fetch->from, sizeof(fetch->from), "docker://%.*s%s%s",
             pinned ? untagged_len(name.reference) : (int)strlen(name.reference), name.reference,
             pinned ? "@" : "", name.digest);
    const char *const words[] = { "sh", "-c", SKOPEO, "sh", fetch->from, NULL };
    _Static_assert(sizeof(words) <= sizeof(fetch->argv), "they fit");
    memcpy(fetch->argv, words, sizeof(words));
    /* By name, and no mount of the profile's: it needs none. */
    mounts->count = 0;
    mounts->items[mounts->count++] = (struct plan_mount){ .host_path = fetch->folder,
                                                          .agent_path = INSIDE,
                                                          .semantics = MOUNT_READ_WRITE,
                                                          .by_profile = true,
                                                          .of_surface = true };
    request->argv = fetch->argv;
    request->mount_count = mounts->count;
    request->no_repository = true;
    return 0;
}

/* --- the run that wants it ----------------------------------------------------------------- */

static void read_policy(struct buf *ret)
{
    char own[4096];
    const char *home = getenv("HOME");
    const char *const places[] = { own, "/etc/containers/policy.json" };
    snprintf(own, sizeof(own), "%s/.config/containers/policy.json", home ? home : "");
    for (size_t i = 0; i < ARRAY_LEN(places) && !ret->len; i++)
        (void)!file_read(places[i], ret, NULL);
    if (!ret->len)
        buf_add_text(ret, ACCEPT_ANY);
}

static int open_policy(void)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(POLICY_MAX);
    _cleanup_(cleanup_close) int fd = memfd_create("policy", MFD_CLOEXEC);
    read_policy(&text);
    if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len || lseek(fd, 0, SEEK_SET) < 0)
        return -1;
    return TAKE_FD(fd);
}

static void become_run(const char *const *words)
{
    _cleanup_(cleanup_close) int policy = open_policy();
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (policy >= 0 && nothing >= 0 && dup2(policy, STDIN_FILENO) >= 0 &&
        dup2(nothing, STDOUT_FILENO) >= 0)
        execv(OWN_PROGRAM, (char *const *)words);
    _exit(STATUS_REFUSED);
}

static void write_words(const struct run_fetch_by *by, const char *image, const char *folder,
                        const char *words[WORDS_MAX])
{
    const char *const first[] = { "agent-machine", "run", "--image", image, "--fetch", folder };
    size_t count = 0;
    for (; count < ARRAY_LEN(first); count++)
        words[count] = first[count];
    const char *const named[][2] = { { "--profile", by->profile },
                                     { "--delegation", by->delegation } };
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        if (named[i][1]) {
            words[count++] = named[i][0];
            words[count++] = named[i][1];
        }
    for (size_t i = 0; i < by->choice_count && count < WORDS_MAX - 3; i++) {
        words[count++] = by->choices[i].allow ? "--allow" : "--deny";
        words[count++] = by->choices[i].destination;
    }
    words[count] = NULL;
}

int run_fetch(void *context, const struct image_name *name, const char *folder, struct err *err)
{
    const struct run_fetch_by *by = context;
    const char *words[WORDS_MAX];
    char image[IMAGE_REFERENCE_MAX + 32 + DIGEST_TEXT_SIZE];
    int status = 0;
    snprintf(image, sizeof(image), "docker://%s%s%s", name->reference, name->digest[0] ? "@" : "",
             name->digest);
    write_words(by, image, folder, words);
    pid_t pid = fork();
    if (pid == 0)
        become_run(words);
    if (pid < 0)
        return err_set_errno(err, errno, STEP_FETCH, "cannot start the run that fetches it");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, ERR_DENIED, STEP_FETCH,
                   "%s was not fetched: the run of skopeo that was to do it has said why",
                   name->reference);
}
