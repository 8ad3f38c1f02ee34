#include "doctor/storm.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/test.h"
#include "doctor/storm_reader.h"

#define NOW_MS INT64_C(1795165200000) /* 2026-11-20T09:00:00Z */

static struct storm *new_storm(size_t signatures, enum storm_policy policy)
{
    struct storm_config config = storm_config_default;
    struct storm *storm = NULL;
    config.signatures_max = signatures;
    config.policy = policy;
    setenv("TZ", "UTC", 1);
    CHECK_INT(storm_new(&config, &storm, NULL), 0);
    storm_set_now(storm, NOW_MS);
    return storm;
}

static enum storm_action feed(struct storm *storm, const char *line)
{
    enum storm_action action = STORM_SHOW;
    CHECK_INT(storm_line(storm, str_from(line), &action, NULL), 0);
    return action;
}

static enum storm_action feedf(struct storm *storm, const char *format, ...) PRINTF_LIKE(2, 3);
static enum storm_action feedf(struct storm *storm, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    return feed(storm, line);
}

/* A line at a number of milliseconds after NOW_MS. */
static enum storm_action feed_at(struct storm *storm, int64_t ms, const char *rest)
{
    char time[CLOCK_TEXT_SIZE];
    clock_text(NOW_MS + ms, time);
    return feedf(storm, "%s host %s", time, rest);
}

/* The view of the signature whose template has a text in it; its count is 0 where there is none. */
static struct storm_view view_of(struct storm *storm, const char *text)
{
    struct storm_view found = { 0 };
    size_t *slots = NULL, count = 0;
    CHECK_INT(storm_settle(storm, NULL), 0);
    CHECK_INT(storm_slots(storm, &slots, &count, NULL), 0);
    for (size_t i = 0; i < count && !found.count; i++) {
        struct buf template = BUF_INIT;
        CHECK_INT(storm_add_template_of(storm, slots[i], NULL, &template, NULL), 0);
        if (strstr(template.data, text))
            storm_view(storm, slots[i], &found);
        buf_release(&template);
    }
    free(slots);
    return found;
}

TEST(first_last_and_count_are_exact)
{
    struct storm *storm = new_storm(64, STORM_NONE);
    for (int i = 0; i < 5000; i++) {
        char rest[64];
        snprintf(rest, sizeof(rest), "app[%d]: job %d took %d ms", i, i, i * 7);
        feed_at(storm, (int64_t)i * 100, rest);
    }
    struct storm_view view = view_of(storm, "took");
    CHECK_INT(view.count, 5000);
    CHECK_INT(view.first_ms, NOW_MS);
    CHECK_INT(view.last_ms, NOW_MS + 499900);
    CHECK_INT(view.peak, 10);
    CHECK(view.median_interval_ms > 94 && view.median_interval_ms < 106);
    CHECK_STR(view.component, STR("app"));
    storm_free(storm);
}

TEST(values_that_look_like_words_become_one_signature)
{
    static const char *const users[] = { "anna", "bert", "carl", "dora", "emil", "frida" };
    struct storm *storm = new_storm(64, STORM_NONE);
    for (size_t i = 0; i < 600; i++)
        feedf(storm, "session opened for user %s by root", users[i % ARRAY_LEN(users)]);
    feed(storm, "session closed for user anna");
    feed(storm, "session closed for user bert");
    CHECK_INT(view_of(storm, "opened").count, 600);
    CHECK_INT(view_of(storm, "session closed for user <*>").count, 2);
    CHECK_INT(storm_totals(storm)->signatures, 2);
    storm_free(storm);
}

TEST(states_and_first_words_are_no_values)
{
    static const char *const states[] = { "NEW", "READY", "RUNNING", "DONE", "FAILED", "KILLED" };
    static const char *const names[] = { "cupsd", "klogd", "syslogd", "portmap", "sdpd" };
    struct storm *storm = new_storm(64, STORM_NONE);
    for (size_t i = 0; i < 60; i++)
        feedf(storm, "task went to %s", states[i % ARRAY_LEN(states)]);
    for (size_t i = 0; i < 50; i++)
        feedf(storm, "%s startup succeeded", names[i % ARRAY_LEN(names)]);
    CHECK_INT(view_of(storm, "went to READY").count, 10);
    CHECK_INT(view_of(storm, "klogd startup").count, 10);
    storm_free(storm);
}

TEST(clocks_may_jump_and_events_may_come_late)
{
    struct storm *storm = new_storm(64, STORM_NONE);
    feed_at(storm, 5000, "app: tick 1");
    feed_at(storm, 1000, "app: tick 2");
    feed_at(storm, 9000, "app: tick 3");
    feed(storm, "app: tick 4"); /* no time: that of the one before */
    struct storm_view view = view_of(storm, "tick");
    CHECK_INT(view.count, 4);
    CHECK_INT(view.first_ms, NOW_MS + 1000);
    CHECK_INT(view.last_ms, NOW_MS + 9000);
    CHECK_INT(storm_totals(storm)->backwards, 1);
    CHECK_INT(storm_totals(storm)->untimed, 1);
    storm_free(storm);
}

TEST(without_any_time_it_is_the_time_of_reading)
{
    struct storm *storm = new_storm(64, STORM_NONE);
    feed(storm, "nothing but words");
    CHECK_INT(view_of(storm, "words").first_ms, NOW_MS);
    storm_free(storm);
}

/* What is kept and what was evicted add up to what came. */
static uint64_t kept_events(struct storm *storm)
{
    size_t *slots = NULL, count = 0;
    uint64_t events = 0;
    struct storm_view view;
    CHECK_INT(storm_settle(storm, NULL), 0);
    CHECK_INT(storm_slots(storm, &slots, &count, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        storm_view(storm, slots[i], &view);
        events += view.count;
    }
    free(slots);
    return events;
}

static void random_words(char *out, size_t count, uint32_t *state)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t letters = 0; letters < 7; letters++) {
            *state = *state * 1664525u + 1013904223u;
            out[len++] = (char)('a' + (*state >> 24) % 26);
        }
        out[len++] = ' ';
    }
    out[len - 1] = '\0';
}

static int count_evicted(void *context, struct storm *storm, size_t slot, struct err *err)
{
    struct storm_view view;
    (void)err;
    storm_view(storm, slot, &view);
    *(uint64_t *)context += view.count;
    return 0;
}

TEST(memory_is_bounded_and_what_went_is_counted)
{
    struct storm_config config = storm_config_default;
    struct storm *storm = NULL;
    uint64_t told = 0;
    uint32_t state = 3;
    config.signatures_max = 128;
    config.evicted = count_evicted;
    config.context = &told;
    CHECK_INT(storm_new(&config, &storm, NULL), 0);
    for (int i = 0; i < 30000; i++) {
        char line[256] = "the storm itself, number 7";
        if (i % 10)
            random_words(line, 8, &state);
        feed(storm, line);
    }
    CHECK_INT(view_of(storm, "storm itself").count, 3000);
    const struct storm_totals *totals = storm_totals(storm);
    CHECK(totals->signatures <= 128);
    CHECK(totals->evicted_events >= told);
    CHECK(totals->evicted_signatures > 1000);
    CHECK_INT(kept_events(storm) + totals->evicted_events, 30000);
    storm_free(storm);
}

TEST(what_waits_in_a_flood_is_counted_from_its_first_event)
{
    struct storm *storm = new_storm(16, STORM_NONE);
    uint32_t state = 5;
    char line[256];
    for (int i = 0; i < 60000; i++) {
        random_words(line, 6, &state);
        feed(storm, line);
    }
    /* Whether it waits or is kept at once: two lines later it is known, from the first on. */
    feed_at(storm, 1000, "late: this one comes three times");
    feed_at(storm, 2000, "late: this one comes three times");
    feed_at(storm, 3000, "late: this one comes three times");
    struct storm_view view = view_of(storm, "three times");
    CHECK_INT(view.count, 3);
    CHECK_INT(view.first_ms, NOW_MS + 1000);
    CHECK_INT(kept_events(storm) + storm_totals(storm)->evicted_events, 60003);
    storm_free(storm);
}

/* --- stories -------------------------------------------------------------------------------- */

#define DENIAL  "apparmor=\"DENIED\" operation=\"open\" name=\"/run/keyring/ssh\" pid=4242"
#define FAILURE "browser[4242]: failed to open \"/run/keyring/ssh\": giving up"

TEST(a_failure_goes_back_to_the_denial_of_its_object_in_its_process)
{
    struct storm *storm = new_storm(64, STORM_NONE);
    feed_at(storm, 0, "kernel: " DENIAL);
    for (int i = 1; i <= 10; i++)
        feed_at(storm, i * 500, FAILURE);
    struct storm_view denial = view_of(storm, "DENIED"), failure = view_of(storm, "giving up");
    CHECK_TEXT(failure.parent_id, denial.id);
    CHECK(failure.by_process);
    CHECK_INT(failure.linked, 10);
    CHECK(failure.confidence > 0.9 && failure.confidence < 1);
    CHECK_STR(failure.object, STR("/run/keyring/ssh"));
    CHECK_TEXT(denial.parent_id, "");
    storm_free(storm);
}

TEST(time_alone_is_no_evidence)
{
    static const char *const others[] = {
        "browser[4242]: failed to open \"/run/other\": giving up",     /* another object */
        "browser[77]: failed to open \"/run/keyring/ssh\": giving up", /* another process */
        "browser[4242]: failed: giving up",                            /* no object */
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct storm *storm = new_storm(64, STORM_NONE);
        feed_at(storm, 0, "kernel: " DENIAL);
        feed_at(storm, 1, others[i]);
        CHECK_TEXT(view_of(storm, "giving up").parent_id, "");
        storm_free(storm);
    }
}

TEST(neither_is_a_denial_that_comes_later_or_was_long_ago)
{
    struct storm *storm = new_storm(64, STORM_NONE);
    feed_at(storm, 0, FAILURE);
    feed_at(storm, 500, "kernel: " DENIAL);
    CHECK_TEXT(view_of(storm, "giving up").parent_id, "");
    feed_at(storm, 40000, FAILURE);
    CHECK_TEXT(view_of(storm, "giving up").parent_id, "");
    storm_free(storm);
}

TEST(a_session_is_weaker_evidence_and_a_share_weaker_still)
{
    struct storm *storm = new_storm(64, STORM_NONE);
    feed_at(storm, 0, "kernel: access denied object=clipboard ses=3 pid=1");
    feed_at(storm, 100, "panel: paste failed object=clipboard ses=3 pid=2");
    feed_at(storm, 200, "panel: paste failed object=clipboard ses=4 pid=2");
    struct storm_view failure = view_of(storm, "paste failed");
    CHECK(failure.parent_id[0]);
    CHECK(!failure.by_process);
    CHECK_INT(failure.linked, 1);
    CHECK(failure.confidence > 0.3 && failure.confidence < 0.4);
    storm_free(storm);
}

/* --- policies ------------------------------------------------------------------------------- */

static size_t shown(struct storm *storm, size_t events, const char *rest)
{
    size_t count = 0;
    for (size_t i = 0; i < events; i++)
        count += feed_at(storm, (int64_t)i, rest) == STORM_SHOW;
    return count;
}

TEST(policies)
{
    static const struct {
        enum storm_policy policy;
        size_t shown;
    } rows[] = {
        { STORM_NONE, 100 },    { STORM_DEDUPLICATE, 1 }, { STORM_SUMMARIZE, 10 },
        { STORM_SUPPRESS, 10 }, { STORM_QUARANTINE, 10 }, { STORM_ESCALATE, 10 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct storm *storm = new_storm(64, rows[i].policy);
        CHECK_INT(shown(storm, 100, "app: again"), rows[i].shown);
        CHECK_INT(view_of(storm, "again").count, 100);
        CHECK_INT(view_of(storm, "again").held, 100 - rows[i].shown);
        storm_free(storm);
    }
}

TEST(a_storm_that_ends_is_shown_again)
{
    struct storm *storm = new_storm(64, STORM_SUPPRESS);
    CHECK_INT(shown(storm, 50, "app: again"), 10);
    CHECK_INT(feed_at(storm, 60000, "app: again"), STORM_SHOW);
    storm_free(storm);
}

TEST(escalation_calls_once_and_quarantine_takes_the_whole_component)
{
    struct storm *storm = new_storm(64, STORM_ESCALATE);
    size_t calls = 0;
    for (int i = 0; i < 100; i++)
        calls += feed_at(storm, i, "app: again") == STORM_CALL;
    CHECK_INT(calls, 1);
    storm_free(storm);
    storm = new_storm(64, STORM_QUARANTINE);
    shown(storm, 50, "app: again");
    CHECK_INT(feed_at(storm, 60, "app: something else"), STORM_APART);
    CHECK_INT(feed_at(storm, 60, "other: something else"), STORM_SHOW);
    storm_free(storm);
}

/* --- records -------------------------------------------------------------------------------- */

TEST(a_record_says_what_was_counted)
{
    struct storm *storm = new_storm(64, STORM_SUMMARIZE);
    size_t *slots = NULL, count = 0;
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    shown(storm, 40, "app[7]: cannot reach 10.0.0.1: No route to host");
    CHECK_INT(storm_slots(storm, &slots, &count, NULL), 0);
    CHECK_INT(count, 1);
    CHECK_INT(storm_add_record(storm, slots[0], NULL, &text, NULL), 0);
    CHECK_INT(json_read(buf_str(&text), &json_limits_default, &doc, NULL), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK_INT(yyjson_get_uint(yyjson_obj_get(root, "repeatCount")), 40);
    CHECK_TEXT(yyjson_get_str(yyjson_obj_get(root, "signature")),
               "app: cannot reach <*>: No route to host");
    CHECK_TEXT(yyjson_get_str(yyjson_obj_get(root, "normalizedFailureClass")),
               "network-observer-failure");
    CHECK_TEXT(yyjson_get_str(yyjson_obj_get(root, "severity")), "error");
    CHECK_TEXT(yyjson_get_str(yyjson_obj_get(root, "suppressionPolicy")), "summarize");
    CHECK(!strstr(text.data, "10.0.0.1")); /* values stay in the event */
    yyjson_doc_free(doc);
    buf_release(&text);
    free(slots);
    storm_free(storm);
}

TEST(the_same_signature_has_the_same_name_in_every_run)
{
    char ids[2][STORM_ID_SIZE];
    for (size_t i = 0; i < 2; i++) {
        struct storm *storm = new_storm(64, STORM_NONE);
        feed_at(storm, 0, "app: something 1");
        memcpy(ids[i], view_of(storm, "something").id, STORM_ID_SIZE);
        storm_free(storm);
    }
    CHECK_TEXT(ids[0], ids[1]);
}

TEST(wrong_limits_are_refused)
{
    struct storm_config config = storm_config_default;
    struct storm *storm = NULL;
    struct err err = { 0 };
    config.signatures_max = 1;
    CHECK_INT(storm_new(&config, &storm, &err), -EINVAL);
    CHECK_INT(err.code, ERR_USAGE);
}

/* --- formats -------------------------------------------------------------------------------- */

/* In pieces of every size from 1 to 9. Texts of the view are gone with the storm. */
static struct storm_view read_text(const char *text, size_t len, const char *expected,
                                   uint64_t lines)
{
    struct storm_view view = { 0 };
    for (size_t piece = 1; piece < 10; piece++) {
        struct storm *storm = new_storm(64, STORM_NONE);
        struct storm_reader *reader = NULL;
        CHECK_INT(storm_reader_new(storm, NULL, NULL, &reader, NULL), 0);
        for (size_t at = 0; at < len; at += piece)
            CHECK_INT(storm_reader_feed(
                          reader, str_make(text + at, piece < len - at ? piece : len - at), NULL),
                      0);
        CHECK_INT(storm_reader_end(reader, NULL), 0);
        view = view_of(storm, expected);
        CHECK_INT(storm_totals(storm)->lines, lines);
        storm_reader_free(reader);
        storm_free(storm);
    }
    return view;
}

TEST(journal_as_json)
{
    static const char text[] =
        "{\"__REALTIME_TIMESTAMP\":\"1795165200500000\",\"SYSLOG_IDENTIFIER\":\"sshd\","
        "\"_PID\":\"77\",\"PRIORITY\":\"3\",\"MESSAGE\":\"Failed password for 10.0.0.1\"}\n"
        "{\"__REALTIME_TIMESTAMP\":\"1795165201500000\",\"_COMM\":\"sshd\","
        "\"PRIORITY\":\"6\",\"MESSAGE\":[70,97,105,108,101,100,32,112,97,115,115,119,111,114,100,"
        "32,102,111,114,32,57,57]}\n";
    struct storm_view view = read_text(text, sizeof(text) - 1, "Failed password", 2);
    CHECK_INT(view.count, 2);
    CHECK_INT(view.first_ms, NOW_MS + 500);
    CHECK_INT(view.last_ms, NOW_MS + 1500);
    CHECK_INT(view.severity, STORM_ERROR);
}

TEST(journal_in_its_export_format)
{
    static const char text[] = "__CURSOR=s=1;i=1\n"
                               "__REALTIME_TIMESTAMP=1795165200500000\n"
                               "SYSLOG_IDENTIFIER=sshd\nPRIORITY=3\n"
                               "MESSAGE\n\x14\0\0\0\0\0\0\0Failed password\nat 9\n"
                               "_PID=77\n\n"
                               "__CURSOR=s=1;i=2\nSYSLOG_IDENTIFIER=sshd\n"
                               "MESSAGE=Failed password at 10\n\n";
    struct storm_view view = read_text(text, sizeof(text) - 1, "Failed password at", 2);
    CHECK_INT(view.count, 2);
    CHECK_INT(view.first_ms, NOW_MS + 500);
}

TEST(programs_that_log_json)
{
    static const char text[] =
        "{\"time\":\"2026-11-20T09:00:01Z\",\"level\":\"warn\",\"msg\":\"slow query 12\"}\n"
        "{\"ts\":1795165202.5,\"level\":\"error\",\"msg\":\"slow query 13\",\"n\":{\"a\":[1]}}\n"
        "{\"timestamp\":\"2026-11-20 09:00:03.000000+0000\",\"messageType\":\"Fault\","
        "\"processImagePath\":\"/usr/libexec/tccd\",\"eventMessage\":\"slow query 14\"}\n"
        "{not json at all\n";
    struct storm_view view = read_text(text, sizeof(text) - 1, "slow query", 4);
    CHECK_INT(view.count, 2);
    CHECK_INT(view.last_ms, NOW_MS + 2500);
}

TEST(a_line_without_end_is_cut_and_counted_once)
{
    struct storm *storm = new_storm(64, STORM_NONE);
    struct storm_reader *reader = NULL;
    char *bytes = malloc(STORM_LINE_BYTES_MAX);
    memset(bytes, 'x', STORM_LINE_BYTES_MAX);
    CHECK_INT(storm_reader_new(storm, NULL, NULL, &reader, NULL), 0);
    for (int i = 0; i < 100; i++)
        CHECK_INT(storm_reader_feed(reader, str_make(bytes, STORM_LINE_BYTES_MAX), NULL), 0);
    CHECK_INT(storm_reader_feed(reader, STR("\nnext\n"), NULL), 0);
    CHECK_INT(storm_reader_end(reader, NULL), 0);
    CHECK_INT(storm_totals(storm)->lines, 2);
    CHECK_INT(storm_totals(storm)->cut, 1);
    CHECK_INT(storm_totals(storm)->bytes, STORM_LINE_BYTES_MAX * 100 + 6);
    free(bytes);
    storm_reader_free(reader);
    storm_free(storm);
}

TEST(line_ends_of_other_systems)
{
    static const char text[] = "app: tick 1\r\napp: tick 2\r\napp: tick 3";
    CHECK_INT(read_text(text, sizeof(text) - 1, "tick <*>", 3).count, 3);
}

/* --- allocation ----------------------------------------------------------------------------- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COUNTS_ALLOCATIONS 0 /* the sanitizer's own stand there */
#endif
#endif
#if !defined(COUNTS_ALLOCATIONS) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define COUNTS_ALLOCATIONS 1
#endif

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static size_t allocations;

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    allocations++;
    return __libc_realloc(memory, size);
}

TEST(a_line_whose_signature_is_known_costs_no_allocation)
{
    static const enum storm_policy policies[] = { STORM_NONE, STORM_SUPPRESS, STORM_QUARANTINE };
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        struct storm *storm = new_storm(64, policies[i]);
        char line[128];
        for (int number = 0; number < 20000; number++) {
            enum storm_action action;
            snprintf(line, sizeof(line), "Jun 14 15:%02d:%02d host sshd[%d]: session %d of user %d",
                     number / 1000, number % 60, number, number, number * 7);
            size_t before = allocations;
            CHECK_INT(storm_line(storm, str_from(line), &action, NULL), 0);
            CHECK(number < 100 || allocations == before);
        }
        CHECK_INT(storm_totals(storm)->signatures, 1);
        storm_free(storm);
    }
}
#endif
