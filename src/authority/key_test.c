#include "authority/key.h"

#include <dirent.h>
#include <linux/keyctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/test.h"

static char top[64];

/* A folder of its own for each test, not yet there. */
static const char *fresh_folder(void)
{
    static char path[128];
    static int count;
    snprintf(path, sizeof(path), "%s/%d/agent-machine", top, count++);
    return path;
}

__attribute__((constructor)) static void make_top(void)
{
    snprintf(top, sizeof(top), "%s", "/tmp/key-test-XXXXXX");
    if (!mkdtemp(top))
        abort();
}

__attribute__((destructor)) static void remove_top(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", top);
    if (system(command) != 0)
        fprintf(stderr, "%s is left behind\n", top);
}

static const char *file_in(const char *folder, const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat status = { 0 };
    CHECK_INT(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void put(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
          fchmod(fd, mode) == 0);
    close(fd);
}

static size_t entries_of(const char *folder)
{
    DIR *directory = opendir(folder);
    size_t count = 0;
    while (directory && readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static struct str public_of(struct sign_key *key)
{
    static char text[SIGN_PUBLIC_TEXT_MAX];
    struct sign_public public;
    sign_key_public(key, &public);
    CHECK_INT(sign_public_text(&public, text), 0);
    sign_key_free(key);
    return str_from(text);
}

TEST(a_key_is_made_once_and_for_its_owner_alone)
{
    const char *folder = fresh_folder();
    struct sign_key *key = NULL, *same = NULL;
    struct buf public = BUF_INIT, again = BUF_INIT;
    bool made = false;
    mode_t mask = umask(0);
    CHECK_INT(key_init(folder, &made, NULL), 0);
    umask(mask);
    CHECK(made);
    CHECK_INT(mode_of(folder), 0700);
    CHECK_INT(mode_of(file_in(folder, KEY_FILE)), 0600);
    CHECK_INT(mode_of(file_in(folder, KEY_PUBLIC_FILE)), 0644);
    CHECK_INT(entries_of(folder), 2);
    CHECK_INT(key_open_user(folder, &key, NULL), 0);
    CHECK_INT(file_read(file_in(folder, KEY_PUBLIC_FILE), &public, NULL), 0);
    struct str text = public_of(key);
    CHECK_STR(str_make(public.data, public.len - 1), text);

    CHECK_INT(key_init(folder, &made, NULL), 0);
    CHECK(!made);
    CHECK_INT(unlink(file_in(folder, KEY_PUBLIC_FILE)), 0);
    CHECK_INT(key_init(folder, &made, NULL), 0);
    CHECK(!made);
    CHECK_INT(file_read(file_in(folder, KEY_PUBLIC_FILE), &again, NULL), 0);
    CHECK_STR(buf_str(&again), buf_str(&public));
    CHECK_INT(key_open(file_in(folder, KEY_FILE), &same, NULL), 0);
    CHECK_STR(public_of(same), str_make(public.data, public.len - 1));
    buf_release(&public);
    buf_release(&again);
}

TEST(of_many_who_make_it_at_once_one_does)
{
    const char *folder = fresh_folder();
    int made_count = 0, failed = 0;
    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            bool made = false;
            int r = key_init(folder, &made, NULL);
            _exit(r < 0 ? 2 : made);
        }
    }
    for (int i = 0, status; i < 8; i++) {
        CHECK(wait(&status) > 0);
        failed += !WIFEXITED(status) || WEXITSTATUS(status) > 1;
        made_count += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    }
    CHECK_INT(made_count, 1);
    CHECK_INT(failed, 0);
    CHECK_INT(entries_of(folder), 2);
}

TEST(a_key_that_others_can_read_is_refused_and_not_replaced)
{
    const char *folder = fresh_folder();
    struct sign_key *key = NULL;
    struct err err = { 0 };
    bool made = false;
    CHECK_INT(key_init(folder, &made, NULL), 0);
    CHECK_INT(chmod(file_in(folder, KEY_FILE), 0640), 0);
    CHECK_INT(key_open_user(folder, &key, &err), -EACCES);
    CHECK(strstr(err.cause, "(mode 0640); mend it: chmod 600 "));
    CHECK(strstr(err.cause, file_in(folder, KEY_FILE)));
    CHECK_INT(key_init(folder, &made, &err), -EACCES);
    CHECK_INT(mode_of(file_in(folder, KEY_FILE)), 0640);
}

TEST(without_a_key_init_is_named)
{
    struct sign_key *key = NULL;
    struct err err = { 0 };
    CHECK_INT(key_open_user(fresh_folder(), &key, &err), -ENOENT);
    CHECK(strstr(err.cause, "agent-machine init"));
    CHECK_INT(key_open("file:/nonexistent/key", &key, &err), -ENOENT);
    CHECK(strstr(err.cause, "/nonexistent/key"));
}

TEST(what_is_no_key_is_refused_by_name)
{
    const char *folder = fresh_folder();
    struct sign_key *key = NULL;
    struct err err = { 0 };
    bool made = true;
    CHECK_INT(key_init(folder, &made, NULL), 0);
    const char *path = file_in(folder, KEY_FILE);
    put(path, "not a key", 0600);
    CHECK_INT(key_open_user(folder, &key, &err), -EBADMSG);
    CHECK_TEXT(err.where, path);
    CHECK(strstr(err.cause, "no Ed25519 key"));
    CHECK(!strstr(err.cause, "not a key"));
    CHECK_INT(key_init(folder, &made, NULL), -EBADMSG); /* and it is not replaced */
    struct buf text = BUF_INIT;
    CHECK_INT(file_read(path, &text, NULL), 0);
    CHECK_STR(buf_str(&text), STR("not a key"));
    buf_release(&text);
}

TEST(a_public_half_of_another_key_is_noticed)
{
    const char *folder = fresh_folder();
    struct err err = { 0 };
    bool made = false;
    CHECK_INT(key_init(folder, &made, NULL), 0);
    put(file_in(folder, KEY_PUBLIC_FILE), "ed25519:cvnpuqbFKFnoqjQAoLwb1Fs1WgxJH7+eudgUtSHOoqk=\n",
        0644);
    CHECK_INT(key_init(folder, &made, &err), -EEXIST);
    CHECK(strstr(err.cause, "not the public half"));
}

TEST(a_folder_that_cannot_be_made_is_named)
{
    struct err err = { 0 };
    bool made = true;
    CHECK(key_init("/proc/agent-machine", &made, &err) < 0);
    CHECK(strstr(err.cause, "/proc/agent-machine"));
    char *path = malloc(5001);
    memset(path, 'x', 5000);
    path[5000] = '\0';
    CHECK_INT(key_init(path, &made, &err), -E2BIG);
    free(path);
    CHECK(made);
}

TEST(public_keys_are_read_from_text_and_files)
{
    static const char text[] = "ed25519:cvnpuqbFKFnoqjQAoLwb1Fs1WgxJH7+eudgUtSHOoqk=";
    const char *folder = fresh_folder();
    struct sign_public key, same;
    struct err err = { 0 };
    bool made;
    CHECK_INT(key_init(folder, &made, NULL), 0);
    CHECK_INT(key_open_public(text, &key, NULL), 0);
    put(file_in(folder, "codex.pub"), "ed25519:cvnpuqbFKFnoqjQAoLwb1Fs1WgxJH7+eudgUtSHOoqk=\r\n",
        0644);
    CHECK_INT(key_open_public(file_in(folder, "codex.pub"), &same, NULL), 0);
    CHECK_INT(memcmp(&key, &same, sizeof(key)), 0);
    CHECK_INT(key_open_public("ed25519:AAAA", &key, &err), -EBADMSG);
    put(file_in(folder, "codex.pub"), "something", 0644);
    CHECK_INT(key_open_public(file_in(folder, "codex.pub"), &key, &err), -EBADMSG);
    CHECK(strstr(err.cause, "codex.pub holds no public key"));
    CHECK_INT(key_open_public("/nonexistent/key.pub", &key, &err), -ENOENT);
}

TEST(a_key_may_lie_in_the_kernels_keyring)
{
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7"
                              "\n-----END PRIVATE KEY-----"; /* RFC 8032, section 7.1, test 2 */
    struct sign_key *key = NULL;
    struct err err = { 0 };
    long id = syscall(SYS_add_key, "user", "agent-machine-test:key", pem, strlen(pem),
                      KEY_SPEC_USER_KEYRING);
    if (id < 0) {
        test_skip("this host lets nobody use the kernel's keyring: %s", strerror(errno));
        return;
    }
    CHECK_INT(key_open("keyring:agent-machine-test:key", &key, &err), 0);
    if (key)
        CHECK_STR(public_of(key), STR("ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="));
    CHECK_INT(syscall(SYS_keyctl, KEYCTL_UNLINK, id, KEY_SPEC_USER_KEYRING), 0);
    CHECK_INT(key_open("keyring:agent-machine-test:key", &key, &err), -ENOENT);
}

TEST(the_user_has_a_urn)
{
    char urn[KEY_USER_TEXT_MAX];
    key_user(urn);
    CHECK(str_starts(str_from(urn), STR("urn:srcos:user:")));
    CHECK(strlen(urn) > strlen("urn:srcos:user:"));
}
