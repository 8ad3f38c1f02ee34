/* doctor_registry: whether what is installed is what its registries say. */
#include "base/clock.h"
#include "cmd/doctor.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "doctor/registry.h"

#define TEXT_COLUMN 14
#define SHOWN_MAX   4 /* records of one of many components */

enum { OPTION_JSON };

const struct option_row doctor_registry_options[DOCTOR_REGISTRY_OPTION_COUNT] = {
    [OPTION_JSON] = { "json", 'j', NULL, "print a RuntimeRegistryIntegrityRecord for each" },
};

static const enum colour verdict_colours[REGISTRY_VERDICT_COUNT] = {
    [REGISTRY_VALID] = COLOUR_GOOD,       [REGISTRY_DEGRADED] = COLOUR_WARN,
    [REGISTRY_MISSING] = COLOUR_BAD,      [REGISTRY_INVALID] = COLOUR_BAD,
    [REGISTRY_QUARANTINED] = COLOUR_WARN,
};

static void show_progress(void *context, const struct registry_progress *progress)
{
    (void)context;
    fprintf(stderr, "\r%3zu%%  %zu of %zu files, %llu MB", progress->files * 100 / progress->all,
            progress->files, progress->all, (unsigned long long)(progress->bytes / 1000000));
    fflush(stderr);
}

static void print_record(const struct registry_record *record)
{
    char label[TEXT_COLUMN + 1];
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    snprintf(label, sizeof(label), "  %s", record_state_names[record->state]);
    buf_addf(&line, "%s%s%s%s", record->ref, record->code ? " (" : "",
             record->code ? record->code : "", record->code ? ")" : "");
    op_print_wrapped(label, TEXT_COLUMN, buf_str(&line));
    if (record->impact)
        op_print_wrapped("", TEXT_COLUMN, str_from(record->impact));
}

/* All records of the one that was asked for, of others those that are not as they should be. */
static void print_component(const struct registry_component *component, bool is_whole)
{
    _cleanup_(buf_release) struct buf title = BUF_INIT;
    printf("%s%-12s%s  ", tell_colour(stdout, verdict_colours[component->verdict]),
           registry_verdict_names[component->verdict], tell_colour_end(stdout));
    buf_addf(&title, "%s: %s", component->ref, component->identity);
    op_print_behind(TEXT_COLUMN, buf_str(&title));
    size_t shown = 0, more = component->left_out;
    for (size_t i = 0; i < component->count; i++) {
        if (!is_whole && component->records[i].state == RECORD_PRESENT)
            continue;
        if (is_whole || shown < SHOWN_MAX)
            print_record(&component->records[i]);
        else
            more++;
        shown++;
    }
    if (more) {
        buf_reset(&title);
        buf_addf(&title, "and %zu more%s%s", more,
                 is_whole ? "" : ": agent-machine doctor registry ",
                 is_whole ? "" : component->ref);
        op_print_wrapped("", TEXT_COLUMN, buf_str(&title));
    }
    if (component->verdict != REGISTRY_VALID)
        op_print_wrapped("  try", TEXT_COLUMN, str_from(component->remedy));
}

static int print_json(const struct registry *registry, struct err *err)
{
    int64_t now_ms = clock_now_ms();
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    for (size_t i = 0; i < registry_count(registry); i++) {
        buf_reset(&text);
        int r = registry_write(registry_at(registry, i), now_ms, &text, err);
        if (r < 0)
            return r;
        puts(text.data);
    }
    return 0;
}

static void print_table(const struct registry *registry, bool is_one)
{
    size_t counts[REGISTRY_VERDICT_COUNT] = { 0 };
    struct registry_progress total = registry_total(registry);
    for (size_t i = 0; i < registry_count(registry); i++) {
        const struct registry_component *component = registry_at(registry, i);
        counts[component->verdict]++;
        if (is_one || component->verdict != REGISTRY_VALID)
            print_component(component, is_one);
    }
    printf("%zu component%s:", registry_count(registry), registry_count(registry) == 1 ? "" : "s");
    for (size_t i = 0, told = 0; i < REGISTRY_VERDICT_COUNT; i++)
        if (counts[i])
            printf("%s %zu %s", told++ ? "," : "", counts[i], registry_verdict_names[i]);
    printf("; %zu files, %llu MB\n", total.files, (unsigned long long)(total.bytes / 1000000));
}

int run_doctor_registry(const struct invocation *invocation)
{
    _cleanup_(cleanup_registry) struct registry *registry = NULL;
    bool is_one = invocation->operand_count > 0, shows = isatty(STDERR_FILENO);
    struct registry_options options = { .component = is_one ? invocation->operands[0] : NULL,
                                        .tell = shows ? show_progress : NULL };
    struct err err = { 0 };
    bool is_valid = true;
    int r = registry_read(&options, &registry, &err);
    if (shows)
        fprintf(stderr, "\r%*s\r", 60, "");
    if (r == 0 && invocation->values[OPTION_JSON])
        r = print_json(registry, &err);
    else if (r == 0)
        print_table(registry, is_one);
    for (size_t i = 0; r == 0 && i < registry_count(registry); i++)
        is_valid &= registry_at(registry, i)->verdict == REGISTRY_VALID;
    if (r < 0)
        return tell_error(invocation, &err);
    return is_valid ? EXIT_OK : EXIT_NEGATIVE;
}
