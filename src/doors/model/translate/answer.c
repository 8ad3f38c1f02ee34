/*
 * answer: see the header.
 *
 * Theory of operation. An answer is a row of items, of which the last one is open: a piece of
 * another kind closes it and opens the next. The form of the client's protocol writes each step
 * of a stream at once; only where a form says all again at its end, or the client wants one
 * document, texts are kept, up to a limit. Why it stopped and what it cost is noted and told last,
 * since providers say it in different orders.
 *
 * Invariants: items begin and end in their order, one at a time; nothing is written behind a
 * fault; memory is bounded by ANSWER_ITEMS_MAX and ANSWER_BYTES_MAX.
 */
#include "doors/model/translate/answer.h"

int answer_init(struct answer *answer, const struct conversation *asked,
                const struct answer_form *form, uint64_t number, int64_t now_s)
{
    *answer = (struct answer){ .asked = asked,
                               .form = form,
                               .out = BUF_INIT_LIMIT(4 * ANSWER_BYTES_MAX),
                               .number = number,
                               .now_s = now_s };
    snprintf(answer->id, sizeof(answer->id), "%s%016llx", form->id_prefix,
             (unsigned long long)number);
    answer->items = calloc(ANSWER_ITEMS_MAX, sizeof(*answer->items));
    return answer->items ? 0 : -ENOMEM;
}

void answer_release(struct answer *answer)
{
    for (size_t i = 0; i < answer->item_count; i++)
        buf_release(&answer->items[i].text);
    free(answer->items);
    buf_release(&answer->out);
    *answer = (struct answer){ 0 };
}

int answer_fault(struct answer *answer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!answer->fault[0])
        vsnprintf(answer->fault, sizeof(answer->fault), format, arguments);
    va_end(arguments);
    return -EBADMSG;
}

static int outcome(const struct answer *answer)
{
    return answer->fault[0] ? -EBADMSG : answer->out.error;
}

/* --- items ----------------------------------------------------------------------------------- */

/* More of the open item. */
static int add(struct answer *answer, struct str text)
{
    struct answer_item *item = &answer->items[answer->item_count - 1];
    item->has_text = true;
    if (!answer->asked->streams || answer->form->keeps_texts) {
        answer->kept_bytes += text.len;
        if (answer->kept_bytes > ANSWER_BYTES_MAX)
            return answer_fault(answer, "The provider's answer is larger than %zu bytes.",
                                ANSWER_BYTES_MAX);
        if (buf_add_str(&item->text, text) < 0)
            return item->text.error;
    }
    if (answer->asked->streams)
        answer->form->add(answer, item, text);
    return outcome(answer);
}

static int close_item(struct answer *answer)
{
    if (!answer->is_open)
        return 0;
    struct answer_item *item = &answer->items[answer->item_count - 1];
    /* No arguments are an empty object: some providers say so by saying nothing. */
    int r = item->kind == ITEM_CALL && !item->has_text ? add(answer, STR("{}")) : 0;
    answer->is_open = false;
    if (r == 0 && answer->asked->streams)
        answer->form->close(answer, item);
    return r;
}

static void begin(struct answer *answer)
{
    if (!answer->has_begun && answer->asked->streams)
        answer->form->begin(answer);
    answer->has_begun = true;
}

/* The next item; NULL beyond the limit, which is noted. */
static struct answer_item *next_item(struct answer *answer, enum item_kind kind)
{
    begin(answer);
    if (close_item(answer) < 0)
        return NULL;
    if (answer->item_count == ANSWER_ITEMS_MAX) {
        answer_fault(answer, "The provider's answer has more than %d parts.", ANSWER_ITEMS_MAX);
        return NULL;
    }
    struct answer_item *item = &answer->items[answer->item_count++];
    item->kind = kind;
    item->text = BUF_INIT_LIMIT(ANSWER_BYTES_MAX);
    answer->is_open = true;
    return item;
}

static void open_item(struct answer *answer, const struct answer_item *item)
{
    if (answer->asked->streams)
        answer->form->open(answer, item);
}

int answer_say(struct answer *answer, enum item_kind kind, struct str text)
{
    int r = outcome(answer);
    if (r < 0 || !text.len || (kind == ITEM_REASONING && !answer->asked->wants_reasoning))
        return r;
    if (!answer->is_open || answer->items[answer->item_count - 1].kind != kind) {
        const struct answer_item *item = next_item(answer, kind);
        if (!item)
            return outcome(answer);
        open_item(answer, item);
    }
    return add(answer, text);
}

int answer_call(struct answer *answer, struct str id, struct str name)
{
    int r = outcome(answer);
    if (r < 0)
        return r;
    if (!name.len || name.len > ANSWER_NAME_MAX || id.len > ANSWER_NAME_MAX)
        return answer_fault(answer, "The provider calls a tool without a name, or by a name or id "
                                    "that is too long.");
    struct answer_item *item = next_item(answer, ITEM_CALL);
    if (!item)
        return outcome(answer);
    snprintf(item->name, sizeof(item->name), "%.*s", STR_ARG(name));
    snprintf(item->id, sizeof(item->id), "%.*s", STR_ARG(id));
    if (!item->id[0]) /* some servers give none */
        snprintf(item->id, sizeof(item->id), "call_%016llx_%zu", (unsigned long long)answer->number,
                 answer->item_count);
    item->tool = conversation_find_tool(answer->asked, name);
    open_item(answer, item);
    return outcome(answer);
}

int answer_arguments(struct answer *answer, struct str text)
{
    int r = outcome(answer);
    if (r < 0 || !text.len)
        return r;
    if (!answer->is_open || answer->items[answer->item_count - 1].kind != ITEM_CALL)
        return answer_fault(answer, "The provider gives arguments to a call that has ended.");
    return add(answer, text);
}

int answer_vector(struct answer *answer, yyjson_val *vector)
{
    yyjson_val *number;
    int r = outcome(answer);
    bool is_vector = yyjson_arr_size(vector) > 0;
    if (r < 0)
        return r;
    EACH_ITEM(vector, number)
    is_vector &= yyjson_is_num(number);
    if (!is_vector)
        return answer_fault(answer, "The provider gives a vector that is none.");
    struct answer_item *item =
        answer->item_count ? &answer->items[0] : next_item(answer, ITEM_VECTORS);
    if (answer->vector_count)
        buf_add_char(&item->text, ',');
    answer->form->vector(answer, &item->text, vector);
    answer->vector_count++;
    if (item->text.error == -ENOMEM)
        return -ENOMEM;
    return item->text.error
               ? answer_fault(answer, "The provider's answer is larger than %zu bytes.",
                              ANSWER_BYTES_MAX)
               : 0;
}

/* --- the end --------------------------------------------------------------------------------- */

enum answer_stop answer_stop_of(const struct answer *answer)
{
    if (answer->stop != STOP_END)
        return answer->stop;
    for (size_t i = 0; i < answer->item_count; i++)
        if (answer->items[i].kind == ITEM_CALL)
            return STOP_CALLS;
    return STOP_END;
}

int answer_end(struct answer *answer)
{
    int r = outcome(answer);
    if (r < 0)
        return r;
    if (answer->stop == STOP_NONE)
        return answer_fault(answer, "The provider's answer ended before its end.");
    begin(answer);
    r = close_item(answer);
    if (r < 0)
        return r;
    if (!answer->asked->streams)
        r = answer->form->document(answer);
    else
        answer->form->end(answer);
    return r < 0 ? r : outcome(answer);
}

uint64_t answer_count(yyjson_val *root, const char *pointer)
{
    yyjson_val *value = at(root, pointer);
    uint64_t count = yyjson_is_uint(value) ? yyjson_get_uint(value) : 0;
    return count < ANSWER_COUNT_MAX ? count : 0;
}
