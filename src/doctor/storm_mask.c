/*
 * storm_mask: one walk over a message.
 *
 * Theory of operation. A message is cut at blanks, brackets, quotes and signs
 * that separate; what lies between is a piece. A piece is a path, an address,
 * a date or an identifier by its shape alone (`add_piece`), else it is a word
 * and stays. What belongs to one value is drawn together as tokens are added
 * (`add_blank`, `add_token`): `10.0.0.1:80`, `Sat Jun 11 03:28:22 2005`,
 * `3.5 KB`, `1, 2, 3`. At the end, groups of tokens that follow one another
 * equal in all but values are drawn together as well, so that a list of two
 * and a list of ten have one form.
 *
 * There is one set of rules and no table of systems or programs. What looks
 * like a word and is a value (a user's name) is not found here but by
 * comparison of forms: storm_group.
 *
 * Invariants: (1) `offset + len` of every token lies within `text_len`;
 * (2) no two tokens that are blank stand beside one another; (3) the time
 * taken is linear in STORM_MESSAGE_BYTES_MAX.
 *
 * Threats: any bytes at all. Control characters count as blanks, escape
 * sequences of terminals as nothing, bytes above 127 as letters.
 */
#include "doctor/storm_mask.h"

#include "doctor/storm_hash.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define PERIOD_TOKENS_MAX 12           /* the longest group of tokens that is found repeated */
#define BINARY_BYTES      ((size_t)64) /* of a message that are looked at to tell */
#define BINARY_SHARE      16           /* one in so many may be a control character */
#define ESCAPE            '\x1b'

enum {
    IS_SPACE = 1 << 0,
    IS_CUT = 1 << 1, /* separates pieces and is a token of its own */
    IS_DIGIT = 1 << 2,
    IS_ALPHA = 1 << 3, /* and bytes above 127 */
    IS_HEX = 1 << 4,
    IS_TRIM = 1 << 5, /* no part of a value at its ends */
    IS_UPPER = 1 << 6,
    IS_NAME = 1 << 7, /* may stand in a part of a host's name */
    IS_SLASH = 1 << 8,
};

static const uint16_t classes[256] = {
    [0 ... ' '] = IS_SPACE,
    [0x7f] = IS_SPACE,
    ['('] = IS_CUT,
    [')'] = IS_CUT,
    ['['] = IS_CUT,
    [']'] = IS_CUT,
    ['{'] = IS_CUT,
    ['}'] = IS_CUT,
    ['"'] = IS_CUT,
    ['\''] = IS_CUT,
    ['='] = IS_CUT,
    [','] = IS_CUT,
    [';'] = IS_CUT,
    ['|'] = IS_CUT,
    ['<'] = IS_CUT,
    ['>'] = IS_CUT,
    ['\\'] = IS_CUT,
    ['.'] = IS_TRIM,
    [':'] = IS_TRIM,
    ['!'] = IS_TRIM,
    ['?'] = IS_TRIM,
    ['*'] = IS_TRIM,
    ['#'] = IS_TRIM,
    ['@'] = IS_TRIM,
    ['%'] = IS_TRIM,
    ['&'] = IS_TRIM,
    ['^'] = IS_TRIM,
    ['~'] = IS_TRIM,
    ['`'] = IS_TRIM,
    ['$'] = IS_TRIM,
    ['+'] = IS_TRIM,
    ['_'] = IS_TRIM | IS_NAME,
    ['-'] = IS_TRIM | IS_NAME,
    ['/'] = IS_SLASH,
    ['0' ... '9'] = IS_DIGIT | IS_HEX | IS_NAME,
    ['a' ... 'f'] = IS_ALPHA | IS_HEX | IS_NAME,
    ['g' ... 'z'] = IS_ALPHA | IS_NAME,
    ['A' ... 'F'] = IS_ALPHA | IS_HEX | IS_UPPER | IS_NAME,
    ['G' ... 'Z'] = IS_ALPHA | IS_UPPER | IS_NAME,
    [0x80 ... 0xff] = IS_ALPHA,
};

static unsigned class_of(char c)
{
    return classes[(unsigned char)c];
}

/* --- words that are known ------------------------------------------------------------------- */

/* Lists are one text with blanks around each word. No piece has a blank in it. */
#define LISTED_MAX ((size_t)11)
static const char dates[] = " Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec "
                            "Mon Tue Wed Thu Fri Sat Sun ";
static const char zones[] = " UTC GMT EST EDT CST CDT MST MDT PST PDT CET CEST ";
static const char units[] = " ms s sec secs us ns KB MB GB TB kB KiB MiB GiB B ";
static const char truths[] = " true false null nil none yes no on off True False NULL None ";
/* The ends of hosts' names, beside two letters for a country. */
static const char domains[] = " com org net edu gov mil int local lan internal arpa info biz "
                              "localdomain ";
/* Two letters that end the names of files more often than those of hosts. */
static const char suffixes[] = " so py sh js rb cc pl gz ko rc md go rs ts ";
/* The first part of names that are written from the domain downwards. */
static const char reversed[] = " com org net edu gov ";

static bool listed(const char *list, struct str word)
{
    char key[LISTED_MAX + 3];
    if (word.len == 0 || word.len > LISTED_MAX || (unsigned char)word.ptr[0] >= 0x80)
        return false;
    key[0] = ' ';
    memcpy(key + 1, word.ptr, word.len);
    key[1 + word.len] = ' ';
    key[2 + word.len] = '\0';
    return strstr(list, key) != NULL;
}

/* --- tokens --------------------------------------------------------------------------------- */

struct masker {
    struct storm_form *form;
    bool spaced; /* a blank stood before what comes next */
};

uint64_t storm_blank_hash(void)
{
    static const char blank = STORM_BLANK;
    return storm_hash(&blank, 1);
}

static struct storm_token *token_back(struct storm_form *form, size_t back)
{
    return form->count >= back ? &form->tokens[form->count - back] : NULL;
}

static struct str token_text(const struct storm_form *form, const struct storm_token *token)
{
    return str_make(form->text + token->offset, token->len);
}

static bool token_is(const struct storm_form *form, const struct storm_token *token, char c)
{
    return token && token->len == 1 && form->text[token->offset] == c;
}

/* Months, days and zones have three or four letters. */
static bool token_is_date(const struct storm_form *form, const struct storm_token *token)
{
    if (!token || !token->word || token->len < 3 || token->len > 4)
        return false;
    struct str text = token_text(form, token);
    return listed(dates, text) || listed(zones, text);
}

static void drop_last(struct masker *masker)
{
    struct storm_token *last = token_back(masker->form, 1);
    masker->spaced = last->spaced;
    masker->form->text_len = last->offset;
    masker->form->count--;
}

/* In capitals, after the last full stop, and more than one letter. */
static bool is_state(struct str text)
{
    size_t letters = 0;
    for (size_t i = text.len; i-- > 0 && text.ptr[i] != '.';) {
        unsigned class = class_of(text.ptr[i]);
        if (text.ptr[i] == STORM_BLANK || (class & IS_ALPHA && !(class & IS_UPPER)))
            return false;
        letters += (class & IS_ALPHA) != 0;
    }
    return letters > 1;
}

/* As memcpy; most words are short. */
static inline void copy_text(char *to, struct str text)
{
    uint64_t first, last;
    uint32_t head, tail;
    if (text.len > sizeof(first) + sizeof(last)) {
        memcpy(to, text.ptr, text.len);
    } else if (text.len >= sizeof(first)) {
        memcpy(&first, text.ptr, sizeof(first));
        memcpy(&last, text.ptr + text.len - sizeof(last), sizeof(last));
        memcpy(to, &first, sizeof(first));
        memcpy(to + text.len - sizeof(last), &last, sizeof(last));
    } else if (text.len >= sizeof(head)) {
        memcpy(&head, text.ptr, sizeof(head));
        memcpy(&tail, text.ptr + text.len - sizeof(tail), sizeof(tail));
        memcpy(to, &head, sizeof(head));
        memcpy(to + text.len - sizeof(tail), &tail, sizeof(tail));
    } else if (text.len) {
        char middle = text.ptr[text.len / 2], end = text.ptr[text.len - 1];
        to[0] = text.ptr[0];
        to[text.len / 2] = middle;
        to[text.len - 1] = end;
    }
}

static void push(struct masker *masker, struct str text, char end)
{
    struct storm_form *form = masker->form;
    size_t len = text.len + (end != 0);
    if (form->count == STORM_TOKENS_MAX || len > STORM_TEXT_BYTES_MAX - form->text_len) {
        form->cut = true;
        return;
    }
    char *copy = form->text + form->text_len;
    bool word = false;
    copy_text(copy, text);
    if (end)
        copy[text.len] = end;
    for (size_t i = 0; i < text.len && !word; i++)
        word = class_of(text.ptr[i]) & IS_ALPHA;
    form->tokens[form->count++] = (struct storm_token){
        .hash = storm_hash(end ? copy : text.ptr, len),
        .offset = form->text_len,
        .len = (uint8_t)len,
        .spaced = masker->spaced,
        .word = word,
        .state = word && !end && is_state(text),
    };
    form->text_len = (uint16_t)(form->text_len + len);
    masker->spaced = false;
}

/* "< 1 sec" is a value too, "<1>" is one in brackets. */
static void settle_less_than(struct masker *masker, char next)
{
    struct storm_form *form = masker->form;
    struct storm_token *last = token_back(form, 1), *before = token_back(form, 2);
    if (!last || !before || !last->blank || next == '>' || !token_is(form, before, '<'))
        return;
    last->spaced = before->spaced;
    *before = *last;
    form->count--;
}

static void add_token(struct masker *masker, struct str text)
{
    struct storm_form *form = masker->form;
    struct storm_token *last = token_back(form, 1);
    bool behind_value = last && last->blank && text.len <= 4;
    if (behind_value && listed(units, text)) {
        last->quantity = true;
        return;
    }
    if (behind_value && listed(zones, text))
        return;
    settle_less_than(masker, text.ptr[0]);
    push(masker, text, 0);
}

static void add_blank(struct masker *masker)
{
    struct storm_form *form = masker->form;
    struct storm_token *last = token_back(form, 1), *before = token_back(form, 2);
    while (token_is_date(form, last)) {
        drop_last(masker);
        last = token_back(form, 1);
        before = token_back(form, 2);
    }
    if (last && last->blank)
        return;
    if (last && before && before->blank && last->len == 1 &&
        strchr(",-/:", form->text[last->offset])) {
        drop_last(masker);
        return;
    }
    push(masker, STR(""), STORM_BLANK);
    if (form->count && token_back(form, 1)->len == 1 &&
        form->text[token_back(form, 1)->offset] == STORM_BLANK)
        token_back(form, 1)->blank = true;
}

/* A sign that separates; "()" is the same as "(1)", and "12 bytes (1 KB)" the same as "12 bytes".
 */
static void add_sign(struct masker *masker, const char *sign)
{
    struct storm_form *form = masker->form;
    struct storm_token *last = token_back(form, 1), *before = token_back(form, 2);
    if (*sign == ')' && token_is(form, last, '(')) {
        add_blank(masker);
    } else if (*sign == ')' && last && last->quantity && token_is(form, before, '(')) {
        struct storm_token *near = token_back(form, 3), *far = token_back(form, 4);
        if ((near && near->blank) || (far && far->blank)) {
            drop_last(masker);
            drop_last(masker);
            masker->spaced = false;
            return;
        }
    }
    add_token(masker, str_make(sign, 1));
}

static void add_word(struct masker *masker, struct str word)
{
    struct storm_form *form = masker->form;
    if (word.len == 0)
        return;
    if (word.len > STORM_WORD_BYTES_MAX ||
        (token_is(form, token_back(form, 1), '=') && listed(truths, word)))
        add_blank(masker);
    else
        add_token(masker, word);
}

/* Signs at the ends of a piece: a token for each run of one sign, however long from two on. */
static void add_signs(struct masker *masker, struct str signs)
{
    for (size_t i = 0, end; i < signs.len; i = end) {
        for (end = i + 1; end < signs.len && signs.ptr[end] == signs.ptr[i];)
            end++;
        add_token(masker, str_make(signs.ptr + i, end - i > 1 ? 2 : 1));
    }
}

/* --- pieces --------------------------------------------------------------------------------- */

static bool has_digit(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (class_of(text.ptr[i]) & IS_DIGIT)
            return true;
    return false;
}

static bool all_of(struct str text, unsigned class)
{
    for (size_t i = 0; i < text.len; i++)
        if (!(class_of(text.ptr[i]) & class))
            return false;
    return true;
}

static bool is_hex(struct str text)
{
    if (text.len > 2 && text.ptr[0] == '0' && text.ptr[1] == 'x')
        text = str_from_offset(text, 2);
    return text.len >= 1 && all_of(text, IS_HEX);
}

static bool is_lower(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 'a' || text.ptr[i] > 'z')
            return false;
    return text.len > 0;
}

/* A host's name, or one that is written from the domain downwards (com.example.Service). */
static bool is_dotted_name(struct str text)
{
    struct str first = { 0 }, part = { 0 };
    size_t parts = 0;
    bool named = memchr(text.ptr, '.', text.len) != NULL;
    for (size_t start = 0, end; start <= text.len && named; start = end + 1) {
        end = str_index(text, '.', start);
        part = str_make(text.ptr + start, end - start);
        first = parts++ ? first : part;
        for (size_t i = 0; i < part.len; i++)
            named &= part.ptr[i] == '$' || class_of(part.ptr[i]) & IS_NAME;
        named &= part.len > 0;
    }
    if (!named || parts < 2)
        return false;
    if (listed(domains, part) ||
        (part.len == 2 && is_lower(part) && (parts >= 4 || !listed(suffixes, part))))
        return true;
    return parts >= 3 && listed(reversed, first) && !str_ends(text, STR("Exception")) &&
           !str_ends(text, STR("Error"));
}

/* The letters that a numbered name begins with, and one sign: "blk_" of "blk_-38_2"; else 0. */
static size_t numbered_name(struct str text)
{
    size_t i = 0, letters;
    while (i < text.len && class_of(text.ptr[i]) & IS_ALPHA)
        i++;
    letters = i;
    if (letters && i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '_'))
        i++;
    size_t head = i;
    if (i < text.len && text.ptr[i] == '-')
        i++;
    size_t digits = i;
    while (i < text.len && class_of(text.ptr[i]) & IS_DIGIT)
        i++;
    bool ends = i == text.len || ((text.ptr[i] == '-' || text.ptr[i] == '_') && i + 1 < text.len &&
                                  all_of(str_from_offset(text, i), IS_NAME));
    return letters && head > 1 && i > digits && ends ? head : 0;
}

/* A piece without slashes and colons. */
static void add_leaf(struct masker *masker, struct str text)
{
    if (text.len == 0)
        return;
    size_t at = str_index(text, '@', 1);
    if (at + 1 < text.len || is_dotted_name(text)) {
        add_blank(masker);
        return;
    }
    if (!has_digit(text)) {
        add_word(masker, text);
        return;
    }
    size_t head = numbered_name(text);
    bool is_number = is_hex(text) && (text.len >= 4 || all_of(text, IS_DIGIT));
    if (is_number || !head || head > STORM_WORD_BYTES_MAX)
        add_blank(masker);
    else
        push(masker, str_make(text.ptr, head), STORM_BLANK);
}

/* Groups of up to four hexadecimal digits: a hardware address, an IPv6 address. */
static bool is_colon_number(struct str text)
{
    size_t parts = 0;
    for (size_t start = 0, end; start <= text.len; start = end + 1, parts++) {
        end = str_index(text, ':', start);
        if (end - start > 4 || !all_of(str_make(text.ptr + start, end - start), IS_HEX))
            return false;
    }
    return parts > 2;
}

static void add_colons(struct masker *masker, struct str text)
{
    if (is_colon_number(text)) {
        add_blank(masker);
        return;
    }
    for (size_t start = 0, end; start <= text.len; start = end + 1) {
        end = str_index(text, ':', start);
        add_leaf(masker, str_make(text.ptr + start, end - start));
        if (end < text.len)
            add_token(masker, STR(":"));
    }
}

/* Where ":word" follows a path; text.len where none does. */
static size_t word_after_path(struct str text)
{
    size_t colon = str_index(text, ':', 0);
    while (colon < text.len && !(colon + 2 < text.len && class_of(text.ptr[colon + 1]) & IS_ALPHA &&
                                 class_of(text.ptr[colon + 2]) & IS_ALPHA))
        colon = str_index(text, ':', colon + 1);
    return colon < text.len && str_index(text, '/', colon) == text.len ? colon : text.len;
}

static bool is_path(struct str text)
{
    size_t slash = str_index(text, '/', 0);
    return slash == 0 || str_index(text, '/', slash + 1) < text.len ||
           str_index(text, '.', 0) < text.len || has_digit(text) ||
           (slash > 0 && text.ptr[slash - 1] == ':');
}

/* A piece without blanks, brackets, and signs at its ends. */
static void add_piece(struct masker *masker, struct str text)
{
    while (str_index(text, '/', 0) < text.len) {
        size_t colon = str_index(text, ':', 0);
        bool is_scheme = str_starts(str_from_offset(text, colon), STR("://"));
        bool labelled = colon > 0 && str_index(text, '/', colon) < text.len && !is_scheme &&
                        !has_digit(str_make(text.ptr, colon));
        size_t word = word_after_path(text);
        if (labelled) {
            add_word(masker, str_make(text.ptr, colon));
        } else if (!is_path(text)) {
            add_word(masker, text);
            return;
        } else {
            add_blank(masker);
            if (word == text.len)
                return;
            colon = word;
        }
        add_token(masker, STR(":"));
        text = str_from_offset(text, colon + 1);
    }
    add_colons(masker, text);
}

/* The first place where one sign stands three times or more; text.len where none does. */
static size_t find_run(struct str text, size_t *ret_end)
{
    for (size_t i = 0, end; i + 2 < text.len; i = end) {
        for (end = i + 1; end < text.len && text.ptr[end] == text.ptr[i];)
            end++;
        if (end - i >= 3 && (class_of(text.ptr[i]) & IS_TRIM)) {
            *ret_end = end;
            return i;
        }
    }
    *ret_end = text.len;
    return text.len;
}

static void add_run(struct masker *masker, struct str text)
{
    size_t start = 0, end = 0;
    while (start < text.len && class_of(text.ptr[start]) & IS_TRIM)
        start++;
    if (start == text.len) {
        add_signs(masker, text);
        return;
    }
    struct str core = str_from_offset(text, start);
    while (class_of(core.ptr[core.len - 1]) & IS_TRIM)
        core.len--;
    struct str before = str_make(text.ptr, start);
    struct str after = str_from_offset(text, start + core.len);
    char sign = start ? text.ptr[start - 1] : 0;
    /* A sign of a number, and what a path begins with. */
    if (((sign == '+' || sign == '-') && has_digit(core)) ||
        ((sign == '.' || sign == '~') && core.ptr[0] == '/'))
        while (before.len && before.ptr[before.len - 1] == sign)
            before.len--;
    add_signs(masker, before);
    while (core.len) {
        size_t run = find_run(core, &end);
        add_piece(masker, str_make(core.ptr, run));
        if (run < core.len)
            add_token(masker, str_make(core.ptr + run, 2));
        core = str_from_offset(core, end);
    }
    add_signs(masker, after);
}

/* The end of a path that begins with a drive's letter; `from` where there is none. */
static size_t drive_path(struct str message, size_t from)
{
    size_t i = from;
    if (message.len - from < 4 || !(class_of(message.ptr[i]) & IS_ALPHA) ||
        message.ptr[i + 1] != ':' || message.ptr[i + 2] != '\\')
        return from;
    while (i < message.len && !(class_of(message.ptr[i]) & IS_SPACE) &&
           !strchr("\"',;)", message.ptr[i]))
        i++;
    return i;
}

/* The end of an escape sequence of terminals. */
static size_t escape_end(struct str message, size_t from)
{
    size_t i = from + 1;
    if (i < message.len && message.ptr[i] == '[')
        for (i++; i < message.len && message.ptr[i] >= ' ' && message.ptr[i] <= '?';)
            i++;
    return i < message.len ? i + 1 : i;
}

static bool has_value(const struct storm_form *form, size_t place)
{
    const struct storm_token *token = &form->tokens[place];
    return form->text[token->offset + token->len - 1] == STORM_BLANK;
}

/* The distances, as bits, at which tokens with a value in them come again. */
static unsigned find_periods(const struct storm_form *form)
{
    unsigned periods = 0;
    for (size_t i = 1; i < form->count; i++) {
        size_t far = i < PERIOD_TOKENS_MAX ? i : PERIOD_TOKENS_MAX;
        for (size_t period = 1; has_value(form, i) && period <= far; period++)
            periods |= (unsigned)(form->tokens[i].hash == form->tokens[i - period].hash) << period;
    }
    return periods;
}

/* Leaves one of what follows itself at a distance, where a value is among it. */
static void fold_period(struct storm_form *form, size_t period)
{
    size_t kept = 0, valued = 0; /* valued: the place behind the last token with a value */
    for (size_t i = 0; i < form->count; i++) {
        valued = has_value(form, i) ? kept + 1 : valued;
        form->tokens[kept++] = form->tokens[i];
        while (valued + period > kept && kept >= period && form->count - i > period) {
            size_t equal = 0;
            while (equal < period &&
                   form->tokens[i + 1 + equal].hash == form->tokens[kept - period + equal].hash)
                equal++;
            if (equal < period)
                break;
            i += period;
        }
    }
    form->count = (uint16_t)kept;
}

/* Draws together what is repeated: "a 1, a 2, a 3" is "a 1,". */
static void fold_repeats(struct storm_form *form)
{
    unsigned periods = find_periods(form);
    for (size_t period = 1; periods >> period; period++)
        if (periods >> period & 1)
            fold_period(form, period);
}

/* How many of eight bytes are control characters; those that logs have are none. */
static unsigned controls_in(const char *bytes)
{
    const uint64_t ones = 0x0101010101010101ull, tops = ones << 7;
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    if (!((word - ones * ' ') & ~word & tops)) /* none is below a blank */
        return 0;
    /* A byte's top bit, where its other seven are below a blank, are a tab, or an escape. */
    uint64_t low = word & ~tops;
    uint64_t below = tops & ~(low + ones * (0x80 - ' ')) & ~word;
    uint64_t tab = tops & ~((low ^ ones * '\t') + ones * 0x7f);
    uint64_t escape = tops & ~((low ^ ones * ESCAPE) + ones * 0x7f);
    return (unsigned)(((below & ~tab & ~escape) >> 7) * ones >> 56);
}

bool storm_is_binary(struct str message)
{
    size_t len = message.len < BINARY_BYTES ? message.len : BINARY_BYTES, controls = 0, i = 0;
    char last[8];
    for (; i + sizeof(last) <= len; i += sizeof(last))
        controls += controls_in(message.ptr + i);
    if (i < len) {
        memset(last, ' ', sizeof(last));
        memcpy(last, message.ptr + i, len - i);
        controls += controls_in(last);
    }
    return controls * BINARY_SHARE > len;
}

/*
 * The length of a word of letters alone with a blank behind it; 0 where it is not that simple, or
 * where the message ends too soon to look at 16 bytes at once.
 */
static inline size_t plain_word(struct str message, size_t from)
{
#ifdef __SSE2__
    if (message.len - from < sizeof(__m128i))
        return 0;
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(message.ptr + from));
    __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    unsigned others = ~(unsigned)_mm_movemask_epi8(is_letter) & 0xffff;
    size_t len = others ? (size_t)__builtin_ctz(others) : 0;
    return len && message.ptr[from + len] == ' ' ? len : 0;
#else
    (void)message;
    (void)from;
    return 0;
#endif
}

void storm_mask(struct str message, struct storm_form *ret)
{
    struct masker masker = { .form = ret };
    ret->count = ret->text_len = 0;
    if (storm_is_binary(message)) {
        ret->cut = false;
        push(&masker, STR("(binary)"), 0);
        return;
    }
    ret->cut = message.len > STORM_MESSAGE_BYTES_MAX;
    if (ret->cut)
        message.len = STORM_MESSAGE_BYTES_MAX;
    for (size_t i = 0, end; i < message.len && ret->count < STORM_TOKENS_MAX; i = end) {
        unsigned class = class_of(message.ptr[i]);
        size_t plain = class & IS_ALPHA ? plain_word(message, i) : 0;
        end = i + 1;
        if (plain) {
            end = i + plain;
            add_word(&masker, str_make(message.ptr + i, plain));
        } else if (message.ptr[i] == ESCAPE) {
            end = escape_end(message, i);
        } else if (class & IS_SPACE) {
            masker.spaced = true;
        } else if (class & IS_CUT) {
            add_sign(&masker, message.ptr + i);
        } else if (i + 1 < message.len && message.ptr[i + 1] == ':' && drive_path(message, i) > i) {
            end = drive_path(message, i);
            add_blank(&masker);
        } else {
            for (; end < message.len; end++) {
                unsigned next = class_of(message.ptr[end]);
                if (next & (IS_SPACE | IS_CUT))
                    break;
                class |= next;
            }
            struct str piece = str_make(message.ptr + i, end - i);
            if (class & (IS_TRIM | IS_DIGIT | IS_SLASH))
                add_run(&masker, piece);
            else
                add_word(&masker, piece);
        }
    }
    settle_less_than(&masker, 0);
    fold_repeats(ret);
}

void storm_add_template(struct buf *out, const struct storm_token *tokens, size_t count,
                        const char *text, bool cut)
{
    for (size_t i = 0; i < count; i++) {
        const char *at = text + tokens[i].offset;
        size_t len = tokens[i].len;
        bool has_value = len && at[len - 1] == STORM_BLANK;
        if (tokens[i].spaced && i)
            buf_add_char(out, ' ');
        buf_add(out, at, has_value ? len - 1 : len);
        if (has_value)
            buf_add_text(out, STORM_BLANK_TEXT);
    }
    if (cut)
        buf_add_text(out, " …");
}
