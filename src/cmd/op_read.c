/* op_read: the verbs that look at operations, and what the others share with them. */
#include "cmd/op_read.h"

#include "base/clock.h"
#include "base/place.h"
#include "cmd/op_decide.h"
#include "cmd/op_notify.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "plane/state.h"

#define FOLLOW_MS 1000 /* a follower looks for the end of its operation this often */

int op_open(enum ledger_mode mode, struct plane **ret, struct err *err)
{
    struct plane_options options = { .mode = mode };
    return op_open_with(&options, ret, err);
}

int op_open_with(const struct plane_options *more, struct plane **ret, struct err *err)
{
    char state[PLACE_SIZE], config[PLACE_SIZE];
    int r = place_state(state, sizeof(state), err);
    if (r == 0)
        r = place_config(config, sizeof(config), err);
    if (r < 0)
        return r;
    struct plane_options options = *more;
    options.state_folder = state;
    options.config_folder = config;
    op_notify_plug(&options);
    return plane_open(&options, ret, err);
}

void op_print_outcome(const struct outcome *outcome, const char *record)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"operation\":");
    json_add_string(&out, str_from(outcome->operation));
    buf_addf(&out, ",\"state\":\"%s\"", state_names[outcome->state]);
    if (!outcome->failure.code) {
        buf_add_text(&out, ",\"record\":");
        json_add_string(&out, str_from(record));
    } else {
        buf_addf(&out, ",\"failure\":{\"code\":\"%s\",\"message\":", err_id(outcome->failure.code));
        json_add_string(&out, str_from(outcome->failure.cause));
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, '}');
    puts(out.data);
    buf_release(&out);
}

void op_urn(const char *type, const char *given, char ret[PLANE_URN_MAX])
{
    size_t len = strlen(type);
    if (strncmp(given, "urn:", 4) == 0)
        snprintf(ret, PLANE_URN_MAX, "%s", given);
    else if (strncmp(given, type, len) == 0 && given[len] == ':')
        snprintf(ret, PLANE_URN_MAX, "urn:srcos:%s", given); /* as it was shown */
    else
        snprintf(ret, PLANE_URN_MAX, "urn:srcos:%s:%s", type, given);
}

bool op_read_budget(const char *text, int64_t ret[DIMENSION_COUNT])
{
    struct str name = str_make(text, str_index(str_from(text), '=', 0));
    int dimension = vocabulary_index(dimension_names, DIMENSION_COUNT, name);
    char *end = NULL;
    errno = 0;
    long long value = text[name.len] ? strtoll(text + name.len + 1, &end, 10) : -1;
    if (dimension < 0 || errno || !end || *end || end == text + name.len + 1 || value < 0)
        return false;
    ret[dimension] = value;
    return true;
}

const char *op_delegation(const char *given, const yyjson_val *profile)
{
    const yyjson_val *named = at(profile, "/userPlane/delegation");
    if (given)
        return given;
    return text_is(member(named, "source"), "named")
               ? yyjson_get_str(member(named, "delegationRef"))
               : NULL;
}

static void tell_str(FILE *stream, struct str text)
{
    struct buf copy = BUF_INIT;
    buf_add_str(&copy, text);
    buf_add_char(&copy, '\0');
    if (!copy.error)
        tell_text(stream, copy.data);
    buf_release(&copy);
}

static void tell_behind(FILE *stream, int indent, struct str text)
{
    size_t room = (size_t)(OP_COLUMNS - indent);
    for (bool first = true; text.len || first; first = false) {
        size_t take = text.len;
        if (take > room) {
            take = room;
            while (take > 0 && text.ptr[take] != ' ')
                take--;
            if (take == 0) { /* one long word: broken between characters */
                take = room;
                while (take > 1 && ((unsigned char)text.ptr[take] & 0xc0) == 0x80)
                    take--;
            }
        }
        fprintf(stream, "%*s", first ? 0 : indent, "");
        tell_str(stream, str_make(text.ptr, take));
        fputc('\n', stream);
        text = str_from_offset(text, take);
        while (text.len && text.ptr[0] == ' ')
            text = str_from_offset(text, 1);
    }
}

void op_tell_wrapped(FILE *stream, const char *label, int indent, struct str text)
{
    fprintf(stream, "%-*s", indent, label);
    tell_behind(stream, indent, text);
}

void op_print_wrapped(const char *label, int indent, struct str text)
{
    op_tell_wrapped(stdout, label, indent, text);
}

void op_print_behind(int indent, struct str text)
{
    tell_behind(stdout, indent, text);
}

static struct str without_prefix(struct str type)
{
    struct str prefix = STR("agent_machine.");
    return str_starts(type, prefix) ? str_from_offset(type, prefix.len) : type;
}

/* --- list ---------------------------------------------------------------------------------- */

const struct option_row op_list_options[OP_LIST_OPTION_COUNT] = {
    { "json", 'j', NULL, "print a JSON object for each operation" },
    { "state", 's', "STATE", "only those in this state" },
};

static int list_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    const struct invocation *invocation = context;
    const char *wanted = invocation->values[1];
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    if (wanted && !text_is(member(root, "state"), wanted))
        return 0;
    if (invocation->values[0]) {
        printf("%.*s\n", STR_ARG(json));
        return 0;
    }
    struct str local = urn_local(id);
    printf("%-28.*s %-23.*s ", STR_ARG(local), STR_ARG(text_of(member(root, "state"))));
    tell_str(stdout, without_prefix(text_of(member(root, "operationType"))));
    putchar('\n');
    return 0;
}

int run_op_list(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct err err = { 0 };
    const char *state = invocation->values[1];
    if (state && vocabulary_index(state_names, STATE_COUNT, str_from(state)) < 0)
        return tell_usage(invocation->path, "there is no state %s", state);
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = ledger_each_document(plane_ledger(plane), STR("WorkspaceOperation"), STR(""), list_one,
                                 (void *)invocation, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

static int read_operation(struct plane *plane, const char *urn, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    int64_t revision;
    int r = ledger_get_document(plane_ledger(plane), str_from(urn), &text, &revision, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, "read an operation",
                       "there is no operation %s; see `agent-machine op list`", urn);
    return r < 0 ? r : json_read(buf_str(&text), &json_limits_default, ret, err);
}

/* --- events -------------------------------------------------------------------------------- */

const struct option_row op_events_options[OP_EVENTS_OPTION_COUNT] = {
    { "json", 'j', NULL, "print a JSON object for each event" },
    { "follow", 'f', NULL, "go on with what is added, until the operation ends" },
};

struct follow {
    const struct invocation *invocation;
    int64_t next;
};

/* What an event says, in a few words. */
static void describe(const yyjson_val *root, struct buf *ret)
{
    struct str to = text_of(at(root, "/transition/to"));
    if (to.len)
        buf_addf(ret, "%.*s %.*s", STR_ARG(text_of(at(root, "/transition/of"))), STR_ARG(to));
    if (at(root, "/decision"))
        buf_addf(ret, "%.*s: %.*s", STR_ARG(text_of(at(root, "/decision/gate"))),
                 STR_ARG(text_of(at(root, "/decision/verdict"))));
    if (at(root, "/delegation"))
        buf_addf(ret, "delegation %.*s", STR_ARG(text_of(at(root, "/delegation/action"))));
    if (at(root, "/admission"))
        buf_addf(
            ret, "%s %.*s",
            str_starts(text_of(at(root, "/admission/artifactRef")), STR("urn:srcos:change-set:"))
                ? "change set"
                : "artifact",
            STR_ARG(text_of(at(root, "/admission/to"))));
    if (at(root, "/usage"))
        buf_addf(ret, "budget: %.*s", STR_ARG(text_of(at(root, "/usage/0/movement"))));
    struct str more = text_of(at(root, "/failure/message"));
    if (!more.len)
        more = text_of(at(root, "/message"));
    if (!more.len)
        more = text_of(at(root, "/cancel/reason"));
    if (more.len)
        buf_addf(ret, "%s%.*s", ret->len ? ": " : "", STR_ARG(more));
}

static int print_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct follow *follow = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    follow->next = sequence + 1;
    if (follow->invocation->values[0]) {
        printf("%.*s\n", STR_ARG(json));
        return 0;
    }
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    struct str when = text_of(member(root, "occurredAt"));
    struct buf words = BUF_INIT;
    char label[64];
    describe(root, &words);
    snprintf(label, sizeof(label), "%6lld %.*s %.*s", (long long)sequence, STR_ARG(when),
             STR_ARG(text_of(member(root, "eventType"))));
    op_print_wrapped(label, 41, buf_str(&words));
    buf_release(&words);
    return 0;
}

/* 1 where the operation has ended; an empty URN never does. */
static int has_ended(struct plane *plane, const char *urn, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (!urn[0])
        return 0;
    int r = read_operation(plane, urn, &doc, err);
    if (r < 0)
        return r;
    int state = vocabulary_index(state_names, STATE_COUNT,
                                 text_of(member(yyjson_doc_get_root(doc), "state")));
    return state >= 0 && state_is_end((enum state)state);
}

/* Prints what there is; with --follow goes on until the operation has ended. */
static int follow_events(struct plane *plane, struct follow *follow, const char *urn,
                         struct err *err)
{
    struct ledger *ledger = plane_ledger(plane);
    for (;;) {
        int64_t size;
        int ended = has_ended(plane, urn, err);
        int r = ended < 0 ? ended : ledger_size(ledger, &size, err);
        if (r == 0)
            r = ledger_each_event(ledger, follow->next, str_from(urn), print_event, follow, err);
        if (r < 0 || ended || !follow->invocation->values[1])
            return r;
        fflush(stdout);
        r = ledger_wait(ledger, size, FOLLOW_MS, err);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
    }
}

int run_op_events(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct follow follow = { .invocation = invocation };
    char urn[PLANE_URN_MAX] = "";
    struct err err = { 0 };
    if (invocation->operand_count)
        op_urn("workspace-operation", invocation->operands[0], urn);
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = follow_events(plane, &follow, urn, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}
