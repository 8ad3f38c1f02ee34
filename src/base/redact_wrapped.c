/*
 * redact_wrapped: runs of an encoding, undone and scanned.
 *
 * Theory of operation. A run is as many bytes as one encoding can be made of.
 * It is decoded into a buffer of its own, and if what comes out reads like a
 * text, that is scanned. Where it holds a secret the run as a whole is one: to
 * mask a part of base64 would leave neither. Base64 of binary data does not
 * read like a text, and is left alone.
 *
 * This is for texts that leave (a bundle), not for streams: a run has to be
 * seen whole. What was decoded is wiped.
 *
 * Threats: the text is hostile. Each byte is in at most one run of each kind,
 * which is decoded once and never again.
 */
#include "base/redact_wrapped.h"

#include "base/buf.h"

#define STEP              "scan for secrets"
#define PRINTABLE_PERCENT 95

struct unwrapping {
    struct redact_scanner *scanner;
    struct buf decoded;
    const struct redact_rule *found;
};

/* Bytes of which base64 is made, and of which a query or a form is; one look for each. */
static const bool of_base64[256] = {
    ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['+'] = true,
    ['-'] = true,         ['/'] = true,         ['_'] = true
};
static const bool of_percent[256] = { ['!'] = true,         ['#' ... '%'] = true,
                                      ['(' ... ';'] = true, ['='] = true,
                                      ['?' ... '['] = true, [']' ... '_'] = true,
                                      ['a' ... 0x7f] = true };

/* Of a byte of base64. */
static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int note(void *context, const struct redact_match *match, struct err *err)
{
    struct unwrapping *unwrapping = context;
    (void)err;
    unwrapping->found = match->rule;
    return 0;
}

static bool reads_like_a_text(struct str bytes)
{
    size_t printable = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        printable += (c >= ' ' && c != 0x7f) || c == '\n' || c == '\r' || c == '\t';
    }
    return bytes.len && printable * 100 >= bytes.len * PRINTABLE_PERCENT;
}

/* The rule of a secret in a text; NULL where it holds none. */
static int find_in(struct unwrapping *unwrapping, struct str text, const struct redact_rule **ret,
                   struct err *err)
{
    unwrapping->found = NULL;
    int r = redact_scan(unwrapping->scanner, text, note, unwrapping, err);
    *ret = unwrapping->found;
    return r;
}

static void decode_base64(struct str run, struct buf *ret)
{
    uint32_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < run.len; i++) {
        held = held << 6 | (uint32_t)digit_of(run.ptr[i]);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_add_char(ret, (char)(held >> bits & 0xff));
        }
    }
}

static void decode_percent(struct str run, struct buf *ret)
{
    for (size_t i = 0; i < run.len; i++) {
        int high = i + 2 < run.len && run.ptr[i] == '%' ? hex_of(run.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_of(run.ptr[i + 2]) : -1;
        buf_add_char(ret, low >= 0 ? (char)(high << 4 | low) : run.ptr[i]);
        i += low >= 0 ? 2 : 0;
    }
}

static size_t base64_run(struct str text, size_t at)
{
    size_t end = at;
    while (end < text.len && end - at < REDACT_WRAPPED_BYTES_MAX &&
           of_base64[(unsigned char)text.ptr[end]])
        end++;
    return end;
}

static size_t percent_run(struct str text, size_t at)
{
    size_t end = at;
    while (end < text.len && end - at < REDACT_WRAPPED_BYTES_MAX &&
           of_percent[(unsigned char)text.ptr[end]])
        end++;
    return end;
}

/* Whether a run holds a secret once it is decoded: its rule, or NULL. */
static int look(struct unwrapping *unwrapping, struct str run, bool is_base64,
                const struct redact_rule **ret, struct err *err)
{
    struct buf *decoded = &unwrapping->decoded;
    *ret = NULL;
    buf_reset(decoded);
    is_base64 ? decode_base64(run, decoded) : decode_percent(run, decoded);
    int r = decoded->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
    if (r == 0 && reads_like_a_text(buf_str(decoded)))
        r = find_in(unwrapping, buf_str(decoded), ret, err);
    if (decoded->len)
        explicit_bzero(decoded->data, decoded->len);
    return r;
}

/* What stands in a run plainly too is masked by itself. */
static int look_at_percent(struct unwrapping *unwrapping, struct str run,
                           const struct redact_rule **ret, struct err *err)
{
    const struct redact_rule *plain = NULL;
    if (!run.len || !memchr(run.ptr, '%', run.len))
        return 0;
    int r = look(unwrapping, run, false, ret, err);
    if (r == 0 && *ret)
        r = find_in(unwrapping, run, &plain, err);
    if (plain)
        *ret = NULL;
    return r;
}

static int report(size_t at, size_t end, const struct redact_rule *rule, redact_visit *visit,
                  void *context, struct err *err)
{
    struct redact_match match = { .offset = at, .len = end - at, .rule = rule };
    return visit(context, &match, err);
}

int redact_scan_wrapped(struct redact_scanner *scanner, struct str text, redact_visit *visit,
                        void *context, struct err *err)
{
    struct unwrapping unwrapping = { .scanner = scanner, .decoded = BUF_INIT };
    size_t percent_from = 0; /* before it, percent-encoding was looked at */
    int r = 0;
    for (size_t at = 0; r == 0 && at < text.len;) {
        const struct redact_rule *rule = NULL;
        size_t end = at;
        if (at >= percent_from) {
            percent_from = end = percent_run(text, at);
            r = look_at_percent(&unwrapping, str_make(text.ptr + at, end - at), &rule, err);
        }
        if (r == 0 && !rule) {
            end = base64_run(text, at);
            if (end - at >= REDACT_WRAPPED_BYTES_MIN)
                r = look(&unwrapping, str_make(text.ptr + at, end - at), true, &rule, err);
        }
        if (r == 0 && rule) {
            while (end < text.len && text.ptr[end] == '=')
                end++;
            r = report(at, end, rule, visit, context, err);
        }
        at = end > at ? end : at + 1;
    }
    buf_release(&unwrapping.decoded);
    return r;
}
