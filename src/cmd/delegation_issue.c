/*
 * delegation issue, delegation attenuate: from options to a signed Delegation.
 *
 * Both build one document from the same options. What `issue` does not name is
 * not delegated; what `attenuate` does not name is as in the delegation above,
 * but for the depth, which is 0.
 */
#include <sys/random.h>

#include "authority/key.h"
#include "base/clock.h"
#include "base/place.h"
#include "cmd/delegation.h"
#include "cmd/tell.h"
#include "contract/jcs.h"
#include "contract/rules.h"

#define STEP            "read the options"
#define DURATION_NORMAL "8h"
#define AMOUNT_MAX      INT64_C(9007199254740991)
#define OPERATION_STEM  "agent_machine."

enum {
    OPTION_TO,
    OPTION_OPERATION,
    OPTION_WORKSPACE,
    OPTION_PROFILE,
    OPTION_TOOL,
    OPTION_PROVIDER,
    OPTION_MOUNT,
    OPTION_NETWORK,
    OPTION_CEILING,
    OPTION_FOR,
    OPTION_DEPTH,
    OPTION_SUBJECT_KEY,
    OPTION_PURPOSE,
    OPTION_ID,
    OPTION_ENVELOPE,
    OPTION_JSON,
    OPTION_FROM, /* of attenuate alone, as what follows */
    OPTION_KEY,
};
static_assert(OPTION_FROM == DELEGATION_ISSUE_OPTION_COUNT, "those of attenuate stand last");
static_assert(OPTION_KEY + 1 == DELEGATION_ATTENUATE_OPTION_COUNT, "every option has its row");

#define COMMON_OPTIONS                                                                             \
    [OPTION_TO] = { "to", 't', "URN", "who may act" },                                             \
    [OPTION_OPERATION] = { "operation", 'o', "LIST",                                               \
                           "operation types, such as execution.start,execution.cancel" },          \
    [OPTION_WORKSPACE] = { "workspace", 'w', "LIST", "workspaces" },                               \
    [OPTION_PROFILE] = { "profile", 'p', "LIST", "machine profiles" },                             \
    [OPTION_TOOL] = { "tool", 0, "LIST", "tool surfaces, MCP servers, single tools" },             \
    [OPTION_PROVIDER] = { "provider", 0, "LIST", "model providers" },                              \
    [OPTION_MOUNT] = { "mount", 'm', "LIST",                                                       \
                       "folders: PATH, or PATH:SEMANTICS (read-only, staged, read-write, "         \
                       "cache)" },                                                                 \
    [OPTION_NETWORK] = { "network", 'n', "URN", "the network profile" },                           \
    [OPTION_CEILING] = { "ceiling", 'c', "LIST",                                                   \
                         "budget, such as tokens=2M,localDiskBytes=10Gi" },                        \
    [OPTION_FOR] = { "for", 'f', "TIME", "how long, such as 8h, 45m, 7d" },                        \
    [OPTION_DEPTH] = { "depth", 'd', "N", "how many times it may be passed on (0)" },              \
    [OPTION_SUBJECT_KEY] = { "subject-key", 'k', "KEY",                                            \
                             "the subject's public key, ed25519:… or a file" },                    \
    [OPTION_PURPOSE] = { "purpose", 0, "TEXT", "what it is for" },                                 \
    [OPTION_ID] = { "id", 0, "URN", "its name" },                                                  \
    [OPTION_ENVELOPE] = { "envelope", 'e', NULL, "print the signed envelope" },                    \
    [OPTION_JSON] = { "json", 'j', NULL, "print JSON on one line" }

const struct option_row delegation_issue_options[DELEGATION_ISSUE_OPTION_COUNT] = {
    COMMON_OPTIONS,
};
const struct option_row delegation_attenuate_options[DELEGATION_ATTENUATE_OPTION_COUNT] = {
    COMMON_OPTIONS,
    [OPTION_FROM] = { "from", 0, "URN", "the delegation above" },
    [OPTION_KEY] = { "key", 0, "KEY", "your private key: file:PATH or keyring:DESCRIPTION" },
};

/* A document that is being built. */
struct making {
    const struct invocation *invocation;
    const yyjson_val *above; /* the document that is passed on in part, or NULL */
    int64_t now_ms;
    yyjson_mut_doc *doc;
    yyjson_mut_val *root, *scope;
};

static const char *option(const struct making *making, int index)
{
    return making->invocation->values[index];
}

static void put_text(struct making *making, yyjson_mut_val *object, const char *name,
                     const char *text)
{
    yyjson_mut_obj_add_strcpy(making->doc, object, name, text);
}

/* Takes a member over from the document above. */
static void inherit(struct making *making, yyjson_mut_val *object, const char *pointer,
                    const char *name)
{
    yyjson_val *value = at(making->above, pointer);
    if (value)
        yyjson_mut_obj_add_val(making->doc, object, name, yyjson_val_mut_copy(making->doc, value));
}

/* --- lists --------------------------------------------------------------------------------- */

/* Adds one item of a list to an array. */
typedef int item_add(struct making *making, yyjson_mut_val *array, struct str item,
                     struct err *err);

static int add_reference(struct making *making, yyjson_mut_val *array, struct str item,
                         struct err *err)
{
    (void)err;
    yyjson_mut_arr_add_strncpy(making->doc, array, item.ptr, item.len);
    return 0;
}

static int add_operation(struct making *making, yyjson_mut_val *array, struct str item,
                         struct err *err)
{
    struct buf name = BUF_INIT;
    (void)err;
    if (!str_starts(item, STR(OPERATION_STEM)))
        buf_add_text(&name, OPERATION_STEM);
    buf_add_str(&name, item);
    yyjson_mut_arr_add_strncpy(making->doc, array, name.data, name.len);
    buf_release(&name);
    return 0;
}

static int add_mount(struct making *making, yyjson_mut_val *array, struct str item, struct err *err)
{
    size_t colon = item.len;
    while (colon && item.ptr[colon - 1] != ':')
        colon--;
    struct str path = colon ? str_make(item.ptr, colon - 1) : item;
    struct str semantics = colon ? str_from_offset(item, colon) : STR("staged");
    if (!path.len || path.ptr[0] != '/')
        return err_set(
            err, ERR_USAGE, STEP,
            "--mount takes absolute paths, each with :SEMANTICS or without; %.*s is none",
            STR_ARG(item));
    yyjson_mut_val *mount = yyjson_mut_arr_add_obj(making->doc, array);
    yyjson_mut_obj_add_strncpy(making->doc, mount, "hostPath", path.ptr, path.len);
    yyjson_mut_obj_add_strncpy(making->doc, mount, "semantics", semantics.ptr, semantics.len);
    return 0;
}

/* Calls add for what stands between commas. */
static int add_items(struct making *making, yyjson_mut_val *array, const char *list, item_add *add,
                     struct err *err)
{
    struct str text = str_from(list);
    int r = 0;
    for (size_t start = 0; r == 0 && start < text.len;) {
        size_t end = str_index(text, ',', start);
        if (end > start)
            r = add(making, array, str_make(text.ptr + start, end - start), err);
        start = end + 1;
    }
    return r;
}

/* An array from an option, or from above, or empty. */
static int put_list(struct making *making, int index, yyjson_mut_val *object, const char *name,
                    const char *pointer, item_add *add, struct err *err)
{
    const char *list = option(making, index);
    if (!list && making->above) {
        inherit(making, object, pointer, name);
        return 0;
    }
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(making->doc, object, name);
    return list ? add_items(making, array, list, add, err) : 0;
}

/* --- quantities ---------------------------------------------------------------------------- */

/* A whole number with a unit behind it, or none. */
static bool read_amount(struct str text, int64_t *ret)
{
    static const struct {
        const char *name;
        int64_t factor;
    } units[] = {
        { "", 1 },
        { "k", 1000 },
        { "M", 1000000 },
        { "G", 1000000000 },
        { "T", INT64_C(1000000000000) },
        { "Ki", 1 << 10 },
        { "Mi", 1 << 20 },
        { "Gi", 1 << 30 },
        { "Ti", INT64_C(1) << 40 },
    };
    int64_t number = 0;
    size_t used = 0;
    for (; used < text.len && text.ptr[used] >= '0' && text.ptr[used] <= '9'; used++) {
        number = number * 10 + (text.ptr[used] - '0');
        if (number > AMOUNT_MAX)
            return false;
    }
    if (!used)
        return false;
    struct str name = str_from_offset(text, used);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_equal(name, str_from(units[i].name)))
            continue;
        if (number > AMOUNT_MAX / units[i].factor)
            return false;
        *ret = number * units[i].factor;
        return true;
    }
    return false;
}

static int add_amount(struct making *making, yyjson_mut_val *object, struct str item,
                      struct err *err)
{
    size_t equals = str_index(item, '=', 0);
    struct str amount = str_from_offset(item, equals + 1);
    int dimension = vocabulary_index(dimension_names, DIMENSION_COUNT, str_make(item.ptr, equals));
    int64_t number;
    if (dimension < 0)
        return err_set(err, ERR_USAGE, STEP,
                       "--ceiling takes modelCalls, tokens, connectorCalls, cpuSeconds, "
                       "gpuSeconds, localDiskBytes, sandboxMemoryBytes, wallClockSeconds, "
                       "agentConcurrency, each with =AMOUNT; %.*s is none",
                       STR_ARG(item));
    if (!read_amount(amount, &number))
        return err_set(err, ERR_USAGE, STEP,
                       "%.*s: an amount is a whole number, with k, M, G, T, Ki, Mi, Gi or Ti or "
                       "without",
                       STR_ARG(item));
    const char *name = dimension_names[dimension];
    yyjson_mut_obj_remove_key(object, name);
    yyjson_mut_obj_add_int(making->doc, object, name, number);
    return 0;
}

/* --- members ------------------------------------------------------------------------------- */

static int put_id(struct making *making, struct err *err)
{
    char id[64];
    unsigned long long random;
    if (option(making, OPTION_ID)) {
        put_text(making, making->root, "id", option(making, OPTION_ID));
        return 0;
    }
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set_errno(err, errno, "name a delegation", "the kernel gives no random bytes");
    snprintf(id, sizeof(id), "urn:srcos:delegation:%016llx", random);
    put_text(making, making->root, "id", id);
    return 0;
}

static int put_parent(struct making *making, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = jcs_digest(making->above, digest, err);
    if (r < 0)
        return r;
    yyjson_mut_val *parent = yyjson_mut_obj_add_obj(making->doc, making->root, "parent");
    inherit(making, parent, "/id", "delegationRef");
    put_text(making, parent, "digest", digest);
    return 0;
}

/* Who may pass it on, and how far. */
static int put_depth(struct making *making, struct err *err)
{
    const char *depth = option(making, OPTION_DEPTH), *key = option(making, OPTION_SUBJECT_KEY);
    struct sign_public public;
    char text[SIGN_PUBLIC_TEXT_MAX];
    if (depth && (depth[0] < '0' || depth[0] > '8' || depth[1]))
        return err_set(err, ERR_USAGE, STEP, "--depth takes a number from 0 to %d",
                       DELEGATION_DEPTH_MAX);
    if (depth && depth[0] != '0' && !key)
        return err_set(err, ERR_USAGE, STEP,
                       "--depth %s needs --subject-key: the subject signs what it passes on",
                       depth);
    yyjson_mut_obj_add_int(making->doc, making->root, "depth", depth ? depth[0] - '0' : 0);
    if (!key)
        return 0;
    int r = key_open_public(key, &public, err);
    if (r == 0 && sign_public_text(&public, text) < 0)
        r = err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    if (r == 0)
        put_text(making, making->root, "subjectPublicKey", text);
    return r;
}

static int put_times(struct making *making, struct err *err)
{
    const char *duration = option(making, OPTION_FOR);
    int64_t begin_ms = making->now_ms, above_ms, length_ms = 0;
    char now[CLOCK_TEXT_SIZE], begin[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    if (making->above && clock_parse(text_of(at(making->above, "/notBefore")), &above_ms) &&
        above_ms > begin_ms)
        begin_ms = above_ms; /* within the grace that a clock has */
    clock_text(making->now_ms, now);
    clock_text(begin_ms, begin);
    put_text(making, making->root, "issuedAt", now);
    put_text(making, making->root, "notBefore", begin);
    if (!duration && making->above) {
        inherit(making, making->root, "/expiresAt", "expiresAt");
        return 0;
    }
    if (!clock_parse_duration(str_from(duration ? duration : DURATION_NORMAL), &length_ms))
        return err_set(err, ERR_USAGE, STEP,
                       "--for takes a time of at most ten years, such as 8h, 45m or 7d; %s is none",
                       duration);
    clock_text(making->now_ms + length_ms, end);
    put_text(making, making->root, "expiresAt", end);
    return 0;
}

static int put_scope(struct making *making, struct err *err)
{
    static const struct {
        int index;
        const char *name, *pointer;
        item_add *add;
    } lists[] = {
        { OPTION_WORKSPACE, "workspaceRefs", "/scope/workspaceRefs", add_reference },
        { OPTION_PROFILE, "profileRefs", "/scope/profileRefs", add_reference },
        { OPTION_TOOL, "toolRefs", "/scope/toolRefs", add_reference },
        { OPTION_PROVIDER, "modelProviderRefs", "/scope/modelProviderRefs", add_reference },
        { OPTION_MOUNT, "mounts", "/scope/mounts", add_mount },
    };
    const char *network = option(making, OPTION_NETWORK);
    int r = 0;
    making->scope = yyjson_mut_obj_add_obj(making->doc, making->root, "scope");
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
        r = put_list(making, lists[i].index, making->scope, lists[i].name, lists[i].pointer,
                     lists[i].add, err);
    if (r == 0 && network && network[0])
        put_text(making, making->scope, "networkAccessProfileRef", network);
    else if (r == 0 && !network && making->above)
        inherit(making, making->scope, "/scope/networkAccessProfileRef", "networkAccessProfileRef");
    return r;
}

static int put_ceiling(struct making *making, struct err *err)
{
    const char *list = option(making, OPTION_CEILING);
    if (!list && making->above) {
        inherit(making, making->root, "/budgetCeiling", "budgetCeiling");
        return 0;
    }
    yyjson_mut_val *ceiling = yyjson_mut_obj_add_obj(making->doc, making->root, "budgetCeiling");
    return list ? add_items(making, ceiling, list, add_amount, err) : 0;
}

/* Fills the document; `issuer` is the user's URN, or the subject of the document above. */
static int build(struct making *making, const char *issuer, struct err *err)
{
    making->doc = yyjson_mut_doc_new(NULL);
    making->root = yyjson_mut_obj(making->doc);
    yyjson_mut_doc_set_root(making->doc, making->root);
    int r = put_id(making, err);
    put_text(making, making->root, "type", "Delegation");
    put_text(making, making->root, "specVersion", "1.0.0");
    put_text(making, making->root, "issuerRef", issuer);
    put_text(making, making->root, "subjectRef", option(making, OPTION_TO));
    if (r == 0 && making->above)
        r = put_parent(making, err);
    if (r == 0)
        r = put_depth(making, err);
    if (r == 0)
        r = put_times(making, err);
    if (r == 0)
        r = put_list(making, OPTION_OPERATION, making->root, "operationTypes", "/operationTypes",
                     add_operation, err);
    if (r == 0)
        r = put_scope(making, err);
    if (r == 0)
        r = put_ceiling(making, err);
    if (r == 0 && option(making, OPTION_PURPOSE))
        put_text(making, making->root, "purpose", option(making, OPTION_PURPOSE));
    return r;
}

/* --- signing and keeping ------------------------------------------------------------------- */

static int seal(struct making *making, const struct sign_key *key, struct buf *ret, struct err *err)
{
    size_t len;
    _cleanup_(cleanup_free) char *json = yyjson_mut_write(making->doc, 0, &len);
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (!json)
        return err_set(err, ERR_USAGE, STEP, "what was given is not all UTF-8");
    int r = delegation_seal(key, str_make(json, len), ret, err);
    if (r < 0 || !making->above)
        return r;
    r = json_read(str_make(json, len), &json_limits_default, &doc, err);
    return r < 0 ? r : delegation_narrows(making->above, yyjson_doc_get_root(doc), err);
}

static int keep(struct ledger *ledger, struct str envelope, int64_t now_ms, struct err *err)
{
    struct ledger_batch *batch;
    struct ledger_position position;
    int r = ledger_batch_new(&batch, err);
    if (r < 0)
        return r;
    r = delegation_put(batch, envelope, now_ms, err);
    if (r == 0)
        r = ledger_commit(ledger, batch, &position, err);
    ledger_batch_free(batch);
    return r;
}

/* Builds, signs, keeps and prints. */
static int finish(struct making *making, const char *issuer, const struct sign_key *key,
                  struct ledger *ledger, struct err *err)
{
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    int r = build(making, issuer, err);
    if (r == 0)
        r = seal(making, key, &envelope, err);
    if (r == 0)
        r = keep(ledger, buf_str(&envelope), making->now_ms, err);
    if (r == 0)
        r = delegation_print(buf_str(&envelope), option(making, OPTION_ENVELOPE),
                             option(making, OPTION_JSON), err);
    yyjson_mut_doc_free(making->doc);
    return r;
}

/* --- issue --------------------------------------------------------------------------------- */

static int issue(struct making *making, struct err *err)
{
    char config[PLACE_SIZE], state[PLACE_SIZE], issuer[KEY_USER_TEXT_MAX];
    struct sign_key *key = NULL;
    struct ledger *ledger = NULL;
    int r = place_config(config, sizeof(config), err);
    if (r == 0)
        r = place_state(state, sizeof(state), err);
    if (r == 0)
        r = key_open_user(config, &key, err);
    if (r == 0)
        r = ledger_open(state, LEDGER_CREATE, &ledger, err);
    key_user(issuer);
    if (r == 0)
        r = finish(making, issuer, key, ledger, err);
    ledger_close(ledger);
    sign_key_free(key);
    return r;
}

int run_delegation_issue(const struct invocation *invocation)
{
    struct making making = { .invocation = invocation, .now_ms = clock_now_ms() };
    struct err err = { 0 };
    if (!option(&making, OPTION_TO) || !option(&making, OPTION_OPERATION) ||
        !option(&making, OPTION_WORKSPACE))
        return tell_usage(invocation->path, "--to, --operation and --workspace are needed");
    return issue(&making, &err) < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- attenuate ----------------------------------------------------------------------------- */

/* Whether the key is that of the subject of the delegation above. */
static int check_holder(const struct delegation *above, const struct sign_key *key, struct err *err)
{
    const yyjson_val *root = yyjson_doc_get_root(above->doc);
    struct sign_public holder, signer;
    char text[SIGN_PUBLIC_TEXT_MAX] = "";
    sign_key_public(key, &signer);
    if (!above->depth || !sign_public_parse(text_of(member(root, "subjectPublicKey")), &holder))
        return err_set(err, ERR_DENIED, "pass a delegation on",
                       "%.*s cannot be passed on; have it issued with --depth and --subject-key",
                       STR_ARG(above->id));
    if (memcmp(&holder, &signer, sizeof(holder)) == 0)
        return 0;
    sign_public_text(&signer, text);
    return err_set(err, ERR_DENIED, "pass a delegation on",
                   "only %.*s passes %.*s on, with another key than %s; name that with --key",
                   STR_ARG(above->subject), STR_ARG(above->id), text);
}

static int attenuate_from(struct making *making, const struct delegation_place *place,
                          const struct delegation *above, struct err *err)
{
    struct sign_key *key = NULL;
    char issuer[2 * DELEGATION_ID_MAX];
    int r = key_open(option(making, OPTION_KEY), &key, err);
    if (r < 0)
        return r;
    r = check_holder(above, key, err);
    if (r == 0 && above->subject.len >= sizeof(issuer))
        r = err_set(err, ERR_LIMIT, "pass a delegation on", "the subject's name is too long");
    if (r == 0) {
        snprintf(issuer, sizeof(issuer), "%.*s", STR_ARG(above->subject));
        making->above = yyjson_doc_get_root(above->doc);
        r = finish(making, issuer, key, place->ledger, err);
    }
    sign_key_free(key);
    return r;
}

static int attenuate(struct making *making, struct err *err)
{
    struct delegation_place place;
    struct delegation above;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    int r = delegation_place_open(NULL, LEDGER_WRITE, &place, err);
    if (r < 0)
        return r;
    r = place.source.fetch(place.source.context, str_from(option(making, OPTION_FROM)), &envelope,
                           err);
    if (r == 0)
        r = delegation_verify(buf_str(&envelope), &place.source, making->now_ms, &above, err);
    if (r == 0) {
        r = attenuate_from(making, &place, &above, err);
        delegation_release(&above);
    }
    delegation_place_close(&place);
    return r;
}

int run_delegation_attenuate(const struct invocation *invocation)
{
    struct making making = { .invocation = invocation, .now_ms = clock_now_ms() };
    struct err err = { 0 };
    if (!option(&making, OPTION_FROM) || !option(&making, OPTION_TO) ||
        !option(&making, OPTION_KEY))
        return tell_usage(invocation->path, "--from, --to and --key are needed");
    return attenuate(&making, &err) < 0 ? tell_error(invocation, &err) : EXIT_OK;
}
