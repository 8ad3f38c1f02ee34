#include "doors/model/translate/translate_test.h"

/* What a client gets of a provider's answer, which comes in one piece or byte by byte. */
static int carry(const char *from, const char *to, const char *request, bool is_stream,
                 struct str answer, struct buf *out, char fault[TRANSLATION_FAULT_SIZE])
{
    struct buf asked = BUF_INIT, body = BUF_INIT;
    struct translation *translation = NULL;
    struct str piece = STR("");
    quote(request, &asked);
    buf_truncate(out, 0);
    int r = begin_translation(from, to, buf_str(&asked), &translation, &body, fault);
    CHECK_INT(r, 0);
    r = translation_feed(translation, is_stream, answer, &piece, fault);
    buf_add_str(out, piece);
    if (r == 0) {
        r = translation_end(translation, &piece, fault);
        buf_add_str(out, piece);
    }
    translation_free(translation);
    buf_release(&asked);
    buf_release(&body);
    return r;
}

struct carried {
    const char *from, *to, *request;
    bool is_stream;
    const char *answer, *expected;
};

static void check_carried(const struct carried *cases, size_t count)
{
    struct buf answer = BUF_INIT, expected = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        char fault[TRANSLATION_FAULT_SIZE] = "";
        quote(cases[i].answer, &answer);
        quote(cases[i].expected, &expected);
        int r = carry(cases[i].from, cases[i].to, cases[i].request, cases[i].is_stream,
                      buf_str(&answer), &out, fault);
        if (r < 0 || !str_equal(buf_str(&out), buf_str(&expected)))
            test_fail(__FILE__, __LINE__, "%s:\n%s%s\nexpected\n%s", answer.data, fault, out.data,
                      expected.data);
    }
    buf_release(&answer);
    buf_release(&expected);
    buf_release(&out);
}

#define ASK_MESSAGES "{'model':'m','max_tokens':9,'messages':[]}"
#define ASK_CHAT     "{'model':'m','messages':[]}"
#define STREAM       "{'model':'m','stream':true,'messages':[]}"
#define CHUNK(delta, finish)                                                                       \
    "data: {'id':'x','choices':[{'index':0,'delta':{" delta "},'finish_reason':" finish "}]}\n\n"

TEST(documents_of_chat_for_clients_of_messages)
{
    static const struct carried cases[] = {
        { MESSAGES, CHAT, ASK_MESSAGES, false,
          "{'id':'x','choices':[{'index':0,'message':{'role':'assistant','content':'Hi',"
          "'reasoning_content':'hm','tool_calls':[{'id':'c','type':'function','function':{'name':"
          "'f','arguments':'{\\'a\\':1}'}},{'id':'','type':'function','function':{'name':'g',"
          "'arguments':''}}]},'finish_reason':'tool_calls'}],'usage':{'prompt_tokens':12,"
          "'completion_tokens':3,'prompt_tokens_details':{'cached_tokens':2}}}",
          "{'id':'msg_0000000000000abc','type':'message','role':'assistant','model':'m','content':["
          "{'type':'text','text':'Hi'},{'type':'tool_use','id':'c','name':'f','input':{'a':1}},"
          "{'type':'tool_use','id':'call_0000000000000abc_3','name':'g','input':{}}],"
          "'stop_reason':'tool_use','stop_sequence':null,'usage':{'input_tokens':10,"
          "'cache_creation_input_tokens':0,'cache_read_input_tokens':2,'output_tokens':3}}" },
        { MESSAGES, CHAT, "{'model':'m','thinking':{'type':'enabled'},'messages':[]}", false,
          "{'choices':[{'message':{'content':'Hi','reasoning':'hm'},'finish_reason':'length'}]}",
          "{'id':'msg_0000000000000abc','type':'message','role':'assistant','model':'m','content':["
          "{'type':'thinking','thinking':'hm','signature':''},{'type':'text','text':'Hi'}],"
          "'stop_reason':'max_tokens','stop_sequence':null,'usage':{'input_tokens':0,"
          "'cache_creation_input_tokens':0,'cache_read_input_tokens':0,'output_tokens':0}}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

TEST(documents_of_messages_for_others)
{
    static const char answer[] =
        "{'id':'x','type':'message','role':'assistant','model':'n','content':[{'type':'text',"
        "'text':'Hi'},{'type':'tool_use','id':'t','name':'f','input':{'a':1}}],'stop_reason':"
        "'tool_use','usage':{'input_tokens':5,'cache_read_input_tokens':7,'output_tokens':3}}";
    static const struct carried cases[] = {
        { CHAT, MESSAGES, ASK_CHAT, false, answer,
          "{'id':'chatcmpl-0000000000000abc','object':'chat.completion','created':1700000000,"
          "'model':'m','choices':[{'index':0,'message':{'role':'assistant','content':'Hi',"
          "'tool_calls':[{'id':'t','type':'function','function':{'name':'f','arguments':"
          "'{\\'a\\':1}'}}]},'logprobs':null,'finish_reason':'tool_calls'}],'usage':{"
          "'prompt_tokens':12,'completion_tokens':3,'total_tokens':15,'prompt_tokens_details':{"
          "'cached_tokens':7}}}" },
        { RESPONSES, MESSAGES, "{'model':'m','input':'x'}", false, answer,
          "{'id':'resp_0000000000000abc','object':'response','created_at':1700000000,'status':"
          "'completed','error':null,'incomplete_details':null,'model':'m','instructions':null,"
          "'metadata':{},'parallel_tool_calls':true,'temperature':null,'tool_choice':'auto',"
          "'tools':[],'top_p':null,'output':[{'id':'msg_0000000000000abc_0','status':'completed',"
          "'type':'message','role':'assistant','content':[{'type':'output_text','annotations':[],"
          "'text':'Hi'}]},{'id':'fc_0000000000000abc_1','status':'completed','type':"
          "'function_call','call_id':'t','name':'f','arguments':'{\\'a\\':1}'}],'usage':{"
          "'input_tokens':12,'input_tokens_details':{'cached_tokens':7},'output_tokens':3,"
          "'output_tokens_details':{'reasoning_tokens':0},'total_tokens':15}}" },
        { OLLAMA, MESSAGES, "{'model':'m','stream':false,'messages':[]}", false, answer,
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','message':{'role':'assistant',"
          "'content':'Hi','tool_calls':[{'id':'t','function':{'name':'f','arguments':{'a':1}}}]},"
          "'done':true,'done_reason':'stop','prompt_eval_count':12,'eval_count':3}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

#define EVENT(type, rest) "event: " type "\ndata: {'type':'" type "'" rest "}\n\n"

TEST(streams_of_chat_for_clients_of_messages)
{
    static const struct carried cases[] = {
        { MESSAGES, CHAT, STREAM, true,
          ": a comment\n\n" CHUNK("'role':'assistant','content':''", "null")
              CHUNK("'content':'He'", "null") CHUNK("'content':'llo'", "null") CHUNK(
                  "'tool_calls':[{'index':0,'id':'c','type':'function','function':{'name':'f',"
                  "'arguments':''}}]",
                  "null")
                  CHUNK("'tool_calls':[{'index':0,'function':{'arguments':'{\\'a'}}]", "null")
                      CHUNK("'tool_calls':[{'index':0,'function':{'arguments':'\\':1}'}}]", "null")
                          CHUNK("'tool_calls':[{'index':1,'id':'d','function':{'name':'g',"
                                "'arguments':'{}'}}]",
                                "null")
                              CHUNK("", "'tool_calls'") "data: "
                                                        "{'choices':[],'usage':{'prompt_tokens':7,'"
                                                        "completion_tokens':4}}\n\n"
                                                        "data: [DONE]\n\n",
          EVENT("message_start",
                ",'message':{'id':'msg_0000000000000abc','type':'message','role':'assistant',"
                "'model':'m','content':[],'stop_reason':null,'stop_sequence':null,'usage':{"
                "'input_tokens':0,'cache_creation_input_tokens':0,'cache_read_input_tokens':0,"
                "'output_tokens':0}}") EVENT("content_block_start",
                                             ",'index':0,'content_block':{'type':'text','text':''}")
              EVENT("content_block_delta", ",'index':0,'delta':{'type':'text_delta','text':'He'}")
                  EVENT("content_block_delta", ",'index':0,'delta':{'type':'text_delta','text':'"
                                               "llo'}") EVENT("content_block_stop", ",'index':0")
                      EVENT("content_block_start", ",'index':1,'content_block':{'type':'tool_use','"
                                                   "id':'c','name':'f','input':{}}")
                          EVENT("content_block_delta", ",'index':1,'delta':{'type':'input_json_"
                                                       "delta','partial_json':'{\\'a'}")
                              EVENT("content_block_delta", ",'index':1,'delta':{'type':'input_json_"
                                                           "delta','partial_json':'\\':1}'}")
                                  EVENT("content_block_stop", ",'index':1") EVENT(
                                      "content_block_start",
                                      ",'index':2,'content_block':{'type':'tool_"
                                      "use','id':'d','name':'g','input':{}}")
                                      EVENT("content_block_delta",
                                            ",'index':2,'delta':{'type':'input_"
                                            "json_delta','partial_json':'{}'}")
                                          EVENT("content_block_stop", ",'index':2") EVENT(
                                              "message_delta",
                                              ",'delta':{'stop_reason':'tool_use','stop_sequence'"
                                              ":null},'usage':{"
                                              "'input_tokens':7,'cache_creation_input_tokens':0,'"
                                              "cache_read_input_tokens':0,"
                                              "'output_tokens':4}") EVENT("message_stop", "") },
        /* A provider that answers with a document where a stream was asked for. */
        { MESSAGES, CHAT, STREAM, false,
          "{'choices':[{'message':{'content':''},'finish_reason':'content_filter'}]}",
          EVENT("message_start",
                ",'message':{'id':'msg_0000000000000abc','type':'message','role':'assistant',"
                "'model':'m','content':[],'stop_reason':null,'stop_sequence':null,'usage':{"
                "'input_tokens':0,'cache_creation_input_tokens':0,'cache_read_input_tokens':0,"
                "'output_tokens':0}}")
              EVENT("message_delta",
                    ",'delta':{'stop_reason':'refusal','stop_sequence':null},'usage':{"
                    "'input_tokens':0,'cache_creation_input_tokens':0,'cache_read_input_tokens':0,"
                    "'output_tokens':0}") EVENT("message_stop", "") },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

#define OUT(delta, finish)                                                                         \
    "data: {'id':'chatcmpl-0000000000000abc','object':'chat.completion.chunk','created':"          \
    "1700000000,'model':'m','choices':[{'index':0,'delta':{" delta "},'finish_reason':" finish     \
    "}]}\n\n"

TEST(streams_of_messages_for_clients_of_chat)
{
    static const struct carried cases[] = {
        { CHAT, MESSAGES,
          "{'model':'m','stream':true,'stream_options':{'include_usage':true},'messages':[]}", true,
          EVENT("message_start", ",'message':{'usage':{'input_tokens':5,'output_tokens':1}}")
              EVENT("content_block_start", ",'index':0,'content_block':{'type':'text','text':''}")
                  EVENT("ping", "") EVENT("content_block_delta",
                                          ",'index':0,'delta':{'type':'text_delta','text':'Hi'}")
                      EVENT("content_block_stop", ",'index':0")
                          EVENT("content_block_start", ",'index':1,'content_block':{'type':'tool_"
                                                       "use','id':'t','name':'f','input':{}}")
                              EVENT("content_block_stop", ",'index':1") EVENT(
                                  "message_delta",
                                  ",'delta':{'stop_reason':'tool_use'},'usage':{'output_tokens':3}")
                                  EVENT("message_stop", ""),
          OUT("'role':'assistant','content':''", "null") OUT("'content':'Hi'", "null")
              OUT("'tool_calls':[{'index':0,'id':'t','type':'function','function':{'name':'f',"
                  "'arguments':''}}]",
                  "null") OUT("'tool_calls':[{'index':0,'function':{'arguments':'{}'}}]", "null")
                  OUT("", "'tool_calls'") "data: "
                                          "{'id':'chatcmpl-0000000000000abc','object':'chat."
                                          "completion.chunk','created':"
                                          "1700000000,'model':'m','choices':[],'usage':{'prompt_"
                                          "tokens':5,'completion_tokens':3,"
                                          "'total_tokens':8,'prompt_tokens_details':{'cached_"
                                          "tokens':0}}}\n\ndata: [DONE]\n\n" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

/* The types of the events of a stream, each once behind another. */
static void list_events(struct str stream, struct buf *ret)
{
    struct str last = STR("");
    buf_truncate(ret, 0);
    for (size_t at = 0; at < stream.len;) {
        size_t to = str_index(stream, '\n', at);
        struct str line = str_make(stream.ptr + at, to - at);
        at = to + 1;
        if (!str_starts(line, STR("event: ")) || str_equal(line, last))
            continue;
        last = line;
        buf_addf(ret, "%s%.*s", ret->len ? " " : "", STR_ARG(str_from_offset(line, 7)));
    }
}

TEST(streams_of_chat_for_clients_of_responses)
{
    static const char answer[] = CHUNK("'reasoning_content':'hm'", "null")
        CHUNK("'content':'He'", "null") CHUNK("'content':'llo'", "null")
            CHUNK("'tool_calls':[{'index':0,'id':'c','function':{'name':'s__g','arguments':"
                  "'{\\'a\\':'}}]",
                  "null") CHUNK("'tool_calls':[{'index':0,'function':{'arguments':'1}'}}]", "null")
                CHUNK("'tool_calls':[{'index':1,'id':'d','function':{'name':'p',"
                      "'arguments':'{\\'input\\':\\'a b\\'}'}}]",
                      "'tool_calls'");
    static const char *const said[] = {
        "{'id':'rs_0000000000000abc_0','type':'reasoning','summary':[{'type':'summary_text',"
        "'text':'hm'}]}",
        "{'id':'msg_0000000000000abc_1','status':'completed','type':'message','role':'assistant',"
        "'content':[{'type':'output_text','annotations':[],'text':'Hello'}]}",
        "'type':'function_call','call_id':'c','name':'g','namespace':'s','arguments':"
        "'{\\'a\\':1}'}",
        "'type':'custom_tool_call','call_id':'d','name':'p','input':'a b'}",
        "'status':'completed','error':null",
    };
    struct buf text = BUF_INIT, out = BUF_INIT, events = BUF_INIT;
    char fault[TRANSLATION_FAULT_SIZE] = "";
    quote(answer, &text);
    CHECK_INT(
        carry(RESPONSES, CHAT,
              "{'model':'m','input':'x','stream':true,'reasoning':{'summary':'auto'},'tools':["
              "{'type':'namespace','name':'s','tools':[{'type':'function','name':'g'}]},"
              "{'type':'custom','name':'p'}]}",
              true, buf_str(&text), &out, fault),
        0);
    list_events(buf_str(&out), &events);
    CHECK_TEXT(events.data,
               "response.created response.in_progress response.output_item.added "
               "response.reasoning_summary_part.added response.reasoning_summary_text.delta "
               "response.reasoning_summary_text.done response.reasoning_summary_part.done "
               "response.output_item.done response.output_item.added "
               "response.content_part.added response.output_text.delta response.output_text.done "
               "response.content_part.done response.output_item.done response.output_item.added "
               "response.function_call_arguments.delta response.function_call_arguments.done "
               "response.output_item.done response.output_item.added response.output_item.done "
               "response.completed");
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        quote(said[i], &text);
        if (!strstr(out.data, text.data))
            test_fail(__FILE__, __LINE__, "%s is not in %s", text.data, out.data);
    }
    CHECK(strstr(out.data, "\"sequence_number\":21}\n\n") == NULL);
    buf_release(&text);
    buf_release(&out);
    buf_release(&events);
}

TEST(lines_for_clients_of_ollama)
{
    static const struct carried cases[] = {
        { OLLAMA, CHAT, ASK_CHAT, true,
          CHUNK("'content':'Hi'", "null")
              CHUNK("'tool_calls':[{'index':0,'id':'c','function':{'name':'f','arguments':'{}'}}]",
                    "'stop'"),
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','message':{'role':'assistant',"
          "'content':'Hi'},'done':false}\n"
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','message':{'role':'assistant',"
          "'content':'','tool_calls':[{'id':'c','function':{'name':'f','arguments':{}}}]},"
          "'done':false}\n"
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','message':{'role':'assistant',"
          "'content':''},'done':true,'done_reason':'stop'}\n" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

TEST(texts_for_clients_of_generate)
{
    static const struct carried cases[] = {
        { GENERATE, CHAT, "{'model':'m','prompt':'x','think':true}", true,
          CHUNK("'reasoning_content':'hm'", "null") CHUNK("'content':'Hi'", "'length'"),
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','response':'','thinking':'hm',"
          "'done':false}\n"
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','response':'Hi','done':false}\n"
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','response':'','done':true,"
          "'done_reason':'length'}\n" },
        { GENERATE, CHAT, "{'model':'m','prompt':'x','stream':false}", false,
          "{'choices':[{'message':{'content':'Hi'},'finish_reason':'stop'}],'usage':{"
          "'prompt_tokens':5,'completion_tokens':1}}",
          "{'model':'m','created_at':'2023-11-14T22:13:20.000Z','response':'Hi','done':true,"
          "'done_reason':'stop','prompt_eval_count':5,'eval_count':1}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

TEST(vectors)
{
    static const struct carried cases[] = {
        { EMBED, EMBEDDINGS, "{'model':'m','input':['a','b']}", false,
          "{'object':'list','data':[{'index':0,'embedding':[1.5,-2]},{'index':1,'embedding':[0]}],"
          "'usage':{'prompt_tokens':4,'total_tokens':4}}",
          "{'model':'m','embeddings':[[1.5,-2],[0]],'prompt_eval_count':4}" },
        { "/api/embeddings", EMBEDDINGS, "{'model':'m','prompt':'a'}", false,
          "{'data':[{'embedding':[1.5,-2]}]}", "{'embedding':[1.5,-2]}" },
        { EMBEDDINGS, EMBED, "{'model':'m','input':'a','encoding_format':'float'}", false,
          "{'model':'n','embeddings':[[0.5]],'prompt_eval_count':4}",
          "{'object':'list','data':[{'object':'embedding','index':0,'embedding':[0.5]}],'model':"
          "'m','usage':{'prompt_tokens':4,'total_tokens':4}}" },
        { EMBEDDINGS, EMBED, "{'model':'m','input':['a','b'],'encoding_format':'base64'}", false,
          "{'embeddings':[[0.5],[1,-1]]}",
          "{'object':'list','data':[{'object':'embedding','index':0,'embedding':'AAAAPw=='},"
          "{'object':'embedding','index':1,'embedding':'AACAPwAAgL8='}],'model':'m','usage':{"
          "'prompt_tokens':0,'total_tokens':0}}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

TEST(stop_reasons)
{
    static const struct {
        const char *chat, *messages;
    } reasons[] = { { "stop", "end_turn" },
                    { "length", "max_tokens" },
                    { "content_filter", "refusal" },
                    { "eos", "end_turn" } };
    struct buf answer = BUF_INIT, out = BUF_INIT;
    char fault[TRANSLATION_FAULT_SIZE] = "", expected[64];
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        buf_truncate(&answer, 0);
        buf_addf(&answer,
                 "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"%s\"}]}",
                 reasons[i].chat);
        CHECK_INT(carry(MESSAGES, CHAT, ASK_MESSAGES, false, buf_str(&answer), &out, fault), 0);
        snprintf(expected, sizeof(expected), "\"stop_reason\":\"%s\"", reasons[i].messages);
        CHECK(strstr(out.data, expected));
    }
    buf_release(&answer);
    buf_release(&out);
}

TEST(answers_that_cannot_be_carried_over)
{
    static const struct {
        const char *from, *to, *request;
        bool is_stream;
        const char *answer, *fault;
    } cases[] = {
        { MESSAGES, CHAT, STREAM, true, CHUNK("'content':'Hi'", "null"), "ended before its end" },
        { MESSAGES, CHAT, STREAM, true, "data: {'error':{'message':'out of memory'}}\n\n",
          "The provider says: out of memory" },
        { MESSAGES, CHAT, STREAM, true, "data: {'choices'\n\n", "not JSON" },
        { MESSAGES, CHAT, ASK_MESSAGES, false, "<html>", "not JSON" },
        { MESSAGES, CHAT, ASK_MESSAGES, false, "[]", "not JSON" },
        { MESSAGES, CHAT, ASK_MESSAGES, false,
          "{'choices':[{'message':{'tool_calls':[{'id':'c','function':{'name':'f','arguments':"
          "'{a'}}]},'finish_reason':'tool_calls'}]}",
          "arguments for the tool f are not a JSON object" },
        { MESSAGES, CHAT, ASK_MESSAGES, false,
          "{'choices':[{'message':{'tool_calls':[{'id':'c','function':{'arguments':'{}'}}]},"
          "'finish_reason':'tool_calls'}]}",
          "without a name" },
        { MESSAGES, CHAT, STREAM, true,
          CHUNK("'tool_calls':[{'index':1,'id':'c','function':{'name':'f','arguments':''}}]",
                "null") CHUNK("'tool_calls':[{'index':0,'function':{'arguments':'{}'}}]", "null"),
          "a call that has ended" },
        { GENERATE, CHAT, "{'model':'m','prompt':'x'}", true,
          CHUNK("'tool_calls':[{'index':0,'id':'c','function':{'name':'f','arguments':'{}'}}]",
                "'stop'"),
          "calls the tool f" },
        { EMBED, EMBEDDINGS, "{'model':'m','input':['a','b']}", false,
          "{'data':[{'index':1,'embedding':[1]},{'index':0,'embedding':[1]}]}", "another order" },
        { EMBED, EMBEDDINGS, "{'model':'m','input':'a'}", false, "{'data':[]}",
          "0 vectors for 1 texts" },
        { EMBED, EMBEDDINGS, "{'model':'m','input':'a'}", false, "{'data':[{'embedding':['x']}]}",
          "a vector that is none" },
        { EMBEDDINGS, EMBED, "{'model':'m','input':'a'}", false, "{'error':'no such model'}",
          "The provider says: no such model" },
        { CHAT, MESSAGES, STREAM, true,
          EVENT("error", ",'error':{'type':'overloaded_error','message':'Overloaded'}"),
          "The provider says: Overloaded" },
        { CHAT, MESSAGES, STREAM, true,
          EVENT("content_block_delta", ",'delta':{'type':'input_json_delta','partial_json':'{'}"),
          "a call that has ended" },
    };
    struct buf answer = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char fault[TRANSLATION_FAULT_SIZE] = "";
        quote(cases[i].answer, &answer);
        int r = carry(cases[i].from, cases[i].to, cases[i].request, cases[i].is_stream,
                      buf_str(&answer), &out, fault);
        if (r != -EBADMSG || !strstr(fault, cases[i].fault))
            test_fail(__FILE__, __LINE__, "%s: %d, %s", answer.data, r, fault);
    }
    buf_release(&answer);
    buf_release(&out);
}

TEST(what_a_provider_says_when_it_refuses)
{
    static const struct {
        const char *body, *said;
    } cases[] = { { "{\"error\":{\"message\":\"no such model\"}}", "no such model" },
                  { "{\"error\":\"busy\"}", "busy" },
                  { "{\"detail\":\"Not Found\"}", "Not Found" },
                  { "{\"object\":\"error\",\"message\":\"too long\"}", "too long" },
                  { "<html>", "" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = BUF_INIT;
        translation_add_refusal(str_from(cases[i].body), &text);
        CHECK_TEXT(text.data, cases[i].said);
        buf_release(&text);
    }
}
