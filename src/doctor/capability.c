/* capability: the table; see the header. */
#include "doctor/capability.h"

#include "doctor/linux/bus.h"

#define OBJECT_MAX   512
#define PORTAL(name) "org.freedesktop.portal." name

#define FOUND_WORD(name, word, decision)     [name] = word,
#define FOUND_DECISION(name, word, decision) [name] = decision,
#define SOURCE_NAME(name, text)              [name] = text,
const char *const found_words[FOUND_COUNT] = { FOUND_TABLE(FOUND_WORD) };
const char *const found_decisions[FOUND_COUNT] = { FOUND_TABLE(FOUND_DECISION) };
const char *const grant_source_names[SOURCE_COUNT] = { GRANT_SOURCE_TABLE(SOURCE_NAME) };

static const struct capability_row rows[] = {
    { "files.read", "read", ".", probe_file, FILE_READ, PORTAL("FileChooser") },
    { "files.write", "write", ".", probe_file, FILE_WRITE, PORTAL("FileChooser") },
    { "files.execute", "execute", ".", probe_file, FILE_EXECUTE },
    { "network.connect", "connect", NULL, probe_network, 0 },
    { "netlink.read", "read", NULL, probe_netlink, 0 },
    { "radio.read", "read", NULL, probe_radio, 0 },
    { "service.lookup", "lookup", NULL, probe_bus, BUS_SESSION, PORTAL("OpenURI") },
    { "bus.session", "call", NULL, probe_bus, BUS_SESSION },
    { "bus.system", "call", NULL, probe_bus, BUS_SYSTEM },
    { "notification.show", "show", "org.freedesktop.Notifications", probe_bus, BUS_SESSION,
      PORTAL("Notification") },
    { "portal.use", "use", NULL, probe_portal, 0 },
    { "secret.use", "use", NULL, probe_secrets, 0, PORTAL("Secret") },
    { "keyring.kernel", "use", NULL, probe_kernel_keyring, 0 },
    { "device.open", "open", NULL, probe_device, 0 },
    { "gpu.render", "open", "/dev/dri/renderD128", probe_device, 0 },
    { "camera.use", "open", "/dev/video0", probe_device, 0, PORTAL("Camera") },
    { "vm.run", "open", "/dev/kvm", probe_device, 0 },
    { "socket.connect", "connect", NULL, probe_socket, 0 },
    { "pasteboard.read", "read", NULL, probe_display, 0, PORTAL("Clipboard") },
    { "pasteboard.write", "write", NULL, probe_display, 0, PORTAL("Clipboard") },
    { "userns.create", "create", NULL, probe_user_namespace, 0 },
    { "cgroup.delegate", "create", NULL, probe_control_group, 0 },
    { "capability.hold", "hold", NULL, probe_held, 0 },
    { "unit.active", "use", NULL, probe_unit, 0 },
    { "package.installed", "use", NULL, probe_package, 0 },
    { "broker.reach", "reach", NULL, probe_broker, 0 },
};

const struct capability_row *capability_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_equal(str_from(rows[i].name), name))
            return &rows[i];
    return NULL;
}

const struct capability_row *capability_at(size_t index)
{
    return index < ARRAY_LEN(rows) ? &rows[index] : NULL;
}

void capability_set(struct capability_state *state, enum found found, enum grant_source source,
                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    state->found = found;
    state->source = source;
    vsnprintf(state->seen, sizeof(state->seen), format, arguments);
    va_end(arguments);
}

void capability_remedy(struct capability_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state->remedy, sizeof(state->remedy), format, arguments);
    va_end(arguments);
}

void capability_look(const struct surroundings *around, struct str capability,
                     const struct capability_row **ret_row, struct capability_state *ret)
{
    char object[OBJECT_MAX];
    size_t colon = str_index(capability, ':', 0);
    struct str given = str_from_offset(capability, colon + 1);
    const struct capability_row *row = capability_find(str_make(capability.ptr, colon));
    *ret = (struct capability_state){ .found = FOUND_UNKNOWN, .source = SOURCE_UNAVAILABLE };
    *ret_row = row;
    snprintf(object, sizeof(object), "%.*s", STR_ARG(given));
    if (!row) {
        snprintf(ret->object, sizeof(ret->object), "%s", object);
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE,
                       "nothing here can be asked about a capability of this name");
        capability_remedy(ret,
                          "Ask who wrote the contract what it needs; `agent-machine help doctor "
                          "preflight` names what can be asked about.");
        return;
    }
    const char *asked = given.len ? object : row->object;
    snprintf(ret->object, sizeof(ret->object), "%s", asked ? asked : "");
    row->probe(around, row, asked, ret);
}
