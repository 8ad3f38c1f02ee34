/* local_service_fuzz: lists of any bytes. */
#include "carry/local_service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int form = LOCAL_LIST_OLLAMA; form <= LOCAL_LIST_OPENAI; form++) {
        struct local_models models = { 0 };
        struct str body = str_make((const char *)data, size);
        if (local_models_read(body, (enum local_list_form)form, &models) < 0)
            continue;
        for (size_t i = 0; i < models.count; i++)
            if (!local_models_find(&models, str_from(models.models[i].name)))
                abort();
        local_models_release(&models);
    }
    return 0;
}
