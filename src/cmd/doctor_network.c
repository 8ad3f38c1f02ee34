/* doctor_network: what is true of the network, layer by layer, once or whenever it changes. */
#include "base/clock.h"
#include "base/file.h"
#include "cmd/doctor.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "doctor/net_look.h"
#include "doctor/net_truth.h"

#define STEP        "tell what is true of the network"
#define LABEL_WIDTH 16
#define WORD_WIDTH  20

enum {
    OPTION_JSON,
    OPTION_WATCH,
    OPTION_EXPLAIN,
    OPTION_INTERFACE,
    OPTION_QUIET,
    OPTION_SAVE,
    OPTION_FROM
};

const struct option_row doctor_network_options[DOCTOR_NETWORK_OPTION_COUNT] = {
    [OPTION_JSON] = { "json", 'j', NULL, "print a NetworkTruthState" },
    [OPTION_WATCH] = { "watch", 'w', NULL, "go on, and tell whenever something changes" },
    [OPTION_EXPLAIN] = { "explain", 'e', NULL,
                         "walk from the radio upwards to the first layer that fails" },
    [OPTION_INTERFACE] = { "interface", 'i', "NAME", "the interface that the lower layers are of" },
    [OPTION_QUIET] = { "no-probes", 0, NULL, "send nothing, also where something may be sent" },
    [OPTION_SAVE] = { "save", 0, "FILE", "keep all that was seen in a file" },
    [OPTION_FROM] = { "from", 0, "FILE", "judge what was seen by such a file, not this host" },
};

static const enum colour colours[] = {
    [NET_WORKS] = COLOUR_GOOD, [NET_UNUSED] = COLOUR_DIM, [NET_UNSEEN] = COLOUR_DIM,
    [NET_LIMPS] = COLOUR_WARN, [NET_FAILS] = COLOUR_BAD,
};

/* --- telling -------------------------------------------------------------------------------- */

static void print_layer(const struct net_truth *truth, enum net_layer layer)
{
    const struct net_finding *finding = &truth->layers[layer];
    printf("%-*s%s%-*s%s", LABEL_WIDTH, net_layer_names[layer],
           tell_colour(stdout, colours[finding->grade]), WORD_WIDTH, finding->state,
           tell_colour_end(stdout));
    if (!finding->seen_count)
        putchar('\n');
    for (size_t i = 0; i < finding->seen_count; i++) {
        if (i)
            printf("%*s", LABEL_WIDTH + WORD_WIDTH, "");
        op_print_behind(LABEL_WIDTH + WORD_WIDTH, str_from(finding->seen[i].text));
    }
}

static void print_verdict(const struct net_truth *truth)
{
    char summary[NET_TEXT_MAX];
    net_truth_summary(truth, summary);
    op_print_wrapped("", 0, str_from(summary));
    if (strcmp(net_truth_remedy(truth), "Nothing to do.") != 0)
        op_print_wrapped("Try: ", 5, str_from(net_truth_remedy(truth)));
}

static void print_truth(const struct net_truth *truth)
{
    print_verdict(truth);
    putchar('\n');
    for (size_t i = 0; i < NET_LAYER_COUNT; i++)
        print_layer(truth, (enum net_layer)i);
}

/* From the bottom up to the first layer that fails, and no further. */
static void print_walk(const struct net_truth *truth)
{
    enum net_layer lowest = net_truth_lowest(truth);
    for (size_t i = 0; i < NET_LAYER_COUNT && i <= (size_t)lowest; i++) {
        const struct net_finding *finding = &truth->layers[i];
        const char *mark = finding->grade >= NET_LIMPS    ? "fails"
                           : finding->grade == NET_UNSEEN ? "?"
                           : finding->grade == NET_UNUSED ? "-"
                                                          : "works";
        if (i == lowest && finding->grade == NET_LIMPS)
            mark = "limps";
        printf("%s%-7s%s", tell_colour(stdout, colours[finding->grade]), mark,
               tell_colour_end(stdout));
        print_layer(truth, (enum net_layer)i);
    }
    putchar('\n');
    print_verdict(truth);
}

/* What a watcher is told: when, the state, and the layers that are otherwise than before. */
static void print_change(const struct net_truth *truth, const struct net_truth *before)
{
    char at[CLOCK_TEXT_SIZE], summary[NET_TEXT_MAX];
    clock_text(truth->facts->record->at_ms, at);
    net_truth_summary(truth, summary);
    printf("%s ", at);
    op_print_behind(CLOCK_TEXT_SIZE, str_from(summary));
    for (size_t i = 0; i < NET_LAYER_COUNT; i++)
        if (!before || strcmp(before->layers[i].state, truth->layers[i].state) != 0) {
            printf("  ");
            print_layer(truth, (enum net_layer)i);
        }
}

static int print_json(const struct net_truth *truth, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    int r = net_truth_write(truth, &json, err);
    if (r == 0)
        puts(json.data);
    return r;
}

static int tell(const struct invocation *invocation, const struct net_truth *truth,
                const struct net_truth *before, struct err *err)
{
    if (invocation->values[OPTION_JSON])
        return print_json(truth, err);
    if (invocation->values[OPTION_WATCH])
        print_change(truth, before);
    else if (invocation->values[OPTION_EXPLAIN])
        print_walk(truth);
    else
        print_truth(truth);
    return 0;
}

/* --- records -------------------------------------------------------------------------------- */

static int save(const char *path, const struct net_record *record, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    int r = net_record_save(record, &json, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_fclose) FILE *file = fopen(path, "we");
    if (!file || fwrite(json.data, 1, json.len, file) != json.len || fflush(file) != 0) {
        r = err_set_errno(err, errno, STEP, "write what was seen");
        err_where(err, "%s", path);
    }
    return r;
}

static int load(const char *path, struct net_record *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(2 * NET_RECORD_BYTES_MAX);
    int r = file_read(path, &text, err);
    if (r == 0)
        r = net_record_load(buf_str(&text), ret, err);
    if (r < 0) {
        char place[ERR_WHERE_MAX];
        memcpy(place, err->where, sizeof(place));
        err_where(err, "%s%s%s", path, place[0] ? ": " : "", place);
    }
    return r;
}

/* --- looking -------------------------------------------------------------------------------- */

/* What is known at one moment; what was told last stays, for what has changed. */
struct moment {
    struct net_record record;
    struct net_facts facts;
    struct net_truth truth;
    bool is_read;
};

static void moment_release(struct moment *moment)
{
    if (moment->is_read)
        net_facts_release(&moment->facts);
    net_record_release(&moment->record);
    moment->is_read = false;
}

static int moment_read(struct moment *moment, struct err *err)
{
    int r = net_facts_read(&moment->record, &moment->facts, err);
    if (r == 0) {
        moment->is_read = true;
        net_truth_derive(&moment->facts, &moment->truth);
    }
    return r;
}

static int watch(const struct invocation *invocation, struct net_looking *looking,
                 struct moment *moment, struct err *err)
{
    struct moment *now = calloc(1, sizeof(*now));
    int r = now ? 0 : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    while (r == 0) {
        fflush(stdout);
        r = net_look_wait(looking, net_truth_due(&moment->truth), err);
        if (r == 0)
            r = net_look(looking, &now->record, err);
        if (r == 0)
            r = moment_read(now, err);
        if (r == 0 && !net_truth_equal(&now->truth, &moment->truth))
            r = tell(invocation, &now->truth, &moment->truth, err);
        if (r == 0) {
            moment_release(moment);
            *moment = *now;
            moment->facts.record = &moment->record;
            moment->truth.facts = &moment->facts;
            *now = (struct moment){ 0 };
        }
    }
    if (now)
        moment_release(now);
    free(now);
    return r;
}

static int look_here(const struct invocation *invocation, struct moment *moment, struct err *err)
{
    _cleanup_(cleanup_net_looking) struct net_looking *looking = NULL;
    bool watches = invocation->values[OPTION_WATCH];
    bool is_quiet = invocation->values[OPTION_QUIET];
    struct net_targets targets = { 0 };
    struct layers_places places;
    struct layers *layers = NULL;
    int r = layers_places_default(NULL, &places, err);
    if (r == 0 && layers_may_speak(&places))
        r = layers_open(&places, &layers, err);
    if (r == 0)
        r = net_targets_read(layers, &targets, err);
    if (r == 0 && is_quiet)
        targets.count = 0;
    if (r == 0)
        r = net_look_new(watches, &targets, invocation->values[OPTION_INTERFACE], &looking, err);
    if (r == 0)
        r = net_look(looking, &moment->record, err);
    if (r == 0 && invocation->values[OPTION_SAVE])
        r = save(invocation->values[OPTION_SAVE], &moment->record, err);
    if (r == 0)
        r = moment_read(moment, err);
    if (r == 0)
        r = tell(invocation, &moment->truth, NULL, err);
    if (r == 0 && watches)
        r = watch(invocation, looking, moment, err);
    net_targets_release(&targets);
    layers_close(layers);
    return r;
}

static int look_at_file(const struct invocation *invocation, struct moment *moment, struct err *err)
{
    int r = load(invocation->values[OPTION_FROM], &moment->record, err);
    if (r == 0 && invocation->values[OPTION_INTERFACE])
        moment->record.wish = invocation->values[OPTION_INTERFACE];
    if (r == 0)
        r = moment_read(moment, err);
    if (r == 0)
        r = tell(invocation, &moment->truth, NULL, err);
    return r;
}

int run_doctor_network(const struct invocation *invocation)
{
    struct moment *moment = calloc(1, sizeof(*moment));
    struct err err = { 0 };
    const char *from = invocation->values[OPTION_FROM];
    if (from && (invocation->values[OPTION_WATCH] || invocation->values[OPTION_SAVE])) {
        free(moment);
        return tell_usage(invocation->path, "--from goes with neither --watch nor --save: a file "
                                            "does not change");
    }
    int r = !moment ? err_set(&err, ERR_MEMORY, STEP, "there is not enough memory")
            : from  ? look_at_file(invocation, moment, &err)
                    : look_here(invocation, moment, &err);
    int status = EXIT_OK;
    if (r == 0 && net_truth_lowest(&moment->truth) < NET_LAYER_COUNT)
        status = EXIT_NEGATIVE;
    if (moment)
        moment_release(moment);
    free(moment);
    return r < 0 ? tell_error(invocation, &err) : status;
}
