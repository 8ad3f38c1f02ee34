#include "doctor/net_truth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What can be loaded is written and loaded as the same, and can be judged. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_record record, again;
    struct net_facts facts;
    struct net_truth truth;
    _cleanup_(buf_release) struct buf first = BUF_INIT, second = BUF_INIT;
    if (net_record_load(str_make((const char *)data, size), &record, NULL) < 0)
        return 0;
    if (net_record_save(&record, &first, NULL) < 0 ||
        net_record_load(buf_str(&first), &again, NULL) < 0)
        abort();
    if (net_record_save(&again, &second, NULL) < 0 || !str_equal(buf_str(&first), buf_str(&second)))
        abort();
    if (net_facts_read(&again, &facts, NULL) == 0) {
        net_truth_derive(&facts, &truth);
        net_facts_release(&facts);
    }
    net_record_release(&again);
    net_record_release(&record);
    return 0;
}
