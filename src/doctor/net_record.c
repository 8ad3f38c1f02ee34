/*
 * net_record: see the header.
 *
 * Theory of operation. Items lie in one array of a fixed size, their bytes in
 * an arena. In a file, bytes of the kernel's are hexadecimal, and text is text;
 * a member that says nothing is left out.
 */
#include "doctor/net_record.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "contract/vocabulary.h"

#define STEP_RECORD "keep what was seen of the network"
#define STEP_READ   "read what was seen of the network"
#define FORMAT      "agent-machine network record 1"

#define KIND_NAME(kind, name, is_text) [kind] = name,
static const char *const kind_names[NET_ITEM_COUNT] = { NET_ITEM_TABLE(KIND_NAME) };
#define KIND_TEXT(kind, name, is_text) [kind] = is_text,
static const bool kind_is_text[NET_ITEM_COUNT] = { NET_ITEM_TABLE(KIND_TEXT) };
#define SCOPE_NAME(scope, name) [scope] = name,
const char *const net_scope_names[NET_SCOPE_COUNT] = { NET_SCOPE_TABLE(SCOPE_NAME) };

int net_record_init(struct net_record *record, struct err *err)
{
    *record = (struct net_record){ .arena = ARENA_INIT };
    record->items = calloc(NET_ITEMS_MAX, sizeof(*record->items));
    return record->items ? 0 : err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory");
}

void net_record_release(struct net_record *record)
{
    free(record->items);
    arena_release(&record->arena);
    *record = (struct net_record){ 0 };
}

struct net_item *net_record_add(struct net_record *record, enum net_item_kind kind,
                                const char *name, int error, struct str bytes)
{
    static struct net_item nobodys;
    size_t name_len = strnlen(name, NET_NAME_MAX - 1);
    nobodys = (struct net_item){ .name = "" };
    if (record->count == NET_ITEMS_MAX || bytes.len > NET_ITEM_BYTES_MAX ||
        record->bytes + bytes.len > NET_RECORD_BYTES_MAX) {
        record->lacking = -E2BIG;
        return &nobodys;
    }
    const char *name_copy = arena_copy(&record->arena, str_make(name, name_len));
    const char *copy = bytes.len ? arena_copy(&record->arena, bytes) : "";
    if (!name_copy || !copy) {
        record->lacking = -ENOMEM;
        return &nobodys;
    }
    struct net_item *item = &record->items[record->count++];
    *item = (struct net_item){
        .kind = kind, .name = name_copy, .error = error, .bytes = str_make(copy, bytes.len)
    };
    record->bytes += bytes.len;
    return item;
}

const struct net_item *net_record_next(const struct net_record *record, enum net_item_kind kind,
                                       const struct net_item *after)
{
    const struct net_item *end = record->items + record->count;
    for (const struct net_item *item = after ? after + 1 : record->items; item < end; item++)
        if (item->kind == kind)
            return item;
    return NULL;
}

/* --- to a file ------------------------------------------------------------------------------ */

static void add_hex(struct buf *json, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *place = buf_reserve(json, bytes.len * 2 + 2);
    if (!place)
        return;
    *place++ = '"';
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        *place++ = digits[c >> 4];
        *place++ = digits[c & 15];
    }
    *place++ = '"';
    *place = '\0';
    json->len += bytes.len * 2 + 2;
}

static void add_number(struct buf *json, const char *name, int64_t number)
{
    if (!number)
        return;
    json_add_name(json, name);
    buf_addf(json, "%lld", (long long)number);
}

static void add_item(struct buf *json, const struct net_item *item)
{
    buf_add_char(json, '{');
    json_add_text(json, "kind", str_from(kind_names[item->kind]));
    if (item->name[0])
        json_add_text(json, "name", str_from(item->name));
    if (item->scope != NET_INTERNET)
        json_add_text(json, "scope", str_from(net_scope_names[item->scope]));
    add_number(json, "error", item->error);
    add_number(json, "atMs", item->at_ms);
    add_number(json, "tookMs", item->took_ms);
    add_number(json, "status", item->status);
    if (kind_is_text[item->kind])
        json_add_text(json, "text", item->bytes);
    else {
        json_add_name(json, "bytes");
        add_hex(json, item->bytes);
    }
    buf_add_char(json, '}');
}

int net_record_save(const struct net_record *record, struct buf *ret, struct err *err)
{
    char at[CLOCK_TEXT_SIZE];
    clock_text(record->at_ms, at);
    buf_add_char(ret, '{');
    json_add_text(ret, "format", STR(FORMAT));
    json_add_text(ret, "observedAt", str_from(at));
    if (record->wish)
        json_add_text(ret, "interface", str_from(record->wish));
    json_add_name(ret, "items");
    for (size_t i = 0; i < record->count; i++) {
        buf_add_text(ret, i ? ",\n " : "[\n ");
        add_item(ret, &record->items[i]);
    }
    buf_add_text(ret, record->count ? "]}\n" : "[]}\n");
    return ret->error ? err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory") : 0;
}

/* --- from a file ---------------------------------------------------------------------------- */

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *hit = c ? strchr(digits, c) : NULL;
    return hit ? (int)(hit - digits) : -1;
}

static bool read_hex(struct str text, struct buf *ret)
{
    buf_reset(ret);
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        int high = digit_of(text.ptr[i]), low = digit_of(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_add_char(ret, (char)(high << 4 | low));
    }
    return text.len % 2 == 0 && !ret->error;
}

/* False where it is there and is no number of that size. */
static bool read_number(const yyjson_val *object, const char *name, int64_t *ret)
{
    const yyjson_val *value = member(object, name);
    *ret = value ? yyjson_get_sint((yyjson_val *)value) : 0;
    return !value ||
           (yyjson_is_int((yyjson_val *)value) && *ret >= 0 && *ret <= INT64_C(9007199254740991));
}

static bool read_item(const yyjson_val *value, struct buf *bytes, struct net_record *record)
{
    const yyjson_val *name = member(value, "name"), *scope_name = member(value, "scope");
    int kind = vocabulary_index(kind_names, NET_ITEM_COUNT, text_of(member(value, "kind")));
    int scope =
        scope_name ? vocabulary_index(net_scope_names, NET_SCOPE_COUNT, text_of(scope_name)) : 0;
    struct str content = text_of(member(value, "bytes"));
    int64_t error;
    struct net_item numbers;
    if (kind < 0 || scope < 0 || !read_number(value, "error", &error) || error > INT32_MAX ||
        !read_number(value, "atMs", &numbers.at_ms) ||
        !read_number(value, "tookMs", &numbers.took_ms) ||
        !read_number(value, "status", &numbers.status))
        return false;
    if (kind_is_text[kind])
        content = text_of(member(value, "text"));
    else if (!read_hex(content, bytes))
        return false;
    else
        content = buf_str(bytes);
    struct net_item *item = net_record_add(record, (enum net_item_kind)kind,
                                           name ? text_of(name).ptr : "", (int)error, content);
    item->scope = (enum net_scope)scope;
    item->at_ms = numbers.at_ms;
    item->took_ms = numbers.took_ms;
    item->status = numbers.status;
    return true;
}

static int read_items(const yyjson_val *root, struct net_record *record, struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(NET_ITEM_BYTES_MAX);
    const yyjson_val *items = member(root, "items");
    size_t count = yyjson_arr_size((yyjson_val *)items);
    if (!text_is(member(root, "format"), FORMAT) ||
        !clock_parse(text_of(member(root, "observedAt")), &record->at_ms) ||
        !yyjson_is_arr((yyjson_val *)items))
        return err_set(err, ERR_DOCUMENT, STEP_READ,
                       "it is no record of a network; `agent-machine doctor network --save` makes "
                       "one");
    const yyjson_val *wish = member(root, "interface");
    if (wish)
        record->wish = arena_copy(&record->arena, text_of(wish));
    for (size_t i = 0; i < count; i++)
        if (!read_item(yyjson_arr_get((yyjson_val *)items, i), &bytes, record)) {
            int r = err_set(err, ERR_DOCUMENT, STEP_READ, "the item is none of a network's record");
            err_where(err, "/items/%zu", i);
            return r;
        }
    if (record->lacking)
        return err_set(err, record->lacking == -ENOMEM ? ERR_MEMORY : ERR_LIMIT, STEP_READ,
                       "there are more than %d items, or more than %zu bytes in them",
                       NET_ITEMS_MAX, NET_RECORD_BYTES_MAX);
    return 0;
}

int net_record_load(struct str text, struct net_record *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct net_record record;
    struct json_limits limits = json_limits_default;
    limits.string_bytes = 2 * NET_ITEM_BYTES_MAX;
    limits.size_bytes = 2 * NET_RECORD_BYTES_MAX;
    int r = json_read(text, &limits, &doc, err);
    if (r == 0)
        r = net_record_init(&record, err);
    if (r < 0)
        return r;
    r = read_items(yyjson_doc_get_root(doc), &record, err);
    if (r < 0)
        net_record_release(&record);
    else
        *ret = record;
    return r;
}
