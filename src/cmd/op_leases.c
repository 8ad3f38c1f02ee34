/* op_leases: the answers that let something through, as long as they do. */
#include "base/json.h"
#include "cmd/op_decide.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "plane/card.h"

#define LABEL_COLUMNS 13

const struct option_row op_leases_options[OP_LEASES_OPTION_COUNT] = {
    { "json", 'j', NULL, "print the DecisionCard of each" },
    { "all", 'a', NULL, "also those that have ended or were taken back" },
};

struct listing {
    struct plane *plane;
    struct str name; /* of the thing; empty: of any */
    bool as_json, all, any;
};

/* How often it was used; a lease without a count is not counted. */
static uint64_t uses_of(struct plane *plane, struct str card)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char id[PLANE_URN_MAX + 32];
    struct err none;
    int64_t revision;
    snprintf(id, sizeof(id), "decision-lease:%.*s", STR_ARG(card));
    if (ledger_get_document(plane_ledger(plane), str_from(id), &text, &revision, &none) < 0 ||
        json_read(buf_str(&text), &json_limits_default, &doc, &none) < 0)
        return 0;
    return count_of(member(yyjson_doc_get_root(doc), "uses"));
}

static void print_lease(const struct listing *listing, const struct card *card, bool holds)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    const yyjson_val *answer = member(card->root, "answer"), *lease = member(answer, "lease");
    struct str id = text_of(member(card->root, "id"));
    uint64_t most = count_of(member(lease, "maxUses"));
    buf_addf(&line, "%.*s %.*s: %.*s, for this %.*s (%.*s) until %.*s",
             STR_ARG(text_of(at(card->root, "/resource/kind"))),
             STR_ARG(text_of(at(card->root, "/resource/name"))),
             STR_ARG(text_of(member(answer, "optionId"))), STR_ARG(text_of(member(lease, "scope"))),
             STR_ARG(text_of(member(lease, "scopeRef"))),
             STR_ARG(text_of(member(lease, "expiresAt"))));
    if (most)
        buf_addf(&line, ", %llu of %llu uses", (unsigned long long)uses_of(listing->plane, id),
                 (unsigned long long)most);
    if (member(lease, "toolDigest"))
        buf_addf(&line, ", as long as its program is %.*s",
                 STR_ARG(text_of(member(lease, "toolDigest"))));
    if (member(lease, "revokedAt"))
        buf_add_text(&line, "; taken back");
    else if (!holds)
        buf_add_text(&line, "; over");
    op_print_wrapped("lease", LABEL_COLUMNS, buf_str(&line));
    buf_reset(&line);
    buf_addf(&line, "%.*s at %.*s", STR_ARG(text_of(member(answer, "answeredByRef"))),
             STR_ARG(text_of(member(answer, "answeredAt"))));
    op_print_wrapped("given by", LABEL_COLUMNS, buf_str(&line));
    buf_reset(&line);
    buf_addf(&line, "agent-machine op decide %.*s no", STR_ARG(urn_local(id)));
    if (holds)
        op_print_wrapped("take it back", LABEL_COLUMNS, buf_str(&line));
}

static int list_one(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    struct listing *listing = context;
    struct card card = { .revision = revision };
    (void)id;
    int r = json_read(json, &json_limits_default, &card.doc, err);
    if (r < 0)
        return r;
    card.root = yyjson_doc_get_root(card.doc);
    const yyjson_val *lease = at(card.root, "/answer/lease");
    uint64_t most = count_of(member(lease, "maxUses"));
    bool holds = card_lease_holds(&card) &&
                 (!most || uses_of(listing->plane, text_of(member(card.root, "id"))) < most);
    bool is_asked =
        !listing->name.len || str_equal(text_of(at(card.root, "/resource/name")), listing->name);
    if (lease && is_asked && (holds || listing->all)) {
        if (listing->as_json) {
            struct buf out = BUF_INIT;
            json_add_value(&out, card.root, 0);
            puts(out.data);
            buf_release(&out);
        } else {
            if (listing->any)
                putchar('\n');
            print_lease(listing, &card, holds);
        }
        listing->any = true;
    }
    card_release(&card);
    return 0;
}

int run_op_leases(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct listing listing = { .as_json = invocation->values[0], .all = invocation->values[1] };
    struct err err = { 0 };
    int r = op_open(LEDGER_READ, &plane, &err);
    listing.plane = plane;
    if (r == 0)
        r = ledger_each_document(plane_ledger(plane), STR(CARD_TYPE), STR(""), list_one, &listing,
                                 &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

void op_print_leases_of(struct str name)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct listing listing = { .name = name, .any = true };
    struct err none;
    if (op_open(LEDGER_READ, &plane, &none) < 0)
        return; /* where there is no ledger nobody has answered anything */
    listing.plane = plane;
    (void)!ledger_each_document(plane_ledger(plane), STR(CARD_TYPE), STR(""), list_one, &listing,
                                &none);
}
