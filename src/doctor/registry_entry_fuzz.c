#include "doctor/registry_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_name(void *context, struct str name)
{
    *(size_t *)context += name.len;
}

static void take_program(void *context, struct str name, struct str path)
{
    *(size_t *)context += name.len + path.len;
}

/* Each kind of manifest, whatever the bytes are; texts that come out end within their room. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct registry_entry entry;
    struct str text = str_make((const char *)data, size);
    size_t seen = 0;
    for (size_t kind = 0; kind < ENTRY_KIND_COUNT; kind++) {
        registry_entry_read((enum registry_entry_kind)kind, text, &entry);
        if (!memchr(entry.name, 0, sizeof(entry.name)) ||
            !memchr(entry.version, 0, sizeof(entry.version)) ||
            !memchr(entry.program, 0, sizeof(entry.program)))
            abort();
    }
    (void)registry_policy_read(text, "NativeMessagingBlocklist", take_name, &seen);
    (void)registry_mime_read(text, take_name, &seen);
    (void)registry_node_read(text, take_program, &seen);
    return 0;
}
