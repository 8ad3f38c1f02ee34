/*
 * storm_class: words that must all stand in a template, row by row.
 *
 * The first row that fits decides. A row names what is said to have failed and
 * a word of failure, so that a mere mention ("permission granted") is none.
 * Case does not matter. A text that fits no row is of an unknown class: that
 * is an answer, and better than a guess.
 */
#include "doctor/storm_class.h"

#define WORDS_MAX      3
#define TEXT_BYTES_MAX ((size_t)1024)

const char *const storm_class_names[STORM_CLASS_COUNT] = {
    [STORM_CAPABILITY_DENIAL] = "capability-denial",
    [STORM_NETWORK_OBSERVER_FAILURE] = "network-observer-failure",
    [STORM_SECURITY_VERDICT_UNAVAILABLE] = "security-verdict-unavailable",
    [STORM_REGISTRY_INTEGRITY_FAILURE] = "registry-integrity-failure",
    [STORM_MAINTENANCE_SWEEP_FAILURE] = "maintenance-sweep-failure",
    [STORM_BROWSER_LAUNCH_FAILURE] = "browser-launch-failure",
    [STORM_IDENTITY_RESOLUTION_FAILURE] = "identity-resolution-failure",
    [STORM_BOOT_PHASE_GATE_FAILURE] = "boot-phase-gate-failure",
    [STORM_UNKNOWN] = "unknown",
};

const char *const storm_class_remedies[STORM_CLASS_COUNT] = {
    [STORM_CAPABILITY_DENIAL] =
        "Grant the capability to the component, or stop the component from asking for it.",
    [STORM_NETWORK_OBSERVER_FAILURE] =
        "Look at the network layer by layer; the lowest one that fails is the one to mend.",
    [STORM_SECURITY_VERDICT_UNAVAILABLE] =
        "Bring back the service that gives the verdict; until then everything waits for it.",
    [STORM_REGISTRY_INTEGRITY_FAILURE] =
        "Repair or reinstall the component whose record is missing or does not match.",
    [STORM_MAINTENANCE_SWEEP_FAILURE] =
        "Run the maintenance job once by hand and mend what it stumbles over.",
    [STORM_BROWSER_LAUNCH_FAILURE] =
        "Start the browser by hand from a terminal and read its first error.",
    [STORM_IDENTITY_RESOLUTION_FAILURE] =
        "Create the user or group that is looked up, or correct who looks it up.",
    [STORM_BOOT_PHASE_GATE_FAILURE] =
        "Unlock the session, or let the component start only once it is unlocked.",
    [STORM_UNKNOWN] = "Look at the first event; what happened just before it is the likely cause.",
};

static const struct {
    enum storm_class class;
    const char *words[WORDS_MAX];
} rows[] = {
    { STORM_BOOT_PHASE_GATE_FAILURE, { "before", "unlock" } },
    { STORM_BOOT_PHASE_GATE_FAILURE, { "keyring", "locked" } },
    { STORM_BOOT_PHASE_GATE_FAILURE, { "keychain", "locked" } },
    { STORM_BOOT_PHASE_GATE_FAILURE, { "boot phase" } },
    { STORM_BOOT_PHASE_GATE_FAILURE, { "not unlocked" } },
    { STORM_SECURITY_VERDICT_UNAVAILABLE, { "verdict", "unavailable" } },
    { STORM_SECURITY_VERDICT_UNAVAILABLE, { "verdict", "timed out" } },
    { STORM_SECURITY_VERDICT_UNAVAILABLE, { "trust", "evaluat", "fail" } },
    { STORM_SECURITY_VERDICT_UNAVAILABLE, { "policy", "unreachable" } },
    { STORM_BROWSER_LAUNCH_FAILURE, { "browser", "launch", "fail" } },
    { STORM_BROWSER_LAUNCH_FAILURE, { "failed to launch the browser" } },
    { STORM_BROWSER_LAUNCH_FAILURE, { "chrom", "failed to start" } },
    { STORM_BROWSER_LAUNCH_FAILURE, { "firefox", "fail", "start" } },
    { STORM_BROWSER_LAUNCH_FAILURE, { "xdg-open", "fail" } },
    { STORM_REGISTRY_INTEGRITY_FAILURE, { "receipt", "missing" } },
    { STORM_REGISTRY_INTEGRITY_FAILURE, { "manifest", "invalid" } },
    { STORM_REGISTRY_INTEGRITY_FAILURE, { "extension record", "missing" } },
    { STORM_REGISTRY_INTEGRITY_FAILURE, { "plugin", "quarantin" } },
    { STORM_REGISTRY_INTEGRITY_FAILURE, { "registry", "fail" } },
    { STORM_REGISTRY_INTEGRITY_FAILURE, { "registry", "mismatch" } },
    { STORM_REGISTRY_INTEGRITY_FAILURE, { "checksum", "mismatch" } },
    { STORM_MAINTENANCE_SWEEP_FAILURE, { "logrotate", "error" } },
    { STORM_MAINTENANCE_SWEEP_FAILURE, { "tmpfiles", "fail" } },
    { STORM_MAINTENANCE_SWEEP_FAILURE, { "sweep", "fail" } },
    { STORM_MAINTENANCE_SWEEP_FAILURE, { "maintenance", "fail" } },
    { STORM_MAINTENANCE_SWEEP_FAILURE, { "clean", "up", "failed" } },
    { STORM_CAPABILITY_DENIAL, { "permission denied" } },
    { STORM_CAPABILITY_DENIAL, { "access denied" } },
    { STORM_CAPABILITY_DENIAL, { "access is denied" } },
    { STORM_CAPABILITY_DENIAL, { "operation not permitted" } },
    { STORM_CAPABILITY_DENIAL, { "not permitted" } },
    { STORM_CAPABILITY_DENIAL, { "not authorized" } },
    { STORM_CAPABILITY_DENIAL, { "not allowed" } },
    { STORM_CAPABILITY_DENIAL, { "avc", "denied" } },
    { STORM_CAPABILITY_DENIAL, { "apparmor", "denied" } },
    { STORM_CAPABILITY_DENIAL, { "deny" } },
    { STORM_CAPABILITY_DENIAL, { "denied" } },
    { STORM_CAPABILITY_DENIAL, { "forbidden" } },
    { STORM_CAPABILITY_DENIAL, { "refused", "rule" } },
    { STORM_CAPABILITY_DENIAL, { "eacces" } },
    { STORM_CAPABILITY_DENIAL, { "eperm" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "user unknown" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "unknown user" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "invalid user" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "no such user" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "unknown group" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "no such group" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "getpw", "fail" } },
    { STORM_IDENTITY_RESOLUTION_FAILURE, { "identity", "fail" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "no route to host" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "network is unreachable" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "network unreachable" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "name resolution" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "could not resolve" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "netlink", "fail" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "dhcp", "fail" } },
    { STORM_NETWORK_OBSERVER_FAILURE, { "nil device" } },
};

static const struct {
    const char *word;
    enum storm_severity severity;
} severity_words[] = {
    { "panic", STORM_CRITICAL },    { "fatal", STORM_CRITICAL },   { "critical", STORM_CRITICAL },
    { "segfault", STORM_CRITICAL }, { "error", STORM_ERROR },      { "fail", STORM_ERROR },
    { "exception", STORM_ERROR },   { "cannot", STORM_ERROR },     { "can't", STORM_ERROR },
    { "could not", STORM_ERROR },   { "couldn't", STORM_ERROR },   { "unable to", STORM_ERROR },
    { "abort", STORM_ERROR },       { "denied", STORM_WARN },      { "refused", STORM_WARN },
    { "warn", STORM_WARN },         { "invalid", STORM_WARN },     { "timed out", STORM_WARN },
    { "timeout", STORM_WARN },      { "unreachable", STORM_WARN }, { "no route", STORM_WARN },
    { "unknown", STORM_WARN },      { "missing", STORM_WARN },     { "not permitted", STORM_WARN },
};

/*
 * The words of both tables that begin with a letter, so that a text is walked once. A row is
 * known by its place, a word in it by its place in the row.
 */
struct word {
    const char *text;
    uint8_t len;
    uint8_t next; /* word with the same first letter, from 1; 0: none */
    uint8_t row;  /* of rows, or ROWS_COUNT and more: of severity_words */
    uint8_t bit;
};

#define ROWS_COUNT  ARRAY_LEN(rows)
#define MARKS_COUNT (ROWS_COUNT + ARRAY_LEN(severity_words))
#define LIST_MAX    255

static struct {
    struct word words[LIST_MAX + 1];
    uint8_t first[256];       /* by letter, from 1 */
    uint8_t pairs[65536 / 8]; /* the two letters that words begin with, as bits */
    uint8_t count;
} list;

static void list_add(const char *text, size_t row, size_t bit)
{
    unsigned char letter = (unsigned char)text[0];
    unsigned pair = (unsigned)letter << 8 | (unsigned char)text[1];
    assert(list.count < LIST_MAX && row < LIST_MAX);
    list.words[++list.count] = (struct word){ .text = text,
                                              .len = (uint8_t)strlen(text),
                                              .next = list.first[letter],
                                              .row = (uint8_t)row,
                                              .bit = (uint8_t)(1u << bit) };
    list.first[letter] = list.count;
    list.pairs[pair / 8] |= (uint8_t)(1u << (pair % 8));
}

static void list_fill(void)
{
    if (list.count)
        return;
    for (size_t row = 0; row < ROWS_COUNT; row++)
        for (size_t i = 0; i < WORDS_MAX && rows[row].words[i]; i++)
            list_add(rows[row].words[i], row, i);
    for (size_t i = 0; i < ARRAY_LEN(severity_words); i++)
        list_add(severity_words[i].word, ROWS_COUNT + i, 0);
}

/* Sets the bits of the words that stand in the text. */
static void find_words(struct str text, uint8_t found[MARKS_COUNT])
{
    char lower[TEXT_BYTES_MAX + 1];
    size_t len = text.len < TEXT_BYTES_MAX ? text.len : TEXT_BYTES_MAX;
    for (size_t i = 0; i < len; i++) {
        char c = text.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    lower[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        unsigned pair = (unsigned)(unsigned char)lower[i] << 8 | (unsigned char)lower[i + 1];
        if (!(list.pairs[pair / 8] >> (pair % 8) & 1))
            continue;
        for (uint8_t n = list.first[(unsigned char)lower[i]]; n; n = list.words[n].next) {
            const struct word *word = &list.words[n];
            if (word->text[1] == lower[i + 1] && word->len <= len - i &&
                memcmp(lower + i, word->text, word->len) == 0)
                found[word->row] |= word->bit;
        }
    }
}

void storm_classify_text(struct str component, struct str text, enum storm_class *ret_class,
                         enum storm_severity *ret_severity)
{
    uint8_t found[MARKS_COUNT] = { 0 };
    list_fill();
    find_words(component, found);
    memset(found + ROWS_COUNT, 0, ARRAY_LEN(severity_words));
    find_words(text, found);
    size_t row = 0, mark = ROWS_COUNT;
    for (; row < ROWS_COUNT; row++) {
        unsigned all = rows[row].words[2] ? 7 : rows[row].words[1] ? 3 : 1;
        if (found[row] == all)
            break;
    }
    while (mark < MARKS_COUNT && !found[mark])
        mark++;
    *ret_class = row < ROWS_COUNT ? rows[row].class : STORM_UNKNOWN;
    *ret_severity = mark < MARKS_COUNT ? severity_words[mark - ROWS_COUNT].severity : STORM_INFO;
}
