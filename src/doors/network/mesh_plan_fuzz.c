/*
 * mesh_plan_fuzz: mesh bindings that nobody chose, rendered for every target.
 *
 * What the schema accepts and a plan can be made of gives a text of printable
 * bytes and ends of lines, which is YAML.
 */
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "contract/yaml.h"
#include "doors/network/mesh_plan.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_accepted(const yyjson_val *root)
{
    static struct catalogue *catalogue;
    const struct embedded_schema *schema = catalogue_find(STR("MeshBindingProfile"));
    const struct program *program;
    if (!catalogue && catalogue_new(&(struct compile_options){ 0 }, &catalogue, NULL) < 0)
        return false;
    return catalogue_program(catalogue, schema, &program, NULL) == 0 &&
           explain_check(program, root, schema->type, "fuzz", NULL) == 0;
}

/* Each document of the stream by itself. */
static void check_text(struct str text)
{
    const struct str mark = STR("\n---\n");
    for (size_t i = 0; i < text.len; i++)
        assert((text.ptr[i] >= ' ' && text.ptr[i] < 0x7f) || text.ptr[i] == '\n');
    for (size_t start = 0; start < text.len;) {
        struct str rest = str_from_offset(text, start);
        const char *end = memmem(rest.ptr, rest.len, mark.ptr, mark.len);
        struct str document = str_make(rest.ptr, end ? (size_t)(end - rest.ptr) + 1 : rest.len);
        yyjson_doc *doc = NULL;
        assert(start == 0 || yaml_read(document, &json_limits_default, &doc, NULL) == 0);
        yyjson_doc_free(doc);
        start += document.len + (end ? mark.len - 1 : 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mesh_scope scope = { STR(""), STR("") };
    struct mesh_plan *plan = NULL;
    yyjson_doc *doc = NULL;
    if (size > INPUT_MAX ||
        json_read(str_make((const char *)data, size), &json_limits_default, &doc, NULL) < 0)
        return 0;
    const yyjson_val *root = yyjson_doc_get_root(doc);
    int r = is_accepted(root) ? mesh_plan_new(&scope, root, &plan, NULL) : -EBADMSG;
    for (int target = 0; r == 0 && target < MESH_TARGET_COUNT; target++) {
        struct buf text = BUF_INIT_LIMIT(MESH_TEXT_MAX);
        if (mesh_plan_render(plan, (enum mesh_target)target, &text, NULL) == 0)
            check_text(buf_str(&text));
        buf_release(&text);
    }
    mesh_plan_free(plan);
    yyjson_doc_free(doc);
    return 0;
}
