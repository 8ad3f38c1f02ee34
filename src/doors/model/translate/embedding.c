/*
 * embedding: see the header.
 *
 * Theory of operation. The texts are the parts of one turn; what comes back for each is a vector,
 * written in the client's form as soon as it is read. A provider is asked for numbers, whatever
 * the client wants: OpenAI's libraries ask for base64 by themselves, and Ollama knows nothing of
 * it.
 *
 * Invariant: there are as many vectors as there were texts, in their order, or there is no answer.
 */
#include "doors/model/translate/embedding.h"

#include <endian.h>

#include "base/sign.h"
#include "doors/model/translate/ollama_request.h"

/* --- requests -------------------------------------------------------------------------------- */

static int add_text(struct conversation *c, yyjson_val *value, void *context)
{
    struct turn *turn = conversation_turn(c, SPEAKER_USER);
    struct part *part = turn ? conversation_part(c, &turn->parts, PART_TEXT) : NULL;
    (void)context;
    if (!part)
        return conversation_no_memory(c);
    if (!yyjson_is_str(value))
        return conversation_refuse(c, "An `input` that is no text");
    part->text = json_str(value);
    return 0;
}

/* A text, or an array of them. */
static int read_input(struct conversation *c, yyjson_val *value, void *context)
{
    return yyjson_is_arr(value) ? items_read(c, value, "input", add_text, context)
                                : add_text(c, value, context);
}

static int read_encoding(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    c->wants_base64 = text_is(value, "base64");
    return c->wants_base64 || text_is(value, "float")
               ? 0
               : conversation_refuse(c, "This `encoding_format`");
}

static int read_members(struct conversation *c, yyjson_val *root, const struct member_row *rows,
                        size_t count)
{
    int r = members_read(c, root, "the request", rows, count, NULL);
    c->model = text_of(member(root, "model"));
    c->dimensions = member(root, "dimensions");
    if (r == 0 && !c->part_count)
        r = conversation_wrong(c, "There is no text to be embedded.");
    return r;
}

int openai_embedding_read(struct conversation *c, yyjson_val *root)
{
    static const struct member_row rows[] = {
        { "model", MEMBER_CARRIED, NULL },
        { "input", MEMBER_CARRIED, read_input },
        { "encoding_format", MEMBER_CARRIED, read_encoding },
        { "dimensions", MEMBER_CARRIED, NULL },
        { "user", MEMBER_HINT, NULL },
    };
    return read_members(c, root, rows, ARRAY_LEN(rows));
}

int ollama_embed_read(struct conversation *c, yyjson_val *root)
{
    static const struct member_row rows[] = {
        { "model", MEMBER_CARRIED, NULL },      { "input", MEMBER_CARRIED, read_input },
        { "dimensions", MEMBER_CARRIED, NULL }, { "options", MEMBER_CARRIED, ollama_options_read },
        { "truncate", MEMBER_HINT, NULL },      { "keep_alive", MEMBER_HINT, NULL },
    };
    return read_members(c, root, rows, ARRAY_LEN(rows));
}

int ollama_embeddings_read(struct conversation *c, yyjson_val *root)
{
    static const struct member_row rows[] = {
        { "model", MEMBER_CARRIED, NULL },
        { "prompt", MEMBER_CARRIED, add_text },
        { "options", MEMBER_CARRIED, ollama_options_read },
        { "keep_alive", MEMBER_HINT, NULL },
    };
    return read_members(c, root, rows, ARRAY_LEN(rows));
}

static int write_request(struct conversation *c, struct buf *body)
{
    buf_add_char(body, '{');
    json_add_text(body, "model", c->model);
    buf_add_text(body, ",\"input\":[");
    for (const struct part *part = c->turns->parts.first; part; part = part->next) {
        emit_next(body);
        json_add_string(body, part->text);
    }
    buf_add_char(body, ']');
    emit_value(body, "dimensions", c->dimensions);
    buf_add_char(body, '}');
    return body->error ? conversation_no_memory(c) : 0;
}

int openai_embedding_write(struct conversation *c, const char *limit_name, struct buf *body)
{
    (void)limit_name;
    return write_request(c, body);
}

int ollama_embed_write(struct conversation *c, const char *limit_name, struct buf *body)
{
    (void)limit_name;
    return write_request(c, body);
}

/* --- answers, read --------------------------------------------------------------------------- */

static int read_end(struct answer *answer, yyjson_val *root, const char *tokens, int r)
{
    yyjson_val *error = member(root, "error");
    if (r == 0 && error && !yyjson_is_null(error))
        r = answer_fault(answer, "The provider says: %.*s",
                         STR_ARG(text_of(yyjson_is_str(error) ? error : member(error, "message"))));
    if (r == 0 && answer->vector_count != answer->asked->part_count)
        r = answer_fault(answer, "The provider gives %zu vectors for %zu texts.",
                         answer->vector_count, answer->asked->part_count);
    answer->usage = (struct answer_usage){ .input = answer_count(root, tokens), .is_known = true };
    answer->stop = STOP_END;
    return r;
}

int openai_embedding_answer_read(struct answer *answer, yyjson_val *root)
{
    yyjson_val *data = member(root, "data"), *item;
    int r = 0;
    EACH_ITEM(data, item)
    {
        yyjson_val *index = member(item, "index");
        if (yyjson_is_uint(index) && yyjson_get_uint(index) != answer->vector_count)
            r = answer_fault(answer, "The provider gives its vectors in another order.");
        if (r == 0)
            r = answer_vector(answer, member(item, "embedding"));
        if (r < 0)
            return r;
    }
    return read_end(answer, root, "/usage/prompt_tokens", r);
}

int ollama_embed_answer_read(struct answer *answer, yyjson_val *root)
{
    yyjson_val *vectors = member(root, "embeddings"), *vector;
    EACH_ITEM(vectors, vector)
    {
        int r = answer_vector(answer, vector);
        if (r < 0)
            return r;
    }
    return read_end(answer, root, "/prompt_eval_count", 0);
}

/* --- answers, written ------------------------------------------------------------------------ */

static void write_numbers(const struct answer *answer, struct buf *text, yyjson_val *vector)
{
    (void)answer;
    json_add_value(text, vector, 0);
}

/* 32-bit floats, the lowest byte first. */
static void write_base64(struct buf *text, yyjson_val *vector)
{
    struct buf bytes = BUF_INIT_LIMIT(ANSWER_BYTES_MAX);
    yyjson_val *number;
    EACH_ITEM(vector, number)
    {
        float value = (float)yyjson_get_num(number);
        uint32_t bits;
        memcpy(&bits, &value, sizeof(bits));
        bits = htole32(bits);
        buf_add(&bytes, (const char *)&bits, sizeof(bits));
    }
    buf_add_char(text, '"');
    base64_add(text, buf_str(&bytes));
    buf_add_char(text, '"');
    if (bytes.error)
        text->error = bytes.error;
    buf_release(&bytes);
}

static void write_item(const struct answer *answer, struct buf *text, yyjson_val *vector)
{
    buf_addf(text, "{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", answer->vector_count);
    if (answer->asked->wants_base64)
        write_base64(text, vector);
    else
        json_add_value(text, vector, 0);
    buf_add_char(text, '}');
}

/* All vectors, with a comma between; there is one at least. */
static struct str vectors(const struct answer *answer)
{
    return buf_str(&answer->items[0].text);
}

static int openai_document(struct answer *answer)
{
    struct buf *out = &answer->out;
    unsigned long long tokens = answer->usage.input;
    buf_add_text(out, "{\"object\":\"list\",\"data\":[");
    buf_add_str(out, vectors(answer));
    buf_add_char(out, ']');
    json_add_text(out, "model", answer->asked->model);
    buf_addf(out, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}", tokens, tokens);
    return out->error;
}

static int ollama_document(struct answer *answer)
{
    struct buf *out = &answer->out;
    buf_add_char(out, '{');
    json_add_text(out, "model", answer->asked->model);
    buf_add_text(out, ",\"embeddings\":[");
    buf_add_str(out, vectors(answer));
    buf_addf(out, "],\"prompt_eval_count\":%llu}", (unsigned long long)answer->usage.input);
    return out->error;
}

static int ollama_one(struct answer *answer)
{
    buf_add_text(&answer->out, "{\"embedding\":");
    buf_add_str(&answer->out, vectors(answer));
    return buf_add_char(&answer->out, '}');
}

const struct answer_form openai_embedding_form = { .id_prefix = "",
                                                   .vector = write_item,
                                                   .document = openai_document };
const struct answer_form ollama_embed_form = { .id_prefix = "",
                                               .vector = write_numbers,
                                               .document = ollama_document };
const struct answer_form ollama_embeddings_form = { .id_prefix = "",
                                                    .vector = write_numbers,
                                                    .document = ollama_one };
