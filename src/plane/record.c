/*
 * record: see the header.
 *
 * Theory of operation. What an operation owns, the ledger finds by the
 * operation's id: one walk for each type of the catalogue, and for what stands
 * in envelopes. What it rests on is found by reference: names in its documents
 * that are URNs of documents in the ledger, one step away, and delegations up
 * to the top of their chain. Those belong to other operations, whose events
 * bind them; these events are found by the digests that they bind.
 *
 * Operations, tasks and commands of others are not followed: a record is about
 * what it was asked for, and not about all that ever touched the same things.
 */
#include "plane/record.h"

#include "authority/delegation.h"
#include "base/json.h"
#include "base/sign.h"
#include "contract/catalogue.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/receipt.h"

#define STEP_RECORD "read an operation's record"
#define REST_ROUNDS 2 /* what a document rests on, and budgets above budgets */

/* --- keeping ------------------------------------------------------------------------------- */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_RECORD, "there is not enough memory");
}

static int too_many(struct err *err)
{
    return err_set(err, ERR_LIMIT, STEP_RECORD,
                   "a record has at most %d operations, %d documents and %d events",
                   RECORD_OPERATIONS_MAX, RECORD_DOCUMENTS_MAX, RECORD_EVENTS_MAX);
}

/* Room for one more item; `most` is a limit on the count. */
static int grow(void *list, size_t size, size_t count, size_t *capacity, size_t most,
                struct err *err)
{
    if (count == most)
        return too_many(err);
    if (count < *capacity)
        return 0;
    size_t wanted = *capacity ? 2 * *capacity : 32;
    void *moved = realloc(*(void **)list, wanted * size);
    if (!moved)
        return no_memory(err);
    *(void **)list = moved;
    *capacity = wanted;
    return 0;
}

/* The record keeps the values of a text. */
static int keep(struct operation_record *record, struct str json, const yyjson_val **ret,
                struct err *err)
{
    yyjson_doc *doc;
    int r = grow(&record->docs, sizeof(*record->docs), record->doc_count, &record->doc_capacity,
                 RECORD_DOCUMENTS_MAX * 2 + RECORD_EVENTS_MAX, err);
    if (r == 0)
        r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    record->docs[record->doc_count++] = doc;
    *ret = yyjson_doc_get_root(doc);
    return 0;
}

static int keep_payload(struct operation_record *record, const yyjson_val *envelope,
                        const yyjson_val **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT, payload = BUF_INIT;
    json_add_value(&text, envelope, 0);
    int r = text.error ? no_memory(err) : dsse_peek(buf_str(&text), &payload, err);
    return r < 0 ? r : keep(record, buf_str(&payload), ret, err);
}

static int add_document(struct operation_record *record, struct str type, const yyjson_val *root,
                        const yyjson_val *envelope, struct str id, struct err *err)
{
    int r = grow(&record->documents, sizeof(*record->documents), record->document_count,
                 &record->document_capacity, RECORD_DOCUMENTS_MAX, err);
    const char *kept = r == 0 ? arena_copy(&record->arena, id) : NULL;
    if (r == 0 && !kept)
        r = no_memory(err);
    if (r < 0)
        return r;
    record->documents[record->document_count++] =
        (struct record_document){ str_make(kept, id.len), type, root, envelope };
    return 0;
}

static int add_event(struct operation_record *record, int64_t sequence, const yyjson_val *root,
                     struct err *err)
{
    int r = grow(&record->events, sizeof(*record->events), record->event_count,
                 &record->event_capacity, RECORD_EVENTS_MAX, err);
    if (r == 0)
        record->events[record->event_count++] = (struct record_event){ sequence, root };
    return r;
}

static bool has_event(const struct operation_record *record, int64_t sequence)
{
    for (size_t i = 0; i < record->event_count; i++)
        if (record->events[i].sequence == sequence)
            return true;
    return false;
}

static int by_sequence(const void *a, const void *b)
{
    int64_t left = ((const struct record_event *)a)->sequence;
    int64_t right = ((const struct record_event *)b)->sequence;
    return (left > right) - (left < right);
}

static void sort_events(struct operation_record *record)
{
    if (record->event_count)
        qsort(record->events, record->event_count, sizeof(*record->events), by_sequence);
}

void record_release(struct operation_record *record)
{
    for (size_t i = 0; i < record->doc_count; i++)
        yyjson_doc_free(record->docs[i]);
    free(record->docs);
    free(record->documents);
    free(record->events);
    arena_release(&record->arena);
    *record = (struct operation_record){ 0 };
}

/* --- looking ------------------------------------------------------------------------------- */

const struct record_document *record_find(const struct operation_record *record, struct str id)
{
    for (size_t i = 0; i < record->document_count; i++)
        if (str_equal(record->documents[i].id, id))
            return &record->documents[i];
    return NULL;
}

const yyjson_val *record_of(const struct operation_record *record, const char *type,
                            struct str operation)
{
    for (size_t i = 0; i < record->document_count; i++) {
        const struct record_document *document = &record->documents[i];
        if (str_equal(document->type, str_from(type)) &&
            str_equal(text_of(member(document->root, "operationRef")), operation))
            return document->root;
    }
    return NULL;
}

/* --- what an operation owns ---------------------------------------------------------------- */

struct adding {
    struct operation_record *record;
    const char *type; /* in the ledger */
    bool enveloped;
};

static int take(struct adding *adding, struct str id, struct str json, struct err *err)
{
    const yyjson_val *root, *envelope = NULL;
    struct str type = str_from(adding->type);
    if (record_find(adding->record, id))
        return 0;
    int r = keep(adding->record, json, &root, err);
    if (r == 0 && adding->enveloped) {
        envelope = root;
        r = keep_payload(adding->record, envelope, &root, err);
        type = strcmp(adding->type, DELEGATION_ENVELOPE_TYPE) == 0 ? STR("Delegation") : type;
    }
    return r < 0 ? r : add_document(adding->record, type, root, envelope, id, err);
}

static int take_document(void *context, struct str id, struct str json, int64_t revision,
                         struct err *err)
{
    (void)revision;
    return take(context, id, json, err);
}

static int add_owned(struct operation_record *record, struct ledger *ledger, struct str operation,
                     struct err *err)
{
    struct adding receipt = { record, RECEIPT_TYPE, true };
    int r = 0;
    for (size_t i = 0; i < embedded_schemas_count && r == 0; i++) {
        struct adding adding = { record, embedded_schemas[i].type, false };
        r = ledger_each_document(ledger, str_from(adding.type), operation, take_document, &adding,
                                 err);
    }
    return r < 0 ? r
                 : ledger_each_document(ledger, STR(RECEIPT_TYPE), operation, take_document,
                                        &receipt, err);
}

static int take_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct operation_record *record = context;
    const yyjson_val *root;
    if (has_event(record, sequence))
        return 0;
    int r = keep(record, json, &root, err);
    return r < 0 ? r : add_event(record, sequence, root, err);
}

/* --- what it rests on ---------------------------------------------------------------------- */

/* Which of the catalogue's types are followed by reference. */
static const char *const followed[] = {
    "AgentMachineProfile",  "AgentMachineDiagnosticBundle", "Budget",
    "ToolGrantRecord",      "ModelProviderBinding",         "DecisionCard",
    "NetworkAccessProfile", "ContainerExecutionRecord",     "ExternalModelProviderProfile",
};

static bool is_followed(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(followed); i++)
        if (strcmp(followed[i], type) == 0)
            return true;
    return false;
}

struct resting {
    struct operation_record *record;
    struct ledger *ledger;
};

static int fetch(struct resting *resting, struct str id, const char *type, bool enveloped,
                 struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct adding adding = { resting->record, type, enveloped };
    struct err inner = { 0 };
    int64_t revision;
    if (record_find(resting->record, id))
        return 0;
    int r = ledger_get_document(resting->ledger, id, &text, &revision, &inner);
    if (r == -ENOENT)
        return 0; /* of a layer's folder, or built in */
    if (r < 0 && err)
        *err = inner;
    return r < 0 ? r : take(&adding, id, buf_str(&text), err);
}

static int follow_string(void *context, struct str pointer, const yyjson_val *string,
                         struct err *err)
{
    struct resting *resting = context;
    struct str text = text_of(string);
    (void)pointer;
    if (!str_starts(text, STR("urn:srcos:")))
        return 0;
    if (str_starts(text, STR("urn:srcos:delegation:")))
        return fetch(resting, text, DELEGATION_ENVELOPE_TYPE, true, err);
    const struct embedded_schema *schema = catalogue_find_urn(text);
    return schema && is_followed(schema->type) ? fetch(resting, text, schema->type, false, err) : 0;
}

static int add_rest(struct operation_record *record, struct ledger *ledger, size_t from,
                    struct err *err)
{
    struct resting resting = { record, ledger };
    size_t end;
    int r = 0;
    for (int round = 0; round < REST_ROUNDS && r == 0; round++, from = end) {
        end = record->document_count;
        for (size_t i = from; i < end && r == 0; i++)
            r = visit_strings(record->documents[i].root, follow_string, &resting, err);
    }
    return r;
}

/* Delegations go up by `parent`, however far. */
static int add_chain(struct operation_record *record, struct ledger *ledger, struct err *err)
{
    struct resting resting = { record, ledger };
    int r = 0;
    for (size_t i = 0; i < record->document_count && r == 0; i++) {
        const struct record_document *document = &record->documents[i];
        struct str parent = text_of(at(document->root, "/parent/delegationRef"));
        if (str_equal(document->type, STR("Delegation")) && parent.len)
            r = fetch(&resting, parent, DELEGATION_ENVELOPE_TYPE, true, err);
    }
    return r;
}

/* --- the events that bind what is not its own ---------------------------------------------- */

static bool is_bound_by(const yyjson_val *event, struct str id, struct str digest)
{
    yyjson_val *documents = member(event, "documents"), *entry;
    size_t index, count;
    if (!documents)
        return false;
    yyjson_arr_foreach(documents, index, count, entry)
    {
        if (str_equal(text_of(member(entry, "documentRef")), id) &&
            str_equal(text_of(member(entry, "digest")), digest))
            return true;
    }
    return false;
}

struct unbound {
    struct operation_record *record;
    size_t count;
    char (*digests)[DIGEST_TEXT_SIZE];
};

static int take_if_it_binds(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct unbound *unbound = context;
    for (size_t i = 0; i < unbound->count; i++)
        if (memmem(json.ptr, json.len, unbound->digests[i], DIGEST_TEXT_SIZE - 1))
            return take_event(unbound->record, sequence, json, err);
    return 0;
}

static int add_binding_events(struct operation_record *record, struct ledger *ledger,
                              struct err *err)
{
    struct unbound unbound = { .record = record };
    int r = 0;
    unbound.digests = calloc(record->document_count + 1, sizeof(*unbound.digests));
    if (!unbound.digests)
        return no_memory(err);
    for (size_t i = 0; i < record->document_count && r == 0; i++) {
        char *digest = unbound.digests[unbound.count];
        bool is_bound = false;
        r = jcs_digest(record->documents[i].root, digest, err);
        for (size_t k = 0; k < record->event_count && !is_bound && r == 0; k++)
            is_bound =
                is_bound_by(record->events[k].root, record->documents[i].id, str_from(digest));
        unbound.count += !is_bound;
    }
    if (r == 0 && unbound.count)
        r = ledger_each_event(ledger, 0, STR(""), take_if_it_binds, &unbound, err);
    free(unbound.digests);
    return r;
}

int record_add(struct operation_record *record, struct ledger *ledger, struct str operation,
               struct err *err)
{
    struct adding itself = { record, "WorkspaceOperation", false };
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    size_t from = record->document_count;
    int64_t revision;
    int r = ledger_get_document(ledger, operation, &text, &revision, err);
    if (r == -ENOENT || !str_starts(operation, STR("urn:srcos:workspace-operation:")))
        return err_set(err, ERR_NOT_FOUND, STEP_RECORD,
                       "there is no operation %.*s; see `agent-machine op list`",
                       STR_ARG(operation));
    if (r == 0 && record->operation_count == RECORD_OPERATIONS_MAX)
        r = too_many(err);
    if (r == 0)
        r = take(&itself, operation, buf_str(&text), err);
    if (r < 0)
        return r;
    record->operations[record->operation_count++] = record_find(record, operation)->id;
    r = add_owned(record, ledger, operation, err);
    if (r == 0)
        r = ledger_each_event(ledger, 0, operation, take_event, record, err);
    if (r == 0)
        r = add_rest(record, ledger, from, err);
    if (r == 0)
        r = add_chain(record, ledger, err);
    if (r == 0)
        r = add_binding_events(record, ledger, err);
    sort_events(record);
    return r;
}

/* --- out of an export ---------------------------------------------------------------------- */

static int take_exported(struct operation_record *record, const yyjson_val *entry, struct err *err)
{
    const yyjson_val *root = member(entry, "document"), *envelope = member(entry, "envelope");
    int r = 0;
    if (envelope)
        r = keep_payload(record, envelope, &root, err);
    return r < 0 ? r
                 : add_document(record, text_of(member(entry, "documentType")), root, envelope,
                                text_of(member(entry, "documentRef")), err);
}

int record_take_export(struct operation_record *record, yyjson_doc *doc, struct err *err)
{
    const yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *entry;
    size_t index, count;
    int r = grow(&record->docs, sizeof(*record->docs), record->doc_count, &record->doc_capacity,
                 RECORD_DOCUMENTS_MAX, err);
    if (r < 0) {
        yyjson_doc_free(doc);
        return r;
    }
    record->docs[record->doc_count++] = doc;
    yyjson_arr_foreach(member(root, "operationRefs"), index, count, entry)
    {
        if (record->operation_count == RECORD_OPERATIONS_MAX)
            return too_many(err);
        record->operations[record->operation_count++] = text_of(entry);
    }
    yyjson_arr_foreach(member(root, "documents"), index, count, entry)
    {
        r = take_exported(record, entry, err);
        if (r < 0)
            return r;
    }
    yyjson_arr_foreach(member(root, "events"), index, count, entry)
    {
        const yyjson_val *event = member(entry, "event");
        r = add_event(record, (int64_t)count_of(member(event, "sequence")), event, err);
        if (r < 0)
            return r;
    }
    return 0;
}
