/*
 * rules: the set, the run and the findings; the rules themselves stand in
 * rules_table.c and their checks in a file for each family.
 */
#include "contract/rules.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "contract/decimal.h"
#include "contract/jcs.h"

#define STEP              "lint"
#define MESSAGE_BYTES_MAX 2048

struct lint {
    struct lint_document *documents;
    size_t document_count, document_capacity;
    struct finding *findings;
    size_t finding_count, finding_capacity;
    struct map by_id;
    struct map by_sequence; /* events; the keys are the bytes of an uint64_t */
    struct arena arena;
    bool failed; /* out of memory, or too many findings */
};

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

int lint_new(struct lint **ret, struct err *err)
{
    struct lint *lint = calloc(1, sizeof(*lint));
    if (!lint)
        return out_of_memory(err);
    *ret = lint;
    return 0;
}

void lint_free(struct lint *lint)
{
    if (!lint)
        return;
    free(lint->documents);
    free(lint->findings);
    map_release(&lint->by_id);
    map_release(&lint->by_sequence);
    arena_release(&lint->arena);
    free(lint);
}

static struct str sequence_key(const uint64_t *sequence)
{
    return str_make((const char *)sequence, sizeof(*sequence));
}

static int put_event(struct lint *lint, const yyjson_val *root, uint32_t index)
{
    uint64_t *sequence = arena_new(&lint->arena, uint64_t);
    if (!sequence)
        return -ENOMEM;
    *sequence = count_of(member(root, "sequence"));
    return map_put(&lint->by_sequence, sequence_key(sequence), index);
}

static void note_twins(struct lint *lint, struct lint_document *document)
{
    uint32_t first;
    if (!map_get(&lint->by_id, document->id, &first))
        return;
    document->twin = lint->documents[first].name;
    lint->documents[first].twin = document->name;
}

int lint_add(struct lint *lint, const char *name, const yyjson_val *root,
             const struct embedded_schema *schema, struct err *err)
{
    if (lint->document_count >= LINT_DOCUMENTS_MAX)
        return err_set(err, ERR_LIMIT, STEP, "more than %d documents", LINT_DOCUMENTS_MAX);
    if (lint->document_count == lint->document_capacity) {
        size_t larger = lint->document_capacity ? lint->document_capacity * 2 : 64;
        struct lint_document *grown = realloc(lint->documents, larger * sizeof(*lint->documents));
        if (!grown)
            return out_of_memory(err);
        lint->documents = grown;
        lint->document_capacity = larger;
    }
    struct lint_document *document = &lint->documents[lint->document_count];
    *document = (struct lint_document){ name, root, schema, catalogue_id_of(root), NULL };
    int r =
        document->id.len ? map_put(&lint->by_id, document->id, (uint32_t)lint->document_count) : 0;
    if (r == -EEXIST)
        note_twins(lint, document);
    if (r != -ENOMEM && strcmp(schema->type, "OperationEvent") == 0)
        r = put_event(lint, root, (uint32_t)lint->document_count);
    if (r == -ENOMEM)
        return out_of_memory(err);
    lint->document_count++;
    return 0;
}

bool rule_applies(const struct rule *rule, const char *type)
{
    struct str types = str_from(rule->types);
    if (str_equal(types, STR("*")))
        return true;
    for (size_t start = 0; start < types.len;) {
        size_t end = str_index(types, ',', start);
        if (str_equal(str_make(types.ptr + start, end - start), str_from(type)))
            return true;
        start = end + 1;
    }
    return false;
}

int lint_run(struct lint *lint, struct err *err)
{
    for (size_t d = 0; d < lint->document_count; d++) {
        const struct lint_document *document = &lint->documents[d];
        for (size_t i = 0; i < rules_count; i++) {
            if (!rule_applies(&rules_table[i], document->schema->type))
                continue;
            int r = rules_table[i].check(lint, &rules_table[i], document, err);
            if (lint->failed)
                return err_set(err, ERR_LIMIT, STEP, "more than %d findings", LINT_FINDINGS_MAX);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int lint_alone(const yyjson_val *root, const struct embedded_schema *schema, const char *step,
               struct err *err)
{
    return lint_among(root, schema, &(struct lint_beside){ 0 }, step, err);
}

int lint_among(const yyjson_val *root, const struct embedded_schema *schema,
               const struct lint_beside *beside, const char *step, struct err *err)
{
    struct lint *lint = NULL;
    int r = lint_new(&lint, err);
    if (r == 0)
        r = lint_add(lint, schema->type, root, schema, err);
    for (size_t i = 0; r == 0 && i < beside->count; i++)
        r = lint_add(lint, beside->schema->type, yyjson_doc_get_root(beside->documents[i]),
                     beside->schema, err);
    if (r == 0)
        r = lint_run(lint, err);
    for (size_t i = 0; r == 0 && i < lint->finding_count; i++) {
        const struct finding *finding = &lint->findings[i];
        if (finding->document != 0 || finding->rule->severity != SEVERITY_ERROR ||
            strcmp(finding->rule->id, "document.references-resolve") == 0)
            continue;
        r = err_set(err, ERR_DOCUMENT, step, "%s [%s]", finding->message, finding->rule->id);
        err_where(err, "%s", finding->pointer);
    }
    lint_free(lint);
    return r;
}

size_t lint_finding_count(const struct lint *lint)
{
    return lint->finding_count;
}

const struct finding *lint_finding(const struct lint *lint, size_t index)
{
    return &lint->findings[index];
}

int lint_find(struct lint *lint, const struct rule *rule, const struct lint_document *document,
              const char *pointer, const char *format, ...)
{
    char text[MESSAGE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (lint->finding_count == lint->finding_capacity) {
        size_t larger = lint->finding_capacity ? lint->finding_capacity * 2 : 16;
        struct finding *grown = larger > LINT_FINDINGS_MAX * 2
                                    ? NULL
                                    : realloc(lint->findings, larger * sizeof(*grown));
        if (!grown) {
            lint->failed = true;
            return -ENOMEM;
        }
        lint->findings = grown;
        lint->finding_capacity = larger;
    }
    const char *kept_pointer = arena_copy(&lint->arena, str_from(pointer));
    const char *kept_text = arena_copy(&lint->arena, str_from(text));
    if (!kept_pointer || !kept_text || lint->finding_count >= LINT_FINDINGS_MAX) {
        lint->failed = true;
        return -ENOMEM;
    }
    lint->findings[lint->finding_count++] =
        (struct finding){ rule, (size_t)(document - lint->documents), kept_pointer, kept_text };
    return 0;
}

const struct lint_document *lint_resolve(const struct lint *lint, struct str urn)
{
    uint32_t index;
    return map_get(&lint->by_id, urn, &index) ? &lint->documents[index] : NULL;
}

const yyjson_val *lint_resolve_as(const struct lint *lint, const yyjson_val *reference,
                                  const char *type)
{
    const struct lint_document *document = lint_resolve(lint, text_of(reference));
    return document && strcmp(document->schema->type, type) == 0 ? document->root : NULL;
}

const struct lint_document *lint_event_at(const struct lint *lint, uint64_t sequence)
{
    uint32_t index;
    return map_get(&lint->by_sequence, sequence_key(&sequence), &index) ? &lint->documents[index]
                                                                        : NULL;
}

size_t lint_document_count(const struct lint *lint)
{
    return lint->document_count;
}

const struct lint_document *lint_document_at(const struct lint *lint, size_t index)
{
    return &lint->documents[index];
}

static int visit_below(const yyjson_val *value, bool names, struct buf *pointer,
                       string_visit *visit, void *context, struct err *err)
{
    yyjson_val *v = (yyjson_val *)value;
    size_t index, count, mark = pointer->len;
    yyjson_val *key, *item;
    int r = 0;
    if (yyjson_is_str(v))
        return visit(context, buf_str(pointer), value, err);
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, index, count, item)
        {
            json_pointer_add_index(pointer, index);
            r = r < 0 ? r : visit_below(item, names, pointer, visit, context, err);
            buf_truncate(pointer, mark);
        }
    } else if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, index, count, key, item)
        {
            json_pointer_add(pointer, json_str(key));
            if (names && r >= 0)
                r = visit(context, buf_str(pointer), key, err);
            r = r < 0 ? r : visit_below(item, names, pointer, visit, context, err);
            buf_truncate(pointer, mark);
        }
    }
    return r;
}

int visit_strings(const yyjson_val *value, string_visit *visit, void *context, struct err *err)
{
    struct buf pointer = BUF_INIT;
    int r = visit_below(value, false, &pointer, visit, context, err);
    buf_release(&pointer);
    return r;
}

int visit_texts(const yyjson_val *value, string_visit *visit, void *context, struct err *err)
{
    struct buf pointer = BUF_INIT;
    int r = visit_below(value, true, &pointer, visit, context, err);
    buf_release(&pointer);
    return r;
}

struct str pointer_member(struct str pointer)
{
    struct str rest = pointer, token = STR("");
    bool is_index = true;
    while (rest.len && is_index) {
        size_t slash = rest.len;
        while (slash && rest.ptr[slash - 1] != '/')
            slash--;
        token = str_from_offset(rest, slash);
        for (size_t i = 0; i < token.len; i++)
            is_index = is_index && token.ptr[i] >= '0' && token.ptr[i] <= '9';
        rest.len = slash ? slash - 1 : 0;
    }
    return token;
}

struct pointer pointer_to(const char *format, ...)
{
    struct pointer pointer;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pointer.text, sizeof(pointer.text), format, arguments);
    va_end(arguments);
    return pointer;
}

bool array_has(const yyjson_val *array, struct str text)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)array, index, count, item)
    {
        if (yyjson_is_str(item) && str_equal(json_str(item), text))
            return true;
    }
    return false;
}

bool array_has_member(const yyjson_val *array, const char *name, struct str text)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)array, index, count, item)
    {
        const yyjson_val *value = member(item, name);
        if (value && str_equal(text_of(value), text))
            return true;
    }
    return false;
}

bool stands_earlier(const yyjson_val *array, const yyjson_val *item, const char *const names[],
                    size_t name_count)
{
    size_t index, count;
    yyjson_val *earlier;
    yyjson_arr_foreach((yyjson_val *)array, index, count, earlier)
    {
        size_t same = 0;
        if (earlier == item)
            return false;
        while (same < name_count &&
               str_equal(text_of(member(earlier, names[same])), text_of(member(item, names[same]))))
            same++;
        if (same == name_count)
            return true;
    }
    return false;
}

int find_repeated(struct lint *lint, const struct rule *rule, const struct lint_document *document,
                  const char *list_pointer, const char *name, struct err *err)
{
    struct map seen = MAP_INIT;
    size_t index, count;
    yyjson_val *item;
    int r = 0;
    yyjson_arr_foreach(at(document->root, list_pointer), index, count, item)
    {
        struct str text = text_of(member(item, name));
        uint32_t first;
        int put = map_put(&seen, text, (uint32_t)index);
        if (put == -EEXIST && map_get(&seen, text, &first))
            lint_find(lint, rule, document, pointer_to("%s/%zu/%s", list_pointer, index, name).text,
                      "%.*s stands in %s/%u already; name each once", STR_ARG(text), list_pointer,
                      first);
        else if (put < 0)
            r = put;
    }
    map_release(&seen);
    return r < 0 ? out_of_memory(err) : 0;
}

uint64_t count_of(const yyjson_val *value)
{
    yyjson_val *v = (yyjson_val *)value;
    if (!yyjson_is_raw(v))
        return yyjson_is_real(v) ? (uint64_t)yyjson_get_real(v) : yyjson_get_uint(v);
    struct decimal decimal = decimal_read(json_str(value));
    uint64_t count = 0;
    for (size_t i = 0; (int64_t)i < decimal.point; i++)
        count = count * 10 + (i < decimal.count ? (uint64_t)(decimal_digit(&decimal, i) - '0') : 0);
    return count;
}

int match_digest(struct lint *lint, const struct rule *rule, const struct lint_document *document,
                 const char *pointer, const yyjson_val *value, const char *what, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = jcs_digest(value, digest, err);
    if (r == 0 && !text_is(at(document->root, pointer), digest))
        r = lint_find(lint, rule, document, pointer,
                      "%s has the digest %s; state that, or restore what was digested", what,
                      digest);
    return r;
}

/*
 * The date and the time of day are of one length and sort as text, second 60 behind 59. What
 * follows is a fraction of any length, or none: whichever ends first goes on with zeros.
 */
int instant_compare(struct str a, struct str b)
{
    size_t whole = strlen("2026-11-21T14:01:00"), longest = a.len > b.len ? a.len : b.len;
    assert(a.len > whole && b.len > whole);
    int order = memcmp(a.ptr, b.ptr, whole);
    for (size_t i = whole + 1; order == 0 && i + 1 < longest; i++)
        order = (i + 1 < a.len ? a.ptr[i] : '0') - (i + 1 < b.len ? b.ptr[i] : '0');
    return order;
}
