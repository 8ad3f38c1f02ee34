/* What a sandbox that was spawned ahead is told; the sandbox itself: tests/run.sh and escape.sh. */
#include "machine/linux/handover.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/test.h"

static char name[] = "make", folder[] = "/run/7/0", secret[] = "/secret";
static char *words[] = { name, NULL };
static struct plan_mount mounts[] = {
    { .host_path = "/src", .agent_path = "/work", .semantics = MOUNT_STAGED }
};
static struct mask_entry hidden[] = { { ".env", "dotenv", MASK_AHEAD } };
static struct mask_list masks = { .entries = hidden, .count = 1 };
static const struct plan plan = { .argv = words,
                                  .environment = words,
                                  .directory = "/work",
                                  .home = "/home/someone",
                                  .user = "someone",
                                  .mounts = mounts,
                                  .mount_count = 1,
                                  .tier = TIER_NAMESPACES };

static void begin(struct sandbox *sandbox, int ends[2])
{
    *sandbox = (struct sandbox){ .plan = &plan, .stdio = { -1, -1, -1 } };
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++)
        sandbox->mounts[i].tree = sandbox->mounts[i].layer = -1;
    for (size_t i = 0; i < LIMITS_GROUPS_MAX; i++)
        sandbox->inside.groups[i] = -1;
    CHECK_INT(handover_new(&sandbox->handover, NULL), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    sandbox->control = ends[1];
}

/* In the child: what it does not find is in its status. */
static int look(struct sandbox *sandbox, int gate)
{
    char byte;
    if (handover_take(sandbox, NULL) < 0)
        return 1;
    if (write(sandbox->stdio[1], "told", 4) != 4 || sandbox->stdio[0] >= 0)
        return 2;
    (void)!read(gate, &byte, 1); /* until the supervisor has written over all of it */
    const struct plan *told = sandbox->plan;
    const struct mask_list *list = sandbox->mounts[0].masks;
    if (told == &plan || strcmp(told->argv[0], "make") != 0 || told->argv[1] || told->surface ||
        strcmp(told->mounts[0].agent_path, "/work") != 0 || strcmp(told->user, "someone") != 0)
        return 3;
    if (sandbox->inside.groups[0] >= 0 || fcntl(sandbox->inside.groups[1], F_GETFD) < 0)
        return 6;
    if (strcmp(sandbox->mounts[0].layer_path, "/run/7/0") != 0 || list->count != 1 ||
        strcmp(list->entries[0].path, ".env") != 0 || sandbox->mounts[0].tree < 0 ||
        sandbox->mounts[0].layer >= 0 || sandbox->mounts[1].layer_path)
        return 4;
    return strcmp(sandbox->probes.secret_path, "/secret") == 0 && !sandbox->probes.socket_path &&
                   sandbox->inside.count == 1
               ? 0
               : 5;
}

TEST(a_sandbox_is_told_its_plan_and_keeps_what_it_was_told)
{
    struct sandbox sandbox;
    int ends[2], words_out[2], gate[2], status = -1;
    char text[5] = "";
    begin(&sandbox, ends);
    CHECK(pipe2(words_out, O_CLOEXEC) == 0 && pipe2(gate, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        close(gate[1]);
        _exit(look(&sandbox, gate[0]));
    }
    sandbox.stdio[1] = words_out[1];
    sandbox.mounts[0] = (struct sandbox_mount){
        .tree = gate[0], .layer = -1, .layer_path = folder, .masks = &masks
    };
    sandbox.probes.secret_path = secret;
    sandbox.inside.count = 1;
    sandbox.inside.groups[1] = gate[0];
    CHECK(handover_write(sandbox.handover, &sandbox));
    CHECK_INT(handover_send(sandbox.handover, ends[0], NULL), 0);
    CHECK_INT(read(words_out[0], text, 4), 4);
    CHECK_TEXT(text, "told");
    memset(sandbox.handover, 0xff, 4096);
    close(gate[1]);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    handover_free(sandbox.handover);
    close(ends[0]);
    close(ends[1]);
}

TEST(a_sandbox_whose_supervisor_is_gone_has_no_plan)
{
    struct sandbox sandbox;
    struct err err = { 0 };
    int ends[2];
    begin(&sandbox, ends);
    close(ends[0]);
    CHECK(handover_take(&sandbox, &err) < 0);
    CHECK(sandbox.plan == &plan);
    handover_free(sandbox.handover);
    close(ends[1]);
}

TEST(a_sandbox_that_is_gone_is_told_nothing)
{
    struct sandbox sandbox;
    int ends[2];
    begin(&sandbox, ends);
    close(ends[1]);
    CHECK(handover_write(sandbox.handover, &sandbox));
    CHECK_INT(handover_send(sandbox.handover, ends[0], NULL), 0);
    handover_free(sandbox.handover);
    close(ends[0]);
}

TEST(more_than_fits_is_not_handed_over)
{
    struct sandbox sandbox;
    int ends[2];
    size_t size = (size_t)32 << 20;
    char *much = malloc(size);
    begin(&sandbox, ends);
    CHECK(much);
    memset(much, 'a', size);
    much[size - 1] = '\0';
    sandbox.probes.secret_path = much;
    CHECK(!handover_write(sandbox.handover, &sandbox));
    free(much);
    handover_free(sandbox.handover);
    close(ends[0]);
    close(ends[1]);
}
