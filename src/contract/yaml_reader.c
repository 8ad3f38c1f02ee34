/*
 * yaml_reader: see the header.
 *
 * Theory of operation. yaml_text_check has found the document and refused what
 * libfyaml must not see. libfyaml parses it event by event, without recursion,
 * straight from the caller's bytes. Its faults are collected and not printed;
 * the first one is looked up in the table of words below.
 *
 * Places are libfyaml's byte offsets, mended where they are not where a reader
 * would point: at a quote or at the bar of a block rather than behind it, and
 * for a value that is not there at the colon or the hyphen that announces it.
 *
 * What a scalar says is read by yaml_content from the bytes between its places.
 * Where the two disagree on the end of a block, the text is refused.
 *
 * Owns the parser, its diagnostics, the last event and the text of a scalar
 * that does not stand in the document as it is.
 *
 * Limits: those of yaml_text. libfyaml keeps the tokens of a collection in
 * brackets until it knows that it is no key, which takes up to 400 bytes of
 * memory for each byte of text: YAML_SIZE_MAX bounds that.
 */
#include <libfyaml.h> /* first: it has macros of functions that base.h forbids */

#include "contract/yaml_reader.h"

#include "base/lazy.h"
#include "contract/yaml_content.h"
#include "contract/yaml_text.h"

#define FYAML_FUNCTIONS(X)                                                                         \
    X(fy_diag_create)                                                                              \
    X(fy_diag_destroy)                                                                             \
    X(fy_diag_errors_iterate)                                                                      \
    X(fy_diag_set_collect_errors)                                                                  \
    X(fy_parser_create)                                                                            \
    X(fy_parser_destroy)                                                                           \
    X(fy_parser_event_free)                                                                        \
    X(fy_parser_parse)                                                                             \
    X(fy_parser_set_string)                                                                        \
    X(fy_token_end_mark)                                                                           \
    X(fy_token_scalar_style)                                                                       \
    X(fy_token_start_mark)

#define CONTENT_GROWTH 2 /* bytes of a scalar for each of its text: \P is three */

LAZY_LIBRARY(fyaml, "libfyaml.so.0", FYAML_FUNCTIONS)

#define ANCHOR_WORDS                                                                               \
    "anchors (&name) are not accepted: write a value out wherever it is used; "                    \
    "a string that starts with '&' is put in quotes"
#define ALIAS_WORDS                                                                                \
    "aliases (*name) are not accepted: write the value out again; "                                \
    "a string that starts with '*' is put in quotes"
#define TAG_WORDS                                                                                  \
    "tags (!name) are not accepted: quotes make a string, and nothing else needs a tag; "          \
    "a string that starts with '!' is put in quotes"
#define BEHIND_QUOTE_WORDS                                                                         \
    "found text behind a closing quote; put the whole value in quotes, and a quote inside "        \
    "single quotes twice"
#define BLOCK_WORDS                                                                                \
    "found a malformed block: behind | or > may stand a digit from 1 to 9 and + or -; its lines "  \
    "start below, indented more than its key"
#define COLON_WORDS                                                                                \
    "a value has ': ' in it and is not in quotes; put it in quotes, or start a mapping on the "    \
    "line below its key"
#define COLUMN_WORDS                                                                               \
    "the indentation fits nothing above: members of one mapping start in one column, and so do "   \
    "items of one sequence"
#define COMMENT_WORDS                                                                              \
    "found '#' where no comment can start; put a space before it, or the value in quotes"
#define ESCAPE_WORDS                                                                               \
    "found a backslash that starts no escape of YAML; in double quotes the backslash itself is "   \
    "written \\\\"
#define FLOW_WORDS                                                                                 \
    "what stands in brackets or quotes goes on in a line that is indented too little; indent it "  \
    "more than the key it belongs to"
#define ITEM_WORDS                                                                                 \
    "expected an item (\"- value\") of the sequence above, found something else; is a line "       \
    "indented wrongly?"
#define MEMBER_WORDS                                                                               \
    "expected a member (\"key: value\") of the mapping above, found something else; is a ':' "     \
    "missing, or a line indented wrongly?"
#define KEY_WORDS                                                                                  \
    "found ':' behind what cannot be a key; a key has one line: is a line indented too far, or a " \
    "text with ': ' in it not in quotes?"
#define SEQUENCE_WORDS                                                                             \
    "found '- ' where no item can start: a sequence starts on the line below its key; a string "   \
    "that starts with '- ' is put in quotes"
#define VALUE_WORDS "expected ':' and a value behind this key"
#define TAB_WORDS   "found a tab used for indentation, which YAML makes of spaces alone"

/* Where in what libfyaml points at a reader looks first. */
enum fault_place { AT_START, AT_QUOTE, AT_END };

/* What libfyaml says (a part that its versions have in common), and what we say. The first fits. */
static const struct fault {
    const char *said, *words;
    enum fault_place place;
} faults[] = {
    { "without closing quote", "the quote that opens here is not closed", AT_QUOTE },
    { "invalid nested block mapping on the same line", COLON_WORDS },
    { "key on same line as previous key", COLON_WORDS },
    { "invalid multiline", KEY_WORDS, AT_END },
    { "Illegal placement of ':'", KEY_WORDS },
    { "in plain multiline", KEY_WORDS },
    { "expected ':'", VALUE_WORDS },
    { "missing ':'", VALUE_WORDS },
    { "invalid value after mapping", MEMBER_WORDS },
    { "did not find expected key", MEMBER_WORDS },
    { "invalid mapping key", "found '? ' where no key can start; put the text in quotes" },
    { "starting at --- line", "found a mapping behind \"---\"; it starts on the line below" },
    { "missing document start", "found text behind the end of the document's value" },
    { "tab ", TAB_WORDS },
    { "tabs ", TAB_WORDS },
    { "anchor", ANCHOR_WORDS },
    { "alias", ALIAS_WORDS },
    { "tag ", TAG_WORDS },
    { "URI", TAG_WORDS },
    { "end of block sequence", ITEM_WORDS },
    { "expected '-'", ITEM_WORDS },
    { "block sequence", SEQUENCE_WORDS },
    { "indentation in mapping", COLUMN_WORDS },
    { "indendation in sequence", COLUMN_WORDS },
    { "wrongly indented sequence item", COLUMN_WORDS },
    { "in flow mode", FLOW_WORDS },
    { "wrongly indented flow", FLOW_WORDS },
    { "wrongly indented single-quoted", FLOW_WORDS },
    { "wrongly indented double-quoted", FLOW_WORDS },
    { "without a closing bracket", "the text ends before a bracket is closed" },
    { "extra closing", "found a closing bracket, and none is open" },
    { "mismatched flow", "found a closing bracket of another kind than the one that is open" },
    { "missing comma", "expected ',' or a closing bracket" },
    { "after comma", COMMENT_WORDS },
    { "comma", "found ',' without a value before it" },
    { "node content",
      "expected a value: is a bracket not closed, or an item empty, which is written null?" },
    { "trailing content after", BEHIND_QUOTE_WORDS },
    { "escape", ESCAPE_WORDS },
    { "surrogate", ESCAPE_WORDS },
    { "empty block scalar", BLOCK_WORDS },
    { "comment", COMMENT_WORDS },
    { "block scalar", BLOCK_WORDS },
    { "indentation indicator", BLOCK_WORDS },
    { "plain scalar cannot start", "this character cannot start a value; put the value in quotes" },
};

static int explain_fault(struct yaml_reader *reader, struct err *err);

static int out_of_memory(const struct yaml_reader *reader, struct err *err)
{
    return err_set(err, ERR_MEMORY, YAML_STEP, "a text of %zu bytes", reader->body.len);
}

/* Called with what libfyaml would print: the first of it is kept. */
static void keep_said(struct fy_diag *diag, void *user, const char *text, size_t len)
{
    (void)diag;
    struct yaml_reader *reader = user;
    if (!reader->said[0])
        snprintf(reader->said, sizeof(reader->said), "%.*s", (int)len, text);
}

static int open_parser(struct yaml_reader *reader, struct str document)
{
    struct fy_diag_cfg diag_cfg = {
        .output_fn = keep_said,
        .user = reader,
        .level = FYET_ERROR,
        .module_mask = (1u << FYEM_MAX) - 1,
    };
    reader->diag = fyaml.fy_diag_create(&diag_cfg);
    if (!reader->diag)
        return -ENOMEM;
    fyaml.fy_diag_set_collect_errors(reader->diag, true);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
                 FYPCF_SLOPPY_FLOW_INDENTATION, /* as most programs read it */
        .diag = reader->diag,
    };
    reader->parser = fyaml.fy_parser_create(&cfg);
    if (!reader->parser)
        return -ENOMEM;
    return fyaml.fy_parser_set_string(reader->parser, document.ptr, document.len) ? -ENOMEM : 0;
}

/* libfyaml holds a pointer to the reader from here on, which is why it is not filled by copy. */
int yaml_reader_open(struct str text, struct yaml_reader *ret, struct err *err)
{
    struct str body = yaml_text_body(text), document;
    *ret = (struct yaml_reader){ .content = BUF_INIT_LIMIT(CONTENT_GROWTH * text.len) };
    int r = yaml_text_check(body, &document, err);
    if (r == 0)
        r = lazy_load(&fyaml_library, err);
    if (r < 0)
        return r;
    ret->start = (size_t)(document.ptr - body.ptr);
    ret->behind = ret->start + (str_starts(document, STR("---")) ? 3 : 0);
    ret->body = str_make(body.ptr, ret->start + document.len);
    return open_parser(ret, document) < 0 ? out_of_memory(ret, err) : 0;
}

void yaml_reader_close(struct yaml_reader *reader)
{
    if (reader->event)
        fyaml.fy_parser_event_free(reader->parser, reader->event);
    if (reader->parser)
        fyaml.fy_parser_destroy(reader->parser);
    if (reader->diag)
        fyaml.fy_diag_destroy(reader->diag);
    buf_release(&reader->content);
    *reader = (struct yaml_reader){ 0 };
}

/* --- events --------------------------------------------------------------- */

/* Offset of a token's start, or where there is none of the end of what came before. */
static size_t start_of(const struct yaml_reader *reader, struct fy_token *token)
{
    const struct fy_mark *mark = token ? fyaml.fy_token_start_mark(token) : NULL;
    return mark ? reader->start + mark->input_pos : reader->behind;
}

/* The offset at which a line starts that goes on at `at`. */
static size_t line_of(struct str body, size_t at)
{
    while (at > 0 && body.ptr[at - 1] != '\n' && body.ptr[at - 1] != '\r')
        at--;
    return at;
}

static int refuse_unread(struct yaml_reader *reader, size_t offset, struct err *err)
{
    return yaml_refuse(reader->body, offset, ERR_SYNTAX, err,
                       "this string cannot be read reliably; write it in double quotes on one "
                       "line, an empty one as \"\"");
}

/* The same of its end, which libfyaml may put behind the end of the text. */
static size_t end_of(const struct yaml_reader *reader, struct fy_token *token)
{
    const struct fy_mark *mark = token ? fyaml.fy_token_end_mark(token) : NULL;
    size_t end = mark ? reader->start + mark->input_pos : reader->behind;
    return end < reader->body.len ? end : reader->body.len;
}

/* Sets what a scalar says, which is mostly what stands there. */
static int set_text(struct yaml_reader *reader, struct str raw, enum yaml_style style,
                    struct yaml_event *ret, struct err *err)
{
    static const char *const changes[] = {
        [YAML_PLAIN] = "\n\r",
        [YAML_SINGLE_QUOTED] = "\n\r'",
        [YAML_DOUBLE_QUOTED] = "\n\r\\",
    };
    size_t same = 0;
    while (same < raw.len && !strchr(changes[style], raw.ptr[same]))
        same++;
    ret->text = raw;
    if (same == raw.len)
        return 0;
    buf_reset(&reader->content);
    int r = yaml_content_add(&reader->content, raw, style);
    if (r == -EINVAL)
        return yaml_refuse(reader->body, ret->offset, ERR_SYNTAX, err, "%s", ESCAPE_WORDS);
    ret->text = buf_str(&reader->content);
    return r < 0 ? out_of_memory(reader, err) : 0;
}

static int take_flow_scalar(struct yaml_reader *reader, struct fy_token *token,
                            enum yaml_style style, struct yaml_event *ret, struct err *err)
{
    size_t start = start_of(reader, token), end = end_of(reader, token);
    char quote = style == YAML_SINGLE_QUOTED ? '\'' : '"';
    bool is_quoted = style != YAML_PLAIN;
    const char *text = reader->body.ptr;
    ret->is_plain = !is_quoted;
    ret->offset = start - is_quoted;
    if (start > end || (is_quoted && (start == reader->start || text[start - 1] != quote ||
                                      end == reader->body.len || text[end] != quote)))
        return refuse_unread(reader, reader->behind, err);
    reader->behind = end + is_quoted;
    return set_text(reader, str_make(text + start, end - start), style, ret, err);
}

/*
 * Where a block's | or > stands, and the column of what it belongs to: of the
 * hyphen or the explicit key before it, or of the key on the same line.
 */
static size_t find_header(const struct yaml_reader *reader, long *ret_parent)
{
    struct str body = reader->body;
    size_t owner = SIZE_MAX;
    size_t at = reader->behind;
    while ((at = yaml_text_skip(body, at, "")) < body.len && strchr("-?:", body.ptr[at]))
        owner = at++;
    *ret_parent = -1;
    if (owner != SIZE_MAX) {
        if (body.ptr[owner] == ':' && line_of(body, owner) == line_of(body, reader->last))
            owner = reader->last;
        *ret_parent = (long)(owner - line_of(body, owner));
    }
    return at;
}

static int take_block(struct yaml_reader *reader, struct fy_token *token, struct yaml_event *ret,
                      struct err *err)
{
    long parent;
    size_t end, other = end_of(reader, token);
    ret->offset = find_header(reader, &parent);
    if (ret->offset == reader->body.len || !strchr("|>", reader->body.ptr[ret->offset]))
        return refuse_unread(reader, reader->behind, err);
    buf_reset(&reader->content);
    int r = yaml_content_add_block(&reader->content, reader->body, ret->offset, parent, &end);
    if (r == -EINVAL)
        return yaml_refuse(reader->body, ret->offset, ERR_SYNTAX, err, "%s", BLOCK_WORDS);
    if (r < 0)
        return out_of_memory(reader, err);
    /* Blank lines and comments may count to either side of the end, and nothing else. */
    if (yaml_text_skip(reader->body, end < other ? end : other, "") < (end < other ? other : end))
        return refuse_unread(reader, ret->offset, err);
    ret->text = buf_str(&reader->content);
    reader->behind = end;
    return 0;
}

/* A value that is not there: libfyaml 0.7 gives no token for it, later ones an empty one. */
static bool is_absent(const struct yaml_reader *reader, struct fy_token *token)
{
    return !token || (fyaml.fy_token_scalar_style(token) == FYSS_PLAIN &&
                      start_of(reader, token) == end_of(reader, token));
}

static int take_scalar(struct yaml_reader *reader, struct fy_token *token, struct yaml_event *ret,
                       struct err *err)
{
    *ret = (struct yaml_event){ .type = YAML_SCALAR, .text = STR("") };
    if (is_absent(reader, token)) {
        ret->is_plain = true;
        ret->offset = yaml_text_skip(reader->body, reader->behind, "");
        if (ret->offset < reader->body.len)
            reader->behind = ret->offset + 1;
        return 0;
    }
    switch (fyaml.fy_token_scalar_style(token)) {
    case FYSS_PLAIN:
        return take_flow_scalar(reader, token, YAML_PLAIN, ret, err);
    case FYSS_SINGLE_QUOTED:
        return take_flow_scalar(reader, token, YAML_SINGLE_QUOTED, ret, err);
    case FYSS_DOUBLE_QUOTED:
        return take_flow_scalar(reader, token, YAML_DOUBLE_QUOTED, ret, err);
    default:
        return take_block(reader, token, ret, err);
    }
}

static void take_collection(struct yaml_reader *reader, enum yaml_event_type type,
                            struct fy_token *token, struct yaml_event *ret)
{
    *ret = (struct yaml_event){ .type = type, .offset = start_of(reader, token) };
    /* Of a pair in a sequence, [a: b], libfyaml gives the colon. */
    if (ret->offset < reader->body.len && reader->body.ptr[ret->offset] == ':')
        ret->offset = yaml_text_skip(reader->body, reader->behind, ",");
    else if (end_of(reader, token) > reader->behind)
        reader->behind = end_of(reader, token);
}

/* What stands before a value and is not accepted. */
static int refuse_property(struct yaml_reader *reader, const struct fy_event *event,
                           struct err *err)
{
    struct fy_token *anchor = NULL, *tag = NULL;
    if (event->type == FYET_SCALAR) {
        anchor = event->scalar.anchor;
        tag = event->scalar.tag;
    } else if (event->type == FYET_MAPPING_START) {
        anchor = event->mapping_start.anchor;
        tag = event->mapping_start.tag;
    } else if (event->type == FYET_SEQUENCE_START) {
        anchor = event->sequence_start.anchor;
        tag = event->sequence_start.tag;
    } else if (event->type == FYET_ALIAS) {
        return yaml_refuse(reader->body, start_of(reader, event->alias.anchor) - 1, ERR_SYNTAX, err,
                           "%s", ALIAS_WORDS);
    }
    if (tag)
        return yaml_refuse(reader->body, start_of(reader, tag), ERR_SYNTAX, err, "%s", TAG_WORDS);
    if (anchor)
        return yaml_refuse(reader->body, start_of(reader, anchor) - 1, ERR_SYNTAX, err, "%s",
                           ANCHOR_WORDS);
    return 0;
}

static int take_event(struct yaml_reader *reader, struct fy_event *event, struct yaml_event *ret,
                      struct err *err)
{
    switch (event->type) {
    case FYET_SCALAR:
        return take_scalar(reader, event->scalar.value, ret, err);
    case FYET_MAPPING_START:
        take_collection(reader, YAML_MAPPING, event->mapping_start.mapping_start, ret);
        return 0;
    case FYET_SEQUENCE_START:
        take_collection(reader, YAML_SEQUENCE, event->sequence_start.sequence_start, ret);
        return 0;
    case FYET_MAPPING_END:
        take_collection(reader, YAML_MAPPING_END, event->mapping_end.mapping_end, ret);
        return 0;
    case FYET_SEQUENCE_END:
        take_collection(reader, YAML_SEQUENCE_END, event->sequence_end.sequence_end, ret);
        return 0;
    default:
        take_collection(reader, YAML_END, NULL, ret);
        return 0;
    }
}

int yaml_reader_next(struct yaml_reader *reader, struct yaml_event *ret, struct err *err)
{
    struct fy_event *event;
    do {
        if (reader->event)
            fyaml.fy_parser_event_free(reader->parser, reader->event);
        errno = 0;
        event = reader->event = fyaml.fy_parser_parse(reader->parser);
        if (!event)
            return explain_fault(reader, err);
    } while (event->type == FYET_STREAM_START || event->type == FYET_DOCUMENT_START ||
             event->type == FYET_DOCUMENT_END);
    int r = refuse_property(reader, event, err);
    if (r == 0)
        r = take_event(reader, event, ret, err);
    if (r == 0)
        reader->last = ret->offset;
    return r;
}

/* --- faults --------------------------------------------------------------- */

/* The offset of a fault, in what libfyaml points at. */
static size_t place_of(const struct yaml_reader *reader, struct fy_diag_error *error,
                       enum fault_place place)
{
    if (!error || !error->fyt)
        return yaml_text_skip(reader->body, reader->behind, ":-?");
    size_t start = start_of(reader, error->fyt);
    if (place == AT_END)
        return end_of(reader, error->fyt);
    return place == AT_QUOTE && start > reader->start ? start - 1 : start;
}

static int explain_fault(struct yaml_reader *reader, struct err *err)
{
    void *at = NULL;
    struct fy_diag_error *error = fyaml.fy_diag_errors_iterate(reader->diag, &at);
    if (!error && errno == ENOMEM)
        return out_of_memory(reader, err);
    const char *said = error ? error->msg : reader->said;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        if (strstr(said, faults[i].said))
            return yaml_refuse(reader->body, place_of(reader, error, faults[i].place), ERR_SYNTAX,
                               err, "%s", faults[i].words);
    return yaml_refuse(reader->body, place_of(reader, error, AT_START), ERR_SYNTAX, err,
                       "this cannot be read as YAML (%s)",
                       said[0] ? said : "libfyaml gives no reason");
}
