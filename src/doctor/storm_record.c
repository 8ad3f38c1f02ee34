/*
 * storm_record: what a signature says when it is written down.
 *
 * Theory of operation. Nothing raw leaves: a sample is where an event can be
 * found, and its template; the template passes the scanner for secrets before
 * it stands anywhere. A cause is named only with the events that it rests on,
 * and only if the cause did begin first.
 */
#include "doctor/storm_internal.h"

#include "base/clock.h"
#include "base/json.h"

#define STEP "write a storm's record"
/* A storm is over when nothing came for this long. */
#define QUIET_MS           INT64_C(60000)
#define CONFIDENCE_PROCESS 0.95
#define CONFIDENCE_SESSION 0.7
#define SIGNATURE_MAX      ((size_t)2048)
#define TEMPLATE_MAX       ((size_t)4000)

/* --- names ---------------------------------------------------------------------------------- */

static uint64_t fnv(uint64_t hash, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
    return hash;
}

void storm_group_id(const struct storm_group *group, char ret[STORM_ID_SIZE])
{
    struct str component = storm_group_component(group);
    uint64_t hash = fnv(0xcbf29ce484222325ull, component.ptr, component.len);
    for (size_t i = 0; i < group->token_count; i++) {
        const struct storm_token *token = &group->tokens[i];
        hash = fnv(fnv(hash, group->text + token->offset, token->len), " ", 1);
    }
    /* Which of several storms with this signature: the one that began then. */
    snprintf(ret, STORM_ID_SIZE, "urn:srcos:diagnostic-storm:%016llx.%lld",
             (unsigned long long)hash, (long long)(group->first_ms < 0 ? 0 : group->first_ms));
}

/* --- redaction ------------------------------------------------------------------------------ */

struct masking {
    struct str text;
    size_t done;
    struct buf *out;
};

static int mask_secret(void *context, const struct redact_match *match, struct err *err)
{
    struct masking *masking = context;
    (void)err;
    buf_add(masking->out, masking->text.ptr + masking->done, (size_t)match->offset - masking->done);
    buf_addf(masking->out, "[redacted:%s]", redact_kind_name(match->rule->kind));
    masking->done = (size_t)(match->offset + match->len);
    return 0;
}

static int add_redacted(struct redact_scanner *scanner, struct str text, struct buf *out,
                        struct err *err)
{
    struct masking masking = { .text = text, .out = out };
    int r = scanner ? redact_scan(scanner, text, mask_secret, &masking, err) : 0;
    if (r < 0)
        return r;
    buf_add_str(out, str_from_offset(text, masking.done));
    return out->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
}

static void add_component(const struct storm_group *group, struct buf *out)
{
    struct str component = storm_group_component(group);
    for (size_t i = 0; i < component.len; i++) {
        if (component.ptr[i] == STORM_BLANK)
            buf_add_text(out, STORM_BLANK_TEXT);
        else
            buf_add_char(out, component.ptr[i]);
    }
}

int storm_add_template_of(const struct storm *storm, size_t slot, struct redact_scanner *scanner,
                          struct buf *out, struct err *err)
{
    const struct storm_group *group = &storm->groups[slot];
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    storm_add_template(&text, group->tokens, group->token_count, group->text, group->cut);
    if (!text.len)
        buf_add_text(&text, "(empty)");
    if (text.len > TEMPLATE_MAX)
        buf_truncate(&text, TEMPLATE_MAX);
    return add_redacted(scanner, buf_str(&text), out, err);
}

/* --- views ---------------------------------------------------------------------------------- */

/* The middle of a step, in milliseconds. */
static double step_ms(size_t step)
{
    if (step < 8)
        return (double)step;
    double low = (double)((uint64_t)(8 + step % 8) << (step / 8 - 1));
    double width = (double)((uint64_t)1 << (step / 8 - 1));
    return low + (width - 1) / 2;
}

static double median_ms(const struct storm_group *group)
{
    uint64_t all = 0, below = 0;
    for (size_t i = 0; i < STORM_INTERVALS; i++)
        all += group->intervals[i];
    if (!all)
        return -1;
    for (size_t i = 0; i < STORM_INTERVALS; i++) {
        below += group->intervals[i];
        if (below * 2 >= all)
            return step_ms(i);
    }
    return -1;
}

void storm_view(const struct storm *storm, size_t slot, struct storm_view *ret)
{
    const struct storm_group *group = &storm->groups[slot];
    const struct storm_cause *cause = &group->cause;
    *ret = (struct storm_view){
        .count = group->count,
        .held = group->held,
        .first_ms = group->first_ms,
        .last_ms = group->last_ms,
        .median_interval_ms = median_ms(group),
        .peak = group->peak,
        .severity = group->severity,
        .class = group->class,
        .component = storm_group_component(group),
    };
    storm_group_id(group, ret->id);
    const struct storm_group *parent = &storm->groups[cause->slot];
    bool is_kept = storm->index[cause->slot].generation == cause->generation;
    int64_t parent_first_ms = is_kept ? parent->first_ms : cause->first_ms;
    if (!cause->linked || parent_first_ms > group->first_ms || parent == group)
        return;
    uint64_t linked = cause->linked < group->count ? cause->linked : group->count;
    double share = (double)linked / (double)group->count;
    if (is_kept)
        storm_group_id(parent, ret->parent_id);
    else
        memcpy(ret->parent_id, cause->id, sizeof(ret->parent_id));
    ret->linked = linked;
    ret->by_process = cause->by_process;
    ret->confidence = share * (cause->by_process ? CONFIDENCE_PROCESS : CONFIDENCE_SESSION);
    ret->object = str_make(cause->object, cause->object_len);
}

/* --- the document --------------------------------------------------------------------------- */

struct writer {
    const struct storm *storm;
    const struct storm_group *group;
    struct storm_view view;
    struct buf template; /* redacted */
    struct buf component;
    struct redact_scanner *scanner;
    struct buf *out;
};

static void member(struct writer *writer, const char *name, struct str value)
{
    buf_addf(writer->out, ",\"%s\":", name);
    json_add_string(writer->out, value);
}

static void member_time(struct writer *writer, const char *name, int64_t moment_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(moment_ms, text);
    member(writer, name, str_from(text));
}

static int64_t judged_at(const struct storm *storm)
{
    return storm->now_ms ? storm->now_ms : storm->last_time_ms;
}

static const char *terminal_state(const struct writer *writer)
{
    if (writer->view.held) {
        switch (writer->storm->config.policy) {
        case STORM_SUPPRESS:
            return "suppressed";
        case STORM_QUARANTINE:
            return "quarantined";
        case STORM_ESCALATE:
            return "escalated";
        case STORM_NONE:
        case STORM_DEDUPLICATE:
        case STORM_SUMMARIZE:
        case STORM_POLICY_COUNT:
            break;
        }
    }
    if (writer->storm->totals.untimed && !writer->storm->has_last_time)
        return "unknown";
    return judged_at(writer->storm) - writer->view.last_ms > QUIET_MS ? "resolved" : "still-active";
}

static void add_samples(struct writer *writer)
{
    const struct storm_sample *samples[STORM_SAMPLES_MAX] = { &writer->group->first };
    size_t count = 1;
    if (writer->group->count > 2 && writer->group->middle.number != writer->group->first.number)
        samples[count++] = &writer->group->middle;
    if (writer->group->last.number != writer->group->first.number)
        samples[count++] = &writer->group->last;
    buf_add_text(writer->out, ",\"sampleEvents\":[");
    for (size_t i = 0; i < count; i++) {
        _cleanup_(buf_release) struct buf ref = BUF_INIT;
        buf_addf(&ref, "%s#%llu", writer->storm->config.source,
                 (unsigned long long)samples[i]->number);
        buf_add_text(writer->out, i ? ",{\"eventRef\":" : "{\"eventRef\":");
        json_add_string(writer->out, buf_str(&ref));
        member(writer, "messageTemplate", buf_str(&writer->template));
        member_time(writer, "observedAt", samples[i]->time_ms);
        buf_add_char(writer->out, '}');
    }
    buf_add_char(writer->out, ']');
}

/* What links it to its cause, and where its events are. */
static int add_evidence(struct writer *writer, struct err *err)
{
    const struct storm_view *view = &writer->view;
    _cleanup_(buf_release) struct buf link = BUF_INIT;
    int r = 0;
    buf_add_text(writer->out, ",\"causalParentRef\":");
    if (view->parent_id[0])
        json_add_string(writer->out, str_from(view->parent_id));
    else
        buf_add_text(writer->out, "null");
    buf_add_text(writer->out, ",\"evidenceRefs\":[");
    json_add_string(writer->out, str_from(writer->storm->config.source));
    if (view->parent_id[0]) {
        buf_addf(&link, "same %s and object ", view->by_process ? "process" : "session");
        r = add_redacted(writer->scanner, view->object, &link, err);
        buf_addf(&link, " within %lld ms: %llu of %llu events, confidence %.2f",
                 (long long)writer->storm->config.link_window_ms, (unsigned long long)view->linked,
                 (unsigned long long)view->count, view->confidence);
        buf_add_char(writer->out, ',');
        json_add_string(writer->out, buf_str(&link));
    }
    buf_add_char(writer->out, ']');
    return r;
}

static void add_summary(struct writer *writer)
{
    const struct storm_view *view = &writer->view;
    char first[CLOCK_TEXT_SIZE], last[CLOCK_TEXT_SIZE];
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    clock_text(view->first_ms, first);
    clock_text(view->last_ms, last);
    buf_add_str(&text, buf_str(&writer->component));
    if (view->count == 1)
        buf_addf(&text, " said once, at %s: ", first);
    else
        buf_addf(&text, " said %llu times between %s and %s, up to %llu in a second: ",
                 (unsigned long long)view->count, first, last, (unsigned long long)view->peak);
    buf_add_str(&text, buf_str(&writer->template));
    if (text.len > TEMPLATE_MAX)
        buf_truncate(&text, TEMPLATE_MAX);
    member(writer, "userVisibleSummary", buf_str(&text));
}

static int write_record(struct writer *writer, struct err *err)
{
    const struct storm_view *view = &writer->view;
    _cleanup_(buf_release) struct buf signature = BUF_INIT;
    buf_addf(&signature, "%s: %s", writer->component.data, writer->template.data);
    if (signature.len > SIGNATURE_MAX)
        buf_truncate(&signature, SIGNATURE_MAX);
    buf_add_text(writer->out, "{\"id\":");
    json_add_string(writer->out, str_from(view->id));
    member(writer, "type", STR("DiagnosticStormRecord"));
    member(writer, "specVersion", STR("1.0.0"));
    member_time(writer, "firstSeen", view->first_ms);
    member_time(writer, "lastSeen", view->last_ms);
    buf_addf(writer->out, ",\"repeatCount\":%llu", (unsigned long long)view->count);
    member(writer, "signature", buf_str(&signature));
    member(writer, "severity", str_from(storm_severity_names[view->severity]));
    member(writer, "sourceComponent", buf_str(&writer->component));
    member(writer, "normalizedFailureClass", str_from(storm_class_names[view->class]));
    add_samples(writer);
    member(writer, "suppressionPolicy", str_from(storm_policy_names[writer->storm->config.policy]));
    member(writer, "terminalState", str_from(terminal_state(writer)));
    buf_add_text(writer->out, ",\"linkedIncidentRef\":null");
    if (view->median_interval_ms >= 0)
        buf_addf(writer->out, ",\"medianIntervalMs\":%.10g", view->median_interval_ms);
    buf_addf(writer->out, ",\"maxEventsPerSecond\":%llu", (unsigned long long)view->peak);
    int r = add_evidence(writer, err);
    if (r < 0)
        return r;
    add_summary(writer);
    if (view->class != STORM_UNKNOWN || view->severity >= STORM_ERROR)
        member(writer, "remediationHint", str_from(storm_class_remedies[view->class]));
    buf_add_char(writer->out, '}');
    return writer->out->error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
}

int storm_add_record(const struct storm *storm, size_t slot, struct redact_scanner *scanner,
                     struct buf *out, struct err *err)
{
    struct writer writer = {
        .storm = storm,
        .group = &storm->groups[slot],
        .template = BUF_INIT,
        .component = BUF_INIT,
        .scanner = scanner,
        .out = out,
    };
    storm_view(storm, slot, &writer.view);
    add_component(writer.group, &writer.component);
    if (!writer.component.len)
        buf_add_text(&writer.component, storm->config.component);
    int r = storm_add_template_of(storm, slot, scanner, &writer.template, err);
    if (r == 0)
        r = write_record(&writer, err);
    buf_release(&writer.template);
    buf_release(&writer.component);
    return r;
}
