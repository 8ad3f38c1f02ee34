/*
 * redact: from hits to masks, over a text that comes in pieces.
 *
 * Theory of operation
 *
 * A pass goes over a text once, in blocks. Each block begins a little before
 * what is still undecided, so that rules can look behind, and is decided up to
 * a cut: the last line end, or REDACT_HEAD_BYTES_MAX before the end of the
 * block, whichever is further. redact_find gives the hits that start before
 * the cut; sorted, they open, extend and close one region after the other.
 * What lies between regions is given out as it is, straight from the block;
 * for a region its mask is given out once, when it opens. What lies behind the
 * cut is looked at again with the next block.
 *
 * A hit is the head of a secret. Its rule's run (the bytes that may follow)
 * extends the region byte by byte, over as many blocks as it takes, and needs
 * no memory for that; a run ends by itself after REDACT_SECRET_BYTES_MAX.
 *
 * A redactor is a pass and the bytes held back between two feeds. Large feeds
 * are scanned where they lie; only the seams are copied.
 *
 * Invariants
 *
 * 1. `decided` only grows; hits that start before it were all seen.
 * 2. Everything before `given` was given out or masked, and given <= the end
 *    of the region, or the cut.
 * 3. Regions come from hits in the order of their start, then of the table:
 *    the same for every way to cut the text into blocks, since the hits are
 *    (redact_find, invariant 1) and runs go on across blocks.
 *
 * Threats: the text is hostile. Memory is bounded by REDACT_HOLD_BYTES_MAX and
 * the hits of one block (at most as many as its anchors); every byte is seen by
 * each kind of run at most once, however many heads it contains.
 */
#include "base/redact.h"

#include "base/buf.h"
#include "base/redact_find.h"

#define BLOCK_BYTES ((size_t)256 << 10)
/* Enough of a feed, behind what is held, that the next block can begin inside the feed. */
#define SEAM_BYTES             (2 * (REDACT_HEAD_BYTES_MAX + REDACT_LOOK_BEHIND_BYTES))
#define KEY_END_LINE_BYTES_MAX 160

/* How far one kind of run has extended the region. */
struct run {
    bool known;
    bool open; /* all bytes seen so far belong to it */
    uint64_t from, end;
    /* RUN_KEY alone: */
    uint64_t last_eight; /* the last eight bytes, as one number */
    uint64_t end_line;   /* where the end line begins; 0 while in the body */
};

/* The secret that the pass is in, or was in last. */
struct region {
    bool open;
    uint64_t start, end;
    uint32_t rule;
    struct run runs[RUN_COUNT];
};

struct pass {
    struct redact_scanner *scanner;
    redact_sink *sink;   /* takes the masked text, or NULL */
    redact_visit *visit; /* takes the regions, or NULL */
    void *context;
    uint64_t *counts; /* one per rule, or NULL */
    uint64_t decided, given;
    struct redact_hits hits; /* those that are found and not yet part of a region */
    struct region region;
};

struct redactor {
    struct pass pass;
    uint64_t held_at; /* offset of the first byte held */
    size_t held_len;
    char held[REDACT_HOLD_BYTES_MAX + SEAM_BYTES];
    bool failed;
    uint64_t counts[]; /* one per rule */
};

#define BIT(run) (1u << (run))
#define TOKENS   (BIT(RUN_TOKEN) | BIT(RUN_DOTTED) | BIT(RUN_BASE64) | BIT(RUN_VALUE))
#define ALL_RUNS (BIT(RUN_WORD) | TOKENS | BIT(RUN_PASSWORD) | BIT(RUN_KEY))

/* The runs that each byte goes on with. */
static const uint16_t runs_of_byte[256] = {
    ['0' ... '9'] = ALL_RUNS,
    ['A' ... 'Z'] = ALL_RUNS,
    ['a' ... 'z'] = ALL_RUNS,
    ['_'] = ALL_RUNS,
    ['-'] = TOKENS | BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['.'] = BIT(RUN_DOTTED) | BIT(RUN_VALUE) | BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['+'] = BIT(RUN_BASE64) | BIT(RUN_VALUE) | BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['/'] = BIT(RUN_BASE64) | BIT(RUN_VALUE) | BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['='] = BIT(RUN_BASE64) | BIT(RUN_VALUE) | BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['~'] = BIT(RUN_VALUE) | BIT(RUN_PASSWORD),
    ['%'] = BIT(RUN_VALUE) | BIT(RUN_PASSWORD),
    ['!'] = BIT(RUN_PASSWORD),
    ['#'] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['$'] = BIT(RUN_PASSWORD),
    ['('] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    [')'] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['*'] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    [','] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    [':'] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['?'] = BIT(RUN_PASSWORD),
    ['@'] = BIT(RUN_PASSWORD),
    ['['] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    [']'] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['^'] = BIT(RUN_PASSWORD),
    ['{'] = BIT(RUN_PASSWORD),
    ['|'] = BIT(RUN_PASSWORD) | BIT(RUN_KEY),
    ['}'] = BIT(RUN_PASSWORD),
    [0x80 ... 0xff] = BIT(RUN_PASSWORD),
    [' '] = BIT(RUN_KEY),
    ['\t'] = BIT(RUN_KEY),
    ['\r'] = BIT(RUN_KEY),
    ['\n'] = BIT(RUN_KEY),
    ['\\'] = BIT(RUN_KEY),
    ['"'] = BIT(RUN_KEY),
    ['\''] = BIT(RUN_KEY),
    [';'] = BIT(RUN_KEY),
    ['>'] = BIT(RUN_KEY),
};

static bool run_has(enum redact_run kind, char c)
{
    return runs_of_byte[(unsigned char)c] & BIT(kind);
}

static int settle(struct pass *pass, const struct redact_block *block, uint64_t cut,
                  struct err *err);

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* How far a block that is not the last can be decided: see the head of the file. */
static uint64_t cut_of(const struct redact_block *block, uint64_t decided)
{
    struct str text = block->text;
    size_t least = decided > block->at ? (size_t)(decided - block->at) : 0;
    if (text.len > REDACT_HEAD_BYTES_MAX && text.len - REDACT_HEAD_BYTES_MAX > least)
        least = text.len - REDACT_HEAD_BYTES_MAX;
    size_t cut = text.len;
    while (cut > least && !is_line_end(text.ptr[cut - 1]))
        cut--;
    return block->at + cut;
}

/* Decides a block as far as it can be. */
static int pass_block(struct pass *pass, const struct redact_block *block, struct err *err)
{
    uint64_t cut = block->last ? block->at + block->text.len : cut_of(block, pass->decided);
    int r = redact_find(pass->scanner, block, pass->decided, &cut, &pass->hits, err);
    if (r == 0)
        r = settle(pass, block, cut, err);
    pass->decided = cut;
    return r;
}

/*
 * Decides a text that lies in memory, block by block. Unless `last`, the
 * caller keeps what follows pass->decided, and looks behind it.
 */
static int pass_text(struct pass *pass, struct str text, uint64_t at, bool last, struct err *err)
{
    size_t begin = 0, end;
    do {
        end = text.len - begin > BLOCK_BYTES ? begin + BLOCK_BYTES : text.len;
        struct redact_block block = {
            .text = { text.ptr + begin, end - begin },
            .at = at + begin,
            .last = last && end == text.len,
        };
        int r = pass_block(pass, &block, err);
        if (r < 0)
            return r;
        size_t decided = (size_t)(pass->decided - at);
        begin = decided > REDACT_LOOK_BEHIND_BYTES ? decided - REDACT_LOOK_BEHIND_BYTES : 0;
    } while (end < text.len);
    return 0;
}

static void pass_release(struct pass *pass)
{
    redact_hits_release(&pass->hits);
}

/* The order of the table, but that what is known to be a secret comes first. */
static uint32_t rank_of(const struct redact_hit *hit)
{
    return hit->rule >= REDACT_RULE_OWN ? hit->rule - REDACT_RULE_OWN
                                        : hit->rule + REDACT_RULE_COUNT;
}

static int by_start(const void *a_, const void *b_)
{
    const struct redact_hit *a = a_, *b = b_;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->rule != b->rule)
        return rank_of(a) < rank_of(b) ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

static void run_advance(struct run *run, enum redact_run kind, const struct redact_block *block);
static int give(struct pass *pass, const struct redact_block *block, uint64_t end, struct err *err);
static int region_open(struct pass *pass, const struct redact_hit *hit,
                       const struct redact_block *block, struct err *err);
static int region_close(struct pass *pass, struct err *err);
static void region_extend(struct pass *pass, const struct redact_hit *hit,
                          const struct redact_block *block);

/* Whether more of the text could still belong to the region. */
static bool region_runs(const struct region *region)
{
    bool runs = false;
    for (size_t i = 0; i < RUN_COUNT; i++)
        runs = runs || (region->runs[i].known && region->runs[i].open);
    return runs;
}

/* Gives out everything before the cut, masked where a hit says so. */
static int settle(struct pass *pass, const struct redact_block *block, uint64_t cut,
                  struct err *err)
{
    struct region *region = &pass->region;
    for (size_t i = 0; region->open && i < RUN_COUNT; i++) {
        if (!region->runs[i].known)
            continue;
        run_advance(&region->runs[i], (enum redact_run)i, block);
        if (region->runs[i].end > region->end)
            region->end = region->runs[i].end;
    }
    if (pass->hits.count > 1)
        qsort(pass->hits.items, pass->hits.count, sizeof(pass->hits.items[0]), by_start);
    size_t used = 0;
    int r = 0;
    for (; r == 0 && used < pass->hits.count && pass->hits.items[used].start < cut; used++) {
        const struct redact_hit *hit = &pass->hits.items[used];
        if (region->open && hit->start < region->end) {
            region_extend(pass, hit, block);
            continue;
        }
        r = region_close(pass, err);
        if (r == 0)
            r = region_open(pass, hit, block, err);
    }
    pass->hits.count -= used;
    if (pass->hits.count)
        memmove(pass->hits.items, pass->hits.items + used,
                pass->hits.count * sizeof(pass->hits.items[0]));
    if (r == 0 && region->open && region->end <= cut && (block->last || !region_runs(region)))
        r = region_close(pass, err);
    if (r == 0 && region->open && pass->given < region->end)
        pass->given = region->end;
    return r < 0 ? r : give(pass, block, cut, err);
}

/* Gives out as it is what lies before `end` and was not given out yet. */
static int give(struct pass *pass, const struct redact_block *block, uint64_t end, struct err *err)
{
    if (end <= pass->given)
        return 0;
    struct str bytes = { block->text.ptr + (pass->given - block->at), (size_t)(end - pass->given) };
    pass->given = end;
    return pass->sink ? pass->sink(pass->context, bytes, err) : 0;
}

static int region_open(struct pass *pass, const struct redact_hit *hit,
                       const struct redact_block *block, struct err *err)
{
    int r = give(pass, block, hit->start, err);
    if (r < 0)
        return r;
    pass->region = (struct region){
        .open = true,
        .start = hit->start,
        .end = hit->end,
        .rule = hit->rule,
    };
    region_extend(pass, hit, block);
    if (!pass->sink)
        return 0;
    char mask[64];
    int len = snprintf(mask, sizeof(mask), "[redacted:%s]",
                       redact_kind_name(redact_rule_at(hit->rule)->kind));
    return pass->sink(pass->context, str_make(mask, (size_t)len), err);
}

static int region_close(struct pass *pass, struct err *err)
{
    struct region *region = &pass->region;
    if (!region->open)
        return 0;
    region->open = false;
    if (pass->given < region->end)
        pass->given = region->end;
    if (pass->counts)
        pass->counts[region->rule]++;
    struct redact_match match = {
        .offset = region->start,
        .len = region->end - region->start,
        .rule = redact_rule_at(region->rule),
    };
    return pass->visit ? pass->visit(pass->context, &match, err) : 0;
}

/* Adds a hit that overlaps the region, and what may follow its head. */
static void region_extend(struct pass *pass, const struct redact_hit *hit,
                          const struct redact_block *block)
{
    struct region *region = &pass->region;
    enum redact_run kind = redact_rule_at(hit->rule)->run;
    struct run *run = &region->runs[kind];
    /* Where a run of the kind got past the hit's end, the hit's own could only end there too. */
    bool covered = run->known && hit->end <= run->end;
    if (kind != RUN_NONE && !covered) {
        *run = (struct run){ .known = true, .open = true, .from = hit->end, .end = hit->end };
        run_advance(run, kind, block);
        if (run->end > region->end)
            region->end = run->end;
    }
    if (hit->end > region->end)
        region->end = hit->end;
}

/* Eight bytes as one number, the last of them lowest. */
static uint64_t eight_bytes(const char *text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++)
        number = number << 8 | (unsigned char)text[i];
    return number;
}

/* Whether a byte goes on with a private key; notes where its end line begins. */
static bool key_has(struct run *run, char c)
{
    if (run->end_line)
        return !is_line_end(c) && c && !strchr("\"'\\<`", c) &&
               run->end - run->end_line < KEY_END_LINE_BYTES_MAX;
    run->last_eight = run->last_eight << 8 | (unsigned char)c;
    if (run->last_eight == eight_bytes("-----END") || run->last_eight == eight_bytes("---- END") ||
        run->last_eight == eight_bytes("Private-")) /* MAC, behind a PuTTY key */
        run->end_line = run->end;
    return run_has(RUN_KEY, c);
}

/* Goes on to the first byte that does not belong to the run, or to the end of the block. */
static void run_advance(struct run *run, enum redact_run kind, const struct redact_block *block)
{
    uint64_t end = block->at + block->text.len;
    if (end > run->from + REDACT_SECRET_BYTES_MAX)
        end = run->from + REDACT_SECRET_BYTES_MAX;
    while (run->open && run->end < end) {
        char c = block->text.ptr[run->end - block->at];
        run->open = kind == RUN_KEY ? key_has(run, c) : run_has(kind, c);
        run->end += run->open;
    }
    if (run->end - run->from == REDACT_SECRET_BYTES_MAX)
        run->open = false;
}

int redact_scan(struct redact_scanner *scanner, struct str text, redact_visit *visit, void *context,
                struct err *err)
{
    struct pass pass = { .scanner = scanner, .visit = visit, .context = context };
    int r = pass_text(&pass, text, 0, true, err);
    pass_release(&pass);
    return r;
}

/* Where the strings of one joined text begin, as matches in order need to know it. */
struct joined {
    const struct str *strings;
    size_t index;   /* the string that the last match was in */
    uint64_t begin; /* its offset in the joined text */
    redact_visit_string *visit;
    void *context;
};

static int visit_joined(void *context, const struct redact_match *match, struct err *err)
{
    struct joined *joined = context;
    while (match->offset > joined->begin + joined->strings[joined->index].len)
        joined->begin += joined->strings[joined->index++].len + 1;
    struct redact_match inside = *match;
    inside.offset -= joined->begin;
    return joined->visit(joined->context, joined->index, &inside, err);
}

/* Strings are joined by NUL, which no pattern and no run contains, in texts of about one block. */
int redact_scan_strings(struct redact_scanner *scanner, const struct str *strings, size_t count,
                        redact_visit_string *visit, void *context, struct err *err)
{
    struct buf text = BUF_INIT_LIMIT(SIZE_MAX);
    int r = 0;
    for (size_t i = 0; r == 0 && i < count;) {
        struct joined joined = {
            .strings = strings, .index = i, .visit = visit, .context = context
        };
        struct str all = strings[i++];
        if (all.len < BLOCK_BYTES) {
            buf_reset(&text);
            buf_add_str(&text, all);
            for (; i < count && text.len + strings[i].len < BLOCK_BYTES; i++) {
                buf_add_char(&text, '\0');
                buf_add_str(&text, strings[i]);
            }
            all = buf_str(&text);
        }
        r = text.error ? err_set_errno(err, -text.error, "scan for secrets", "join strings")
                       : redact_scan(scanner, all, visit_joined, &joined, err);
    }
    buf_release(&text);
    return r;
}

int redactor_new(struct redact_scanner *scanner, redact_sink *sink, void *context,
                 struct redactor **ret, struct err *err)
{
    struct redactor *redactor =
        calloc(1, sizeof(*redactor) + redact_rule_count() * sizeof(redactor->counts[0]));
    if (!redactor)
        return err_set_errno(err, ENOMEM, "scan for secrets", "make room for a stream");
    redactor->pass = (struct pass){
        .scanner = scanner,
        .sink = sink,
        .context = context,
        .counts = redactor->counts,
    };
    *ret = redactor;
    return 0;
}

void redactor_free(struct redactor *redactor)
{
    if (!redactor)
        return;
    pass_release(&redactor->pass);
    explicit_bzero(redactor->held, sizeof(redactor->held));
    free(redactor);
}

static bool has_line_end(struct str s)
{
    return s.len && (memchr(s.ptr, '\n', s.len) || memchr(s.ptr, '\r', s.len));
}

static void hold(struct redactor *redactor, struct str bytes)
{
    memcpy(redactor->held + redactor->held_len, bytes.ptr, bytes.len);
    redactor->held_len += bytes.len;
}

/* Holds what of a text is not decided, and what must be seen to decide it. */
static void hold_rest(struct redactor *redactor, struct str text, uint64_t at)
{
    size_t decided = (size_t)(redactor->pass.decided - at);
    bool whole_lines = decided == text.len && is_line_end(text.ptr[text.len - 1]);
    size_t behind = decided < REDACT_LOOK_BEHIND_BYTES ? decided : REDACT_LOOK_BEHIND_BYTES;
    size_t from = whole_lines ? text.len : decided - behind;
    memmove(redactor->held, text.ptr + from, text.len - from);
    redactor->held_at = at + from;
    redactor->held_len = text.len - from;
}

static int feed(struct redactor *redactor, struct str bytes, struct err *err)
{
    struct pass *pass = &redactor->pass;
    if (redactor->held_len + bytes.len < REDACT_HOLD_BYTES_MAX && !has_line_end(bytes)) {
        hold(redactor, bytes);
        return 0;
    }
    struct str text = bytes;
    uint64_t at = redactor->held_at + redactor->held_len;
    if (redactor->held_len) {
        size_t seam = bytes.len < SEAM_BYTES ? bytes.len : SEAM_BYTES;
        hold(redactor, str_make(bytes.ptr, seam));
        struct str held = { redactor->held, redactor->held_len };
        int r = pass_text(pass, held, redactor->held_at, false, err);
        if (r < 0)
            return r;
        if (seam == bytes.len) {
            hold_rest(redactor, held, redactor->held_at);
            return 0;
        }
        text = str_from_offset(bytes, (size_t)(pass->decided - at) - REDACT_LOOK_BEHIND_BYTES);
        at = pass->decided - REDACT_LOOK_BEHIND_BYTES;
    }
    int r = pass_text(pass, text, at, false, err);
    if (r == 0)
        hold_rest(redactor, text, at);
    return r;
}

int redactor_feed(struct redactor *redactor, struct str bytes, struct err *err)
{
    assert(!redactor->failed);
    int r = bytes.len ? feed(redactor, bytes, err) : 0;
    redactor->failed = r < 0;
    return r;
}

int redactor_end(struct redactor *redactor, struct err *err)
{
    assert(!redactor->failed);
    struct pass *pass = &redactor->pass;
    struct str held = { redactor->held, redactor->held_len };
    int r = pass_text(pass, held, redactor->held_at, true, err);
    redactor->failed = r < 0;
    explicit_bzero(redactor->held, redactor->held_len);
    redactor->held_at = redactor->held_len = 0;
    pass->decided = pass->given = 0;
    return r;
}

const uint64_t *redactor_counts(const struct redactor *redactor)
{
    return redactor->counts;
}

uint64_t redactor_count_of_kind(const struct redactor *redactor, enum redact_kind kind)
{
    uint64_t count = 0;
    for (size_t i = 0; i < redact_rule_count(); i++)
        count += redact_rule_at(i)->kind == kind ? redactor->counts[i] : 0;
    return count;
}
