/* doctor_preflight: contracts, held against what this host gives, as a table or as documents. */
#include "cmd/doctor.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "doctor/preflight.h"

#define STEP        "look before a start"
#define STATUS_NO   77
#define NAME_WIDTH  24
#define WORD_WIDTH  8
#define TEXT_COLUMN (2 + NAME_WIDTH + WORD_WIDTH + 1)
#define MORE_COLUMN 12 /* of what follows below */
#define COMPONENT   "urn:srcos:component:"

enum { OPTION_COMPONENT, OPTION_WATCH, OPTION_JSON };

const struct option_row doctor_preflight_options[DOCTOR_PREFLIGHT_OPTION_COUNT] = {
    [OPTION_COMPONENT] = { "component", 'c', "REF", "only contracts of this component" },
    [OPTION_WATCH] = { "watch", 'w', NULL, "go on, and tell whenever an answer changes" },
    [OPTION_JSON] = { "json", 'j', NULL, "print a CapabilityGrantState for each contract" },
};

static const enum colour colours[FOUND_COUNT] = {
    [FOUND_GRANTED] = COLOUR_GOOD, [FOUND_PARTLY] = COLOUR_WARN, [FOUND_DENIED] = COLOUR_BAD,
    [FOUND_ASK] = COLOUR_WARN,     [FOUND_LOCKED] = COLOUR_WARN, [FOUND_MISSING] = COLOUR_BAD,
    [FOUND_BROKEN] = COLOUR_BAD,   [FOUND_UNKNOWN] = COLOUR_DIM,
};

struct looking {
    const struct invocation *invocation;
    struct doctor_contracts opened;
    struct policy *policy;
    struct observer *observer;
    char (*epochs)[80]; /* of each contract, as told last */
};

/* --- telling -------------------------------------------------------------------------------- */

static void print_line(const char *word, struct str text)
{
    char label[MORE_COLUMN + 1];
    snprintf(label, sizeof(label), "      %s", word);
    op_print_wrapped(label, MORE_COLUMN, text);
}

static void print_item(const struct preflight_item *item)
{
    const struct capability_state *state = &item->state;
    _cleanup_(buf_release) struct buf name = BUF_INIT, seen = BUF_INIT;
    buf_add_str(&name, item->capability);
    if (state->object[0] && str_equal(item->capability, STR("broker.reach")))
        buf_addf(&name, " %s", state->object);
    fputs("  ", stdout);
    tell_text(stdout, name.data);
    if (name.len >= NAME_WIDTH)
        printf("\n%*s", 2 + NAME_WIDTH, "");
    else
        printf("%*s", (int)(NAME_WIDTH - name.len), "");
    printf("%s%-*s%s ", tell_colour(stdout, colours[state->found]), WORD_WIDTH,
           found_words[state->found], tell_colour_end(stdout));
    /* The first line begins behind the words that are printed already. */
    if (state->source != SOURCE_UNAVAILABLE)
        buf_addf(&seen, "%s: ", grant_source_names[state->source]);
    buf_add_text(&seen, state->seen);
    op_print_behind(TEXT_COLUMN, buf_str(&seen));
    if (state->found == FOUND_GRANTED)
        return;
    buf_reset(&seen);
    buf_addf(&seen, "%.*s%s%.*s", STR_ARG(item->fallback), item->fallback.len ? ": " : "",
             STR_ARG(item->impact));
    print_line("then", buf_str(&seen));
    print_line("try", str_from(state->remedy));
}

static void print_table(const struct preflight *preflight)
{
    _cleanup_(buf_release) struct buf title = BUF_INIT;
    buf_addf(&title, "%.*s: %s", STR_ARG(text_of(member(preflight->contract, "componentRef"))),
             readiness_names[preflight->readiness]);
    op_print_wrapped("", 0, buf_str(&title));
    if (preflight->readiness != PREFLIGHT_READY)
        op_print_wrapped("  ", 2, text_of(member(preflight->contract, "userVisibleImpact")));
    for (size_t i = 0; i < preflight->count; i++)
        print_item(&preflight->items[i]);
}

static int tell(const struct looking *looking, const struct preflight *preflight, struct err *err)
{
    if (looking->invocation->values[OPTION_JSON]) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        int r = preflight_write(preflight, &text, err);
        if (r == 0)
            puts(text.data);
        return r;
    }
    print_table(preflight);
    return 0;
}

/* --- looking -------------------------------------------------------------------------------- */

static bool is_asked_for(const struct invocation *invocation, const yyjson_val *contract)
{
    const char *wanted = invocation->values[OPTION_COMPONENT];
    struct str ref = text_of(member(contract, "componentRef"));
    struct str local =
        str_starts(ref, STR(COMPONENT)) ? str_from_offset(ref, sizeof(COMPONENT) - 1) : ref;
    return !wanted || str_equal(ref, str_from(wanted)) || str_equal(local, str_from(wanted));
}

/* Looks at every contract once, and tells those whose answers are not what was told last. */
static int look_at_all(struct looking *looking, enum readiness *ret_worst, size_t *ret_count,
                       struct err *err)
{
    const struct surroundings around = { looking->observer, looking->policy };
    int r = 0;
    *ret_worst = PREFLIGHT_READY;
    *ret_count = 0;
    for (size_t i = 0; i < contracts_count(looking->opened.contracts) && r == 0; i++) {
        const yyjson_val *contract = contracts_at(looking->opened.contracts, i);
        struct preflight preflight;
        if (!is_asked_for(looking->invocation, contract))
            continue;
        r = preflight_look(contract, &around, &preflight, err);
        if (r < 0)
            return r;
        *ret_count += 1;
        if (preflight.readiness > *ret_worst)
            *ret_worst = preflight.readiness;
        if (strcmp(preflight.epoch, looking->epochs[i]) != 0)
            r = tell(looking, &preflight, err);
        memcpy(looking->epochs[i], preflight.epoch, sizeof(preflight.epoch));
        preflight_release(&preflight);
    }
    return r;
}

/* A policy without documents says nothing, and is none. */
static int open_policy(struct looking *looking, struct err *err)
{
    struct policy_builder *builder = NULL;
    char empty[DIGEST_TEXT_SIZE];
    if (!looking->opened.layers)
        return 0;
    int r = policy_builder_new(&builder, err);
    if (r == 0)
        r = layers_add(looking->opened.layers, NULL, builder, err);
    if (r == 0)
        r = policy_build(builder, &looking->policy, err);
    policy_builder_free(builder);
    if (r == 0)
        r = policy_digest_empty(empty, err);
    if (r == 0 && strcmp(policy_digest(looking->policy), empty) == 0)
        policy_free(TAKE_PTR(looking->policy));
    return r;
}

static int open_all(struct looking *looking, struct err *err)
{
    const struct invocation *invocation = looking->invocation;
    int r = doctor_contracts_open(invocation->operands, invocation->operand_count, &looking->opened,
                                  err);
    if (r == 0)
        r = open_policy(looking, err);
    if (r == 0)
        r = observer_new(invocation->values[OPTION_WATCH] != NULL, &looking->observer, err);
    if (r < 0)
        return r;
    looking->epochs =
        calloc(contracts_count(looking->opened.contracts) + 1, sizeof(*looking->epochs));
    return looking->epochs ? 0 : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int look(struct looking *looking, enum readiness *ret, struct err *err)
{
    size_t count;
    int r = look_at_all(looking, ret, &count, err);
    if (r == 0 && count == 0)
        return err_set(err, ERR_NOT_FOUND, STEP,
                       "no contract is named, and none of the layers' folders has one%s",
                       looking->invocation->values[OPTION_COMPONENT] ? " of this component" : "");
    while (r == 0 && looking->invocation->values[OPTION_WATCH]) {
        fflush(stdout);
        r = observer_wait(looking->observer, err);
        if (r == 0)
            r = look_at_all(looking, ret, &count, err);
    }
    return r;
}

int run_doctor_preflight(const struct invocation *invocation)
{
    static const int statuses[READINESS_COUNT] = {
        [PREFLIGHT_READY] = EXIT_OK,
        [PREFLIGHT_DEGRADED] = EXIT_NEGATIVE,
        [PREFLIGHT_REFUSED] = STATUS_NO,
    };
    struct looking looking = { .invocation = invocation };
    enum readiness readiness = PREFLIGHT_REFUSED;
    struct err err = { 0 };
    int r = open_all(&looking, &err);
    if (r == 0)
        r = look(&looking, &readiness, &err);
    free(looking.epochs);
    observer_free(looking.observer);
    policy_free(looking.policy);
    doctor_contracts_close(&looking.opened);
    return r < 0 ? tell_error(invocation, &err) : statuses[readiness];
}
