/*
 * Input: a check, the two bytes before, and what a pattern found. A check reads nothing but these,
 * says the same of them twice, and lets a token pass whose checksum holds. Entropy has its bounds.
 */
#include "base/redact_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FOUND_MAX    4096
#define CHECKS       (CHECK_RANDOM + 1)
#define ENTROPY_MOST 800 /* hundredths of a bit: of bytes that are all others */

static void check_entropy(struct str found)
{
    unsigned entropy = redact_entropy(found);
    bool is_one = true;
    for (size_t i = 1; i < found.len; i++)
        is_one = is_one && found.ptr[i] == found.ptr[0];
    if (entropy > ENTROPY_MOST + 1 || (found.len > 1 && is_one && entropy > 1))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > FOUND_MAX)
        return 0;
    /* Of its own, so that whatever is read around it is noticed. */
    char *copy = malloc(size - 1);
    if (!copy)
        return 0;
    memcpy(copy, data + 1, size - 1);
    struct str found = str_make(copy + 2, size - 3);
    enum redact_check check = (enum redact_check)(data[0] % CHECKS);
    bool holds = redact_check_holds(check, found);
    if (holds != redact_check_holds(check, found) || (check == CHECK_NONE && !holds))
        abort();
    if (redact_crc_holds(found) && !redact_check_holds(CHECK_CRC, found))
        abort();
    if (found.len)
        check_entropy(found);
    free(copy);
    return 0;
}
