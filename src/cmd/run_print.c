/* run_print: see the header. */
#include "cmd/run_print.h"

#include <inttypes.h>

#include "base/json.h"
#include "cmd/tell.h"
#include "contract/host_path.h"

#define LABEL_WIDTH 12

/* --- the plan ------------------------------------------------------------------------------ */

static void print_row(const char *label, const char *text)
{
    printf("%-*s", LABEL_WIDTH, label);
    tell_text(stdout, text);
    putchar('\n');
}

static void print_command(const struct plan *plan)
{
    printf("%-*s", LABEL_WIDTH, "command");
    for (size_t i = 0; plan->argv[i]; i++) {
        fputs(i ? " " : "", stdout);
        tell_text(stdout, plan->argv[i]);
    }
    putchar('\n');
}

static void print_mounts(const struct plan *plan)
{
    static const char *const what[SEMANTICS_COUNT] = {
        [MOUNT_READ_ONLY] = "read-only",
        [MOUNT_READ_WRITE] = "read-write: writes reach the host at once",
        [MOUNT_STAGED] = "staged: writes go to a change set",
        [MOUNT_CACHE] = "a cache of the profile's own",
    };
    for (size_t i = 0; i < plan->mount_count; i++) {
        print_row(i ? "" : "mounts", plan->mounts[i].agent_path);
        printf("%-*s%s%s\n", LABEL_WIDTH + 2, "", what[plan->mounts[i].semantics],
               plan->mounts[i].secrets_prohibited ? "; secrets are hidden" : "");
        if (plan->mounts[i].include || plan->mounts[i].exclude)
            printf("%-*sand what its patterns leave out\n", LABEL_WIDTH + 2, "");
    }
}

static void print_plan(const struct plan *plan)
{
    print_command(plan);
    print_row("directory", plan->directory);
    print_row("profile", plan->profile_id);
    printf("%-*s%s, and at least %s\n", LABEL_WIDTH, "isolation", tier_names[plan->tier],
           tier_names[plan->minimum_tier]);
    printf("%-*s%s, id %lld, with an empty %s\n", LABEL_WIDTH, "user", plan->user,
           (long long)plan->inside_uid,
           plan->tier == TIER_PROCESS ? "home in the folder of the run" : "home");
    print_row("network", plan->no_sockets   ? "none, and no sockets"
                         : plan->keeps_here ? "servers of this machine, where the layers allow them"
                                            : "what the layers allow, asked for each connection");
    for (size_t i = 0; plan->authorities && plan->authorities[i]; i++)
        print_row(i ? "" : "trusts", plan->authorities[i]);
    print_mounts(plan);
    printf("%-*s%lld processes, %lld open files, %lld bytes of output\n", LABEL_WIDTH, "limits",
           (long long)plan->limits.processes, (long long)plan->limits.open_files,
           (long long)plan->limits.output_bytes);
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        printf("%-*s%-20s%lld\n", LABEL_WIDTH, i ? "" : "budget", dimension_names[i],
               (long long)plan->limits.budget[i]);
}

int run_print_plan(const struct plan *plan, bool as_json)
{
    struct buf json = BUF_INIT;
    struct err err = { 0 };
    if (!as_json) {
        print_plan(plan);
        return EXIT_OK;
    }
    int r = plan_write(plan, &json, &err);
    if (r == 0)
        puts(json.data);
    buf_release(&json);
    return r < 0 ? EXIT_NEGATIVE : EXIT_OK;
}

/* --- the end ------------------------------------------------------------------------------- */

static void say(const char *label, const char *text)
{
    fprintf(stderr, "agent-machine: %s", label);
    tell_text(stderr, text);
    fputc('\n', stderr);
}

/* "2 files added, 1 modified; kept as ID" */
static void print_changes(const struct run_report *report)
{
    static const char *const words[CHANGE_TYPE_COUNT] = { [CHANGE_ADDED] = "added",
                                                          [CHANGE_MODIFIED] = "modified",
                                                          [CHANGE_DELETED] = "deleted",
                                                          [CHANGE_MODE] = "with another mode" };
    struct buf line = BUF_INIT;
    for (size_t i = 0; i < CHANGE_TYPE_COUNT; i++)
        if (report->execution->changed[i])
            buf_addf(&line, "%s%zu %s", line.len ? ", " : "", report->execution->changed[i],
                     words[i]);
    if (report->execution->change_set.len) {
        if (line.len == 0)
            buf_add_text(&line, "directories alone");
        buf_addf(&line, "; the host's tree did not move. See: agent-machine worktree status %s",
                 strrchr(report->outcome->operation, ':') + 1);
        say("changed: ", line.data);
    }
    buf_release(&line);
}

/* Where a launch took longer, and why. */
static void print_copies(const struct run_report *report)
{
    for (size_t i = 0; i < report->plan->mount_count; i++) {
        struct buf line = BUF_INIT;
        const struct launch_copied *copied = &report->execution->copied[i];
        if (!copied->what.files)
            continue;
        buf_addf(&line, "%s was copied, %" PRIu64 " files of %" PRIu64 " MiB%s: %s",
                 report->plan->mounts[i].host_path, copied->what.files, copied->what.bytes >> 20,
                 copied->what.shared ? " that share their blocks" : "", copied->reason);
        say("", line.data);
        buf_release(&line);
    }
}

#define WRITTEN_SHOWN 5

/* What nobody can take back: it was written to the host at once. */
static void print_written(const struct run_report *report)
{
    for (size_t i = 0; i < report->plan->mount_count; i++) {
        struct buf line = BUF_INIT;
        const struct written *written = &report->execution->written[i];
        if (!written->path_count && !written->partial)
            continue;
        buf_addf(&line, "in %s meanwhile: %zu added, %zu changed, %zu folders with less in them%s",
                 report->plan->mounts[i].host_path, written->counts[WRITTEN_ADDED],
                 written->counts[WRITTEN_CHANGED], written->counts[WRITTEN_REMOVED],
                 written->partial ? "; that is a part of it" : "");
        say("written: ", line.data);
        for (size_t j = 0; j < written->path_count && j < WRITTEN_SHOWN; j++) {
            buf_reset(&line);
            buf_addf(&line, "%s %s", written_names[written->paths[j].kind], written->paths[j].path);
            say("written: ", line.data);
        }
        if (written->path_count > WRITTEN_SHOWN)
            say("written: ", "and more; --json and the record name them");
        buf_release(&line);
    }
}

#define DENIALS_SHOWN 5

static void print_denial(const struct execution *execution, const struct use_entry *entry)
{
    const struct network_verdict *verdict = &execution->network.verdicts[entry->record];
    char host[TARGET_HOST_SIZE], port[8] = "", line[1024];
    target_host(&entry->target, host);
    if (entry->target.port)
        snprintf(port, sizeof(port), ":%u", entry->target.port);
    int len = snprintf(line, sizeof(line), "%s%s, %llu time%s", host, port,
                       (unsigned long long)entry->count, entry->count == 1 ? "" : "s");
    if (verdict->card[0])
        snprintf(line + len, sizeof(line) - (size_t)len,
                 "; a person is asked: agent-machine op decide %s", verdict->card);
    else if (verdict->remedy && verdict->remedy[0])
        snprintf(line + len, sizeof(line) - (size_t)len, "; to change that: %s", verdict->remedy);
    say("denied: ", line);
}

/* Where it connected, and what it was denied. */
static void print_network(const struct execution *execution)
{
    const struct uses *uses = execution->door ? network_door_uses(execution->door) : NULL;
    struct use all = { 0 };
    size_t destinations = 0, denials = 0, count = uses ? uses_count(uses) : 0;
    char line[160];
    for (size_t i = 0; i < count; i++) {
        const struct use_entry *entry = uses_at(uses, i);
        all.connections += entry->use.connections;
        all.sent_bytes += entry->use.sent_bytes;
        all.received_bytes += entry->use.received_bytes;
        destinations += entry->use.connections > 0;
        if (!entry->permitted && denials++ < DENIALS_SHOWN)
            print_denial(execution, entry);
    }
    if (denials > DENIALS_SHOWN) {
        snprintf(line, sizeof(line), "%zu more destinations; the record has them all",
                 denials - DENIALS_SHOWN);
        say("denied: ", line);
    }
    if (all.connections && isatty(STDERR_FILENO)) {
        snprintf(line, sizeof(line),
                 "%llu connections to %zu destinations, %llu bytes out, %llu in",
                 (unsigned long long)all.connections, destinations,
                 (unsigned long long)all.sent_bytes, (unsigned long long)all.received_bytes);
        say("network: ", line);
    }
}

/* What left this machine by the Model Door, and to whom: said wherever a model was called. */
static void print_prompts(const struct execution *execution)
{
    const struct model_record *models = &execution->models;
    struct buf line = BUF_INIT;
    if (!models->work || !models->calls)
        return;
    const struct model_egress left = model_record_egress(models);
    if (!left.calls)
        buf_addf(&line, "none left this machine");
    else
        buf_addf(&line, "%llu bytes left this machine in %llu calls, to",
                 (unsigned long long)left.bytes, (unsigned long long)left.calls);
    for (size_t i = 0; i < execution->routes.count; i++)
        if (models->egress[i].calls)
            buf_addf(&line, " %s", execution->routes.origins[i].host);
    say("prompts: ", line.data);
    buf_release(&line);
}

/* To a person who looks on. */
static void print_usage(const struct run_report *report)
{
    char line[160];
    const int64_t *used = report->execution->used.of;
    if (!report->execution->started || !isatty(STDERR_FILENO))
        return;
    snprintf(line, sizeof(line),
             "%lld s of processor, %lld MiB of memory, %lld MiB of disk, %lld s",
             (long long)used[DIMENSION_CPU_SECONDS],
             (long long)used[DIMENSION_SANDBOX_MEMORY_BYTES] >> 20,
             (long long)used[DIMENSION_LOCAL_DISK_BYTES] >> 20,
             (long long)used[DIMENSION_WALL_CLOCK_SECONDS]);
    say("used: ", line);
}

void run_print_end(const struct run_report *report)
{
    const struct run_result *result = &report->execution->result;
    const struct err *failure = &report->outcome->failure;
    if (report->outcome->repeated)
        say("this run was given before: ", report->outcome->operation);
    if (result->end == RUN_CANCELLED && report->execution->end_reason[0])
        say("cancelled: ", report->execution->end_reason);
    else if (failure->code != ERR_NONE)
        say("", failure->cause);
    if (failure->code != ERR_NONE && report->outcome->remedy[0])
        say("next: ", report->outcome->remedy);
    print_copies(report);
    print_changes(report);
    print_written(report);
    print_network(report->execution);
    print_prompts(report->execution);
    print_usage(report);
    if (result->output_truncated)
        say("", "the output reached its limit; the rest was dropped");
}

static void add_denial(struct buf *out, const struct execution *execution,
                       const struct use_entry *entry)
{
    const struct network_verdict *verdict = &execution->network.verdicts[entry->record];
    char host[TARGET_HOST_SIZE];
    target_host(&entry->target, host);
    buf_add_text(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    json_add_name(out, "host");
    json_add_string(out, str_from(host));
    if (entry->target.port)
        buf_addf(out, ",\"port\":%u", entry->target.port);
    buf_addf(out, ",\"count\":%llu", (unsigned long long)entry->count);
    json_add_name(out, "remediation");
    json_add_string(out, str_from(verdict->remedy ? verdict->remedy : ""));
    if (verdict->card[0]) {
        json_add_name(out, "decisionCard");
        json_add_string(out, str_from(verdict->card));
    }
    buf_add_char(out, '}');
}

static void add_denials(struct buf *out, const struct execution *execution)
{
    const struct uses *uses = network_door_uses(execution->door);
    buf_add_text(out, ",\"denials\":[");
    for (size_t i = 0; i < uses_count(uses); i++)
        if (!uses_at(uses, i)->permitted)
            add_denial(out, execution, uses_at(uses, i));
    buf_add_char(out, ']');
}

void run_print_json(const struct run_report *report)
{
    const struct outcome *outcome = report->outcome;
    const struct execution *execution = report->execution;
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"operation\":");
    json_add_string(&out, str_from(outcome->operation));
    buf_addf(&out, ",\"state\":\"%s\",\"status\":%d", state_names[outcome->state], report->status);
    if (execution->started)
        buf_addf(&out, ",\"isolationTier\":\"%s\",\"fingerprint\":\"%s\",\"execution\":\"%s\"",
                 tier_names[execution->report.tier], execution->fingerprint, execution->record);
    if (execution->started) {
        buf_add_text(&out, ",\"usage\":{");
        for (size_t i = 0; i < DIMENSION_COUNT; i++)
            buf_addf(&out, "%s\"%s\":%lld", i ? "," : "", dimension_names[i],
                     (long long)execution->used.of[i]);
        buf_add_char(&out, '}');
    }
    if (execution->door)
        add_denials(&out, execution);
    if (execution->models.work) {
        buf_add_text(&out, ",\"promptEgress\":");
        model_record_write_egress(&execution->models, &out);
    }
    if (execution->result.end == RUN_CANCELLED && execution->end_reason[0]) {
        buf_add_text(&out, ",\"cancelled\":");
        json_add_string(&out, str_from(execution->end_reason));
    }
    if (execution->written_mounts.len)
        buf_addf(&out, ",\"writtenMounts\":[%s]", execution->written_mounts.data);
    if (outcome->failure.code) {
        buf_addf(&out, ",\"failure\":{\"code\":\"%s\",\"message\":", err_id(outcome->failure.code));
        json_add_string(&out, str_from(outcome->failure.cause));
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, '}');
    fprintf(stderr, "%s\n", out.data);
    buf_release(&out);
}

void run_print_trace(const struct trace *trace)
{
    for (size_t i = 0; i < trace->count; i++)
        fprintf(stderr, "%9.3f ms  %-28s %s\n",
                (double)(trace->stops[i].at_ns - trace->stops[0].at_ns) / 1e6, trace->stops[i].stop,
                trace->stops[i].what);
}

/* --- git ----------------------------------------------------------------------------------- */

void run_tell_git(const struct git_link *git, const struct plan *plan)
{
    bool shown = !git->path[0];
    for (size_t i = 0; i < plan->mount_count && !shown; i++)
        shown = host_path_is_within(str_from(git->path), str_from(plan->mounts[i].agent_path));
    if (!shown)
        fprintf(stderr,
                "agent-machine: git finds no repository inside: .git names a directory that does "
                "not name this work tree in turn. `git worktree repair` may mend that, and --mount "
                "%s:%s:staged shows it all the same\n",
                git->path, git->path);
}
