/* lazy: dlopen behind a table; see the header. */
#include "base/lazy.h"

#include <dlfcn.h>

int lazy_load(struct lazy_library *library, struct err *err)
{
    if (library->loaded)
        return 0;
    void *handle = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL);
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
