/*
 * registry_carry: what the documents set up here refer to of the carry family, and whether it is
 * here.
 *
 * Theory of operation. This machine carries references to models and services.
 * Every string of a layer's document in force, and of the profiles and models
 * in the ledger, that is the URN of a carried document is looked for where a
 * launch looks: in the layers first, then in the ledger. Each is told once,
 * with the first place that refers to it. A document that nobody trusts has no
 * say, and so is not here. Patterns refer to nothing in particular.
 */
#include "base/json.h"
#include "contract/rules.h"
#include "doctor/registry_internal.h"
#include "ledger/ledger.h"

struct carry {
    struct registry *registry;
    struct registry_component *own;
    const struct layers *layers;
    struct ledger *ledger; /* NULL: it cannot be read */
    const char *document;  /* that is looked through */
    struct str id;         /* its own */
    struct map seen;
};

static bool is_carried(struct str type)
{
    static const char *const types[] = {
        "LocalModelProfile", "ServiceClient",         "SignedServiceReference", "LaunchProfile",
        "CachePolicy",       "FallbackReference",     "ReleaseSetBinding",      "EvidenceCollector",
        "WorkstationHint",   "BootReleaseSetBinding",
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_equal(type, str_from(types[i])))
            return true;
    return false;
}

/* Or that nobody can say: the ledger is not there to be asked, or has no answer. */
static enum record_state state_of(const struct carry *carry, struct str id)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(LAYERS_FILE_BYTES_MAX);
    int64_t revision;
    for (size_t i = 0; i < layers_count(carry->layers); i++) {
        struct layer_document document = layers_at(carry->layers, i);
        if (document.root && str_equal(catalogue_id_of(document.root), id))
            return RECORD_PRESENT;
    }
    int r = carry->ledger ? ledger_get_document(carry->ledger, id, &text, &revision, NULL) : -EIO;
    return r == 0 ? RECORD_PRESENT : r == -ENOENT ? RECORD_MISSING : RECORD_UNKNOWN;
}

static const struct record_fault unseen = { "LEDGER_UNREADABLE",
                                            "Nobody can say whether it is here.",
                                            "See who may read the ledger, and whether it is whole: "
                                            "agent-machine ledger verify" };

static int take_reference(void *context, struct str pointer, const yyjson_val *string,
                          struct err *err)
{
    struct carry *carry = context;
    struct registry *registry = carry->registry;
    struct str id = json_str(string);
    const struct embedded_schema *schema = catalogue_find_urn(id);
    uint32_t known;
    (void)err;
    if (!schema || !is_carried(str_from(schema->type)) || str_equal(id, carry->id) ||
        memchr(id.ptr, '*', id.len) || map_get(&carry->seen, id, &known))
        return 0;
    const char *ref = registry_text(registry, "%.*s", STR_ARG(id));
    if (map_put(&carry->seen, str_from(ref), 1) == -ENOMEM)
        registry->no_memory = true;
    const struct record_fault missing = {
        "REFERENCE_NOT_FOUND", "What refers to it does without it, or does not start.",
        registry_text(registry,
                      "Put the %s into a layer's folder (agent-machine policy trust in a "
                      "workspace), or take it out of %s, %.*s",
                      schema->type, carry->document, STR_ARG(pointer))
    };
    enum record_state state = state_of(carry, id);
    registry_add(registry, carry->own, RECORD_PROFILE, state, ref,
                 state == RECORD_MISSING ? &missing : &unseen);
    return 0;
}

static int take_stored(void *context, struct str id, struct str json, int64_t revision,
                       struct err *err)
{
    struct carry *carry = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)revision;
    carry->document = registry_text(carry->registry, "%.*s", STR_ARG(id));
    carry->id = id;
    int r = json_read(json, &json_limits_default, &doc, err);
    return r < 0 ? r : visit_strings(yyjson_doc_get_root(doc), take_reference, carry, err);
}

/* A ledger that is damaged there is told; what else is here is looked at all the same. */
static int take_all_stored(struct carry *carry, const char *type, struct err *err)
{
    struct err why = { 0 };
    int r = ledger_each_document(carry->ledger, str_from(type), STR(""), take_stored, carry, &why);
    if (r < 0 && why.code != ERR_MEMORY) {
        registry_add(carry->registry, carry->own, RECORD_PROFILE, RECORD_UNKNOWN,
                     registry_text(carry->registry, "ledger:%s", type), &unseen);
        return 0;
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

int registry_carry(struct registry *registry, struct registry_component *own,
                   const struct layers *layers, const char *ledger_folder, struct err *err)
{
    static const char *const stored[] = { "AgentMachineProfile", "LocalModelProfile" };
    struct carry carry = { .registry = registry, .own = own, .layers = layers };
    int r = 0;
    if (ledger_open(ledger_folder, LEDGER_READ, &carry.ledger, NULL) < 0)
        carry.ledger = NULL;
    for (size_t i = 0; r == 0 && i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        if (!document.root)
            continue;
        carry.document = document.path;
        carry.id = catalogue_id_of(document.root);
        r = visit_strings(document.root, take_reference, &carry, err);
    }
    for (size_t i = 0; carry.ledger && r == 0 && i < ARRAY_LEN(stored); i++)
        r = take_all_stored(&carry, stored[i], err);
    map_release(&carry.seen);
    ledger_close(carry.ledger);
    return r;
}
