/*
 * Input: a base, a newline, a reference. What the strict parser accepts must
 * stay acceptable when it is resolved, and must not gain a host on the way.
 */
#include "contract/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct str base_text = str_make(text.ptr, str_index(text, '\n', 0));
    struct str reference_text = str_from_offset(text, base_text.len + 1);
    struct uri base, reference, resolved;
    struct buf buf = BUF_INIT, decoded = BUF_INIT;
    bool base_ok = uri_parse(base_text, URI_INTERNATIONAL, &base) && base.has_scheme;
    bool reference_ok = uri_parse(reference_text, URI_INTERNATIONAL, &reference);
    int error = uri_resolve(base_text, reference_text, &buf);
    if (!error && base_ok && reference_ok) {
        if (!uri_parse(buf_str(&buf), URI_INTERNATIONAL, &resolved) || !resolved.has_scheme)
            abort();
        bool host_known = reference.has_authority || (!reference.has_scheme && base.has_authority);
        if (resolved.has_authority != host_known)
            abort();
        if (!uri_percent_decode(buf_str(&buf), &decoded))
            abort();
    }
    buf_release(&decoded);
    buf_release(&buf);
    return 0;
}
