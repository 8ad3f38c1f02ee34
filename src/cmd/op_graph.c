/*
 * op_graph: an operation as a drawing, in SVG.
 *
 * Theory of operation. Four columns, from left to right: who lets whom and
 * what was asked; the operation with its launch and its run; what gates, doors
 * and persons said; what came of it. Each box is a document of the record, and
 * a line leads from where it comes from. Places follow from the order of the
 * record alone, so that one record is always the same drawing.
 *
 * Names are other people's text: what XML does not allow becomes "?", and what
 * is longer than its box is cut.
 *
 * Limits: COLUMN_BOXES_MAX boxes stand in a column; what is left over is counted
 * in a last one.
 */
#include "cmd/op_record.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "contract/vocabulary.h"

#define COLUMNS          4
#define COLUMN_BOXES_MAX 24
#define BOX_WIDTH        290
#define BOX_LINES        3
#define LINE_HEIGHT      16
#define BOX_HEIGHT       (BOX_LINES * LINE_HEIGHT + 14)
#define GAP_X            70
#define GAP_Y            14
#define MARGIN           20
#define HEAD             40
#define LETTERS_MAX      38 /* of a line in a box, in a font of 12 with fixed pitch */
#define CHAIN_MAX        9

enum look { LOOK_PLAIN, LOOK_GOOD, LOOK_BAD, LOOK_ASK };

struct box {
    enum look look;
    const char *kind;
    struct str name; /* told whole where one points at it */
    char lines[BOX_LINES - 1][256];
    int from_column, from_row; /* where its line comes from; -1: from nowhere */
};

struct drawing {
    const struct operation_record *record;
    struct box boxes[COLUMNS][COLUMN_BOXES_MAX];
    size_t counts[COLUMNS], left_out[COLUMNS];
};

/* --- boxes --------------------------------------------------------------------------------- */

/* NULL where the column is full, which is counted. */
static struct box *add_box(struct drawing *drawing, size_t column, const char *kind,
                           struct str name)
{
    if (drawing->counts[column] == COLUMN_BOXES_MAX) {
        drawing->left_out[column]++;
        return NULL;
    }
    struct box *box = &drawing->boxes[column][drawing->counts[column]++];
    *box = (struct box){ .kind = kind, .name = name, .from_column = -1 };
    return box;
}

static void set_line(struct box *box, size_t line, const char *format, ...) PRINTF_LIKE(3, 4);
static void set_line(struct box *box, size_t line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(box->lines[line], sizeof(box->lines[line]), format, arguments);
    va_end(arguments);
}

static void come_from(struct box *box, int column, int row)
{
    box->from_column = column;
    box->from_row = row;
}

static void add_authority(struct drawing *drawing, const yyjson_val *operation)
{
    const yyjson_val *chain[CHAIN_MAX];
    size_t count = op_record_chain(drawing->record, operation, chain, CHAIN_MAX);
    struct str command = text_of(member(operation, "commandRef"));
    const struct record_document *asked = record_find(drawing->record, command);
    for (size_t i = count; i-- > 0;) {
        int row = (int)drawing->counts[0];
        struct box *box = add_box(drawing, 0, "delegation", text_of(member(chain[i], "id")));
        if (!box)
            return;
        set_line(box, 0, "%.*s lets", STR_ARG(op_short(text_of(member(chain[i], "issuerRef")))));
        set_line(box, 1, "%.*s", STR_ARG(op_short(text_of(member(chain[i], "subjectRef")))));
        if (i + 1 < count)
            come_from(box, 0, row - 1);
    }
    struct box *box = asked ? add_box(drawing, 0, "command", command) : NULL;
    if (!box)
        return;
    _cleanup_(buf_release) struct buf runs = BUF_INIT;
    op_describe_run(asked->root, &runs);
    set_line(box, 0, "%.*s", STR_ARG(op_short(text_of(member(asked->root, "actorRef")))));
    set_line(box, 1, "%.*s", STR_ARG(buf_str(&runs)));
}

static void add_middle(struct drawing *drawing, const yyjson_val *operation)
{
    struct str id = text_of(member(operation, "id"));
    const yyjson_val *fingerprint = record_of(drawing->record, "AgentMachineFingerprint", id);
    const yyjson_val *execution = op_record_execution(drawing->record, id);
    struct str state = text_of(member(operation, "state"));
    struct box *box = add_box(drawing, 1, "operation", id);
    box->look = str_starts(state, STR("completed")) ? LOOK_GOOD
                : str_equal(state, STR("failed"))   ? LOOK_BAD
                                                    : LOOK_PLAIN;
    set_line(box, 0, "%.*s", STR_ARG(text_of(member(operation, "operationType"))));
    set_line(box, 1, "%.*s", STR_ARG(state));
    come_from(box, 0, (int)drawing->counts[0] - 1);
    if (fingerprint) {
        box = add_box(drawing, 1, "launch", text_of(member(fingerprint, "id")));
        set_line(box, 0, "tier %.*s", STR_ARG(text_of(at(fingerprint, "/isolation/tier"))));
        set_line(box, 1, "%.*s", STR_ARG(op_short(text_of(member(fingerprint, "profileRef")))));
        come_from(box, 1, 0);
    }
    if (execution) {
        box = add_box(drawing, 1, "run", text_of(member(execution, "id")));
        set_line(box, 0, "%.*s, status %lld", STR_ARG(text_of(at(execution, "/exit/reason"))),
                 (long long)yyjson_get_sint(at(execution, "/exit/status")));
        set_line(box, 1, "%.*s", STR_ARG(text_of(member(execution, "endedAt"))));
        come_from(box, 1, (int)drawing->counts[1] - 2);
    }
}

static void add_decision(struct drawing *drawing, const struct record_document *document,
                         const yyjson_val *execution)
{
    struct str verdict = text_of(member(document->root, "verdict"));
    struct str name = text_of(at(document->root, "/resource/name"));
    yyjson_val *denials = member(execution, "denials"), *denial;
    struct box *box = add_box(drawing, 2, "verdict", document->id);
    size_t index, count;
    if (!box)
        return;
    box->look = str_equal(verdict, STR("allow"))  ? LOOK_GOOD
                : str_equal(verdict, STR("deny")) ? LOOK_BAD
                                                  : LOOK_ASK;
    set_line(box, 0, "%.*s: %.*s", STR_ARG(text_of(member(document->root, "gate"))),
             STR_ARG(verdict));
    set_line(box, 1, "%.*s", STR_ARG(op_short(name)));
    come_from(box, 1, 0);
    if (!denials)
        return;
    yyjson_arr_foreach(denials, index, count, denial)
    {
        if (!str_equal(text_of(member(denial, "policyDecisionRef")), document->id))
            continue;
        come_from(box, 1, (int)drawing->counts[1] - 1);
        set_line(box, 0, "%.*s: %.*s, %llu times", STR_ARG(text_of(member(document->root, "gate"))),
                 STR_ARG(verdict), (unsigned long long)count_of(at(denial, "/uses/count")));
    }
}

static void add_card(struct drawing *drawing, const struct record_document *document)
{
    struct box *box = add_box(drawing, 2, "decision", document->id);
    if (!box)
        return;
    box->look = text_is(at(document->root, "/answer/verdict"), "allow")  ? LOOK_GOOD
                : text_is(at(document->root, "/answer/verdict"), "deny") ? LOOK_BAD
                                                                         : LOOK_ASK;
    set_line(box, 0, "%.*s", STR_ARG(text_of(at(document->root, "/resource/name"))));
    set_line(box, 1, "%.*s %.*s", STR_ARG(text_of(member(document->root, "state"))),
             STR_ARG(text_of(at(document->root, "/answer/optionId"))));
    come_from(box, 1, 0);
}

static void add_rulings(struct drawing *drawing, const yyjson_val *operation)
{
    struct str id = text_of(member(operation, "id"));
    const yyjson_val *execution = op_record_execution(drawing->record, id);
    for (size_t i = 0; i < drawing->record->document_count; i++) {
        const struct record_document *document = &drawing->record->documents[i];
        if (!str_equal(text_of(member(document->root, "operationRef")), id))
            continue;
        if (str_equal(document->type, STR("PolicyDecision")))
            add_decision(drawing, document, execution);
        else if (str_equal(document->type, STR("DecisionCard")))
            add_card(drawing, document);
    }
}

static void add_budget(struct drawing *drawing, const yyjson_val *operation)
{
    const struct record_document *budget =
        record_find(drawing->record, text_of(member(operation, "budgetRef")));
    struct box *box = budget ? add_box(drawing, 3, "budget", budget->id) : NULL;
    size_t line = 0;
    if (!box)
        return;
    for (size_t i = 0; i < DIMENSION_COUNT && line < BOX_LINES - 1; i++) {
        const yyjson_val *row = member(member(budget->root, "dimensions"), dimension_names[i]);
        if (count_of(member(row, "used")))
            set_line(box, line++, "%s %llu of %llu", dimension_names[i],
                     (unsigned long long)count_of(member(row, "used")),
                     (unsigned long long)count_of(member(row, "limit")));
    }
    come_from(box, 1, (int)drawing->counts[1] - 1);
}

static void add_results(struct drawing *drawing, const yyjson_val *operation)
{
    struct str receipt = text_of(member(operation, "receiptRef"));
    const yyjson_val *execution =
        op_record_execution(drawing->record, text_of(member(operation, "id")));
    const yyjson_val *changes = member(execution, "changeSet");
    yyjson_val *artifacts = member(operation, "artifacts"), *artifact;
    int from = (int)drawing->counts[1] - 1;
    size_t index, count;
    struct box *box =
        changes ? add_box(drawing, 3, "change set", text_of(member(changes, "changeSetRef")))
                : NULL;
    if (box) {
        set_line(box, 0, "%llu added, %llu modified",
                 (unsigned long long)count_of(member(changes, "added")),
                 (unsigned long long)count_of(member(changes, "modified")));
        set_line(box, 1, "%llu deleted, %llu held apart",
                 (unsigned long long)count_of(member(changes, "deleted")),
                 (unsigned long long)count_of(member(changes, "heldApart")));
        come_from(box, 1, from);
    }
    if (artifacts) {
        yyjson_arr_foreach(artifacts, index, count, artifact)
        {
            struct str ref = text_of(member(artifact, "artifactRef"));
            box = add_box(drawing, 3, "artifact", ref);
            if (!box)
                continue;
            set_line(box, 0, "%.*s", STR_ARG(op_short(ref)));
            come_from(box, 1, from);
        }
    }
    box = receipt.len ? add_box(drawing, 3, "receipt", receipt) : NULL;
    if (box) {
        set_line(box, 0, "%.*s", STR_ARG(op_short(receipt)));
        come_from(box, 1, from);
    }
}

/* --- drawing ------------------------------------------------------------------------------- */

static bool is_xml(const unsigned char *at, size_t len)
{
    if (at[0] < 0x20 || at[0] == 0x7f)
        return false;
    return !(len >= 3 && at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe); /* U+FFFE, U+FFFF */
}

/* The text as XML has it, of at most so many letters. */
static void add_text(struct buf *out, struct str text, size_t most)
{
    size_t letters = 0;
    for (size_t i = 0; i < text.len && letters < most; letters++) {
        const unsigned char *at = (const unsigned char *)text.ptr + i;
        size_t len = 1;
        while (i + len < text.len && (at[len] & 0xc0) == 0x80)
            len++;
        if (letters + 1 == most && i + len < text.len)
            buf_add_text(out, "…");
        else if (!is_xml(at, text.len - i))
            buf_add_char(out, '?');
        else if (*at == '<' || *at == '>' || *at == '&' || *at == '"')
            buf_addf(out, "&#%u;", *at);
        else
            buf_add(out, at, len);
        i += len;
    }
}

static int x_of(size_t column)
{
    return MARGIN + (int)column * (BOX_WIDTH + GAP_X);
}

static int y_of(size_t row)
{
    return MARGIN + HEAD + (int)row * (BOX_HEIGHT + GAP_Y);
}

static void draw_line(struct buf *out, const struct box *box, size_t column, size_t row)
{
    int x = x_of(column), y = y_of(row) + BOX_HEIGHT / 2;
    if (box->from_column < 0 || box->from_row < 0)
        return;
    int from_x = x_of((size_t)box->from_column), from_y = y_of((size_t)box->from_row);
    if ((size_t)box->from_column == column) {
        buf_addf(out, "<path d=\"M%d %d V%d\"/>\n", x + BOX_WIDTH / 2, from_y + BOX_HEIGHT,
                 y_of(row));
        return;
    }
    from_x += BOX_WIDTH;
    from_y += BOX_HEIGHT / 2;
    buf_addf(out, "<path d=\"M%d %d C%d %d %d %d %d %d\"/>\n", from_x, from_y, from_x + GAP_X / 2,
             from_y, x - GAP_X / 2, y, x, y);
}

static void draw_box(struct buf *out, const struct box *box, size_t column, size_t row)
{
    static const char *const looks[] = {
        [LOOK_PLAIN] = "plain", [LOOK_GOOD] = "good", [LOOK_BAD] = "bad", [LOOK_ASK] = "ask"
    };
    int x = x_of(column), y = y_of(row);
    buf_addf(out, "<g class=\"%s\"><title>", looks[box->look]);
    add_text(out, box->name, SIZE_MAX);
    buf_addf(out,
             "</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>"
             "<text class=\"kind\" x=\"%d\" y=\"%d\">",
             x, y, BOX_WIDTH, BOX_HEIGHT, x + 9, y + LINE_HEIGHT + 3);
    add_text(out, str_from(box->kind), LETTERS_MAX);
    buf_add_text(out, "</text>");
    for (size_t i = 0; i < BOX_LINES - 1; i++) {
        buf_addf(out, "<text x=\"%d\" y=\"%d\">", x + 9, y + (int)(i + 2) * LINE_HEIGHT + 3);
        add_text(out, str_from(box->lines[i]), LETTERS_MAX);
        buf_add_text(out, "</text>");
    }
    buf_add_text(out, "</g>\n");
}

static void draw(const struct drawing *drawing, struct str title, struct buf *out)
{
    static const char *const heads[COLUMNS] = { "who lets whom, and asks", "what was done",
                                                "what was decided", "what came of it" };
    size_t rows = 1;
    for (size_t i = 0; i < COLUMNS; i++)
        rows = drawing->counts[i] > rows ? drawing->counts[i] : rows;
    buf_addf(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" role=\"img\">\n"
             "<title>",
             x_of(COLUMNS) - GAP_X + MARGIN, y_of(rows) + HEAD);
    add_text(out, title, SIZE_MAX);
    buf_add_text(out,
                 "</title>\n<style>"
                 "text{font:12px monospace;fill:#222}.kind{font-weight:bold}"
                 ".head{font-size:14px;fill:#555}"
                 "rect{fill:#fff;stroke:#777}path{fill:none;stroke:#999}"
                 ".good rect{fill:#eaf6ea;stroke:#2a7d2a}.bad rect{fill:#fbe9e7;stroke:#b3261e}"
                 ".ask rect{fill:#fff6dd;stroke:#a86f00}</style>\n"
                 "<rect x=\"0\" y=\"0\" width=\"100%\" height=\"100%\" stroke=\"none\"/>\n");
    for (size_t column = 0; column < COLUMNS; column++)
        for (size_t row = 0; row < drawing->counts[column]; row++)
            draw_line(out, &drawing->boxes[column][row], column, row);
    for (size_t column = 0; column < COLUMNS; column++) {
        buf_addf(out, "<text class=\"head\" x=\"%d\" y=\"%d\">%s</text>\n", x_of(column),
                 MARGIN + HEAD / 2, heads[column]);
        for (size_t row = 0; row < drawing->counts[column]; row++)
            draw_box(out, &drawing->boxes[column][row], column, row);
        if (drawing->left_out[column])
            buf_addf(out, "<text x=\"%d\" y=\"%d\">and %zu more</text>\n", x_of(column),
                     y_of(drawing->counts[column]) + LINE_HEIGHT, drawing->left_out[column]);
    }
    buf_add_text(out, "</svg>\n");
}

/* --- the verb ------------------------------------------------------------------------------ */

enum { GRAPH_OUTPUT };

const struct option_row op_graph_options[OP_GRAPH_OPTION_COUNT] = {
    [GRAPH_OUTPUT] = { "output", 'o', "FILE", "write it there, which must not exist" },
};

int run_op_graph(const struct invocation *invocation)
{
    _cleanup_(cleanup_record) struct operation_record record = { 0 };
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    struct drawing *drawing = calloc(1, sizeof(*drawing));
    struct err err = { 0 };
    int r = drawing ? op_record_read(invocation->operands[0], &record, &err)
                    : err_set(&err, ERR_MEMORY, "draw", "there is not enough memory");
    if (r == 0) {
        const yyjson_val *operation = record_find(&record, record.operations[0])->root;
        drawing->record = &record;
        add_authority(drawing, operation);
        add_middle(drawing, operation);
        add_rulings(drawing, operation);
        add_budget(drawing, operation);
        add_results(drawing, operation);
        draw(drawing, record.operations[0], &out);
        r = out.error ? err_set(&err, ERR_MEMORY, "draw", "there is not enough memory")
                      : op_put(invocation->values[GRAPH_OUTPUT], &out, &err);
    }
    free(drawing);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}
