#include "doors/model/translate/translate_test.h"

struct carried {
    const char *from, *to, *request, *expected;
};

static void check_carried(const struct carried *cases, size_t count)
{
    struct buf request = BUF_INIT, expected = BUF_INIT, body = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        struct translation *translation = NULL;
        char fault[TRANSLATION_FAULT_SIZE] = "";
        struct prompt prompt;
        quote(cases[i].request, &request);
        quote(cases[i].expected, &expected);
        int r = begin_translation(cases[i].from, cases[i].to, buf_str(&request), &translation,
                                  &body, fault);
        if (r < 0 || !str_equal(buf_str(&body), buf_str(&expected)))
            test_fail(__FILE__, __LINE__, "%s:\n %s%s\n expected\n %s", request.data, fault,
                      body.data, expected.data);
        /* The door reads what is sent, and amends it, as it does a client's own. */
        if (r == 0 && prompt_read(buf_str(&body), place_of(cases[i].to), &prompt, fault) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", body.data, fault);
        translation_free(translation);
    }
    buf_release(&request);
    buf_release(&expected);
    buf_release(&body);
}

TEST(messages_become_chat)
{
    static const struct carried cases[] = {
        { MESSAGES, CHAT,
          "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'Hi'}]}",
          "{'model':'m','messages':[{'role':'user','content':'Hi'}],'max_tokens':9,"
          "'stream':false}" },
        /* What the system says, as a text or blocks; later it is the user's, who says it once. */
        { MESSAGES, CHAT,
          "{'stream':true,'system':[{'type':'text','text':'A','cache_control':{'type':'ephemeral'}}"
          ","
          "{'type':'text','text':'B'}],'messages':[{'role':'user','content':[{'type':'text','text':"
          "'Hi'}]},{'role':'system','content':'Now this'}],'model':'m'}",
          "{'model':'m','messages':[{'role':'system','content':'A\\n\\nB'},"
          "{'role':'user','content':'Hi\\n\\nNow this'}],'stream':true}" },
        /* Tools: what was called, side by side, and what came of it. */
        { MESSAGES, CHAT,
          "{'model':'m','messages':[{'role':'user','content':'Hi'},{'role':'assistant','content':["
          "{'type':'thinking','thinking':'hm','signature':'s'},{'type':'text','text':'So'},"
          "{'type':'tool_use','id':'t1','name':'f','input':{'a':1.5}},"
          "{'type':'tool_use','id':'t2','name':'g','input':{}}]},{'role':'user','content':["
          "{'type':'tool_result','tool_use_id':'t1','content':'one'},{'type':'tool_result',"
          "'tool_use_id':'t2','is_error':true,'content':[{'type':'text','text':'two'}]},"
          "{'type':'text','text':'go on'}]}],'tools':[{'name':'f','description':'F','input_schema':"
          "{'type':'object','properties':{'a':{'type':'number'}}}},{'name':'g','type':'custom',"
          "'input_schema':{'type':'object'},'strict':true}],'tool_choice':{'type':'any',"
          "'disable_parallel_tool_use':true}}",
          "{'model':'m','messages':[{'role':'user','content':'Hi'},{'role':'assistant','content':"
          "'So','tool_calls':[{'id':'t1','type':'function','function':{'name':'f','arguments':"
          "'{\\'a\\':1.5}'}},{'id':'t2','type':'function','function':{'name':'g','arguments':"
          "'{}'}}]},{'role':'tool','tool_call_id':'t1','content':'one'},{'role':'tool',"
          "'tool_call_id':'t2','content':'Error: two'},{'role':'user','content':'go on'}],"
          "'tools':[{'type':'function','function':{'name':'f','description':'F','parameters':"
          "{'type':'object','properties':{'a':{'type':'number'}}}}},{'type':'function','function':"
          "{'name':'g','parameters':{'type':'object'},'strict':true}}],"
          "'parallel_tool_calls':false,'tool_choice':'required','stream':false}" },
        /* Images: those in a result follow it. */
        { MESSAGES, CHAT,
          "{'model':'m','messages':[{'role':'user','content':[{'type':'tool_result','tool_use_id':"
          "'t','content':[{'type':'image','source':{'type':'base64','media_type':'image/png',"
          "'data':'AAAA'}}]},{'type':'text','text':'this?'},{'type':'image','source':{'type':'url',"
          "'url':'https://a.test/i.png'}}]}]}",
          "{'model':'m','messages':[{'role':'tool','tool_call_id':'t','content':"
          "'The image follows. '},{'role':'user','content':[{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,AAAA'}},{'type':'text','text':'this?'},{'type':'image_url',"
          "'image_url':{'url':'https://a.test/i.png'}}]}],'stream':false}" },
        /* How the answer is to be; what is only a hint stays behind. */
        { MESSAGES, CHAT,
          "{'model':'m','messages':[],'temperature':0.5,'top_p':null,'stop_sequences':['x'],"
          "'metadata':{'user_id':'u'},'thinking':{'type':'adaptive'},'context_management':{},"
          "'output_config':{'effort':'high','format':{'type':'json_schema','schema':{'type':"
          "'object'}}}}",
          "{'model':'m','messages':[],'temperature':0.5,'stop':['x'],'response_format':{'type':"
          "'json_schema','json_schema':{'name':'answer','strict':true,'schema':{'type':'object'}}},"
          "'stream':false}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

TEST(chat_becomes_messages)
{
    static const struct carried cases[] = {
        { CHAT, MESSAGES,
          "{'model':'m','max_completion_tokens':7,'stop':'x','n':1,'user':'u','presence_penalty':0,"
          "'messages':[{'role':'developer','content':'A'},{'role':'user','content':[{'type':'text',"
          "'text':'Hi'},{'type':'image_url','image_url':{'url':'data:image/gif;base64,R0','detail':"
          "'low'}}]}]}",
          "{'model':'m','max_tokens':7,'system':[{'type':'text','text':'A'}],'messages':[{'role':"
          "'user','content':[{'type':'text','text':'Hi'},{'type':'image','source':{'type':'base64',"
          "'media_type':'image/gif','data':'R0'}}]}],'stop_sequences':['x'],'stream':false}" },
        { CHAT, MESSAGES,
          "{'model':'m','stream':true,'stream_options':{'include_usage':true},'messages':["
          "{'role':'assistant','content':null,'tool_calls':[{'id':'c','type':'function','function':"
          "{'name':'f','arguments':' {\\'b\\': [1, 2]}'}},{'id':'d','type':'function','function':"
          "{'name':'f','arguments':''}}]},{'role':'tool','tool_call_id':'c','content':'one'},"
          "{'role':'tool','tool_call_id':'d','content':''},{'role':'user','content':'and?'}],"
          "'tools':[{'type':'function','function':{'name':'f'}}],'parallel_tool_calls':false}",
          "{'model':'m','messages':[{'role':'assistant','content':[{'type':'tool_use','id':'c',"
          "'name':'f','input':{'b':[1,2]}},{'type':'tool_use','id':'d','name':'f','input':{}}]},"
          "{'role':'user','content':[{'type':'tool_result','tool_use_id':'c','content':[{'type':"
          "'text','text':'one'}]},{'type':'tool_result','tool_use_id':'d'},{'type':'text','text':"
          "'and?'}]}],'tools':[{'name':'f','input_schema':{'type':'object','properties':{}}}],"
          "'tool_choice':{'type':'auto','disable_parallel_tool_use':true},'stream':true}" },
        { CHAT, MESSAGES,
          "{'model':'m','messages':[],'tools':[{'type':'function','function':{'name':'f',"
          "'parameters':{'type':'object'},'strict':true}}],'tool_choice':{'type':'function',"
          "'function':{'name':'f'}},'response_format':{'type':'json_schema','json_schema':{'name':"
          "'n','schema':{'type':'object'}}}}",
          "{'model':'m','messages':[],'tools':[{'name':'f','input_schema':{'type':'object'},"
          "'strict':true}],'tool_choice':{'type':'tool','name':'f'},'output_config':{'format':"
          "{'type':'json_schema','schema':{'type':'object'}}},'stream':false}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

TEST(responses_become_chat)
{
    static const struct carried cases[] = {
        { RESPONSES, CHAT,
          "{'model':'m','input':'Hi','instructions':'A','max_output_tokens':5,'store':false,"
          "'reasoning':{'effort':'high','summary':'auto'},'include':[],'text':{'verbosity':'low'}}",
          "{'model':'m','messages':[{'role':'system','content':'A'},{'role':'user','content':'Hi'}]"
          ","
          "'max_tokens':5,'stream':false}" },
        { RESPONSES, CHAT,
          "{'model':'m','input':[{'type':'message','role':'developer','content':[{'type':"
          "'input_text','text':'A'}]},{'role':'user','content':[{'type':'input_text','text':'Hi'},"
          "{'type':'input_image','image_url':'data:image/png;base64,AA','detail':'auto'}]},"
          "{'type':'reasoning','id':'r','summary':[],'encrypted_content':'x'},{'type':'message',"
          "'role':'assistant','id':'i','status':'completed','content':[{'type':'output_text',"
          "'text':'So','annotations':[]}]},{'type':'function_call','id':'i','call_id':'c','name':"
          "'f','arguments':'{}'},{'type':'function_call','call_id':'d','namespace':'s','name':'g',"
          "'arguments':'{}'},{'type':'function_call_output','call_id':'c','output':'one'},"
          "{'type':'function_call_output','call_id':'d','output':[{'type':'input_text','text':"
          "'two'}]}],'tools':[{'type':'function','name':'f','description':'F','strict':false,"
          "'parameters':{'type':'object'}},{'type':'namespace','name':'s','description':'S','tools'"
          ":"
          "[{'type':'function','name':'g','parameters':{'type':'object'}}]}],'tool_choice':'auto'}",
          "{'model':'m','messages':[{'role':'system','content':'A'},{'role':'user','content':["
          "{'type':'text','text':'Hi'},{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,AA'}}]},{'role':'assistant','content':'So','tool_calls':[{'id':"
          "'c','type':'function','function':{'name':'f','arguments':'{}'}},{'id':'d','type':"
          "'function','function':{'name':'s__g','arguments':'{}'}}]},{'role':'tool',"
          "'tool_call_id':'c','content':'one'},{'role':'tool','tool_call_id':'d','content':'two'}],"
          "'tools':[{'type':'function','function':{'name':'f','description':'F','parameters':"
          "{'type':'object'}}},{'type':'function','function':{'name':'s__g','parameters':{'type':"
          "'object'}}}],'tool_choice':'auto','stream':false}" },
        /* Tools that are no functions become some. */
        { RESPONSES, CHAT,
          "{'model':'m','input':[{'type':'custom_tool_call','call_id':'c','name':'p','input':"
          "'a\\nb'},{'type':'custom_tool_call_output','call_id':'c','output':'one'},{'type':"
          "'local_shell_call','call_id':'d','status':'completed','action':{'type':'exec','command':"
          "['ls','-l'],'env':{}}},{'type':'local_shell_call_output','call_id':'d','output':'two'}],"
          "'tools':[{'type':'custom','name':'p','description':'P','format':{'type':'grammar',"
          "'syntax':'lark','definition':'start: x'}},{'type':'local_shell'}]}",
          "{'model':'m','messages':[{'role':'assistant','content':null,'tool_calls':[{'id':'c',"
          "'type':'function','function':{'name':'p','arguments':'{\\'input\\':\\'a\\\\nb\\'}'}}]},"
          "{'role':'tool','tool_call_id':'c','content':'one'},{'role':'assistant','content':null,"
          "'tool_calls':[{'id':'d','type':'function','function':{'name':'local_shell','arguments':"
          "'{\\'command\\':[\\'ls\\',\\'-l\\']}'}}]},{'role':'tool','tool_call_id':'d','content':"
          "'two'}],'tools':[{'type':'function','function':{'name':'p','description':'P\\n\\nThe "
          "input has to follow this grammar (lark):\\nstart: x','parameters':{'type':'object',"
          "'properties':{'input':{'type':'string'}},'required':['input'],'additionalProperties':"
          "false}}},{'type':'function','function':{'name':'local_shell','description':'Runs a "
          "command on this machine, given as a list of its words.','parameters':{'type':"
          "'object','properties':{'command':{'type':'array','items':{'type':'string'}},"
          "'working_directory':{'type':'string'},'timeout_ms':{'type':'integer'}},'required':"
          "['command'],'additionalProperties':false}}}],'stream':false}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

TEST(others_become_what_is_there)
{
    static const struct carried cases[] = {
        { RESPONSES, MESSAGES,
          "{'model':'m','input':[{'role':'user','content':'Hi'},{'type':'function_call','call_id':"
          "'c','name':'f','arguments':'{}'},{'type':'function_call_output','call_id':'c','output':"
          "'one'}]}",
          "{'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'Hi'}]},"
          "{'role':'assistant','content':[{'type':'tool_use','id':'c','name':'f','input':{}}]},"
          "{'role':'user','content':[{'type':'tool_result','tool_use_id':'c','content':[{'type':"
          "'text','text':'one'}]}]}],'stream':false}" },
        { OLLAMA, CHAT,
          "{'model':'m','keep_alive':'5m','options':{'num_predict':9,'num_ctx':4096,'stop':['x']},"
          "'messages':[{'role':'system','content':'A'},{'role':'user','content':'Hi','images':["
          "'iVBORw0KGgoA']},{'role':'assistant','content':'','tool_calls':[{'function':{'name':'f',"
          "'arguments':{'a':1}}}]},{'role':'tool','tool_name':'f','content':'one'}],'tools':["
          "{'type':'function','function':{'name':'f','parameters':{'type':'object'}}}]}",
          "{'model':'m','messages':[{'role':'system','content':'A'},{'role':'user','content':["
          "{'type':'text','text':'Hi'},{'type':'image_url','image_url':{'url':"
          "'data:image/png;base64,iVBORw0KGgoA'}}]},{'role':'assistant','content':null,"
          "'tool_calls':[{'id':'call_0','type':'function','function':{'name':'f','arguments':"
          "'{\\'a\\':1}'}}]},{'role':'tool','tool_call_id':'call_0','content':'one'}],'tools':["
          "{'type':'function','function':{'name':'f','parameters':{'type':'object'}}}],"
          "'max_tokens':9,'stop':['x'],'stream':true}" },
        { GENERATE, CHAT,
          "{'model':'m','prompt':'Hi','images':['R0lGODx'],'system':'A','suffix':'','raw':false,"
          "'context':[],'keep_alive':0,'options':{'num_predict':9,'temperature':0}}",
          "{'model':'m','messages':[{'role':'system','content':'A'},{'role':'user','content':["
          "{'type':'text','text':'Hi'},{'type':'image_url','image_url':{'url':"
          "'data:image/gif;base64,R0lGODx'}}]}],'max_tokens':9,'temperature':0,'stream':true}" },
        { GENERATE, MESSAGES, "{'model':'m','prompt':'Hi','stream':false}",
          "{'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'Hi'}]}],"
          "'stream':false}" },
        { EMBED, EMBEDDINGS,
          "{'model':'m','input':['a',''],'truncate':true,'keep_alive':'5m','dimensions':4,"
          "'options':{'num_ctx':512}}",
          "{'model':'m','input':['a',''],'dimensions':4}" },
        { "/api/embeddings", EMBEDDINGS, "{'model':'m','prompt':'a'}",
          "{'model':'m','input':['a']}" },
        { EMBEDDINGS, EMBED,
          "{'model':'m','input':'a','encoding_format':'base64','user':'u','dimensions':4}",
          "{'model':'m','input':['a'],'dimensions':4}" },
        { OLLAMA, MESSAGES,
          "{'model':'m','stream':false,'options':{'num_predict':-1},'messages':[{'role':'user',"
          "'content':'Hi'}]}",
          "{'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'Hi'}]}],"
          "'stream':false}" },
    };
    check_carried(cases, ARRAY_LEN(cases));
}

/* --- what is not carried over ---------------------------------------------------------------- */

struct refused {
    const char *from, *to, *request, *named;
    int r;
};

static void check_refused(const struct refused *cases, size_t count)
{
    struct buf request = BUF_INIT, body = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        struct translation *translation = NULL;
        char fault[TRANSLATION_FAULT_SIZE] = "";
        quote(cases[i].request, &request);
        int r = begin_translation(cases[i].from, cases[i].to, buf_str(&request), &translation,
                                  &body, fault);
        if (r != cases[i].r || !strstr(fault, cases[i].named))
            test_fail(__FILE__, __LINE__, "%s: %d, %s", request.data, r, fault);
        CHECK(translation == NULL);
    }
    buf_release(&request);
    buf_release(&body);
}

#define ONE(block) "{'model':'m','messages':[{'role':'user','content':[" block "]}]}"

TEST(what_cannot_be_carried_over_is_named)
{
    static const struct refused cases[] = {
        { MESSAGES, CHAT, "{'model':'m','messages':[],'top_k':5}", "`top_k` of the request",
          -EOPNOTSUPP },
        { MESSAGES, CHAT, "{'model':'m','mcp_servers':[{}],'messages':[]}", "`mcp_servers`",
          -EOPNOTSUPP },
        { MESSAGES, CHAT, "{'model':'m','container':'c','messages':[]}", "`container`",
          -EOPNOTSUPP },
        { MESSAGES, CHAT,
          "{'model':'m','messages':[],'tools':[{'type':'web_search_20250305','name':'w'}]}",
          "A tool of the type `web_search_20250305`", -EOPNOTSUPP },
        { MESSAGES, CHAT, ONE("{'type':'document','source':{}}"), "the type `document`",
          -EOPNOTSUPP },
        { MESSAGES, CHAT, ONE("{'type':'image','source':{'type':'file','file_id':'f'}}"),
          "source is of the type `file`", -EOPNOTSUPP },
        { MESSAGES, CHAT, ONE("{'type':'text','text':'a','colour':1}"), "`colour` of a text block",
          -EOPNOTSUPP },
        { CHAT, MESSAGES, "{'model':'m','messages':[],'n':2}", "`n`, more answers", -EOPNOTSUPP },
        { CHAT, MESSAGES, "{'model':'m','messages':[],'seed':2}", "`seed`", -EOPNOTSUPP },
        { CHAT, MESSAGES, "{'model':'m','messages':[],'logprobs':true}", "`logprobs`",
          -EOPNOTSUPP },
        { CHAT, MESSAGES, "{'model':'m','messages':[],'response_format':{'type':'json_object'}}",
          "`json_object`", -EOPNOTSUPP },
        { CHAT, MESSAGES, ONE("{'type':'input_audio','input_audio':{}}"), "`input_audio`",
          -EOPNOTSUPP },
        { CHAT, MESSAGES, "{'model':'m','messages':[{'role':'function','content':'x'}]}",
          "the role `function`", -EOPNOTSUPP },
        { RESPONSES, CHAT, "{'model':'m','input':'x','previous_response_id':'r'}",
          "`previous_response_id`", -EOPNOTSUPP },
        { RESPONSES, CHAT, "{'model':'m','input':'x','conversation':'r'}", "`conversation`",
          -EOPNOTSUPP },
        { RESPONSES, CHAT, "{'model':'m','input':'x','background':true}", "`background`",
          -EOPNOTSUPP },
        { RESPONSES, CHAT, "{'model':'m','input':'x','tools':[{'type':'web_search'}]}",
          "A tool of the type `web_search`", -EOPNOTSUPP },
        { RESPONSES, CHAT, "{'model':'m','input':[{'type':'item_reference','id':'x'}]}",
          "An item of the type `item_reference`", -EOPNOTSUPP },
        { RESPONSES, CHAT,
          "{'model':'m','input':[{'role':'user','content':[{'type':'input_file','file_id':'f'}]}]}",
          "the type `input_file`", -EOPNOTSUPP },
        { RESPONSES, CHAT,
          "{'model':'m','input':'x','tools':[{'type':'namespace','name':'s','tools':[{'type':"
          "'function','name':'"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "'}]}]}",
          "whose name is longer", -EOPNOTSUPP },
        { OLLAMA, CHAT, "{'model':'m','messages':[],'options':{'mirostat':2}}",
          "`mirostat` of the options", -EOPNOTSUPP },
        { GENERATE, CHAT, "{'model':'m','prompt':'x','suffix':'y'}", "`suffix` of the request",
          -EOPNOTSUPP },
        { GENERATE, CHAT, "{'model':'m','prompt':'x','context':[1]}", "`context` of the request",
          -EOPNOTSUPP },
        { GENERATE, CHAT, "{'model':'m','prompt':'x','template':'y'}", "`template` of the request",
          -EOPNOTSUPP },
        { EMBED, EMBEDDINGS, "{'model':'m','input':'x','options':{'seed':1}}",
          "`seed` of the options", -EOPNOTSUPP },
        { EMBEDDINGS, EMBED, "{'model':'m','input':[[1,2]]}", "An `input` that is no text",
          -EOPNOTSUPP },
        { EMBEDDINGS, EMBED, "{'model':'m','input':'x','encoding_format':'int8'}",
          "This `encoding_format`", -EOPNOTSUPP },
    };
    check_refused(cases, ARRAY_LEN(cases));
}

TEST(what_is_wrong_is_for_the_client_to_mend)
{
    static const struct refused cases[] = {
        { MESSAGES, CHAT, "{'model':'m','messages':'x'}", "`messages` has to be an array",
          -EBADMSG },
        { MESSAGES, CHAT, "{'model':'m','messages':[],'tools':{}}", "`tools` has to be an array",
          -EBADMSG },
        { OLLAMA, CHAT, "{'model':'m','messages':[{'role':'user','images':'x'}]}",
          "`images` has to be an array", -EBADMSG },
        { MESSAGES, CHAT, "{'model':'m','messages':[],'tools':[{'name':'f','input_schema':7}]}",
          "schema of the tool `f` has to be an object", -EBADMSG },
        { GENERATE, CHAT, "{'model':'m','system':'A'}", "no `prompt`", -EBADMSG },
        { EMBED, EMBEDDINGS, "{'model':'m','input':[]}", "no text to be embedded", -EBADMSG },
        { MESSAGES, CHAT, "{'model':'m','messages':[7]}", "there is no object", -EBADMSG },
        { MESSAGES, CHAT, ONE("{'type':'text','text':7}"), "`text` has to be a text", -EBADMSG },
        { MESSAGES, CHAT, ONE("{'type':'tool_use','id':'t','name':'f','input':'x'}"),
          "has to be an object", -EBADMSG },
        { MESSAGES, CHAT, "{'model':'m','messages':[],'tools':[{'name':'f'},{'name':'f'}]}",
          "two tools of the name", -EBADMSG },
        { MESSAGES, CHAT, "{'model':'m','model':'n','messages':[]}", "cannot be read", -EBADMSG },
        { CHAT, MESSAGES,
          "{'model':'m','messages':[{'role':'assistant','tool_calls':[{'id':'c','type':'function',"
          "'function':{'name':'f','arguments':'{} ,\\'max_tokens\\':9'}}]}]}",
          "not a JSON object", -EBADMSG },
        { CHAT, MESSAGES, "{'model':'m','messages':[{'role':'tool','content':'x'}]}",
          "no `tool_call_id`", -EBADMSG },
        { CHAT, MESSAGES, ONE("{'type':'image_url','image_url':{'url':'data:,x'}}"),
          "no media type", -EBADMSG },
        { RESPONSES, CHAT,
          "{'model':'m','input':'x','tools':[{'type':'function','name':'s__g'},{'type':'namespace',"
          "'name':'s','tools':[{'type':'function','name':'g'}]}]}",
          "two tools of the name `s__g`", -EBADMSG },
    };
    check_refused(cases, ARRAY_LEN(cases));
}

TEST(routes_that_speak_the_same_are_not_translated)
{
    struct model_route ollama = { .protocol = MODEL_OLLAMA,
                                  .provider = provider_class_find(STR("ollama"), true) };
    struct model_route chat = route_to(CHAT), messages = route_to(MESSAGES);
    struct model_route hosted = { .protocol = MODEL_OPENAI,
                                  .provider =
                                      provider_class_find(STR("openai-compatible"), false) };
    for (size_t i = 0; i < endpoint_count; i++)
        CHECK(translation_place(&endpoints[i], &ollama) == &endpoints[i]);
    CHECK(translation_place(place_of(CHAT), &chat) == place_of(CHAT));
    CHECK(translation_place(place_of(RESPONSES), &hosted) == place_of(RESPONSES));
    CHECK(translation_place(place_of(RESPONSES), &chat) == place_of(CHAT));
    CHECK(translation_place(place_of("/v1/messages/count_tokens"), &chat) == place_of(CHAT));
    CHECK(translation_place(place_of("/v1/embeddings"), &messages) == NULL);
    CHECK(translation_place(place_of("/v1/completions"), &messages) == NULL);
    CHECK(translation_place(place_of("/api/show"), &chat) == NULL);
    CHECK(translation_place(place_of("/api/generate"), &chat) == place_of(CHAT));
    CHECK(translation_place(place_of("/api/generate"), &messages) == place_of(MESSAGES));
    CHECK(translation_place(place_of("/api/embed"), &chat) == place_of("/v1/embeddings"));
    CHECK(translation_instead(place_of("/v1/embeddings"), &ollama) == place_of("/api/embed"));
    CHECK(translation_instead(place_of("/v1/embeddings"), &hosted) == NULL);
}
