/*
 * run_alone: see the header.
 *
 * Theory of operation. A command has of its arguments a digest, and the text of those that may be
 * seen. It can be carried out where that is all of them; they are held against the digest. What
 * else it says becomes options of `run`: image, profile, mounts, variables, destinations, and of
 * the budget exactly what it names. The command itself goes to the plane as it was given, so that
 * what is authorised and recorded is what somebody submitted, and what is done is the plan of a
 * run.
 *
 * The repository that it is submitted in is mounted where the command is about that workspace.
 */
#include "cmd/run_alone.h"

#include "base/arena.h"
#include "base/digest.h"
#include "cmd/run_image.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "contract/vocabulary.h"

#define STEP_ALONE      "carry out a container"
#define WORDS_MAX       (2 * VERB_GIVEN_MAX + PLAN_ARGUMENTS_MAX + 4)
#define ARGUMENTS_BYTES ((size_t)1 << 20) /* of a command as a whole */

/* What a person would have typed. */
struct words {
    struct arena arena;
    char **items;
    int count;
    bool is_cut; /* there was no room, or a text has no end of its own */
};

bool run_alone_is(const yyjson_val *command)
{
    return text_is(member(command, "command"), "submit") &&
           text_is(member(command, "operationType"), operation_type_names[OPERATION_CONTAINER_RUN]);
}

static void add(struct words *words, struct str text)
{
    bool fits = words->count < WORDS_MAX && !memchr(text.ptr, '\0', text.len);
    char *copy = fits ? arena_copy(&words->arena, text) : NULL;
    words->is_cut = words->is_cut || !copy;
    if (copy)
        words->items[words->count++] = copy;
}

static void add_option(struct words *words, const char *name, struct str value)
{
    if (!value.len)
        return;
    add(words, str_from(name));
    add(words, value);
}

static void add_each(struct words *words, const char *name, const yyjson_val *list)
{
    for (size_t i = 0; i < yyjson_arr_size((yyjson_val *)list); i++)
        add_option(words, name, text_of(yyjson_arr_get((yyjson_val *)list, i)));
}

/* What it does not name, it may not use. */
static int add_budget(struct words *words, const yyjson_val *ceiling, struct err *err)
{
    if (!ceiling)
        return err_set(err, ERR_DOCUMENT, STEP_ALONE,
                       "it names no budgetCeiling: what it names is what it may use");
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        char amount[64];
        snprintf(amount, sizeof(amount), "%s=%llu", dimension_names[i],
                 (unsigned long long)count_of(member(ceiling, dimension_names[i])));
        add_option(words, "--budget", str_from(amount));
    }
    return 0;
}

/* All of the arguments, where their texts are there and are those of the digest. */
static int add_arguments(struct words *words, const yyjson_val *arguments, struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(ARGUMENTS_BYTES);
    yyjson_val *shown = (yyjson_val *)member(arguments, "safe");
    size_t count = (size_t)count_of(member(arguments, "count")), known = yyjson_arr_size(shown);
    char digest[DIGEST_TEXT_SIZE];
    if (!arguments)
        return 0;
    for (size_t i = 0; i < known; i++) {
        struct str text = text_of(member(yyjson_arr_get(shown, i), "text"));
        add(words, text);
        buf_add_str(&bytes, text);
        buf_add_char(&bytes, '\0');
    }
    if (known != count)
        return err_set(err, ERR_UNSUPPORTED, STEP_ALONE,
                       "it has %zu arguments and the text of %zu; where it may not name them all, "
                       "give it by: agent-machine run --alone --image REFERENCE -- COMMAND",
                       count, known);
    int r = bytes.error ? err_set(err, ERR_LIMIT, STEP_ALONE, "its arguments do not fit")
                        : digest_text(buf_str(&bytes), digest, err);
    if (r == 0 && !text_is(member(arguments, "digest"), digest))
        r = err_set(err, ERR_DOCUMENT, STEP_ALONE, "its arguments are not those of their digest");
    if (r < 0)
        err_where(err, "/parameters/containerRun/arguments");
    return r;
}

static int add_image(struct words *words, const yyjson_val *parameters, struct err *err)
{
    _cleanup_(buf_release) struct buf image = BUF_INIT;
    int r = run_image_name(member(parameters, "image"), &image, err);
    if (r == 0)
        add_option(words, "--image", buf_str(&image));
    return r;
}

static int write_words(struct words *words, const yyjson_val *command, bool json, struct err *err)
{
    const yyjson_val *parameters = at(command, "/parameters/containerRun");
    struct str executable = text_of(member(parameters, "executable"));
    add(words, STR("run"));
    add(words, STR("--alone"));
    int r = add_image(words, parameters, err);
    if (r == 0)
        r = add_budget(words, member(command, "budgetCeiling"), err);
    if (r < 0)
        return r;
    add_option(words, "--profile", text_of(member(parameters, "profileRef")));
    add_option(words, "--runtime", text_of(member(parameters, "runtime")));
    add_option(words, "--directory", text_of(member(parameters, "workingDirectory")));
    add_each(words, "--mount", member(parameters, "mountRefs"));
    add_each(words, "--env", member(parameters, "environmentNames"));
    add_each(words, "--allow", member(parameters, "allowDestinations"));
    add_each(words, "--deny", member(parameters, "denyDestinations"));
    if (yyjson_is_true((yyjson_val *)member(parameters, "detached")))
        add(words, STR("--detach"));
    if (json)
        add(words, STR("--json"));
    add(words, STR("--"));
    if (executable.len)
        add(words, executable);
    r = add_arguments(words, member(parameters, "arguments"), err);
    return r == 0 && words->is_cut
               ? err_set(err, ERR_LIMIT, STEP_ALONE, "it says more than a run can be told")
               : r;
}

int run_alone_submit(const struct invocation *invocation, const yyjson_val *command,
                     struct str text, bool json)
{
    struct words words = { .items = calloc(WORDS_MAX + 1, sizeof(char *)) };
    struct invocation of_run = { .program = invocation->program,
                                 .verb = &verb_run,
                                 .path = verb_run.name };
    struct err err = { 0 };
    int status;
    int r = words.items ? write_words(&words, command, json, &err)
                        : err_set(&err, ERR_MEMORY, STEP_ALONE, "there is not enough memory");
    if (r < 0)
        status = tell_error(invocation, &err);
    else if ((status = verb_read_options(&of_run, words.count, words.items)) == EXIT_OK)
        status = run_carry_out(&of_run, text);
    arena_release(&words.arena);
    free(words.items);
    return status;
}
