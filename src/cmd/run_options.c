/*
 * run_options: see the header.
 */
#include "cmd/run_options.h"

#include "cmd/op.h"
#include "cmd/worktree_ask.h"
#include "contract/rules.h"

#define STEP_OPTIONS "run a command"

const struct option_row run_options[OPTION_COUNT] = {
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

static_assert(PROXY_VARIABLES <= RUN_VARIABLES_MAX - VERB_GIVEN_MAX, "all have room");

int run_usage(struct err *err, const char *format, ...)
{
    char text[ERR_CAUSE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return err_set(err, ERR_USAGE, STEP_OPTIONS, "%s", text);
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
static int read_publish(struct run_given *given, const char *text, struct err *err)
{
    struct publish_port *port = &given->ports[given->port_count];
    struct str whole = str_from(text);
    size_t colon = str_index(whole, ':', 0);
    struct str inside = colon < whole.len ? str_from_offset(whole, colon + 1) : whole;
    if (given->port_count == PUBLISH_PORTS_MAX)
        return run_usage(err, "--publish may be given %d times", PUBLISH_PORTS_MAX);
    if (!read_port(str_make(text, colon), &port->host_port) || !read_port(inside, &port->port))
        return run_usage(err, "--publish takes HOSTPORT:PORT, such as 8080:80");
    given->port_count++;
    return 0;
}

/* How long a person is waited for at the end. */
static int read_ask(const char *text, int *ret_ms, struct err *err)
{
    char *end = NULL;
    errno = 0;
    long long seconds = text ? strtoll(text, &end, 10) : WORKTREE_ASK_MS / 1000;
    if (text &&
        (errno || end == text || *end || seconds < 0 || seconds > WORKTREE_ASK_MS_MAX / 1000))
        return run_usage(err, "--ask takes seconds, up to %d", WORKTREE_ASK_MS_MAX / 1000);
    *ret_ms = (int)seconds * 1000;
    return 0;
}

int run_options_read(const struct invocation *invocation, struct run_given *given,
                     struct plan_request *request, struct err *err)
{
    size_t variables = 0;
    int r = 0;
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        given->ceiling[i] = -1;
    for (size_t i = 0; i < invocation->given_count && r == 0; i++) {
        const char *value = invocation->given[i].value;
        if (invocation->given[i].option == OPTION_MOUNT)
            r = run_mounts_read(&given->mounts, value, err);
        else if (invocation->given[i].option == OPTION_ENV)
            given->variables[variables++] = value;
        else if (invocation->given[i].option == OPTION_ALLOW ||
                 invocation->given[i].option == OPTION_DENY)
            given->choices[given->choice_count++] =
                (struct plane_choice){ value, invocation->given[i].option == OPTION_ALLOW };
        else if (invocation->given[i].option == OPTION_PUBLISH)
            r = read_publish(given, value, err);
        else if (invocation->given[i].option == OPTION_BUDGET)
            r = op_read_budget(value, given->ceiling)
                    ? 0
                    : run_usage(err, "--budget takes " OP_BUDGET_FORM);
    }
    for (size_t i = 0; i < PROXY_VARIABLES && invocation->values[OPTION_PROXY_ENV]; i++)
        given->variables[variables++] = proxy_variables[i];
    const char *tier = invocation->values[OPTION_TIER];
    int minimum = tier ? vocabulary_index(tier_names, TIER_COUNT, str_from(tier)) : 0;
    if (r == 0 && invocation->values[OPTION_FETCH] && invocation->operands[0])
        r = run_usage(err, "--fetch runs nothing but skopeo; leave the command out");
    if (r == 0 && !invocation->operands[0] && !invocation->values[OPTION_IMAGE])
        r = run_usage(err,
                      "there is no command to run; write one, as in: agent-machine run -- COMMAND");
    if (r == 0 && minimum < 0)
        r = run_usage(err, "--tier takes process, namespaces, container or vm");
    if (r == 0)
        r = read_ask(invocation->values[OPTION_ASK], &given->ask_ms, err);
    request->minimum_tier = (enum tier)minimum;
    request->variables = given->variables;
    request->ceiling = given->ceiling;
    request->directory = invocation->values[OPTION_DIRECTORY];
    return r;
}
