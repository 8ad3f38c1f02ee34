/* rules_common: the checks of rules that hold for every document. */
#include "base/redact.h"
#include "contract/format.h"
#include "contract/rules_table.h"

/* --- credentials ---------------------------------------------------------------------------- */

/* Every text of a document, in the order of visit_texts, and what the scanner finds in them. */
struct texts {
    struct str *items;
    const struct redact_rule **found; /* by item; allocated when the first secret is found */
    size_t count, capacity;
    size_t reported; /* how many items were looked at again */
    struct lint_visit visit;
};

static void cleanup_texts(struct texts *texts)
{
    free(texts->items);
    free(texts->found);
}

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "lint", "there is not enough memory");
}

static int collect_text(void *context, struct str pointer, const yyjson_val *string,
                        struct err *err)
{
    struct texts *texts = context;
    (void)pointer;
    if (texts->count == texts->capacity) {
        size_t larger = texts->capacity ? texts->capacity * 2 : 256;
        struct str *grown = realloc(texts->items, larger * sizeof(*grown));
        if (!grown)
            return out_of_memory(err);
        texts->items = grown;
        texts->capacity = larger;
    }
    texts->items[texts->count++] = json_str(string);
    return 0;
}

static int note_secret(void *context, size_t index, const struct redact_match *match,
                       struct err *err)
{
    struct texts *texts = context;
    if (!texts->found)
        texts->found = calloc(texts->count, sizeof(*texts->found));
    if (!texts->found)
        return out_of_memory(err);
    if (!texts->found[index])
        texts->found[index] = match->rule;
    return 0;
}

static int report_secret(void *context, struct str pointer, const yyjson_val *string,
                         struct err *err)
{
    struct texts *texts = context;
    const struct lint_visit *v = &texts->visit;
    const struct redact_rule *found = texts->found[texts->reported++];
    (void)string;
    (void)err;
    if (!found)
        return 0;
    return lint_find(v->lint, v->rule, v->document, pointer.ptr,
                     "this looks like a credential (%s); revoke it if it is one, keep its "
                     "successor where secrets are kept, and name it here by reference",
                     found->id);
}

/* The scanner is made once in a process, and keeps what it has compiled. */
int check_inline_credential(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, struct err *err)
{
    static struct redact_scanner *scanner;
    _cleanup_(cleanup_texts) struct texts texts = { .visit = { lint, rule, document } };
    int r = scanner ? 0 : redact_scanner_new(&scanner, err);
    if (r == 0)
        r = visit_texts(document->root, collect_text, &texts, err);
    if (r == 0)
        r = redact_scan_strings(scanner, texts.items, texts.count, note_secret, &texts, err);
    if (r == 0 && texts.found)
        r = visit_texts(document->root, report_secret, &texts, err);
    return r;
}

/* --- references, ids, dates ----------------------------------------------------------------- */

/* Whether the string at a pointer is a reference, by the name of its member or list. */
static bool is_reference(struct str pointer)
{
    struct str name = pointer_member(pointer);
    return str_ends(name, STR("Ref")) || str_ends(name, STR("Refs")) ||
           str_equal(name, STR("fallbackOrder"));
}

static int visit_reference(void *context, struct str pointer, const yyjson_val *string,
                           struct err *err)
{
    struct lint_visit *v = context;
    (void)err;
    struct str urn = json_str(string);
    const struct embedded_schema *schema = catalogue_find_urn(urn);
    if (!schema || !is_reference(pointer) || lint_resolve(v->lint, urn))
        return 0;
    return lint_find(v->lint, v->rule, v->document, pointer.ptr,
                     "no document given is the %s %.*s; name its file too", schema->type,
                     STR_ARG(urn));
}

/*
 * A set of one document resolves nothing: its references lead to files that were not given. An
 * export carries what its references lead to, and `op import` holds that together.
 */
int check_references_resolve(struct lint *lint, const struct rule *rule,
                             const struct lint_document *document, struct err *err)
{
    struct lint_visit visit = { lint, rule, document };
    if (lint_document_count(lint) < 2 || strcmp(document->schema->type, "OperationExport") == 0)
        return 0;
    return visit_strings(document->root, visit_reference, &visit, err);
}

int check_ids_differ(struct lint *lint, const struct rule *rule,
                     const struct lint_document *document, struct err *err)
{
    (void)err;
    if (!document->twin)
        return 0;
    const char *pointer = member(document->root, "id") ? "/id" : "/profileId";
    return lint_find(lint, rule, document, pointer,
                     "%s has the id %.*s too; give each document its own", document->twin,
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
    struct lint_visit *v = context;
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
    struct lint_visit visit = { lint, rule, document };
    return visit_strings(document->root, visit_timestamp, &visit, err);
}
