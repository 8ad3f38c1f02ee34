/*
 * ollama_request: see the header.
 *
 * Theory of operation. Results of tools answer calls in their order, without ids: both are
 * numbered here. Images are base64 whose type nobody says: the first bytes of each type tell it.
 * Options that load a model are hints; of those that sample, the ones that every provider knows
 * are carried.
 */
#include "doors/model/translate/ollama_request.h"

#include "doors/model/translate/chat_request.h"

/* What is being read: calls and results so far, and where the parts of a message go. */
struct reading {
    size_t calls, results;
    struct part_list *parts;
};

static int number_part(struct conversation *c, struct part *part, yyjson_val *id, size_t n)
{
    struct buf text = BUF_INIT;
    part->id = text_of(id);
    if (part->id.len)
        return 0;
    buf_addf(&text, "call_%zu", n);
    return conversation_keep(c, &text, &part->id);
}

/* --- messages -------------------------------------------------------------------------------- */

static int read_image(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct {
        const char *begins, *type;
    } types[] = { { "iVBORw0KGgo", "image/png" },
                  { "/9j/", "image/jpeg" },
                  { "R0lGOD", "image/gif" },
                  { "UklGR", "image/webp" } };
    struct reading *reading = context;
    struct part *part = conversation_part(c, reading->parts, PART_IMAGE);
    if (!part)
        return -ENOMEM;
    part->text = text_of(value);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_starts(part->text, str_from(types[i].begins)))
            part->media_type = str_from(types[i].type);
    return part->media_type.len ? 0 : conversation_refuse(c, "An image of an unknown type");
}

static int read_call(struct conversation *c, yyjson_val *value, void *context)
{
    yyjson_val *arguments = at(value, "/function/arguments");
    struct reading *reading = context;
    struct part *part = conversation_part(c, reading->parts, PART_CALL);
    if (!part)
        return -ENOMEM;
    part->name = text_of(at(value, "/function/name"));
    if (!part->name.len || !yyjson_is_obj(arguments))
        return conversation_wrong(c, "A tool's call has no `name`, or no object `arguments`.");
    int r = number_part(c, part, member(value, "id"), reading->calls++);
    return r < 0 ? r : conversation_json(c, arguments, &part->text);
}

static int read_result(struct conversation *c, yyjson_val *message, struct reading *reading)
{
    struct turn *turn = conversation_turn(c, SPEAKER_USER);
    struct part *part = turn ? conversation_part(c, &turn->parts, PART_RESULT) : NULL;
    struct str text;
    if (!part)
        return conversation_no_memory(c);
    int r = number_part(c, part, member(message, "tool_call_id"), reading->results++);
    if (r == 0)
        r = member_text(c, member(message, "content"), "content", &text);
    return r < 0 ? r : conversation_text(c, &part->parts, text);
}

/* A text in the turn of who says it; images and calls go there too. */
static int say(struct conversation *c, enum speaker speaker, yyjson_val *text,
               struct reading *reading)
{
    struct turn *turn = conversation_turn(c, speaker);
    if (!turn)
        return conversation_no_memory(c);
    reading->parts = &turn->parts;
    return text && !yyjson_is_str(text)
               ? conversation_wrong(c, "The content of a message has to be a text.")
               : conversation_text(c, &turn->parts, text_of(text));
}

static int read_speech(struct conversation *c, yyjson_val *message, enum speaker speaker,
                       struct reading *reading)
{
    int r = say(c, speaker, member(message, "content"), reading);
    if (r == 0)
        r = items_read(c, member(message, "images"), "images", read_image, reading);
    if (r == 0)
        r = items_read(c, member(message, "tool_calls"), "tool_calls", read_call, reading);
    return r;
}

static int read_message(struct conversation *c, yyjson_val *message, void *context)
{
    static const struct member_row rows[] = {
        { "role", MEMBER_CARRIED, NULL },         { "content", MEMBER_CARRIED, NULL },
        { "images", MEMBER_CARRIED, NULL },       { "tool_calls", MEMBER_CARRIED, NULL },
        { "tool_call_id", MEMBER_CARRIED, NULL }, { "tool_name", MEMBER_HINT, NULL },
        { "thinking", MEMBER_HINT, NULL },
    };
    yyjson_val *role = member(message, "role");
    enum speaker speaker = text_is(role, "assistant") ? SPEAKER_MODEL
                           : text_is(role, "system")  ? SPEAKER_SYSTEM
                                                      : SPEAKER_USER;
    int r = members_read(c, message, "a message", rows, ARRAY_LEN(rows), NULL);
    if (r < 0)
        return r;
    if (text_is(role, "tool"))
        return read_result(c, message, context);
    if (speaker == SPEAKER_USER && !text_is(role, "user"))
        return conversation_refuse(c, "A message of the role `%.*s`", STR_ARG(text_of(role)));
    return read_speech(c, message, speaker, context);
}

static int read_messages(struct conversation *c, yyjson_val *value, void *context)
{
    return items_read(c, value, "messages", read_message, context);
}

/* --- the rest -------------------------------------------------------------------------------- */

static int read_format(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    if (yyjson_is_obj(value))
        c->answer_schema = value;
    else if (text_is(value, "json"))
        c->answer_is_json = true;
    else if (!text_is(value, ""))
        return conversation_refuse(c, "This `format`");
    return 0;
}

static int read_think(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    c->wants_reasoning = !yyjson_is_false(value);
    return 0;
}

int ollama_options_read(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct member_row rows[] = {
        { "num_predict", MEMBER_CARRIED, NULL }, { "temperature", MEMBER_CARRIED, NULL },
        { "top_p", MEMBER_CARRIED, NULL },       { "stop", MEMBER_CARRIED, NULL },
        { "low_vram", MEMBER_HINT, NULL },       { "main_gpu", MEMBER_HINT, NULL },
        { "num_batch", MEMBER_HINT, NULL },      { "num_ctx", MEMBER_HINT, NULL },
        { "num_gpu", MEMBER_HINT, NULL },        { "num_keep", MEMBER_HINT, NULL },
        { "num_thread", MEMBER_HINT, NULL },     { "numa", MEMBER_HINT, NULL },
        { "use_mlock", MEMBER_HINT, NULL },      { "use_mmap", MEMBER_HINT, NULL },
    };
    yyjson_val *limit = member(value, "num_predict");
    (void)context;
    c->limit = yyjson_is_uint(limit) ? limit : NULL; /* a negative one is none */
    c->temperature = member(value, "temperature");
    c->top_p = member(value, "top_p");
    c->stop = member(value, "stop");
    return members_read(c, value, "the options", rows, ARRAY_LEN(rows), NULL);
}

int ollama_request_read(struct conversation *c, yyjson_val *root)
{
    static const struct member_row rows[] = {
        { "model", MEMBER_CARRIED, NULL },
        { "messages", MEMBER_CARRIED, read_messages },
        { "tools", MEMBER_CARRIED, chat_tools_read },
        { "format", MEMBER_CARRIED, read_format },
        { "options", MEMBER_CARRIED, ollama_options_read },
        { "stream", MEMBER_CARRIED, NULL },
        { "think", MEMBER_CARRIED, read_think },
        { "keep_alive", MEMBER_HINT, NULL },
        { "logprobs", MEMBER_DEFAULT, NULL },
        { "top_logprobs", MEMBER_DEFAULT, NULL },
    };
    struct reading reading = { 0 };
    c->model = text_of(member(root, "model"));
    c->streams = !yyjson_is_false(member(root, "stream"));
    return members_read(c, root, "the request", rows, ARRAY_LEN(rows), &reading);
}

int ollama_generate_read(struct conversation *c, yyjson_val *root)
{
    static const struct member_row rows[] = {
        { "model", MEMBER_CARRIED, NULL },
        { "prompt", MEMBER_CARRIED, NULL },
        { "system", MEMBER_CARRIED, NULL },
        { "images", MEMBER_CARRIED, NULL },
        { "format", MEMBER_CARRIED, read_format },
        { "options", MEMBER_CARRIED, ollama_options_read },
        { "stream", MEMBER_CARRIED, NULL },
        { "think", MEMBER_CARRIED, read_think },
        { "keep_alive", MEMBER_HINT, NULL },
        { "context", MEMBER_DEFAULT, NULL },
        { "logprobs", MEMBER_DEFAULT, NULL },
        { "raw", MEMBER_DEFAULT, NULL },
        { "suffix", MEMBER_DEFAULT, NULL },
        { "template", MEMBER_DEFAULT, NULL },
        { "top_logprobs", MEMBER_DEFAULT, NULL },
    };
    yyjson_val *prompt = member(root, "prompt"), *system = member(root, "system");
    struct reading reading = { 0 };
    int r = members_read(c, root, "the request", rows, ARRAY_LEN(rows), NULL);
    c->model = text_of(member(root, "model"));
    c->streams = !yyjson_is_false(member(root, "stream"));
    if (r == 0 && !text_of(prompt).len)
        r = conversation_wrong(c, "There is no `prompt`.");
    if (r == 0 && system)
        r = say(c, SPEAKER_SYSTEM, system, &reading);
    if (r == 0)
        r = say(c, SPEAKER_USER, prompt, &reading);
    return r < 0 ? r : items_read(c, member(root, "images"), "images", read_image, &reading);
}
