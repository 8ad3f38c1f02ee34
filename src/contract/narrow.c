/*
 * narrow: a delegation beside the one above it.
 *
 * Theory of operation. Nothing that is passed on may grow. Each respect in
 * which a delegation can be wide has one function here, which says by JSON
 * Pointer where the inner document goes beyond the outer. A respect that a
 * later version of Delegation adds must be added here too: what nobody
 * compares would be passed on unseen.
 *
 * Limits: lists have at most 1,000 items by their schema, so that comparing
 * two takes at most a million steps.
 */
#include "contract/narrow.h"

#include <inttypes.h>

#include "contract/rules.h"
#include "contract/vocabulary.h"

struct narrowing {
    const yyjson_val *outer, *inner;
    narrow_visit *visit;
    void *context;
};

PRINTF_LIKE(3, 4)
static int found(const struct narrowing *n, const char *pointer, const char *format, ...)
{
    char message[NARROW_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return n->visit(n->context, pointer, message);
}

static int compare_holder(const struct narrowing *n)
{
    struct str holder = text_of(member(n->outer, "subjectRef"));
    if (str_equal(text_of(member(n->inner, "issuerRef")), holder))
        return 0;
    return found(n, "/issuerRef",
                 "the delegation above is held by %.*s; only its holder passes it on",
                 STR_ARG(holder));
}

static int compare_depth(const struct narrowing *n)
{
    uint64_t depth = count_of(member(n->outer, "depth"));
    if (count_of(member(n->inner, "depth")) < depth)
        return 0;
    return found(n, "/depth",
                 depth ? "the delegation above has depth %" PRIu64 "; pass on less"
                       : "the delegation above has depth %" PRIu64 " and cannot be passed on",
                 depth);
}

static int compare_times(const struct narrowing *n)
{
    struct str begin = text_of(member(n->outer, "notBefore"));
    struct str end = text_of(member(n->outer, "expiresAt"));
    int r = 0;
    if (instant_compare(text_of(member(n->inner, "notBefore")), begin) < 0)
        r = found(n, "/notBefore", "the delegation above begins at %.*s; begin no earlier",
                  STR_ARG(begin));
    if (r == 0 && instant_compare(text_of(member(n->inner, "expiresAt")), end) > 0)
        r = found(n, "/expiresAt", "the delegation above expires at %.*s; end no later",
                  STR_ARG(end));
    return r;
}

/* Whether each item of a list is one of the list above. */
static int compare_list(const struct narrowing *n, const char *pointer)
{
    size_t index, count;
    yyjson_val *item;
    int r = 0;
    yyjson_arr_foreach(at(n->inner, pointer), index, count, item)
    {
        if (r == 0 && !array_has(at(n->outer, pointer), text_of(item)))
            r = found(n, pointer_to("%s/%zu", pointer, index).text,
                      "the delegation above does not have %.*s; leave it out",
                      STR_ARG(text_of(item)));
    }
    return r;
}

static bool semantics_admit(const yyjson_val *outer, struct str inner)
{
    static const struct {
        const char *outer, *inner;
    } rows[] = {
        { "read-write", "read-write" }, { "read-write", "staged" }, { "read-write", "read-only" },
        { "staged", "staged" },         { "staged", "read-only" },  { "read-only", "read-only" },
        { "cache", "cache" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (text_is(outer, rows[i].outer) && str_equal(inner, str_from(rows[i].inner)))
            return true;
    return false;
}

static bool climbs(struct str path)
{
    for (size_t start = 0; start < path.len;) {
        size_t end = str_index(path, '/', start);
        if (str_equal(str_make(path.ptr + start, end - start), STR("..")))
            return true;
        start = end + 1;
    }
    return false;
}

/* Whether an absolute path is a directory or beneath it; one with ".." is beneath none. */
static bool is_within(struct str path, struct str directory)
{
    while (directory.len && directory.ptr[directory.len - 1] == '/')
        directory.len--;
    struct str rest = str_from_offset(path, directory.len);
    return str_starts(path, directory) && (!rest.len || rest.ptr[0] == '/') && !climbs(rest);
}

bool narrow_mount_admits(const yyjson_val *mounts, struct str path, struct str semantics)
{
    size_t index, count;
    yyjson_val *mount;
    yyjson_arr_foreach((yyjson_val *)mounts, index, count, mount)
    {
        if (path.len && path.ptr[0] == '/' && is_within(path, text_of(member(mount, "hostPath"))) &&
            semantics_admit(member(mount, "semantics"), semantics))
            return true;
    }
    return false;
}

static int compare_mounts(const struct narrowing *n)
{
    size_t index, count;
    yyjson_val *mount;
    int r = 0;
    yyjson_arr_foreach(at(n->inner, "/scope/mounts"), index, count, mount)
    {
        struct str path = text_of(member(mount, "hostPath"));
        struct str semantics = text_of(member(mount, "semantics"));
        if (r == 0 && !narrow_mount_admits(at(n->outer, "/scope/mounts"), path, semantics))
            r = found(n, pointer_to("/scope/mounts/%zu", index).text,
                      "no mount of the delegation above lets %.*s be mounted %.*s; narrow the path "
                      "or the semantics",
                      STR_ARG(path), STR_ARG(semantics));
    }
    return r;
}

static int compare_network(const struct narrowing *n)
{
    const char *pointer = "/scope/networkAccessProfileRef";
    struct str inner = text_of(at(n->inner, pointer)), outer = text_of(at(n->outer, pointer));
    if (!inner.len || str_equal(inner, outer))
        return 0;
    return found(n, pointer, "the delegation above has %s%.*s; name that, or none for no network",
                 outer.len ? "" : "no network", STR_ARG(outer));
}

static int compare_ceilings(const struct narrowing *n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < DIMENSION_COUNT; i++) {
        struct pointer pointer = pointer_to("/budgetCeiling/%s", dimension_names[i]);
        uint64_t ceiling = count_of(at(n->outer, pointer.text));
        if (count_of(at(n->inner, pointer.text)) > ceiling)
            r = found(n, pointer.text,
                      "the ceiling of the delegation above is %" PRIu64 "; pass on no more",
                      ceiling);
    }
    return r;
}

int narrow_compare(const yyjson_val *outer, const yyjson_val *inner, narrow_visit *visit,
                   void *context)
{
    static const char *const lists[] = { "/operationTypes", "/scope/workspaceRefs",
                                         "/scope/profileRefs", "/scope/toolRefs",
                                         "/scope/modelProviderRefs" };
    const struct narrowing n = { outer, inner, visit, context };
    int r = compare_holder(&n);
    if (r == 0)
        r = compare_depth(&n);
    if (r == 0)
        r = compare_times(&n);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
        r = compare_list(&n, lists[i]);
    if (r == 0)
        r = compare_mounts(&n);
    if (r == 0)
        r = compare_network(&n);
    if (r == 0)
        r = compare_ceilings(&n);
    return r;
}
