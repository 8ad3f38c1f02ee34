/*
 * delegation: chains of authority, from what is presented up to a key that is
 * trusted, and down again.
 *
 * Theory of operation. A chain is gathered first: the envelope presented, the
 * one that its parent names, and so on, each read without trust, only to learn
 * which is above it. The last must name no parent; its signature must be the
 * root key's. From there down each link is held against the one above: its
 * signature is by the key that stands there, and it names that document by its
 * digest, is issued by its subject, and is within it in every respect
 * (contract/narrow.c). Then each link is held against the moment and against
 * the revocations. What is asked for is held against the last link alone,
 * since all the others are wider.
 *
 * Invariants:
 *  1. Nothing of a payload is believed before its schema accepted it, and
 *     nothing is granted before every signature up to the root held; but for
 *     what this process has just written and signed itself (delegation_mint).
 *  2. A denial names the link, the place in it, and what to do.
 *  3. Whatever cannot be decided (a parent that is missing, a ledger that
 *     cannot be read) is a failure, and so a denial.
 *
 * Threats: a holder who widens, lends or re-dates what it holds; a chain that
 * loops or never ends; a parent swapped for another of the same name; a clock
 * that is wrong (a beginning has DELEGATION_CLOCK_SKEW_MS of grace, an end has
 * none). Who holds the root key can issue anything.
 *
 * Limits: DELEGATION_DEPTH_MAX + 1 links of DELEGATION_BYTES_MAX each. The
 * program of the schema is compiled once and kept for the process; one thread
 * at a time.
 */
#include "authority/delegation.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "contract/jcs.h"
#include "contract/narrow.h"
#include "contract/rules.h"
#include "contract/validate.h"

#define STEP       "verify a delegation"
#define STEP_SEAL  "sign a delegation"
#define STEP_COVER "look into the delegation"
#define RULE       "no-delegation" /* by which it is refused to do what is not covered */
#define LINKS_MAX  (DELEGATION_DEPTH_MAX + 1)

struct link {
    struct buf envelope;
    yyjson_doc *doc;
    yyjson_val *root;
    struct str id;
};

/* The chain, from the envelope that was presented (0) up to the root's. */
struct chain {
    const struct delegation_source *source;
    struct link links[LINKS_MAX];
    size_t count;
};

static int gather(struct chain *chain, struct str envelope, struct err *err);
static int check_signatures(const struct chain *chain, struct err *err);
static int check_narrowing(const struct chain *chain, struct err *err);
static int check_in_force(const struct chain *chain, int64_t now_ms, struct err *err);
static int take_last(struct chain *chain, struct delegation *ret, struct err *err);

static void chain_release(struct chain *chain)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        yyjson_doc_free(chain->links[i].doc);
        buf_release(&chain->links[i].envelope);
    }
}

int delegation_verify(struct str envelope, const struct delegation_source *source, int64_t now_ms,
                      struct delegation *ret, struct err *err)
{
    struct chain chain = { .source = source };
    for (size_t i = 0; i < LINKS_MAX; i++)
        chain.links[i].envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    int r = gather(&chain, envelope, err);
    if (r == 0)
        r = check_signatures(&chain, err);
    if (r == 0)
        r = check_narrowing(&chain, err);
    if (r == 0)
        r = check_in_force(&chain, now_ms, err);
    if (r == 0)
        r = take_last(&chain, ret, err);
    chain_release(&chain);
    return r;
}

void delegation_release(struct delegation *delegation)
{
    yyjson_doc_free(delegation->doc);
    *delegation = (struct delegation){ 0 };
}

/* --- documents ----------------------------------------------------------------------------- */

/* Delegation's program, compiled when it is first needed. */
static int schema_program(const struct program **ret, struct err *err)
{
    static struct catalogue *catalogue;
    static const struct compile_options options = { .assert_formats = true };
    int r = catalogue ? 0 : catalogue_new(&options, &catalogue, err);
    return r < 0 ? r : catalogue_program(catalogue, catalogue_find(STR("Delegation")), ret, err);
}

/* Reads a Delegation that nobody has vouched for; its schema and its clock accept it. */
static int read_document(struct str json, yyjson_doc **ret, struct err *err)
{
    const struct program *program;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct json_limits limits = json_limits_default;
    limits.size_bytes = DELEGATION_BYTES_MAX;
    int r = json_read(json, &limits, &doc, err);
    if (r == 0)
        r = schema_program(&program, err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (r == 0)
        r = explain_check(program, root, "Delegation", STEP, err);
    if (r < 0)
        return r;
    if (text_of(member(root, "id")).len >= DELEGATION_ID_MAX) {
        r = err_set(err, ERR_LIMIT, STEP, "an id is no longer than %d bytes",
                    DELEGATION_ID_MAX - 1);
        err_where(err, "/id");
        return r;
    }
    *ret = TAKE_PTR(doc);
    return 0;
}

int delegation_seal(const struct sign_key *key, struct str json, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DELEGATION_BYTES_MAX);
    int r = read_document(json, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    struct str begin = text_of(member(root, "notBefore"));
    if (instant_compare(begin, text_of(member(root, "expiresAt"))) >= 0) {
        r = err_set(err, ERR_DOCUMENT, STEP_SEAL,
                    "it expires before it begins, at %.*s; give it a later end", STR_ARG(begin));
        err_where(err, "/expiresAt");
        return r;
    }
    r = jcs_add(&payload, root, err);
    return r < 0 ? r : dsse_seal(key, STR(DELEGATION_PAYLOAD_TYPE), buf_str(&payload), ret, err);
}

int delegation_mint(const struct sign_key *key, struct str json, struct buf *ret_envelope,
                    struct delegation *ret, struct err *err)
{
    struct chain chain = { .count = 1 };
    struct link *link = &chain.links[0];
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DELEGATION_BYTES_MAX);
    link->envelope = BUF_INIT;
    int r = json_read(json, &json_limits_default, &link->doc, err);
    if (r < 0)
        return r;
    link->root = yyjson_doc_get_root(link->doc);
    link->id = text_of(member(link->root, "id"));
    r = jcs_add(&payload, link->root, err);
    if (r == 0)
        r = dsse_seal(key, STR(DELEGATION_PAYLOAD_TYPE), buf_str(&payload), ret_envelope, err);
    if (r == 0)
        r = take_last(&chain, ret, err);
    yyjson_doc_free(link->doc);
    return r;
}

/* --- the chain ----------------------------------------------------------------------------- */

/* Says which link, and where in it; `pointer` may be empty. Links are counted from the root. */
static void name_link(const struct chain *chain, size_t index, const char *pointer, struct err *err)
{
    err_where(err, "link %zu of %zu, %.*s%s%s", chain->count - index, chain->count,
              STR_ARG(chain->links[index].id), pointer[0] ? ", " : "", pointer);
}

PRINTF_LIKE(5, 6)
static int refuse(const struct chain *chain, size_t index, const char *pointer, struct err *err,
                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = err_setv(err, ERR_DENIED, STEP, format, arguments);
    va_end(arguments);
    name_link(chain, index, pointer, err);
    return r;
}

/* Reads the next link of the chain, which `reference` (empty for the first) led to. */
static int add_link(struct chain *chain, struct str envelope, struct str reference, struct err *err)
{
    struct err inner = { 0 };
    _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DELEGATION_BYTES_MAX);
    struct link *link = &chain->links[chain->count];
    int r = envelope.len > DELEGATION_ENVELOPE_MAX
                ? err_set(&inner, ERR_LIMIT, STEP, "an envelope is no longer than %zu bytes",
                          DELEGATION_ENVELOPE_MAX)
                : dsse_peek(envelope, &payload, &inner);
    if (r == 0)
        r = read_document(buf_str(&payload), &link->doc, &inner);
    if (r < 0) {
        char place[ERR_WHERE_MAX];
        snprintf(place, sizeof(place), "%s", inner.where);
        err_where(&inner, "%s%.*s%s%s", reference.len ? "the delegation above, " : "the delegation",
                  STR_ARG(reference), place[0] ? ", " : "", place);
        if (err)
            *err = inner;
        return r;
    }
    link->root = yyjson_doc_get_root(link->doc);
    link->id = text_of(member(link->root, "id"));
    chain->count++;
    return buf_add_str(&link->envelope, envelope) < 0
               ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory")
               : 0;
}

/* The parent of the highest link so far. */
static int add_parent(struct chain *chain, struct str reference, struct err *err)
{
    size_t top = chain->count - 1;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    const char *pointer = "/parent/delegationRef";
    for (size_t i = 0; i < chain->count; i++)
        if (str_equal(chain->links[i].id, reference))
            return refuse(chain, top, pointer, err,
                          "%.*s stands further down in the same chain; a delegation is never its "
                          "own source: have it issued anew",
                          STR_ARG(reference));
    if (chain->count == LINKS_MAX)
        return refuse(chain, top, pointer, err,
                      "the chain is longer than %d links; have it issued nearer to the root",
                      LINKS_MAX);
    int r = chain->source->fetch(chain->source->context, reference, &envelope, err);
    if (r == -ENOENT)
        return refuse(chain, top, pointer, err,
                      "the delegation above, %.*s, is not here; bring its envelope, or have it "
                      "issued anew",
                      STR_ARG(reference));
    if (r == 0)
        r = add_link(chain, buf_str(&envelope), reference, err);
    if (r == 0 && !str_equal(chain->links[top + 1].id, reference))
        r = refuse(chain, top, pointer, err, "under this name %.*s is kept, which is another",
                   STR_ARG(chain->links[top + 1].id));
    return r;
}

static int gather(struct chain *chain, struct str envelope, struct err *err)
{
    int r = add_link(chain, envelope, STR(""), err);
    while (r == 0) {
        const yyjson_val *parent = at(chain->links[chain->count - 1].root, "/parent/delegationRef");
        if (!parent)
            return 0;
        r = add_parent(chain, text_of(parent), err);
    }
    return r;
}

/* --- from the root down -------------------------------------------------------------------- */

/* The key that must have signed a link. */
static int signer_of(const struct chain *chain, size_t index, struct sign_public *ret,
                     struct err *err)
{
    if (index + 1 == chain->count) {
        *ret = chain->source->root;
        return 0;
    }
    const struct link *above = &chain->links[index + 1];
    if (sign_public_parse(text_of(member(above->root, "subjectPublicKey")), ret))
        return 0;
    return refuse(chain, index, "", err,
                  "the delegation above, %.*s, names no key of its subject, who therefore cannot "
                  "pass it on; have it issued with --subject-key",
                  STR_ARG(above->id));
}

static int check_signatures(const struct chain *chain, struct err *err)
{
    int r = 0;
    for (size_t i = chain->count; r == 0 && i-- > 0;) {
        _cleanup_(buf_release) struct buf payload = BUF_INIT_LIMIT(DELEGATION_BYTES_MAX);
        struct sign_public signer;
        bool is_root = i + 1 == chain->count;
        struct err inner = { 0 };
        r = signer_of(chain, i, &signer, err);
        if (r < 0)
            return r;
        r = dsse_open(buf_str(&chain->links[i].envelope), &signer, STR(DELEGATION_PAYLOAD_TYPE),
                      &payload, &inner);
        if (r == -EACCES) {
            r = refuse(chain, i, "", err, "%s; only %s can sign it: have it issued anew",
                       inner.cause,
                       is_root ? "the user whose key is trusted here"
                               : "the subject of the delegation above");
        } else if (r < 0 && err) {
            *err = inner;
            name_link(chain, i, "", err);
        }
    }
    return r;
}

static int check_parent_digest(const struct chain *chain, size_t index, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    const struct link *above = &chain->links[index + 1];
    int r = jcs_digest(above->root, digest, err);
    if (r == 0 && !text_is(at(chain->links[index].root, "/parent/digest"), digest))
        r = refuse(chain, index, "/parent/digest", err,
                   "it was passed on from another document than the %.*s that is here, whose "
                   "digest is %s; have it issued anew",
                   STR_ARG(above->id), digest);
    return r;
}

static int check_narrowing(const struct chain *chain, struct err *err)
{
    int r = 0;
    for (size_t i = chain->count - 1; r == 0 && i-- > 0;) {
        struct err inner = { 0 };
        r = check_parent_digest(chain, i, err);
        if (r < 0)
            return r;
        r = delegation_narrows(chain->links[i + 1].root, chain->links[i].root, &inner);
        if (r < 0)
            r = refuse(chain, i, inner.where, err, "%s", inner.cause);
    }
    return r;
}

static bool moment_of(const yyjson_val *root, const char *name, int64_t *ret)
{
    return clock_parse(text_of(member(root, name)), ret);
}

static int check_window(const struct chain *chain, size_t index, int64_t now_ms, struct err *err)
{
    const yyjson_val *root = chain->links[index].root;
    int64_t begin_ms, end_ms;
    char now[CLOCK_TEXT_SIZE];
    clock_text(now_ms, now);
    if (!moment_of(root, "notBefore", &begin_ms))
        return refuse(chain, index, "/notBefore", err, "it is no moment that this program reads");
    if (!moment_of(root, "expiresAt", &end_ms))
        return refuse(chain, index, "/expiresAt", err, "it is no moment that this program reads");
    if (now_ms >= end_ms)
        return refuse(chain, index, "/expiresAt", err,
                      "it expired at %.*s, and it is %s; ask %.*s for a new one",
                      STR_ARG(text_of(member(root, "expiresAt"))), now,
                      STR_ARG(text_of(member(root, "issuerRef"))));
    if (now_ms < begin_ms - DELEGATION_CLOCK_SKEW_MS)
        return refuse(chain, index, "/notBefore", err,
                      "it is in force from %.*s on, and it is %s here; wait, or set this host's "
                      "clock",
                      STR_ARG(text_of(member(root, "notBefore"))), now);
    return 0;
}

static int check_in_force(const struct chain *chain, int64_t now_ms, struct err *err)
{
    for (size_t i = chain->count; i-- > 0;) {
        const struct link *link = &chain->links[i];
        int r = chain->source->revoked(chain->source->context, link->id, err);
        if (r < 0)
            return r;
        if (r > 0)
            return refuse(chain, i, "", err, "it was revoked%s; ask %.*s for a new one",
                          i ? ", and with it all that was passed on from it" : "",
                          STR_ARG(text_of(member(link->root, "issuerRef"))));
        r = check_window(chain, i, now_ms, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- what came of it ----------------------------------------------------------------------- */

static unsigned operation_bits(const yyjson_val *list)
{
    unsigned bits = 0;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)list, index, count, item)
    {
        int type = vocabulary_index(operation_type_names, OPERATION_TYPE_COUNT, text_of(item));
        if (type >= 0)
            bits |= 1U << type;
    }
    return bits;
}

static int take_last(struct chain *chain, struct delegation *ret, struct err *err)
{
    const yyjson_val *root = chain->links[0].root;
    struct delegation delegation = {
        .id = chain->links[0].id,
        .issuer = text_of(member(root, "issuerRef")),
        .subject = text_of(member(root, "subjectRef")),
        .operation_types = operation_bits(member(root, "operationTypes")),
        .depth = (unsigned)count_of(member(root, "depth")),
        .chain_count = chain->count,
    };
    const yyjson_val *ceiling = member(root, "budgetCeiling");
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        delegation.ceiling.of[i] = (int64_t)count_of(member(ceiling, dimension_names[i]));
    if (!moment_of(root, "notBefore", &delegation.not_before_ms) ||
        !moment_of(root, "expiresAt", &delegation.expires_ms))
        return refuse(chain, 0, "", err, "it names a moment that this program does not read");
    for (size_t i = 0; i < chain->count; i++)
        snprintf(delegation.chain[i], sizeof(delegation.chain[i]), "%.*s",
                 STR_ARG(chain->links[i].id));
    delegation.doc = TAKE_PTR(chain->links[0].doc);
    *ret = delegation;
    return 0;
}

/* --- narrowing ----------------------------------------------------------------------------- */

static int refuse_wider(void *context, const char *pointer, const char *message)
{
    struct err *err = context;
    int r = err_set(err, ERR_DENIED, STEP, "%s", message);
    err_where(err, "%s", pointer);
    return r;
}

int delegation_narrows(const yyjson_val *outer, const yyjson_val *inner, struct err *err)
{
    return narrow_compare(outer, inner, refuse_wider, err);
}

/* --- covering ------------------------------------------------------------------------------ */

PRINTF_LIKE(4, 5)
static int uncovered(const struct delegation *delegation, const char *pointer, struct err *err,
                     const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = err_setv(err, ERR_DENIED, STEP_COVER, format, arguments);
    va_end(arguments);
    err_where(err, "%.*s, %s", STR_ARG(delegation->id), pointer);
    return r;
}

/* One thing of a list of the scope; `option` is that of `delegation issue`. */
static int cover_item(const struct delegation *delegation, const char *pointer, const char *what,
                      const char *option, const char *kind, struct str asked, struct err *err)
{
    const yyjson_val *root = yyjson_doc_get_root(delegation->doc);
    if (!asked.len || array_has(at(root, pointer), asked))
        return 0;
    int r = uncovered(delegation, pointer, err, "%s %.*s is not delegated", what, STR_ARG(asked));
    err_remedy(err, "have a delegation issued with --%s %.*s", option, STR_ARG(asked));
    err_about(err, RULE, kind, asked);
    return r;
}

static int cover_network(const struct delegation *delegation, struct str asked, struct err *err)
{
    const char *pointer = "/scope/networkAccessProfileRef";
    struct str given = text_of(at(yyjson_doc_get_root(delegation->doc), pointer));
    if (!asked.len || str_equal(asked, given))
        return 0;
    int r = uncovered(delegation, pointer, err, "%s%.*s is delegated and not %.*s",
                      given.len ? "the network " : "no network", STR_ARG(given), STR_ARG(asked));
    err_remedy(err, "have a delegation issued with --network %.*s", STR_ARG(asked));
    err_about(err, RULE, "network-profile", asked);
    return r;
}

static int cover_mounts(const struct delegation *delegation,
                        const struct delegation_request *request, struct err *err)
{
    const yyjson_val *mounts = at(yyjson_doc_get_root(delegation->doc), "/scope/mounts");
    for (size_t i = 0; i < request->mount_count; i++) {
        struct str path = request->mount_paths[i], semantics = request->mount_semantics[i];
        if (request->profile.len && request->mounts_by_profile && request->mounts_by_profile[i])
            continue; /* what covers the profile covers it */
        if (narrow_mount_admits(mounts, path, semantics))
            continue;
        int r = uncovered(delegation, "/scope/mounts", err, "mounting %.*s %.*s is not delegated",
                          STR_ARG(path), STR_ARG(semantics));
        err_remedy(err, "have a delegation issued with --mount %.*s:%.*s", STR_ARG(path),
                   STR_ARG(semantics));
        err_about(err, RULE, "path", path);
        return r;
    }
    return 0;
}

static int cover_budget(const struct delegation *delegation, const struct amounts *asked,
                        struct err *err)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        char pointer[64];
        snprintf(pointer, sizeof(pointer), "/budgetCeiling/%s", dimension_names[i]);
        if (asked->of[i] < 0 || asked->of[i] > delegation->ceiling.of[i])
            return uncovered(delegation, pointer, err,
                             "%" PRId64 " are asked for and %" PRId64 " are the ceiling; ask for "
                             "less, or have a delegation issued with --ceiling %s=%" PRId64,
                             asked->of[i], delegation->ceiling.of[i], dimension_names[i],
                             asked->of[i]);
    }
    return 0;
}

int delegation_covers(const struct delegation *delegation, const struct delegation_request *request,
                      struct err *err)
{
    if (request->operation_type >= OPERATION_TYPE_COUNT ||
        !(delegation->operation_types & 1U << request->operation_type))
        return uncovered(delegation, "/operationTypes", err,
                         "%1$s is not delegated; have a delegation issued with --operation %1$s",
                         request->operation_type < OPERATION_TYPE_COUNT
                             ? operation_type_names[request->operation_type]
                             : "an unknown operation");
    if (request->subject.len && !str_equal(request->subject, delegation->subject))
        return uncovered(delegation, "/subjectRef", err,
                         "it was given to %.*s and not to %.*s; have one issued with --to %.*s",
                         STR_ARG(delegation->subject), STR_ARG(request->subject),
                         STR_ARG(request->subject));
    int r = cover_item(delegation, "/scope/workspaceRefs", "the workspace", "workspace", "artifact",
                       request->workspace, err);
    if (r == 0)
        r = cover_item(delegation, "/scope/profileRefs", "the profile", "profile", "artifact",
                       request->profile, err);
    if (r == 0)
        r = cover_network(delegation, request->network_profile, err);
    for (size_t i = 0; r == 0 && i < request->tool_count; i++)
        r = cover_item(delegation, "/scope/toolRefs", "the tool", "tool", "tool", request->tools[i],
                       err);
    for (size_t i = 0; r == 0 && i < request->provider_count; i++)
        r = cover_item(delegation, "/scope/modelProviderRefs", "the model provider", "provider",
                       "model-provider", request->providers[i], err);
    if (r == 0)
        r = cover_mounts(delegation, request, err);
    if (r == 0)
        r = cover_budget(delegation, &request->budget, err);
    return r;
}
