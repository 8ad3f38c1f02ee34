/* engine_fuzz: what a policy engine answers, which may be anything. */
#include "authority/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine_reply reply;
    struct err err = { 0 };
    int r = engine_read_reply(str_make((const char *)data, size), &reply, &err);
    if (r == 0) {
        assert(reply.answer != ANSWER_NOTHING);
        assert(memchr(reply.reason, '\0', sizeof(reply.reason)));
    } else {
        assert(err.cause[0]);
    }
    return 0;
}
