/*
 * phase_look: see the header.
 *
 * Theory of operation. Each adapter is a row: it looks at one thing, sets the
 * facts that follow from it and says what it saw, where. Whoever is asked may
 * be missing: without systemd, /run and the kernel's command line speak for
 * the boot; without a session manager, the kernel's login uid, a terminal or
 * a session bus that answers speak for a session.
 *
 * What holds. Nothing is changed and no service is started. A word on the
 * kernel's command line is a wish; where systemd can be asked, what it says
 * stands above it.
 */
#include "doctor/linux/phase_look.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/file.h"

#define SMALL_FILE_MAX 8192
#define SESSIONS_MAX   64
#define SYSTEMD        "org.freedesktop.systemd1"
#define LOGIN          "org.freedesktop.login1"
#define BOOT_ID_FILE   "/proc/sys/kernel/random/boot_id"
#define COMMAND_LINE   "/proc/cmdline"
#define NO_LOGIN_FILE  "/run/nologin"
#define INITRD_FILE    "/etc/initrd-release"
#define AUDIT_SESSION  "/proc/self/sessionid"
#define NO_AUDIT_ID    "4294967295"
#define BUS_REF(name)  "bus:" name
#define FILE_REF(name) "file:" name

/* --- small things --------------------------------------------------------------------------- */

/* The first line of a small file; false where it cannot be read or is empty. */
static bool read_line(const char *path, char *ret, size_t size)
{
    struct buf text = BUF_INIT_LIMIT(SMALL_FILE_MAX);
    bool found = file_read(path, &text, NULL) == 0 && text.len > 0;
    if (found)
        snprintf(ret, size, "%.*s", (int)str_index(buf_str(&text), '\n', 0), text.data);
    buf_release(&text);
    return found && ret[0];
}

static bool has_word(const char *line, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = line; (at = strstr(at, word)); at += len)
        if ((at == line || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

/* --- the boot ------------------------------------------------------------------------------- */

static void look_at_boot_id(const struct bus *buses, struct phase_sight *sight)
{
    (void)buses;
    if (read_line(BOOT_ID_FILE, sight->boot_id, sizeof(sight->boot_id)))
        phase_see(sight, "boot", FILE_REF(BOOT_ID_FILE), "%s", sight->boot_id);
    else {
        snprintf(sight->boot_id, sizeof(sight->boot_id), "unknown");
        phase_miss(sight, "boot", FILE_REF(BOOT_ID_FILE), "it cannot be read");
    }
}

static const struct {
    const char *word;
    enum boot_fact boot;
    bool recovery;
} system_states[] = {
    { "initializing", BOOT_STARTING, false },
    { "starting", BOOT_STARTING, false },
    { "running", BOOT_UP, false },
    { "degraded", BOOT_UP, false },
    { "maintenance", BOOT_UP, true },
    { "stopping", BOOT_STOPPING, false },
};

/* Whether systemd said how the system is. */
static bool ask_systemd(const struct bus *bus, struct phase_sight *sight)
{
    static const struct bus_place manager = { SYSTEMD, "/org/freedesktop/systemd1",
                                              SYSTEMD ".Manager" };
    char state[32] = "";
    if (bus_has_owner(bus, SYSTEMD) <= 0)
        return false;
    int r = bus_get_text(bus, &manager, "SystemState", state, sizeof(state));
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(system_states); i++) {
        if (strcmp(system_states[i].word, state) != 0)
            continue;
        sight->facts.boot = system_states[i].boot;
        sight->facts.recovery = system_states[i].recovery;
        phase_see(sight, "system", BUS_REF(SYSTEMD), "systemd says: %s", state);
        return true;
    }
    phase_miss(sight, "system", BUS_REF(SYSTEMD), "systemd does not say how the system is: %s",
               r < 0 ? strerror(-r) : state);
    return false;
}

/* systemd is in maintenance while a rescue shell runs, and one of these targets is active. */
static void ask_for_targets(const struct bus *bus, struct phase_sight *sight)
{
    static const struct bus_place manager = { SYSTEMD, "/org/freedesktop/systemd1",
                                              SYSTEMD ".Manager" };
    static const char *const targets[] = { "rescue.target", "emergency.target" };
    char path[BUS_PATH_MAX], state[32];
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        if (bus_find(bus, &manager, "GetUnit", targets[i], path) < 0)
            continue;
        const struct bus_place unit = { SYSTEMD, path, SYSTEMD ".Unit" };
        if (bus_get_text(bus, &unit, "ActiveState", state, sizeof(state)) < 0 ||
            strcmp(state, "active") != 0)
            continue;
        sight->facts.recovery = true;
        phase_see(sight, "recovery", BUS_REF(SYSTEMD), "%s is active", targets[i]);
    }
}

/* Where nobody can be asked: what the boot leaves in files. */
static void read_markers(struct phase_sight *sight)
{
    static const char *const words[] = { "single",
                                         "rescue",
                                         "emergency",
                                         "recovery",
                                         "systemd.unit=rescue.target",
                                         "systemd.unit=emergency.target",
                                         "rd.break" };
    char line[SMALL_FILE_MAX];
    if (access(NO_LOGIN_FILE, F_OK) == 0) {
        sight->facts.boot = BOOT_STARTING;
        phase_see(sight, "system", FILE_REF(NO_LOGIN_FILE), "logins are not open");
    } else
        phase_miss(sight, "system", BUS_REF(SYSTEMD),
                   "no systemd can be asked; nothing here says that logins are closed");
    if (!read_line(COMMAND_LINE, line, sizeof(line))) {
        phase_miss(sight, "recovery", FILE_REF(COMMAND_LINE), "it cannot be read");
        return;
    }
    const char *word = "no word that asks for a repair";
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (has_word(line, words[i])) {
            sight->facts.recovery = true;
            word = words[i];
        }
    }
    phase_see(sight, "recovery", FILE_REF(COMMAND_LINE), "%s", word);
}

static void look_at_system(const struct bus *buses, struct phase_sight *sight)
{
    const struct bus *bus = &buses[BUS_SYSTEM];
    if (access(INITRD_FILE, F_OK) == 0) {
        sight->facts.boot = BOOT_STARTING;
        phase_see(sight, "system", FILE_REF(INITRD_FILE), "the first file system is not left yet");
    } else if (ask_systemd(bus, sight))
        ask_for_targets(bus, sight);
    else
        read_markers(sight);
}

/* --- the session ---------------------------------------------------------------------------- */

struct session_row {
    char id[64], path[BUS_PATH_MAX], class[32], state[32], type[32];
    uint32_t uid;
};

struct sessions {
    struct session_row rows[SESSIONS_MAX];
    size_t count;
    bool is_silent; /* the session manager stopped answering */
};

static void take_session(void *context, const struct bus_session *session)
{
    struct sessions *sessions = context;
    if (sessions->count == SESSIONS_MAX)
        return;
    struct session_row *row = &sessions->rows[sessions->count++];
    *row = (struct session_row){ .uid = session->uid };
    snprintf(row->id, sizeof(row->id), "%s", session->id);
    snprintf(row->path, sizeof(row->path), "%s", session->path);
}

static struct bus_place place_of(const struct session_row *row)
{
    return (struct bus_place){ LOGIN, row->path, LOGIN ".Session" };
}

/* Higher is nearer to whoever asks; 0: somebody else's. */
static int nearness(const struct session_row *row)
{
    const char *named = getenv("XDG_SESSION_ID");
    char audit[32] = "";
    if (named && strcmp(named, row->id) == 0)
        return 5;
    if (read_line(AUDIT_SESSION, audit, sizeof(audit)) && strcmp(audit, row->id) == 0)
        return 4;
    if (row->uid != geteuid() || strncmp(row->class, "user", 4) != 0)
        return 0;
    return strcmp(row->state, "active") == 0 ? 3 : strcmp(row->state, "closing") == 0 ? 1 : 2;
}

static const struct session_row *choose_session(const struct bus *bus, struct sessions *sessions)
{
    const struct session_row *chosen = NULL;
    int best = 0;
    for (size_t i = 0; i < sessions->count; i++) {
        struct session_row *row = &sessions->rows[i];
        struct bus_place place = place_of(row);
        int r = bus_get_text(bus, &place, "Class", row->class, sizeof(row->class));
        if (r == 0)
            r = bus_get_text(bus, &place, "State", row->state, sizeof(row->state));
        if (r == 0)
            r = bus_get_text(bus, &place, "Type", row->type, sizeof(row->type));
        if (r == -ETIMEDOUT) { /* the others would be waited for as long */
            sessions->is_silent = true;
            return NULL;
        }
        if (r < 0)
            continue;
        int near = nearness(row);
        if (near > best) {
            best = near;
            chosen = row;
        }
    }
    return chosen;
}

static void see_session(const struct bus *bus, const struct session_row *row,
                        struct phase_sight *sight)
{
    struct bus_place place = place_of(row);
    bool locked = false;
    int r = bus_get_bool(bus, &place, "LockedHint", &locked);
    sight->facts.lock = r < 0 ? LOCK_UNSEEN : locked ? LOCK_LOCKED : LOCK_OPEN;
    sight->facts.session = strcmp(row->class, "greeter") == 0   ? SESSION_GREETER
                           : strcmp(row->state, "closing") == 0 ? SESSION_CLOSING
                                                                : SESSION_USER;
    sight->facts.is_graphical = strcmp(row->type, "x11") == 0 || strcmp(row->type, "wayland") == 0;
    snprintf(sight->session_id, sizeof(sight->session_id), "%s", row->id);
    phase_see(sight, "session", BUS_REF(LOGIN), "%s: class %s, type %s, %s", row->id, row->class,
              row->type, row->state);
    if (r < 0)
        phase_miss(sight, "lock", BUS_REF(LOGIN), "it does not say: %s", strerror(-r));
    else
        phase_see(sight, "lock", BUS_REF(LOGIN), "%s", locked ? "locked" : "not locked");
}

static void see_nobody(const struct sessions *sessions, struct phase_sight *sight)
{
    size_t greeters = 0;
    for (size_t i = 0; i < sessions->count; i++)
        greeters += strcmp(sessions->rows[i].class, "greeter") == 0;
    sight->facts.session = greeters ? SESSION_GREETER : SESSION_NONE;
    phase_see(sight, "session", BUS_REF(LOGIN), "no session of user id %u%s", (unsigned)geteuid(),
              greeters ? "; a greeter waits for a login" : "");
}

/* What is left where no session manager can be asked. */
static void look_without_manager(const struct bus *session_bus, struct phase_sight *sight)
{
    char audit[32] = "";
    _cleanup_(cleanup_close) int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool is_audited =
        read_line(AUDIT_SESSION, audit, sizeof(audit)) && strcmp(audit, NO_AUDIT_ID) != 0;
    phase_miss(sight, "session", BUS_REF(LOGIN), "no session manager can be asked");
    sight->facts.session = SESSION_USER;
    sight->facts.lock = LOCK_NOBODY;
    if (is_audited) {
        snprintf(sight->session_id, sizeof(sight->session_id), "%s", audit);
        phase_see(sight, "session", FILE_REF(AUDIT_SESSION), "the kernel counts login %s", audit);
        return;
    }
    snprintf(sight->session_id, sizeof(sight->session_id), "process-session-%d", (int)getsid(0));
    if (terminal >= 0)
        phase_see(sight, "session", FILE_REF("/dev/tty"), "somebody sits at a terminal");
    else if (session_bus->state == BUS_OPEN)
        phase_see(sight, "session", session_bus->address, "a session bus answers");
    else {
        sight->facts.session = SESSION_NONE;
        snprintf(sight->session_id, sizeof(sight->session_id), "none");
        phase_see(sight, "session", FILE_REF(AUDIT_SESSION),
                  "no login, no terminal and no session bus");
    }
}

static void look_at_session(const struct bus *buses, struct phase_sight *sight)
{
    const struct bus *bus = &buses[BUS_SYSTEM];
    _cleanup_(cleanup_free) struct sessions *sessions = calloc(1, sizeof(*sessions));
    snprintf(sight->session_id, sizeof(sight->session_id), "none");
    if (bus_has_owner(bus, LOGIN) <= 0 || !sessions) {
        look_without_manager(&buses[BUS_SESSION], sight);
        return;
    }
    int r = bus_each_session(bus, take_session, sessions);
    if (r < 0) {
        phase_miss(sight, "session", BUS_REF(LOGIN), "it does not say: %s", strerror(-r));
        return;
    }
    const struct session_row *row = choose_session(bus, sessions);
    if (row)
        see_session(bus, row, sight);
    else if (sessions->is_silent)
        phase_miss(sight, "session", BUS_REF(LOGIN), "it does not answer");
    else
        see_nobody(sessions, sight);
}

/* --- keyrings and portals ------------------------------------------------------------------- */

static void add_name(char (*names)[64], size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (*count < PHASE_NAMES_MAX && name[0])
        snprintf(names[(*count)++], sizeof(*names), "%s", name);
}

static void take_collection(void *context, const char *collection)
{
    struct phase_sight *sight = context;
    add_name(sight->keyrings, &sight->keyring_count, collection);
}

static void look_at_keyring(const struct bus *buses, struct phase_sight *sight)
{
    const struct bus *bus = &buses[BUS_SESSION];
    struct keyring_sight keyring;
    keyring_look(bus, take_collection, sight, &keyring);
    sight->facts.keyring = keyring.state;
    sight->facts.bus_is_silent =
        bus->state == BUS_SILENT || (bus->state == BUS_ABSENT && bus->is_named);
    if (keyring.state == KEYRING_UNSEEN)
        phase_miss(sight, "keyring", BUS_REF(KEYRING_SERVICE), "%s", keyring.why);
    else
        phase_see(sight, "keyring", BUS_REF(KEYRING_SERVICE), "%s", keyring.why);
}

static void look_at_kernel_keyrings(const struct bus *buses, struct phase_sight *sight)
{
    static const struct {
        const char *name;
        int32_t id;
    } rows[] = { { "kernel-user", KEY_SPEC_USER_KEYRING },
                 { "kernel-session", KEY_SPEC_SESSION_KEYRING } };
    size_t found = 0;
    (void)buses;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, rows[i].id, 0) < 0)
            continue;
        add_name(sight->keyrings, &sight->keyring_count, rows[i].name);
        found++;
    }
    if (found)
        phase_see(sight, "keyring", "kernel:keyctl", "%zu of the kernel's keyrings are open",
                  found);
    else
        phase_miss(sight, "keyring", "kernel:keyctl", "the kernel's keyrings: %s", strerror(errno));
}

static void look_at_portals(const struct bus *buses, struct phase_sight *sight)
{
    const struct bus *bus = &buses[BUS_SESSION];
    uint32_t version;
    if (bus_has_owner(bus, PORTAL_SERVICE) <= 0)
        return;
    for (size_t i = 0; i < portal_rows_count; i++) {
        int r = portal_ask(bus, portal_rows[i].interface, &version);
        if (r == 0)
            add_name(sight->portals, &sight->portal_count, portal_rows[i].name);
        else if (r != -ENOENT) { /* the others would be waited for as long */
            phase_miss(sight, "portals", BUS_REF(PORTAL_SERVICE), "they do not answer: %s",
                       strerror(-r));
            return;
        }
    }
    phase_see(sight, "portals", BUS_REF(PORTAL_SERVICE), "%zu portals answer", sight->portal_count);
}

/* --- all of it ------------------------------------------------------------------------------ */

static void (*const adapters[])(const struct bus *buses, struct phase_sight *sight) = {
    look_at_boot_id, look_at_system,          look_at_session,
    look_at_keyring, look_at_kernel_keyrings, look_at_portals,
};

void phase_look(const struct bus buses[BUS_KIND_COUNT], struct phase_sight *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < ARRAY_LEN(adapters); i++)
        adapters[i](buses, ret);
    ret->at_ms = clock_now_ms();
}
