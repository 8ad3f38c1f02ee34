/*
 * Input: a byte that says what the door permits and whether it is UDP, and a message. What is
 * answered is an answer to that message, within its bounds, and a question that is read is echoed.
 */
#include "doors/network/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(bool condition)
{
    if (!condition)
        abort();
}

/* The door permits names of a length that the first byte says. */
static bool permit(void *context, const char *name)
{
    struct host_name again;
    insist(host_name_read(str_from(name), &again, NULL) == 1 && strcmp(again.text, name) == 0);
    return strlen(name) > *(const uint8_t *)context >> 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct names *names;
    if (!names && names_new(&names, NULL) < 0)
        abort();
    if (!size)
        return 0;
    const struct door_asks asks = { .context = (void *)(uintptr_t)data, .name = permit };
    const struct answers answers = { &asks, names };
    struct str message = str_make((const char *)data + 1, size - 1);
    unsigned char answer[DNS_ANSWER_BYTES_MAX];
    bool by_udp = data[0] & 1;
    struct dns_query query;
    uint16_t fault;
    enum dns_reading reading = dns_query_read(message, &query, &fault);
    size_t len = answers_make(&answers, message, by_udp, answer);
    insist((len == 0) == (reading == DNS_DROPPED));
    if (!len)
        return 0;
    insist(len >= 12 && len <= sizeof(answer) && (!by_udp || len <= query.udp_bytes));
    insist(memcmp(answer, message.ptr, 2) == 0 && answer[2] & 0x80);
    insist(answer[5] == (query.question_len != 0));
    insist(memcmp(answer + 12, query.question, query.question_len) == 0);
    insist(reading == DNS_FAULTY || query.question_len);
    insist(reading == DNS_READ || (!answer[6] && !answer[7]));
    return 0;
}
