/*
 * references_fuzz: references documents, and hosts to look up, that nobody chose.
 *
 * The first line is a host, and a reference; what follows, if it is JSON, is read
 * as a references document of each layer in turn. What is read without a fault
 * can be looked up, and what a look-up gives is within its limits.
 */
#include "authority/references.h"
#include "base/json.h"

#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(const struct references *references, struct str text)
{
    struct address_range addresses[REFERENCES_ADDRESSES_MAX];
    const struct reference_proxy *proxy = references_proxy(references, text);
    assert(references_addresses(references, text, addresses) <= REFERENCES_ADDRESSES_MAX);
    (void)references_is_connector(references, text);
    if (proxy && proxy->kind != PROXY_DIRECT) {
        assert(proxy->host[0] && proxy->port && !memchr(proxy->url.ptr, '@', proxy->url.len));
        (void)reference_proxy_leaves_out(proxy, text, 443);
    }
    for (size_t i = 0; i < references_authority_count(references); i++)
        assert(references_authority(references, i).path[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_make((const char *)data, size);
    struct str text = str_make(all.ptr, str_index(all, '\n', 0));
    struct references *references = NULL;
    yyjson_doc *doc = NULL;
    if (size > INPUT_MAX || references_new(&references, NULL) < 0)
        return 0;
    int r = json_read(str_from_offset(all, text.len + 1), &json_limits_default, &doc, NULL);
    const yyjson_val *root = r == 0 ? yyjson_doc_get_root(doc) : NULL;
    for (int layer = 0; root && r == 0 && layer <= LAYER_USER; layer++)
        r = references_add(references, (enum layer)layer, "references.json", root, NULL);
    if (r == 0)
        look_up(references, text);
    references_free(references);
    yyjson_doc_free(doc);
    return 0;
}
