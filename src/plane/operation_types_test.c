/* operation_types: the table says what the contracts in examples/ say. */
#include "plane/operation_types.h"

#include "base/file.h"
#include "base/json.h"
#include "base/test.h"
#include "contract/rules.h"

static yyjson_doc *read_contract(const char *slug)
{
    char path[256];
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    snprintf(path, sizeof(path), "examples/operation-contract.%s.example.json", slug);
    if (file_read(path, &text, NULL) < 0 ||
        json_read(buf_str(&text), &json_limits_default, &doc, NULL) < 0)
        test_fail(__FILE__, __LINE__, "%s cannot be read", path);
    buf_release(&text);
    return doc;
}

static enum gate_use use_in(const yyjson_val *contract, const char *gate)
{
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)member(contract, "gates"), i, count,
                       item) if (text_is(member(item, "gate"),
                                         gate)) return text_is(member(item, "when"), "always")
        ? GATE_ALWAYS
        : GATE_WHEN_USED;
    return GATE_NEVER;
}

static void check_row(const struct operation_type_row *row, const char *name)
{
    yyjson_doc *doc = read_contract(row->slug);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK_STR(text_of(member(root, "operationType")), str_from(name));
    for (size_t gate = 0; gate < GATE_COUNT; gate++)
        CHECK_INT(row->gates[gate], use_in(root, gate_names[gate]));
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        bool named = array_has(member(root, "budgetDimensions"), str_from(dimension_names[i]));
        CHECK_INT((row->dimensions >> i) & 1, named);
        CHECK(named || row->need.of[i] == 0); /* nothing is set aside that is not named */
        CHECK(named || row->usual.of[i] == 0);
    }
    CHECK_INT(row->key_required,
              yyjson_is_true((yyjson_val *)member(root, "idempotencyKeyRequired")));
    CHECK_INT(row->retry.retryable, yyjson_is_true((yyjson_val *)at(root, "/retry/retryable")));
    CHECK_INT(row->retry.max_attempts, count_of(at(root, "/retry/maxAttempts")));
    CHECK_INT(row->retry.initial_delay_ms, count_of(at(root, "/retry/initialDelayMilliseconds")));
    CHECK_INT(row->retry.max_delay_ms, count_of(at(root, "/retry/maxDelayMilliseconds")));
    static const char *const strategies[] = { [COMPENSATION_NONE] = "none",
                                              [COMPENSATION_INVERSE] = "inverse-operation",
                                              [COMPENSATION_TASK] = "task" };
    CHECK_STR(text_of(at(root, "/compensation/strategy")), str_from(strategies[row->compensation]));
    if (row->compensation == COMPENSATION_INVERSE)
        CHECK_STR(text_of(at(root, "/compensation/operationType")),
                  str_from(operation_type_names[row->inverse]));
    CHECK_INT(row->resumes, text_is(member(root, "staleTask"), "resume"));
    yyjson_doc_free(doc);
}

TEST(each_row_says_what_the_contract_of_its_type_says)
{
    for (size_t i = 0; i < OPERATION_TYPE_COUNT; i++) {
        CHECK(operation_types[i].slug && operation_types[i].parameters);
        if (operation_types[i].slug)
            check_row(&operation_types[i], operation_type_names[i]);
    }
}
