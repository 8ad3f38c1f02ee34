/*
 * network firewall apply, status, remove: a plan in the nftables of this machine.
 *
 * The table belongs to the plan's first document, and to nobody else: what is
 * in it is replaced as a whole. Each act stands in the ledger as a signed
 * receipt before the kernel is asked.
 */
#include "base/json.h"
#include "cmd/first.h"
#include "cmd/network.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "doors/network/firewall_kernel.h"
#include "plane/firewall_receipt.h"

#define STEP         "apply a firewall"
#define STATE_COLUMN 12

enum { APPLY_USER, APPLY_SUBJECT, APPLY_JSON };

const struct option_row network_apply_options[NETWORK_APPLY_OPTION_COUNT] = {
    [APPLY_USER] = { "user", 'u', "USER", "only what this user's processes send" },
    [APPLY_SUBJECT] = { "subject", 0, "URN", "who runs: rules of others are left out" },
    [APPLY_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

enum { STATUS_JSON };

const struct option_row network_status_options[NETWORK_STATUS_OPTION_COUNT] = {
    [STATUS_JSON] = { "json", 'j', NULL, "print a JSON object for each table" },
};

static void add_text(struct buf *out, const char *name, const char *value)
{
    json_add_name(out, name);
    json_add_string(out, str_from(value));
}

/* --- apply --------------------------------------------------------------------------------- */

/* What is only watched, or was only read from a firewall, is not put into one. */
static int check_modes(const struct network_documents *documents, struct err *err)
{
    for (size_t i = 0; i < documents->count; i++) {
        const yyjson_val *root = documents->roots[i], *mode = member(root, "mode");
        if (text_is(mode, "observe") || text_is(mode, "import-only"))
            return err_set(err, ERR_DENIED, STEP,
                           "the mode of %.*s is %.*s, and nothing of it is applied; set it to "
                           "enforce, or to plan",
                           STR_ARG(text_of(member(root, "id"))), STR_ARG(text_of(mode)));
    }
    return 0;
}

static bool keeps_text(const struct network_documents *documents)
{
    for (size_t i = 0; i < documents->count; i++) {
        if (yyjson_is_false(at(documents->roots[i], "/evidence/emitRulePlan")))
            return false;
    }
    return true;
}

/* Loads what is recorded as intended, and records what became of it. */
static int load(struct plane *plane, const struct firewall_act *act,
                struct firewall_sealing *sealing, struct err *err)
{
    _cleanup_(buf_release) struct buf listing = BUF_INIT;
    int r = firewall_receipt_begin(plane, act, sealing, err);
    if (r < 0)
        return r;
    r = firewall_kernel_load(act->text, err);
    if (r == 0)
        r = firewall_kernel_list(act->table, &listing, err);
    if (r == 0)
        r = err_set(err, ERR_CONFLICT, STEP, "the table was gone as soon as it was loaded");
    if (r == 1)
        return firewall_receipt_end(plane, act, sealing, FIREWALL_DONE, buf_str(&listing), err);
    if (firewall_receipt_end(plane, act, sealing, FIREWALL_FAILED, STR(""), NULL) < 0)
        return r; /* it stays `intended`, and status says that it is unfinished */
    return r;
}

static void print_applied(const struct network_planned *planned,
                          const struct firewall_sealing *sealing, bool as_json)
{
    const char *table = firewall_plan_table(planned->plan);
    const struct firewall_notes *notes = firewall_plan_notes(planned->plan);
    if (as_json) {
        _cleanup_(buf_release) struct buf out = BUF_INIT;
        buf_add_char(&out, '{');
        add_text(&out, "table", table);
        add_text(&out, "receipt", sealing->id);
        add_text(&out, "textDigest", sealing->text_digest);
        buf_addf(&out, ",\"unsupported\":%zu}", notes->count);
        puts(out.data);
        return;
    }
    printf("applied: table inet %s\nreceipt: %s\n", table, sealing->id);
    network_tell_notes(notes);
}

int run_network_apply(const struct invocation *invocation)
{
    const char *const *values = invocation->values;
    const char *subject = values[APPLY_SUBJECT];
    struct firewall_scope scope = { .subject = subject ? str_from(subject) : STR("") };
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct network_planned planned = { 0 };
    struct firewall_sealing sealing;
    struct err err = { 0 };
    int r = network_read_user(values[APPLY_USER], &scope.uid, &err);
    if (r == 0)
        r = network_planned_open(invocation, &scope, FIREWALL_NFTABLES, &planned, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    struct firewall_act act = { .action = FIREWALL_ACTION_APPLY,
                                .table = str_from(firewall_plan_table(planned.plan)),
                                .text = buf_str(&planned.text),
                                .documents = planned.documents.roots,
                                .document_count = planned.documents.count,
                                .keep_text = keeps_text(&planned.documents) };
    r = check_modes(&planned.documents, &err);
    if (r == 0)
        r = first_open(&(struct plane_options){ 0 }, NULL, &plane, &err);
    if (r == 0)
        r = load(plane, &act, &sealing, &err);
    if (r == 0)
        print_applied(&planned, &sealing, values[APPLY_JSON]);
    network_planned_close(&planned);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- which table --------------------------------------------------------------------------- */

/* The name of a table, or the profile whose table is meant. */
static int read_table(const struct invocation *invocation, char ret[FIREWALL_NAME_MAX],
                      struct err *err)
{
    const char *given = invocation->operands[0];
    const struct firewall_scope scope = { .uid = -1 };
    struct network_documents documents = { 0 };
    struct firewall_plan *plan = NULL;
    if (firewall_table_is(str_from(given)) && access(given, F_OK) < 0) {
        snprintf(ret, FIREWALL_NAME_MAX, "%s", given);
        return 0;
    }
    int r = network_documents_open(invocation, "firewall-binding-profile", &documents, err);
    if (r == 0)
        r = firewall_plan_new(&scope, &plan, err);
    if (r == 0)
        r = firewall_plan_add(plan, documents.roots[0], err);
    if (r == 0)
        snprintf(ret, FIREWALL_NAME_MAX, "%s", firewall_plan_table(plan));
    firewall_plan_free(plan);
    network_documents_close(&documents);
    return r;
}

/* --- status -------------------------------------------------------------------------------- */

#define STATE_TABLE_OF_TABLES(X)                                                                   \
    X(TABLE_IN_FORCE, "in-force")                                                                  \
    X(TABLE_REMOVED, "removed")                                                                    \
    X(TABLE_CHANGED, "changed")                                                                    \
    X(TABLE_ABSENT, "absent")                                                                      \
    X(TABLE_UNFINISHED, "unfinished")                                                              \
    X(TABLE_UNRECORDED, "unrecorded")

enum table_state {
#define X(state, name) state,
    STATE_TABLE_OF_TABLES(X)
#undef X
        TABLE_STATE_COUNT
};
static const char *const table_states[TABLE_STATE_COUNT] = {
#define X(state, name) [state] = name,
    STATE_TABLE_OF_TABLES(X)
#undef X
};

struct showing {
    bool as_json, all_well;
    size_t count;
};

static enum table_state state_of(const struct firewall_receipt *receipt, bool is_there,
                                 const char *digest)
{
    if (receipt->outcome != FIREWALL_DONE)
        return TABLE_UNFINISHED;
    if (receipt->action == FIREWALL_ACTION_REMOVE)
        return is_there ? TABLE_UNRECORDED : TABLE_REMOVED;
    if (!is_there)
        return TABLE_ABSENT;
    return strcmp(digest, receipt->listing_digest) == 0 ? TABLE_IN_FORCE : TABLE_CHANGED;
}

static void show(struct showing *showing, const char *table, enum table_state state,
                 const struct firewall_receipt *receipt)
{
    showing->count++;
    showing->all_well = showing->all_well && state <= TABLE_REMOVED;
    if (showing->as_json) {
        _cleanup_(buf_release) struct buf out = BUF_INIT;
        buf_add_char(&out, '{');
        add_text(&out, "table", table);
        add_text(&out, "state", table_states[state]);
        if (receipt) {
            add_text(&out, "action", firewall_action_names[receipt->action]);
            add_text(&out, "outcome", firewall_outcome_names[receipt->outcome]);
            add_text(&out, "issuedAt", receipt->issued_at);
            add_text(&out, "receipt", receipt->id);
        }
        buf_add_char(&out, '}');
        puts(out.data);
        return;
    }
    printf("%-*s%s%s%s\n", STATE_COLUMN, table_states[state], table, receipt ? "  " : "",
           receipt ? receipt->issued_at : "");
}

static int list_digest(const char *table, bool *ret_there, char ret[DIGEST_TEXT_SIZE],
                       struct err *err)
{
    _cleanup_(buf_release) struct buf listing = BUF_INIT;
    int r = firewall_kernel_list(str_from(table), &listing, err);
    *ret_there = r == 1;
    return r < 0 ? r : digest_text(buf_str(&listing), ret, err);
}

static int show_receipt(void *context, const struct firewall_receipt *receipt, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    bool is_there;
    int r = list_digest(receipt->table, &is_there, digest, err);
    if (r == 0)
        show(context, receipt->table, state_of(receipt, is_there, digest), receipt);
    return r;
}

/* A table that was asked for and has no receipt. */
static int show_unrecorded(struct showing *showing, const char *table, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    bool is_there;
    int r = list_digest(table, &is_there, digest, err);
    if (r == 0)
        show(showing, table, is_there ? TABLE_UNRECORDED : TABLE_ABSENT, NULL);
    return r;
}

int run_network_status(const struct invocation *invocation)
{
    struct showing showing = { .as_json = invocation->values[STATUS_JSON], .all_well = true };
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    char table[FIREWALL_NAME_MAX] = "";
    struct err err = { 0 };
    int r = invocation->operand_count ? read_table(invocation, table, &err) : 0;
    if (r == 0 && op_open(LEDGER_READ, &plane, &err) < 0)
        r = err.code == ERR_NOT_FOUND ? 0 : -EIO; /* nothing was ever recorded */
    else if (r == 0)
        r = firewall_receipt_each(plane, str_from(table), show_receipt, &showing, &err);
    if (r == 0 && table[0] && !showing.count)
        r = show_unrecorded(&showing, table, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (!showing.count && !showing.as_json)
        puts("no firewall was applied");
    return showing.all_well ? EXIT_OK : EXIT_NEGATIVE;
}

/* --- remove -------------------------------------------------------------------------------- */

static int take_out(struct plane *plane, const char *table, struct firewall_sealing *sealing,
                    struct err *err)
{
    _cleanup_(buf_release) struct buf listing = BUF_INIT;
    struct firewall_act act = { .action = FIREWALL_ACTION_REMOVE, .table = str_from(table) };
    int r = firewall_kernel_list(act.table, &listing, err);
    if (r == 0)
        return err_set(err, ERR_NOT_FOUND, "remove a firewall", "there is no table inet %s", table);
    act.text = buf_str(&listing);
    if (r == 1)
        r = firewall_receipt_begin(plane, &act, sealing, err);
    if (r < 0)
        return r;
    r = firewall_kernel_remove(act.table, err);
    int sealed = firewall_receipt_end(plane, &act, sealing, r < 0 ? FIREWALL_FAILED : FIREWALL_DONE,
                                      STR(""), r < 0 ? NULL : err);
    return r < 0 ? r : sealed;
}

int run_network_remove(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct firewall_sealing sealing;
    char table[FIREWALL_NAME_MAX];
    struct err err = { 0 };
    int r = read_table(invocation, table, &err);
    if (r == 0)
        r = first_open(&(struct plane_options){ 0 }, NULL, &plane, &err);
    if (r == 0)
        r = take_out(plane, table, &sealing, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (invocation->values[STATUS_JSON]) {
        _cleanup_(buf_release) struct buf out = BUF_INIT;
        buf_add_char(&out, '{');
        add_text(&out, "table", table);
        add_text(&out, "receipt", sealing.id);
        buf_add_char(&out, '}');
        puts(out.data);
    } else
        printf("removed: table inet %s\nreceipt: %s\n", table, sealing.id);
    return EXIT_OK;
}
