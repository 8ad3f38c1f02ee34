/* pager: see the header. */
#include "cmd/pager.h"

#include <signal.h>
#include <sys/wait.h>

#define PAGER_USUAL "less"
#define LESS_USUAL  "FRX" /* ends by itself with what fits, lets colours through, leaves it there  \
                           */

static void become_pager(const char *command, int input)
{
    signal(SIGPIPE, SIG_DFL);
    if (dup2(input, STDIN_FILENO) < 0)
        _exit(127);
    setenv("LESS", LESS_USUAL, 0);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

void pager_begin(struct pager *pager)
{
    const char *command = getenv("PAGER") ?: PAGER_USUAL;
    int ends[2];
    *pager = (struct pager){ .terminal = -1 };
    if (!isatty(STDOUT_FILENO) || !command[0] || strcmp(command, "cat") == 0 ||
        pipe2(ends, O_CLOEXEC) < 0)
        return;
    fflush(NULL);
    pager->terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    pager->pid = pager->terminal < 0 ? -1 : fork();
    if (pager->pid == 0)
        become_pager(command, ends[0]);
    close(ends[0]);
    if (pager->pid > 0) {
        signal(SIGPIPE, SIG_IGN);
        dup2(ends[1], STDOUT_FILENO);
    } else {
        pager->pid = 0;
    }
    close(ends[1]);
}

void pager_end(struct pager *pager)
{
    if (pager->pid > 0) {
        fflush(stdout);
        clearerr(stdout); /* the person may have read enough */
        dup2(pager->terminal, STDOUT_FILENO);
        while (waitpid(pager->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    cleanup_close(&pager->terminal);
    *pager = (struct pager){ .terminal = -1 };
}
