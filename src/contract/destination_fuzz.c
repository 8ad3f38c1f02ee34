/*
 * Input: two destinations, a newline between them. A destination covers itself
 * and is covered by all that it climbs to; a host name that was read is its own
 * only spelling; a range reads as its own text, without bits beyond the prefix.
 */
#include "contract/destination.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_climb(const struct destination *d)
{
    struct destination above = *d;
    size_t steps = 0;
    if (!destination_covers(d, d))
        abort();
    while (destination_climb(&above)) {
        above.form = DESTINATION_BELOW;
        if (!destination_covers(&above, d) || ++steps > DESTINATION_PATH_SIZE)
            abort();
    }
}

static void check_range(struct str text)
{
    struct address_range range, again;
    char spelled[ADDRESS_RANGE_TEXT_SIZE];
    if (!address_range_read(text, &range))
        return;
    address_range_text(&range, spelled);
    if (!address_range_read(str_from(spelled), &again) || again.has_host_bits ||
        again.is_ipv6 != range.is_ipv6 || again.prefix_bits != range.prefix_bits ||
        memcmp(again.address, range.address, sizeof(range.address)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct str first = str_make(text.ptr, str_index(text, '\n', 0));
    struct str second = str_from_offset(text, first.len + 1);
    char first_path[DESTINATION_PATH_SIZE], second_path[DESTINATION_PATH_SIZE];
    struct destination a, b;
    struct host_name name, again;
    check_range(first);
    if (host_name_read(first, &name, NULL) == 1 &&
        (host_name_read(str_from(name.text), &again, NULL) != 1 ||
         strcmp(name.text, again.text) != 0))
        abort();
    bool has_first = destination_read(first, first_path, &a, NULL) == 1;
    bool has_second = destination_read(second, second_path, &b, NULL) == 1;
    if (has_first)
        check_climb(&a);
    if (has_first && has_second && destination_covers(&a, &b) && destination_covers(&b, &a) &&
        (a.form != b.form || !str_equal(a.path, b.path)))
        abort();
    return 0;
}
