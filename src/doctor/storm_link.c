/*
 * storm_link: which earlier denial a failure goes back to.
 *
 * Theory of operation. A denial is remembered by the object that was denied.
 * A failure that names the same object within the window, in the same process
 * or the same session, goes back to it. Time alone links nothing, nor does a
 * process without an object. What is stated decides: fields of their own
 * (journal, JSON), `pid=`, `ses=`, `path=`, `name=` and the like in the text,
 * or the process in the header; else the first path, quoted text or dotted
 * name of the message is the object.
 *
 * How sure it is: CONFIDENCE_PROCESS or CONFIDENCE_SESSION, times the share of
 * the failure's events that are linked.
 *
 * Limits: of the denials whose objects have the same place in the table, the
 * latest is remembered.
 */
#include "doctor/storm_internal.h"

#include "doctor/storm_hash.h"

#define KEY_SEARCH_MAX ((size_t)1024) /* bytes of a message that are looked at */

struct stated {
    struct str object;
    struct str session;
    uint32_t pid;
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* What may stand before "=", and what it states. Of several the first row counts. */
enum {
    KEY_OBJECT,
    KEY_PATH,
    KEY_NAME,
    KEY_FILE,
    KEY_CAPABILITY,
    KEY_SESSION,
    KEY_SES,
    KEY_PID,
    KEY_COUNT
};
static const char *const keys[KEY_COUNT] = {
    [KEY_OBJECT] = "object",
    [KEY_PATH] = "path",
    [KEY_NAME] = "name",
    [KEY_FILE] = "file",
    [KEY_CAPABILITY] = "capability",
    [KEY_SESSION] = "session",
    [KEY_SES] = "ses",
    [KEY_PID] = "pid",
};

static const bool value_ends[256] = {
    [0 ... ' '] = true, [','] = true, [';'] = true, [')'] = true, [']'] = true, ['}'] = true,
};

static struct str value_at(struct str text, size_t start)
{
    char quote = start < text.len && (text.ptr[start] == '"' || text.ptr[start] == '\'')
                     ? text.ptr[start]
                     : 0;
    start += quote != 0;
    size_t end = start;
    while (end < text.len &&
           (quote ? text.ptr[end] != quote : !value_ends[(unsigned char)text.ptr[end]]))
        end++;
    return str_make(text.ptr + start, end - start);
}

/* The values of `key=value` and `key="value"`. */
static void read_values(struct str text, struct str ret[KEY_COUNT])
{
    for (size_t at = str_index(text, '=', 0); at < text.len; at = str_index(text, '=', at + 1)) {
        size_t start = at;
        while (start && is_word(text.ptr[start - 1]))
            start--;
        struct str name = str_make(text.ptr + start, at - start);
        for (size_t i = 0; i < KEY_COUNT; i++)
            if (!ret[i].len && str_equal(name, str_from(keys[i])))
                ret[i] = value_at(text, at + 1);
    }
}

/* The first path, quoted text or dotted name. */
static struct str find_object(struct str text)
{
    static const bool ends[256] = {
        [0 ... ' '] = true, [','] = true, [';'] = true, [')'] = true,  [']'] = true,
        ['}'] = true,       ['>'] = true, ['"'] = true, ['\''] = true,
    };
    static const bool opens[256] = { ['('] = true, ['['] = true, ['{'] = true, ['<'] = true };
    for (size_t i = 0, end; i < text.len; i = end + 1) {
        char quote = text.ptr[i] == '"' || text.ptr[i] == '\'' ? text.ptr[i] : 0;
        size_t start = i + (quote || opens[(unsigned char)text.ptr[i]]);
        size_t dots = 0;
        for (end = start; end < text.len; end++) {
            if (quote ? text.ptr[end] == quote : ends[(unsigned char)text.ptr[end]])
                break;
            dots += text.ptr[end] == '.' && end > start && end + 1 < text.len &&
                    is_word(text.ptr[end + 1]);
        }
        struct str word = str_make(text.ptr + start, end - start);
        while (!quote && word.len && strchr(".:!?", word.ptr[word.len - 1]))
            word.len--;
        bool is_path = word.len > 1 && word.ptr[0] == '/';
        if (word.len > 1 && (quote || is_path || dots >= 2) && word.len <= STORM_OBJECT_MAX)
            return word;
    }
    return str_make(text.ptr, 0);
}

static uint32_t pid_of(struct str text)
{
    uint32_t pid = 0;
    for (size_t i = 0; i < text.len && i < 9; i++)
        pid =
            text.ptr[i] >= '0' && text.ptr[i] <= '9' ? pid * 10 + (uint32_t)(text.ptr[i] - '0') : 0;
    return pid;
}

static void read_stated(const struct storm_event *event, struct stated *ret)
{
    struct str values[KEY_COUNT] = { 0 }, text = event->message;
    if (text.len > KEY_SEARCH_MAX)
        text.len = KEY_SEARCH_MAX;
    read_values(text, values);
    ret->object = event->object;
    for (size_t i = KEY_OBJECT; i < KEY_SESSION && !ret->object.len; i++)
        ret->object = values[i];
    if (!ret->object.len)
        ret->object = find_object(text);
    if (ret->object.len > STORM_OBJECT_MAX)
        ret->object.len = STORM_OBJECT_MAX;
    ret->session = event->session.len        ? event->session
                   : values[KEY_SESSION].len ? values[KEY_SESSION]
                                             : values[KEY_SES];
    uint32_t pid = pid_of(values[KEY_PID]);
    ret->pid = pid ? pid : event->pid;
}

static uint64_t session_hash(struct str session)
{
    return session.len ? storm_hash(session.ptr, session.len) | 1 : 0;
}

static void remember(struct storm *storm, uint32_t slot, const struct stated *stated,
                     int64_t time_ms)
{
    uint64_t object = storm_hash(stated->object.ptr, stated->object.len) | 1;
    struct storm_denial *denial = &storm->denials[object % STORM_DENIALS_MAX];
    *denial = (struct storm_denial){ .object = object,
                                     .session = session_hash(stated->session),
                                     .time_ms = time_ms,
                                     .pid = stated->pid,
                                     .slot = slot,
                                     .generation = storm->index[slot].generation,
                                     .text_len = stated->object.len };
    memcpy(denial->text, stated->object.ptr, stated->object.len);
    if (!storm->has_denials || time_ms > storm->last_denial_ms)
        storm->last_denial_ms = time_ms;
    storm->has_denials = true;
}

static void look_back(struct storm *storm, struct storm_group *group, const struct stated *stated,
                      int64_t time_ms)
{
    uint64_t object = storm_hash(stated->object.ptr, stated->object.len) | 1;
    uint64_t session = session_hash(stated->session);
    const struct storm_denial *denial = &storm->denials[object % STORM_DENIALS_MAX];
    const struct storm_group *parent = &storm->groups[denial->slot];
    if (denial->object != object || storm->index[denial->slot].generation != denial->generation ||
        parent == group || time_ms < denial->time_ms ||
        time_ms - denial->time_ms > storm->config.link_window_ms)
        return;
    bool same_process = denial->pid && denial->pid == stated->pid;
    bool same_session = denial->session && denial->session == session;
    if (!same_process && !same_session)
        return;
    struct storm_cause *cause = &group->cause;
    if (!cause->linked) {
        cause->slot = denial->slot;
        cause->generation = denial->generation;
        cause->by_process = true;
        cause->object_len = denial->text_len;
        memcpy(cause->object, denial->text, denial->text_len);
        storm->has_causes = true;
    }
    if (cause->slot != denial->slot || cause->generation != denial->generation)
        return; /* one story for each signature: the first */
    cause->by_process &= same_process;
    cause->linked++;
}

void storm_link_moved(struct storm *storm, uint32_t slot, uint32_t to)
{
    const struct storm_group *parent = &storm->groups[slot];
    for (size_t i = 0; storm->has_causes && i < storm->config.signatures_max; i++) {
        struct storm_cause *cause = &storm->groups[i].cause;
        if (!cause->linked || cause->slot != slot ||
            cause->generation != storm->index[slot].generation)
            continue;
        if (to == STORM_NO_SLOT) {
            storm_group_id(parent, cause->id);
            cause->first_ms = parent->first_ms;
        } else {
            cause->slot = to;
            cause->generation = storm->index[to].generation;
        }
    }
}

bool storm_link_wants(const struct storm *storm, uint32_t slot, int64_t time_ms)
{
    enum storm_role role = storm->groups[slot].role;
    return role == ROLE_DENIAL || (role == ROLE_FAILURE && storm->has_denials &&
                                   time_ms - storm->last_denial_ms <= storm->config.link_window_ms);
}

void storm_link(struct storm *storm, uint32_t slot, const struct storm_event *event)
{
    struct storm_group *group = &storm->groups[slot];
    struct stated stated;
    read_stated(event, &stated);
    if (!stated.object.len)
        return;
    if (group->role == ROLE_DENIAL)
        remember(storm, slot, &stated, event->time_ms);
    else
        look_back(storm, group, &stated, event->time_ms);
}
