#include "doctor/story.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str whole;

static int check(void *context, struct str word)
{
    *(size_t *)context += word.len;
    if (word.len < 2 || word.ptr < whole.ptr || word.ptr + word.len > whole.ptr + whole.len)
        abort();
    return 0;
}

/* Every word lies within the line, and no byte is in two of them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t seen = 0;
    whole = str_make((const char *)data, size);
    (void)story_each_word(whole, check, &seen);
    if (seen > size)
        abort();
    return 0;
}
