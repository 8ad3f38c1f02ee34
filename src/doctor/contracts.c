/* contracts: see the header. What the layers read was held against its schema there already. */
#include "doctor/contracts.h"

#include "contract/document.h"
#include "contract/explain.h"
#include "contract/rules.h"
#include "contract/vocabulary.h"

#define STEP_CONTRACT "read a contract"
#define CONTRACT_TYPE "CapabilityContract"
#define CONTRACT_URN  "urn:srcos:capability-contract:"
#define URN_MAX       513

struct contracts {
    const yyjson_val *roots[CONTRACTS_MAX];
    size_t count;
    struct document *files; /* those that were read here */
    size_t file_count;
    struct catalogue *catalogue;
};

void contracts_free(struct contracts *contracts)
{
    if (!contracts)
        return;
    for (size_t i = 0; i < contracts->file_count; i++)
        document_release(&contracts->files[i]);
    free(contracts->files);
    catalogue_free(contracts->catalogue);
    free(contracts);
}

size_t contracts_count(const struct contracts *contracts)
{
    return contracts->count;
}

const yyjson_val *contracts_at(const struct contracts *contracts, size_t index)
{
    return contracts->roots[index];
}

static int add_root(struct contracts *contracts, const yyjson_val *root, struct err *err)
{
    int r = lint_alone(root, catalogue_find(STR(CONTRACT_TYPE)), STEP_CONTRACT, err);
    if (r == 0 && contracts->count == CONTRACTS_MAX)
        r = err_set(err, ERR_LIMIT, STEP_CONTRACT, "there are more than %d contracts",
                    CONTRACTS_MAX);
    if (r == 0)
        contracts->roots[contracts->count++] = root;
    return r;
}

/* Those of the layers that have this URN, or all of them (empty). */
static int add_of_layers(struct contracts *contracts, const struct layers *layers, struct str urn,
                         struct err *err)
{
    int r = 0;
    for (size_t i = 0; layers && i < layers_count(layers) && r == 0; i++) {
        struct layer_document document = layers_at(layers, i);
        if (document.state != DOCUMENT_IN_FORCE || strcmp(document.type, CONTRACT_TYPE) != 0 ||
            (urn.len && !str_equal(text_of(member(document.root, "id")), urn)))
            continue;
        r = add_root(contracts, document.root, err);
        if (r < 0)
            err_where(err, "%s", document.path);
    }
    return r;
}

static int add_file(struct contracts *contracts, const char *path, struct err *err)
{
    const struct program *program;
    const struct compile_options options = { 0 };
    const struct embedded_schema *schema = catalogue_find(STR(CONTRACT_TYPE));
    struct document *file = &contracts->files[contracts->file_count];
    int r = document_read(path, &json_limits_default, file, err);
    if (r < 0)
        return r;
    contracts->file_count++;
    const yyjson_val *root = yyjson_doc_get_root(file->doc);
    if (catalogue_type_of(root, err) != schema) {
        r = err_set(err, ERR_DOCUMENT, STEP_CONTRACT, "it is no " CONTRACT_TYPE);
        err_where(err, "%s", path);
        return r;
    }
    if (!contracts->catalogue)
        r = catalogue_new(&options, &contracts->catalogue, err);
    if (r == 0)
        r = catalogue_program(contracts->catalogue, schema, &program, err);
    if (r == 0)
        r = explain_check(program, root, schema->type, STEP_CONTRACT, err);
    if (r == 0)
        r = add_root(contracts, root, err);
    if (r < 0 && err) {
        char place[ERR_WHERE_MAX];
        memcpy(place, err->where, sizeof(place));
        err_where(err, "%s%s%s", path, place[0] ? ": " : "", place);
    }
    return r;
}

static int add_named(struct contracts *contracts, const struct layers *layers, const char *name,
                     struct err *err)
{
    char urn[URN_MAX];
    bool is_urn = str_starts(str_from(name), STR("urn:"));
    size_t before = contracts->count;
    if (!is_urn && (strcmp(name, "-") == 0 || access(name, F_OK) == 0))
        return add_file(contracts, name, err);
    int len = snprintf(urn, sizeof(urn), "%s%s", is_urn ? "" : CONTRACT_URN, name);
    if (len < 0 || (size_t)len >= sizeof(urn))
        return err_set(err, ERR_LIMIT, STEP_CONTRACT, "the name of a contract is too long");
    int r = add_of_layers(contracts, layers, str_from(urn), err);
    if (r == 0 && contracts->count == before)
        r = err_set(err, ERR_NOT_FOUND, STEP_CONTRACT,
                    "%s is neither a file nor a contract that lies in a layer's folder", name);
    return r;
}

int contracts_open(const struct layers *layers, char *const *names, size_t count,
                   struct contracts **ret, struct err *err)
{
    _cleanup_(cleanup_contracts) struct contracts *contracts = calloc(1, sizeof(*contracts));
    int r = 0;
    if (contracts)
        contracts->files = calloc(count + 1, sizeof(*contracts->files));
    if (!contracts || !contracts->files)
        return err_set(err, ERR_MEMORY, STEP_CONTRACT, "there is not enough memory");
    if (count == 0)
        r = add_of_layers(contracts, layers, STR(""), err);
    for (size_t i = 0; i < count && r == 0; i++)
        r = add_named(contracts, layers, names[i], err);
    if (r == 0)
        *ret = TAKE_PTR(contracts);
    return r;
}

enum phase contract_phase(const yyjson_val *contract)
{
    int phase =
        vocabulary_index(phase_names, PHASE_COUNT, text_of(member(contract, "minimumBootPhase")));
    return phase < 0 ? PHASE_RECOVERY_SESSION : (enum phase)phase; /* its schema named them all */
}

size_t contracts_components(const struct contracts *contracts,
                            struct phase_component ret[CONTRACTS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < contracts->count; i++) {
        struct str ref = text_of(member(contracts->roots[i], "componentRef"));
        enum phase minimum = contract_phase(contracts->roots[i]);
        size_t at = 0;
        while (at < count && !str_equal(ret[at].ref, ref))
            at++;
        if (at == count)
            ret[count++] = (struct phase_component){ ref, minimum };
        else if (minimum > ret[at].minimum)
            ret[at].minimum = minimum;
    }
    return count;
}
