/*
 * model pull: fetches the weights of a local model, because somebody typed it.
 *
 * Size and licence are told before anything is fetched.
 */
#include "plane/model_pull.h"
#include "base/json.h"
#include "cmd/model.h"
#include "cmd/own_run.h"
#include "cmd/tell.h"
#include "contract/document.h"
#include "contract/rules.h"
#include "plane/model_presets.h"

#define STEP_PULL "fetch a model"

enum {
    PULL_ALLOW,
    PULL_DIGEST,
    PULL_PROFILE,
    PULL_BUDGET,
    PULL_DELEGATION,
    PULL_REASON,
    PULL_JSON
};

const struct option_row model_pull_options[MODEL_PULL_OPTION_COUNT] = {
    [PULL_ALLOW] = { "allow-download", 0, NULL,
                     "say that you mean it, where the model's own profile leaves it off" },
    [PULL_DIGEST] = { "digest", 0, "SHA256", "the digest that the model has to have" },
    [PULL_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [PULL_BUDGET] = { "budget", 'b', "DIMENSION=N",
                      "lower a limit of the profile; may be repeated" },
    [PULL_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [PULL_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [PULL_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
};

struct pull {
    const struct invocation *invocation;
    struct own_run run;
    struct model_pull effect;
    struct document file;
    struct buf preset;
    struct model_document stored;
    yyjson_doc *doc;
    uint64_t told; /* percent */
};

/* --- the profile --------------------------------------------------------------------------- */

static int open_profile(struct pull *pull, const char *name, struct err *err)
{
    const struct model_preset *preset = model_preset_find(name);
    const yyjson_val *root;
    char urn[PLANE_URN_MAX];
    int r;
    if (preset) {
        model_preset_write(preset, &pull->preset);
        r = json_read(buf_str(&pull->preset), &json_limits_default, &pull->doc, err);
        root = yyjson_doc_get_root(pull->doc);
    } else if (access(name, F_OK) == 0) {
        r = document_read(name, &json_limits_default, &pull->file, err);
        root = yyjson_doc_get_root(pull->file.doc);
    } else {
        op_urn("model-profile", name, urn);
        r = model_document_find(pull->run.plane, STR(""), str_from(urn), &pull->stored, err);
        root = pull->stored.root;
    }
    if (r == 0 && !text_is(member(root, "kind"), MODEL_LOCAL_TYPE))
        r = err_set(err, ERR_DOCUMENT, STEP_PULL, "%s is no " MODEL_LOCAL_TYPE, name);
    pull->effect.profile = root;
    return r < 0 ? r : model_provider_read(root, &pull->effect.provider, err);
}

/* --- what is told -------------------------------------------------------------------------- */

static void tell_begun(void *context)
{
    const struct pull *pull = context;
    struct buf line = BUF_INIT;
    if (pull->invocation->values[PULL_JSON])
        return;
    op_print_wrapped("model", 9, pull->effect.name);
    op_print_wrapped("licence", 9, model_pull_licence(&pull->effect));
    buf_addf(&line, "about %llu MB", (unsigned long long)model_pull_size_hint(&pull->effect) >> 20);
    op_print_wrapped("size", 9, buf_str(&line));
    buf_release(&line);
    fflush(stdout);
}

/* On a terminal one line that is written over; else one for each tenth. */
static void tell_moved(void *context)
{
    struct pull *pull = context;
    const struct pull_progress *progress = &pull->effect.progress;
    uint64_t percent =
        progress->total_bytes ? progress->completed_bytes * 100 / progress->total_bytes : 0;
    bool is_terminal = isatty(STDERR_FILENO);
    if (percent == pull->told || (!is_terminal && percent / 10 == pull->told / 10) ||
        pull->invocation->values[PULL_JSON])
        return;
    pull->told = percent;
    fprintf(stderr, "%s%3llu%%, %llu of %llu MB%s", is_terminal ? "\r" : "",
            (unsigned long long)percent, (unsigned long long)progress->completed_bytes >> 20,
            (unsigned long long)progress->total_bytes >> 20,
            is_terminal && percent < 100 ? "" : "\n");
}

static void print_json(const struct model_pull *effect, const struct outcome *outcome)
{
    struct buf line = BUF_INIT;
    buf_add_text(&line, "{\"operation\":");
    json_add_string(&line, str_from(outcome->operation));
    buf_addf(&line, ",\"state\":\"%s\"", state_names[outcome->state]);
    json_add_name(&line, "model");
    json_add_string(&line, effect->name);
    json_add_name(&line, "licenseRef");
    json_add_string(&line, model_pull_licence(effect));
    buf_addf(&line, ",\"bytes\":%llu,\"resumedFrom\":%llu",
             (unsigned long long)effect->progress.completed_bytes,
             (unsigned long long)effect->progress.first_bytes);
    if (effect->found.digest[0])
        buf_addf(&line, ",\"digest\":\"%s\"", effect->found.digest);
    printf("%s}\n", line.data);
    buf_release(&line);
}

static int tell_end(const struct pull *pull, const struct outcome *outcome)
{
    const struct model_pull *effect = &pull->effect;
    if (pull->invocation->values[PULL_JSON])
        print_json(effect, outcome);
    else if (outcome->state == STATE_COMPLETED)
        op_print_wrapped("digest", 9, str_from(effect->found.digest));
    if (outcome->failure.code)
        return tell_error(pull->invocation, &outcome->failure);
    return outcome->state == STATE_CANCELED ? OWN_RUN_CANCELLED : EXIT_OK;
}

/* --- the verb ------------------------------------------------------------------------------ */

static int submit(struct pull *pull, struct outcome *ret, struct err *err)
{
    const struct invocation *invocation = pull->invocation;
    const char *name = invocation->operands[0];
    const char *const arguments[] = { "model", "pull", name };
    const struct plane_choice choice = { MODEL_REGISTRY_HOST, true };
    const struct own_run_command command = {
        .arguments = arguments,
        .argument_count = ARRAY_LEN(arguments),
        .delegation = invocation->values[PULL_DELEGATION],
        .reason = invocation->values[PULL_REASON],
        .provider = &pull->effect.provider.id,
        .choices = &choice,
        .choice_count = pull->effect.is_consented,
    };
    return own_run_submit(&pull->run, &command, ret, err);
}

int run_model_pull(const struct invocation *invocation)
{
    _cleanup_(cleanup_free) struct pull *pull = calloc(1, sizeof(*pull));
    struct plane_options plug = { 0 };
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    if (!pull)
        return EXIT_NEGATIVE;
    pull->invocation = invocation;
    pull->preset = BUF_INIT;
    pull->effect.begun = tell_begun;
    pull->effect.moved = tell_moved;
    pull->effect.context = pull;
    pull->effect.wanted_digest = invocation->values[PULL_DIGEST];
    model_pull_plug(&pull->effect, &plug);
    int r = own_run_open(&pull->run, &plug, invocation->values[PULL_PROFILE], &err);
    if (r == 0)
        r = own_run_lower(&pull->run, invocation, PULL_BUDGET, &err);
    if (r == 0)
        r = open_profile(pull, invocation->operands[0], &err);
    pull->effect.is_consented = invocation->values[PULL_ALLOW] && !pull->stored.is_managed;
    if (r == 0)
        r = submit(pull, &outcome, &err);
    int status = r == 0                  ? tell_end(pull, &outcome)
                 : err.code == ERR_USAGE ? tell_usage(invocation->path, "%s", err.cause)
                                         : tell_error(invocation, &err);
    model_document_release(&pull->stored);
    own_run_release(&pull->run);
    model_pull_release(&pull->effect);
    document_release(&pull->file);
    yyjson_doc_free(pull->doc);
    buf_release(&pull->preset);
    return status;
}
