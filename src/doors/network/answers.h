/* answers: which question of a program inside gets which answer. */
#ifndef AM_DOORS_NETWORK_ANSWERS_H
#define AM_DOORS_NETWORK_ANSWERS_H

#include "doors/network/dns_message.h"
#include "doors/network/names.h"
#include "doors/network/target.h"

#define ANSWERS_TTL_S 60

struct answers {
    const struct door_asks *asks;
    struct names *names;
};

/* From message to message: the length of the answer in `ret`, 0 where there is none to give. */
size_t answers_make(const struct answers *answers, struct str message, bool by_udp,
                    unsigned char ret[DNS_ANSWER_BYTES_MAX]);

#endif
