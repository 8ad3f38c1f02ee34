/*
 * regex: patterns compiled once, searched often.
 *
 * Theory of operation: regex_translate reads the pattern and says what it
 * means to PCRE2. A row of plain sets is matched by regex_steps and never
 * reaches PCRE2; all else is compiled, and by the JIT compiler once it has been
 * searched for about as long as the JIT compiler takes.
 *
 * Two of PCRE2's optimisations give wrong answers (seen with 10.42) and are
 * left off where they could: the look for the first and the last character of a
 * match, where a lookaround or a group that may be empty comes first (it does
 * not find "b" for `(?=b)_?b`, nor "1" for `(?:1|)b*1`), and the JIT
 * compiler, where there are references (`(a)?\1{2}`).
 *
 * Bounds: the pattern's size and depth (regex_translate), the size of the
 * compiled program (PCRE2's own), the steps of a match from one start
 * (REGEX_MATCH_LIMIT) and the memory for it. PCRE2 does not count within a
 * simple loop, so one step may run over the whole subject: long subjects are
 * allowed fewer steps (REGEX_MATCH_WORK). And it counts anew for every place at
 * which a match could start, so a subject is searched in windows of starts, and
 * the clock is read between them: past REGEX_SEARCH_MS the search is given up.
 * A search that is given up is an error, never an answer.
 *
 * The memory of a match belongs to the regex, so that searching allocates
 * nothing in the usual case; that is why a regex belongs to one thread.
 */
#include "contract/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <time.h>

#include "base/utf8.h"
#include "contract/regex_internal.h"

#define REGEX_JIT_AFTER   4096 /* bytes searched, and REGEX_JIT_SEARCH for each search */
#define REGEX_JIT_SEARCH  16
#define REGEX_MATCH_WORK  4000000000 /* steps times bytes */
#define REGEX_HEAP_KIB    (20 << 10)
#define REGEX_DEPTH_LIMIT 100000
#define REGEX_WINDOW_MIN  64 /* starts */
#define REGEX_WINDOW_MAX  4096
#define REGEX_SEARCH_MS   1000

struct program {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    bool from_start; /* there is but one place to start */
    bool utf;
    size_t work_to_jit; /* 0: none will change anything */
};

struct regex {
    struct program *program; /* NULL where the row decides */
    struct regex_row *row;
    struct str later; /* with neither: the pattern, not compiled yet */
};

static void program_free(struct program *program)
{
    if (!program)
        return;
    pcre2_match_context_free(program->context);
    pcre2_match_data_free(program->data);
    pcre2_code_free(program->code);
    free(program);
}

static int compile_code(const struct regex_translation *translation, pcre2_code **ret,
                        struct err *err)
{
    uint32_t options = PCRE2_MATCH_UNSET_BACKREF | PCRE2_USE_OFFSET_LIMIT |
                       (translation->utf ? PCRE2_UTF : 0) |
                       (translation->hides_start ? PCRE2_NO_START_OPTIMIZE : 0);
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)translation->pcre2.data, translation->pcre2.len,
                                     options, &error, &offset, NULL);
    if (code) {
        *ret = code;
        return 0;
    }
    char text[256];
    pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof(text));
    enum err_code err_code = error == PCRE2_ERROR_HEAP_FAILED         ? ERR_MEMORY
                             : error == PCRE2_ERROR_PATTERN_TOO_LARGE ? ERR_LIMIT
                                                                      : ERR_UNSUPPORTED;
    return err_set(err, err_code, "compile a pattern", "PCRE2 cannot match it: %s", text);
}

static int program_new(const struct regex_translation *translation, struct program **ret,
                       struct err *err)
{
    static const char step[] = "compile a pattern";
    uint32_t options = 0;
    if (translation->unsupported)
        return err_set(err, ERR_UNSUPPORTED, step, "%s", translation->unsupported);
    struct program *program = calloc(1, sizeof(*program));
    if (!program)
        return err_set_errno(err, ENOMEM, step, "no room for it");
    int r = compile_code(translation, &program->code, err);
    if (r < 0) {
        program_free(program);
        return r;
    }
    program->data = pcre2_match_data_create(1, NULL);
    program->context = pcre2_match_context_create(NULL);
    if (!program->data || !program->context) {
        program_free(program);
        return err_set_errno(err, ENOMEM, step, "no room to match it");
    }
    pcre2_set_depth_limit(program->context, REGEX_DEPTH_LIMIT);
    pcre2_set_heap_limit(program->context, REGEX_HEAP_KIB);
    pcre2_pattern_info(program->code, PCRE2_INFO_ALLOPTIONS, &options);
    program->from_start = options & PCRE2_ANCHORED;
    program->utf = translation->utf;
    program->work_to_jit = translation->references ? 0 : REGEX_JIT_AFTER;
    *ret = program;
    return 0;
}

static void cleanup_translation(struct regex_translation *translation)
{
    buf_release(&translation->pcre2);
}

static void cleanup_regex(struct regex **regex)
{
    regex_free(*regex);
}

static int compile(struct regex *regex, struct str pattern, bool with_row, struct err *err)
{
    _cleanup_(cleanup_translation) struct regex_translation translation = REGEX_TRANSLATION_INIT;
    int r = regex_translate(pattern, &translation, err);
    if (r < 0)
        return r;
    regex_steps_settle(&translation.steps);
    if (!with_row || !translation.steps.usable)
        return program_new(&translation, &regex->program, err);
    regex->row = regex_row_new(&translation.steps);
    return regex->row ? 0 : err_set_errno(err, ENOMEM, "compile a pattern", "no room for it");
}

static int new_regex(struct str pattern, bool with_row, struct regex **ret, struct err *err)
{
    _cleanup_(cleanup_regex) struct regex *regex = calloc(1, sizeof(*regex));
    int r = regex ? compile(regex, pattern, with_row, err)
                  : err_set_errno(err, ENOMEM, "compile a pattern", "no room for it");
    if (r == 0)
        *ret = TAKE_PTR(regex);
    return r;
}

int regex_new(struct str pattern, struct regex **ret, struct err *err)
{
    return new_regex(pattern, true, ret, err);
}

int regex_new_known(struct str pattern, struct regex **ret, struct err *err)
{
    struct regex *regex = calloc(1, sizeof(*regex));
    if (!regex)
        return err_set_errno(err, ENOMEM, "compile a pattern", "no room for it");
    regex->later = pattern;
    *ret = regex;
    return 0;
}

int regex_new_pcre2(struct str pattern, struct regex **ret, struct err *err)
{
    return new_regex(pattern, false, ret, err);
}

bool regex_uses_steps(const struct regex *regex)
{
    return regex->row;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    program_free(regex->program);
    free(regex->row);
    free(regex);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A match that starts at `from` or later, but not beyond `last`. */
static int match(const struct program *program, struct str subject, size_t from, size_t last)
{
    uint32_t options = PCRE2_NO_UTF_CHECK;
    size_t limit = subject.len ? REGEX_MATCH_WORK / subject.len : REGEX_MATCH_LIMIT;
    pcre2_set_match_limit(program->context,
                          limit < REGEX_MATCH_LIMIT ? (uint32_t)limit : REGEX_MATCH_LIMIT);
    pcre2_set_offset_limit(program->context, last);
    int r = pcre2_match(program->code, (PCRE2_SPTR)subject.ptr, subject.len, from, options,
                        program->data, program->context);
    if (r == PCRE2_ERROR_JIT_STACKLIMIT)
        r = pcre2_match(program->code, (PCRE2_SPTR)subject.ptr, subject.len, from,
                        options | PCRE2_NO_JIT, program->data, program->context);
    return r;
}

/* A window that took no time is followed by a wider one, another by the narrowest. */
static int match_in_windows(const struct program *program, struct str subject)
{
    uint64_t first = 0, before = 0;
    size_t from = 0, width = REGEX_WINDOW_MIN;
    for (;;) {
        size_t last = subject.len - from > width ? from + width : PCRE2_UNSET;
        int r = match(program, subject, from, last);
        if (r != PCRE2_ERROR_NOMATCH || last == PCRE2_UNSET)
            return r;
        uint64_t now = now_ms();
        first = first ? first : now;
        if (now - first > REGEX_SEARCH_MS)
            return PCRE2_ERROR_MATCHLIMIT;
        width = now - before > 1 ? REGEX_WINDOW_MIN : width * 2;
        width = width > REGEX_WINDOW_MAX ? REGEX_WINDOW_MAX : width;
        before = now;
        from = last + 1;
        while (program->utf && from < subject.len && (subject.ptr[from] & 0xC0) == 0x80)
            from++;
    }
}

/* Where the host forbids the JIT compiler, the interpreter goes on. */
static void note_work(struct program *program, size_t len)
{
    size_t work = len + REGEX_JIT_SEARCH;
    if (!program->work_to_jit)
        return;
    program->work_to_jit = program->work_to_jit > work ? program->work_to_jit - work : 0;
    if (!program->work_to_jit)
        pcre2_jit_compile(program->code, PCRE2_JIT_COMPLETE);
}

int regex_search(const struct regex *regex, struct str subject, struct err *err)
{
    static const char step[] = "match a pattern";
    if (!regex->program && !regex->row) { /* a regex is one thread's, so it may change in here */
        int compiled = compile((struct regex *)regex, regex->later, true, err);
        if (compiled < 0)
            return compiled;
    }
    struct program *program = regex->program;
    if (!program)
        return regex_row_search(regex->row, subject);
    if (program->utf && !utf8_valid(subject))
        return err_set(err, ERR_DOCUMENT, step, "the text is not UTF-8");
    note_work(program, subject.len);
    int r = program->from_start ? match(program, subject, 0, PCRE2_UNSET)
                                : match_in_windows(program, subject);
    if (r >= 0)
        return 1;
    if (r == PCRE2_ERROR_NOMATCH)
        return 0;
    if (r == PCRE2_ERROR_NOMEMORY)
        return err_set_errno(err, ENOMEM, step, "no room to match it");
    return err_set(err, ERR_LIMIT, step,
                   "the pattern takes too many steps on a text of %zu bytes; repetitions within "
                   "repetitions, as in (a+)+, are the usual cause",
                   subject.len);
}

int regex_valid(struct str pattern, struct err *err)
{
    _cleanup_(cleanup_translation) struct regex_translation translation = REGEX_TRANSLATION_INIT;
    struct err cause;
    int r = regex_translate(pattern, &translation, &cause);
    if (r == 0)
        return 1;
    if (cause.code == ERR_SCHEMA)
        return 0;
    if (err)
        *err = cause;
    return r;
}
