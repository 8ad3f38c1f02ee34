/*
 * held_scripts: see the header.
 *
 * JSON is read, and the members of `scripts` that a package manager runs by itself are compared. Of
 * TOML the lines are compared that name what is run, or stand in the table that does; how else a
 * key can be spelled (escapes, quotes) counts too, so that a line too much is held rather than one
 * too few.
 *
 * A Makefile is read, and run in part, by who never asked for a target: by a shell that completes
 * one, by an editor that opens the folder. Lines that make runs while it reads the file are
 * compared, those of recipes that it runs also where it is only to say what it would do, and in a
 * file that has any of them each variable. Other recipes run because somebody asks for them.
 */
#include "machine/held_scripts.h"

#include <strings.h>

#include "base/buf.h"
#include "base/json.h"
#include "contract/rules.h"

#define NAMES_MAX 20

struct script_file {
    const char *name;               /* or "*" and how a name ends */
    const char *scripts[NAMES_MAX]; /* of a JSON file: members of `scripts` */
    const char *table;              /* of a TOML file: all of this one's lines, */
    const char *words[NAMES_MAX];   /* and those with one of these anywhere */
    bool is_makefile;
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
    { .name = "Makefile", .is_makefile = true },
    { .name = "GNUmakefile", .is_makefile = true },
    { .name = "*.mk", .is_makefile = true },
};

/* Make expands these wherever they stand; a function may be called by another name. */
static const char *const make_functions[] = { "(shell", "{shell", "(call",  "{call", "(eval",
                                              "{eval",  "(guile", "{guile", "(file", "{file" };
/* Outside of recipes. */
static const char *const make_words[] = { "!=", "SHELL", "include", "load", "MAKEFLAGS" };

static const struct script_file *find_file(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        const char *sought = files[i].name;
        size_t skipped = sought[0] == '*' && len >= strlen(sought) ? len - strlen(sought) + 1 : 0;
        if (strcasecmp(sought + (skipped > 0), name + skipped) == 0)
            return &files[i];
    }
    return NULL;
}

const char *held_scripts_reason(const char *name)
{
    const struct script_file *file = find_file(name);
    return !file               ? NULL
           : file->is_makefile ? "it changes what make runs while it reads the file"
                               : "it changes what runs when the package is installed";
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

/* --- Makefiles ----------------------------------------------------------------------------- */

struct makefile {
    struct str text;
    size_t at;
    bool has_prefix; /* recipes may begin otherwise than with a tab */
    bool in_rule, of_recipe;
};

/* A line with those that it goes on in. Behind a tab it is a recipe's only if a rule goes before.
 */
static bool next_line(struct makefile *file, struct str *ret)
{
    struct str text = file->text;
    size_t from = file->at, end = str_index(text, '\n', from);
    if (from >= text.len)
        return false;
    while (end < text.len && end > from && text.ptr[end - 1] == '\\')
        end = str_index(text, '\n', end + 1);
    file->at = end + 1;
    file->of_recipe = text.ptr[from] == '\t' && file->in_rule && !file->has_prefix;
    *ret = trim(str_make(text.ptr + from, end - from));
    bool of_condition = str_starts(*ret, STR("if")) || str_starts(*ret, STR("else")) ||
                        str_starts(*ret, STR("endif"));
    if (!file->of_recipe && ret->len && ret->ptr[0] != '#' && !of_condition)
        file->in_rule = has(*ret, ":") && !has(*ret, "=");
    return true;
}

static bool has_one(struct str line, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has(line, words[i]))
            return true;
    return false;
}

/* Whether make runs it whatever it is asked for. */
static bool runs_when_read(const struct makefile *file, struct str line)
{
    if (!line.len || line.ptr[0] == '#')
        return false;
    if (has_one(line, make_functions, ARRAY_LEN(make_functions)))
        return true;
    if (!file->of_recipe)
        return has_one(line, make_words, ARRAY_LEN(make_words));
    while (line.len && memchr("@- \t", line.ptr[0], 4))
        line = str_from_offset(line, 1);
    return str_starts(line, STR("+")) || has(line, "MAKE");
}

static void gather_make(struct str text, struct buf *ret)
{
    struct makefile file = { .text = text, .has_prefix = has(text, "RECIPEPREFIX") };
    struct str line;
    bool runs = file.has_prefix;
    while (!runs && next_line(&file, &line))
        runs = runs_when_read(&file, line);
    file.at = 0;
    file.in_rule = false;
    while (runs && next_line(&file, &line)) {
        bool sets = !file.of_recipe && line.len && line.ptr[0] != '#' && has(line, "=");
        if (sets || runs_when_read(&file, line)) {
            buf_add_str(ret, line);
            buf_add_char(ret, '\n');
        }
    }
}

/* --- lines --------------------------------------------------------------------------------- */

static void gather(const struct script_file *file, struct str text, struct buf *ret)
{
    if (file->is_makefile)
        gather_make(text, ret);
    else
        gather_lines(file, text, ret);
}

static bool lines_differ(const struct script_file *file, struct str before, struct str after)
{
    _cleanup_(buf_release) struct buf was = BUF_INIT_LIMIT(before.len + 2);
    _cleanup_(buf_release) struct buf is = BUF_INIT_LIMIT(after.len + 2);
    gather(file, before, &was);
    gather(file, after, &is);
    return was.error || is.error || (is.len && !str_equal(buf_str(&was), buf_str(&is)));
}

bool held_scripts_differ(const char *name, struct str before, struct str after)
{
    const struct script_file *file = find_file(name);
    if (!file)
        return false;
    return file->table || file->is_makefile ? lines_differ(file, before, after)
                                            : members_differ(file, before, after);
}
