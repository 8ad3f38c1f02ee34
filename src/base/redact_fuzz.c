/*
 * Input: two bytes that say how the rest is cut, and the rest. A text gives
 * the same output whether it is fed whole, in pieces, or put together from
 * what redact_scan reports; and what is not reported comes out unchanged. The
 * pieces go through a scanner that has scanned nothing before, by hand.
 */
#include "base/redact.h"

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rebuilt {
    struct str text;
    size_t done;
    struct buf out;
};

static int to_buf(void *context, struct str bytes, struct err *err)
{
    (void)err;
    return buf_add_str(context, bytes);
}

static int rebuild(void *context, const struct redact_match *match, struct err *err)
{
    (void)err;
    struct rebuilt *rebuilt = context;
    size_t start = (size_t)match->offset;
    if (match->len == 0 || start < rebuilt->done || match->len > rebuilt->text.len - start)
        abort();
    buf_add(&rebuilt->out, rebuilt->text.ptr + rebuilt->done, start - rebuilt->done);
    buf_addf(&rebuilt->out, "[redacted:%s]", redact_kind_name(match->rule->kind));
    rebuilt->done = start + (size_t)match->len;
    return 0;
}

/* Appends the text masked, fed in pieces of `first`, `second`, `first`, … bytes. */
static void mask(struct redact_scanner *scanner, struct str text, size_t first, size_t second,
                 struct buf *out)
{
    struct redactor *redactor;
    if (redactor_new(scanner, to_buf, out, &redactor, NULL) < 0)
        abort();
    for (bool odd = false; text.len; odd = !odd) {
        size_t len = odd ? second : first;
        struct str piece = str_make(text.ptr, len < text.len ? len : text.len);
        if (redactor_feed(redactor, piece, NULL) < 0)
            abort();
        text = str_from_offset(text, piece.len);
    }
    if (redactor_end(redactor, NULL) < 0)
        abort();
    redactor_free(redactor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redact_scanner *scanner;
    if (!scanner && redact_scanner_new(&scanner, NULL) < 0)
        abort();
    if (size < 2)
        return 0;
    struct rebuilt rebuilt = {
        .text = { (const char *)data + 2, size - 2 },
        .out = BUF_INIT,
    };
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    mask(scanner, rebuilt.text, size, size, &whole);
    struct redact_scanner *fresh;
    if (redact_scanner_new(&fresh, NULL) < 0)
        abort();
    mask(fresh, rebuilt.text, data[0] + 1u, (data[1] + 1u) * 64u, &pieces);
    redact_scanner_free(fresh);
    if (redact_scan(scanner, rebuilt.text, rebuild, &rebuilt, NULL) < 0)
        abort();
    buf_add_str(&rebuilt.out, str_from_offset(rebuilt.text, rebuilt.done));
    if (!str_equal(buf_str(&whole), buf_str(&pieces)) ||
        !str_equal(buf_str(&whole), buf_str(&rebuilt.out)))
        abort();
    buf_release(&whole);
    buf_release(&pieces);
    buf_release(&rebuilt.out);
    return 0;
}
