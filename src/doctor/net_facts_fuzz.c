#include "doctor/net_truth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Items, one behind the other: a byte for the kind, two for the length, the bytes of the kernel. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_record record;
    struct net_facts facts;
    struct net_truth truth;
    if (net_record_init(&record, NULL) < 0)
        return 0;
    record.at_ms = INT64_C(1795252200000);
    while (size >= 3 && record.count < 64) {
        size_t len = (size_t)data[1] << 8 | data[2];
        len = len > size - 3 ? size - 3 : len;
        net_record_add(&record, (enum net_item_kind)(data[0] % NET_ITEM_COUNT), "wlan0 x", 0,
                       str_make((const char *)data + 3, len));
        data += len + 3;
        size -= len + 3;
    }
    if (net_facts_read(&record, &facts, NULL) == 0) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        net_truth_derive(&facts, &truth);
        for (size_t i = 0; i < NET_LAYER_COUNT; i++)
            if (!truth.layers[i].state)
                abort();
        if (net_truth_write(&truth, &text, NULL) < 0)
            abort();
        net_facts_release(&facts);
    }
    net_record_release(&record);
    return 0;
}
