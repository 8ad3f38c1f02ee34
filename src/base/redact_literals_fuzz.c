/*
 * Input: a byte that says how long the secret is, the secret, and a text. No
 * part of the secret that is looked for is left in what comes out, however the
 * text is cut; and a text that holds none comes out as it is.
 */
#include "base/redact_literals.h"

#include "base/buf.h"
#include "base/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int to_buf(void *context, struct str bytes, struct err *err)
{
    (void)err;
    return buf_add_str(context, bytes);
}

static void mask(const struct redact_literals *literals, struct str text, size_t step,
                 struct buf *ret)
{
    struct redact_scanner *scanner;
    struct redactor *redactor;
    if (redact_scanner_new(&scanner, NULL) < 0)
        abort();
    redact_scanner_use(scanner, literals);
    if (redactor_new(scanner, to_buf, ret, &redactor, NULL) < 0)
        abort();
    for (; text.len; text = str_from_offset(text, step))
        if (redactor_feed(redactor, str_make(text.ptr, step < text.len ? step : text.len), NULL) <
            0)
            abort();
    if (redactor_end(redactor, NULL) < 0)
        abort();
    redactor_free(redactor);
    redact_scanner_free(scanner);
}

/* Whether it is one line, and no part of a mask or of its neighbours could read like it. */
static bool is_unlike_a_mask(struct str s)
{
    bool has_digit = false;
    for (size_t i = 0; i < s.len; i++) {
        if (strchr("[]\r\n", s.ptr[i]))
            return false;
        has_digit = has_digit || (s.ptr[i] >= '0' && s.ptr[i] <= '9');
    }
    return has_digit;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redact_literals *literals;
    size_t parts;
    if (size < 2 || size - 1 < data[0])
        return 0;
    struct str secret = { (const char *)data + 1, data[0] };
    struct str text = { secret.ptr + secret.len, size - 1 - secret.len };
    if (redact_literals_new(&literals, NULL) < 0)
        return 0; /* no memory can be locked */
    if (redact_literals_add(literals, secret, &parts, NULL) < 0)
        abort();
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    mask(literals, text, text.len + 1, &whole);
    mask(literals, text, data[0] % 7u + 1, &pieces);
    if (!str_equal(buf_str(&whole), buf_str(&pieces)))
        abort();
    if (parts == 1 && is_unlike_a_mask(secret) &&
        memmem(whole.data, whole.len, secret.ptr, secret.len))
        abort();
    buf_release(&whole);
    buf_release(&pieces);
    redact_literals_free(literals);
    return 0;
}
