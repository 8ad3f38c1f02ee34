/*
 * model serve: the Model Door outside a run, for clients of this user.
 *
 * Whoever can connect has to show a token. It is made here, and said once: on
 * standard output, or in a file that only its owner can read; it stands in no
 * argument and no record.
 */
#include <sys/random.h>

#include "authority/secret.h"
#include "base/json.h"
#include "cmd/model.h"
#include "cmd/model_listen.h"
#include "cmd/own_run.h"
#include "cmd/tell.h"
#include "plane/model_service.h"

#define STEP_SERVE   "serve models"
#define TOKEN_BYTES  24
#define TOKEN_MIN    16
#define TOKEN_PREFIX "am-"
#define TOKEN_SIZE   256
#define DEFAULT_PORT 11435

enum {
    SERVE_PORT,
    SERVE_SOCKET,
    SERVE_TOKEN_FILE,
    SERVE_PROFILE,
    SERVE_BUDGET,
    SERVE_DELEGATION,
    SERVE_REASON,
    SERVE_JSON
};

const struct option_row model_serve_options[MODEL_SERVE_OPTION_COUNT] = {
    [SERVE_PORT] = { "port", 0, "N", "the port on loopback (11435); 0: any that is free" },
    [SERVE_SOCKET] = { "socket", 's', "PATH", "a Unix socket instead, for this user alone" },
    [SERVE_TOKEN_FILE] = { "token-file", 't', "FILE",
                           "where the token stands; made for its owner alone where it is missing" },
    [SERVE_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [SERVE_BUDGET] = { "budget", 'b', "DIMENSION=N",
                       "lower a limit of the profile; may be repeated" },
    [SERVE_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [SERVE_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [SERVE_JSON] = { "json", 'j', NULL, "print address and token, and the end, as JSON objects" },
};

struct serve {
    const struct invocation *invocation;
    struct own_run run;
    struct model_service service;
    struct model_listener listener;
    char token[TOKEN_SIZE];
};

/* --- the token ----------------------------------------------------------------------------- */

static int make_token(char ret[TOKEN_SIZE], struct err *err)
{
    unsigned char random[TOKEN_BYTES];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set_errno(err, errno, STEP_SERVE, "no token can be made");
    size_t len = (size_t)snprintf(ret, TOKEN_SIZE, TOKEN_PREFIX);
    for (size_t i = 0; i < sizeof(random); i++)
        len += (size_t)snprintf(ret + len, TOKEN_SIZE - len, "%02x", random[i]);
    explicit_bzero(random, sizeof(random));
    return 0;
}

static int read_token(const char *path, char ret[TOKEN_SIZE], struct err *err)
{
    struct secret *secret = NULL;
    int r = secret_read_file(path, &secret, err);
    if (r < 0)
        return r;
    struct str value = secret_value(secret);
    bool fits = value.len >= TOKEN_MIN && value.len < TOKEN_SIZE;
    for (size_t i = 0; i < value.len && fits; i++)
        fits = value.ptr[i] > ' ' && value.ptr[i] < 0x7f;
    if (fits)
        snprintf(ret, TOKEN_SIZE, "%.*s", STR_ARG(value));
    secret_free(secret);
    return fits ? 0
                : err_set(err, ERR_DOCUMENT, STEP_SERVE,
                          "%s holds no token: %d to %d characters, none of them a blank", path,
                          TOKEN_MIN, TOKEN_SIZE - 1);
}

/* That of the file, or a new one, which the file has from then on. */
static int find_token(const char *path, char ret[TOKEN_SIZE], struct err *err)
{
    _cleanup_(cleanup_close) int fd =
        path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd < 0 && path && errno == EEXIST)
        return read_token(path, ret, err);
    if (fd < 0 && path)
        return err_set_errno(err, errno, STEP_SERVE, "cannot make %s", path);
    int r = make_token(ret, err);
    if (r < 0 || !path)
        return r;
    if (dprintf(fd, "%s\n", ret) == (int)strlen(ret) + 1)
        return 0;
    unlink(path);
    return err_set_errno(err, errno, STEP_SERVE, "cannot write %s", path);
}

/* --- what is told -------------------------------------------------------------------------- */

static void tell_begun(void *context, struct str operation)
{
    const struct serve *serve = context;
    const char *file = serve->invocation->values[SERVE_TOKEN_FILE];
    if (serve->invocation->values[SERVE_JSON]) {
        struct buf line = BUF_INIT;
        buf_add_text(&line, "{\"operation\":");
        json_add_string(&line, operation);
        json_add_name(&line, "address");
        json_add_string(&line, str_from(serve->listener.address));
        json_add_name(&line, file ? "tokenFile" : "token");
        json_add_string(&line, str_from(file ? file : serve->token));
        printf("%s}\n", line.data);
        explicit_bzero(line.data, line.len);
        buf_release(&line);
    } else {
        printf("%.*s\n", STR_ARG(urn_local(operation)));
        op_print_wrapped("  at", 9, str_from(serve->listener.address));
        printf("  token  %s%s\n", file ? "in " : "", file ? file : serve->token);
    }
    fflush(stdout);
}

static int tell_end(const struct serve *serve, const struct outcome *outcome)
{
    const struct model_service *service = &serve->service;
    if (serve->invocation->values[SERVE_JSON])
        printf("{\"operation\":\"%s\",\"state\":\"%s\",\"calls\":%lld,\"tokens\":%lld,"
               "\"promptEgress\":{\"bytes\":%llu,\"calls\":%llu}}\n",
               outcome->operation, state_names[outcome->state], (long long)service->record.calls,
               (long long)service->record.tokens, (unsigned long long)service->left.bytes,
               (unsigned long long)service->left.calls);
    else if (service->started)
        printf("%lld calls, %lld tokens; prompts that left this machine: %llu bytes in %llu "
               "calls\n",
               (long long)service->record.calls, (long long)service->record.tokens,
               (unsigned long long)service->left.bytes, (unsigned long long)service->left.calls);
    if (outcome->failure.code)
        return tell_error(serve->invocation, &outcome->failure);
    if (outcome->state != STATE_CANCELED)
        return EXIT_OK;
    if (service->end_reason[0])
        op_tell_wrapped(stderr, "ended:", 7, str_from(service->end_reason));
    return OWN_RUN_CANCELLED;
}

/* --- the verb ------------------------------------------------------------------------------ */

static int prepare(struct serve *serve, struct err *err)
{
    const struct invocation *invocation = serve->invocation;
    struct own_run *run = &serve->run;
    struct plane_options plug = { 0 };
    model_service_plug(&serve->service, &plug);
    int r = own_run_open(run, &plug, invocation->values[SERVE_PROFILE], err);
    if (r == 0)
        r = own_run_lower(run, invocation, SERVE_BUDGET, err);
    if (r == 0)
        r = find_token(invocation->values[SERVE_TOKEN_FILE], serve->token, err);
    if (r == 0)
        r = model_listen(invocation->values[SERVE_SOCKET], invocation->values[SERVE_PORT],
                         DEFAULT_PORT, &serve->listener, err);
    serve->service.wall_seconds = run->ceiling[DIMENSION_WALL_CLOCK_SECONDS];
    serve->service.cpu_seconds = run->ceiling[DIMENSION_CPU_SECONDS];
    serve->service.profile = str_from(run->urn);
    serve->service.token = str_from(serve->token);
    serve->service.listener = TAKE_FD(serve->listener.fd);
    serve->service.begun = tell_begun;
    serve->service.begun_context = serve;
    return r;
}

static void release(struct serve *serve)
{
    model_listener_release(&serve->listener);
    own_run_release(&serve->run);
    model_service_release(&serve->service);
    explicit_bzero(serve->token, sizeof(serve->token));
}

int run_model_serve(const struct invocation *invocation)
{
    _cleanup_(cleanup_free) struct serve *serve = calloc(1, sizeof(*serve));
    static const char *const arguments[] = { "model", "serve" };
    const struct own_run_command command = { .arguments = arguments,
                                             .argument_count = ARRAY_LEN(arguments),
                                             .delegation = invocation->values[SERVE_DELEGATION],
                                             .reason = invocation->values[SERVE_REASON] };
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    if (!serve)
        return EXIT_NEGATIVE;
    serve->invocation = invocation;
    serve->service.listener = serve->listener.fd = -1;
    int r = prepare(serve, &err);
    if (r == 0)
        r = own_run_submit(&serve->run, &command, &outcome, &err);
    int status = r == 0                  ? tell_end(serve, &outcome)
                 : err.code == ERR_USAGE ? tell_usage(invocation->path, "%s", err.cause)
                                         : tell_error(invocation, &err);
    release(serve);
    return status;
}
