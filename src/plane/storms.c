/* storms: see the header. No delegation is asked for: nothing of a workspace changes. */
#include "plane/storms.h"

#include <sys/random.h>

#include "authority/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"

#define STEP_STORMS "record storms"

int storms_join(struct storm_note *several, const struct storm_note *one, struct err *err)
{
    char both[2 * DIGEST_TEXT_SIZE + 2], digest[DIGEST_TEXT_SIZE];
    snprintf(both, sizeof(both), "%s%s%s\n", several->digest, several->storms ? "\n" : "",
             one->digest);
    int r = digest_text(str_from(both), digest, err);
    if (r < 0)
        return r;
    bool is_first = several->storms == 0;
    memcpy(several->digest, digest, sizeof(digest));
    several->policy = one->policy;
    several->storms += one->storms;
    several->count += one->count;
    several->held += one->held;
    if (is_first || one->first_ms < several->first_ms)
        several->first_ms = one->first_ms;
    if (is_first || one->last_ms > several->last_ms)
        several->last_ms = one->last_ms;
    return 0;
}

static int write_event(struct buf *event, const struct storm_note *note, struct err *err)
{
    char now[CLOCK_TEXT_SIZE], first[CLOCK_TEXT_SIZE], last[CLOCK_TEXT_SIZE];
    char user[KEY_USER_TEXT_MAX];
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set_errno(err, errno, STEP_STORMS, "the kernel gives no random bytes");
    clock_text(clock_now_ms(), now);
    clock_text(note->first_ms, first);
    clock_text(note->last_ms, last);
    key_user(user);
    buf_addf(event,
             "{\"id\":\"urn:srcos:operation-event:storm-%016llx\",\"type\":\"OperationEvent\","
             "\"specVersion\":\"1.0.0\",\"occurredAt\":\"%s\",\"eventType\":\"progress\","
             "\"actorRef\":",
             (unsigned long long)random, now);
    json_add_string(event, str_from(user));
    buf_add_text(event, ",\"storm\":{");
    if (note->record[0])
        json_add_text(event, "diagnosticStormRecordRef", str_from(note->record));
    else
        buf_addf(event, "\"storms\":%llu", (unsigned long long)note->storms);
    json_add_text(event, "digest", str_from(note->digest));
    json_add_text(event, "suppressionPolicy", str_from(note->policy));
    buf_addf(event, ",\"repeatCount\":%llu,\"heldCount\":%llu", (unsigned long long)note->count,
             (unsigned long long)note->held);
    json_add_text(event, "firstSeen", str_from(first));
    json_add_text(event, "lastSeen", str_from(last));
    buf_add_text(event, "}}");
    return event->error ? err_set(err, ERR_MEMORY, STEP_STORMS, "there is not enough memory") : 0;
}

int storms_record(struct ledger *ledger, const struct storm_note *notes, size_t count,
                  struct err *err)
{
    _cleanup_(buf_release) struct buf event = BUF_INIT_LIMIT(LEDGER_EVENT_BYTES_MAX);
    struct ledger_batch *batch;
    struct ledger_position position;
    int r = ledger_batch_new(&batch, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count && r == 0; i++) {
        buf_reset(&event);
        r = write_event(&event, &notes[i], err);
        if (r == 0)
            r = ledger_add_event(batch, buf_str(&event), err);
    }
    if (r == 0)
        r = ledger_commit(ledger, batch, &position, err);
    ledger_batch_free(batch);
    return r;
}
