/* worktree_ask: see the header. What it does, the verbs below `worktree` do. */
#include "cmd/worktree_ask.h"

#include <poll.h>

#include "cmd/change_set.h"
#include "cmd/tell.h"
#include "cmd/worktree.h"
#include "machine/held.h"

#define ANSWER_SIZE 64
#define PATH_SIZE   (WORKTREE_PATH_SIZE + CHANGES_PATH_MAX + 2)

/* Whether somebody answers in time. Nothing else has read ahead of what is typed: stdin is asked
 * line by line. */
static bool is_answered(int timeout_ms)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    int r;
    do
        r = poll(&input, 1, timeout_ms);
    while (r < 0 && errno == EINTR);
    return r != 0;
}

char worktree_ask_letter(const char *question, int timeout_ms)
{
    char answer[ANSWER_SIZE];
    fprintf(stderr, "agent-machine: %s: ", question);
    fflush(stderr);
    if (!is_answered(timeout_ms)) {
        fputs("\nagent-machine: nobody answered\n", stderr);
        return 0;
    }
    if (!fgets(answer, sizeof(answer), stdin)) {
        fputc('\n', stderr);
        return 0;
    }
    if (!strchr(answer, '\n')) /* a long one: the rest of it is no other answer */
        for (int c; (c = fgetc(stdin)) != EOF && c != '\n';)
            ;
    return answer[0];
}

static void call(const struct invocation *of_run, const char *name, char **operands, int count)
{
    char worktree[] = "worktree", verb[32], path[64];
    char *names[] = { worktree, verb };
    snprintf(verb, sizeof(verb), "%s", name);
    snprintf(path, sizeof(path), "worktree %s", name);
    struct invocation invocation = { .program = of_run->program,
                                     .verb = verb_find(of_run->program, 2, names),
                                     .path = path,
                                     .operands = operands,
                                     .operand_count = count };
    if (invocation.verb)
        invocation.verb->run(&invocation);
}

/* --- path by path -------------------------------------------------------------------------- */

struct choosing {
    const struct invocation *of_run;
    char *operands[CHANGE_SET_PATHS_MAX + 1]; /* the run, then what was chosen */
    int count, timeout_ms;
};

/* Whether to go on. */
static bool choose_path(struct choosing *choosing, const struct worktree *worktree,
                        const struct changed_path *change)
{
    char question[PATH_SIZE + 64];
    char *path = malloc(PATH_SIZE);
    if (!path)
        return false;
    snprintf(path, PATH_SIZE, "%s/%s", worktree->host_path, change->path);
    for (;;) {
        fprintf(stderr, "%s ", change_names[change->type]);
        tell_text(stderr, change->path);
        fputc('\n', stderr);
        snprintf(question, sizeof(question), "take it? [y]es, [n]o, [d]iff, [q]uit");
        char answer = worktree_ask_letter(question, choosing->timeout_ms);
        char *operands[] = { choosing->operands[0], path };
        if (answer == 'd') {
            call(choosing->of_run, "diff", operands, 2);
            continue;
        }
        if (answer == 'y')
            choosing->operands[choosing->count++] = path;
        else
            free(path);
        return answer == 'y' || answer == 'n';
    }
}

/* False where nothing was chosen. */
static bool choose(const struct invocation *of_run, char *run, int timeout_ms)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct choosing choosing = {
        .of_run = of_run, .operands = { run }, .count = 1, .timeout_ms = timeout_ms
    };
    struct change_set set;
    struct err err = { 0 };
    int r = runs_open(&plane, &err);
    if (r == 0)
        r = change_set_open(plane, choosing.operands, 1, &set, &err);
    if (r < 0) {
        tell_error(of_run, &err);
        return false;
    }
    plane_close(TAKE_PTR(plane)); /* what is called below opens its own */
    bool more = true;
    for (size_t i = 0; i < set.mount_count; i++)
        for (size_t j = 0; more && j < set.mounts[i].changes.count; j++)
            if (set.mounts[i].changes.items[j].kind != CHANGED_DIRECTORY &&
                !held_is_git_data(set.mounts[i].changes.items[j].path,
                                  set.mounts[i].changes.of_git))
                more = choosing.count <= CHANGE_SET_PATHS_MAX &&
                       choose_path(&choosing, &set.mounts[i], &set.mounts[i].changes.items[j]);
    change_set_close(&set);
    if (choosing.count > 1)
        call(of_run, "apply", choosing.operands, choosing.count);
    for (int i = 1; i < choosing.count; i++)
        free(choosing.operands[i]);
    return choosing.count > 1;
}

/* A run in the background of its terminal would be stopped by reading from it. */
static bool is_watched(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void worktree_ask(const struct invocation *of_run, const char *run, int timeout_ms)
{
    char name[PLANE_URN_MAX];
    char *operands[] = { name };
    if (!is_watched() || timeout_ms == 0)
        return;
    snprintf(name, sizeof(name), "%s", run);
    for (;;) {
        switch (
            worktree_ask_letter("[a]pply, [c]hoose, [d]iff, [k]eep, or discard [x]", timeout_ms)) {
        case 'd':
            call(of_run, "diff", operands, 1);
            continue;
        case 'a':
            call(of_run, "apply", operands, 1);
            return;
        case 'c':
            if (choose(of_run, name, timeout_ms))
                return;
            continue;
        case 'x':
            call(of_run, "discard", operands, 1);
            return;
        case 'k':
        case '\n':
        case 0:
            fprintf(stderr, "agent-machine: kept; `agent-machine worktree apply %s` takes it\n",
                    run);
            return;
        default:
            continue;
        }
    }
}
