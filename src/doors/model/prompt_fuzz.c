/* What is read of a body can be amended, and what comes out is read again to the same effect. */
#include "base/buf.h"
#include "doors/model/prompt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the endpoint. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct provider_class *class;
    char fault[PROMPT_FAULT_SIZE];
    struct prompt prompt, again;
    struct prompt_edits edits;
    struct prompt_cost cost;
    struct buf out = BUF_INIT;
    if (!size)
        return 0;
    class = class ? class : provider_class_find(STR("openai-compatible"), true);
    const struct endpoint *endpoint = &endpoints[data[0] % endpoint_count];
    const struct model_route route = { .provider = class,
                                       .image_tokens = 1,
                                       .held_context_tokens = 1 };
    struct str body = str_make((const char *)data + 1, size - 1);
    if (prompt_read(body, endpoint, &prompt, fault) < 0) {
        assert(fault[0]);
        return 0;
    }
    prompt_amend(&prompt, endpoint, &route, STR("up\"stream"), &edits);
    size_t at = 0;
    for (size_t i = 0; i < edits.count; i++) {
        assert(edits.edits[i].from >= at && edits.edits[i].to >= edits.edits[i].from);
        buf_add(&out, body.ptr + at, edits.edits[i].from - at);
        buf_add_text(&out, edits.edits[i].text);
        at = edits.edits[i].to;
    }
    buf_add_str(&out, str_from_offset(body, at));
    int r = prompt_read(buf_str(&out), endpoint, &again, fault);
    assert(r == 0 && strcmp(again.model, "up\"stream") == 0);
    assert(again.streams == prompt.streams && again.answers == prompt.answers);
    assert(!prompt.has_limit || again.limit == prompt.limit);
    prompt_amend(&again, endpoint, &route, STR("up\"stream"), &edits);
    assert(edits.count == 0);
    assert(prompt_estimate(&again, endpoint, &route, size, &cost, fault));
    buf_release(&out);
    return 0;
}
