/* denial_log: see the header. */
#include "doors/network/denial_log.h"

#include "base/clock.h"
#include "base/json.h"

#define COUNT_WIDTH  12
#define NUMBERS_SIZE 128

/* Of the same length whatever the count: JSON takes the blanks in front of a number. */
static int write_numbers(char text[NUMBERS_SIZE], const struct use_entry *entry)
{
    char last[CLOCK_TEXT_SIZE];
    uint64_t most = UINT64_C(999999999999);
    clock_text(entry->last_ms, last);
    return snprintf(text, NUMBERS_SIZE, "\"count\":%*llu,\"lastAt\":\"%s\"}\n", COUNT_WIDTH,
                    (unsigned long long)(entry->count < most ? entry->count : most), last);
}

static void add_text(struct buf *line, const char *name, struct str text)
{
    json_add_name(line, name);
    json_add_string(line, text);
}

void denial_log_add(struct denial_log *log, struct use_entry *entry, const struct verdict *verdict)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    char host[TARGET_HOST_SIZE], first[CLOCK_TEXT_SIZE], numbers[NUMBERS_SIZE];
    const struct target *target = &entry->target;
    if (log->fd < 0)
        return;
    target_host(target, host);
    clock_text(entry->first_ms, first);
    buf_add_char(&line, '{');
    add_text(&line, "host", str_from(host));
    if (target->port)
        buf_addf(&line, ",\"port\":%u", target->port);
    add_text(&line, "layer",
             verdict->built_in ? STR("built-in") : str_from(layer_names[verdict->layer]));
    add_text(&line, "ruleId", verdict->rule);
    add_text(&line, "reason", str_from(verdict->reason));
    add_text(&line, "remediation", str_from(verdict->smallest_change));
    add_text(&line, "firstAt", str_from(first));
    buf_add_char(&line, ',');
    size_t before = line.len;
    (void)write_numbers(numbers, entry);
    buf_add_text(&line, numbers);
    if (line.error || pwrite(log->fd, line.data, line.len, log->end) != (ssize_t)line.len)
        return;
    entry->log_at = log->end + (off_t)before;
    log->end += (off_t)line.len;
}

void denial_log_repeat(const struct denial_log *log, const struct use_entry *entry)
{
    char numbers[NUMBERS_SIZE];
    if (!entry->log_at)
        return;
    int len = write_numbers(numbers, entry);
    (void)!pwrite(log->fd, numbers, (size_t)len, entry->log_at);
}
