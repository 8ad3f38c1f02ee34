/* ledger_events: the verbs that print events. */
#include "base/json.h"
#include "cmd/ledger.h"
#include "cmd/tell.h"
#include "contract/rules.h"

#define TAIL_EVENTS_DEFAULT 10
#define WAIT_MS             1000

/* --- options ------------------------------------------------------------------------------- */

enum { EXPORT_JSONL, EXPORT_FROM, EXPORT_OPERATION, EXPORT_STATE };

const struct option_row ledger_export_options[LEDGER_EXPORT_OPTION_COUNT] = {
    [EXPORT_JSONL] = { "jsonl", 0, NULL, "as JSON Lines, which is the one format there is" },
    [EXPORT_FROM] = { "from", 'f', "N", "begin with the event of this sequence" },
    [EXPORT_OPERATION] = { "operation", 'o', "URN", "only the events of this operation" },
    [EXPORT_STATE] = STATE_OPTION,
};

enum { TAIL_FOLLOW, TAIL_LINES, TAIL_OPERATION, TAIL_STATE, TAIL_JSON };

const struct option_row ledger_tail_options[LEDGER_TAIL_OPTION_COUNT] = {
    [TAIL_FOLLOW] = { "follow", 'f', NULL, "wait for more events, and print them" },
    [TAIL_LINES] = { "lines", 'n', "N", "how many of the newest events (10)" },
    [TAIL_OPERATION] = { "operation", 'o', "URN", "only the events of this operation" },
    [TAIL_STATE] = STATE_OPTION,
    [TAIL_JSON] = { "json", 'j', NULL, "print each event as a line of JSON" },
};

/* The number an option gives, or the default; false where it is none. */
static bool read_number(const char *text, int64_t if_absent, int64_t *ret)
{
    char *end;
    *ret = if_absent;
    if (!text)
        return true;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    *ret = number;
    return !errno && !*end && end != text && number >= 0;
}

static struct str operation_of(const struct invocation *invocation, size_t option)
{
    const char *operation = invocation->values[option];
    return operation ? str_from(operation) : STR("");
}

/* --- lines --------------------------------------------------------------------------------- */

static void print_text(yyjson_val *event, const char *member)
{
    yyjson_val *text = yyjson_obj_get(event, member);
    if (!yyjson_is_str(text))
        return;
    putchar(' ');
    tell_text(stdout, yyjson_get_str(text));
}

/* What happened, in a few words: each part of an event that is there. */
static void print_happening(yyjson_val *event)
{
    yyjson_val *transition = yyjson_obj_get(event, "transition");
    yyjson_val *decision = yyjson_obj_get(event, "decision");
    yyjson_val *delegation = yyjson_obj_get(event, "delegation");
    yyjson_val *storm = yyjson_obj_get(event, "storm");
    if (transition) {
        print_text(transition, "of");
        print_text(transition, "from");
        fputs(" to", stdout);
        print_text(transition, "to");
    }
    if (decision) {
        print_text(decision, "gate");
        print_text(decision, "verdict");
    }
    if (delegation) {
        fputs(" delegation", stdout);
        print_text(delegation, "action");
    }
    if (storm) {
        fputs(" storm", stdout);
        print_text(storm, "suppressionPolicy");
        printf(" %llu of %llu held back", (unsigned long long)count_of(member(storm, "heldCount")),
               (unsigned long long)count_of(member(storm, "repeatCount")));
    }
    print_text(event, "message");
}

/* The last part of a URN, which is what tells one from another. */
static const char *short_name(yyjson_val *urn)
{
    const char *text = yyjson_is_str(urn) ? yyjson_get_str(urn) : "-";
    const char *colon = strrchr(text, ':');
    return colon && colon[1] ? colon + 1 : text;
}

static void print_line(int64_t sequence, struct str json)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (json_read(json, &json_limits_default, &doc, NULL) < 0) {
        printf("%8lld cannot be read: see `agent-machine ledger verify`\n", (long long)sequence);
        return;
    }
    yyjson_val *event = yyjson_doc_get_root(doc);
    printf("%s%8lld", tell_colour(stdout, COLOUR_DIM), (long long)sequence);
    print_text(event, "occurredAt");
    printf("%s ", tell_colour_end(stdout));
    tell_text(stdout, short_name(yyjson_obj_get(event, "operationRef")));
    print_text(event, "eventType");
    print_happening(event);
    putchar('\n');
}

struct printer {
    bool json;
    int64_t next; /* the sequence behind the last one that was printed */
};

static int print_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct printer *printer = context;
    (void)err;
    printer->next = sequence + 1;
    if (printer->json) {
        fwrite(json.ptr, 1, json.len, stdout);
        putchar('\n');
    } else {
        print_line(sequence, json);
    }
    return ferror(stdout) ? 1 : 0; /* whoever reads it has gone */
}

/* --- export -------------------------------------------------------------------------------- */

int run_ledger_export(const struct invocation *invocation)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    struct printer printer = { .json = true };
    struct err err = { 0 };
    int64_t from;
    if (!read_number(invocation->values[EXPORT_FROM], 0, &from))
        return tell_usage(invocation->path, "--from takes a sequence");
    int r = ledger_verb_open(invocation->values[EXPORT_STATE], &ledger, &err);
    if (r == 0)
        r = ledger_each_event(ledger, from, operation_of(invocation, EXPORT_OPERATION), print_event,
                              &printer, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- tail ---------------------------------------------------------------------------------- */

struct last {
    int64_t *sequences; /* a ring */
    int64_t capacity, count;
};

static int note_sequence(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct last *last = context;
    (void)json;
    (void)err;
    last->sequences[last->count++ % last->capacity] = sequence;
    return 0;
}

/* The sequence from which on there are `lines` events (of the operation). */
static int find_begin(struct ledger *ledger, struct str operation, int64_t lines, int64_t *ret,
                      struct err *err)
{
    int64_t size = 0;
    int r = ledger_size(ledger, &size, err);
    *ret = lines < size ? size - lines : 0;
    if (r < 0 || operation.len == 0 || lines == 0 || lines > size)
        return r;
    struct last last = { .sequences = calloc((size_t)lines, sizeof(int64_t)), .capacity = lines };
    if (!last.sequences)
        return err_set(err, ERR_MEMORY, "find the newest events", "%lld lines", (long long)lines);
    r = ledger_each_event(ledger, 0, operation, note_sequence, &last, err);
    if (last.count)
        *ret = last.sequences[last.count < lines ? 0 : last.count % lines];
    free(last.sequences);
    return r;
}

static int follow(struct ledger *ledger, struct str operation, struct printer *printer,
                  struct err *err)
{
    int64_t size = 0;
    int r = ledger_size(ledger, &size, err);
    while (r == 0 && fflush(stdout) == 0) {
        do
            r = ledger_wait(ledger, size, WAIT_MS, err);
        while (r == -ETIMEDOUT);
        if (r == 0)
            r = ledger_size(ledger, &size, err);
        if (r == 0)
            r = ledger_each_event(ledger, printer->next, operation, print_event, printer, err);
    }
    return r;
}

int run_ledger_tail(const struct invocation *invocation)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    struct printer printer = { .json = invocation->values[TAIL_JSON] };
    struct str operation = operation_of(invocation, TAIL_OPERATION);
    struct err err = { 0 };
    int64_t lines;
    if (!read_number(invocation->values[TAIL_LINES], TAIL_EVENTS_DEFAULT, &lines))
        return tell_usage(invocation->path, "--lines takes a number");
    int r = ledger_verb_open(invocation->values[TAIL_STATE], &ledger, &err);
    if (r == 0)
        r = find_begin(ledger, operation, lines, &printer.next, &err);
    if (r == 0)
        r = ledger_each_event(ledger, printer.next, operation, print_event, &printer, &err);
    if (r == 0 && invocation->values[TAIL_FOLLOW])
        r = follow(ledger, operation, &printer, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}
