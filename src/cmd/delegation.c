/* delegation: the verbs around what one party lets another do. */
#include "cmd/delegation.h"

#include "authority/key.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/place.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "plane/asked.h"

#define URN_PREFIX "urn:"

/* --- places -------------------------------------------------------------------------------- */

static int find_nothing(void *context, struct str urn, struct buf *ret, struct err *err)
{
    (void)context, (void)urn, (void)ret, (void)err;
    return -ENOENT;
}

static int nothing_revoked(void *context, struct str urn, struct err *err)
{
    (void)context, (void)urn, (void)err;
    return 0;
}

static int open_root(const char *root, struct sign_public *ret, struct err *err)
{
    char config[PLACE_SIZE], path[PLACE_SIZE + sizeof(KEY_PUBLIC_FILE)];
    if (root)
        return key_open_public(root, ret, err);
    int r = place_config(config, sizeof(config), err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s/%s", config, KEY_PUBLIC_FILE);
    r = key_open_public(path, ret, err);
    if (r == -ENOENT)
        r = err_set(err, ERR_NOT_FOUND, "find your key",
                    "you have no key yet (%s); make one: agent-machine init", path);
    return r;
}

int delegation_place_open(const char *root, enum ledger_mode mode, struct delegation_place *ret,
                          struct err *err)
{
    char state[PLACE_SIZE];
    struct sign_public public;
    struct ledger *ledger;
    int r = open_root(root, &public, err);
    if (r == 0)
        r = place_state(state, sizeof(state), err);
    if (r == 0)
        r = ledger_open(state, mode, &ledger, err);
    if (r < 0)
        return r;
    ret->ledger = ledger;
    delegation_source_of(ledger, &public, &ret->source);
    return 0;
}

void delegation_place_close(struct delegation_place *place)
{
    ledger_close(place->ledger);
}

/* As delegation_place_open for reading; a root alone is enough where there is no ledger. */
static int open_to_verify(const char *root, struct delegation_place *ret, struct err *err)
{
    struct err missing = { 0 };
    struct delegation_place place = { .source = { .fetch = find_nothing,
                                                  .revoked = nothing_revoked } };
    int r = open_root(root, &place.source.root, err);
    if (r < 0)
        return r;
    r = delegation_place_open(root, LEDGER_READ, ret, &missing);
    if (r < 0 && missing.code != ERR_NOT_FOUND) {
        *err = missing;
        return r;
    }
    if (r < 0)
        *ret = place;
    return 0;
}

/* Appends the envelope that an operand names: a URN of the ledger's, or a file. */
static int read_envelope(const struct delegation_place *place, const char *operand, struct buf *ret,
                         struct err *err)
{
    struct str name = str_from(operand);
    if (!str_starts(name, STR(URN_PREFIX)))
        return file_read(operand, ret, err);
    int r = place->source.fetch(place->source.context, name, ret, err);
    if (r == -ENOENT)
        r = err_set(err, ERR_NOT_FOUND, "find a delegation",
                    "the ledger has no delegation %s; see `agent-machine delegation list`",
                    operand);
    return r;
}

/* --- printing ------------------------------------------------------------------------------ */

int delegation_print(struct str envelope, bool is_whole, bool as_json, struct err *err)
{
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = is_whole ? buf_add_str(&payload, envelope) : dsse_peek(envelope, &payload, err);
    if (r == 0)
        r = json_read(buf_str(&payload), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    if (json_add_value(&out, yyjson_doc_get_root(doc), as_json ? 0 : 2) < 0)
        return err_set(err, ERR_MEMORY, "print a delegation", "there is not enough memory");
    puts(out.data);
    return 0;
}

static void print_refusal_json(const struct err *err)
{
    struct buf out = BUF_INIT;
    buf_add_char(&out, '{');
    json_add_text(&out, "verdict", STR("denied"));
    json_add_text(&out, "code", str_from(err_id(err->code)));
    json_add_text(&out, "where", str_from(err->where));
    json_add_text(&out, "cause", str_from(err->cause));
    buf_add_char(&out, '}');
    puts(out.data);
    buf_release(&out);
}

/* --- show ---------------------------------------------------------------------------------- */

enum { SHOW_ENVELOPE, SHOW_JSON };

static const struct option_row show_options[] = {
    [SHOW_ENVELOPE] = { "envelope", 'e', NULL, "print the signed envelope" },
    [SHOW_JSON] = { "json", 'j', NULL, "print JSON on one line" },
};

static int show(const struct invocation *invocation, struct err *err)
{
    struct delegation_place place = { .source = { .fetch = find_nothing } };
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    const char *operand = invocation->operands[0];
    int r = str_starts(str_from(operand), STR(URN_PREFIX))
                ? delegation_place_open(NULL, LEDGER_READ, &place, err)
                : 0;
    if (r < 0)
        return r;
    r = read_envelope(&place, operand, &envelope, err);
    if (r == 0)
        r = delegation_print(buf_str(&envelope), invocation->values[SHOW_ENVELOPE],
                             invocation->values[SHOW_JSON], err);
    delegation_place_close(&place);
    return r;
}

static int run_show(const struct invocation *invocation)
{
    struct err err = { 0 };
    return show(invocation, &err) < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- verify -------------------------------------------------------------------------------- */

enum { VERIFY_ROOT, VERIFY_JSON };

static const struct option_row verify_options[] = {
    [VERIFY_ROOT] = { "root", 'r', "KEY", "trust this public key instead of yours" },
    [VERIFY_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

static void print_chain(const struct delegation *delegation, bool as_json)
{
    char end[CLOCK_TEXT_SIZE];
    struct buf out = BUF_INIT;
    clock_text(delegation->expires_ms, end);
    if (as_json) {
        buf_add_char(&out, '{');
        json_add_text(&out, "verdict", STR("in-force"));
        json_add_text(&out, "id", delegation->id);
        json_add_text(&out, "subjectRef", delegation->subject);
        json_add_text(&out, "expiresAt", str_from(end));
        buf_add_text(&out, ",\"chain\":[");
        for (size_t i = delegation->chain_count; i-- > 0;) {
            json_add_string(&out, str_from(delegation->chain[i]));
            buf_add_text(&out, i ? "," : "]}");
        }
        puts(out.data);
        buf_release(&out);
        return;
    }
    printf("%sin force%s until %s, held by ", tell_colour(stdout, COLOUR_GOOD),
           tell_colour_end(stdout), end);
    buf_add_str(&out, delegation->subject);
    tell_text(stdout, out.data);
    putchar('\n');
    for (size_t i = delegation->chain_count; i-- > 0;)
        printf("  link %zu  %s\n", delegation->chain_count - i, delegation->chain[i]);
    buf_release(&out);
}

static int verify(const struct invocation *invocation, struct err *err)
{
    struct delegation_place place;
    struct delegation delegation;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    int r = open_to_verify(invocation->values[VERIFY_ROOT], &place, err);
    if (r < 0)
        return r;
    r = read_envelope(&place, invocation->operands[0], &envelope, err);
    if (r == 0)
        r = delegation_verify(buf_str(&envelope), &place.source, clock_now_ms(), &delegation, err);
    if (r == 0) {
        print_chain(&delegation, invocation->values[VERIFY_JSON]);
        delegation_release(&delegation);
    }
    delegation_place_close(&place);
    return r;
}

static int run_verify(const struct invocation *invocation)
{
    struct err err = { 0 };
    if (verify(invocation, &err) == 0)
        return EXIT_OK;
    if (!invocation->values[VERIFY_JSON] || err.code != ERR_DENIED)
        return tell_error(invocation, &err);
    print_refusal_json(&err);
    return err_exit_status(err.code);
}

/* --- revoke -------------------------------------------------------------------------------- */

enum { REVOKE_REASON, REVOKE_JSON };

static const struct option_row revoke_options[] = {
    [REVOKE_REASON] = { "reason", 'r', "TEXT", "why" },
    [REVOKE_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

/* 1 it is revoked now, 0 it was so before. */
static int put_revocation(struct ledger *ledger, struct str urn, const char *reason,
                          struct err *err)
{
    char user[KEY_USER_TEXT_MAX];
    struct ledger_batch *batch;
    struct ledger_position position;
    struct err inner = { 0 };
    int r = ledger_batch_new(&batch, err);
    if (r < 0)
        return r;
    key_user(user);
    r = delegation_put_revocation(batch, urn, str_from(user), str_from(reason ? reason : ""),
                                  clock_now_ms(), &inner);
    if (r == 0)
        r = ledger_commit(ledger, batch, &position, &inner);
    ledger_batch_free(batch);
    if (r == 0 || inner.code == ERR_CONFLICT)
        return r == 0;
    *err = inner;
    return r;
}

static int revoke_named(const struct invocation *invocation, struct err *err)
{
    struct delegation_place place;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    const char *operand = invocation->operands[0];
    char state[PLACE_SIZE];
    if (!str_starts(str_from(operand), STR(URN_PREFIX)))
        return err_set(err, ERR_USAGE, "read the options", "%s is no URN of a delegation", operand);
    int r = delegation_place_open(NULL, LEDGER_WRITE, &place, err);
    if (r < 0)
        return r;
    r = read_envelope(&place, operand, &envelope, err);
    if (r == 0)
        r = put_revocation(place.ledger, str_from(operand), invocation->values[REVOKE_REASON], err);
    if (r >= 0 && invocation->values[REVOKE_JSON])
        printf("{\"id\":\"%s\",\"revoked\":true,\"already\":%s}\n", operand, r ? "false" : "true");
    else if (r >= 0)
        printf("%s %s\n", operand, r ? "is revoked" : "was revoked already");
    if (r > 0 && place_state(state, sizeof(state), NULL) == 0)
        asked_ring(state, STR("")); /* whoever runs under it */
    delegation_place_close(&place);
    return r;
}

static int run_revoke(const struct invocation *invocation)
{
    struct err err = { 0 };
    return revoke_named(invocation, &err) < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- list ---------------------------------------------------------------------------------- */

enum { LIST_JSON };

static const struct option_row list_options[] = {
    [LIST_JSON] = { "json", 'j', NULL, "print a JSON object for each" },
};

struct listing {
    const struct delegation_place *place;
    bool as_json;
    int64_t now_ms;
    size_t count;
};

/* One word for what a delegation is worth now; `why` is filled where it is not in force. */
static const char *state_of(const struct listing *listing, struct str id, const yyjson_val *root,
                            struct str envelope, struct err *why)
{
    const struct delegation_source *source = &listing->place->source;
    struct delegation delegation;
    int64_t end_ms = INT64_MAX;
    if (delegation_verify(envelope, source, listing->now_ms, &delegation, why) == 0) {
        delegation_release(&delegation);
        return "in-force";
    }
    if (source->revoked(source->context, id, NULL) > 0)
        return "revoked";
    if (clock_parse(text_of(member(root, "expiresAt")), &end_ms) && listing->now_ms >= end_ms)
        return "expired";
    return "refused";
}

static void print_entry(const struct listing *listing, const char *state, struct str id,
                        const yyjson_val *root, const struct err *why)
{
    static const char *const members[] = { "issuerRef", "subjectRef", "notBefore", "expiresAt" };
    struct buf out = BUF_INIT;
    bool in_force = strcmp(state, "in-force") == 0;
    if (listing->as_json) {
        buf_add_char(&out, '{');
        json_add_text(&out, "id", id);
        json_add_text(&out, "state", str_from(state));
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            json_add_text(&out, members[i], text_of(member(root, members[i])));
        if (!in_force)
            json_add_text(&out, "cause", str_from(why->cause));
        buf_add_char(&out, '}');
        puts(out.data);
    } else {
        buf_addf(&out, "%.*s", STR_ARG(id));
        printf("%s%-9s%s ", tell_colour(stdout, in_force ? COLOUR_GOOD : COLOUR_DIM), state,
               tell_colour_end(stdout));
        tell_text(stdout, out.data);
        fputs("\n          to ", stdout);
        buf_reset(&out);
        buf_add_str(&out, text_of(member(root, "subjectRef")));
        tell_text(stdout, out.data);
        printf(" until %.*s\n", STR_ARG(text_of(member(root, "expiresAt"))));
    }
    buf_release(&out);
}

static int list_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    struct listing *listing = context;
    struct err why = { 0 };
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)revision;
    int r = delegation_peek(json, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    print_entry(listing, state_of(listing, id, root, json, &why), id, root, &why);
    listing->count++;
    return 0;
}

static int run_list(const struct invocation *invocation)
{
    struct delegation_place place;
    struct err err = { 0 };
    if (delegation_place_open(NULL, LEDGER_READ, &place, &err) < 0)
        return tell_error(invocation, &err);
    struct listing listing = { .place = &place,
                               .as_json = invocation->values[LIST_JSON],
                               .now_ms = clock_now_ms() };
    int r = ledger_each_document(place.ledger, STR(DELEGATION_ENVELOPE_TYPE), STR(""), list_one,
                                 &listing, &err);
    delegation_place_close(&place);
    if (r < 0)
        return tell_error(invocation, &err);
    if (!listing.count && !listing.as_json)
        puts("nothing is delegated; see `agent-machine help delegation issue`");
    return EXIT_OK;
}

/* --- the table ----------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {
        .name = "issue",
        .summary = "Let somebody do something, for some time",
        .description =
            "Signs a delegation with your key, keeps it in the ledger and prints it. What is not "
            "named is not delegated: --to, --operation and --workspace are needed, lists that are "
            "left out are empty, amounts are 0, and without --network there is no network. It "
            "lasts 8 hours unless --for says otherwise. LISTs are separated by commas.\n\n"
            "With --depth and --subject-key the subject may pass a part of it on.",
        .options = delegation_issue_options,
        .option_count = DELEGATION_ISSUE_OPTION_COUNT,
        .run = run_delegation_issue,
    },
    {
        .name = "attenuate",
        .summary = "Pass a part of a delegation on",
        .description =
            "Makes a narrower delegation from one that you hold (--from), signed with your key "
            "(--key), for somebody else (--to). What is not named is as in the one above, but it "
            "may not be passed on further unless --depth says so. What would be wider is refused.",
        .options = delegation_attenuate_options,
        .option_count = DELEGATION_ATTENUATE_OPTION_COUNT,
        .run = run_delegation_attenuate,
    },
    {
        .name = "verify",
        .operands = "URN|FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Check a delegation and the chain above it",
        .description =
            "Checks every signature from the delegation up to your key, that nothing grew on the "
            "way, that all are in force now and none is revoked, and prints the chain. FILE is an "
            "envelope. The exit status is 0 if it holds, 77 if it does not; then the link, the "
            "place in it, and what to do are said.",
        .options = verify_options,
        .option_count = ARRAY_LEN(verify_options),
        .run = run_verify,
    },
    {
        .name = "show",
        .operands = "URN|FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Print a delegation",
        .description = "Prints the document, or with --envelope what was signed, such as to hand "
                       "it on. Nothing is checked: see `delegation verify`.",
        .options = show_options,
        .option_count = ARRAY_LEN(show_options),
        .run = run_show,
    },
    {
        .name = "revoke",
        .operands = "URN",
        .operand_kind = OPERAND_NOTHING,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "End a delegation and all that was passed on from it",
        .description = "Records the revocation in the ledger. From then on nothing starts under "
                       "the delegation or under what was passed on from it, and what runs ends.",
        .options = revoke_options,
        .option_count = ARRAY_LEN(revoke_options),
        .run = run_revoke,
    },
    {
        .name = "list",
        .summary = "List the delegations of the ledger",
        .description = "Prints each delegation with its state now: in-force, expired, revoked, or "
                       "refused (`delegation verify` says why), oldest first.",
        .options = list_options,
        .option_count = ARRAY_LEN(list_options),
        .run = run_list,
    },
};

const struct verb verb_delegation = {
    .name = "delegation",
    .summary = "Let others act for you, narrowly and for a time",
    .description = "Delegations: signed documents that let a subject ask for some operations, on "
                   "some things, up to some amounts, until some moment; and that are only ever "
                   "passed on narrower.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
