/*
 * gate_rules: see the header.
 *
 * Theory of operation. The document is held against its few members by hand,
 * strictly: a member that is not known, a match that could be meant in two
 * ways and a path with dots are errors that name their place, because a rule
 * that denies must never be left out in silence.
 *
 * Invariant: what is read without an error can be compiled and decided about.
 *
 * Limits: GATE_RULES_MAX, GATE_NAME_MAX, GATE_REASON_MAX.
 */
#include "authority/gate_rules.h"

#include "base/buf.h"
#include "base/json.h"
#include "contract/rules.h"

#define DEFAULT_REGISTRY "docker.io"
#define DEFAULT_OWNER    "library/"

/* --- faults --------------------------------------------------------------------------------- */

PRINTF_LIKE(4, 5)
static int fault(const char *name, struct err *err, const char *pointer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = err_setv(err, ERR_DOCUMENT, "read the gates", format, arguments);
    va_end(arguments);
    err_where(err, "%s: %s", name, pointer);
    return r;
}

static bool has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return true;
    return false;
}

/* --- matches -------------------------------------------------------------------------------- */

/* No empty part and none of dots, but for one "/" at the end. */
static bool is_plain_path(struct str path)
{
    for (size_t start = 1; start < path.len;) {
        size_t end = str_index(path, '/', start);
        struct str part = str_make(path.ptr + start, end - start);
        if (!part.len || str_equal(part, STR(".")) || str_equal(part, STR("..")))
            return false;
        start = end + 1;
    }
    return true;
}

static const char *wrong_path(const struct gate_row *row)
{
    if (row->gate != GATE_ARTIFACT_ACCESS && row->gate != GATE_CONTAINER_EXECUTION)
        return "a path stands in rules for artifactAccess and containerExecution alone";
    if (row->form == GATE_BEGINNING)
        return "a path stands for all that lies below it; write it without `*`";
    return is_plain_path(row->match) ? NULL : "a path has no empty parts, and none of dots";
}

/* `debian*` and `docker.io/a*` could be meant with an owner or without; what is denied is certain.
 */
static bool is_certain(struct str match, bool *ret)
{
    _cleanup_(buf_release) struct buf full = BUF_INIT;
    size_t repository, tagged;
    struct str start = str_make(match.ptr, match.len - 1);
    if (gate_image_name(start, &full, &repository, &tagged) < 0)
        return false;
    bool has_owner = memmem(start.ptr, start.len, DEFAULT_OWNER, strlen(DEFAULT_OWNER));
    *ret = has_owner || !str_starts(buf_str(&full), STR(DEFAULT_REGISTRY "/" DEFAULT_OWNER));
    return true;
}

static const char *wrong_image(const struct gate_row *row)
{
    size_t slash = str_index(row->match, '/', 0);
    bool certain = slash < row->match.len;
    if (row->form == GATE_BEGINNING && row->match.len == 1)
        return NULL;
    if (row->form == GATE_BEGINNING && certain && !is_certain(row->match, &certain))
        return "there is not enough memory to read it";
    if (row->form == GATE_BEGINNING && !certain)
        return "write registry and owner before the `*`, as docker.io/library/debian* or "
               "ghcr.io/*";
    if (certain)
        return NULL;
    struct str name = str_make(row->match.ptr, str_index(row->match, ':', 0));
    return str_index(name, '.', 0) < name.len || str_equal(name, STR("localhost"))
               ? "all of a registry is written with `/*` at its end"
               : NULL;
}

/* Why a match cannot be decided about; NULL: it can. */
static const char *wrong_match(const struct gate_row *row)
{
    if (!row->match.len || row->match.len > GATE_NAME_MAX || has_control(row->match))
        return "a match is a text of at most 4096 bytes, without control characters";
    if (str_index(row->match, '*', 0) + 1 < row->match.len)
        return "`*` stands at the end of a match, or not at all";
    if (str_index(row->match, ' ', 0) < row->match.len && !gate_is_path(row->match))
        return "a name has no blanks";
    if (gate_is_path(row->match))
        return wrong_path(row);
    return row->gate == GATE_CONTAINER_EXECUTION ? wrong_image(row) : NULL;
}

static enum gate_form form_of(struct str match)
{
    if (str_ends(match, STR("*")))
        return GATE_BEGINNING;
    return gate_is_path(match) ? GATE_TREE : GATE_WHOLE;
}

/* --- one rule ------------------------------------------------------------------------------- */

static const char *read_member(const char *member_name, const yyjson_val *value,
                               struct gate_row *row)
{
    struct str text = text_of(value);
    if (strcmp(member_name, "gate") == 0) {
        int gate = vocabulary_index(gate_names, GATE_COUNT, text);
        row->gate = (enum gate)(gate < 0 ? 0 : gate);
        return gate >= 0 ? NULL
                         : "a gate is toolGrant, modelProviderUse, networkProfile, "
                           "containerExecution or artifactAccess";
    }
    if (strcmp(member_name, "answer") == 0) {
        int answer = vocabulary_index(answer_names, ANSWER_COUNT, text);
        row->answer = (enum answer)(answer < 0 ? 0 : answer);
        return answer > ANSWER_NOTHING ? NULL : "an answer is allow, ask or deny";
    }
    if (strcmp(member_name, "match") == 0) {
        row->match = text;
        return text.len ? NULL : "a match is a text";
    }
    if (strcmp(member_name, "reason") == 0) {
        row->reason = text;
        return text.len && text.len <= GATE_REASON_MAX && !has_control(text)
                   ? NULL
                   : "a reason is one line of at most 400 bytes";
    }
    if (strcmp(member_name, "unpinned") == 0) {
        row->unpinned = true;
        return yyjson_is_true((yyjson_val *)value) ? NULL : "unpinned is true, or left out";
    }
    return "a rule has gate, match, answer, reason and unpinned";
}

static int read_rule(const char *name, const yyjson_val *value, uint32_t index,
                     struct gate_row *ret, struct err *err)
{
    struct gate_row row = { .index = index, .gate = GATE_COUNT };
    struct pointer place = pointer_to("/rules/%u", index);
    yyjson_obj_iter iterator;
    yyjson_val *key;
    if (!yyjson_is_obj((yyjson_val *)value))
        return fault(name, err, place.text, "a rule is an object");
    yyjson_obj_iter_init((yyjson_val *)value, &iterator);
    while ((key = yyjson_obj_iter_next(&iterator))) {
        const char *why = read_member(yyjson_get_str(key), yyjson_obj_iter_get_val(key), &row);
        if (why)
            return fault(name, err, place.text, "%.100s: %s", yyjson_get_str(key), why);
    }
    if (row.gate == GATE_COUNT || !row.match.len || !row.answer)
        return fault(name, err, place.text, "a rule has at least gate, match and answer");
    if (row.unpinned && row.gate != GATE_CONTAINER_EXECUTION)
        return fault(name, err, place.text, "unpinned is for images: containerExecution");
    row.form = form_of(row.match);
    const char *why = wrong_match(&row);
    if (why)
        return fault(name, err, place.text, "match: %s", why);
    if (gate_is_path(row.match) && row.match.len > 1 && str_ends(row.match, STR("/")))
        row.match.len--;
    *ret = row;
    return 0;
}

/* --- one engine ----------------------------------------------------------------------------- */

static bool is_absolute(const char *text, size_t len)
{
    return text && text[0] == '/' && !memchr(text, '\0', len);
}

static const char *read_command(const yyjson_val *value, struct engine_row *row)
{
    yyjson_val *first = yyjson_arr_get_first((yyjson_val *)value);
    size_t count = yyjson_arr_size((yyjson_val *)value);
    yyjson_arr_iter iterator;
    if (!count || count > ENGINE_ARGUMENTS_MAX ||
        !is_absolute(yyjson_get_str(first), yyjson_get_len(first)))
        return "a command is a list of at most 64 texts, the first of them an absolute path";
    yyjson_arr_iter_init((yyjson_val *)value, &iterator);
    for (const yyjson_val *item; (item = yyjson_arr_iter_next(&iterator));) {
        struct str text = text_of(item);
        if (!yyjson_is_str((yyjson_val *)item) || memchr(text.ptr, '\0', text.len))
            return "a command is a list of texts";
    }
    row->command = value;
    return NULL;
}

static const char *read_gates(const yyjson_val *value, struct engine_row *row)
{
    yyjson_arr_iter iterator;
    if (!yyjson_arr_size((yyjson_val *)value))
        return "gates are a list of at least one";
    row->gates = 0;
    yyjson_arr_iter_init((yyjson_val *)value, &iterator);
    for (const yyjson_val *item; (item = yyjson_arr_iter_next(&iterator));) {
        int gate = vocabulary_index(gate_names, GATE_COUNT, text_of(item));
        if (gate < 0)
            return "a gate is toolGrant, modelProviderUse, networkProfile, containerExecution or "
                   "artifactAccess";
        row->gates |= 1u << gate;
    }
    return NULL;
}

static const char *read_engine_member(const char *member_name, const yyjson_val *value,
                                      struct engine_row *row)
{
    if (strcmp(member_name, "command") == 0)
        return read_command(value, row);
    if (strcmp(member_name, "gates") == 0)
        return read_gates(value, row);
    if (strcmp(member_name, "socket") == 0) {
        struct str path = text_of(value);
        row->socket = path.ptr;
        return is_absolute(path.ptr, path.len) && path.len <= ENGINE_PATH_MAX
                   ? NULL
                   : "a socket is an absolute path of at most 107 bytes";
    }
    if (strcmp(member_name, "timeoutMs") == 0) {
        uint64_t timeout = yyjson_get_uint((yyjson_val *)value);
        row->timeout_ms = (int)(timeout <= ENGINE_TIMEOUT_MS_MAX ? timeout : 0);
        return row->timeout_ms ? NULL : "a time limit is 1 to 10000 milliseconds";
    }
    return "an engine has command or socket, gates and timeoutMs";
}

static int read_engine(const char *name, const yyjson_val *value, uint32_t index,
                       struct engine_row *ret, struct err *err)
{
    struct engine_row row = { .gates = (1u << GATE_COUNT) - 1,
                              .timeout_ms = ENGINE_TIMEOUT_MS,
                              .index = index };
    struct pointer place = pointer_to("/engines/%u", index);
    yyjson_obj_iter iterator;
    yyjson_val *key;
    if (!yyjson_is_obj((yyjson_val *)value))
        return fault(name, err, place.text, "an engine is an object");
    yyjson_obj_iter_init((yyjson_val *)value, &iterator);
    while ((key = yyjson_obj_iter_next(&iterator))) {
        const char *why =
            read_engine_member(yyjson_get_str(key), yyjson_obj_iter_get_val(key), &row);
        if (why)
            return fault(name, err, place.text, "%.100s: %s", yyjson_get_str(key), why);
    }
    if (!row.command == !row.socket)
        return fault(name, err, place.text, "an engine has a command, or a socket");
    *ret = row;
    return 0;
}

/* --- the document --------------------------------------------------------------------------- */

/* What is being read. */
struct reading {
    const char *name;
    enum layer layer;
    const struct gate_visitor *visitor;
};

static int read_one_rule(const struct reading *reading, const yyjson_val *value, uint32_t index,
                         struct err *err)
{
    struct gate_row row;
    int r = read_rule(reading->name, value, index, &row, err);
    return r == 0 && reading->visitor->rule
               ? reading->visitor->rule(reading->visitor->context, &row, err)
               : r;
}

static int read_one_engine(const struct reading *reading, const yyjson_val *value, uint32_t index,
                           struct err *err)
{
    struct engine_row row;
    if (reading->layer == LAYER_WORKSPACE)
        return fault(reading->name, err, "/engines",
                     "a workspace has no engine: it would run outside of every sandbox");
    int r = read_engine(reading->name, value, index, &row, err);
    return r == 0 && reading->visitor->engine
               ? reading->visitor->engine(reading->visitor->context, &row, err)
               : r;
}

static const struct list {
    const char *name;
    size_t max;
    int (*read)(const struct reading *reading, const yyjson_val *value, uint32_t index,
                struct err *err);
} lists[] = {
    { "rules", GATE_RULES_MAX, read_one_rule },
    { "engines", GATE_ENGINES_MAX, read_one_engine },
};

static int read_list(const struct reading *reading, const struct list *list,
                     const yyjson_val *items, struct err *err)
{
    struct pointer place = pointer_to("/%s", list->name);
    yyjson_arr_iter iterator;
    uint32_t index = 0;
    int r = 0;
    if (!yyjson_is_arr((yyjson_val *)items) || yyjson_arr_size((yyjson_val *)items) > list->max)
        return fault(reading->name, err, place.text, "%s are a list of at most %zu", list->name,
                     list->max);
    yyjson_arr_iter_init((yyjson_val *)items, &iterator);
    for (const yyjson_val *value; r == 0 && (value = yyjson_arr_iter_next(&iterator)); index++)
        r = list->read(reading, value, index, err);
    return r;
}

int gate_rules_read(const char *name, enum layer layer, const yyjson_val *root,
                    const struct gate_visitor *visitor, struct err *err)
{
    static const struct gate_visitor nobody = { 0 };
    struct reading reading = { name, layer, visitor ? visitor : &nobody };
    yyjson_obj_iter iterator;
    yyjson_val *key;
    int r = 0;
    if (!yyjson_is_obj((yyjson_val *)root))
        return fault(name, err, "", "a gates document is an object with rules and engines");
    yyjson_obj_iter_init((yyjson_val *)root, &iterator);
    while (r == 0 && (key = yyjson_obj_iter_next(&iterator))) {
        const struct list *list = NULL;
        for (size_t i = 0; i < ARRAY_LEN(lists); i++)
            list = yyjson_equals_str(key, lists[i].name) ? &lists[i] : list;
        r = list ? read_list(&reading, list, yyjson_obj_iter_get_val(key), err)
                 : fault(name, err, "", "%.100s: a gates document has rules and engines",
                         yyjson_get_str(key));
    }
    return r;
}

/* --- images --------------------------------------------------------------------------------- */

/* The bytes of a registry's name at the beginning, without the "/"; 0 where it begins otherwise. */
static size_t registry_len(struct str reference)
{
    size_t slash = str_index(reference, '/', 0);
    struct str first = str_make(reference.ptr, slash);
    bool is_registry = slash < reference.len &&
                       (str_index(first, '.', 0) < slash || str_index(first, ':', 0) < slash ||
                        str_equal(first, STR("localhost")));
    return is_registry ? slash : 0;
}

static void add_registry(struct str registry, struct buf *ret)
{
    static const char *const other_names[] = { "index.docker.io", "registry-1.docker.io" };
    size_t start = ret->len;
    for (size_t i = 0; i < registry.len; i++) {
        char c = registry.ptr[i];
        buf_add_char(ret, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    for (size_t i = 0; i < ARRAY_LEN(other_names) && !ret->error; i++) {
        if (!str_equal(str_from_offset(buf_str(ret), start), str_from(other_names[i])))
            continue;
        buf_truncate(ret, start);
        buf_add_text(ret, DEFAULT_REGISTRY);
    }
}

struct str gate_image_path(struct str reference)
{
    static const struct {
        const char *scheme;
        bool tagged;
    } local[] = { { "oci:", true }, { "docker-archive:", true }, { "rootfs:", false } };
    for (size_t i = 0; i < ARRAY_LEN(local); i++) {
        struct str path = str_from_offset(reference, strlen(local[i].scheme));
        if (!str_starts(reference, str_from(local[i].scheme)) || !gate_is_path(path))
            continue;
        path.len = str_index(path, '@', 0);
        for (size_t at = path.len; local[i].tagged && at-- > 0 && path.ptr[at] != '/';)
            if (path.ptr[at] == ':')
                path.len = at;
        return path;
    }
    return STR("");
}

int gate_image_name(struct str reference, struct buf *ret, size_t *ret_repository,
                    size_t *ret_tagged)
{
    size_t start = ret->len;
    if (gate_is_path(reference)) {
        buf_add_str(ret, reference);
        *ret_repository = *ret_tagged = ret->len - start;
        return ret->error;
    }
    if (str_starts(reference, STR("docker://")))
        reference = str_from_offset(reference, strlen("docker://"));
    size_t registry = registry_len(reference);
    if (registry)
        add_registry(str_make(reference.ptr, registry), ret);
    else
        buf_add_text(ret, DEFAULT_REGISTRY);
    buf_add_char(ret, '/');
    struct str rest = str_from_offset(reference, registry ? registry + 1 : 0);
    struct str canonical = str_from_offset(buf_str(ret), start);
    if (str_equal(canonical, STR(DEFAULT_REGISTRY "/")) && str_index(rest, '/', 0) == rest.len &&
        rest.len)
        buf_add_text(ret, DEFAULT_OWNER);
    size_t before = ret->len - start;
    buf_add_str(ret, rest);
    size_t digest = str_index(rest, '@', 0);
    size_t slash = 0;
    for (size_t i = 0; i < digest; i++)
        slash = rest.ptr[i] == '/' ? i : slash;
    size_t tag = str_index(str_make(rest.ptr, digest), ':', slash);
    *ret_tagged = before + digest;
    *ret_repository = before + tag;
    return ret->error;
}
