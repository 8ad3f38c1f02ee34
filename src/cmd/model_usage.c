/*
 * model usage: what calls of models have used, from the ledger's events.
 *
 * Only digests and counts are there; so there is nothing else to show.
 */
#include "base/json.h"
#include "cmd/model.h"
#include "cmd/tell.h"
#include "contract/rules.h"

#define STEP     "add up what models used"
#define ROWS_MAX 10000

enum { USAGE_OPERATION, USAGE_JSON };

const struct option_row model_usage_options[MODEL_USAGE_OPTION_COUNT] = {
    [USAGE_OPERATION] = { "operation", 'o', "ID", "of this run alone" },
    [USAGE_JSON] = { "json", 'j', NULL, "print each row as a line of JSON" },
};

struct row {
    char *binding, *model;
    bool is_hosted;
    uint64_t calls, denied, prompt_bytes, answer_bytes, input_tokens, output_tokens;
};

struct rows {
    struct row *rows;
    size_t count, capacity;
};

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->rows[i].binding);
        free(rows->rows[i].model);
    }
    free(rows->rows);
}

static int add_row(struct rows *rows, struct str binding, struct str model, struct row **ret,
                   struct err *err)
{
    if (rows->count == ROWS_MAX)
        return err_set(err, ERR_LIMIT, STEP, "there are more than %d models", ROWS_MAX);
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? 2 * rows->capacity : 16;
        struct row *larger = realloc(rows->rows, capacity * sizeof(*larger));
        if (!larger)
            return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
        rows->rows = larger;
        rows->capacity = capacity;
    }
    struct row row = { .binding = strndup(binding.ptr, binding.len),
                       .model = strndup(model.ptr, model.len) };
    rows->rows[rows->count++] = row;
    *ret = &rows->rows[rows->count - 1];
    return row.binding && row.model ? 0
                                    : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int find_row(struct rows *rows, struct str binding, struct str model, struct row **ret,
                    struct err *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        *ret = &rows->rows[i];
        if (str_equal(str_from((*ret)->binding), binding) &&
            str_equal(str_from((*ret)->model), model))
            return 0;
    }
    return add_row(rows, binding, model, ret, err);
}

static int take_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct row *row = NULL;
    (void)sequence;
    if (!memmem(json.ptr, json.len, "\"modelCall\"", strlen("\"modelCall\"")))
        return 0;
    int r = json_read(json, &json_limits_default, &doc, err);
    const yyjson_val *call = member(yyjson_doc_get_root(doc), "modelCall");
    if (r < 0 || !call)
        return r;
    r = find_row(context, text_of(member(call, "modelProviderBindingRef")),
                 text_of(member(call, "model")), &row, err);
    if (r < 0)
        return r;
    row->is_hosted = text_is(member(call, "route"), "hosted");
    if (!text_is(member(call, "verdict"), "allow")) {
        row->denied++;
        return 0;
    }
    row->calls++;
    row->prompt_bytes += count_of(member(call, "promptBytes"));
    row->answer_bytes += count_of(member(call, "answerBytes"));
    row->input_tokens += count_of(member(call, "inputTokens"));
    row->output_tokens += count_of(member(call, "outputTokens"));
    return 0;
}

static void print_json(const struct row *row)
{
    struct buf line = BUF_INIT;
    buf_add_text(&line, "{\"model\":");
    json_add_string(&line, str_from(row->model));
    json_add_name(&line, "modelProviderBindingRef");
    json_add_string(&line, str_from(row->binding));
    buf_addf(&line,
             ",\"route\":\"%s\",\"calls\":%llu,\"denied\":%llu,\"promptBytes\":%llu,"
             "\"answerBytes\":%llu,\"inputTokens\":%llu,\"outputTokens\":%llu}",
             row->is_hosted ? "hosted" : "local", (unsigned long long)row->calls,
             (unsigned long long)row->denied, (unsigned long long)row->prompt_bytes,
             (unsigned long long)row->answer_bytes, (unsigned long long)row->input_tokens,
             (unsigned long long)row->output_tokens);
    puts(line.data);
    buf_release(&line);
}

static void print_row(const struct row *row)
{
    struct buf line = BUF_INIT;
    op_print_wrapped("", 0, str_from(row->model));
    op_print_wrapped("  by", 10, str_from(row->binding));
    buf_addf(&line, "%llu, and %llu denied; %s", (unsigned long long)row->calls,
             (unsigned long long)row->denied,
             row->is_hosted ? "prompts left this machine" : "prompts stayed on this machine");
    op_print_wrapped("  calls", 10, buf_str(&line));
    buf_reset(&line);
    buf_addf(&line, "%llu in, %llu out", (unsigned long long)row->input_tokens,
             (unsigned long long)row->output_tokens);
    op_print_wrapped("  tokens", 10, buf_str(&line));
    buf_reset(&line);
    buf_addf(&line, "%llu of prompts, %llu of answers", (unsigned long long)row->prompt_bytes,
             (unsigned long long)row->answer_bytes);
    op_print_wrapped("  bytes", 10, buf_str(&line));
    buf_release(&line);
}

int run_model_usage(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(rows_release) struct rows rows = { 0 };
    char operation[PLANE_URN_MAX] = "";
    struct err err = { 0 };
    if (invocation->values[USAGE_OPERATION])
        op_urn("workspace-operation", invocation->values[USAGE_OPERATION], operation);
    int r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = ledger_each_event(plane_ledger(plane), 0, str_from(operation), take_event, &rows, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    for (size_t i = 0; i < rows.count; i++) {
        if (invocation->values[USAGE_JSON])
            print_json(&rows.rows[i]);
        else
            print_row(&rows.rows[i]);
    }
    if (!rows.count && !invocation->values[USAGE_JSON])
        puts("no model was called");
    return EXIT_OK;
}
