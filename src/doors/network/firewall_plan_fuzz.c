/*
 * firewall_plan_fuzz: profiles that nobody chose, rendered for every target.
 *
 * What their schemas accept, alone or in a list of several, becomes a plan.
 * Whatever stands in it, a text has no bytes but printable ones, tabs and ends
 * of lines, and LuLu's is JSON.
 */
#include "base/json.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "doors/network/firewall_plan.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_accepted(const yyjson_val *root)
{
    static struct catalogue *catalogue;
    const struct embedded_schema *schema = catalogue_type_of(root, NULL);
    const struct program *program;
    if (!catalogue && catalogue_new(&(struct compile_options){ 0 }, &catalogue, NULL) < 0)
        return false;
    return schema && catalogue_program(catalogue, schema, &program, NULL) == 0 &&
           explain_check(program, root, schema->type, "fuzz", NULL) == 0;
}

static void check_text(const struct buf *text, enum firewall_target target)
{
    yyjson_doc *doc = NULL;
    for (size_t i = 0; i < text->len && target != FIREWALL_LULU; i++) {
        unsigned char c = (unsigned char)text->data[i];
        assert((c >= ' ' && c < 0x7f) || c == '\n' || c == '\t');
    }
    assert(target != FIREWALL_LULU ||
           json_read(buf_str(text), &json_limits_default, &doc, NULL) == 0);
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct firewall_scope scope = { .uid = 1000 };
    struct firewall_plan *plan = NULL;
    yyjson_doc *doc = NULL;
    if (size > INPUT_MAX ||
        json_read(str_make((const char *)data, size), &json_limits_default, &doc, NULL) < 0)
        return 0;
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool is_list = yyjson_is_arr(root);
    size_t count = is_list ? yyjson_arr_size(root) : 1;
    int r = firewall_plan_new(&scope, &plan, NULL);
    for (size_t i = 0; r == 0 && i < count; i++) {
        const yyjson_val *document = is_list ? yyjson_arr_get(root, i) : root;
        r = is_accepted(document) ? firewall_plan_add(plan, document, NULL) : -EBADMSG;
    }
    for (int target = 0; r == 0 && target < FIREWALL_TARGET_COUNT; target++) {
        struct buf text = BUF_INIT_LIMIT(FIREWALL_TEXT_MAX);
        if (firewall_plan_render(plan, (enum firewall_target)target, &text, NULL) == 0)
            check_text(&text, (enum firewall_target)target);
        buf_release(&text);
    }
    firewall_plan_free(plan);
    yyjson_doc_free(doc);
    return 0;
}
