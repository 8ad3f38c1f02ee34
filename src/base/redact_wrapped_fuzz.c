/*
 * Input: two bytes that choose a rule and a place, and a text. What is reported lies in the text,
 * in order, and overlaps nowhere; and the rule's own example in base64 is found at that place,
 * whatever stands around it.
 */
#include "base/redact_wrapped.h"

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 65536

/* What was reported, beside what has to be. */
struct reported {
    size_t len, done;
    size_t planted, planted_end;
    bool found;
};

static int visit(void *context, const struct redact_match *match, struct err *err)
{
    struct reported *reported = context;
    size_t start = (size_t)match->offset, end = start + (size_t)match->len;
    (void)err;
    if (!match->rule || !match->len || start < reported->done || end > reported->len)
        abort();
    reported->done = end;
    reported->found =
        reported->found || (start <= reported->planted && end >= reported->planted_end);
    return 0;
}

static void add_base64(struct buf *ret, struct str text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < text.len; i += 3) {
        uint32_t held = 0;
        for (size_t j = 0; j < 3; j++)
            held = held << 8 | (i + j < text.len ? (unsigned char)text.ptr[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            buf_add_char(ret, i + j > text.len ? '=' : digits[held >> (18 - 6 * j) & 63]);
    }
}

/* The place is between words: a run that is longer is another one. */
static void plant(struct buf *text, const struct redact_rule *rule, struct reported *reported)
{
    struct buf plain = BUF_INIT;
    buf_addf(&plain, "%s%s%s", rule->before ? rule->before : "", rule->example,
             rule->after ? rule->after : "");
    buf_add_char(text, ' ');
    reported->planted = text->len;
    add_base64(text, buf_str(&plain));
    reported->planted_end = text->len;
    buf_add_char(text, ' ');
    buf_release(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redact_scanner *scanner;
    struct reported reported = { 0 };
    struct buf text = BUF_INIT;
    if (size < 2 || size > TEXT_MAX)
        return 0;
    if (!scanner && redact_scanner_new(&scanner, NULL) < 0)
        abort();
    struct str rest = str_make((const char *)data + 2, size - 2);
    size_t at = rest.len * data[1] / 255;
    buf_add_str(&text, str_make(rest.ptr, at));
    plant(&text, redact_rule_at(data[0] % REDACT_RULE_OWN), &reported);
    buf_add_str(&text, str_from_offset(rest, at));
    reported.len = text.len;
    if (text.error || redact_scan_wrapped(scanner, buf_str(&text), visit, &reported, NULL) < 0 ||
        !reported.found)
        abort();
    buf_release(&text);
    return 0;
}
