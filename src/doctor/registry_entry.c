/*
 * registry_entry: see the header. The codes are stable: they stand in
 * RuntimeRegistryIntegrityRecords.
 */
#include "doctor/registry_entry.h"

#include "base/json.h"
#include "doctor/keyfile.h"

#define UNREADABLE "MANIFEST_UNREADABLE"
#define INCOMPLETE "MANIFEST_INCOMPLETE"

static bool copy(struct str text, char *ret, size_t size)
{
    if (text.len >= size || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(ret, text.ptr, text.len);
    ret[text.len] = '\0';
    return true;
}

/* --- key files ------------------------------------------------------------------------------ */

struct reading {
    enum registry_entry_kind kind;
    struct registry_entry *entry;
    bool has_group, has_type, has_program, is_application, starts_by_bus, has_interfaces;
    bool has_condition; /* it looks itself whether its program is there */
};

static int take_desktop(void *context, const struct keyfile_pair *pair)
{
    struct reading *reading = context;
    struct registry_entry *entry = reading->entry;
    if (!str_equal(pair->group, STR("Desktop Entry")))
        return 0;
    reading->has_group = true;
    if (str_equal(pair->key, STR("Name")))
        (void)copy(pair->value, entry->name, sizeof(entry->name));
    else if (str_equal(pair->key, STR("Type"))) {
        reading->has_type = true;
        reading->is_application = str_equal(pair->value, STR("Application"));
    } else if (str_equal(pair->key, STR("Exec")))
        reading->has_program = keyfile_program(pair->value, entry->program, ENTRY_PATH_MAX);
    else if (str_equal(pair->key, STR("TryExec")))
        entry->is_optional = true; /* without its program the entry is left out */
    else if (str_equal(pair->key, STR("DBusActivatable")))
        reading->starts_by_bus = str_equal(pair->value, STR("true"));
    else if (str_equal(pair->key, STR("Hidden")))
        entry->is_hidden = str_equal(pair->value, STR("true"));
    return 0;
}

static int take_service(void *context, const struct keyfile_pair *pair)
{
    struct reading *reading = context;
    if (!str_equal(pair->group, STR("D-BUS Service")))
        return 0;
    reading->has_group = true;
    if (str_equal(pair->key, STR("Name")))
        (void)copy(pair->value, reading->entry->name, ENTRY_NAME_MAX);
    else if (str_equal(pair->key, STR("Exec")))
        reading->has_program =
            keyfile_program(pair->value, reading->entry->program, ENTRY_PATH_MAX);
    else if (str_equal(pair->key, STR("SystemdService")))
        reading->starts_by_bus = true; /* by systemd: the program is not called from here */
    return 0;
}

/* What stands before a program: `-` lets it fail, `!` and `+` are about rights. */
static int take_unit(void *context, const struct keyfile_pair *pair)
{
    struct reading *reading = context;
    struct str command = pair->value;
    reading->has_group = true;
    reading->has_condition |=
        str_starts(pair->key, STR("ConditionPath")) || str_starts(pair->key, STR("ConditionFile"));
    if (!str_equal(pair->group, STR("Service")) || !str_equal(pair->key, STR("ExecStart")))
        return 0;
    reading->entry->is_optional = false;
    for (; command.len && strchr("-@:+!|", command.ptr[0]); command = str_from_offset(command, 1))
        reading->entry->is_optional |= command.ptr[0] == '-';
    if (!command.len || !keyfile_program(command, reading->entry->program, ENTRY_PATH_MAX) ||
        strchr(reading->entry->program, '%') || strchr(reading->entry->program, '$'))
        reading->entry->program[0] = '\0'; /* what is put in is not known here */
    return 0;
}

static int take_portal(void *context, const struct keyfile_pair *pair)
{
    struct reading *reading = context;
    if (!str_equal(pair->group, STR("portal")))
        return 0;
    reading->has_group = true;
    if (str_equal(pair->key, STR("DBusName")))
        (void)copy(pair->value, reading->entry->name, ENTRY_NAME_MAX);
    reading->has_interfaces |= str_equal(pair->key, STR("Interfaces")) && pair->value.len;
    return 0;
}

static keyfile_visit *const takers[ENTRY_KIND_COUNT] = {
    [ENTRY_DESKTOP] = take_desktop,
    [ENTRY_SERVICE] = take_service,
    [ENTRY_UNIT] = take_unit,
    [ENTRY_PORTAL] = take_portal,
};

static bool is_complete(const struct reading *reading)
{
    const struct registry_entry *entry = reading->entry;
    switch (reading->kind) {
    case ENTRY_DESKTOP:
        return reading->has_group && reading->has_type && entry->name[0] &&
               (!reading->is_application || reading->has_program || reading->starts_by_bus);
    case ENTRY_SERVICE:
        return reading->has_group && entry->name[0] &&
               (reading->has_program || reading->starts_by_bus);
    case ENTRY_UNIT:
        return reading->has_group;
    case ENTRY_PORTAL:
        return reading->has_group && entry->name[0] && reading->has_interfaces;
    case ENTRY_NATIVE_HOST:
    case ENTRY_EXTENSION:
    case ENTRY_NODE:
    case ENTRY_KIND_COUNT:
        break;
    }
    return true;
}

static void read_keyfile(enum registry_entry_kind kind, struct str text, struct registry_entry *ret)
{
    struct reading reading = { .kind = kind, .entry = ret };
    if (keyfile_read(text, takers[kind], &reading) < 0)
        ret->fault = UNREADABLE;
    else if (!is_complete(&reading))
        ret->fault = INCOMPLETE;
    ret->is_optional |= reading.has_condition;
    bool is_started_elsewhere = kind == ENTRY_SERVICE && reading.starts_by_bus;
    if (is_started_elsewhere || (kind == ENTRY_DESKTOP && !reading.is_application))
        ret->program[0] = '\0';
}

/* --- JSON ----------------------------------------------------------------------------------- */

static struct str text_of(const yyjson_val *value)
{
    return yyjson_is_str((yyjson_val *)value) ? json_str(value) : STR("");
}

static void read_json(enum registry_entry_kind kind, struct str text, struct registry_entry *ret)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    ret->fault = UNREADABLE;
    if (json_read(text, &json_limits_default, &doc, NULL) < 0)
        return;
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(root))
        return;
    struct str name = text_of(yyjson_obj_get(root, "name"));
    struct str version = text_of(yyjson_obj_get(root, "version"));
    struct str path = text_of(yyjson_obj_get(root, "path"));
    bool is_host = kind == ENTRY_NATIVE_HOST;
    bool is_named = copy(name, ret->name, sizeof(ret->name)) && name.len &&
                    copy(version, ret->version, sizeof(ret->version));
    bool is_whole = is_host ? yyjson_equals_str(yyjson_obj_get(root, "type"), "stdio") &&
                                  copy(path, ret->program, sizeof(ret->program)) && path.len &&
                                  (yyjson_is_arr(yyjson_obj_get(root, "allowed_origins")) ||
                                   yyjson_is_arr(yyjson_obj_get(root, "allowed_extensions")))
                            : version.len > 0;
    if (kind == ENTRY_EXTENSION)
        is_whole = is_whole && yyjson_is_int(yyjson_obj_get(root, "manifest_version"));
    ret->fault = is_named && is_whole ? NULL : INCOMPLETE;
}

void registry_entry_read(enum registry_entry_kind kind, struct str text, struct registry_entry *ret)
{
    *ret = (struct registry_entry){ 0 };
    if (takers[kind])
        read_keyfile(kind, text, ret);
    else
        read_json(kind, text, ret);
}

bool registry_policy_read(struct str text, const char *list, registry_visit_blocked *visit,
                          void *context)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    size_t index, count;
    yyjson_val *name;
    if (json_read(text, &json_limits_default, &doc, NULL) < 0)
        return false;
    yyjson_val *names = yyjson_obj_get(yyjson_doc_get_root(doc), list);
    yyjson_arr_foreach(names, index, count, name)
    {
        if (yyjson_is_str(name))
            visit(context, json_str(name));
    }
    return true;
}

bool registry_node_read(struct str text, registry_visit_program *visit, void *context)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    size_t index, count;
    yyjson_val *key, *path;
    if (json_read(text, &json_limits_default, &doc, NULL) < 0)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc), *programs = yyjson_obj_get(root, "bin");
    struct str name = text_of(yyjson_obj_get(root, "name"));
    if (yyjson_is_str(programs)) { /* one, called as the package is, without its scope */
        size_t slash = str_index(name, '/', 0);
        visit(context, slash < name.len ? str_from_offset(name, slash + 1) : name,
              json_str(programs));
    } else if (yyjson_is_obj(programs)) {
        yyjson_obj_foreach(programs, index, count, key, path)
        {
            if (yyjson_is_str(path))
                visit(context, json_str(key), json_str(path));
        }
    }
    return yyjson_is_obj(root);
}

/* --- MIME types ----------------------------------------------------------------------------- */

struct mime_reading {
    registry_visit_blocked *visit;
    void *context;
};

/* "text/plain=a.desktop;b.desktop;" */
static int take_types(void *context, const struct keyfile_pair *pair)
{
    struct mime_reading *reading = context;
    for (size_t at = 0; at < pair->value.len;) {
        size_t end = str_index(pair->value, ';', at);
        struct str name = str_make(pair->value.ptr + at, end - at);
        if (name.len && !str_equal(pair->group, STR("Removed Associations")))
            reading->visit(reading->context, name);
        at = end + 1;
    }
    return 0;
}

bool registry_mime_read(struct str text, registry_visit_blocked *visit, void *context)
{
    struct mime_reading reading = { visit, context };
    return keyfile_read(text, take_types, &reading) == 0;
}
