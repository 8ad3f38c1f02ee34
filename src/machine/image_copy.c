/*
 * image_copy: an image of an archive or of Podman's storage, copied by skopeo.
 *
 * Both are formats of other programs, read by the program that is theirs: it
 * runs as the caller, for whom it reads what is the caller's. What it writes is
 * verified like any other image.
 */
#include <signal.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "machine/image.h"

#define STEP_COPY "copy the image"
#define SAID_MAX  600

static int name_source(const struct image_name *name, struct buf *ret)
{
    buf_addf(ret, "%s:%s", image_source_names[name->source],
             name->path[0] ? name->path : name->reference);
    if (name->tag[0])
        buf_addf(ret, ":%s", name->tag);
    return ret->error;
}

static void become_skopeo(const char *from, const char *to, int said)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(nothing, STDOUT_FILENO) >= 0 &&
        dup2(said, STDERR_FILENO) >= 0)
        execlp("skopeo", "skopeo", "copy", "--quiet", from, to, (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* The end of what it says is where it says why. */
static void hear(int said, char ret[SAID_MAX])
{
    size_t len = 0;
    for (ssize_t n = 1; n > 0;) {
        if (len == SAID_MAX - 1) {
            memmove(ret, ret + SAID_MAX / 2, len - SAID_MAX / 2);
            len -= SAID_MAX / 2;
        }
        n = read(said, ret + len, SAID_MAX - 1 - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else
            len += n > 0 ? (size_t)n : 0;
    }
    while (len && (unsigned char)ret[len - 1] <= ' ')
        len--;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)ret[i] < ' ')
            ret[i] = ' ';
    ret[len] = '\0';
}

int image_copy(const struct image_name *name, const char *folder, struct err *err)
{
    _cleanup_(buf_release) struct buf from = BUF_INIT, to = BUF_INIT;
    char text[SAID_MAX] = "";
    int said[2], status = 0;
    buf_addf(&to, "dir:%s", folder);
    if (name_source(name, &from) < 0 || to.error || pipe2(said, O_CLOEXEC) < 0)
        return err_set(err, ERR_MEMORY, STEP_COPY, "there is not enough memory");
    pid_t pid = fork();
    if (pid == 0)
        become_skopeo(from.data, to.data, said[1]);
    close(said[1]);
    if (pid > 0) {
        hear(said[0], text);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close(said[0]);
    if (pid < 0)
        return err_set(err, ERR_MEMORY, STEP_COPY, "skopeo cannot be started");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_set(err, ERR_UNSUPPORTED, STEP_COPY,
                       "there is no skopeo in PATH, which reads %s; to mend it: sudo apt-get "
                       "install skopeo",
                       image_source_names[name->source]);
    return err_set(err, ERR_NOT_FOUND, STEP_COPY, "skopeo cannot read %s: %s", from.data,
                   text[0] ? text : "it does not say why");
}
