/*
 * storm_reader: lines are cut out of chunks in place, and copied only where a chunk ends in one.
 *
 * Threats: any bytes. A line is kept up to STORM_LINE_BYTES_MAX; the rest of it
 * is counted and dropped as it comes, so that a stream without line ends costs
 * no memory. JSON is parsed into a fixed pool; an object that does not fit is
 * text. A field of the export format that states a length is skipped by that
 * length without being kept beyond its limit.
 */
#include "doctor/storm_reader.h"

#include <yyjson.h>

#include "base/buf.h"

#define STEP            "read a log"
#define JSON_POOL_BYTES (STORM_LINE_BYTES_MAX * 16) /* what yyjson takes at most for one line */
#define FIELD_BYTES_MAX ((size_t)256)
#define FIELD_NAME_MAX  ((size_t)64)
#define DATA_BYTES_MAX  ((uint64_t)1 << 30) /* the journal itself allows less */
#define LENGTH_BYTES    8

/* The members and fields that say something; each format has its own names. */
enum field {
    FIELD_MESSAGE,
    FIELD_COMPONENT,
    FIELD_PROGRAM, /* a component's path, or its second-best name */
    FIELD_SESSION,
    FIELD_OBJECT,
    FIELD_TIME,
    FIELD_PID,
    FIELD_PRIORITY,
    FIELD_LEVEL,
    FIELD_COUNT
};

static const struct {
    const char *name;
    enum field field;
} fields[] = {
    { "MESSAGE", FIELD_MESSAGE },
    { "message", FIELD_MESSAGE },
    { "msg", FIELD_MESSAGE },
    { "eventMessage", FIELD_MESSAGE },
    { "log", FIELD_MESSAGE },
    { "SYSLOG_IDENTIFIER", FIELD_COMPONENT },
    { "component", FIELD_COMPONENT },
    { "logger", FIELD_COMPONENT },
    { "service", FIELD_COMPONENT },
    { "name", FIELD_COMPONENT },
    { "_COMM", FIELD_PROGRAM },
    { "process", FIELD_PROGRAM },
    { "processImagePath", FIELD_PROGRAM },
    { "_AUDIT_SESSION", FIELD_SESSION },
    { "_SYSTEMD_SESSION", FIELD_SESSION },
    { "session", FIELD_SESSION },
    { "sessionId", FIELD_SESSION },
    { "OBJECT", FIELD_OBJECT },
    { "object", FIELD_OBJECT },
    { "objectRef", FIELD_OBJECT },
    { "path", FIELD_OBJECT },
    { "_SOURCE_REALTIME_TIMESTAMP", FIELD_TIME },
    { "__REALTIME_TIMESTAMP", FIELD_TIME },
    { "timestamp", FIELD_TIME },
    { "@timestamp", FIELD_TIME },
    { "time", FIELD_TIME },
    { "ts", FIELD_TIME },
    { "_PID", FIELD_PID },
    { "SYSLOG_PID", FIELD_PID },
    { "pid", FIELD_PID },
    { "processID", FIELD_PID },
    { "PRIORITY", FIELD_PRIORITY },
    { "level", FIELD_LEVEL },
    { "severity", FIELD_LEVEL },
    { "lvl", FIELD_LEVEL },
    { "messageType", FIELD_LEVEL },
};

struct storm_reader {
    struct storm *storm;
    storm_shown *shown;
    void *context;
    struct buf line; /* begun in an earlier chunk */
    bool is_cut;     /* it is longer than is kept */
    uint64_t cut_bytes;
    struct storm_time_reader time;
    char *pool;
    struct buf message; /* of an entry whose message is a list of bytes */
    /* The export format. */
    bool in_entry;
    uint64_t entry_bytes;
    unsigned char length[LENGTH_BYTES];
    size_t length_have;
    bool in_length, in_data;
    uint64_t data_left;
    enum field data_field; /* FIELD_COUNT: none that matters */
    struct buf values[FIELD_COUNT];
};

int storm_reader_new(struct storm *storm, storm_shown *shown, void *context,
                     struct storm_reader **ret, struct err *err)
{
    struct storm_reader *reader = calloc(1, sizeof(*reader));
    char *pool = malloc(JSON_POOL_BYTES);
    if (!reader || !pool) {
        free(reader);
        free(pool);
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    }
    reader->storm = storm;
    reader->shown = shown;
    reader->context = context;
    reader->pool = pool;
    reader->line = BUF_INIT_LIMIT(STORM_LINE_BYTES_MAX);
    reader->message = BUF_INIT_LIMIT(STORM_LINE_BYTES_MAX);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        reader->values[i] =
            BUF_INIT_LIMIT(i == FIELD_MESSAGE ? STORM_LINE_BYTES_MAX : FIELD_BYTES_MAX);
    *ret = reader;
    return 0;
}

void storm_reader_free(struct storm_reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < FIELD_COUNT; i++)
        buf_release(&reader->values[i]);
    buf_release(&reader->line);
    buf_release(&reader->message);
    free(reader->pool);
    free(reader);
}

static enum field field_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (strlen(fields[i].name) == name.len && memcmp(fields[i].name, name.ptr, name.len) == 0)
            return fields[i].field;
    return FIELD_COUNT;
}

/* --- fields become an event ----------------------------------------------------------------- */

static bool digits_of(struct str text, uint64_t *ret)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (digit > 9 || number > UINT64_MAX / 10 - 10)
            return false;
        number = number * 10 + digit;
    }
    *ret = number;
    return text.len > 0;
}

static void set_time(struct storm_reader *reader, struct str text, struct storm_event *event)
{
    size_t len;
    uint64_t number;
    if (digits_of(text, &number))
        event->has_time = storm_time_number((double)number, &event->time_ms);
    else
        event->has_time = storm_time_read(&reader->time, text, &event->time_ms, &len);
}

static void set_field(struct storm_reader *reader, enum field field, struct str text,
                      struct storm_event *event)
{
    uint64_t number;
    size_t slash = text.len;
    switch (field) {
    case FIELD_MESSAGE:
        event->message = event->message.ptr ? event->message : text;
        break;
    case FIELD_COMPONENT:
        event->component = text;
        break;
    case FIELD_PROGRAM:
        while (slash && text.ptr[slash - 1] != '/')
            slash--;
        if (!event->component.len)
            event->component = str_from_offset(text, slash);
        break;
    case FIELD_SESSION:
        event->session = text;
        break;
    case FIELD_OBJECT:
        event->object = text;
        break;
    case FIELD_TIME:
        if (!event->has_time)
            set_time(reader, text, event);
        break;
    case FIELD_PID:
        if (digits_of(text, &number) && number <= UINT32_MAX)
            event->pid = (uint32_t)number;
        break;
    case FIELD_PRIORITY:
        if (digits_of(text, &number) && number <= 7) {
            event->severity = storm_severity_of_priority((unsigned)number);
            event->has_severity = true;
        }
        break;
    case FIELD_LEVEL:
        event->has_severity |= storm_severity_read(text, &event->severity);
        break;
    case FIELD_COUNT:
        break;
    }
}

static int give_event(struct storm_reader *reader, const struct storm_event *event, struct str line,
                      uint64_t bytes, struct err *err)
{
    enum storm_action action;
    int r = storm_event(reader->storm, event, bytes, &action, err);
    return r == 0 && reader->shown ? reader->shown(reader->context, action, line, err) : r;
}

/* --- JSON ----------------------------------------------------------------------------------- */

/* The journal writes a message that is no UTF-8 as a list of its bytes. */
static struct str bytes_of(struct storm_reader *reader, yyjson_val *list)
{
    size_t index, count;
    yyjson_val *item;
    buf_reset(&reader->message);
    yyjson_arr_foreach(list, index, count, item)
    {
        buf_add_char(&reader->message, (char)yyjson_get_uint(item));
    }
    return buf_str(&reader->message);
}

static void set_member(struct storm_reader *reader, yyjson_val *key, yyjson_val *value,
                       struct storm_event *event)
{
    char number[32];
    struct str name = str_make(yyjson_get_str(key), yyjson_get_len(key));
    enum field field = field_of(name);
    if (field == FIELD_COUNT)
        return;
    if (yyjson_is_str(value)) {
        set_field(reader, field, str_make(yyjson_get_str(value), yyjson_get_len(value)), event);
    } else if (yyjson_is_arr(value) && field == FIELD_MESSAGE) {
        set_field(reader, field, bytes_of(reader, value), event);
    } else if (yyjson_is_num(value) && field == FIELD_TIME) {
        if (!event->has_time)
            event->has_time = storm_time_number(yyjson_get_num(value), &event->time_ms);
    } else if (yyjson_is_uint(value) && (field == FIELD_PID || field == FIELD_PRIORITY)) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)yyjson_get_uint(value));
        set_field(reader, field, str_from(number), event);
    }
}

/* 1 where the line was such an object and is counted, 0 where it is text. */
static int give_json(struct storm_reader *reader, struct str line, struct err *err)
{
    yyjson_alc pool;
    struct storm_event event = { 0 };
    size_t index, count;
    yyjson_val *key, *value;
    if (!yyjson_alc_pool_init(&pool, reader->pool, JSON_POOL_BYTES))
        return 0;
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)line.ptr, line.len, YYJSON_READ_NOFLAG, &pool, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(root))
        return 0;
    yyjson_obj_foreach(root, index, count, key, value)
    {
        set_member(reader, key, value, &event);
    }
    if (!event.message.ptr)
        event.message = line;
    int r = give_event(reader, &event, line, line.len + 1, err);
    return r < 0 ? r : 1;
}

/* --- the export format ---------------------------------------------------------------------- */

static int end_entry(struct storm_reader *reader, struct err *err)
{
    struct storm_event event = { 0 };
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (reader->values[i].len)
            set_field(reader, (enum field)i, buf_str(&reader->values[i]), &event);
    if (!event.message.ptr)
        event.message = STR("");
    int r = give_event(reader, &event, event.message, reader->entry_bytes, err);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        buf_reset(&reader->values[i]);
    reader->in_entry = false;
    reader->entry_bytes = 0;
    return r;
}

/* Keeps as much as fits. A field that comes a second time counts as it came first. */
static void keep(struct buf *value, struct str bytes)
{
    size_t room = value->limit - value->len;
    buf_add(value, bytes.ptr, bytes.len < room ? bytes.len : room);
}

static int entry_line(struct storm_reader *reader, struct str line, struct err *err)
{
    size_t equals = str_index(line, '=', 0);
    reader->entry_bytes += line.len + 1;
    if (line.len == 0)
        return end_entry(reader, err);
    enum field field =
        equals <= FIELD_NAME_MAX ? field_of(str_make(line.ptr, equals)) : FIELD_COUNT;
    bool is_free = field < FIELD_COUNT && !reader->values[field].len;
    if (equals < line.len) {
        if (is_free)
            keep(&reader->values[field], str_from_offset(line, equals + 1));
        return 0;
    }
    reader->in_length = true;
    reader->length_have = 0;
    reader->data_field = is_free ? field : FIELD_COUNT;
    return 0;
}

/* Takes what belongs to a field with a stated length; returns how many bytes. */
static size_t take_data(struct storm_reader *reader, struct str bytes)
{
    size_t used = 0;
    while (reader->in_length && used < bytes.len) {
        reader->length[reader->length_have++] = (unsigned char)bytes.ptr[used++];
        if (reader->length_have < LENGTH_BYTES)
            continue;
        reader->data_left = 0;
        for (size_t i = LENGTH_BYTES; i-- > 0;)
            reader->data_left = reader->data_left << 8 | reader->length[i];
        reader->in_length = false;
        reader->in_data = reader->data_left <= DATA_BYTES_MAX;
        reader->in_entry &= reader->in_data; /* else it is no such entry: lines go on */
    }
    if (reader->in_data) {
        uint64_t left = bytes.len - used;
        size_t len = (size_t)(left < reader->data_left ? left : reader->data_left);
        if (reader->data_field < FIELD_COUNT)
            keep(&reader->values[reader->data_field], str_make(bytes.ptr + used, len));
        reader->data_left -= len;
        used += len;
        /* The line end behind the data. */
        if (!reader->data_left && used < bytes.len) {
            used += bytes.ptr[used] == '\n';
            reader->in_data = false;
        }
    }
    reader->entry_bytes += used;
    return used;
}

/* --- lines ---------------------------------------------------------------------------------- */

static int give_line(struct storm_reader *reader, struct str line, struct err *err)
{
    enum storm_action action;
    int r = 0;
    if (!reader->in_entry && line.len > 9 && line.ptr[0] == '_' &&
        str_starts(line, STR("__CURSOR=")))
        reader->in_entry = true;
    if (reader->in_entry)
        return entry_line(reader, line, err);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len > 1 && line.ptr[0] == '{')
        r = give_json(reader, line, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = storm_line(reader->storm, line, &action, err);
    return r == 0 && reader->shown ? reader->shown(reader->context, action, line, err) : r;
}

/* A line that may be longer than is kept. */
static int give_whole(struct storm_reader *reader, struct str line, struct err *err)
{
    uint64_t more = reader->cut_bytes;
    if (line.len > STORM_LINE_BYTES_MAX) {
        more += line.len - STORM_LINE_BYTES_MAX;
        line.len = STORM_LINE_BYTES_MAX;
    }
    int r = give_line(reader, line, err);
    if (more)
        storm_line_was_cut(reader->storm, more);
    reader->cut_bytes = 0;
    buf_reset(&reader->line);
    return r;
}

static int begin_line(struct storm_reader *reader, struct str bytes, struct err *err)
{
    size_t room = STORM_LINE_BYTES_MAX - reader->line.len;
    size_t len = bytes.len < room ? bytes.len : room;
    reader->cut_bytes += bytes.len - len;
    if (buf_add(&reader->line, bytes.ptr, len) < 0)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    return 0;
}

int storm_reader_feed(struct storm_reader *reader, struct str bytes, struct err *err)
{
    int r = 0;
    while (r == 0 && bytes.len) {
        if (reader->in_length || reader->in_data) {
            bytes = str_from_offset(bytes, take_data(reader, bytes));
            continue;
        }
        size_t end = str_index(bytes, '\n', 0);
        struct str line = str_make(bytes.ptr, end);
        bool is_begun = reader->line.len > 0;
        if (is_begun || end == bytes.len)
            r = begin_line(reader, line, err);
        if (r == 0 && end < bytes.len)
            r = give_whole(reader, is_begun ? buf_str(&reader->line) : line, err);
        bytes = str_from_offset(bytes, end + 1);
    }
    return r;
}

int storm_reader_end(struct storm_reader *reader, struct err *err)
{
    int r = 0;
    reader->in_length = reader->in_data = false;
    if (reader->line.len)
        r = give_whole(reader, buf_str(&reader->line), err);
    if (r == 0 && reader->in_entry)
        r = end_entry(reader, err);
    return r;
}
