/* rules_common: the checks of rules that hold for every document. */
#include "base/map.h"
#include "contract/format.h"
#include "contract/rules_table.h"

struct visit {
    struct lint *lint;
    const struct rule *rule;
    const struct lint_document *document;
};

/* Whether the string at a pointer is a reference: its member's name ends in Ref or Refs. */
static bool is_reference(struct str pointer)
{
    struct str name = pointer;
    size_t slash = name.len;
    while (slash && name.ptr[slash - 1] != '/')
        slash--;
    bool is_index = slash < name.len;
    for (size_t i = slash; i < name.len; i++)
        is_index = is_index && name.ptr[i] >= '0' && name.ptr[i] <= '9';
    if (is_index && slash)
        return str_ends(str_make(name.ptr, slash - 1), STR("Refs"));
    return str_ends(name, STR("Ref"));
}

static int visit_reference(void *context, struct str pointer, const yyjson_val *string,
                           struct err *err)
{
    struct visit *v = context;
    (void)err;
    struct str urn = json_str(string);
    const struct embedded_schema *schema = catalogue_find_urn(urn);
    if (!schema || !is_reference(pointer) || lint_resolve(v->lint, urn))
        return 0;
    return lint_find(v->lint, v->rule, v->document, pointer.ptr,
                     "no document given is the %s %.*s; name its file too", schema->type,
                     STR_ARG(urn));
}

/* A set of one document resolves nothing: its references lead to files that were not given. */
int check_references_resolve(struct lint *lint, const struct rule *rule,
                             const struct lint_document *document, struct err *err)
{
    struct visit visit = { lint, rule, document };
    if (lint_document_count(lint) < 2)
        return 0;
    return visit_strings(document->root, visit_reference, &visit, err);
}

int check_ids_differ(struct lint *lint, const struct rule *rule,
                     const struct lint_document *document, struct err *err)
{
    (void)err;
    const struct lint_document *first = lint_resolve(lint, document->id);
    if (!document->id.len || first == document)
        return 0;
    const char *pointer = member(document->root, "id") ? "/id" : "/profileId";
    return lint_find(lint, rule, document, pointer, "%s has the id %.*s too", first->name,
                     STR_ARG(document->id));
}

static bool looks_like_a_timestamp(struct str s)
{
    return s.len >= 20 && s.len <= 32 && s.ptr[4] == '-' && s.ptr[7] == '-' && s.ptr[10] == 'T' &&
           s.ptr[s.len - 1] == 'Z';
}

static int visit_timestamp(void *context, struct str pointer, const yyjson_val *string,
                           struct err *err)
{
    struct visit *v = context;
    if (!looks_like_a_timestamp(json_str(string)))
        return 0;
    int r = format_check(format_find(STR("date-time")), json_str(string), err);
    if (r != 0)
        return r < 0 ? r : 0;
    return lint_find(v->lint, v->rule, v->document, pointer.ptr, "%.*s is no such moment",
                     STR_ARG(json_str(string)));
}

int check_real_dates(struct lint *lint, const struct rule *rule,
                     const struct lint_document *document, struct err *err)
{
    struct visit visit = { lint, rule, document };
    return visit_strings(document->root, visit_timestamp, &visit, err);
}
