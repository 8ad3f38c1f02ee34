/* forward_fuzz: heads of answers of any bytes; what a client gets are whole lines without controls.
 */
#include "doors/model/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf lines = BUF_INIT_LIMIT(UPSTREAM_HEAD_BYTES_MAX);
    struct forward_answer answer;
    struct buf head = BUF_INIT;
    buf_add_str(&head, str_make((const char *)data, size));
    buf_add_char(&head, '\n'); /* as libcurl gives them */
    if (!head.error && forward_answer_head(buf_str(&head), &lines, &answer) == 0)
        for (size_t i = 0; i < lines.len; i++) {
            unsigned char c = (unsigned char)lines.data[i];
            if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f ||
                (c == '\n' && (i == 0 || lines.data[i - 1] != '\r')) ||
                (c == '\r' && lines.data[i + 1] != '\n'))
                abort();
        }
    buf_release(&head);
    buf_release(&lines);
    return 0;
}
