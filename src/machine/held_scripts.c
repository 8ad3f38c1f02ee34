/*
 * held_scripts: see the header.
 *
 * JSON is read, and the members of `scripts` that a package manager runs by itself are compared. Of
 * TOML the lines are compared that name what is run, or stand in the table that does; how else a
 * key can be spelled (escapes, quotes) counts too, so that a line too much is held rather than one
 * too few.
 */
#include "machine/held_scripts.h"

#include <strings.h>

#include "base/buf.h"
#include "base/json.h"
#include "contract/rules.h"

#define NAMES_MAX 20

struct script_file {
    const char *name;
    const char *scripts[NAMES_MAX]; /* of a JSON file: members of `scripts` */
    const char *table;              /* of a TOML file: all of this one's lines, */
    const char *words[NAMES_MAX];   /* and those with one of these anywhere */
};

static const struct script_file files[] = {
    { .name = "package.json",
      .scripts = { "preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare",
                   "prepublish", "prepublishOnly", "prepack", "postpack", "preuninstall",
                   "uninstall", "postuninstall", "dependencies" } },
    { .name = "composer.json",
      .scripts = { "pre-install-cmd", "post-install-cmd", "pre-update-cmd", "post-update-cmd",
                   "pre-autoload-dump", "post-autoload-dump", "post-root-package-install",
                   "post-create-project-cmd", "pre-package-install", "post-package-install",
                   "pre-package-update", "post-package-update", "pre-operations-exec" } },
    { .name = "pyproject.toml",
      .table = "build-system",
      .words = { "build-system", "build-backend", "backend-path", "\\u", "\\U" } },
    { .name = "Cargo.toml",
      .table = "build-dependencies",
      .words = { "build", "proc-macro", "proc_macro", "links", "\\u", "\\U" } },
};

static const struct script_file *find_file(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (strcasecmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

bool held_has_scripts(const char *name)
{
    return find_file(name) != NULL;
}

/* --- JSON ---------------------------------------------------------------------------------- */

static bool is_same(const yyjson_val *a, const yyjson_val *b)
{
    return a && b && yyjson_equals((yyjson_val *)a, (yyjson_val *)b);
}

static bool members_differ(const struct script_file *file, struct str before, struct str after)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *was = NULL;
    _cleanup_(cleanup_json_doc) yyjson_doc *is = NULL;
    if (json_read(after, &json_limits_default, &is, NULL) < 0)
        return true;
    if (before.len && json_read(before, &json_limits_default, &was, NULL) < 0)
        return true;
    const yyjson_val *old = member(yyjson_doc_get_root(was), "scripts");
    const yyjson_val *new = member(yyjson_doc_get_root(is), "scripts");
    for (size_t i = 0; i < NAMES_MAX && file->scripts[i]; i++) {
        const yyjson_val *a = member(old, file->scripts[i]), *b = member(new, file->scripts[i]);
        if (b && !is_same(a, b))
            return true;
    }
    return false;
}

/* --- TOML ---------------------------------------------------------------------------------- */

static bool has(struct str line, const char *word)
{
    return memmem(line.ptr, line.len, word, strlen(word)) != NULL;
}

static struct str trim(struct str line)
{
    while (line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
        line = str_from_offset(line, 1);
    while (line.len && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t' ||
                        line.ptr[line.len - 1] == '\r'))
        line.len--;
    return line;
}

/* Appends the lines that count, each without blanks at its ends. */
static void gather_lines(const struct script_file *file, struct str text, struct buf *ret)
{
    bool inside = false;
    for (size_t at = 0; at < text.len;) {
        size_t end = str_index(text, '\n', at);
        struct str line = trim(str_make(text.ptr + at, end - at));
        bool counts = false;
        at = end + 1;
        if (line.len && line.ptr[0] == '[')
            inside = has(line, file->table);
        for (size_t i = 0; i < NAMES_MAX && file->words[i]; i++)
            counts = counts || has(line, file->words[i]);
        if (line.len && line.ptr[0] != '#' && (inside || counts)) {
            buf_add_str(ret, line);
            buf_add_char(ret, '\n');
        }
    }
}

static bool lines_differ(const struct script_file *file, struct str before, struct str after)
{
    _cleanup_(buf_release) struct buf was = BUF_INIT_LIMIT(before.len + 2);
    _cleanup_(buf_release) struct buf is = BUF_INIT_LIMIT(after.len + 2);
    gather_lines(file, before, &was);
    gather_lines(file, after, &is);
    return was.error || is.error || (is.len && !str_equal(buf_str(&was), buf_str(&is)));
}

bool held_scripts_differ(const char *name, struct str before, struct str after)
{
    const struct script_file *file = find_file(name);
    if (!file)
        return false;
    return file->table ? lines_differ(file, before, after) : members_differ(file, before, after);
}
