/*
 * bundle: files on their way in.
 *
 * Theory of operation. Each file is masked when it is added, and only what came
 * out of that is kept: words are left out where asked for (bundle_text.c), then
 * the scanner goes over every value with its name, then names of people and
 * hosts become pseudonyms. What each of these removed is counted for the file.
 *
 * Packing sorts the files by path, fixes all that could differ between two
 * bundles of one state, and asks bundle_archive.c for the frame.
 *
 * Invariants
 *
 * 1. The sum of all files is never more than the bundle's limit; compression
 *    is not counted on.
 * 2. A path stands once, and is made of the program's own letters
 *    (safe_path): nothing that a path could carry gets in by it.
 */
#include "doctor/bundle.h"

#include "base/json.h"
#include "doctor/bundle_text.h"

#define STEP        "make a bundle"
#define JSON_INDENT 2

const char *const bundle_contents_names[BUNDLE_CONTENTS_COUNT] = {
#define X(name, text) [name] = text,
    BUNDLE_CONTENTS(X)
#undef X
};

const char *bundle_removed_name(size_t removed)
{
    static const char *const own[REMOVED_COUNT - REDACT_KIND_COUNT] = {
        [REMOVED_USER_NAME - REDACT_KIND_COUNT] = "user-name",
        [REMOVED_HOST_NAME - REDACT_KIND_COUNT] = "host-name",
        [REMOVED_FREE_TEXT - REDACT_KIND_COUNT] = "free-text",
        [REMOVED_ENVIRONMENT - REDACT_KIND_COUNT] = "environment-value",
    };
    return removed < REDACT_KIND_COUNT ? redact_kind_name((enum redact_kind)removed)
                                       : own[removed - REDACT_KIND_COUNT];
}

struct held_file {
    struct bundle_file file;
    struct buf bytes;
};

struct bundle {
    struct redact_shape shape;
    struct pseudonyms *pseudonyms;
    size_t max_bytes, bytes;
    struct held_file *files;
    size_t count, capacity;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int rename_people(void *context, struct str masked, struct buf *ret, struct err *err)
{
    return pseudonyms_replace(context, masked, ret, err);
}

int bundle_new(struct redact_scanner *scanner, struct pseudonyms *pseudonyms, size_t max_bytes,
               struct bundle **ret, struct err *err)
{
    struct bundle *bundle = calloc(1, sizeof(*bundle));
    if (!bundle)
        return no_memory(err);
    *bundle = (struct bundle){
        .shape = { .scanner = scanner, .rename = rename_people, .context = pseudonyms },
        .pseudonyms = pseudonyms,
        .max_bytes = max_bytes,
    };
    *ret = bundle;
    return 0;
}

void bundle_free(struct bundle *bundle)
{
    if (!bundle)
        return;
    for (size_t i = 0; i < bundle->count; i++)
        buf_release(&bundle->files[i].bytes);
    free(bundle->files);
    free(bundle);
}

/* --- adding -------------------------------------------------------------------------------- */

/* What was removed in all, before and after a file. */
static void read_counters(const struct bundle *bundle, uint64_t ret[REMOVED_COUNT])
{
    memset(ret, 0, REMOVED_COUNT * sizeof(ret[0]));
    memcpy(ret, bundle->shape.counts, sizeof(bundle->shape.counts));
    ret[REMOVED_USER_NAME] = pseudonyms_count(bundle->pseudonyms, PSEUDONYM_USER);
    ret[REMOVED_HOST_NAME] = pseudonyms_count(bundle->pseudonyms, PSEUDONYM_HOST);
}

static bool is_path_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '.' || c == '/';
}

/* Letters of others become "_"; no part begins with a dot. */
static void safe_path(const char *path, char ret[BUNDLE_PATH_BYTES_MAX])
{
    snprintf(ret, BUNDLE_PATH_BYTES_MAX, "%s", path);
    for (size_t i = 0; ret[i]; i++) {
        bool begins = i == 0 || ret[i - 1] == '/';
        if (!is_path_char(ret[i]) || (begins && (ret[i] == '.' || ret[i] == '/')))
            ret[i] = '_';
    }
}

static bool is_taken(const struct bundle *bundle, const char *path)
{
    for (size_t i = 0; i < bundle->count; i++)
        if (strcmp(bundle->files[i].file.path, path) == 0)
            return true;
    return strcmp(path, BUNDLE_MANIFEST) == 0;
}

/* A file that is begun: its counters run until it is taken in. */
struct adding {
    struct bundle_file file;
    uint64_t before[REMOVED_COUNT];
};

static int begin(struct bundle *bundle, enum bundle_contents contents, const char *path,
                 struct adding *ret, struct err *err)
{
    *ret = (struct adding){ .file = { .contents = contents } };
    safe_path(path, ret->file.path);
    if (bundle->count == BUNDLE_FILES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "a bundle has at most %d files", BUNDLE_FILES_MAX);
    if (is_taken(bundle, ret->file.path))
        return err_set(err, ERR_CONFLICT, STEP, "there are two files %s", ret->file.path);
    read_counters(bundle, ret->before);
    return 0;
}

static int make_room(struct bundle *bundle, struct err *err)
{
    if (bundle->count < bundle->capacity)
        return 0;
    size_t capacity = bundle->capacity ? 2 * bundle->capacity : 32;
    struct held_file *files = realloc(bundle->files, capacity * sizeof(*files));
    if (!files)
        return no_memory(err);
    bundle->files = files;
    bundle->capacity = capacity;
    return 0;
}

/* Takes the bytes over. */
static int take_in(struct bundle *bundle, struct adding *adding, struct buf *bytes, struct err *err)
{
    uint64_t after[REMOVED_COUNT];
    if (bytes->error)
        return no_memory(err);
    if (bytes->len > bundle->max_bytes - bundle->bytes)
        return err_set(err, ERR_LIMIT, STEP, "%s does not fit into the bundle's %zu bytes",
                       adding->file.path, bundle->max_bytes);
    int r = make_room(bundle, err);
    if (r == 0)
        r = digest_text(buf_str(bytes), adding->file.digest, err);
    if (r < 0)
        return r;
    read_counters(bundle, after);
    for (size_t i = 0; i < REMOVED_COUNT; i++)
        adding->file.removed[i] += after[i] - adding->before[i];
    adding->file.bytes = bytes->len;
    bundle->bytes += bytes->len;
    bundle->files[bundle->count++] = (struct held_file){ adding->file, *bytes };
    *bytes = BUF_INIT;
    return 0;
}

/* Leaves out lines from the beginning, until it is short enough. */
static int shorten(struct buf *bytes, bool *ret_truncated, struct err *err)
{
    if (bytes->len <= BUNDLE_FILE_BYTES_MAX)
        return 0;
    struct buf rest = BUF_INIT;
    size_t from = str_index(buf_str(bytes), '\n', bytes->len - BUNDLE_FILE_BYTES_MAX);
    buf_add_str(&rest, str_from_offset(buf_str(bytes), from + 1));
    buf_release(bytes);
    *bytes = rest;
    *ret_truncated = true;
    return bytes->error ? no_memory(err) : 0;
}

/* Appends a value masked, without words where they are to stay home. */
static int mask_json(struct bundle *bundle, const yyjson_val *value, bool no_words, unsigned indent,
                     uint64_t *left_out, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *stripped = NULL;
    int r = no_words ? bundle_without_words(value, &stripped, left_out, err) : 0;
    if (r == 0)
        r = redact_json_value(&bundle->shape, no_words ? yyjson_doc_get_root(stripped) : value,
                              indent, ret, err);
    return r;
}

int bundle_add_json(struct bundle *bundle, enum bundle_contents contents, const char *path,
                    const yyjson_val *value, bool no_words, struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT;
    struct adding adding;
    int r = begin(bundle, contents, path, &adding, err);
    if (r == 0)
        r = mask_json(bundle, value, no_words, JSON_INDENT, &adding.file.removed[REMOVED_FREE_TEXT],
                      &bytes, err);
    if (r < 0)
        return r;
    buf_add_char(&bytes, '\n');
    if (bytes.len > BUNDLE_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "%s is larger than %zu bytes", path,
                       BUNDLE_FILE_BYTES_MAX);
    return take_in(bundle, &adding, &bytes, err);
}

/* Lines of JSON without words; a line that is none is words itself. */
static int mask_lines(struct bundle *bundle, struct str text, uint64_t *left_out, struct buf *ret,
                      struct err *err)
{
    int r = 0;
    for (size_t at = 0, end; r == 0 && at < text.len; at = end + 1) {
        _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
        end = str_index(text, '\n', at);
        struct str line = str_make(text.ptr + at, end - at);
        if (json_read(line, &json_limits_default, &doc, NULL) == 0) {
            r = mask_json(bundle, yyjson_doc_get_root(doc), true, 0, left_out, ret, err);
        } else if (line.len) {
            buf_add_text(ret, BUNDLE_WORDS_MASK);
            *left_out += 1;
        }
        buf_add_char(ret, '\n');
    }
    return r;
}

int bundle_add_lines(struct bundle *bundle, enum bundle_contents contents, const char *path,
                     struct str text, bool no_words, struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT;
    struct adding adding;
    int r = begin(bundle, contents, path, &adding, err);
    if (r == 0)
        r = no_words
                ? mask_lines(bundle, text, &adding.file.removed[REMOVED_FREE_TEXT], &bytes, err)
                : redact_lines(&bundle->shape, text, &bytes, err);
    if (r == 0)
        r = shorten(&bytes, &adding.file.truncated, err);
    return r < 0 ? r : take_in(bundle, &adding, &bytes, err);
}

int bundle_add_environment(struct bundle *bundle, const char *path, char *const *environment,
                           struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT, kept = BUF_INIT;
    struct adding adding;
    int r = begin(bundle, BUNDLE_HOST, path, &adding, err);
    if (r < 0)
        return r;
    for (; *environment; environment++) {
        struct str line = str_from(*environment);
        struct str name = str_make(line.ptr, str_index(line, '=', 0));
        if (memchr(name.ptr, '\n', name.len))
            continue;
        buf_add_str(&kept, name);
        buf_add_char(&kept, '=');
        if (bundle_is_plain_variable(name) && !memchr(line.ptr, '\n', line.len)) {
            buf_add_str(&kept, str_from_offset(line, name.len + 1));
        } else {
            buf_add_text(&kept, BUNDLE_ENVIRONMENT_MASK);
            adding.file.removed[REMOVED_ENVIRONMENT]++;
        }
        buf_add_char(&kept, '\n');
    }
    r = redact_lines(&bundle->shape, buf_str(&kept), &bytes, err);
    return r < 0 ? r : take_in(bundle, &adding, &bytes, err);
}

int bundle_add_named(struct bundle *bundle, const char *path, struct str text, struct str by,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct adding adding;
    int r = begin(bundle, BUNDLE_NAMED, path, &adding, err);
    if (r < 0)
        return r;
    if (json_read(text, &json_limits_default, &doc, NULL) == 0)
        r = redact_json_value(&bundle->shape, yyjson_doc_get_root(doc), JSON_INDENT, &bytes, err);
    else
        r = redact_lines(&bundle->shape, text, &bytes, err);
    adding.file.raw = true;
    snprintf(adding.file.named_by, sizeof(adding.file.named_by), "%.*s", STR_ARG(by));
    if (r == 0)
        r = shorten(&bytes, &adding.file.truncated, err);
    return r < 0 ? r : take_in(bundle, &adding, &bytes, err);
}

/* --- packing ------------------------------------------------------------------------------- */

size_t bundle_file_count(const struct bundle *bundle)
{
    return bundle->count;
}

const struct bundle_file *bundle_file_at(const struct bundle *bundle, size_t index)
{
    return &bundle->files[index].file;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct held_file *)a)->file.path,
                  ((const struct held_file *)b)->file.path);
}

int bundle_pack(struct bundle *bundle, struct buf *ret_archive, char ret_digest[DIGEST_TEXT_SIZE],
                struct err *err)
{
    _cleanup_(cleanup_free) struct bundle_entry *entries =
        calloc(bundle->count + 1, sizeof(*entries));
    if (!entries)
        return no_memory(err);
    if (bundle->count)
        qsort(bundle->files, bundle->count, sizeof(*bundle->files), by_path);
    for (size_t i = 0; i < bundle->count; i++)
        entries[i] =
            (struct bundle_entry){ bundle->files[i].file.path, buf_str(&bundle->files[i].bytes) };
    int r = bundle_archive(entries, bundle->count, true, ret_archive, err);
    if (r == 0 && ret_archive->len > bundle->max_bytes)
        r = err_set(err, ERR_LIMIT, STEP, "it would take %zu bytes, and %zu are allowed",
                    ret_archive->len, bundle->max_bytes);
    return r < 0 ? r : digest_text(buf_str(ret_archive), ret_digest, err);
}

int bundle_pack_manifest(struct str manifest, struct buf *ret_frame, struct err *err)
{
    struct bundle_entry entry = { BUNDLE_MANIFEST, manifest };
    return bundle_archive(&entry, 1, false, ret_frame, err);
}

static void add_removed(struct buf *json, const uint64_t removed[REMOVED_COUNT])
{
    /* By name, so that the same counts are the same bytes. */
    size_t order[REMOVED_COUNT];
    for (size_t i = 0; i < REMOVED_COUNT; i++) {
        size_t at = i;
        for (; at > 0 && strcmp(bundle_removed_name(order[at - 1]), bundle_removed_name(i)) > 0;
             at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    json_add_name(json, "redactions");
    buf_add_char(json, '{');
    for (size_t i = 0; i < REMOVED_COUNT; i++) {
        if (!removed[order[i]])
            continue;
        json_add_name(json, bundle_removed_name(order[i]));
        buf_addf(json, "%llu", (unsigned long long)removed[order[i]]);
    }
    buf_add_char(json, '}');
}

static void add_file(struct buf *json, const struct bundle_file *file)
{
    buf_add_char(json, '{');
    json_add_text(json, "path", str_from(file->path));
    json_add_text(json, "contents", str_from(bundle_contents_names[file->contents]));
    json_add_text(json, "digest", str_from(file->digest));
    buf_addf(json, ",\"bytes\":%zu", file->bytes);
    if (file->truncated)
        buf_add_text(json, ",\"truncated\":true");
    if (file->raw) {
        buf_add_text(json, ",\"raw\":true");
        json_add_text(json, "namedByRef", str_from(file->named_by));
    }
    add_removed(json, file->removed);
    buf_add_char(json, '}');
}

int bundle_write_contents(const struct bundle *bundle, struct buf *json, struct err *err)
{
    uint64_t all[REMOVED_COUNT] = { 0 };
    buf_add_text(json, ",\"files\":[");
    for (size_t i = 0; i < bundle->count; i++) {
        buf_add_text(json, i ? "," : "");
        add_file(json, &bundle->files[i].file);
        for (size_t kind = 0; kind < REMOVED_COUNT; kind++)
            all[kind] += bundle->files[i].file.removed[kind];
    }
    buf_add_char(json, ']');
    add_removed(json, all);
    buf_addf(json,
             ",\"pseudonyms\":{\"users\":%llu,\"hosts\":%llu},\"credentialsIncluded\":false,"
             "\"tokensIncluded\":false,\"localSecretsIncluded\":false,"
             "\"sensitivePromptsIncluded\":false",
             (unsigned long long)pseudonyms_distinct(bundle->pseudonyms, PSEUDONYM_USER),
             (unsigned long long)pseudonyms_distinct(bundle->pseudonyms, PSEUDONYM_HOST));
    return json->error ? no_memory(err) : 0;
}
