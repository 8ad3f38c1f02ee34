/*
 * diagnostics_host: what the host is and what the doctor finds, without when.
 *
 * Facts of the host that do not change by themselves: no load, no free memory,
 * no times, so that two bundles of one state are the same. What the doctor
 * writes as documents loses its identity and the moment of looking for the
 * same reason.
 */
#include <sys/utsname.h>

#include "base/file.h"
#include "base/json.h"
#include "contract/rules.h"
#include "doctor/contracts.h"
#include "doctor/net_look.h"
#include "doctor/net_truth.h"
#include "doctor/observer.h"
#include "doctor/preflight.h"
#include "machine/linux/host.h"
#include "plane/diagnostics.h"

#define STEP             "collect what the host is"
#define OS_RELEASE_BYTES ((size_t)64 << 10)

extern char **environ;

/* --- host.json ----------------------------------------------------------------------------- */

static const char *best_tier(const struct host_fact *facts)
{
    for (size_t i = TIER_COUNT; i-- > 0;)
        if (host_gives(facts, (enum tier)i).is_given)
            return tier_names[i];
    return "none";
}

/* A value of /etc/os-release, without its quotes; empty where it has none. */
static struct str release_value(struct str text, const char *name)
{
    size_t len = strlen(name);
    for (size_t at = 0; at < text.len;) {
        size_t end = str_index(text, '\n', at);
        struct str line = str_make(text.ptr + at, end - at);
        if (line.len > len && line.ptr[len] == '=' && memcmp(line.ptr, name, len) == 0) {
            struct str value = str_from_offset(line, len + 1);
            if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
                value = str_make(value.ptr + 1, value.len - 2);
            return value;
        }
        at = end + 1;
    }
    return STR("");
}

static void add_release(struct buf *json)
{
    static const char *const names[][2] = { { "ID", "id" }, { "VERSION_ID", "version" } };
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(OS_RELEASE_BYTES);
    if (file_read("/etc/os-release", &text, NULL) < 0)
        return;
    json_add_name(json, "release");
    buf_add_char(json, '{');
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        json_add_text(json, names[i][1], release_value(buf_str(&text), names[i][0]));
    buf_add_char(json, '}');
}

/* By its pseudonym alone; a name that has none is left out. */
static void add_name(struct buf *json, struct diagnostics *diagnostics, const char *member_name,
                     enum pseudonym_kind kind, const char *name)
{
    char alias[PSEUDONYM_SIZE];
    if (name && pseudonyms_name(diagnostics->pseudonyms, kind, str_from(name), alias, NULL) == 0)
        json_add_text(json, member_name, str_from(alias));
}

static int add_host(struct diagnostics *diagnostics, const struct host_fact *facts, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct utsname name = { 0 };
    const char *user = getenv("USER"), *home = getenv("HOME");
    uname(&name);
    buf_add_char(&json, '{');
    json_add_text(&json, "tier", str_from(best_tier(facts)));
    json_add_text(&json, "system", str_from(name.sysname));
    json_add_text(&json, "kernel", str_from(name.release));
    json_add_text(&json, "machine", str_from(name.machine));
    add_release(&json);
    add_name(&json, diagnostics, "hostName", PSEUDONYM_HOST, name.nodename);
    add_name(&json, diagnostics, "user", PSEUDONYM_USER, user);
    json_add_text(&json, "home", str_from(home ? home : ""));
    buf_addf(&json, ",\"isRoot\":%s,\"processors\":%ld,\"memoryBytes\":%lld}",
             geteuid() == 0 ? "true" : "false", sysconf(_SC_NPROCESSORS_CONF),
             (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    return diagnostics_add_text(diagnostics, BUNDLE_HOST, "host.json", &json, false, err);
}

static int add_tiers(struct diagnostics *diagnostics, const struct host_fact *facts,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    buf_addf(&json, "{\"tier\":\"%s\",\"tiers\":[", best_tier(facts));
    for (size_t i = 0; i < TIER_COUNT; i++) {
        struct host_answer answer = host_gives(facts, (enum tier)i);
        buf_addf(&json, "%s{\"tier\":\"%s\",\"given\":%s", i ? "," : "", tier_names[i],
                 answer.is_given ? "true" : "false");
        if (answer.reason)
            json_add_text(&json, "reason", str_from(answer.reason));
        buf_add_char(&json, '}');
    }
    buf_add_text(&json, "],\"facts\":[");
    for (size_t i = 0; i < HOST_FACT_COUNT; i++) {
        buf_addf(&json, "%s{\"fact\":\"%s\",\"state\":\"%s\"", i ? "," : "", host_fact_names[i],
                 host_state_names[facts[i].state]);
        json_add_text(&json, "evidence", str_from(facts[i].evidence));
        buf_add_char(&json, '}');
    }
    buf_add_text(&json, "]}");
    return diagnostics_add_text(diagnostics, BUNDLE_DOCTOR, "doctor/host.json", &json, false, err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, since the order in which variables were set says nothing. */
static int add_environment(struct diagnostics *diagnostics, struct err *err)
{
    size_t count = 0;
    while (environ[count])
        count++;
    _cleanup_(cleanup_free) char **sorted = calloc(count + 1, sizeof(*sorted));
    if (!sorted)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    memcpy(sorted, environ, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_text);
    return bundle_add_environment(diagnostics->bundle, "environment.txt", sorted, err);
}

int diagnostics_add_host(struct diagnostics *diagnostics, struct err *err)
{
    struct host_fact facts[HOST_FACT_COUNT];
    host_examine(facts);
    int r = add_host(diagnostics, facts, err);
    if (r == 0)
        r = add_tiers(diagnostics, facts, err);
    return r < 0 ? r : add_environment(diagnostics, err);
}

/* --- the doctor ---------------------------------------------------------------------------- */

/* Adds a document without what differs each time it is written. */
static int add_document(struct diagnostics *diagnostics, const char *path, const struct buf *text,
                        bool no_words, struct err *err)
{
    static const char *const moments[] = { "id", "observedAt", "bootId", "sessionId",
                                           "networkEpoch" };
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL, *kept = NULL;
    yyjson_mut_doc *copy = NULL;
    int r = text->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory")
                        : json_read(buf_str(text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    copy = yyjson_doc_mut_copy(doc, NULL);
    for (size_t i = 0; copy && i < ARRAY_LEN(moments); i++)
        yyjson_mut_obj_remove_key(yyjson_mut_doc_get_root(copy), moments[i]);
    kept = copy ? yyjson_mut_doc_imut_copy(copy, NULL) : NULL;
    yyjson_mut_doc_free(copy);
    if (!kept)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    return bundle_add_json(diagnostics->bundle, BUNDLE_DOCTOR, path, yyjson_doc_get_root(kept),
                           no_words, err);
}

static int add_phase(struct diagnostics *diagnostics, struct observer *observer,
                     const struct contracts *contracts, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_free) struct phase_sight *sight = calloc(1, sizeof(*sight));
    _cleanup_(cleanup_free) struct phase_component *components =
        calloc(CONTRACTS_MAX, sizeof(*components));
    if (!sight || !components)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    observer_phase(observer, sight);
    size_t count = contracts_components(contracts, components);
    int r = phase_write(sight, components, count, &text, err);
    return r < 0 ? r : add_document(diagnostics, "doctor/phase.json", &text, true, err);
}

/* What the kernel and files say of the network; nothing is sent for a bundle. */
static int write_network(struct net_record *record, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_free) struct net_facts *facts = calloc(1, sizeof(*facts));
    _cleanup_(cleanup_free) struct net_truth *truth = calloc(1, sizeof(*truth));
    if (!facts || !truth)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    int r = net_facts_read(record, facts, err);
    if (r < 0)
        return r;
    net_truth_derive(facts, truth);
    r = net_truth_write(truth, ret, err);
    net_facts_release(facts);
    return r;
}

static int add_network(struct diagnostics *diagnostics, struct err *err)
{
    _cleanup_(cleanup_net_looking) struct net_looking *looking = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct net_record record = { 0 };
    int r = net_look_new(false, NULL, NULL, &looking, err);
    if (r == 0)
        r = net_look(looking, &record, err);
    if (r == 0)
        r = write_network(&record, &text, err);
    net_record_release(&record);
    return r < 0 ? r : add_document(diagnostics, "doctor/network.json", &text, true, err);
}

static int add_preflight(struct diagnostics *diagnostics, struct observer *observer,
                         const struct contracts *contracts, struct err *err)
{
    struct surroundings around = { .observer = observer, .policy = diagnostics->policy };
    int r = 0;
    for (size_t i = 0; r == 0 && i < contracts_count(contracts); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        struct preflight preflight;
        char path[64];
        snprintf(path, sizeof(path), "doctor/preflight-%04zu.json", i + 1);
        r = preflight_look(contracts_at(contracts, i), &around, &preflight, err);
        if (r < 0)
            return r;
        r = preflight_write(&preflight, &text, err);
        preflight_release(&preflight);
        if (r == 0)
            r = add_document(diagnostics, path, &text, true, err);
    }
    return r;
}

int diagnostics_add_doctor(struct diagnostics *diagnostics, struct err *err)
{
    _cleanup_(cleanup_observer) struct observer *observer = NULL;
    _cleanup_(cleanup_contracts) struct contracts *contracts = NULL;
    int r = contracts_open(diagnostics->layers, NULL, 0, &contracts, err);
    if (r == 0)
        r = observer_new(false, &observer, err);
    if (r == 0)
        r = add_phase(diagnostics, observer, contracts, err);
    if (r == 0)
        r = add_network(diagnostics, err);
    return r < 0 ? r : add_preflight(diagnostics, observer, contracts, err);
}
