/* Input: the text of a list of changes. What is accepted is written as it was read. */
#include "machine/changes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int append(void *context, struct str piece)
{
    return buf_add_str(context, piece);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct changes changes = { 0 }, again = { 0 };
    struct buf written = BUF_INIT;
    if (changes_parse(text, &changes, NULL) < 0)
        return 0;
    if (changes_write_text(&changes, append, &written) < 0 ||
        changes_parse(buf_str(&written), &again, NULL) < 0 || again.count != changes.count ||
        strcmp(again.digest, changes.digest) != 0)
        abort();
    buf_release(&written);
    changes_release(&changes);
    changes_release(&again);
    return 0;
}
