/* The figures do not depend on how an answer is cut into pieces. */
#include "doors/model/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct model_usage read_all(const uint8_t *data, size_t size, enum model_protocol protocol,
                                   enum answer_form form, size_t step)
{
    struct usage_reader reader;
    usage_reader_init(&reader, protocol, ENDPOINT_CHAT, form);
    for (size_t at = 0; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        usage_reader_feed(&reader, str_make((const char *)data + at, len));
    }
    return usage_reader_result(&reader);
}

/* The first byte chooses protocol and form. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    enum model_protocol protocol = data[0] % MODEL_PROTOCOL_COUNT;
    enum answer_form form = data[0] / 16 % 3;
    struct model_usage whole = read_all(data + 1, size - 1, protocol, form, size);
    struct model_usage bytes = read_all(data + 1, size - 1, protocol, form, 1);
    assert(whole.input == bytes.input && whole.output == bytes.output);
    assert(whole.has_input == bytes.has_input && whole.is_final == bytes.is_final);
    return 0;
}
