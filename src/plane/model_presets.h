/* model_presets: small local models that most laptops can serve, by name. */
#ifndef AM_PLANE_MODEL_PRESETS_H
#define AM_PLANE_MODEL_PRESETS_H

#include "base/base.h"
#include "base/buf.h"

struct model_preset {
    const char *name; /* of the model, as its runtime knows it */
    const char *urn;  /* of its LocalModelProfile */
    const char *title, *size;
    const char *roles; /* JSON strings */
    unsigned disk_mb, memory_mb, prompt_chars;
    const char *fallback; /* a JSON array of LocalModelProfiles */
};

extern const struct model_preset model_presets[];
extern const size_t model_preset_count;

/* NULL where there is none. */
const struct model_preset *model_preset_find(const char *name);
/* Appends its LocalModelProfile. */
void model_preset_write(const struct model_preset *preset, struct buf *ret);

#endif
