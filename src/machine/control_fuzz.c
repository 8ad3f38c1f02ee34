/* Input: a request's line. What is accepted is written and read back as the same request. */
#include "machine/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request request, again;
    struct buf line = BUF_INIT_LIMIT(2 * CONTROL_LINE_MAX);
    if (control_parse(str_make((const char *)data, size), &request, NULL) == 0) {
        if (control_write(&request, &line) < 0)
            abort();
        struct str text = str_make(line.data, line.len - 1);
        if (str_index(text, '\n', 0) != text.len || control_parse(text, &again, NULL) < 0)
            abort();
        if (request.verb != again.verb || strcmp(request.reference, again.reference) != 0 ||
            request.allow != again.allow || request.rows != again.rows ||
            request.columns != again.columns || request.timeout_ms != again.timeout_ms)
            abort();
    }
    buf_release(&line);
    return 0;
}
