/* authorities_fuzz: files of certificates that nobody chose; what is taken of one is taken again.
 */
#include "machine/authorities.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once = BUF_INIT_LIMIT(AUTHORITIES_BYTES_MAX);
    struct buf twice = BUF_INIT_LIMIT(AUTHORITIES_BYTES_MAX);
    int count = authorities_take(str_make((const char *)data, size), &once, NULL);
    if (count > 0) {
        assert(authorities_take(buf_str(&once), &twice, NULL) == count);
        assert(str_equal(buf_str(&once), buf_str(&twice)));
    }
    buf_release(&once);
    buf_release(&twice);
    return 0;
}
