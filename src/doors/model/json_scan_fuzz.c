/* What the scan accepts is what yyjson accepts, and the visits do not depend on the pieces. */
#include <yyjson.h>

#include "base/map.h"
#include "base/utf8.h"
#include "doors/model/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    unsigned deepest;
};

static void see(void *context, const struct json_scan *scan, const struct json_scan_value *value)
{
    struct seen *seen = context;
    const uint64_t facts[] = {
        value->kind,    value->level,
        value->from,    value->to,
        value->name_at, value->comma,
        value->is_cut,  json_scan_is_at(scan, value, "usage/prompt_tokens")
    };
    assert(value->from < value->to && value->level <= JSON_SCAN_DEPTH_MAX);
    seen->hash = hash_mix(seen->hash, hash_bytes(facts, sizeof(facts)));
    seen->hash = hash_mix(seen->hash, hash_bytes(value->name.ptr, value->name.len));
    seen->hash = hash_mix(seen->hash, hash_bytes(value->text.ptr, value->text.len));
    if (value->level > seen->deepest)
        seen->deepest = value->level;
}

static int scan_all(const uint8_t *data, size_t size, size_t step, struct seen *seen)
{
    static struct json_scan scan;
    json_scan_init(&scan, see, seen);
    for (size_t at = 0; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        if (json_scan_feed(&scan, str_make((const char *)data + at, len)) < 0)
            break;
    }
    return json_scan_end(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = { 0 }, bytes = { 0 };
    int r = scan_all(data, size, size + 1, &whole);
    assert(scan_all(data, size, 1, &bytes) == r && bytes.hash == whole.hash);
    if (r == -E2BIG || !utf8_valid(str_make((const char *)data, size)))
        return 0;
    yyjson_doc *doc = yyjson_read_opts((char *)data, size, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    /* A BOM and half a surrogate pair, which the one takes and the other does not, apart. */
    bool is_odd =
        (size && data[0] == 0xef) || memmem(data, size, "\\u", 2) || memmem(data, size, "\\U", 2);
    assert(is_odd || (doc != NULL) == (r == 0));
    yyjson_doc_free(doc);
    return 0;
}
