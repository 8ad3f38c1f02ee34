/* registry_write: a component as a RuntimeRegistryIntegrityRecord. */
#include "base/clock.h"
#include "base/json.h"
#include "doctor/registry.h"

static void add_record(struct buf *json, const struct registry_record *record, bool with_kind)
{
    buf_add_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    if (with_kind)
        json_add_text(json, "recordKind", str_from(record_kind_names[record->kind]));
    json_add_text(json, "recordRef", str_from(record->ref));
    json_add_text(json, "state", str_from(record_state_names[record->state]));
    if (record->code)
        json_add_text(json, "errorCode", str_from(record->code));
    if (record->impact)
        json_add_text(json, "userVisibleImpact", str_from(record->impact));
    if (record->remedy)
        json_add_text(json, "remediationHint", str_from(record->remedy));
    buf_add_char(json, '}');
}

/* In which of the document's lists a record stands, beside that of all. */
static const char *const lists[RECORD_KIND_COUNT] = {
    [RECORD_EXTENSION] = "extensionRecords", [RECORD_EXTENSION_POINT] = "extensionRecords",
    [RECORD_LAUNCH] = "extensionRecords",    [RECORD_BROKER] = "brokerRecords",
    [RECORD_PROFILE] = "extensionRecords",
};

static void add_list(struct buf *json, const struct registry_component *component, const char *name)
{
    json_add_name(json, name);
    buf_add_char(json, '[');
    for (size_t i = 0; i < component->count; i++) {
        const char *list = lists[component->records[i].kind];
        if (list && strcmp(list, name) == 0)
            add_record(json, &component->records[i], false);
    }
    buf_add_char(json, ']');
}

int registry_write(const struct registry_component *component, int64_t at_ms, struct buf *ret,
                   struct err *err)
{
    char id[128], at[CLOCK_TEXT_SIZE], digest[DIGEST_TEXT_SIZE];
    int r = digest_text(str_from(component->ref), digest, err);
    if (r < 0)
        return r;
    snprintf(id, sizeof(id), "urn:srcos:runtime-registry-integrity:%.16s-%llx",
             digest + strlen("sha256:"), (unsigned long long)at_ms);
    clock_text(at_ms, at);
    buf_add_char(ret, '{');
    json_add_text(ret, "id", str_from(id));
    json_add_text(ret, "type", STR("RuntimeRegistryIntegrityRecord"));
    json_add_text(ret, "specVersion", STR("1.0.0"));
    json_add_text(ret, "componentRef", str_from(component->ref));
    json_add_text(ret, "bundleOrPackageIdentity", str_from(component->identity));
    json_add_text(ret, "observedAt", str_from(at));
    json_add_text(ret, "receiptState", str_from(record_state_names[component->receipt]));
    add_list(ret, component, "extensionRecords");
    add_list(ret, component, "brokerRecords");
    json_add_name(ret, "manifestDigest");
    if (component->manifest_digest[0])
        json_add_string(ret, str_from(component->manifest_digest));
    else
        buf_add_text(ret, "null");
    json_add_name(ret, "registryRecords");
    buf_add_char(ret, '[');
    for (size_t i = 0; i < component->count; i++)
        add_record(ret, &component->records[i], true);
    buf_add_char(ret, ']');
    json_add_text(ret, "verificationVerdict", str_from(registry_verdict_names[component->verdict]));
    json_add_text(ret, "remediationHint", str_from(component->remedy));
    buf_add_char(ret, '}');
    return ret->error
               ? err_set(err, ERR_MEMORY, "write a registry's record", "there is not enough memory")
               : 0;
}
