/* own_run: see the header. */
#include "cmd/own_run.h"

#include "base/digest.h"
#include "cmd/first.h"
#include "cmd/model.h"
#include "contract/rules.h"

#define STEP_OWN        "run this program"
#define PROGRAM         "agent-machine"
#define ARGUMENTS_BYTES 65536

int own_run_open(struct own_run *run, const struct plane_options *plug, const char *profile,
                 struct err *err)
{
    struct layers_places places;
    char directory[PATH_MAX];
    const yyjson_val *budget = NULL;
    model_profile(profile, run->urn);
    if (!getcwd(directory, sizeof(directory)))
        return err_set_errno(err, errno, STEP_OWN, "there is no current folder");
    int r = first_open(plug, NULL, &run->plane, err);
    if (r == 0)
        r = layers_places_default(directory, &places, err);
    if (r == 0)
        r = layers_open(&places, &run->layers, err);
    if (r == 0)
        r = profile_find(run->plane, run->layers, run->urn, &run->profile, err);
    if (r == 0)
        r = run_policy_read(run->plane, run->layers, run->profile.root, NULL, &run->policy, err);
    if (r == 0)
        budget = at(run->profile.root, "/agentPlane/budget");
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        run->ceiling[i] = (int64_t)count_of(member(budget, dimension_names[i]));
    return r;
}

void own_run_release(struct own_run *run)
{
    profile_release(&run->profile);
    layers_close(run->layers);
    plane_close(run->plane);
    run_policy_release(&run->policy); /* which the plane's policy was made of */
}

int own_run_lower(struct own_run *run, const struct invocation *invocation, size_t option,
                  struct err *err)
{
    int64_t given[DIMENSION_COUNT];
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        given[i] = -1;
    for (size_t i = 0; i < invocation->given_count; i++)
        if (invocation->given[i].option == option &&
            !op_read_budget(invocation->given[i].value, given))
            return err_set(err, ERR_USAGE, STEP_OWN, "--budget takes " OP_BUDGET_FORM);
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        if (given[i] >= 0 && given[i] < run->ceiling[i])
            run->ceiling[i] = given[i];
    return 0;
}

static int write_parameters(const struct own_run *run, const struct own_run_command *command,
                            struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(ARGUMENTS_BYTES);
    char digest[DIGEST_TEXT_SIZE];
    for (size_t i = 0; i < command->argument_count; i++)
        buf_add(&bytes, command->arguments[i], strlen(command->arguments[i]) + 1);
    if (bytes.error)
        return err_set(err, ERR_LIMIT, STEP_OWN, "the arguments do not fit");
    int r = digest_text(buf_str(&bytes), digest, err);
    buf_add_text(ret, "{\"profileRef\":");
    json_add_string(ret, str_from(run->urn));
    buf_addf(ret,
             ",\"executable\":\"" PROGRAM "\",\"arguments\":{\"count\":%zu,\"digest\":\"%s\","
             "\"lengthBytes\":%zu,\"safe\":[",
             command->argument_count, digest, bytes.len - command->argument_count);
    for (size_t i = 0; i < command->argument_count; i++) {
        buf_addf(ret, "%s{\"index\":%zu,\"text\":", i ? "," : "", i);
        json_add_string(ret, str_from(command->arguments[i]));
        buf_add_char(ret, '}');
    }
    buf_add_text(ret, "]}}");
    return r;
}

int own_run_submit(struct own_run *run, const struct own_run_command *command, struct outcome *ret,
                   struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT, ceiling = BUF_INIT,
                                      json = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    const char *delegation = op_delegation(command->delegation, run->profile.root);
    char urn[PLANE_URN_MAX] = "";
    struct plane_asks asks = { .network_profile = str_from(run->policy.network_profile),
                               .additions = run->policy.additions,
                               .addition_count = run->policy.count,
                               .choices = command->choices,
                               .choice_count = command->choice_count,
                               .providers = command->provider,
                               .provider_count = command->provider != NULL };
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        buf_addf(&ceiling, "%s\"%s\":%lld", i ? "," : "{", dimension_names[i],
                 (long long)run->ceiling[i]);
    buf_add_char(&ceiling, '}');
    if (delegation)
        op_urn("delegation", delegation, urn);
    int r = write_parameters(run, command, &parameters, err);
    struct submission submission = { .type = OPERATION_EXECUTION_START,
                                     .workspace = STR(PROFILE_WORKSPACE),
                                     .parameters = buf_str(&parameters),
                                     .ceiling = buf_str(&ceiling),
                                     .delegation = str_from(urn),
                                     .reason = str_from(command->reason ? command->reason : "") };
    if (r == 0)
        r = plane_write_submit(&submission, &json, err);
    return r < 0 ? r : plane_submit(run->plane, buf_str(&json), &asks, ret, err);
}
