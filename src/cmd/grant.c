/* grant: tools granted to a subject until a time, and taken back. */
#include "plane/grant.h"

#include <ctype.h>
#include <time.h>

#include "base/clock.h"
#include "cmd/grant.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "machine/surface.h"
#include "machine/surface_program.h"

#define STEP              "read the options"
#define TOOLS_MAX         1000 /* as the schema has it */
#define WORKSPACE_DEFAULT "personal"

/* --- what both share ----------------------------------------------------------------------- */

/* Gives the command to the plane and says what became of it. */
static int submit(const struct invocation *invocation, const struct submission *submission,
                  enum ledger_mode mode, bool json)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    char record[PLANE_URN_MAX];
    struct outcome outcome;
    struct err err = { 0 };
    int r = op_open(mode, &plane, &err);
    if (r == 0)
        r = plane_write_submit(submission, &command, &err);
    if (r == 0)
        r = plane_submit(plane, buf_str(&command), NULL, &outcome, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (outcome.failure.code && !json)
        return tell_error(invocation, &outcome.failure);
    const char *local = strrchr(outcome.operation, ':');
    op_urn("tool-grant-record", local ? local + 1 : "", record);
    if (json)
        op_print_outcome(&outcome, record);
    else
        puts(record);
    return err_exit_status(outcome.failure.code);
}

/* --- apply --------------------------------------------------------------------------------- */

enum {
    APPLY_TO,
    APPLY_UNTIL,
    APPLY_FOR,
    APPLY_WORKSPACE,
    APPLY_DELEGATION,
    APPLY_KEY,
    APPLY_REASON,
    APPLY_JSON
};

static const struct option_row apply_options[] = {
    [APPLY_TO] = { "to", 't', "SUBJECT", "who may use them: a URN, or the name of an agent" },
    [APPLY_UNTIL] = { "until", 'u', "TIME", "until when: 2026-11-20T20:00:00Z, or 20:00 here" },
    [APPLY_FOR] = { "for", 'f', "DURATION", "for how long, such as 8h, 45m, 7d" },
    [APPLY_WORKSPACE] = { "workspace", 'w', "ID", "in which workspace (" WORKSPACE_DEFAULT ")" },
    [APPLY_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [APPLY_KEY] = { "key", 'k', "KEY", "the same key twice is one grant" },
    [APPLY_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [APPLY_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
};

/* The next time that the clock here shows HH:MM. */
static bool read_clock(const char *text, int64_t now_ms, int64_t *ret_ms)
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm when;
    if (strlen(text) != 5 || text[2] != ':' || !isdigit((unsigned char)text[0]) ||
        !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[3]) ||
        !isdigit((unsigned char)text[4]) || !localtime_r(&now, &when))
        return false;
    when.tm_hour = (text[0] - '0') * 10 + text[1] - '0';
    when.tm_min = (text[3] - '0') * 10 + text[4] - '0';
    when.tm_sec = 0;
    when.tm_isdst = -1;
    if (when.tm_hour > 23 || when.tm_min > 59)
        return false;
    struct tm next = when;
    time_t end = mktime(&when);
    if (end <= now) {
        next.tm_mday++;
        end = mktime(&next);
    }
    *ret_ms = (int64_t)end * 1000;
    return end > now;
}

static int read_end(const struct invocation *invocation, char ret[CLOCK_TEXT_SIZE], struct err *err)
{
    const char *until = invocation->values[APPLY_UNTIL], *length = invocation->values[APPLY_FOR];
    int64_t now = clock_now_ms(), end = 0;
    if (!until == !length)
        return err_set(err, ERR_USAGE, STEP, "a grant has an end: give --until or --for");
    if (length && !clock_parse_duration(str_from(length), &end))
        return err_set(err, ERR_USAGE, STEP,
                       "--for takes a time of at most ten years, such as 8h, 45m or 7d; %s is none",
                       length);
    if (length)
        end += now;
    else if (!clock_parse(str_from(until), &end) && !read_clock(until, now, &end))
        return err_set(err, ERR_USAGE, STEP,
                       "--until takes a time, such as 2026-11-20T20:00:00Z or 20:00; %s is none",
                       until);
    clock_text(end, ret);
    return 0;
}

/* The digest of a built-in surface's program, where that is found. */
static int pin_surface(const struct embedded_surface *surface, char ret[DIGEST_TEXT_SIZE],
                       struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct surface_program program;
    const char *search = getenv("PATH"), *home = getenv("HOME");
    int r = surface_read(surface, &doc, err);
    if (r == 0)
        r = surface_program_find(yyjson_doc_get_root(doc), search ? search : "", home ? home : "/",
                                 &program, err);
    if (r == 0)
        r = surface_program_digest(&program, err);
    if (r == 0)
        memcpy(ret, program.digest, DIGEST_TEXT_SIZE);
    return r;
}

/* TOOL, or TOOL=PROGRAM whose file is the pin. */
static int add_tool(struct buf *json, const char *operand, struct err *err)
{
    char urn[PLANE_URN_MAX], name[PLANE_URN_MAX], digest[DIGEST_TEXT_SIZE];
    const char *equals = strchr(operand, '=');
    size_t len = equals ? (size_t)(equals - operand) : strlen(operand);
    if (len == 0 || len >= sizeof(name) - 64)
        return err_set(err, ERR_USAGE, STEP, "`%s` is no tool", operand);
    const struct embedded_surface *surface = surface_find(str_make(operand, len));
    snprintf(name, sizeof(name), "%.*s", (int)len, operand);
    op_urn("agent-tool-surface", surface ? surface->id : name, urn);
    buf_add_text(json, "{\"toolRef\":");
    json_add_string(json, str_from(urn));
    int r = 0;
    if (equals)
        r = grant_pin(str_from(equals + 1), digest, err);
    else if (surface)
        r = pin_surface(surface, digest, err);
    if (r == 0 && (equals || surface))
        buf_addf(json, ",\"pin\":{\"kind\":\"executable\",\"digest\":\"%s\"}", digest);
    buf_add_char(json, '}');
    return r;
}

int grant_write_apply(struct buf *ret, struct str to, const char *end, char *const *tools,
                      size_t count, struct err *err)
{
    int r = 0;
    buf_add_text(ret, "{\"granteeRef\":");
    json_add_string(ret, to);
    buf_addf(ret, ",\"expiresAt\":\"%s\",\"tools\":[", end);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (i)
            buf_add_char(ret, ',');
        r = add_tool(ret, tools[i], err);
    }
    buf_add_text(ret, "]}");
    return r;
}

static int write_apply(const struct invocation *invocation, struct buf *json, struct err *err)
{
    char to[PLANE_URN_MAX], end[CLOCK_TEXT_SIZE];
    if (!invocation->values[APPLY_TO])
        return err_set(err, ERR_USAGE, STEP, "--to is missing: who may use them");
    int r = read_end(invocation, end, err);
    op_urn("agent", invocation->values[APPLY_TO], to);
    return r < 0 ? r
                 : grant_write_apply(json, str_from(to), end, invocation->operands,
                                     (size_t)invocation->operand_count, err);
}

static struct str value_of(const struct invocation *invocation, int option)
{
    return str_from(invocation->values[option] ? invocation->values[option] : "");
}

static int run_apply(const struct invocation *invocation)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    const char *given = invocation->values[APPLY_WORKSPACE];
    char workspace[PLANE_URN_MAX], delegation[PLANE_URN_MAX] = "";
    struct err err = { 0 };
    if (write_apply(invocation, &json, &err) < 0)
        return err.code == ERR_USAGE ? tell_usage(invocation->path, "%s", err.cause)
                                     : tell_error(invocation, &err);
    op_urn("workspace", given ? given : WORKSPACE_DEFAULT, workspace);
    if (invocation->values[APPLY_DELEGATION])
        op_urn("delegation", invocation->values[APPLY_DELEGATION], delegation);
    struct submission submission = { .type = OPERATION_TOOL_GRANT_APPLY,
                                     .workspace = str_from(workspace),
                                     .parameters = buf_str(&json),
                                     .delegation = str_from(delegation),
                                     .key = value_of(invocation, APPLY_KEY),
                                     .reason = value_of(invocation, APPLY_REASON) };
    return submit(invocation, &submission, LEDGER_CREATE, invocation->values[APPLY_JSON]);
}

/* --- revoke -------------------------------------------------------------------------------- */

enum { REVOKE_REASON, REVOKE_DELEGATION, REVOKE_JSON };

static const struct option_row revoke_options[] = {
    [REVOKE_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [REVOKE_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [REVOKE_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
};

/* The workspace of a grant, in which it is taken back too. */
static int read_workspace(const char *grant, char ret[PLANE_URN_MAX], struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    int r = op_open(LEDGER_READ, &plane, err);
    if (r < 0)
        return r;
    r = ledger_get_document(plane_ledger(plane), str_from(grant), &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    if (r == -ENOENT || (r == 0 && !text_is(member(root, "type"), GRANT_RECORD_TYPE)))
        return err_set(err, ERR_NOT_FOUND, "find a grant",
                       "there is no grant %s; see `agent-machine grant list`", grant);
    if (r == 0)
        snprintf(ret, PLANE_URN_MAX, "%.*s", STR_ARG(text_of(member(root, "workspaceRef"))));
    return r;
}

static int run_revoke(const struct invocation *invocation)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    char grant[PLANE_URN_MAX], workspace[PLANE_URN_MAX], delegation[PLANE_URN_MAX] = "";
    struct err err = { 0 };
    op_urn("tool-grant-record", invocation->operands[0], grant);
    if (read_workspace(grant, workspace, &err) < 0)
        return tell_error(invocation, &err);
    if (invocation->values[REVOKE_DELEGATION])
        op_urn("delegation", invocation->values[REVOKE_DELEGATION], delegation);
    buf_add_text(&json, "{\"toolGrantRecordRef\":");
    json_add_string(&json, str_from(grant));
    buf_add_char(&json, '}');
    struct submission submission = { .type = OPERATION_TOOL_GRANT_REVOKE,
                                     .workspace = str_from(workspace),
                                     .parameters = buf_str(&json),
                                     .delegation = str_from(delegation),
                                     .reason = value_of(invocation, REVOKE_REASON) };
    return submit(invocation, &submission, LEDGER_WRITE, invocation->values[REVOKE_JSON]);
}

/* --- list ---------------------------------------------------------------------------------- */

enum { LIST_JSON, LIST_ALL };

static const struct option_row list_options[] = {
    [LIST_JSON] = { "json", 'j', NULL, "print the records, each on a line" },
    [LIST_ALL] = { "all", 'a', NULL, "those that are no longer in force too" },
};

struct list {
    const struct invocation *invocation;
    struct plane *plane;
};

static void print_grant(const yyjson_val *record, const struct buf *tools)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "%.*s", STR_ARG(text_of(member(record, "id"))));
    op_print_wrapped("", 0, buf_str(&line));
    op_print_wrapped("  to", 10, text_of(member(record, "subjectRef")));
    op_print_wrapped("  in", 10, text_of(member(record, "workspaceRef")));
    op_print_wrapped("  until", 10, text_of(member(record, "expiresAt")));
    op_print_wrapped("  tools", 10, buf_str(tools));
    buf_release(&line);
}

/* Its tools with how each stands; how many are in force, or -errno. */
static int list_tools(const struct list *list, const yyjson_val *record, struct buf *ret,
                      struct err *err)
{
    static const char *const words[] = {
        [GRANT_IN_FORCE] = "in force",
        [GRANT_EXPIRED] = "expired",
        [GRANT_REVOKED] = "revoked",
        [GRANT_UNDELEGATED] = "its delegation has ended",
    };
    size_t index, count;
    yyjson_val *item;
    int in_force = 0;
    yyjson_arr_foreach(member(record, "tools"), index, count, item)
    {
        struct str tool = text_of(member(item, "toolRef"));
        enum grant_state state;
        int r = grant_tool_state(list->plane, record, tool, &state, err);
        if (r < 0)
            return r;
        in_force += state == GRANT_IN_FORCE;
        buf_addf(ret, "%s%.*s (%s)", index ? ", " : "", STR_ARG(tool), words[state]);
    }
    return in_force;
}

static int list_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    const struct list *list = context;
    bool all = list->invocation->values[LIST_ALL];
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf tools = BUF_INIT;
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *record = yyjson_doc_get_root(doc);
    bool applies = text_is(member(record, "action"), "apply");
    if (applies)
        r = list_tools(list, record, &tools, err);
    if (r < 0 || (r == 0 && !all))
        return r;
    if (list->invocation->values[LIST_JSON])
        printf("%.*s\n", STR_ARG(json));
    else if (applies)
        print_grant(record, &tools);
    return 0;
}

static int run_list(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct err err = { 0 };
    int r = op_open(LEDGER_READ, &plane, &err);
    struct list list = { .invocation = invocation, .plane = plane };
    if (r == 0)
        r = ledger_each_document(plane_ledger(plane), STR(GRANT_RECORD_TYPE), STR(""), list_one,
                                 &list, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- the table ----------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {
        .name = "apply",
        .operands = "TOOL...",
        .operands_min = 1,
        .operands_max = TOOLS_MAX,
        .summary = "Grant tools to a subject",
        .description =
            "Grants tools until a time, and prints the record. A tool is a URN, or the name of a "
            "tool surface. What is granted is pinned: the program of the tool's name in PATH, or "
            "the one given as TOOL=PROGRAM. A grant ends at its time, when it is taken back, and "
            "with the delegation under which it is given; without --delegation, that is one for "
            "this command alone, which lasts a day.",
        .options = apply_options,
        .option_count = ARRAY_LEN(apply_options),
        .run = run_apply,
    },
    {
        .name = "revoke",
        .operands = "ID",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Take a grant back",
        .description = "Takes the tools of a grant back, and prints the record that says so.",
        .options = revoke_options,
        .option_count = ARRAY_LEN(revoke_options),
        .run = run_revoke,
    },
    {
        .name = "list",
        .summary = "List the grants",
        .description = "Prints the grants that are in force: to whom, in which workspace, until "
                       "when, and which tools.",
        .options = list_options,
        .option_count = ARRAY_LEN(list_options),
        .run = run_list,
    },
    {
        .name = "surfaces",
        .operands = "[NAME]",
        .operands_max = 1,
        .summary = "List the built-in tool surfaces, or show one",
        .description =
            "Lists the tool surfaces that this program brings, and where their programs are found "
            "on this host; nothing is run. With the name of one, prints its document: a place to "
            "begin from for a surface of your own.",
        .options = grant_surfaces_options,
        .option_count = GRANT_SURFACES_OPTION_COUNT,
        .run = run_grant_surfaces,
    },
};

const struct verb verb_grant = {
    .name = "grant",
    .summary = "Grant tools and take them back",
    .description = "Grants: which tools a subject may use in a workspace, and until when.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
