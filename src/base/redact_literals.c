/*
 * redact_literals: forms of known secrets, found by their first four bytes.
 *
 * Theory of operation. Each line of a value is cut into parts of bounded
 * length, and each part is written in every form in which it is likely to
 * stand somewhere. Bits say which hashes of four bytes a form begins with, so
 * that most places of a text cost one look-up however many forms there are;
 * where the bit is set, the forms of that hash are compared.
 *
 * In base64 a value looks different by its offset modulo 3, and its first and
 * last characters depend on its neighbours: the characters that depend on it
 * alone are looked for, the one before them is masked with them (`lead`), and
 * what base64 follows is the run's (redact.c).
 *
 * Owns one locked piece of memory that holds everything that tells of the
 * values; it is wiped when freed. What does not fit is an error, and nothing
 * is kept elsewhere.
 *
 * Invariants: a form has no line end, at least REDACT_LITERAL_BYTES_MIN bytes,
 * and less than REDACT_HEAD_BYTES_MAX with its lead.
 */
#include "base/redact_literals.h"

#include "base/locked.h"
#include "base/redact.h"

#define STEP           "hold known secrets"
#define BYTES_FIRST    ((size_t)64 << 10)
#define BITS           65536 /* of the filter */
#define CHAINS         1024
#define ENCODED_LEAST  6 /* an encoded form shorter than this says too little */
#define FORM_BYTES_MAX (3 * (REDACT_LITERAL_PART_MAX + 2))

static_assert(FORM_BYTES_MAX < REDACT_HEAD_BYTES_MAX, "a form is within what a block guarantees");

struct form {
    uint32_t next; /* in its chain, from 1 on; 0: the last */
    uint16_t len;
    uint8_t lead; /* bytes before it that are masked too */
    bool in_base64;
    uint32_t at; /* in the pool */
};

struct redact_literals {
    uint8_t bits[BITS / 8];
    uint32_t chains[CHAINS];
    struct form *forms; /* pool and forms grow by being moved */
    char *pool;
    size_t form_count, form_capacity, pool_len, pool_capacity;
};

int redact_literals_new(struct redact_literals **ret, struct err *err)
{
    struct redact_literals *literals = locked_alloc(sizeof(*literals));
    if (!literals)
        return err_set(err, ERR_MEMORY, STEP, "no memory can be locked; see `ulimit -l`");
    *ret = literals;
    return 0;
}

void redact_literals_free(struct redact_literals *literals)
{
    if (!literals)
        return;
    locked_free(literals->pool, literals->pool_capacity);
    locked_free(literals->forms, literals->form_capacity * sizeof(*literals->forms));
    locked_free(literals, sizeof(*literals));
}

/* Moves an array to a place of at least `needed` bytes. */
static int grow(void **memory, size_t used, size_t *capacity, size_t needed, struct err *err)
{
    if (needed <= *capacity)
        return 0;
    size_t larger = *capacity ? 2 * *capacity : BYTES_FIRST;
    while (larger < needed)
        larger *= 2;
    if (larger > REDACT_LITERALS_BYTES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "the secrets and their forms are too long together");
    void *moved = locked_alloc(larger);
    if (!moved)
        return err_set(err, ERR_MEMORY, STEP, "no more memory can be locked; see `ulimit -l`");
    if (used)
        memcpy(moved, *memory, used);
    locked_free(*memory, *capacity);
    *memory = moved;
    *capacity = larger;
    return 0;
}

static uint32_t hash_of(const char *four)
{
    uint32_t bytes;
    memcpy(&bytes, four, sizeof(bytes));
    return bytes * 2654435761u >> 16;
}

static bool is_there(const struct redact_literals *literals, const struct form *form)
{
    const char *text = literals->pool + form->at;
    for (uint32_t i = literals->chains[hash_of(text) % CHAINS]; i;
         i = literals->forms[i - 1].next) {
        const struct form *other = &literals->forms[i - 1];
        if (other->len == form->len && other->lead == form->lead &&
            memcmp(literals->pool + other->at, text, form->len) == 0)
            return true;
    }
    return false;
}

/* Takes in a form that stands at the end of the pool already. */
static int add_form(struct redact_literals *literals, size_t len, unsigned lead, bool in_base64,
                    struct err *err)
{
    struct form form = { .len = (uint16_t)len,
                         .lead = (uint8_t)lead,
                         .in_base64 = in_base64,
                         .at = (uint32_t)literals->pool_len };
    if (len < REDACT_LITERAL_BYTES_MIN || is_there(literals, &form))
        return 0;
    if (literals->form_count == REDACT_LITERALS_MAX)
        return err_set(err, ERR_LIMIT, STEP, "there are more than %d forms of secrets",
                       REDACT_LITERALS_MAX);
    size_t size = literals->form_capacity * sizeof(form);
    int r = grow((void **)&literals->forms, literals->form_count * sizeof(form), &size,
                 (literals->form_count + 1) * sizeof(form), err);
    literals->form_capacity = size / sizeof(form);
    if (r < 0)
        return r;
    uint32_t hash = hash_of(literals->pool + form.at);
    literals->bits[hash / 8] |= (uint8_t)(1u << hash % 8);
    form.next = literals->chains[hash % CHAINS];
    literals->forms[literals->form_count++] = form;
    literals->chains[hash % CHAINS] = (uint32_t)literals->form_count;
    literals->pool_len += len;
    return 0;
}

/* Writes the characters of base64 that a part alone decides, where it begins at `offset` mod 3. */
static size_t write_base64(struct str part, unsigned offset, bool url, char *to)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    unsigned bits = 8 * offset, have = 0, skip = (6 - bits % 6) % 6;
    uint32_t held = 0;
    size_t len = 0;
    for (size_t i = 0; i < part.len; i++) {
        held = held << 8 | (unsigned char)part.ptr[i];
        have += 8;
        if (skip) { /* they belong to a character that the neighbour decides too */
            have -= skip;
            skip = 0;
        }
        for (; have >= 6; have -= 6) {
            unsigned digit = held >> (have - 6) & 63;
            to[len++] = digit < 62 ? common[digit] : "+/-_"[digit - 62 + (url ? 2 : 0)];
        }
        held &= (1u << have) - 1;
    }
    return len;
}

static size_t write_percent(struct str part, bool capitals, char *to)
{
    const char *hex = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t len = 0;
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            to[len++] = (char)c;
            continue;
        }
        to[len++] = '%';
        to[len++] = hex[c >> 4];
        to[len++] = hex[c & 15];
    }
    return len;
}

static size_t write_hex(struct str part, bool capitals, char *to)
{
    const char *hex = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
    for (size_t i = 0; i < part.len; i++) {
        to[2 * i] = hex[(unsigned char)part.ptr[i] >> 4];
        to[2 * i + 1] = hex[part.ptr[i] & 15];
    }
    return 2 * part.len;
}

/* As JSON must escape it; what it escapes by \u in two ways is not looked for. */
static size_t write_json(struct str part, char *to)
{
    size_t len = 0;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        if (c == '"' || c == '\\')
            to[len++] = '\\';
        else if (c == '\t')
            to[len++] = '\\';
        to[len++] = c == '\t' ? 't' : c;
    }
    return len;
}

enum writer { AS_IT_IS, IN_JSON, IN_PERCENT, IN_PERCENT_LOWER, IN_HEX, IN_HEX_UPPER, IN_BASE64 };

static size_t write_form(enum writer writer, unsigned variant, struct str part, char *to)
{
    switch (writer) {
    case AS_IT_IS:
        memcpy(to, part.ptr, part.len);
        return part.len;
    case IN_JSON:
        return write_json(part, to);
    case IN_PERCENT:
    case IN_PERCENT_LOWER:
        return write_percent(part, writer == IN_PERCENT, to);
    case IN_HEX:
    case IN_HEX_UPPER:
        return write_hex(part, writer == IN_HEX_UPPER, to);
    case IN_BASE64:
        return write_base64(part, variant % 3, variant >= 3, to);
    }
    return 0;
}

static int add_part(struct redact_literals *literals, struct str part, struct err *err)
{
    for (enum writer writer = AS_IT_IS; writer <= IN_BASE64; writer++) {
        for (unsigned variant = 0; variant < (writer == IN_BASE64 ? 6u : 1u); variant++) {
            int r = grow((void **)&literals->pool, literals->pool_len, &literals->pool_capacity,
                         literals->pool_len + FORM_BYTES_MAX, err);
            if (r < 0)
                return r;
            size_t len = write_form(writer, variant, part, literals->pool + literals->pool_len);
            if (writer != AS_IT_IS && len < ENCODED_LEAST)
                continue;
            r = add_form(literals, len, writer == IN_BASE64 && variant % 3, writer == IN_BASE64,
                         err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int add_line(struct redact_literals *literals, struct str line, size_t *parts,
                    struct err *err)
{
    int r = 0;
    while (r == 0 && line.len >= REDACT_LITERAL_BYTES_MIN) {
        size_t len = line.len < REDACT_LITERAL_PART_MAX ? line.len : REDACT_LITERAL_PART_MAX;
        size_t rest = line.len - len;
        if (rest && rest < REDACT_LITERAL_BYTES_MIN) /* no part is too short to be found */
            len -= REDACT_LITERAL_BYTES_MIN;
        r = add_part(literals, str_make(line.ptr, len), err);
        *parts += 1;
        line = str_from_offset(line, len);
    }
    return r;
}

int redact_literals_add(struct redact_literals *literals, struct str value, size_t *ret_parts,
                        struct err *err)
{
    size_t parts = 0;
    int r = 0;
    for (size_t at = 0; r == 0 && at < value.len;) {
        size_t end = at;
        while (end < value.len && value.ptr[end] != '\n' && value.ptr[end] != '\r')
            end++;
        r = add_line(literals, str_make(value.ptr + at, end - at), &parts, err);
        at = end + 1;
    }
    if (r == 0)
        *ret_parts = parts;
    return r;
}

/* The longest form that stands at a place; NULL: none. */
static const struct form *form_at(const struct redact_literals *literals, struct str text,
                                  size_t at, uint32_t hash)
{
    const struct form *longest = NULL;
    for (uint32_t i = literals->chains[hash % CHAINS]; i; i = literals->forms[i - 1].next) {
        const struct form *form = &literals->forms[i - 1];
        if (form->len <= text.len - at && form->lead <= at &&
            (!longest || form->len > longest->len) &&
            memcmp(literals->pool + form->at, text.ptr + at, form->len) == 0)
            longest = form;
    }
    return longest;
}

bool redact_literals_next(const struct redact_literals *literals, struct str text, size_t *at,
                          struct redact_literal_found *ret)
{
    for (size_t i = *at; i + REDACT_LITERAL_BYTES_MIN <= text.len; i++) {
        uint32_t hash = hash_of(text.ptr + i);
        if (!(literals->bits[hash / 8] >> hash % 8 & 1))
            continue;
        const struct form *form = form_at(literals, text, i, hash);
        if (!form)
            continue;
        *ret = (struct redact_literal_found){ i - form->lead, form->len + form->lead,
                                              form->in_base64 };
        *at = i + 1;
        return true;
    }
    *at = text.len;
    return false;
}
