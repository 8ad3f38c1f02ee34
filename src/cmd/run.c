/*
 * run: the governed launch (stops 2 and 9 of a run).
 *
 * Options become one command and one plan. The sandbox is begun before the
 * ledger is opened, and has its plan before the plane is asked, so that it is
 * built while others are waited for; the command starts when all is done.
 */
#include "authority/key.h"
#include "base/digest.h"
#include "base/own_code.h"
#include "cmd/op.h"
#include "cmd/op_notify.h"
#include "cmd/run_alone.h"
#include "cmd/run_internal.h"
#include "cmd/run_print.h"
#include "cmd/run_refusal.h"
#include "cmd/tell.h"
#include "cmd/worktree_ask.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "doctor/phase_gate.h"
#include "plane/work.h"

#define STATUS_REFUSED 125

/* --- plan ---------------------------------------------------------------------------------- */

static int find_profile(struct running *run, struct err *err)
{
    char urn[PLANE_URN_MAX];
    struct layers_places places;
    const char *name = run->invocation->values[OPTION_PROFILE];
    op_urn("agent-machine-profile", name ? name : "personal", urn);
    int r = layers_places_default(run->facts.directory, &places, err);
    if (r == 0)
        r = layers_open(&places, &run->layers, err);
    if (r == 0)
        r = profile_find(run->plane, run->layers, urn, &run->profile, err);
    if (r == 0)
        r = jcs_digest(run->profile.root, run->execution.profile_digest, err);
    run->request.profile = run->profile.root;
    return r;
}

/* A word before `--` that names a tool surface is that surface; anything else is a command. */
static int choose_command(struct running *run, struct err *err)
{
    const struct invocation *invocation = run->invocation;
    struct run_surface_place place = { .state_folder = run->first.state,
                                       .profile = run->profile.root,
                                       .facts = &run->facts };
    run->request.argv = (const char *const *)invocation->operands;
    if (invocation->values[OPTION_FETCH])
        return run_fetch_plan(&run->fetch, invocation->values[OPTION_IMAGE],
                              invocation->values[OPTION_FETCH], &run->request, &run->given.mounts,
                              err);
    if (invocation->dashes || !invocation->operands[0] || !run_surface_is(invocation->operands[0]))
        return 0;
    return run_surface_open(&run->surface, &place, invocation->operands, &run->request,
                            run->given.mounts.items, PLAN_MOUNTS_MAX, err);
}

/* Which no command may see, wherever the environment has put them. */
static int find_own_places(struct running *run, struct err *err)
{
    const char *const places[PLAN_OWN_PLACES] = { run->first.config, run->first.state };
    int r = 0;
    for (size_t i = 0; i < PLAN_OWN_PLACES && r == 0; i++) {
        r = facts_resolve(places[i], run->own_places[i], err);
        run->facts.plan.own_places[i] = run->own_places[i];
    }
    snprintf(run->digests, sizeof(run->digests), "%s/digests", run->first.state);
    return r;
}

/* What an image from a registry is fetched under: the same as the run that wants it. */
static int open_image(struct running *run, struct err *err)
{
    const struct invocation *invocation = run->invocation;
    const struct run_image_place place = { .state_folder = run->first.state,
                                           .digests_folder = run->digests,
                                           .runtime = invocation->values[OPTION_RUNTIME],
                                           .profile = run->profile.root };
    struct run_fetch_by by = { .image = invocation->values[OPTION_IMAGE],
                               .profile = invocation->values[OPTION_PROFILE],
                               .delegation = invocation->values[OPTION_DELEGATION],
                               .choices = run->given.choices,
                               .choice_count = run->given.choice_count };
    return run_image_open(&run->image, by.image, &place, run_fetch, &by, &run->request, err);
}

/* At this terminal, if somebody sits there, or on the desktop. */
static void ask_about(void *context, const char *card)
{
    if (!run_ask_offer(context, card))
        op_notify(NULL, card);
}

/*
 * What somebody else wrote is held against schema and rules before anything of it is done. The
 * repository here is mounted where that is the workspace that it is about.
 */
static int check_submitted(struct running *run, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char workspace[PLANE_URN_MAX];
    if (!run->submitted.len)
        return 0;
    int r = json_read(run->submitted, &json_limits_default, &doc, err);
    const yyjson_val *command = yyjson_doc_get_root(doc);
    if (r == 0)
        r = plane_check_command(run->plane, command, err);
    if (r == 0)
        r = run_workspace(run->facts.repository, workspace, err);
    if (r < 0)
        return r;
    snprintf(run->name, sizeof(run->name), "%.*s",
             STR_ARG(urn_local(text_of(member(command, "id")))));
    run->request.no_repository = !text_is(member(command, "workspaceRef"), workspace);
    return 0;
}

/* A container of its own is no agent's, and has nothing to go on from. */
static int check_alone(const struct running *run, struct err *err)
{
    if (!run->invocation->values[OPTION_ALONE])
        return 0;
    if (!run->plan->image)
        return run_usage(err, "--alone is for a container; name its image: --image REFERENCE");
    return run->plan->surface ? run_usage(err, "--alone takes a command, and no tool surface") : 0;
}

static int make_plan(struct running *run, struct err *err)
{
    struct plane_options plug = { 0 };
    execution_plug(&run->execution, &plug);
    plug.asked = ask_about;
    plug.asked_context = &run->ask;
    if (!run->invocation->values[OPTION_DETACH])
        run_ask_plug(&run->ask, &plug);
    int r = facts_read(&run->facts, err);
    if (r == 0)
        r = first_open(&plug, &run->first, &run->plane, err);
    if (r == 0)
        r = find_own_places(run, err);
    if (r == 0)
        r = check_submitted(run, err);
    if (r == 0)
        r = find_profile(run, err);
    trace_note(&run->trace, "cmd/run.c", "options read, profile found");
    if (r == 0)
        r = phase_gate(run->layers, run->profile.root, err);
    if (r == 0)
        r = run_mounts_find(&run->given.mounts, run->plane, run->layers, &run->profile,
                            &run->facts.plan, err);
    run->request.mounts = run->given.mounts.items;
    run->request.mount_count = run->given.mounts.count;
    if (r == 0)
        r = choose_command(run, err);
    if (r == 0)
        r = run_policy_read(run->plane, run->layers, run->profile.root,
                            yyjson_doc_get_root(run->surface.doc), &run->policy, err);
    if (r == 0)
        r = authorities_read(layers_references(run->layers), &run->authorities, err);
    if (r == 0 && run->authorities.certificates.len) {
        run->request.authorities = run->authorities.paths;
        run->request.certificates = run->authorities.certificates.data;
    }
    if (r == 0 && !run->invocation->values[OPTION_FETCH])
        r = open_image(run, err);
    if (r == 0)
        r = plan_build(&run->facts.plan, &run->request, &run->plan, err);
    /* An image has no lesser tier to go to: there the launch itself is the try. */
    if (r == 0 && !run->plan->image && run->plan->minimum_tier < run->plan->tier &&
        !facts_try_tier(&run->facts)) {
        plan_free(TAKE_PTR(run->plan));
        r = plan_build(&run->facts.plan, &run->request, &run->plan, err);
    }
    trace_note(&run->trace, "machine/plan.c", "plan made");
    if (r == 0)
        r = check_alone(run, err);
    if (r == 0)
        run_tell_git(&run->facts.git, run->plan);
    return r;
}

/* --- the run ------------------------------------------------------------------------------- */

static int submit(struct running *run, struct str command, struct err *err)
{
    struct str paths[PLAN_MOUNTS_MAX], semantics[PLAN_MOUNTS_MAX];
    bool by_profile[PLAN_MOUNTS_MAX];
    const yyjson_val *budget = at(run->profile.root, "/agentPlane/budget");
    struct amounts most;
    struct plane_asks asks = { .mount_paths = paths,
                               .mount_semantics = semantics,
                               .mounts_by_profile = by_profile,
                               .mount_count = run->plan->mount_count,
                               .network_profile = str_from(run->policy.network_profile),
                               .additions = run->policy.additions,
                               .addition_count = run->policy.count,
                               .choices = run->given.choices,
                               .choice_count = run->given.choice_count,
                               .tool_program =
                                   run->surface.doc ? run->surface.program.resolved : NULL,
                               .digests_folder = run->digests,
                               .most = &most,
                               .is_checked = true };
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        most.of[i] = (int64_t)count_of(member(budget, dimension_names[i]));
    for (size_t i = 0; i < run->plan->mount_count; i++) {
        paths[i] = str_from(run->plan->mounts[i].host_path);
        semantics[i] = str_from(semantics_names[run->plan->mounts[i].semantics]);
        by_profile[i] = run->plan->mounts[i].by_profile;
    }
    trace_note(&run->trace, "plane/submit.c", "command submitted");
    int r = plane_submit(run->plane, command, &asks, &run->outcome, err);
    trace_note(&run->trace, "plane/finish.c", "settled, and ended");
    return r;
}

/* Whether a submitted command has its operation already. */
static bool was_given(const struct running *run)
{
    char urn[PLANE_URN_MAX];
    struct outcome outcome;
    struct err none = { 0 };
    if (!run->submitted.len)
        return false;
    urn_make("workspace-operation", str_from(run->name), urn);
    return plane_outcome(run->plane, str_from(urn), &outcome, &none) == 0;
}

static int execute(struct running *run, struct err *err)
{
    _cleanup_(buf_release) struct buf command = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    char state[FACTS_PATH_SIZE]; /* no link leads to what is mounted */
    const char *from = run->invocation->values[OPTION_CONTINUE];
    int r = from ? run_continue_open(run->plane, from, run->plan, &run->from, err) : 0;
    if (r == 0)
        r = run_command_write(run, &command, err);
    if (r == 0)
        r = facts_resolve(run->first.state, state, err);
    if (r < 0)
        return r;
    if (was_given(run)) /* its folder is there, and what it has left in it */
        return submit(run, buf_str(&command), err);
    snprintf(run->secret, sizeof(run->secret), "%s/" KEY_FILE, run->first.config);
    struct launch_options launch = { .plan = run->plan,
                                     .state_folder = state,
                                     .name = run->name,
                                     .secret = run->secret,
                                     .continued = run->from.layers,
                                     .discard = run->invocation->values[OPTION_DISCARD],
                                     .detached = run->invocation->values[OPTION_DETACH],
                                     .interactive = run->invocation->values[OPTION_INTERACTIVE],
                                     .trace = &run->trace };
    run_ask_doors(&run->ask, run->plane, &run->execution);
    run->execution.plan = run->plan;
    run->execution.alone = run->invocation->values[OPTION_ALONE];
    run->execution.directory = run->facts.directory;
    run->execution.discard = run->invocation->values[OPTION_DISCARD];
    run->execution.digests_folder = run->digests;
    run->execution.trace = &run->trace;
    if (launch.detached) {
        run->execution.begun = detach_begun;
        run->execution.begun_context = &run->detached;
    }
    if (run->surface.doc)
        run->execution.command_path = run->surface.program.resolved;
    else if (facts_find_program(run->plan, run->program))
        run->execution.command_path = run->program;
    r = launch_begin(&launch, TAKE_PTR(run->ahead), &run->execution.launch, err);
    if (r == 0)
        r = submit(run, buf_str(&command), err);
    launch_end(TAKE_PTR(run->execution.launch));
    if (r == 0 && launch.detached && run->outcome.repeated)
        detach_begun(&run->detached, str_from(run->outcome.operation));
    return r;
}

static int exit_status(const struct running *run)
{
    if (run->outcome.repeated)
        return run->outcome.failure.code == ERR_NONE ? EXIT_OK : STATUS_REFUSED;
    if (run->execution.result.status)
        return run->execution.result.status;
    return run->execution.started && run->outcome.failure.code == ERR_NONE ? EXIT_OK
                                                                           : STATUS_REFUSED;
}

static int tell_end(const struct running *run)
{
    struct run_report report = { .plan = run->plan,
                                 .outcome = &run->outcome,
                                 .execution = &run->execution,
                                 .status = exit_status(run) };
    if (run->invocation->values[OPTION_JSON])
        run_print_json(&report);
    else
        run_print_end(&report);
    return report.status;
}

/* What a rule refused while it was planned stands in the ledger like a gate's denial. */
static void record_refusal(const struct running *run, const struct err *why)
{
    const struct invocation *invocation = run->invocation;
    const struct run_refusal refusal = {
        .plane = run->plane,
        .profile = run->profile.root,
        .argv = run->request.argv ? run->request.argv : (const char *const *)invocation->operands,
        .surface = run->request.surface,
        .image = run->image.is_open ? &run->image : NULL,
        .repository = run->facts.repository,
        .delegation = invocation->values[OPTION_DELEGATION],
        .reason = invocation->values[OPTION_REASON],
        .alone = invocation->values[OPTION_ALONE],
        .submitted = run->submitted,
    };
    struct err err = { 0 };
    if (run_refusal_record(&refusal, why, &err) < 0)
        (void)tell_error(invocation, &err);
}

/* A run that never became an operation of its own: told like one that was refused. */
static int tell_refusal(const struct running *run, const struct err *err)
{
    int status = tell_error(run->invocation, err);
    return err->code == ERR_USAGE ? status : STATUS_REFUSED;
}

static void release(struct running *run)
{
    launch_end(run->ahead);
    plan_free(run->plan);
    run_mounts_release(&run->given.mounts);
    run_surface_close(&run->surface);
    run_image_release(&run->image);
    run_continue_release(&run->from);
    profile_release(&run->profile);
    layers_close(run->layers);
    plane_close(run->plane);
    execution_release(&run->execution);
    run_policy_release(&run->policy); /* which the plane's policy was made of */
}

/* 1 in the caller of a run that is on its own, with its status. */
static int part(struct running *run, int *ret_status, struct err *err)
{
    const struct invocation *invocation = run->invocation;
    if (invocation->values[OPTION_INTERACTIVE] && !invocation->values[OPTION_DETACH])
        return run_usage(err, "--interactive goes with --detach");
    if (invocation->values[OPTION_RETRY] && invocation->values[OPTION_KEY])
        return run_usage(err, "--retry has the key of the run that it tries again");
    if (invocation->values[OPTION_ALONE] &&
        (invocation->values[OPTION_RETRY] || invocation->values[OPTION_CONTINUE] ||
         invocation->values[OPTION_TIER] || invocation->values[OPTION_FETCH]))
        return run_usage(err, "--alone goes without --retry, --continue, --tier and --fetch");
    if (invocation->values[OPTION_RUNTIME] && !invocation->values[OPTION_IMAGE])
        return run_usage(err, "--runtime goes with --image");
    if (!invocation->values[OPTION_DETACH] || invocation->values[OPTION_DRY_RUN])
        return 0;
    if (invocation->values[OPTION_TRACE])
        return run_usage(err, "--trace shows the end of a run, which --detach does not wait for");
    return detach(invocation->values[OPTION_JSON], &run->detached, ret_status, err);
}

int run_carry_out(const struct invocation *invocation, struct str command)
{
    struct running *run = calloc(1, sizeof(*run));
    struct err err = { 0 };
    int status;
    if (!run)
        return STATUS_REFUSED;
    run->invocation = invocation;
    run->submitted = command;
    trace_note(&run->trace, "main.c", "verb found");
    int r = run_options_read(invocation, &run->given, &run->request, &err);
    run->execution.ports = run->given.ports;
    run->execution.port_count = run->given.port_count;
    if (r == 0)
        r = part(run, &status, &err);
    if (r > 0) {
        free(run);
        return status;
    }
    /* A container's first process has other ids than this one could be given. */
    if (r == 0 && !invocation->values[OPTION_DRY_RUN] && !invocation->values[OPTION_IMAGE])
        run->ahead = launch_ahead();
    if (r == 0)
        r = make_plan(run, &err);
    if (r < 0 && err.rule && run->profile.root && !invocation->values[OPTION_DRY_RUN])
        record_refusal(run, &err);
    if (r == 0 && invocation->values[OPTION_DRY_RUN])
        status = run_print_plan(run->plan, invocation->values[OPTION_JSON]);
    else {
        if (r == 0)
            r = execute(run, &err);
        status = r < 0 ? tell_refusal(run, &err) : tell_end(run);
    }
    if (invocation->values[OPTION_TRACE])
        run_print_trace(&run->trace);
    char changed[PLANE_URN_MAX] = "";
    if (r == 0 && run->execution.change_set.len && !invocation->values[OPTION_JSON] &&
        !invocation->values[OPTION_DETACH])
        snprintf(changed, sizeof(changed), "%s", strrchr(run->outcome.operation, ':') + 1);
    int ask_ms = run->given.ask_ms;
    release(run);
    free(run);
    if (changed[0])
        worktree_ask(invocation, changed, ask_ms);
    return status;
}

static int run_run(const struct invocation *invocation)
{
    return run_carry_out(invocation, STR(""));
}

const struct verb verb_run = {
    .name = "run",
    .operands = "[SURFACE [--] | --] COMMAND [ARGUMENT...]",
    .operands_max = PLAN_ARGUMENTS_MAX,
    .options_first = true,
    .summary = "Run a command or an agent with no ambient authority",
    .description =
        "Runs a command in a sandbox of its own: it sees the system's programs, the repository "
        "that it was started in, an empty home, and no network but loopback. What it writes in the "
        "repository goes to a change set, and the host's tree does not move. Files that are "
        "secrets by name are not there.\n\n"
        "A first word that names a tool surface (shell, codex, claude-code, openclaw) runs that "
        "tool, as `agent-machine run codex -- exec ...`; behind -- it is always a command.\n\n"
        "The run is an operation: delegated, gated by policy, within a budget, recorded before it "
        "starts and when it has ended.\n\n"
        "With --detach the run goes on by itself, also when this terminal ends; see `ps`, `logs`, "
        "`attach` and `stop`. Where both streams are a terminal it has one too, to attach to; "
        "else its input is empty, or what is typed at it (--interactive).\n\n"
        "The exit status is the command's own; 124 if a budget ended it, 125 if the machine "
        "refused or failed, 126 if the command could not be started, 127 if it was not found, "
        "128+N if signal N ended it, 130 if it was cancelled.",
    .options = run_options,
    .option_count = OPTION_COUNT,
    .run = run_run,
};
