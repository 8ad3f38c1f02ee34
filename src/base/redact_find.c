/*
 * redact_find: anchors by Vectorscan (few by hand), patterns by PCRE2.
 *
 * Theory of operation
 *
 * The rules' anchors, each once, are compiled into one database of plain
 * literals; Vectorscan runs over the block and calls back for each anchor it
 * meets. Each rule of that anchor then tries its pattern, by PCRE2, at the one
 * place where it could start. So what every byte pays is a literal matcher's
 * price, and what a regular expression costs is paid next to anchors alone.
 *
 * To load Vectorscan and to compile the anchors takes milliseconds, which is
 * more than a verb that looks at one document takes altogether. So the first
 * REDACT_SMALL_BYTES_MAX bytes are searched with a table of the anchors' first
 * two bytes instead, and Vectorscan is loaded when more comes. Patterns are
 * compiled when an anchor of theirs is first met.
 *
 * Giving Vectorscan the patterns whole was measured: a hundred times the time
 * to compile, half the throughput, and still a second engine for the part of
 * a match that is the secret.
 *
 * Invariants
 *
 * 1. A pattern sees REDACT_LOOK_BEHIND_BYTES before its start, nothing past
 *    REDACT_HEAD_BYTES_MAX after it, and nothing past a line end (but for the
 *    rules of private keys). So whether it matches does not depend on where
 *    the blocks are cut.
 * 2. A pattern that starts before *cut has all it may see inside the block:
 *    try_rule leaves the others to the next block.
 * 3. A pattern that would take more than MATCH_STEPS_MAX steps is taken for a
 *    match up to the end of its line: when in doubt, it is masked.
 *
 * Threats: the text is hostile. Vectorscan's literal matcher is linear and
 * calls back at most once per anchor and byte; each call is bounded by 3.
 */
#include "base/redact_find.h"

#include <hs/hs.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/lazy.h"
#include "base/redact_check.h"
#include "base/redact_literals.h"

#define ANCHORS_MAX       512
#define PAIRS             65536 /* of bytes */
#define MATCH_STEPS_MAX   20000
#define HITS_CAPACITY_MIN 16
#define PLACEHOLDER_BYTES 8 /* what ends in so many equal bytes is no secret */
#define COLOUR_BYTES_MAX  24
#define ASSIGN_BYTES_MAX  80 /* a name, and what may stand between it and "=" */
#define BACKTRACK_KIB_MAX 512
#define JIT_STACK_MIN     ((size_t)32 << 10)
#define JIT_STACK_MAX     ((size_t)512 << 10)

#define HS_FUNCTIONS(X)                                                                            \
    X(hs_valid_platform)                                                                           \
    X(hs_compile_lit_multi)                                                                        \
    X(hs_free_compile_error)                                                                       \
    X(hs_free_database)                                                                            \
    X(hs_alloc_scratch)                                                                            \
    X(hs_free_scratch)                                                                             \
    X(hs_scan)
LAZY_LIBRARY(hs, "libhs.so.5", HS_FUNCTIONS)

/* A literal that wakes a rule. Those with the same literal stand together. */
struct anchor {
    struct str literal;
    bool caseless;
    uint32_t rule;
};

struct redact_scanner {
    size_t scanned;          /* bytes, by hand */
    hs_database_t *database; /* NULL until there was more than that */
    hs_scratch_t *scratch;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count;
    uint8_t pairs[PAIRS / 8]; /* bits: two bytes with which an anchor begins */
    uint16_t first_of[256];   /* the first anchor that begins with a byte, if one does */
    pcre2_code **patterns;    /* one per rule, compiled when it is first tried */
    pcre2_match_data *found;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    const struct redact_literals *literals; /* NULL: none */
};

/* What the callback needs of one redact_find. */
struct search {
    struct redact_scanner *scanner;
    const struct redact_block *block;
    size_t from, cut; /* within the block */
    struct redact_hits *hits;
    struct err *err;
    int failed; /* -errno, told in err */
};

void redact_hits_release(struct redact_hits *hits)
{
    free(hits->items);
    *hits = (struct redact_hits){ 0 };
}

static int make_room(struct redact_scanner *scanner, struct err *err);
static int collect_anchors(struct redact_scanner *scanner, struct err *err);
static void note_beginnings(struct redact_scanner *scanner);

int redact_scanner_new(struct redact_scanner **ret, struct err *err)
{
    struct redact_scanner *scanner = calloc(1, sizeof(*scanner));
    if (!scanner)
        return err_set_errno(err, ENOMEM, "scan for secrets", "compile the rules");
    int r = make_room(scanner, err);
    if (r == 0)
        r = collect_anchors(scanner, err);
    if (r < 0) {
        redact_scanner_free(scanner);
        return r;
    }
    note_beginnings(scanner);
    *ret = scanner;
    return 0;
}

void redact_scanner_free(struct redact_scanner *scanner)
{
    if (!scanner)
        return;
    for (size_t i = 0; scanner->patterns && i < redact_rule_count(); i++)
        pcre2_code_free(scanner->patterns[i]);
    free(scanner->patterns);
    pcre2_match_data_free(scanner->found);
    pcre2_match_context_free(scanner->limits);
    pcre2_jit_stack_free(scanner->stack);
    if (scanner->scratch)
        hs.hs_free_scratch(scanner->scratch);
    if (scanner->database)
        hs.hs_free_database(scanner->database);
    free(scanner);
}

void redact_scanner_use(struct redact_scanner *scanner, const struct redact_literals *literals)
{
    scanner->literals = literals;
}

static int make_room(struct redact_scanner *scanner, struct err *err)
{
    scanner->patterns = calloc(redact_rule_count(), sizeof(*scanner->patterns));
    scanner->found = pcre2_match_data_create(2, NULL);
    scanner->limits = pcre2_match_context_create(NULL);
    scanner->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
    if (!scanner->patterns || !scanner->found || !scanner->limits || !scanner->stack)
        return err_set_errno(err, ENOMEM, "scan for secrets", "compile the rules");
    pcre2_set_match_limit(scanner->limits, MATCH_STEPS_MAX);
    pcre2_jit_stack_assign(scanner->limits, NULL, scanner->stack);
    pcre2_set_heap_limit(scanner->limits, BACKTRACK_KIB_MAX);
    return 0;
}

static int by_literal(const void *a_, const void *b_)
{
    const struct anchor *a = a_, *b = b_;
    size_t len = a->literal.len < b->literal.len ? a->literal.len : b->literal.len;
    int order = memcmp(a->literal.ptr, b->literal.ptr, len);
    if (order)
        return order;
    if (a->literal.len != b->literal.len)
        return a->literal.len < b->literal.len ? -1 : 1;
    if (a->caseless != b->caseless)
        return a->caseless ? 1 : -1;
    return a->rule < b->rule ? -1 : 1;
}

static bool same_literal(const struct anchor *a, const struct anchor *b)
{
    return str_equal(a->literal, b->literal) && a->caseless == b->caseless;
}

static int collect_anchors(struct redact_scanner *scanner, struct err *err)
{
    for (uint32_t i = 0; i < redact_rule_count(); i++) {
        const struct redact_rule *rule = redact_rule_at(i);
        struct str all = str_from(rule->anchors ? rule->anchors : "");
        for (size_t at = 0; at < all.len;) {
            size_t end = str_index(all, '|', at);
            if (scanner->anchor_count == ANCHORS_MAX)
                return err_set(err, ERR_UNSUPPORTED, "scan for secrets",
                               "the rules have more than %d anchors", ANCHORS_MAX);
            scanner->anchors[scanner->anchor_count++] = (struct anchor){
                .literal = { all.ptr + at, end - at },
                .caseless = rule->flags & REDACT_CASELESS,
                .rule = i,
            };
            at = end + 1;
        }
    }
    qsort(scanner->anchors, scanner->anchor_count, sizeof(scanner->anchors[0]), by_literal);
    return 0;
}

static char other_case(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ? c ^ 0x20 : c;
}

static void note_pair(struct redact_scanner *scanner, char first, char second)
{
    size_t pair = (size_t)(unsigned char)first << 8 | (unsigned char)second;
    scanner->pairs[pair / 8] |= (uint8_t)(1u << pair % 8);
}

static void note_beginnings(struct redact_scanner *scanner)
{
    for (size_t i = scanner->anchor_count; i-- > 0;) {
        const struct anchor *anchor = &scanner->anchors[i];
        char first = anchor->literal.ptr[0], second = anchor->literal.ptr[1];
        scanner->first_of[(unsigned char)first] = (uint16_t)i;
        note_pair(scanner, first, second);
        if (!anchor->caseless)
            continue;
        note_pair(scanner, other_case(first), second);
        note_pair(scanner, first, other_case(second));
        note_pair(scanner, other_case(first), other_case(second));
    }
}

static int search_by_hand(struct search *search);
static int search_by_vectorscan(struct search *search);
static int search_literals(struct search *search);

int redact_find(struct redact_scanner *scanner, const struct redact_block *block, uint64_t from,
                uint64_t *cut, struct redact_hits *hits, struct err *err)
{
    if (block->text.len == 0)
        return 0;
    struct search search = {
        .scanner = scanner,
        .block = block,
        .from = (size_t)(from - block->at),
        .cut = (size_t)(*cut - block->at),
        .hits = hits,
        .err = err,
    };
    bool small = !scanner->database && block->text.len <= REDACT_SMALL_BYTES_MAX - scanner->scanned;
    int r = small ? search_by_hand(&search) : search_by_vectorscan(&search);
    if (r == 0 && scanner->literals)
        r = search_literals(&search);
    if (r < 0)
        return r;
    *cut = block->at + search.cut;
    return 0;
}

static int try_rule(struct search *search, uint32_t index, size_t at);

static bool stands_at(const struct anchor *anchor, const char *text, size_t len)
{
    struct str literal = anchor->literal;
    if (len < literal.len)
        return false;
    if (!anchor->caseless)
        return memcmp(text, literal.ptr, literal.len) == 0;
    for (size_t i = 0; i < literal.len; i++)
        if (text[i] != literal.ptr[i] && text[i] != other_case(literal.ptr[i]))
            return false;
    return true;
}

/* Tries the rules of all anchors that begin with a byte and stand at a place. */
static int try_anchors(struct search *search, char first, size_t at)
{
    const struct redact_scanner *scanner = search->scanner;
    struct str text = search->block->text;
    int r = 0;
    for (size_t i = scanner->first_of[(unsigned char)first]; r == 0 && i < scanner->anchor_count;
         i++) {
        const struct anchor *anchor = &scanner->anchors[i];
        if (anchor->literal.ptr[0] != first)
            break;
        if (stands_at(anchor, text.ptr + at, text.len - at))
            r = try_rule(search, anchor->rule, at);
    }
    return r;
}

static int search_by_hand(struct search *search)
{
    struct redact_scanner *scanner = search->scanner;
    struct str text = search->block->text;
    int r = 0;
    scanner->scanned += text.len;
    for (size_t at = 0; r == 0 && at + 1 < text.len; at++) {
        char first = text.ptr[at];
        size_t pair = (size_t)(unsigned char)first << 8 | (unsigned char)text.ptr[at + 1];
        if (!(scanner->pairs[pair / 8] >> pair % 8 & 1))
            continue;
        r = try_anchors(search, first, at);
        if (r == 0 && other_case(first) != first)
            r = try_anchors(search, other_case(first), at);
    }
    return r;
}

static int on_anchor(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                     void *context);

static int compile_anchors(struct redact_scanner *scanner, struct err *err)
{
    const char *literals[ANCHORS_MAX];
    size_t lens[ANCHORS_MAX];
    unsigned flags[ANCHORS_MAX], ids[ANCHORS_MAX], count = 0;
    for (size_t i = 0; i < scanner->anchor_count; i++) {
        const struct anchor *anchor = &scanner->anchors[i];
        if (i > 0 && same_literal(anchor, anchor - 1))
            continue;
        literals[count] = anchor->literal.ptr;
        lens[count] = anchor->literal.len;
        flags[count] = anchor->caseless ? HS_FLAG_CASELESS : 0;
        ids[count++] = (unsigned)i;
    }
    hs_compile_error_t *error = NULL;
    hs_error_t r = hs.hs_compile_lit_multi(literals, flags, ids, lens, count, HS_MODE_BLOCK, NULL,
                                           &scanner->database, &error);
    if (r != HS_SUCCESS) {
        int result = err_set(err, ERR_UNSUPPORTED, "scan for secrets",
                             "Vectorscan does not compile the anchors: %s",
                             error ? error->message : "no reason given");
        hs.hs_free_compile_error(error);
        return result;
    }
    if (hs.hs_alloc_scratch(scanner->database, &scanner->scratch) != HS_SUCCESS)
        return err_set_errno(err, ENOMEM, "scan for secrets", "prepare Vectorscan");
    return 0;
}

static int load_vectorscan(struct redact_scanner *scanner, struct err *err)
{
    int r = lazy_load(&hs_library, err);
    if (r < 0)
        return r;
    if (hs.hs_valid_platform() != HS_SUCCESS)
        return err_set(err, ERR_UNSUPPORTED, "scan for secrets",
                       "Vectorscan does not run on this processor");
    return compile_anchors(scanner, err);
}

static int search_by_vectorscan(struct search *search)
{
    struct redact_scanner *scanner = search->scanner;
    struct str text = search->block->text;
    int failed = scanner->database ? 0 : load_vectorscan(scanner, search->err);
    if (failed < 0)
        return failed;
    hs_error_t r = hs.hs_scan(scanner->database, text.ptr, (unsigned)text.len, 0, scanner->scratch,
                              on_anchor, search);
    if (search->failed < 0)
        return search->failed;
    if (r == HS_NOMEM)
        return err_set_errno(search->err, ENOMEM, "scan for secrets", "note what was found");
    return r == HS_SUCCESS ? 0
                           : err_set(search->err, ERR_UNSUPPORTED, "scan for secrets",
                                     "Vectorscan failed (error %d)", r);
}

static int on_anchor(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                     void *context)
{
    (void)from, (void)flags;
    struct search *search = context;
    const struct anchor *first = &search->scanner->anchors[id];
    const struct anchor *end = search->scanner->anchors + search->scanner->anchor_count;
    size_t at = (size_t)to - first->literal.len;
    for (const struct anchor *anchor = first; anchor < end; anchor++) {
        if (!same_literal(anchor, first))
            break;
        if (try_rule(search, anchor->rule, at) < 0)
            return 1;
    }
    return 0;
}

static bool assigns(struct str text, size_t at);
static int need_pattern(struct search *search, uint32_t index);
static bool is_free(const struct redact_block *block, size_t start);
static bool could_match(struct search *search, uint32_t index, size_t start);
enum found { FOUND_NOTHING, FOUND, FOUND_IN_DOUBT };
static enum found match(struct search *search, uint32_t index, size_t start,
                        struct str *ret_secret);
static bool is_placeholder(const struct redact_rule *rule, struct str head);
static int add_hit(struct search *search, uint32_t rule, struct str secret);

/* Tries a rule whose anchor stands at `at`. */
static int try_rule(struct search *search, uint32_t index, size_t at)
{
    const struct redact_block *block = search->block;
    const struct redact_rule *rule = redact_rule_at(index);
    if (at < rule->lead || at - rule->lead < search->from || at - rule->lead >= search->cut)
        return 0;
    size_t start = at - rule->lead;
    if ((rule->flags & REDACT_BOUNDED) && !is_free(block, start))
        return 0;
    if ((rule->flags & REDACT_ASSIGNS) && !assigns(block->text, start))
        return 0;
    if (!search->scanner->patterns[index] && need_pattern(search, index) < 0)
        return search->failed;
    if ((rule->flags & REDACT_LINES) && !block->last &&
        block->text.len - start < REDACT_HEAD_BYTES_MAX) {
        if (could_match(search, index, start))
            search->cut = start;
        return 0;
    }
    struct str secret;
    enum found found = match(search, index, start, &secret);
    if (found == FOUND_NOTHING || is_placeholder(rule, secret) ||
        (found == FOUND && !redact_check_holds(rule->check, secret)))
        return 0;
    return add_hit(search, index, secret);
}

static int need_pattern(struct search *search, uint32_t index)
{
    const struct redact_rule *rule = redact_rule_at(index);
    int error;
    PCRE2_SIZE place;
    pcre2_code *pattern = pcre2_compile((PCRE2_SPTR)rule->pattern, PCRE2_ZERO_TERMINATED,
                                        PCRE2_ANCHORED | PCRE2_NEVER_UTF, &error, &place, NULL);
    if (!pattern) {
        search->failed = err_set(search->err, ERR_UNSUPPORTED, "scan for secrets",
                                 "PCRE2 does not compile the rule %s (error %d at byte %zu)",
                                 rule->id, error, place);
        return search->failed;
    }
    /* Where the host forbids code that is made at run time, pcre2_match interprets. */
    (void)pcre2_jit_compile(pattern, PCRE2_JIT_COMPLETE);
    search->scanner->patterns[index] = pattern;
    return 0;
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/*
 * Whether something may be assigned to the name at a place: what its rule's pattern asks first, and
 * in most texts, where such words are only spoken of, in vain.
 */
static bool assigns(struct str text, size_t at)
{
    size_t end = text.len - at < ASSIGN_BYTES_MAX ? text.len : at + ASSIGN_BYTES_MAX;
    at += text.ptr[at] == '"';
    while (at < end && (is_word(text.ptr[at]) || text.ptr[at] == '-'))
        at++;
    while (at < end && strchr("\\\"'`] \t", text.ptr[at]) && text.ptr[at])
        at++;
    return at == end || text.ptr[at] == '=' || text.ptr[at] == ':' || text.ptr[at] == '>';
}

/* Whether a terminal's colour sequence (ESC [ 1 ; 32 m) ends before `end`. */
static bool is_after_colour(const char *text, size_t end)
{
    if (end < 3 || text[end - 1] != 'm')
        return false;
    size_t at = end - 1;
    while (at > 1 && end - at < COLOUR_BYTES_MAX &&
           ((text[at - 1] >= '0' && text[at - 1] <= '9') || text[at - 1] == ';'))
        at--;
    return at > 1 && text[at - 1] == '[' && text[at - 2] == '\033';
}

/* Whether no word goes on before the start. The end of an escape (\n, %3D, a colour) is no word. */
static bool is_free(const struct redact_block *block, size_t start)
{
    const char *text = block->text.ptr;
    if (start == 0 || !is_word(text[start - 1]))
        return true;
    if (start >= 2 && text[start - 2] == '\\' && strchr("nrtbf", text[start - 1]))
        return true;
    if (start >= 3 && text[start - 3] == '%' && is_hex(text[start - 2]) && is_hex(text[start - 1]))
        return true;
    return is_after_colour(text, start);
}

/* Whether a pattern that sees no more than the block could match once more is known. */
static bool could_match(struct search *search, uint32_t index, size_t start)
{
    struct redact_scanner *scanner = search->scanner;
    struct str text = search->block->text;
    return pcre2_match(scanner->patterns[index], (PCRE2_SPTR)text.ptr, text.len, start,
                       PCRE2_PARTIAL_HARD, scanner->found, scanner->limits) != PCRE2_ERROR_NOMATCH;
}

static struct str rest_of_line(struct str text, size_t start, size_t end)
{
    size_t stop = start;
    while (stop < end && text.ptr[stop] != '\n' && text.ptr[stop] != '\r')
        stop++;
    return str_make(text.ptr + start, stop - start);
}

static enum found match(struct search *search, uint32_t index, size_t start, struct str *ret_secret)
{
    struct redact_scanner *scanner = search->scanner;
    struct str text = search->block->text;
    size_t end =
        text.len - start < REDACT_HEAD_BYTES_MAX ? text.len : start + REDACT_HEAD_BYTES_MAX;
    int r = pcre2_match(scanner->patterns[index], (PCRE2_SPTR)text.ptr, end, start, 0,
                        scanner->found, scanner->limits);
    if (r == PCRE2_ERROR_NOMATCH)
        return FOUND_NOTHING;
    if (r < 0) {
        *ret_secret = rest_of_line(text, start, end);
        return FOUND_IN_DOUBT;
    }
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(scanner->found);
    span += r > 1 && span[2] != PCRE2_UNSET ? 2 : 0;
    *ret_secret = str_make(text.ptr + span[0], span[1] - span[0]);
    return FOUND;
}

/* Whether every byte is the same as the first. */
static bool repeats(struct str s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] != s.ptr[0])
            return false;
    }
    return true;
}

/* Whether a password is the name of one: $X, ${X}, {x}, #{x}, %s, %X%, %(x)s; or what masked it. */
static bool is_variable(struct str s)
{
    if (s.ptr[0] == '$' || s.ptr[0] == '{' || str_starts(s, STR("#{")) ||
        str_starts(s, STR("[redacted:")))
        return true;
    return s.len >= 2 && s.ptr[0] == '%' &&
           (s.len == 2 || s.ptr[1] == '(' || s.ptr[s.len - 1] == '%');
}

/* Whether the head found is no secret but stands in the place of one. */
static bool is_placeholder(const struct redact_rule *rule, struct str head)
{
    if (head.len == 0)
        return true;
    if (rule->flags & REDACT_LINES) /* a key may well have zeros in it */
        return false;
    if (is_variable(head))
        return true;
    if (head.len > PLACEHOLDER_BYTES)
        return repeats(str_from_offset(head, head.len - PLACEHOLDER_BYTES));
    char c = head.ptr[0];
    return repeats(head) && (c == '*' || (head.len > 2 && (c == '.' || c == 'x' || c == 'X')));
}

static int add_hit(struct search *search, uint32_t rule, struct str secret)
{
    struct redact_hits *hits = search->hits;
    if (hits->count == hits->capacity) {
        size_t capacity = hits->capacity ? 2 * hits->capacity : HITS_CAPACITY_MIN;
        struct redact_hit *items = realloc(hits->items, capacity * sizeof(*items));
        if (!items) {
            search->failed =
                err_set_errno(search->err, ENOMEM, "scan for secrets", "note what was found");
            return search->failed;
        }
        hits->items = items;
        hits->capacity = capacity;
    }
    uint64_t start = search->block->at + (uint64_t)(secret.ptr - search->block->text.ptr);
    hits->items[hits->count++] = (struct redact_hit){ start, start + secret.len, rule };
    return 0;
}

/* A literal holds no line end and is shorter than a head: it lies in the block where it starts. */
static int search_literals(struct search *search)
{
    struct redact_literal_found found;
    size_t at = search->from;
    int r = 0;
    while (r == 0 &&
           redact_literals_next(search->scanner->literals, search->block->text, &at, &found) &&
           found.start < search->cut)
        if (found.start >= search->from)
            r = add_hit(search, found.in_base64 ? REDACT_RULE_OWN_BASE64 : REDACT_RULE_OWN,
                        str_make(search->block->text.ptr + found.start, found.len));
    return r;
}
