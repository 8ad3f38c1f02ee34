/*
 * git_refs: see the header.
 *
 * Theory of operation. Every directory on the way of a changed path, from a `.git` on, may be a
 * repository: it is one where the host has HEAD, objects and refs in it. In each, the references
 * that may have changed are those whose files the run wrote or removed and, where it wrote the
 * file of packed ones anew, as `git gc` does, all that differ in it. A reference is what its file
 * says, and where it has none what the packed ones say. Where the host keeps them in tables these
 * stand for the packed ones, and there are no files.
 */
#include "machine/git_refs.h"

#include <dirent.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/git_config.h"
#include "machine/git_link.h"
#include "machine/git_stack.h"

struct gathering {
    struct git_refs_reader *reader;
    struct git_repository_changes *repository;
    size_t number; /* of the repository */
    size_t capacity;
    struct map seen; /* names */
    struct err *err;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_REFS, "there is not enough memory");
}

bool git_value_equal(const struct git_value *a, const struct git_value *b)
{
    return a->kind == b->kind && a->kind != GIT_NOT_KNOWN && strcmp(a->text, b->text) == 0;
}

bool git_ref_is_name(const char *name)
{
    size_t len = strlen(name);
    if (strncmp(name, "refs/", 5) != 0 || len > GIT_NAME_BYTES_MAX || name[len - 1] == '/' ||
        name[len - 1] == '.' || strstr(name, "..") || strstr(name, "//") || strstr(name, "/.") ||
        strstr(name, "@{") || strstr(name, ".lock/") || strstr(name, "/-") ||
        (len >= 5 && strcmp(name + len - 5, ".lock") == 0))
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if (*c <= ' ' || *c == 0x7f || strchr("~^:?*[\\", *c))
            return false;
    return true;
}

/* --- repositories -------------------------------------------------------------------------- */

static bool host_has(const struct worktree *worktree, const char *prefix)
{
    char path[CHANGES_PATH_MAX + 1];
    size_t len = strlen(prefix);
    snprintf(path, sizeof(path), "%.*s", len ? (int)len - 1 : 1, len ? prefix : ".");
    _cleanup_(cleanup_close) int fd =
        worktree->host < 0 ? -1 : beneath_open(worktree->host, path, O_PATH | O_DIRECTORY);
    return fd >= 0 && git_is_directory(fd);
}

/* Once for each directory. */
static int add_repository(struct git_refs *refs, struct map *seen, struct str prefix,
                          struct err *err)
{
    struct git_refs_reader *reader = refs->reader;
    int r = map_put(seen, prefix, 0);
    if (r == -EEXIST)
        return 0;
    const char *copy = r < 0 ? NULL : arena_copy(&reader->arena, prefix);
    if (!copy)
        return no_memory(err);
    if (!host_has(reader->worktree, copy))
        return 0;
    if (refs->count == GIT_REPOSITORIES_MAX)
        return err_set(err, ERR_LIMIT, STEP_REFS, "the run changed more than %d repositories",
                       GIT_REPOSITORIES_MAX);
    refs->items[refs->count++].prefix = copy;
    return 0;
}

/* Behind which part of a path git's own data begins; its length where it does not. */
static size_t find_git(const struct worktree *worktree, const char *path)
{
    size_t begin = 0;
    if (worktree->changes.of_git)
        return 0;
    for (const char *end; (end = strchr(path + begin, '/')); begin = (size_t)(end - path) + 1)
        if (end - path - begin == 4 && strncmp(path + begin, ".git", 4) == 0)
            return (size_t)(end - path) + 1;
    return strlen(path);
}

static int find_repositories(struct git_refs *refs, struct err *err)
{
    const struct worktree *worktree = refs->reader->worktree;
    struct map seen = MAP_INIT;
    int r = 0;
    for (size_t i = 0; i < worktree->changes.count && r == 0; i++) {
        const char *path = worktree->changes.items[i].path;
        size_t at = find_git(worktree, path), len = strlen(path);
        while (at < len && r == 0) {
            r = add_repository(refs, &seen, str_make(path, at), err);
            at += strcspn(path + at, "/") + 1;
        }
    }
    map_release(&seen);
    return r;
}

/* --- one reference ------------------------------------------------------------------------- */

/* A value of its file, or of the packed ones where it has none; of the launch also by its log. */
static int look_up(struct git_refs_reader *reader, size_t number, const char *prefix,
                   struct git_ref *ref, struct err *err)
{
    struct git_value values[GIT_MOMENTS] = { { .kind = GIT_ABSENT } };
    char path[CHANGES_PATH_MAX + GIT_NAME_BYTES_MAX + 8];
    snprintf(path, sizeof(path), "%s%s", prefix, ref->name);
    int r = reader->of_tables[number] ? 0 : git_values_of_file(reader, path, values, err);
    for (enum git_moment moment = 0; moment < GIT_MOMENTS && r == 0; moment++)
        if (values[moment].kind == GIT_ABSENT)
            r = git_values_of_packed(reader, &reader->packed[number][moment], str_from(ref->name),
                                     &values[moment], err);
    snprintf(path, sizeof(path), "%slogs/%s", prefix, ref->name);
    if (r == 0 && values[GIT_LAUNCH].kind == GIT_NOT_KNOWN && !reader->of_tables[number])
        r = git_values_of_log(reader, path, &values[GIT_LAUNCH], &ref->may_be_new, err);
    ref->launch = values[GIT_LAUNCH];
    ref->run = values[GIT_RUN];
    ref->host = values[GIT_HOST];
    return r;
}

static bool is_changed(const struct git_ref *ref)
{
    return !git_value_equal(&ref->launch, &ref->run) && !git_value_equal(&ref->host, &ref->run);
}

static int add_ref(struct gathering *gathering, struct str name)
{
    struct git_repository_changes *repository = gathering->repository;
    struct git_ref ref = { .name = arena_copy(&gathering->reader->arena, name) };
    int r = ref.name ? map_put(&gathering->seen, str_from(ref.name), 0) : -ENOMEM;
    if (r < 0)
        return r == -EEXIST ? 0 : no_memory(gathering->err);
    if (!git_ref_is_name(ref.name)) {
        repository->left_out++;
        return 0;
    }
    r = look_up(gathering->reader, gathering->number, repository->prefix, &ref, gathering->err);
    if (r < 0 || !is_changed(&ref))
        return r;
    if (repository->ref_count == GIT_REFS_MAX)
        return err_set(gathering->err, ERR_LIMIT, STEP_REFS,
                       "the run changed more than %d references; its files can be taken by their "
                       "names",
                       GIT_REFS_MAX);
    if (repository->ref_count == gathering->capacity) {
        gathering->capacity = gathering->capacity ? gathering->capacity * 2 : 16;
        struct git_ref *larger =
            reallocarray(repository->refs, gathering->capacity, sizeof(*larger));
        if (!larger)
            return no_memory(gathering->err);
        repository->refs = larger;
    }
    repository->refs[repository->ref_count++] = ref;
    return 0;
}

/* --- those that may have changed ----------------------------------------------------------- */

static int gather_files(struct gathering *gathering)
{
    const struct changes *changes = &gathering->reader->worktree->changes;
    size_t len = strlen(gathering->repository->prefix);
    int r = 0;
    for (size_t i = 0; i < changes->count && r == 0; i++) {
        const struct changed_path *change = &changes->items[i];
        if (strncmp(change->path, gathering->repository->prefix, len) != 0)
            continue;
        if (strncmp(change->path + len, "refs/", 5) == 0 && change->kind != CHANGED_DIRECTORY)
            r = add_ref(gathering, str_from(change->path + len));
        else if (strncmp(change->path + len, GIT_TABLES_FOLDER, strlen(GIT_TABLES_FOLDER)) == 0)
            gathering->repository->is_unread = true;
    }
    return r;
}

/*
 * What stands in one file of packed references and not, or otherwise, in another. What is missing
 * from the run's says nothing where they are there in part.
 */
static int gather_packed(struct gathering *gathering, const struct git_packed *in,
                         const struct git_packed *beside)
{
    bool in_part =
        beside->partial && beside == &gathering->reader->packed[gathering->number][GIT_RUN];
    struct str value, name;
    uint32_t there;
    int r = 0;
    for (size_t at = 0; r == 0 && git_values_next_packed(in, &at, &value, &name);) {
        bool is_there = map_get(&beside->at, name, &there);
        if (in->of_tables && !str_starts(name, STR("refs/")))
            continue; /* HEAD, and what git keeps for itself */
        if (is_there ? !str_equal(git_values_packed_at(beside, there), value) : !in_part)
            r = add_ref(gathering, name);
    }
    return r;
}

static int gather(struct gathering *gathering)
{
    struct git_refs_reader *reader = gathering->reader;
    struct git_packed *packed = reader->packed[gathering->number];
    int r = git_values_read_packed(reader, gathering->number, gathering->repository->prefix,
                                   gathering->err);
    if (r == 0 && reader->of_tables[gathering->number])
        gathering->repository->is_unread = !packed[GIT_RUN].known;
    else if (r == 0)
        r = gather_files(gathering);
    const struct git_packed *before =
        packed[GIT_LAUNCH].known ? &packed[GIT_LAUNCH] : &packed[GIT_HOST];
    if (r == 0 && packed[GIT_RUN].known)
        r = gather_packed(gathering, &packed[GIT_RUN], before);
    return r == 0 && packed[GIT_RUN].known ? gather_packed(gathering, before, &packed[GIT_RUN]) : r;
}

/* --- work trees ---------------------------------------------------------------------------- */

static void note_bare(void *context, struct str section, struct str subsection, struct str key,
                      struct str value)
{
    if (str_equal(section, STR("core")) && !subsection.len && str_equal(key, STR("bare")))
        *(bool *)context = str_equal(value, STR("true"));
}

static bool is_bare(const struct worktree *worktree, const char *prefix)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(GIT_CONFIG_BYTES_MAX);
    char path[CHANGES_PATH_MAX + 16];
    struct stat status;
    bool bare = false;
    snprintf(path, sizeof(path), "%sconfig", prefix);
    _cleanup_(cleanup_close) int fd = worktree_open_host(worktree, path, &status);
    if (fd >= 0 && file_read_fd(fd, path, &text, NULL) == 0)
        (void)!git_config_read(buf_str(&text), note_bare, &bare);
    return bare;
}

static int add_head(struct gathering *gathering, const char *folder)
{
    struct git_repository_changes *repository = gathering->repository;
    struct git_refs_reader *reader = gathering->reader;
    struct git_value values[GIT_MOMENTS];
    char path[CHANGES_PATH_MAX + GIT_NAME_BYTES_MAX + 16];
    struct git_head *head = &repository->heads[repository->head_count];
    snprintf(path, sizeof(path), "%s%s", repository->prefix, folder);
    bool of_tables = reader->of_tables[gathering->number];
    int r = of_tables ? git_stack_find(reader, path, "HEAD", values, gathering->err) : 0;
    snprintf(path, sizeof(path), "%s%sHEAD", repository->prefix, folder);
    if (!of_tables)
        r = git_values_of_file(reader, path, values, gathering->err);
    if (r < 0 || values[GIT_HOST].kind == GIT_ABSENT)
        return r;
    *head =
        (struct git_head){ .folder = arena_copy(&reader->arena, str_from(folder)),
                           .is_bare = !folder[0] && is_bare(reader->worktree, repository->prefix),
                           .launch = values[GIT_LAUNCH],
                           .run = values[GIT_RUN],
                           .host = values[GIT_HOST] };
    repository->head_count++;
    return head->folder ? 0 : no_memory(gathering->err);
}

static void cleanup_closedir(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

static int add_heads(struct gathering *gathering)
{
    struct git_repository_changes *repository = gathering->repository;
    char path[CHANGES_PATH_MAX + 16], folder[GIT_NAME_BYTES_MAX + 16];
    const struct dirent *entry;
    repository->heads = calloc(GIT_HEADS_MAX, sizeof(*repository->heads));
    if (!repository->heads)
        return no_memory(gathering->err);
    int r = add_head(gathering, "");
    snprintf(path, sizeof(path), "%sworktrees", repository->prefix);
    int fd =
        r < 0 ? -1 : beneath_open(gathering->reader->worktree->host, path, O_RDONLY | O_DIRECTORY);
    _cleanup_(cleanup_closedir) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !directory)
        close(fd);
    while (directory && r == 0 && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) > GIT_NAME_BYTES_MAX)
            continue;
        if (repository->head_count == GIT_HEADS_MAX)
            return err_set(gathering->err, ERR_LIMIT, STEP_REFS,
                           "the repository has more than %d work trees", GIT_HEADS_MAX);
        snprintf(folder, sizeof(folder), "worktrees/%s/", entry->d_name);
        r = add_head(gathering, folder);
    }
    return r;
}

/* --- the whole ----------------------------------------------------------------------------- */

static int index_changes(struct git_refs_reader *reader, struct err *err)
{
    const struct changes *changes = &reader->worktree->changes;
    int r = 0;
    for (size_t i = 0; i < changes->count && r != -ENOMEM; i++) {
        const struct changed_path *change = &changes->items[i];
        if (change->kind == CHANGED_FILE || change->kind == CHANGED_LINK)
            r = map_put(change->type == CHANGE_DELETED ? &reader->deleted : &reader->written,
                        str_from(change->path), (uint32_t)i);
    }
    return r == -ENOMEM ? no_memory(err) : 0;
}

static int read_repository(struct git_refs *refs, size_t number, struct err *err)
{
    struct gathering gathering = {
        .reader = refs->reader, .repository = &refs->items[number], .number = number, .err = err
    };
    int r = gather(&gathering);
    map_release(&gathering.seen);
    return r < 0 ? r : add_heads(&gathering);
}

int git_refs_read(const struct worktree *worktree, struct git_refs *ret, struct err *err)
{
    struct git_refs refs = { .items = calloc(GIT_REPOSITORIES_MAX, sizeof(*refs.items)),
                             .reader = calloc(1, sizeof(*refs.reader)) };
    int r = refs.items && refs.reader ? 0 : no_memory(err);
    if (r == 0) {
        refs.reader->worktree = worktree;
        r = index_changes(refs.reader, err);
    }
    if (r == 0)
        r = find_repositories(&refs, err);
    for (size_t i = 0; i < refs.count && r == 0; i++)
        r = read_repository(&refs, i, err);
    if (r < 0)
        git_refs_release(&refs);
    else
        *ret = refs;
    return r;
}

int git_refs_look(const struct git_refs *refs, size_t repository, const char *name,
                  struct git_ref *ret, struct err *err)
{
    struct git_ref ref = { .name = name };
    int r = git_ref_is_name(name)
                ? look_up(refs->reader, repository, refs->items[repository].prefix, &ref, err)
                : err_set(err, ERR_DOCUMENT, STEP_REFS, "%s is no reference", name);
    if (r == 0)
        *ret = ref;
    return r;
}

void git_refs_release(struct git_refs *refs)
{
    for (size_t i = 0; refs->items && i < refs->count; i++) {
        free(refs->items[i].refs);
        free(refs->items[i].heads);
        for (enum git_moment moment = 0; refs->reader->has_packed[i] && moment < GIT_MOMENTS;
             moment++)
            git_packed_release(&refs->reader->packed[i][moment]);
    }
    if (refs->reader) {
        arena_release(&refs->reader->arena);
        map_release(&refs->reader->written);
        map_release(&refs->reader->deleted);
    }
    free(refs->reader);
    free(refs->items);
    *refs = (struct git_refs){ 0 };
}
