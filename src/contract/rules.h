/*
 * rules: what a schema cannot say, by name.
 *
 * One const table (rules_table.c) has a row for each rule. A lint is a set of
 * documents that their schemas have accepted; running it calls every rule's
 * check on every document of the rule's types and collects findings. A check
 * looks at its document and, through lint_resolve, at the others of the set.
 */
#ifndef AM_CONTRACT_RULES_H
#define AM_CONTRACT_RULES_H

#include <yyjson.h>

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "contract/catalogue.h"

#define LINT_FINDINGS_MAX  10000
#define LINT_DOCUMENTS_MAX 100000

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct lint;
struct rule;

struct lint_document {
    const char *name; /* for messages */
    const yyjson_val *root;
    const struct embedded_schema *schema; /* its type */
    struct str id;                        /* empty where it has none */
    const char *twin;                     /* name of another document with this id, or NULL */
};

/* Reports with lint_find whatever offends the rule; -errno only where it could not be decided. */
typedef int rule_check(struct lint *lint, const struct rule *rule,
                       const struct lint_document *document, struct err *err);

struct rule {
    const char *id;    /* family.name */
    const char *types; /* separated by commas; "*" is every type */
    enum severity severity;
    const char *sentence;
    rule_check *check;
    const char *accepted; /* in examples/ */
    const char *refused;  /* in examples/refused/ */
};

extern const struct rule rules_table[];
extern const size_t rules_count;

/* Whether a rule is about documents of this type. */
bool rule_applies(const struct rule *rule, const char *type);

struct finding {
    const struct rule *rule;
    size_t document;     /* index, in the order of lint_add */
    const char *pointer; /* JSON Pointer */
    const char *message; /* what was found there, and what to do */
};

int lint_new(struct lint **ret, struct err *err) MUST_CHECK;
void lint_free(struct lint *lint);
/*
 * Runs the rules over one document alone: 0, or ERR_DOCUMENT with the first error that they find.
 * What it refers to lies elsewhere, and is not asked for.
 */
int lint_alone(const yyjson_val *root, const struct embedded_schema *schema, const char *step,
               struct err *err) MUST_CHECK;
/* The same beside others of one type, to which it may refer; of these no fault is told. */
struct lint_beside {
    const struct embedded_schema *schema;
    yyjson_doc *const *documents;
    size_t count;
};
int lint_among(const yyjson_val *root, const struct embedded_schema *schema,
               const struct lint_beside *beside, const char *step, struct err *err) MUST_CHECK;
/* The document must outlive the lint. */
int lint_add(struct lint *lint, const char *name, const yyjson_val *root,
             const struct embedded_schema *schema, struct err *err) MUST_CHECK;
/* Runs every rule; findings are in the order of documents, then of rules. */
int lint_run(struct lint *lint, struct err *err) MUST_CHECK;
size_t lint_finding_count(const struct lint *lint);
const struct finding *lint_finding(const struct lint *lint, size_t index);

/* --- for checks ---------------------------------------------------------------------------- */

/*
 * Adds a finding at a pointer; the rest is a printf format of the message. A failure is kept by
 * the lint, which then ends the run, so that a check need not look at it.
 */
int lint_find(struct lint *lint, const struct rule *rule, const struct lint_document *document,
              const char *pointer, const char *format, ...) PRINTF_LIKE(5, 6);
/* The document of the set that has this URN; NULL where none has. */
const struct lint_document *lint_resolve(const struct lint *lint, struct str urn);
/* The root of what a reference leads to; NULL unless it is in the set and of this type. */
const yyjson_val *lint_resolve_as(const struct lint *lint, const yyjson_val *reference,
                                  const char *type);
/* The OperationEvent of the set at a place in the ledger; NULL where the set does not have it. */
const struct lint_document *lint_event_at(const struct lint *lint, uint64_t sequence);
size_t lint_document_count(const struct lint *lint);
const struct lint_document *lint_document_at(const struct lint *lint, size_t index);

/* What a visitor needs to add findings. */
struct lint_visit {
    struct lint *lint;
    const struct rule *rule;
    const struct lint_document *document;
};
/* Calls visit for every string of a value, with its JSON Pointer; a negative return ends it. */
typedef int string_visit(void *context, struct str pointer, const yyjson_val *string,
                         struct err *err);
int visit_strings(const yyjson_val *value, string_visit *visit, void *context, struct err *err);
/* As visit_strings, and for the names of members too, each before its value and at its pointer. */
int visit_texts(const yyjson_val *value, string_visit *visit, void *context, struct err *err);

/* The last name in a pointer: that of a member, or of the list that an item stands in. */
struct str pointer_member(struct str pointer);
/* A JSON Pointer made on the spot: `pointer_to("/pins/%zu/digest", i).text`. */
struct pointer {
    char text[128];
};
struct pointer pointer_to(const char *format, ...) PRINTF_LIKE(1, 2);

/* Whether an array of strings has this one. */
bool array_has(const yyjson_val *array, struct str text);
/* Whether an array of objects has one whose member is this text. */
bool array_has_member(const yyjson_val *array, const char *name, struct str text);
/* Whether an item before this one has the same texts (or none) in all of these members. */
bool stands_earlier(const yyjson_val *array, const yyjson_val *item, const char *const names[],
                    size_t name_count);
/* Adds a finding at that member of every item of a list that repeats an earlier item's text. */
int find_repeated(struct lint *lint, const struct rule *rule, const struct lint_document *document,
                  const char *list_pointer, const char *name, struct err *err);
/* Whether the name of an environment variable says that it holds a secret, or leads to a socket. */
bool variable_speaks_of_secret(struct str name);
/* An integer from 0 to 2^53 that its schema accepted, however written; 0 where it is absent. */
uint64_t count_of(const yyjson_val *value);
/* Adds a finding where the digest at a pointer is not that of a value, which `what` names. */
int match_digest(struct lint *lint, const struct rule *rule, const struct lint_document *document,
                 const char *pointer, const yyjson_val *value, const char *what, struct err *err);
/* Orders two timestamps that their schemas accepted, exactly: below, equal to or above 0. */
int instant_compare(struct str a, struct str b);

/* Short hands for looking into documents: NULL, false or empty where something is absent. */
static inline yyjson_val *at(const yyjson_val *root, const char *pointer)
{
    return yyjson_ptr_get((yyjson_val *)root, pointer);
}

static inline yyjson_val *member(const yyjson_val *object, const char *name)
{
    return yyjson_obj_get((yyjson_val *)object, name);
}

static inline struct str text_of(const yyjson_val *value)
{
    return yyjson_is_str((yyjson_val *)value) ? json_str(value) : STR("");
}

static inline bool text_is(const yyjson_val *value, const char *text)
{
    return yyjson_equals_str((yyjson_val *)value, text);
}

#endif
