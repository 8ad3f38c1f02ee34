/* retry_fuzz: heads of any bytes; what is waited stays within its bounds. */
#include "base/base.h"
#include "doors/model/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str headers = str_make((const char *)data, size);
    for (unsigned retries = 0; retries <= MODEL_RETRIES_MAX; retries++) {
        int64_t wait = retry_wait_ms(429, headers, retries, INT64_C(1790000000000), size);
        if (wait < -1 || wait > MODEL_RETRY_WAIT_MAX_MS)
            abort();
    }
    return 0;
}
