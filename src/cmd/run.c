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
#include "cmd/detach.h"
#include "cmd/first.h"
#include "cmd/op.h"
#include "cmd/op_notify.h"
#include "cmd/run_alone.h"
#include "cmd/run_ask.h"
#include "cmd/run_continue.h"
#include "cmd/run_fetch.h"
#include "cmd/run_image.h"
#include "cmd/run_mounts.h"
#include "cmd/run_print.h"
#include "cmd/run_refusal.h"
#include "cmd/run_surface.h"
#include "cmd/tell.h"
#include "cmd/worktree_ask.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "doctor/phase_gate.h"
#include "machine/authorities.h"
#include "machine/facts.h"
#include "plane/execution.h"
#include "plane/profile.h"
#include "plane/run_policy.h"
#include "plane/work.h"

#define STEP_RUN       "run a command"
#define STATUS_REFUSED 125

enum {
    OPTION_PROFILE,
    OPTION_MOUNT,
    OPTION_ENV,
    OPTION_ALLOW,
    OPTION_DENY,
    OPTION_PUBLISH,
    OPTION_PROXY_ENV,
    OPTION_IMAGE,
    OPTION_ALONE,
    OPTION_RUNTIME,
    OPTION_FETCH,
    OPTION_DIRECTORY,
    OPTION_TIER,
    OPTION_BUDGET,
    OPTION_DELEGATION,
    OPTION_KEY,
    OPTION_RETRY,
    OPTION_REASON,
    OPTION_CONTINUE,
    OPTION_DISCARD,
    OPTION_ASK,
    OPTION_DETACH,
    OPTION_INTERACTIVE,
    OPTION_DRY_RUN,
    OPTION_TRACE,
    OPTION_JSON,
    OPTION_COUNT
};

static const struct option_row options[OPTION_COUNT] = {
    [OPTION_PROFILE] = { "profile", 'p', "NAME",
                         "the machine profile; personal where none is named" },
    [OPTION_MOUNT] = { "mount", 'm', "SRC:DST:HOW",
                       "mount a directory: read-only, read-write, staged or cache; or the NAME of "
                       "a stored mount; may be repeated" },
    [OPTION_ENV] = { "env", 'e', "NAME[=VALUE]", "pass a variable on, or set it; may be repeated" },
    [OPTION_ALLOW] = { "allow", 'a', "HOST[:PORT]",
                       "let it connect there, so far as the layers do; may be repeated" },
    [OPTION_DENY] = { "deny", 0, "HOST[:PORT]", "keep it from connecting there; may be repeated" },
    [OPTION_PUBLISH] = { "publish", 0, "[HOSTPORT:]PORT",
                         "let a port of this machine's loopback lead to one inside; may be "
                         "repeated" },
    [OPTION_PROXY_ENV] = { "proxy-env", 0, NULL,
                           "set the variables of a proxy, for programs that insist on one" },
    [OPTION_IMAGE] = { "image", 0, "REFERENCE",
                       "run in a container of this image: oci:FOLDER[:TAG], docker-archive:FILE, "
                       "containers-storage:NAME, rootfs:FOLDER or docker://NAME, pinned by "
                       "@sha256:..." },
    [OPTION_ALONE] = { "alone", 0, NULL,
                       "let the container be an operation of its own, and no run of an agent's" },
    [OPTION_RUNTIME] = { "runtime", 0, "NAME",
                         "the OCI runtime, where the profile leaves the choice" },
    [OPTION_FETCH] = { "fetch", 0, "FOLDER",
                       "fetch the image from its registry into an empty folder, by skopeo, and run "
                       "nothing in it" },
    [OPTION_DIRECTORY] = { "directory", 'C', "PATH", "where the command starts, inside" },
    [OPTION_TIER] = { "tier", 0, "TIER", "refuse less isolation than this" },
    [OPTION_BUDGET] = { "budget", 'b', "DIMENSION=N",
                        "lower a limit of the profile; may be repeated" },
    [OPTION_DELEGATION] = { "delegation", 0, "ID", "act under this delegation" },
    [OPTION_KEY] = { "idempotency-key", 0, "KEY", "give the same run once, however often asked" },
    [OPTION_RETRY] = { "retry", 0, "ID", "try a run again that was refused before it began" },
    [OPTION_REASON] = { "reason", 0, "TEXT", "why, for the record" },
    [OPTION_CONTINUE] = { "continue", 0, "CHANGESET", "go on from a change set that is kept" },
    [OPTION_DISCARD] = { "discard", 0, NULL, "throw away what it changes, when it has ended" },
    [OPTION_ASK] = { "ask", 0, "SECONDS",
                     "on a terminal, how long to wait for what becomes of its changes; 600 unless "
                     "given, 0 to keep them" },
    [OPTION_DETACH] = { "detach", 'd', NULL,
                        "print its ID when it has started, and leave it alone" },
    [OPTION_INTERACTIVE] = { "interactive", 'i', NULL,
                             "with --detach: keep its input open, for `attach`" },
    [OPTION_DRY_RUN] = { "dry-run", 'n', NULL, "print the plan, and run nothing" },
    [OPTION_TRACE] = { "trace", 0, NULL, "print the stops of the run with their times" },
    [OPTION_JSON] = { "json", 'j', NULL, "print what became of it as JSON, on standard error" },
};

#define PROXY_PORT     PROXY_TEXT(CAPTURE_PROXY_PORT)
#define PROXY          "http://127.0.0.1:" PROXY_PORT
#define SOCKS_PROXY    "socks5h://127.0.0.1:" PROXY_PORT
#define NO_PROXY       "localhost,127.0.0.1,::1"
#define PROXY_TEXT(x)  PROXY_TEXT_(x)
#define PROXY_TEXT_(x) #x

/*
 * ssh has no word for a proxy, but takes a command that connects: bash's, which reads what the
 * proxy answers byte by byte, and so leaves to ssh what the server says.
 */
#define SSH_BY_PROXY                                                                               \
    "ssh -o ProxyCommand='bash -c \"exec 3<>/dev/tcp/127.0.0.1/" PROXY_PORT " || exit; "           \
    "printf \\\"CONNECT %h:%p HTTP/1.1\\\\r\\\\nHost: %h:%p\\\\r\\\\n\\\\r\\\\n\\\" >&3; "         \
    "read -r _ status why <&3; [ \\$status = 200 ] || "                                            \
    "{ echo %h: the proxy refuses: \\$status \\$why >&2; exit 1; }; "                              \
    "while read -r line <&3 && [ \\${#line} -gt 1 ]; do :; done; cat <&3 & exec cat >&3\"'"

/* By which programs look for a proxy. */
static const char *const proxy_variables[] = {
    "http_proxy=" PROXY,  "https_proxy=" PROXY,     "HTTP_PROXY=" PROXY,
    "HTTPS_PROXY=" PROXY, "all_proxy=" SOCKS_PROXY, "ALL_PROXY=" SOCKS_PROXY,
    "no_proxy=" NO_PROXY, "NO_PROXY=" NO_PROXY,     "GIT_SSH_COMMAND=" SSH_BY_PROXY,
};
#define PROXY_VARIABLES ARRAY_LEN(proxy_variables)

/* Everything that a run needs between its options and its end. */
struct running {
    const struct invocation *invocation;
    struct str submitted; /* the command, where somebody else has written it; else empty */
    struct facts facts;
    struct first first;
    struct plane *plane;
    struct layers *layers;
    struct profile profile;
    struct plan_request request;
    struct run_mounts mounts;
    const char *variables[VERB_GIVEN_MAX + PROXY_VARIABLES + 1];
    struct plane_choice choices[VERB_GIVEN_MAX];
    size_t choice_count;
    struct publish_port ports[PUBLISH_PORTS_MAX];
    struct run_policy policy;
    struct authorities authorities;
    int64_t ceiling[DIMENSION_COUNT];
    struct plan *plan;
    struct launch *ahead; /* of the plan */
    struct trace trace;
    struct execution execution;
    struct run_surface surface;
    struct run_continue from;
    struct run_image image;
    struct run_fetch fetch;
    char own_places[PLAN_OWN_PLACES][FACTS_PATH_SIZE];
    char name[PLANE_URN_MAX]; /* of the run: of its command, its operation and its folder */
    char program[FACTS_PATH_SIZE], secret[PLACE_SIZE + 32], digests[PLACE_SIZE + 32];
    struct outcome outcome;
    struct detached detached; /* where it is to be */
    struct run_ask ask;
    int ask_ms; /* about what it changed */
};

/* --- options ------------------------------------------------------------------------------- */

static int usage(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

static int usage(struct err *err, const char *format, ...)
{
    char text[ERR_CAUSE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return err_set(err, ERR_USAGE, STEP_RUN, "%s", text);
}

static bool read_port(struct str text, uint16_t *ret)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.len && i < 6; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = 10 * value + (unsigned)(text.ptr[i] - '0');
    }
    *ret = (uint16_t)value;
    return text.len && value && value <= UINT16_MAX;
}

/* HOSTPORT:PORT, or PORT where both are the same. */
static int read_publish(struct running *run, const char *text, struct err *err)
{
    struct publish_port *port = &run->ports[run->execution.port_count];
    struct str whole = str_from(text);
    size_t colon = str_index(whole, ':', 0);
    struct str inside = colon < whole.len ? str_from_offset(whole, colon + 1) : whole;
    if (run->execution.port_count == PUBLISH_PORTS_MAX)
        return usage(err, "--publish may be given %d times", PUBLISH_PORTS_MAX);
    if (!read_port(str_make(text, colon), &port->host_port) || !read_port(inside, &port->port))
        return usage(err, "--publish takes HOSTPORT:PORT, such as 8080:80");
    run->execution.ports = run->ports;
    run->execution.port_count++;
    return 0;
}

/* How long a person is waited for at the end. */
static int read_ask(struct running *run, struct err *err)
{
    const char *given = run->invocation->values[OPTION_ASK];
    char *end = NULL;
    errno = 0;
    long long seconds = given ? strtoll(given, &end, 10) : WORKTREE_ASK_MS / 1000;
    if (given &&
        (errno || end == given || *end || seconds < 0 || seconds > WORKTREE_ASK_MS_MAX / 1000))
        return usage(err, "--ask takes seconds, up to %d", WORKTREE_ASK_MS_MAX / 1000);
    run->ask_ms = (int)seconds * 1000;
    return 0;
}

static int read_options(struct running *run, struct err *err)
{
    const struct invocation *invocation = run->invocation;
    size_t variables = 0;
    int r = 0;
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        run->ceiling[i] = -1;
    for (size_t i = 0; i < invocation->given_count && r == 0; i++) {
        const char *value = invocation->given[i].value;
        if (invocation->given[i].option == OPTION_MOUNT)
            r = run_mounts_read(&run->mounts, value, err);
        else if (invocation->given[i].option == OPTION_ENV)
            run->variables[variables++] = value;
        else if (invocation->given[i].option == OPTION_ALLOW ||
                 invocation->given[i].option == OPTION_DENY)
            run->choices[run->choice_count++] =
                (struct plane_choice){ value, invocation->given[i].option == OPTION_ALLOW };
        else if (invocation->given[i].option == OPTION_PUBLISH)
            r = read_publish(run, value, err);
        else if (invocation->given[i].option == OPTION_BUDGET)
            r = op_read_budget(value, run->ceiling) ? 0
                                                    : usage(err, "--budget takes " OP_BUDGET_FORM);
    }
    for (size_t i = 0; i < PROXY_VARIABLES && invocation->values[OPTION_PROXY_ENV]; i++)
        run->variables[variables++] = proxy_variables[i];
    const char *tier = invocation->values[OPTION_TIER];
    int minimum = tier ? vocabulary_index(tier_names, TIER_COUNT, str_from(tier)) : 0;
    if (r == 0 && invocation->values[OPTION_FETCH] && invocation->operands[0])
        r = usage(err, "--fetch runs nothing but skopeo; leave the command out");
    if (r == 0 && !invocation->operands[0] && !invocation->values[OPTION_IMAGE])
        r = usage(err,
                  "there is no command to run; write one, as in: agent-machine run -- COMMAND");
    if (r == 0 && minimum < 0)
        r = usage(err, "--tier takes process, namespaces, container or vm");
    if (r == 0)
        r = read_ask(run, err);
    run->request.minimum_tier = (enum tier)minimum;
    run->request.variables = run->variables;
    run->request.ceiling = run->ceiling;
    run->request.directory = invocation->values[OPTION_DIRECTORY];
    return r;
}

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
                              invocation->values[OPTION_FETCH], &run->request, &run->mounts, err);
    if (invocation->dashes || !invocation->operands[0] || !run_surface_is(invocation->operands[0]))
        return 0;
    return run_surface_open(&run->surface, &place, invocation->operands, &run->request,
                            run->mounts.items, PLAN_MOUNTS_MAX, err);
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
                               .choices = run->choices,
                               .choice_count = run->choice_count };
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
        return usage(err, "--alone is for a container; name its image: --image REFERENCE");
    return run->plan->surface ? usage(err, "--alone takes a command, and no tool surface") : 0;
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
        r = run_mounts_find(&run->mounts, run->plane, run->layers, &run->profile, &run->facts.plan,
                            err);
    run->request.mounts = run->mounts.items;
    run->request.mount_count = run->mounts.count;
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

/* --- command ------------------------------------------------------------------------------- */

static void add_list(struct buf *json, const char *name, const char *const *items)
{
    buf_addf(json, ",\"%s\":[", name);
    for (size_t i = 0; items[i]; i++) {
        struct str item = str_from(items[i]);
        buf_add_text(json, i ? "," : "");
        json_add_string(json, str_make(item.ptr, str_index(item, '=', 0)));
    }
    buf_add_char(json, ']');
}

static void add_choices(struct buf *json, const struct running *run, const char *name, bool allow)
{
    const char *separator = "";
    for (size_t i = 0; i < run->choice_count; i++) {
        if (run->choices[i].allow != allow)
            continue;
        if (!separator[0])
            buf_addf(json, ",\"%s\":[", name);
        buf_add_text(json, separator);
        json_add_string(json, str_from(run->choices[i].destination));
        separator = ",";
    }
    buf_add_text(json, separator[0] ? "]" : "");
}

static int write_parameters(const struct running *run, struct buf *ret, struct err *err)
{
    const struct plan *plan = run->plan;
    bool alone = run->invocation->values[OPTION_ALONE];
    buf_add_text(ret, "{\"profileRef\":");
    json_add_string(ret, str_from(plan->profile_id));
    if (plan->surface) {
        buf_add_text(ret, ",\"toolSurfaceRef\":");
        json_add_string(ret, str_from(plan->surface));
    }
    buf_add_text(ret, ",\"executable\":");
    json_add_string(ret, str_from(plan->argv[0]));
    buf_add_text(ret, ",\"arguments\":");
    int r = plan_write_arguments(plan, ret, err);
    if (r < 0)
        return r;
    buf_add_text(ret, ",\"workingDirectory\":");
    json_add_string(ret, str_from(plan->directory));
    if (alone)
        buf_addf(ret, ",\"runtime\":\"%s\"", plan->image->runtime->name);
    else
        buf_addf(ret, ",\"minimumIsolationTier\":\"%s\"", tier_names[plan->minimum_tier]);
    if (plan->image) {
        buf_add_text(ret, ",\"image\":");
        run_image_write(&run->image, ret);
    }
    if (run->variables[0])
        add_list(ret, "environmentNames", run->variables);
    if (run->mounts.named[0])
        add_list(ret, "mountRefs", run->mounts.named);
    add_choices(ret, run, "allowDestinations", true);
    add_choices(ret, run, "denyDestinations", false);
    if (run->invocation->values[OPTION_DETACH])
        buf_add_text(ret, ",\"detached\":true");
    if (run->from.urn[0]) {
        buf_add_text(ret, ",\"continueChangeSetRef\":");
        json_add_string(ret, str_from(run->from.urn));
    }
    buf_add_char(ret, '}');
    return 0;
}

static int write_command(const struct running *run, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT, ceiling = BUF_INIT;
    const struct invocation *invocation = run->invocation;
    const char *key = invocation->values[OPTION_KEY], *reason = invocation->values[OPTION_REASON];
    const char *delegation =
        op_delegation(invocation->values[OPTION_DELEGATION], run->profile.root);
    char workspace[PLANE_URN_MAX], urn[PLANE_URN_MAX];
    if (run->submitted.len)
        return buf_add_str(ret, run->submitted) < 0
                   ? err_set(err, ERR_LIMIT, STEP_RUN, "the command is too long")
                   : 0;
    int r = write_parameters(run, &parameters, err);
    if (r == 0)
        r = run_workspace(run->facts.repository, workspace, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        buf_addf(&ceiling, "%s\"%s\":%lld", i ? "," : "{", dimension_names[i],
                 (long long)run->plan->limits.budget[i]);
    buf_add_char(&ceiling, '}');
    if (delegation)
        op_urn("delegation", delegation, urn);
    struct submission submission = {
        .type =
            invocation->values[OPTION_ALONE] ? OPERATION_CONTAINER_RUN : OPERATION_EXECUTION_START,
        .workspace = str_from(workspace),
        .parameters = buf_str(&parameters),
        .ceiling = buf_str(&ceiling),
        .delegation = delegation ? str_from(urn) : STR(""),
        .key = str_from(key ? key : ""),
        .reason = str_from(reason ? reason : ""),
    };
    if (!invocation->values[OPTION_RETRY])
        return plane_write_submit(&submission, ret, err);
    op_urn("workspace-operation", invocation->values[OPTION_RETRY], urn);
    return plane_write_retry_of(run->plane, str_from(urn), &submission, ret, err);
}

/* The run's name: the part of the command's id that its operation will have too, or has. */
static void name_run(struct running *run, struct str command)
{
    static const char before[] = "{\"id\":\"urn:srcos:operation-command:";
    const char *retried = run->invocation->values[OPTION_RETRY];
    char urn[PLANE_URN_MAX];
    if (run->name[0]) /* it stood in the command that was submitted */
        return;
    struct str rest = str_from_offset(command, strlen(before));
    struct str name = str_make(rest.ptr, str_index(rest, '"', 0));
    if (retried) {
        op_urn("workspace-operation", retried, urn);
        name = urn_local(str_from(urn));
    }
    snprintf(run->name, sizeof(run->name), "%.*s", STR_ARG(name));
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
                               .choices = run->choices,
                               .choice_count = run->choice_count,
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
        r = write_command(run, &command, err);
    if (r == 0)
        r = facts_resolve(run->first.state, state, err);
    if (r < 0)
        return r;
    name_run(run, buf_str(&command));
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
    run_mounts_release(&run->mounts);
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
        return usage(err, "--interactive goes with --detach");
    if (invocation->values[OPTION_RETRY] && invocation->values[OPTION_KEY])
        return usage(err, "--retry has the key of the run that it tries again");
    if (invocation->values[OPTION_ALONE] &&
        (invocation->values[OPTION_RETRY] || invocation->values[OPTION_CONTINUE] ||
         invocation->values[OPTION_TIER] || invocation->values[OPTION_FETCH]))
        return usage(err, "--alone goes without --retry, --continue, --tier and --fetch");
    if (invocation->values[OPTION_RUNTIME] && !invocation->values[OPTION_IMAGE])
        return usage(err, "--runtime goes with --image");
    if (!invocation->values[OPTION_DETACH] || invocation->values[OPTION_DRY_RUN])
        return 0;
    if (invocation->values[OPTION_TRACE])
        return usage(err, "--trace shows the end of a run, which --detach does not wait for");
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
    int r = read_options(run, &err);
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
    int ask_ms = run->ask_ms;
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
    .options = options,
    .option_count = OPTION_COUNT,
    .run = run_run,
};
