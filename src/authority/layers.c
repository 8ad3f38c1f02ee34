/*
 * layers: see the header.
 *
 * Theory of operation. A folder is opened once, and everything in it relative
 * to that descriptor; owner and mode are asked of what was opened, so that
 * nothing can be put in its place in between. Files are read into memory, and
 * what was read is what is digested, validated and compiled.
 *
 * A document is a file whose name ends in .json, .yaml or .yml and does not
 * begin with a dot. gates.* and references.* are none of the contracts', and have
 * readers of their own (gate_rules.h, references.h). Of the workspace, which
 * anyone can have written, links are not followed, and nothing is parsed before
 * it is trusted.
 *
 * Limits: LAYERS_FILES_MAX, LAYERS_FILE_BYTES_MAX, LAYERS_TRUSTED_MAX.
 */
#include "authority/layers.h"

#include <dirent.h>
#include <sys/stat.h>

#include "authority/gate.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "contract/validate.h"
#include "contract/yaml.h"

#define WRITABLE_BY_OTHERS 0022
#define PARENTS_MAX        64

/* What a file is, by its name. */
enum entry_kind { ENTRY_DOCUMENT, ENTRY_GATES, ENTRY_REFERENCES };

struct entry {
    struct layer_document document;
    const char *name; /* the file's, within its folder */
    enum entry_kind kind;
    struct buf text;
    yyjson_doc *doc;
};

struct layers {
    struct arena arena;
    struct catalogue *catalogue;
    struct references *references; /* of the documents in force */
    struct entry *entries;
    size_t count, capacity;
    char workspace_digest[DIGEST_TEXT_SIZE];
    bool tries; /* one folder stands for all */
};

/* How a layer's folder is read. */
struct folder {
    enum layer layer;
    const char *path;
    bool strict; /* what cannot be used denies everything */
    bool is_workspace;
    bool check_owner;
    uid_t owner;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "read the layers", "there is not enough memory");
}

/* --- places --------------------------------------------------------------------------------- */

static bool exists_below(const char *folder, const char *name)
{
    char path[PLACE_SIZE];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    return len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

/* Nothing stands there; what cannot be looked at might. */
static bool is_missing(const char *folder, const char *name)
{
    char path[PLACE_SIZE + 32];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) < 0 && errno == ENOENT;
}

/* The nearest folder around `start` that is a repository or has documents; empty: none. */
static void find_workspace(const char *start, char ret[PLACE_SIZE])
{
    _cleanup_(cleanup_free) char *folder = realpath(start ? start : ".", NULL);
    ret[0] = '\0';
    for (int i = 0; folder && i < PARENTS_MAX; i++) {
        bool found = exists_below(folder, LAYERS_WORKSPACE_FOLDER) || exists_below(folder, ".git");
        if (found && strlen(folder) < PLACE_SIZE)
            memcpy(ret, folder, strlen(folder) + 1);
        char *slash = strrchr(folder, '/');
        if (found || !slash || slash == folder)
            return;
        *slash = '\0';
    }
}

int layers_places_default(const char *start, struct layers_places *ret, struct err *err)
{
    struct layers_places places = { .system = LAYERS_SYSTEM_FOLDER, .owner = 0 };
    int r = place_config(places.config, sizeof(places.config), err);
    if (r == 0)
        r = place_state(places.state, sizeof(places.state), err);
    if (r < 0)
        return r;
    find_workspace(start, places.workspace);
    *ret = places;
    return 0;
}

/* --- one file ------------------------------------------------------------------------------- */

static int fault(struct err *err, const char *path, const char *why)
{
    err_set(err, ERR_DOCUMENT, "read the layers", "%s", why);
    err_where(err, "%s", path);
    return -EBADMSG;
}

/* Whether others than its owner could have written what is open. */
static int check_owner(const struct folder *folder, int fd, const char *path, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return err_set_errno(err, errno, "read the layers", "%s", path);
    if (!folder->check_owner)
        return 0;
    bool is_owned = status.st_uid == folder->owner || (!folder->strict && status.st_uid == 0);
    if (!is_owned)
        return fault(err, path,
                     folder->strict ? "it is not owned by root" : "it is owned by another user");
    mode_t open_bits = folder->strict ? WRITABLE_BY_OTHERS : S_IWOTH;
    if (status.st_mode & open_bits)
        return fault(err, path, "others can write it; mend that with chmod go-w");
    return 0;
}

static int read_file(const struct folder *folder, int folder_fd, struct entry *entry,
                     struct err *err)
{
    struct stat status;
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    const char *path = entry->document.path;
    _cleanup_(cleanup_close) int fd =
        openat(folder_fd, entry->name, flags | (folder->is_workspace ? O_NOFOLLOW : 0));
    if (fd < 0)
        return err_set_errno(err, errno, "read the layers", "%s", path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return fault(err, path, "it is no regular file");
    int r = check_owner(folder, fd, path, err);
    return r < 0 ? r : file_read_fd(fd, path, &entry->text, err);
}

static int parse(struct entry *entry, struct err *err)
{
    const char *path = entry->document.path;
    bool is_json = str_ends(str_from(path), STR(".json"));
    struct err inner = { 0 };
    int r = is_json ? json_read(buf_str(&entry->text), &json_limits_default, &entry->doc, &inner)
                    : yaml_read(buf_str(&entry->text), &json_limits_default, &entry->doc, &inner);
    if (r < 0) {
        if (err)
            *err = inner;
        err_where(err, "%s:%s", path, inner.where);
    }
    return r;
}

static int check_gates(struct entry *entry, struct err *err)
{
    const yyjson_val *root = yyjson_doc_get_root(entry->doc);
    bool speaks = entry->document.layer <= LAYER_USER;
    int r = speaks ? gate_rules_read(entry->document.path, entry->document.layer, root, NULL, err)
                   : fault(err, entry->document.path, "this layer has no gates");
    if (r < 0)
        return r;
    entry->document.root = root;
    entry->document.type = LAYERS_GATES_TYPE;
    return 0;
}

static int check_references(struct layers *layers, struct entry *entry, struct err *err)
{
    const yyjson_val *root = yyjson_doc_get_root(entry->doc);
    struct layer_document *document = &entry->document;
    int r = document->layer > LAYER_USER
                ? fault(err, document->path, "this layer has no references")
                : references_add(layers->references, document->layer, document->path, root, err);
    if (r < 0)
        return r;
    document->root = root;
    document->type = LAYERS_REFERENCES_TYPE;
    return 0;
}

/* Parses what was read and holds it against the schema of its type. */
static int check_document(struct layers *layers, struct entry *entry, struct err *err)
{
    const char *path = entry->document.path;
    const struct program *program;
    struct err inner = { 0 };
    int r = parse(entry, err);
    if (r < 0)
        return r;
    if (entry->kind == ENTRY_GATES)
        return check_gates(entry, err);
    if (entry->kind == ENTRY_REFERENCES)
        return check_references(layers, entry, err);
    const yyjson_val *root = yyjson_doc_get_root(entry->doc);
    const struct embedded_schema *schema = catalogue_type_of(root, err);
    if (!schema) {
        err_where(err, "%s", path);
        return -EBADMSG;
    }
    r = catalogue_program(layers->catalogue, schema, &program, err);
    if (r == 0)
        r = explain_check(program, root, schema->type, "read the layers", &inner);
    if (r < 0) {
        if (err)
            *err = inner;
        err_where(err, "%s: %s", path, inner.where);
        return r;
    }
    entry->document.root = root;
    entry->document.type = schema->type;
    return 0;
}

/* --- one folder ----------------------------------------------------------------------------- */

static bool is_document_name(const char *name)
{
    struct str s = str_from(name);
    return name[0] != '.' &&
           (str_ends(s, STR(".json")) || str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml")));
}

static int filter_names(const struct dirent *entry)
{
    return is_document_name(entry->d_name);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum entry_kind kind_of(const char *name)
{
    if (str_starts(str_from(name), STR(GATES_FILE_PREFIX)))
        return ENTRY_GATES;
    return str_starts(str_from(name), STR(REFERENCES_FILE_PREFIX)) ? ENTRY_REFERENCES
                                                                   : ENTRY_DOCUMENT;
}

static struct entry *add_entry(struct layers *layers, const struct folder *folder, const char *name)
{
    if (layers->count == layers->capacity) {
        size_t larger = layers->capacity ? layers->capacity * 2 : 16;
        struct entry *entries = realloc(layers->entries, larger * sizeof(*entries));
        if (!entries)
            return NULL;
        layers->entries = entries;
        layers->capacity = larger;
    }
    size_t size = strlen(folder->path) + strlen(name) + 2;
    char *path = arena_alloc(&layers->arena, size);
    if (!path)
        return NULL;
    snprintf(path, size, "%s%s%s", folder->path, name[0] ? "/" : "", name);
    struct entry *entry = &layers->entries[layers->count++];
    *entry = (struct entry){ .document = { .layer = folder->layer, .path = path },
                             .name = name[0] ? path + strlen(folder->path) + 1 : path,
                             .kind = kind_of(name),
                             .text = BUF_INIT_LIMIT(LAYERS_FILE_BYTES_MAX) };
    return entry;
}

/* An entry that cannot be used: by a strict folder everything is denied, of others it is an error.
 */
static int refuse(struct layers *layers, const struct folder *folder, struct entry *entry, int r,
                  const struct err *inner, struct err *err)
{
    char why[ERR_WHERE_MAX + ERR_CAUSE_MAX + 3];
    if (!folder->strict && !folder->is_workspace) {
        if (err)
            *err = *inner;
        return r;
    }
    snprintf(why, sizeof(why), "%s%s%s", inner->where, inner->where[0] ? ": " : "", inner->cause);
    entry->document.why = arena_copy(&layers->arena, str_from(why));
    entry->document.state = folder->strict ? DOCUMENT_UNUSABLE : DOCUMENT_INERT;
    entry->document.root = NULL;
    return entry->document.why ? 0 : no_memory(err);
}

static int read_names(struct layers *layers, const struct folder *folder, int fd, struct err *err)
{
    struct dirent **names = NULL;
    struct err inner = { 0 };
    int count = scandirat(fd, ".", &names, filter_names, compare_names);
    int r = count < 0 ? -errno : 0;
    if (r < 0)
        err_set_errno(err, errno, "read the layers", "%s", folder->path);
    else if (count > LAYERS_FILES_MAX)
        r = err_set(err, ERR_LIMIT, "read the layers", "%s has more than %d documents",
                    folder->path, LAYERS_FILES_MAX);
    for (int i = 0; r == 0 && i < count; i++) {
        struct entry *entry = add_entry(layers, folder, names[i]->d_name);
        if (!entry) {
            r = no_memory(err);
            break;
        }
        r = read_file(folder, fd, entry, &inner);
        if (r == 0 && !folder->is_workspace)
            r = check_document(layers, entry, &inner);
        if (r < 0)
            r = refuse(layers, folder, entry, r, &inner, err);
    }
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return r;
}

static int read_folder(struct layers *layers, const struct folder *folder, struct err *err)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (folder->is_workspace ? O_NOFOLLOW : 0);
    struct err inner = { 0 };
    _cleanup_(cleanup_close) int fd = open(folder->path, flags);
    if (fd < 0 && errno == ENOENT)
        return 0;
    int r = fd < 0 ? err_set_errno(&inner, errno, "read the layers", "%s", folder->path)
                   : check_owner(folder, fd, folder->path, &inner);
    if (r == 0)
        r = read_names(layers, folder, fd, &inner);
    if (r == 0)
        return 0;
    struct entry *entry = add_entry(layers, folder, "");
    return entry ? refuse(layers, folder, entry, r, &inner, err) : no_memory(err);
}

/* --- the workspace's trust ------------------------------------------------------------------ */

/* Digest of the names and digests of all that was read of the workspace. */
static int digest_workspace(struct layers *layers, bool *ret_readable, struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    bool readable = true;
    int r = 0;
    for (size_t i = 0; r == 0 && i < layers->count; i++) {
        const struct entry *entry = &layers->entries[i];
        if (entry->document.layer != LAYER_WORKSPACE)
            continue;
        readable = readable && !entry->document.why;
        r = digest_text(buf_str(&entry->text), digest, err);
        buf_add_text(&list, digest);
        buf_add_text(&list, entry->name);
        buf_add_char(&list, '\0'); /* which no name has, so that two lists never read the same */
    }
    if (r == 0 && list.error)
        r = no_memory(err);
    if (r == 0 && list.len)
        r = digest_text(buf_str(&list), layers->workspace_digest, err);
    *ret_readable = readable;
    return r;
}

static int read_trusted(const struct layers_places *places, struct buf *ret, struct err *err)
{
    char path[PLACE_SIZE + sizeof(LAYERS_TRUSTED_FILE) + 1];
    struct folder mine = { .check_owner = true, .owner = geteuid() };
    snprintf(path, sizeof(path), "%s/" LAYERS_TRUSTED_FILE, places->state);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_set_errno(err, errno, "read what is trusted", "%s", path);
    int r = check_owner(&mine, fd, path, err);
    return r < 0 ? r : file_read_fd(fd, path, ret, err);
}

/* Lines of a digest, a space and the folder that it was trusted in. */
static bool is_trusted(struct str list, const char *digest)
{
    for (size_t start = 0; start < list.len;) {
        size_t end = str_index(list, '\n', start);
        struct str line = str_make(list.ptr + start, end - start);
        line.len = str_index(line, ' ', 0);
        if (str_equal(line, str_from(digest)))
            return true;
        start = end + 1;
    }
    return false;
}

static int check_workspace(struct layers *layers, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < layers->count; i++) {
        struct entry *entry = &layers->entries[i];
        if (entry->document.layer == LAYER_WORKSPACE)
            r = check_document(layers, entry, err);
    }
    return r;
}

static int admit_workspace(struct layers *layers, const struct layers_places *places,
                           struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT_LIMIT(LAYERS_TRUSTED_MAX);
    bool readable;
    int r = digest_workspace(layers, &readable, err);
    if (r < 0 || !layers->workspace_digest[0])
        return r;
    r = layers->tries ? 0 : read_trusted(places, &list, err);
    if (r < 0)
        return r;
    if (readable && (layers->tries || is_trusted(buf_str(&list), layers->workspace_digest)))
        return check_workspace(layers, err);
    for (size_t i = 0; i < layers->count; i++) {
        struct layer_document *document = &layers->entries[i].document;
        if (document->layer != LAYER_WORKSPACE)
            continue;
        document->state = DOCUMENT_INERT;
        if (!document->why)
            document->why = "it is not trusted: agent-machine policy trust";
    }
    return 0;
}

/* --- all layers ----------------------------------------------------------------------------- */

static int read_layer(struct layers *layers, enum layer layer, const struct layers_places *places,
                      struct err *err)
{
    char path[PLACE_SIZE + 32] = "";
    struct folder folder = { .layer = layer, .path = path, .check_owner = !layers->tries };
    folder.strict = layer == LAYER_ENTERPRISE || layer == LAYER_DEVICE;
    folder.is_workspace = layer == LAYER_WORKSPACE;
    folder.owner = folder.strict ? places->owner : geteuid();
    if (layers->tries)
        snprintf(path, sizeof(path), "%s/%s", places->all, layer_names[layer]);
    else if (folder.strict)
        snprintf(path, sizeof(path), "%s/%s", places->system, layer_names[layer]);
    else if (folder.is_workspace && places->workspace[0])
        snprintf(path, sizeof(path), "%s/" LAYERS_WORKSPACE_FOLDER, places->workspace);
    else if (layer == LAYER_USER)
        snprintf(path, sizeof(path), "%s/%s", places->config, layer_names[layer]);
    folder.check_owner = folder.check_owner && !folder.is_workspace;
    return path[0] ? read_folder(layers, &folder, err) : 0;
}

/* Whoever can write the folder around them could replace the enterprise's and the device's. */
static int check_system(struct layers *layers, const struct layers_places *places, struct err *err)
{
    struct folder folder = { .layer = LAYER_ENTERPRISE,
                             .path = places->system,
                             .strict = true,
                             .check_owner = true,
                             .owner = places->owner };
    struct err inner = { 0 };
    _cleanup_(cleanup_close) int fd = open(places->system, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    int r = fd < 0 ? err_set_errno(&inner, errno, "read the layers", "%s", places->system)
                   : check_owner(&folder, fd, places->system, &inner);
    if (r == 0)
        return 0;
    struct entry *entry = add_entry(layers, &folder, "");
    return entry ? refuse(layers, &folder, entry, r, &inner, err) : no_memory(err);
}

static int prepare(struct layers *layers, struct err *err)
{
    struct compile_options options = { 0 };
    int r = catalogue_new(&options, &layers->catalogue, err);
    return r < 0 ? r : references_new(&layers->references, err);
}

static int open_all(struct layers *layers, const struct layers_places *places, struct err *err)
{
    layers->tries = places->all[0] != '\0';
    int r = layers->tries && access(places->all, R_OK | X_OK) < 0
                ? err_set_errno(err, errno, "read the layers", "%s", places->all)
                : prepare(layers, err);
    if (r == 0 && !layers->tries)
        r = check_system(layers, places, err);
    for (int layer = 0; r == 0 && layer < LAYER_COUNT; layer++)
        r = read_layer(layers, (enum layer)layer, places, err);
    return r < 0 ? r : admit_workspace(layers, places, err);
}

bool layers_may_speak(const struct layers_places *places)
{
    return places->all[0] || !is_missing(places->system, "") ||
           (places->workspace[0] && !is_missing(places->workspace, LAYERS_WORKSPACE_FOLDER)) ||
           !is_missing(places->config, layer_names[LAYER_USER]);
}

int layers_open(const struct layers_places *places, struct layers **ret, struct err *err)
{
    struct layers *layers = calloc(1, sizeof(*layers));
    if (!layers)
        return no_memory(err);
    int r = open_all(layers, places, err);
    if (r < 0) {
        layers_close(layers);
        return r;
    }
    *ret = layers;
    return 0;
}

void layers_close(struct layers *layers)
{
    if (!layers)
        return;
    for (size_t i = 0; i < layers->count; i++) {
        buf_release(&layers->entries[i].text);
        yyjson_doc_free(layers->entries[i].doc);
    }
    free(layers->entries);
    references_free(layers->references);
    catalogue_free(layers->catalogue);
    arena_release(&layers->arena);
    free(layers);
}

size_t layers_count(const struct layers *layers)
{
    return layers->count;
}

struct layer_document layers_at(const struct layers *layers, size_t index)
{
    return layers->entries[index].document;
}

const char *layers_workspace_digest(const struct layers *layers)
{
    return layers->workspace_digest[0] ? layers->workspace_digest : NULL;
}

const struct references *layers_references(const struct layers *layers)
{
    return layers->references;
}

/* A surface speaks where it is run; where one folder stands for all, in its agent folder too. */
static bool speaks(const struct layers *layers, const struct layer_document *document,
                   const char *surface)
{
    if (strcmp(document->type, LAYERS_GATES_TYPE) == 0 ||
        strcmp(document->type, LAYERS_REFERENCES_TYPE) == 0)
        return true;
    if (strcmp(document->type, "AgentToolSurface") != 0)
        return policy_takes(str_from(document->type));
    yyjson_val *name = yyjson_obj_get((yyjson_val *)document->root, "name");
    bool is_run = surface && yyjson_equals_str(name, surface);
    return is_run || (layers->tries && document->layer == LAYER_AGENT);
}

int layers_add(const struct layers *layers, const char *surface, struct policy_builder *builder,
               struct err *err)
{
    static int (*const add[])(struct policy_builder * builder, enum layer layer, const char *name,
                              const yyjson_val *root, struct err *err) = {
        [ENTRY_DOCUMENT] = policy_add,
        [ENTRY_GATES] = policy_add_gates,
        [ENTRY_REFERENCES] = policy_add_references,
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < layers->count; i++) {
        const struct layer_document *document = &layers->entries[i].document;
        bool strict = document->layer == LAYER_ENTERPRISE || document->layer == LAYER_DEVICE;
        struct err inner = { 0 };
        if (document->state == DOCUMENT_UNUSABLE)
            r = policy_add_unreadable(builder, document->layer, document->path, document->why, err);
        if (!document->root || !speaks(layers, document, surface))
            continue;
        r = add[layers->entries[i].kind](builder, document->layer, document->path, document->root,
                                         &inner);
        if (r < 0 && strict)
            r = policy_add_unreadable(builder, document->layer, document->path, inner.cause, err);
        else if (r < 0 && err)
            *err = inner;
    }
    return r;
}

/* --- trusting ------------------------------------------------------------------------------- */

/* One line in one write, so that two who trust at once do not mix. */
static int append_trusted(const struct layers_places *places, const char *digest, struct err *err)
{
    char path[PLACE_SIZE + sizeof(LAYERS_TRUSTED_FILE) + 1];
    char line[DIGEST_TEXT_SIZE + PLACE_SIZE + 2];
    snprintf(path, sizeof(path), "%s/" LAYERS_TRUSTED_FILE, places->state);
    int len = snprintf(line, sizeof(line), "%s %s\n", digest, places->workspace);
    for (int i = 0; i + 1 < len; i++)
        line[i] = line[i] == '\n' ? '?' : line[i]; /* in the name of a folder */
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    _cleanup_(cleanup_close) int fd = open(path, flags, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "write what is trusted", "%s", path);
    errno = ENOSPC;
    if (write(fd, line, (size_t)len) != len || fsync(fd) < 0)
        return err_set_errno(err, errno, "write what is trusted", "%s", path);
    return 0;
}

static int trust(struct layers *layers, const struct layers_places *places, struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT_LIMIT(LAYERS_TRUSTED_MAX);
    bool readable;
    int r = prepare(layers, err);
    if (r == 0)
        r = read_layer(layers, LAYER_WORKSPACE, places, err);
    if (r == 0)
        r = digest_workspace(layers, &readable, err);
    if (r == 0 && !layers->workspace_digest[0])
        r = err_set(err, ERR_NOT_FOUND, "trust a workspace", "%s/%s has no documents",
                    places->workspace[0] ? places->workspace : ".", LAYERS_WORKSPACE_FOLDER);
    for (size_t i = 0; r == 0 && !readable && i < layers->count; i++) {
        if (layers->entries[i].document.why)
            r = fault(err, layers->entries[i].document.path, layers->entries[i].document.why);
    }
    if (r == 0)
        r = check_workspace(layers, err);
    if (r == 0)
        r = file_make_folder(places->state, err);
    if (r == 0)
        r = read_trusted(places, &list, err);
    if (r == 0 && !is_trusted(buf_str(&list), layers->workspace_digest))
        r = append_trusted(places, layers->workspace_digest, err);
    return r;
}

int layers_trust(const struct layers_places *places, char ret_digest[DIGEST_TEXT_SIZE],
                 struct err *err)
{
    struct layers *layers = calloc(1, sizeof(*layers));
    if (!layers)
        return no_memory(err);
    int r = trust(layers, places, err);
    if (r == 0)
        memcpy(ret_digest, layers->workspace_digest, DIGEST_TEXT_SIZE);
    layers_close(layers);
    return r;
}
