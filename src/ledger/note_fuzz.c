/*
 * Input: a public key's 32 bytes, then a note. Reading it must never go wrong, and what it says it
 * found must lie within the note.
 */
#include "ledger/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sign_public key = { { 0 } };
    struct str text, name;
    size_t used = size < sizeof(key.bytes) ? size : sizeof(key.bytes);
    if (used)
        memcpy(key.bytes, data, used);
    struct str note = str_make((const char *)data + used, size - used);
    if (note_open(note, &key, &text, &name, NULL) == 0 &&
        (text.ptr != note.ptr || text.len >= note.len || name.len == 0))
        abort();
    return 0;
}
