#include "doctor/dpkg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every view that a reader hands out lies within the text. */
static struct str whole;

static void check(struct str part)
{
    if (part.len && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len))
        abort();
}

static int take_package(void *context, const struct dpkg_package *package)
{
    (void)context;
    check(package->name);
    check(package->version);
    check(package->architecture);
    check(package->want);
    check(package->flag);
    check(package->state);
    return 0;
}

static int take_digest(void *context, const struct dpkg_digest *digest)
{
    (void)context;
    check(digest->path);
    return 0;
}

static int take_diversion(void *context, const struct dpkg_diversion *diversion)
{
    (void)context;
    check(diversion->from);
    check(diversion->to);
    check(diversion->by);
    return 0;
}

static int take_filter(void *context, const struct dpkg_filter *filter)
{
    (void)context;
    check(filter->pattern);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t odd;
    whole = str_make((const char *)data, size);
    (void)dpkg_each_package(whole, take_package, NULL);
    (void)dpkg_each_digest(whole, take_digest, NULL, &odd);
    (void)dpkg_each_diversion(whole, take_diversion, NULL);
    (void)dpkg_each_filter(whole, take_filter, NULL);
    return 0;
}
