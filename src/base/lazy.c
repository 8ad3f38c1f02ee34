/* lazy: dlopen behind a table; see the header. */
#include "base/lazy.h"

#include <dlfcn.h>

#include "base/str.h"

#define SONAME_BYTES_MAX 64

/* Functions are bound when they are first called: few of a large library's ever are. */
static void *open_first(const char *sonames)
{
    struct str all = str_from(sonames);
    void *handle = NULL;
    for (size_t at = 0; !handle && at < all.len;) {
        size_t end = str_index(all, '|', at);
        char soname[SONAME_BYTES_MAX];
        snprintf(soname, sizeof(soname), "%.*s", (int)(end - at), all.ptr + at);
        handle = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
        at = end + 1;
    }
    return handle;
}

int lazy_load(struct lazy_library *library, struct err *err)
{
    if (library->loaded)
        return 0;
    void *handle = open_first(library->soname);
    if (!handle)
        return err_set(err, ERR_UNSUPPORTED, "load a library",
                       "%s cannot be loaded (%s); `./dev setup` installs it", library->soname,
                       dlerror());
    for (size_t i = 0; i < library->count; i++) {
        library->slots[i] = dlsym(handle, library->names[i]);
        if (!library->slots[i])
            return err_set(err, ERR_UNSUPPORTED, "load a library",
                           "%s has no %s: the library is older than this program needs",
                           library->soname, library->names[i]);
    }
    library->loaded = true;
    return 0;
}
