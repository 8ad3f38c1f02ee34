/*
 * redact_shape: JSON, logs and environments, masked value by value.
 *
 * Theory of operation. JSON is parsed, each string scanned as it is meant (not
 * as it is escaped) with its member's name before it, so that rules which ask
 * for a name find theirs, and written anew: what comes out is JSON whatever
 * was masked. A log is cut into lines; a line that is JSON goes that way, one
 * that reads NAME=value is judged by the name, and what is left between is
 * scanned in one piece, so that a key of several lines is seen whole.
 *
 * By its name alone a value is masked whole: no rule has to know what secrets
 * look like there. That is too much for a scanner of streams, where `token =`
 * is a program's line more often than not, and right for dumps of values.
 *
 * A text that cannot be parsed is masked as a text; nothing passes unscanned.
 * Depth and size are json_read's limits.
 */
#include "base/redact_shape.h"

#include <strings.h>

#include "base/json.h"
#include "base/redact_wrapped.h"

#define STEP         "mask secrets"
#define NUMBER_LEAST 1000

/* --- names --------------------------------------------------------------------------------- */

#define NAME_BYTES_MAX 200

/* The end of a name, without case and joints: dbPassword, DB_PASSWORD and db-password are one. */
static const char *const secret_endings[] = {
    "password",    "passwd",        "passphrase",       "passwords",
    "pwd",         "secret",        "secrets",          "token",
    "apikey",      "apikeys",       "accesskey",        "secretkey",
    "privatekey",  "signingkey",    "authkey",          "credential",
    "credentials", "authorization", "cookie",           "setcookie",
    "sessionid",   "bearer",        "connectionstring", "encryptionkey",
    "sharedkey",   "masterkey",     "accountkey",       "pgpass",
    "authtoken",
};

static size_t fold(struct str name, char ret[NAME_BYTES_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < name.len && len < NAME_BYTES_MAX; i++) {
        char c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            ret[len++] = (char)(c | 0x20);
        else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            ret[len++] = c;
    }
    return len;
}

bool redact_is_secret_name(struct str name)
{
    char folded[NAME_BYTES_MAX];
    struct str end = str_make(folded, fold(name, folded));
    for (size_t i = 0; i < ARRAY_LEN(secret_endings); i++)
        if (str_ends(end, str_from(secret_endings[i])))
            return true;
    return false;
}

/* Whether a value only says where the secret is, or that there is none. */
static bool is_reference(struct str value)
{
    static const char *const beginnings[] = { "secret://", "urn:", "$", "env:", "[redacted:" };
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (str_starts(value, str_from(beginnings[i])))
            return true;
    return value.len == 0;
}

/* --- texts --------------------------------------------------------------------------------- */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int add_renamed(struct redact_shape *shape, struct str masked, struct buf *ret,
                       struct err *err)
{
    if (shape->rename)
        return shape->rename(shape->context, masked, ret, err);
    return buf_add_str(ret, masked) < 0 ? no_memory(err) : 0;
}

/* What is left of a text behind a prefix, with masks where secrets were. */
struct masking {
    struct redact_shape *shape;
    struct str text;
    size_t from; /* where the part begins that is wanted */
    size_t done;
    struct buf *out;
};

static void add_mask(struct masking *masking, enum redact_kind kind)
{
    buf_addf(masking->out, "[redacted:%s]", redact_kind_name(kind));
    masking->shape->counts[kind]++;
}

static int mask_match(void *context, const struct redact_match *match, struct err *err)
{
    struct masking *masking = context;
    size_t end = (size_t)(match->offset + match->len);
    size_t start = (size_t)match->offset < masking->from ? masking->from : (size_t)match->offset;
    (void)err;
    if (end <= masking->from) /* in the prefix alone */
        return 0;
    buf_add(masking->out, masking->text.ptr + masking->done, start - masking->done);
    add_mask(masking, match->rule->kind);
    masking->done = end;
    return 0;
}

/* Masks with one of the scans; what is before `from` is looked at and stays as it is. */
typedef int scan_function(struct redact_scanner *scanner, struct str text, redact_visit *visit,
                          void *context, struct err *err);
static int mask_by(scan_function *find, struct redact_shape *shape, struct str text, size_t from,
                   struct buf *ret, struct err *err)
{
    struct masking masking = {
        .shape = shape, .text = text, .from = from, .done = from, .out = ret
    };
    int r = find(shape->scanner, text, mask_match, &masking, err);
    if (r == 0)
        buf_add_str(ret, str_from_offset(text, masking.done));
    return r == 0 && ret->error ? no_memory(err) : r;
}

/*
 * Appends the part of a text from `from` on; what is before it is looked at, and not written. What
 * is encoded is unwrapped first: of what stands plainly, its mask would be left.
 */
static int mask_part(struct redact_shape *shape, struct str text, size_t from, struct buf *ret,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf unwrapped = BUF_INIT, masked = BUF_INIT;
    buf_add(&unwrapped, text.ptr, from);
    int r = mask_by(redact_scan_wrapped, shape, text, from, &unwrapped, err);
    if (r == 0)
        r = mask_by(redact_scan, shape, buf_str(&unwrapped), from, &masked, err);
    if (unwrapped.len)
        explicit_bzero(unwrapped.data, unwrapped.len);
    return r < 0 ? r : add_renamed(shape, buf_str(&masked), ret, err);
}

int redact_plain(struct redact_shape *shape, struct str text, struct buf *ret, struct err *err)
{
    return mask_part(shape, text, 0, ret, err);
}

/* A value behind a name: masked whole where the name says so. */
static int mask_named(struct redact_shape *shape, struct str name, const char *between,
                      struct str value, bool by_name, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    if (by_name && !is_reference(value)) {
        buf_addf(ret, "[redacted:%s]", redact_kind_name(REDACT_ASSIGNED_SECRET));
        shape->counts[REDACT_ASSIGNED_SECRET]++;
        return ret->error ? no_memory(err) : 0;
    }
    buf_add_str(&text, name);
    buf_add_text(&text, between);
    size_t from = text.len;
    buf_add_str(&text, value);
    int r = text.error ? no_memory(err) : mask_part(shape, buf_str(&text), from, ret, err);
    if (text.len)
        explicit_bzero(text.data, text.len);
    return r;
}

/* --- JSON ---------------------------------------------------------------------------------- */

struct writing {
    struct redact_shape *shape;
    struct buf *out;
    unsigned indent;
};

static void add_line(struct writing *writing, unsigned depth)
{
    if (writing->indent)
        buf_addf(writing->out, "\n%*s", (int)(depth * writing->indent), "");
}

static int add_string(struct writing *writing, struct str name, struct str value, bool by_name,
                      struct err *err)
{
    _cleanup_(buf_release) struct buf masked = BUF_INIT;
    int r =
        mask_named(writing->shape, name, name.len ? "\": \"" : "", value, by_name, &masked, err);
    if (r == 0)
        json_add_string(writing->out, buf_str(&masked));
    return r;
}

static int add_value(struct writing *writing, struct str name, const yyjson_val *value,
                     bool by_name, unsigned depth, struct err *err);

/* {"name": "DB_PASSWORD", "value": …}, as lists of variables have it. */
static bool names_a_secret(yyjson_val *object)
{
    yyjson_val *name = yyjson_obj_get(object, "name");
    if (!name)
        name = yyjson_obj_get(object, "key");
    return yyjson_is_str(name) && redact_is_secret_name(json_str(name));
}

static int add_object(struct writing *writing, const yyjson_val *object, bool by_name,
                      unsigned depth, struct err *err)
{
    size_t index, count;
    yyjson_val *key, *value;
    bool names = names_a_secret((yyjson_val *)object);
    buf_add_char(writing->out, '{');
    yyjson_obj_foreach((yyjson_val *)object, index, count, key, value)
    {
        struct str name = json_str(key);
        buf_add_text(writing->out, index ? "," : "");
        add_line(writing, depth + 1);
        int r = add_string(writing, STR(""), name, false, err);
        if (r < 0)
            return r;
        buf_add_text(writing->out, writing->indent ? ": " : ":");
        bool is_secret =
            by_name || redact_is_secret_name(name) || (names && str_equal(name, STR("value")));
        r = add_value(writing, name, value, is_secret, depth + 1, err);
        if (r < 0)
            return r;
    }
    if (yyjson_obj_size((yyjson_val *)object))
        add_line(writing, depth);
    buf_add_char(writing->out, '}');
    return 0;
}

static int add_array(struct writing *writing, struct str name, const yyjson_val *array,
                     bool by_name, unsigned depth, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    buf_add_char(writing->out, '[');
    yyjson_arr_foreach((yyjson_val *)array, index, count, item)
    {
        buf_add_text(writing->out, index ? "," : "");
        add_line(writing, depth + 1);
        int r = add_value(writing, name, item, by_name, depth + 1, err);
        if (r < 0)
            return r;
    }
    if (yyjson_arr_size((yyjson_val *)array))
        add_line(writing, depth);
    buf_add_char(writing->out, ']');
    return 0;
}

/* Behind the name of a secret a small number is a count or a state, and a longer one may be a PIN.
 */
static bool is_long_number(const yyjson_val *value)
{
    if (yyjson_is_uint((yyjson_val *)value))
        return yyjson_get_uint((yyjson_val *)value) >= NUMBER_LEAST;
    return yyjson_is_num((yyjson_val *)value) || yyjson_is_raw((yyjson_val *)value);
}

/* Depth is bounded by json_read. */
static int add_value(struct writing *writing, struct str name, const yyjson_val *value,
                     bool by_name, unsigned depth, struct err *err)
{
    if (yyjson_is_obj((yyjson_val *)value))
        return add_object(writing, value, by_name, depth, err);
    if (yyjson_is_arr((yyjson_val *)value))
        return add_array(writing, name, value, by_name, depth, err);
    if (yyjson_is_str((yyjson_val *)value))
        return add_string(writing, name, json_str(value), by_name, err);
    if (by_name && is_long_number(value))
        return add_string(writing, name, STR("a number"), true, err);
    json_add_value(writing->out, value, 0);
    return 0;
}

int redact_json_value(struct redact_shape *shape, const yyjson_val *value, unsigned indent,
                      struct buf *ret, struct err *err)
{
    struct writing writing = { shape, ret, indent };
    int r = add_value(&writing, STR(""), value, false, 0, err);
    return r == 0 && ret->error ? no_memory(err) : r;
}

int redact_json(struct redact_shape *shape, struct str text, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json_read(text, &json_limits_default, &doc, err);
    return r < 0 ? r : redact_json_value(shape, yyjson_doc_get_root(doc), 0, ret, err);
}

/* --- lines --------------------------------------------------------------------------------- */

static bool is_json(struct str line)
{
    size_t at = 0;
    while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '\t'))
        at++;
    return at < line.len && (line.ptr[at] == '{' || line.ptr[at] == '[') && line.len > at + 1;
}

/* How long the name of NAME=value is, with what may stand before it; 0: the line is none. */
static size_t name_of(struct str line)
{
    size_t from = str_starts(line, STR("export ")) ? strlen("export ") : 0;
    size_t at = from;
    while (at < line.len &&
           ((line.ptr[at] | 0x20) >= 'a' || line.ptr[at] == '_' ||
            (line.ptr[at] >= '0' && line.ptr[at] <= '9')) &&
           (unsigned char)line.ptr[at] < 0x7b)
        at++;
    return at > from && at < line.len && line.ptr[at] == '=' ? at : 0;
}

/* 1 where the line was written as what it is; 0 where it is a text. */
static int add_special(struct redact_shape *shape, struct str line, struct buf *ret,
                       struct err *err)
{
    size_t name = name_of(line);
    if (name && redact_is_secret_name(str_make(line.ptr, name))) {
        buf_add(ret, line.ptr, name + 1);
        int r = mask_named(shape, STR(""), "", str_from_offset(line, name + 1), true, ret, err);
        return r < 0 ? r : 1;
    }
    if (!is_json(line))
        return 0;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    if (json_read(line, &json_limits_default, &doc, NULL) < 0)
        return 0;
    int r = redact_json_value(shape, yyjson_doc_get_root(doc), 0, ret, err);
    return r < 0 ? r : 1;
}

static bool may_be_special(struct str line)
{
    return line.len <= REDACT_LINE_BYTES_MAX && (name_of(line) || is_json(line));
}

int redact_lines(struct redact_shape *shape, struct str text, struct buf *ret, struct err *err)
{
    size_t held = 0; /* from here on, lines that are texts wait to be scanned in one piece */
    int r = 0;
    for (size_t at = 0; r >= 0 && at < text.len;) {
        size_t end = str_index(text, '\n', at);
        struct str line = str_make(text.ptr + at, end - at);
        if (may_be_special(line)) {
            _cleanup_(buf_release) struct buf special = BUF_INIT;
            r = add_special(shape, line, &special, err);
            if (r > 0) {
                struct str before = str_make(text.ptr + held, at - held);
                r = before.len ? redact_plain(shape, before, ret, err) : 0;
                buf_add_str(ret, buf_str(&special));
                held = end;
            }
        }
        at = end + 1;
    }
    if (r >= 0 && held < text.len)
        r = redact_plain(shape, str_from_offset(text, held), ret, err);
    return r < 0 ? r : ret->error ? no_memory(err) : 0;
}
