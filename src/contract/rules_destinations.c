/*
 * rules_destinations: the checks of the hosts and address ranges that documents list.
 *
 * Theory of operation. A string is read as a destination (destination.c), so
 * that spelling does not matter. Rules about one string at a time visit all
 * strings of a document and pick those of the members that list hosts. Rules
 * about two lists put the destinations of one into a listing: sorted by path,
 * what covers a destination is found by climbing from it, the most specific
 * first, and what lies below it stands behind it.
 *
 * What is no destination (a name that IDNA does not know) matches nothing and
 * is passed over, except where an entry may list nothing but this machine.
 *
 * Limits: a schema bounds lists to 10,000 items and entries to 1,000. A look-up
 * costs a bisection for each label or bit of the destination.
 */
#include "base/arena.h"
#include "contract/destination.h"
#include "contract/rules_table.h"

#define STEP "lint"

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

/* --- one string at a time ------------------------------------------------------------------- */

static bool is_among(struct str name, const char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(name, str_from(names[i])))
            return true;
    }
    return false;
}

/* Whether the string at a pointer names a host, or several; and a firewall's other end. */
static bool is_host(struct str pointer)
{
    static const char *const members[] = { "allowDomains", "denyDomains", "allowedHosts",
                                           "deniedHosts",  "destination", "host" };
    return is_among(pointer_member(pointer), members, ARRAY_LEN(members));
}

static int visit_suffix(void *context, struct str pointer, const yyjson_val *string,
                        struct err *err)
{
    const struct lint_visit *v = context;
    struct str base = json_str(string);
    struct host_name name;
    if (!is_host(pointer) || destination_form_take(&base) == DESTINATION_ITSELF)
        return 0;
    int r = host_name_read(base, &name, err);
    if (r == 1)
        r = host_name_is_public_suffix(&name, err);
    if (r <= 0)
        return r;
    return lint_find(v->lint, v->rule, v->document, pointer.ptr,
                     "anyone can register a name below %s; name the hosts that are meant",
                     name.text);
}

int check_public_suffix_wildcard(struct lint *lint, const struct rule *rule,
                                 const struct lint_document *document, struct err *err)
{
    struct lint_visit visit = { lint, rule, document };
    return visit_strings(document->root, visit_suffix, &visit, err);
}

static int visit_address(void *context, struct str pointer, const yyjson_val *string,
                         struct err *err)
{
    const struct lint_visit *v = context;
    struct str base = json_str(string);
    struct address_range address;
    struct host_name name;
    char text[ADDRESS_RANGE_TEXT_SIZE];
    if (!is_host(pointer))
        return 0;
    destination_form_take(&base);
    int r = host_name_read(base, &name, err);
    if (r < 0 || r == 0 || !address_read_odd(&name, &address))
        return r < 0 ? r : 0;
    address_range_text(&address, text);
    return lint_find(v->lint, v->rule, v->document, pointer.ptr,
                     "%.*s is matched as the address %s; write that in a list of addresses",
                     STR_ARG(json_str(string)), text);
}

int check_address_among_names(struct lint *lint, const struct rule *rule,
                              const struct lint_document *document, struct err *err)
{
    struct lint_visit visit = { lint, rule, document };
    return visit_strings(document->root, visit_address, &visit, err);
}

static int visit_range(void *context, struct str pointer, const yyjson_val *string, struct err *err)
{
    static const char *const members[] = { "allowCidrs", "denyCidrs" };
    const struct lint_visit *v = context;
    struct address_range range;
    char text[ADDRESS_RANGE_TEXT_SIZE];
    (void)err;
    if (!is_among(pointer_member(pointer), members, ARRAY_LEN(members)) ||
        !address_range_read(json_str(string), &range) || !range.has_host_bits)
        return 0;
    address_range_text(&range, text);
    return lint_find(v->lint, v->rule, v->document, pointer.ptr,
                     "%.*s covers all of %s; write that, or the address alone",
                     STR_ARG(json_str(string)), text);
}

int check_cidr_has_host_bits(struct lint *lint, const struct rule *rule,
                             const struct lint_document *document, struct err *err)
{
    struct lint_visit visit = { lint, rule, document };
    return visit_strings(document->root, visit_range, &visit, err);
}

/* --- entries -------------------------------------------------------------------------------- */

/* Where an array has "*"; its count where it has none. */
static size_t find_star(const yyjson_val *array)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)array, index, count, item)
    {
        if (text_is(item, "*"))
            return index;
    }
    return yyjson_arr_size((yyjson_val *)array);
}

int check_star_restates_default(struct lint *lint, const struct rule *rule,
                                const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *entry;
    (void)err;
    yyjson_arr_foreach(member(document->root, "profiles"), index, count, entry)
    {
        const yyjson_val *allowed = member(entry, "allowDomains");
        const yyjson_val *denied = member(entry, "denyDomains");
        const yyjson_val *other = member(entry, "defaultEgress");
        bool allows = text_is(other, "allow-any");
        bool denies = text_is(other, "deny") || text_is(other, "allow-listed");
        size_t allow = find_star(allowed), deny = find_star(denied);
        if (allow < yyjson_arr_size((yyjson_val *)allowed) && !allows)
            lint_find(lint, rule, document,
                      pointer_to("/profiles/%zu/allowDomains/%zu", index, allow).text,
                      "this opens nothing: defaultEgress decides on hosts that are not listed; set "
                      "it to allow-any, or leave * out");
        if (deny < yyjson_arr_size((yyjson_val *)denied) && !denies)
            lint_find(lint, rule, document,
                      pointer_to("/profiles/%zu/denyDomains/%zu", index, deny).text,
                      "this closes nothing: defaultEgress decides on hosts that are not listed; "
                      "set it to allow-listed, or leave * out");
    }
    return 0;
}

/* Reports whatever a list of an offline entry has that is not on this machine. */
static int check_offline_list(const struct lint_visit *v, const yyjson_val *entry,
                              size_t entry_index, const char *list, struct err *err)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination destination;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(member(entry, list), index, count, item)
    {
        int r = destination_read(text_of(item), path, &destination, err);
        if (r < 0)
            return r;
        if (r == 0 || !destination_is_loopback(&destination))
            lint_find(v->lint, v->rule, v->document,
                      pointer_to("/profiles/%zu/%s/%zu", entry_index, list, index).text,
                      "%.*s is not this machine; leave it out, or give the entry another class",
                      STR_ARG(text_of(item)));
    }
    return 0;
}

int check_offline_reaches_nothing(struct lint *lint, const struct rule *rule,
                                  const struct lint_document *document, struct err *err)
{
    static const char *const ways[] = { "proxyRef", "meshBindingRef" };
    const struct lint_visit visit = { lint, rule, document };
    size_t index, count;
    yyjson_val *entry;
    yyjson_arr_foreach(member(document->root, "profiles"), index, count, entry)
    {
        if (!text_is(member(entry, "profileClass"), "offline"))
            continue;
        if (!text_is(member(entry, "defaultEgress"), "deny"))
            lint_find(lint, rule, document, pointer_to("/profiles/%zu/defaultEgress", index).text,
                      "an offline entry lets nothing out; say deny, or give it another class");
        int r = check_offline_list(&visit, entry, index, "allowDomains", err);
        if (r == 0)
            r = check_offline_list(&visit, entry, index, "allowCidrs", err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
            if (text_of(member(entry, ways[i])).len)
                lint_find(lint, rule, document, pointer_to("/profiles/%zu/%s", index, ways[i]).text,
                          "an offline entry has no way out; leave this out, or give the entry "
                          "another class");
        }
    }
    return 0;
}

/* --- listings ------------------------------------------------------------------------------- */

struct listed {
    struct destination destination;
    const yyjson_val *entry; /* that lists it */
    const yyjson_val *text;
};

struct listing {
    struct listed *items;
    size_t count, capacity;
    struct arena paths;
};

static void listing_release(struct listing *listing)
{
    free(listing->items);
    arena_release(&listing->paths);
}

static int listing_add(struct listing *listing, const yyjson_val *entry, const yyjson_val *text,
                       struct err *err)
{
    char path[DESTINATION_PATH_SIZE];
    struct listed listed = { .entry = entry, .text = text };
    int r = destination_read(text_of(text), path, &listed.destination, err);
    if (r <= 0)
        return r;
    if (listing->count == listing->capacity) {
        size_t larger = listing->capacity ? listing->capacity * 2 : 64;
        struct listed *grown = realloc(listing->items, larger * sizeof(*grown));
        if (!grown)
            return out_of_memory(err);
        listing->items = grown;
        listing->capacity = larger;
    }
    listed.destination.path.ptr = arena_copy(&listing->paths, listed.destination.path);
    if (!listed.destination.path.ptr)
        return out_of_memory(err);
    listing->items[listing->count++] = listed;
    return 0;
}

static int listing_add_all(struct listing *listing, const yyjson_val *entry, const char *list,
                           struct err *err)
{
    size_t index, count;
    yyjson_val *text;
    int r = 0;
    yyjson_arr_foreach(member(entry, list), index, count, text)
    {
        r = r < 0 ? r : listing_add(listing, entry, text, err);
    }
    return r;
}

/* By path and then by form, so that what lies below a destination stands behind it. */
static int destination_compare(const struct destination *a, const struct destination *b)
{
    size_t least = a->path.len < b->path.len ? a->path.len : b->path.len;
    int order = memcmp(a->path.ptr, b->path.ptr, least);
    if (order == 0)
        order = (a->path.len > b->path.len) - (a->path.len < b->path.len);
    return order ? order : (int)a->form - (int)b->form;
}

static int by_destination(const void *a_, const void *b_)
{
    const struct listed *a = a_, *b = b_;
    int order = destination_compare(&a->destination, &b->destination);
    return order ? order : (a->text > b->text) - (a->text < b->text);
}

static void listing_sort(struct listing *listing)
{
    if (listing->count)
        qsort(listing->items, listing->count, sizeof(*listing->items), by_destination);
}

/* Index of the first item that does not stand before a destination. */
static size_t listing_bound(const struct listing *listing, const struct destination *destination)
{
    size_t low = 0, high = listing->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (destination_compare(&listing->items[middle].destination, destination) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The item that is just this destination; NULL where there is none. */
static const struct listed *listing_find(const struct listing *listing,
                                         const struct destination *destination)
{
    size_t i = listing_bound(listing, destination);
    return i < listing->count &&
                   destination_compare(&listing->items[i].destination, destination) == 0
               ? &listing->items[i]
               : NULL;
}

/* The most specific item that covers a destination, "*" aside; NULL where none does. */
static const struct listed *listing_find_cover(const struct listing *listing,
                                               const struct destination *destination)
{
    struct destination wide = *destination;
    do {
        for (int form = 0; form < DESTINATION_FORM_COUNT; form++) {
            wide.form = (enum destination_form)form;
            const struct listed *found =
                destination_covers(&wide, destination) ? listing_find(listing, &wide) : NULL;
            if (found)
                return found;
        }
    } while (destination_climb(&wide));
    return NULL;
}

/* Whether an item is covered by a destination that is more than one name. */
static bool listing_has_below(const struct listing *listing, const struct destination *destination)
{
    struct destination first = { DESTINATION_ITSELF, destination->path };
    for (size_t i = listing_bound(listing, &first);
         i < listing->count && destination->form != DESTINATION_ITSELF &&
         str_starts(listing->items[i].destination.path, destination->path);
         i++) {
        if (destination_covers(destination, &listing->items[i].destination))
            return true;
    }
    return false;
}

/* --- two lists ------------------------------------------------------------------------------ */

/* The lists of a NetworkAccessProfile's entry, and those of a mesh's traffic. */
static const struct list_pair {
    const char *allow, *deny;
} list_pairs[] = {
    { "allowDomains", "denyDomains" },
    { "allowCidrs", "denyCidrs" },
    { "allowedHosts", "deniedHosts" },
};

/* Calls check for every allow of an entry, whose pointer is given. */
typedef int check_allow(const struct lint_visit *v, const void *context, const char *pointer,
                        const yyjson_val *allow, const struct destination *destination);

static int visit_allows(const struct lint_visit *v, const yyjson_val *entry,
                        const char *entry_pointer, check_allow *check, const void *context,
                        struct err *err)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination destination;
    size_t index, count;
    yyjson_val *allow;
    for (size_t i = 0; i < ARRAY_LEN(list_pairs); i++) {
        yyjson_arr_foreach(member(entry, list_pairs[i].allow), index, count, allow)
        {
            int r = destination_read(text_of(allow), path, &destination, err);
            if (r == 1)
                r = check(v, context,
                          pointer_to("%s/%s/%zu", entry_pointer, list_pairs[i].allow, index).text,
                          allow, &destination);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int check_cancelled(const struct lint_visit *v, const void *context, const char *pointer,
                           const yyjson_val *allow, const struct destination *destination)
{
    const struct listed *deny = listing_find(context, destination);
    if (!deny)
        return 0;
    return lint_find(v->lint, v->rule, v->document, pointer,
                     "%.*s is denied here as %.*s; leave one of the two out",
                     STR_ARG(text_of(allow)), STR_ARG(text_of(deny->text)));
}

static int check_entry_cancels(const struct lint_visit *v, const yyjson_val *entry,
                               const char *pointer, struct err *err)
{
    struct listing denied = { 0 };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(list_pairs); i++)
        r = listing_add_all(&denied, entry, list_pairs[i].deny, err);
    listing_sort(&denied);
    if (r == 0)
        r = visit_allows(v, entry, pointer, check_cancelled, &denied, err);
    listing_release(&denied);
    return r;
}

int check_allow_cancelled(struct lint *lint, const struct rule *rule,
                          const struct lint_document *document, struct err *err)
{
    const struct lint_visit visit = { lint, rule, document };
    const yyjson_val *traffic = member(document->root, "traffic");
    size_t index, count;
    yyjson_val *entry;
    int r = traffic ? check_entry_cancels(&visit, traffic, "/traffic", err) : 0;
    yyjson_arr_foreach(member(document->root, "profiles"), index, count, entry)
    {
        if (r == 0)
            r = check_entry_cancels(&visit, entry, pointer_to("/profiles/%zu", index).text, err);
    }
    return r;
}

/* What the entries of a document that speak for the enterprise layer answer. */
struct enterprise {
    struct listing allowed, denied;
    const yyjson_val *denying_entry; /* denies what it does not list; NULL where none does */
};

static void cleanup_enterprise(struct enterprise *enterprise)
{
    listing_release(&enterprise->allowed);
    listing_release(&enterprise->denied);
}

static bool speaks_for_user(const yyjson_val *entry)
{
    return text_is(member(entry, "profileClass"), "user-firewall");
}

static int enterprise_read(struct enterprise *enterprise, const yyjson_val *root, struct err *err)
{
    size_t index, count;
    yyjson_val *entry;
    int r = 0;
    yyjson_arr_foreach(member(root, "profiles"), index, count, entry)
    {
        const yyjson_val *kind = member(entry, "profileClass");
        const yyjson_val *other = member(entry, "defaultEgress");
        if (speaks_for_user(entry))
            continue;
        for (size_t i = 0; r == 0 && i < ARRAY_LEN(list_pairs); i++) {
            r = listing_add_all(&enterprise->allowed, entry, list_pairs[i].allow, err);
            if (r == 0)
                r = listing_add_all(&enterprise->denied, entry, list_pairs[i].deny, err);
        }
        bool is_complete = text_is(kind, "corporate-firewall") || text_is(kind, "offline");
        if (is_complete && !enterprise->denying_entry &&
            (text_is(other, "deny") || text_is(other, "allow-listed")))
            enterprise->denying_entry = entry;
    }
    listing_sort(&enterprise->allowed);
    listing_sort(&enterprise->denied);
    return r;
}

/* Of two items that cover one destination the longer path is more specific, then the name alone. */
static bool is_more_specific(const struct listed *a, const struct listed *b)
{
    if (a->destination.path.len != b->destination.path.len)
        return a->destination.path.len > b->destination.path.len;
    return a->destination.form == DESTINATION_ITSELF && b->destination.form != DESTINATION_ITSELF;
}

static int check_against_enterprise(const struct lint_visit *v, const void *context,
                                    const char *pointer, const yyjson_val *allow,
                                    const struct destination *destination)
{
    const struct enterprise *enterprise = context;
    if (!destination->path.len) /* "*" */
        return 0;
    const struct listed *allowed = listing_find_cover(&enterprise->allowed, destination);
    const struct listed *denied = listing_find_cover(&enterprise->denied, destination);
    if (denied && !(allowed && is_more_specific(allowed, denied)))
        return lint_find(v->lint, v->rule, v->document, pointer,
                         "the enterprise's entry %.*s denies %.*s, and so this has no effect; "
                         "leave it out, or have that entry changed",
                         STR_ARG(text_of(member(denied->entry, "profileId"))),
                         STR_ARG(text_of(denied->text)));
    if (!denied && !allowed && enterprise->denying_entry &&
        !listing_has_below(&enterprise->allowed, destination))
        return lint_find(v->lint, v->rule, v->document, pointer,
                         "the enterprise's entry %.*s denies what it does not list, and so %.*s "
                         "has no effect; leave it out, or have it listed there",
                         STR_ARG(text_of(member(enterprise->denying_entry, "profileId"))),
                         STR_ARG(text_of(allow)));
    return 0;
}

int check_user_allows_denied(struct lint *lint, const struct rule *rule,
                             const struct lint_document *document, struct err *err)
{
    static const char *const scopes[] = { "enterprise", "cluster", "agent-machine" };
    const struct lint_visit visit = { lint, rule, document };
    _cleanup_(cleanup_enterprise) struct enterprise enterprise = { 0 };
    size_t index, count;
    yyjson_val *entry;
    if (!is_among(text_of(member(document->root, "scope")), scopes, ARRAY_LEN(scopes)))
        return 0;
    int r = enterprise_read(&enterprise, document->root, err);
    yyjson_arr_foreach(member(document->root, "profiles"), index, count, entry)
    {
        if (r == 0 && speaks_for_user(entry))
            r = visit_allows(&visit, entry, pointer_to("/profiles/%zu", index).text,
                             check_against_enterprise, &enterprise, err);
    }
    return r;
}
