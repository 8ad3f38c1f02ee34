/* metaschema: see the header. */
#include "contract/metaschema.h"

#include "base/json.h"

int metaschema_fetch(struct str uri, yyjson_doc **ret_doc, struct err *err)
{
    for (size_t i = 0; i < embedded_metaschemas_count; i++) {
        const struct embedded_metaschema *m = &embedded_metaschemas[i];
        if (str_equal(uri, str_from(m->uri)))
            return json_read(str_make(m->text, m->len), &json_limits_default, ret_doc, err);
    }
    return -ENOENT;
}
