#include "authority/secret.h"

#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "authority/secret_internal.h"
#include "base/json.h"
#include "base/test.h"

#define REFERENCE "secret://personal/forge/token"
#define VALUE     "s3cr3t-value-of-the-test"

static char folder[64];

__attribute__((constructor)) static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "%s", "/tmp/secret-test-XXXXXX");
    if (!mkdtemp(folder))
        abort();
}

__attribute__((destructor)) static void remove_folder(void)
{
    static const char *const names[] = { "token", "empty", "long", "fifo", "script" };
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static const char *put(const char *name, const char *bytes, size_t len, mode_t mode)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && fchmod(fd, mode) == 0);
    close(fd);
    return path;
}

/* Resolves by a map of one source, written as JSON. */
static int resolve(const char *source, struct secret **ret, struct err *err)
{
    char map[1024];
    yyjson_doc *doc = NULL;
    snprintf(map, sizeof(map), "{\"" REFERENCE "\":%s}", source);
    CHECK_INT(json_read(str_from(map), &json_limits_default, &doc, NULL), 0);
    int r = secret_resolve(yyjson_doc_get_root(doc), STR(REFERENCE), ret, err);
    yyjson_doc_free(doc);
    return r;
}

static void check_value(const char *source, struct str expected)
{
    struct secret *secret = NULL;
    struct err err = { 0 };
    if (resolve(source, &secret, &err) < 0) {
        test_fail(__FILE__, __LINE__, "%s: %s: %s", source, err.where, err.cause);
        return;
    }
    CHECK_STR(secret_value(secret), expected);
    secret_free(secret);
}

static void check_refused(const char *source, enum err_code code, const char *words)
{
    struct secret *secret = NULL;
    struct err err = { 0 };
    CHECK(resolve(source, &secret, &err) < 0);
    CHECK(!secret);
    CHECK_TEXT(err.where, REFERENCE);
    if (err.code != code || !strstr(err.cause, words))
        test_fail(__FILE__, __LINE__, "%s: %s: %s; expected %s: %s", source, err_id(err.code),
                  err.cause, err_id(code), words);
    if (strstr(err.cause, VALUE))
        test_fail(__FILE__, __LINE__, "the message holds the secret: %s", err.cause);
}

static void check_source(const char *format, const char *argument, enum err_code code,
                         const char *words)
{
    char source[512];
    const char *place = strstr(format, "%s");
    snprintf(source, sizeof(source), "%.*s%s%s", (int)(place - format), format, argument,
             place + 2);
    check_refused(source, code, words);
}

/* --- references and the map ------------------------------------------------------------------ */

TEST(only_well_formed_references_are_looked_up)
{
    static const char *const bad[] = {
        "",
        "secret:",
        "secret://",
        "secret:///x",
        "secret://scope",
        "secret://scope/",
        "secret://scope//x",
        "secret://scope/../x",
        "secret://./x",
        "https://scope/x",
        "secret://scope/a b",
        "secret://scope/a?b",
        "secret://scope/a#b",
        "secret://scope/a\nb",
        "SECRET://scope/x",
        "urn:srcos:secret:x",
    };
    yyjson_doc *doc = NULL;
    CHECK_INT(json_read(STR("{}"), &json_limits_default, &doc, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct secret *secret = NULL;
        struct err err = { 0 };
        CHECK(secret_resolve(yyjson_doc_get_root(doc), str_from(bad[i]), &secret, &err) < 0);
        if (err.code != ERR_DOCUMENT)
            test_fail(__FILE__, __LINE__, "\"%s\" was looked up", bad[i]);
    }
    struct secret *secret = NULL;
    struct err err = { 0 };
    CHECK_INT(secret_resolve(yyjson_doc_get_root(doc), STR(REFERENCE), &secret, &err), -ENOENT);
    CHECK(strstr(err.cause, "references.yaml"));
    CHECK_TEXT(err.where, REFERENCE);
    CHECK_INT(secret_resolve(NULL, STR(REFERENCE), &secret, NULL), -ENOENT);
    yyjson_doc_free(doc);
}

TEST(a_source_is_exactly_one_of_the_five)
{
    check_refused("{}", ERR_DOCUMENT, "one of env, file, keyring, credential, command");
    check_refused("\"" VALUE "\"", ERR_DOCUMENT, "one of env");
    check_refused("{\"env\":\"A\",\"file\":\"/b\"}", ERR_DOCUMENT, "one of env");
    check_refused("{\"vault\":\"A\"}", ERR_DOCUMENT, "one of env");
    check_refused("{\"env\":5}", ERR_DOCUMENT, "env takes a text");
    check_refused("{\"env\":\"\"}", ERR_DOCUMENT, "env takes a text");
    check_refused("{\"file\":\"/a\\u0000b\"}", ERR_DOCUMENT, "file takes a text");
}

/* --- environment ----------------------------------------------------------------------------- */

TEST(an_environment_variable_is_taken_as_it_is)
{
    setenv("AM_TEST_SECRET", VALUE "\n", 1);
    check_value("{\"env\":\"AM_TEST_SECRET\"}", STR(VALUE "\n"));
    setenv("AM_TEST_SECRET", "", 1);
    check_refused("{\"env\":\"AM_TEST_SECRET\"}", ERR_NOT_FOUND, "it is empty");
    unsetenv("AM_TEST_SECRET");
    check_refused("{\"env\":\"AM_TEST_SECRET\"}", ERR_NOT_FOUND, "AM_TEST_SECRET is not set");
    check_refused("{\"env\":\"A=" VALUE "\"}", ERR_DOCUMENT, "name of a variable");
    char *large = malloc(SECRET_BYTES_MAX + 2);
    memset(large, 'x', SECRET_BYTES_MAX + 1);
    large[SECRET_BYTES_MAX + 1] = '\0';
    setenv("AM_TEST_SECRET", large, 1);
    check_refused("{\"env\":\"AM_TEST_SECRET\"}", ERR_LIMIT, "no longer than 65536");
    unsetenv("AM_TEST_SECRET");
    free(large);
}

/* --- files ----------------------------------------------------------------------------------- */

TEST(a_file_gives_its_bytes_without_one_last_newline)
{
    char source[256];
    snprintf(source, sizeof(source), "{\"file\":\"%s\"}", put("token", VALUE, strlen(VALUE), 0600));
    check_value(source, STR(VALUE));
    put("token", VALUE "\n", strlen(VALUE) + 1, 0400);
    check_value(source, STR(VALUE));
    put("token", VALUE "\n\n", strlen(VALUE) + 2, 0600);
    check_value(source, STR(VALUE "\n"));
    put("token", "a\0b\n", 4, 0600);
    check_value(source, STR("a\0b"));
}

TEST(a_path_may_begin_at_home)
{
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    put("token", VALUE, strlen(VALUE), 0600);
    setenv("HOME", folder, 1);
    check_value("{\"file\":\"~/token\"}", STR(VALUE));
    check_refused("{\"file\":\"~other/token\"}", ERR_DOCUMENT, "absolute path");
    check_refused("{\"file\":\"token\"}", ERR_DOCUMENT, "absolute path");
    unsetenv("HOME");
    check_refused("{\"file\":\"~/token\"}", ERR_DOCUMENT, "absolute path");
    if (home)
        setenv("HOME", home, 1);
    free(home);
}

TEST(a_file_that_others_can_read_is_refused_with_the_mend)
{
    static const mode_t modes[] = { 0644, 0640, 0604, 0620, 0601 };
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const char *path = put("token", VALUE, strlen(VALUE), modes[i]);
        char words[256];
        snprintf(words, sizeof(words), "(mode %04o); mend it: chmod 600 %s", modes[i], path);
        check_source("{\"file\":\"%s\"}", path, ERR_DENIED, words);
    }
}

TEST(a_file_of_somebody_else_is_refused)
{
    if (geteuid() != 0) {
        test_skip("only root can give a file away");
        return;
    }
    const char *path = put("token", VALUE, strlen(VALUE), 0600);
    CHECK_INT(chown(path, 4711, 4711), 0);
    check_source("{\"file\":\"%s\"}", path, ERR_DENIED, "belongs to the user 4711");
    CHECK_INT(chown(path, 0, 0), 0);
}

TEST(files_that_hold_no_secret_are_named)
{
    const char *path = put("empty", "", 0, 0600);
    check_source("{\"file\":\"%s\"}", path, ERR_NOT_FOUND, "it is empty");
    path = put("empty", "\n", 1, 0600);
    check_source("{\"file\":\"%s\"}", path, ERR_NOT_FOUND, "it is empty");
    check_refused("{\"file\":\"/nonexistent/token\"}", ERR_NOT_FOUND, "there is no file");
    check_source("{\"file\":\"%s\"}", folder, ERR_DENIED, "no regular file");
    char fifo[128];
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    CHECK_INT(mkfifo(fifo, 0600), 0);
    check_source("{\"file\":\"%s\"}", fifo, ERR_DENIED, "no regular file"); /* and does not wait */
}

TEST(a_secret_has_a_longest_length)
{
    char *large = malloc(SECRET_BYTES_MAX + 1), source[256];
    memset(large, 'x', SECRET_BYTES_MAX + 1);
    snprintf(source, sizeof(source), "{\"file\":\"%s\"}",
             put("long", large, SECRET_BYTES_MAX, 0600));
    check_value(source, str_make(large, SECRET_BYTES_MAX));
    put("long", large, SECRET_BYTES_MAX + 1, 0600);
    check_refused(source, ERR_LIMIT, "no longer than 65536 bytes");
    free(large);
}

/* --- credentials of systemd ------------------------------------------------------------------ */

TEST(a_credential_lies_where_systemd_says)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    check_refused("{\"credential\":\"token\"}", ERR_NOT_FOUND, "LoadCredential=token:");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    put("token", VALUE "\n", strlen(VALUE) + 1, 0440); /* the mask of an access control list */
    check_value("{\"credential\":\"token\"}", STR(VALUE));
    put("token", VALUE, strlen(VALUE), 0444);
    check_refused("{\"credential\":\"token\"}", ERR_DENIED, "others can read");
    check_refused("{\"credential\":\"../token\"}", ERR_DOCUMENT, "name of a file");
    check_refused("{\"credential\":\"a/token\"}", ERR_DOCUMENT, "name of a file");
    check_refused("{\"credential\":\"other\"}", ERR_NOT_FOUND, "there is no file");
    unsetenv("CREDENTIALS_DIRECTORY");
}

/* --- the kernel's keyring -------------------------------------------------------------------- */

static long add_key(const char *description, const char *bytes, size_t len)
{
    return syscall(SYS_add_key, "user", description, bytes, len, KEY_SPEC_USER_KEYRING);
}

TEST(a_key_of_the_kernels_keyring_is_read)
{
    long key = add_key("agent-machine-test:token", VALUE, strlen(VALUE));
    if (key < 0) {
        test_skip("this host lets nobody use the kernel's keyring: %s", strerror(errno));
        return;
    }
    check_value("{\"keyring\":\"agent-machine-test:token\"}", STR(VALUE));
    CHECK_INT(syscall(SYS_keyctl, KEYCTL_REVOKE, key), 0);
    check_refused("{\"keyring\":\"agent-machine-test:token\"}", ERR_NOT_FOUND, "keyctl padd user");
    syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
    check_refused("{\"keyring\":\"agent-machine-test:token\"}", ERR_NOT_FOUND,
                  "no key agent-machine-test:token; add it: keyctl padd user "
                  "agent-machine-test:token @u");
    check_refused("{\"keyring\":[]}", ERR_DOCUMENT, "keyring takes a text");
}

/* In a child in which the calls of the keyring answer an error; 0 where it was told as it should.
 */
static int refused_without_keyring(int error_number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_request_key, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_keyctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error_number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { ARRAY_LEN(filter), filter };
    struct secret *secret = NULL;
    struct err err = { 0 };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return 2;
    int r = resolve("{\"keyring\":\"agent-machine-test:token\"}", &secret, &err);
    return r == -EOPNOTSUPP && strstr(err.cause, "choose file or command") ? 0 : 1;
}

TEST(a_host_without_a_keyring_is_told_apart_from_a_missing_key)
{
    static const int numbers[] = { ENOSYS, EPERM };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0)
            _exit(refused_without_keyring(numbers[i]));
        CHECK(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
            test_skip("no filter of system calls can be set here");
        else
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* --- commands -------------------------------------------------------------------------------- */

TEST(a_command_prints_the_secret)
{
    check_value("{\"command\":[\"printf\",\"%s\",\"" VALUE "\"]}", STR(VALUE));
    check_value("{\"command\":[\"printf\",\"%s\\\\n\\\\n\",\"" VALUE "\"]}", STR(VALUE "\n"));
    check_value("{\"command\":[\"/bin/echo\",\"$HOME;`id`\"]}", STR("$HOME;`id`"));
}

TEST(a_command_sees_nothing_but_path_and_home)
{
    setenv("AM_TEST_SECRET", VALUE, 1);
    check_value("{\"command\":[\"sh\",\"-c\",\"env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | cut -d= "
                "-f1 | sort | tr '\\\\n' ' '; cat; ls /proc/self/fd | wc -l\"]}",
                STR("HOME PATH 4")); /* 0, 1, 2 and the folder itself */
    unsetenv("AM_TEST_SECRET");
}

TEST(a_command_that_fails_is_told_by_its_status_alone)
{
    check_refused("{\"command\":[\"sh\",\"-c\",\"echo " VALUE " >&2; echo " VALUE "; exit 3\"]}",
                  ERR_IO, "sh failed with status 3");
    check_refused("{\"command\":[\"sh\",\"-c\",\"kill -9 $$\"]}", ERR_IO, "ended by signal 9");
    check_refused("{\"command\":[\"true\"]}", ERR_NOT_FOUND, "it is empty");
    check_refused("{\"command\":[\"agent-machine-no-such-command\"]}", ERR_NOT_FOUND,
                  "agent-machine-no-such-command is not there");
    check_refused("{\"command\":[\"/etc/passwd\"]}", ERR_IO, "does not start");
    check_refused("{\"command\":[]}", ERR_DOCUMENT, "list of 1 to 64 words");
    check_refused("{\"command\":\"pass show x\"}", ERR_DOCUMENT, "list of 1 to 64 words");
    check_refused("{\"command\":[\"\"]}", ERR_DOCUMENT, "word 1 of command");
    check_refused("{\"command\":[\"echo\",5]}", ERR_DOCUMENT, "word 2 of command");
}

TEST(a_command_that_prints_without_end_is_stopped)
{
    check_refused("{\"command\":[\"yes\",\"" VALUE "\"]}", ERR_LIMIT,
                  "yes prints more than 65536 bytes");
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether a process with this number of seconds as its argument is still there. */
static bool sleeps(const char *seconds)
{
    char command[128];
    snprintf(command, sizeof(command), "grep -qsz '^%s$' /proc/[0-9]*/cmdline && exit 0 || exit 1",
             seconds);
    const char *const arguments[] = { "/bin/sh", "-c", command, NULL };
    pid_t pid = fork();
    if (pid == 0) {
        execv(arguments[0], (char *const *)arguments);
        _exit(1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(a_command_that_hangs_is_stopped_with_all_it_started)
{
    static const char *const cases[] = { "sleep 4711.25 & sleep 4711.25",
                                         "exec >/dev/null; sleep 4711.25" };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const arguments[] = { "sh", "-c", cases[i], NULL };
        struct secret *secret = NULL;
        struct err err = { 0 };
        int64_t start_ms = now_ms();
        CHECK_INT(secret_run(arguments, 200, &secret, &err), -E2BIG);
        CHECK(now_ms() - start_ms >= 200 && now_ms() - start_ms < 5000);
        CHECK(strstr(err.cause, "did not end within 1 seconds"));
        CHECK(!secret && !sleeps("4711.25"));
    }
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* no zombie is left */
}

TEST(who_holds_the_output_open_is_not_waited_for)
{
    static const char *const arguments[] = { "sh", "-c", "sleep 4712.5 & echo " VALUE, NULL };
    struct secret *secret = NULL;
    int64_t start_ms = now_ms();
    CHECK_INT(secret_run(arguments, 8000, &secret, NULL), 0);
    CHECK(now_ms() - start_ms < 5000);
    if (secret)
        CHECK_STR(secret_value(secret), STR(VALUE));
    CHECK(!sleeps("4712.5"));
    secret_free(secret);
}

/* --- memory ---------------------------------------------------------------------------------- */

#if defined(__has_feature)
#define IS_ADDRESS_SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define IS_ADDRESS_SANITIZED 1
#else
#define IS_ADDRESS_SANITIZED 0
#endif

#if !IS_ADDRESS_SANITIZED /* which makes mlock do nothing */

/* Whether the mapping that an address lies in has a flag of /proc/self/smaps. */
static bool mapping_has(const void *address, const char *flag)
{
    _cleanup_(cleanup_fclose) FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    bool inside = false, found = false;
    while (file && fgets(line, sizeof(line), file)) {
        char *end;
        unsigned long from = strtoul(line, &end, 16);
        if (*end == '-') {
            unsigned long to = strtoul(end + 1, NULL, 16);
            inside = (unsigned long)address >= from && (unsigned long)address < to;
        }
        if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    return found;
}

TEST(a_secret_is_locked_and_in_no_dump)
{
    char source[256];
    struct secret *secret = NULL;
    snprintf(source, sizeof(source), "{\"file\":\"%s\"}", put("token", VALUE, strlen(VALUE), 0600));
    CHECK_INT(resolve(source, &secret, NULL), 0);
    if (!secret)
        return;
    CHECK(mapping_has(secret, " lo"));
    CHECK(mapping_has(secret, " dd"));
    secret_free(secret);
    secret_free(NULL);
}

/* In a child whose limit is its own; 0 where the refusal was as it should be. */
static int refused_without_locked_memory(void)
{
    struct secret *secret = NULL;
    struct err err = { 0 };
    struct rlimit none = { 0, 0 };
    setenv("AM_TEST_SECRET", VALUE, 1);
    if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (geteuid() == 0 && setuid(65534) < 0))
        return 2;
    int r = resolve("{\"env\":\"AM_TEST_SECRET\"}", &secret, &err);
    return r == -ENOMEM && err.code == ERR_MEMORY && strstr(err.cause, "ulimit -l") ? 0 : 1;
}

TEST(what_cannot_be_locked_is_not_read)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(refused_without_locked_memory());
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        test_skip("the limit of locked memory cannot be lowered here");
    else
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
