#include "base/file.h"
#include "doors/model/answer_stream.h"
#include "doors/model/translate/translate_test.h"

/* A sample of the providers' own documents; false where there are none. */
static bool read_sample(const char *name, struct buf *ret)
{
    const char *data = getenv("AM_TEST_DATA");
    char path[4096];
    struct err err = { 0 };
    if (!data) {
        test_skip("AM_TEST_DATA names no folder with samples");
        return false;
    }
    buf_truncate(ret, 0);
    snprintf(path, sizeof(path), "%s/model-api/%s", data, name);
    if (file_read(path, ret, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", path, err.cause);
    return true;
}

/* What a client gets of it, with what stands in place of a fault behind. */
static void carry(const char *from, const char *to, const char *request, struct str sample,
                  struct buf *out)
{
    struct buf asked = BUF_INIT, body = BUF_INIT;
    struct translation *translation = NULL;
    struct answer_stream stream;
    struct str piece;
    char fault[TRANSLATION_FAULT_SIZE] = "";
    int r = 0;
    quote(request, &asked);
    buf_truncate(out, 0);
    CHECK_INT(begin_translation(from, to, buf_str(&asked), &translation, &body, fault), 0);
    answer_stream_init(&stream, ANSWER_EVENTS, false);
    for (size_t at = 0; at < sample.len && r == 0; at += 100) {
        size_t len = sample.len - at < 100 ? sample.len - at : 100;
        CHECK_INT(answer_stream_feed(&stream, str_make(sample.ptr + at, len), &piece), 0);
        r = translation_feed(translation, true, piece, &piece, fault);
        buf_add_str(out, piece);
    }
    if (r == 0)
        r = translation_feed(translation, true, answer_stream_rest(&stream), &piece, fault);
    if (r == 0)
        buf_add_str(out, piece);
    if (r == 0)
        r = translation_end(translation, &piece, fault);
    if (r == 0)
        buf_add_str(out, piece);
    buf_add_text(out, fault);
    answer_stream_release(&stream);
    translation_free(translation);
    buf_release(&asked);
    buf_release(&body);
}

TEST(streams_of_anthropic_for_clients_of_openai)
{
    static const struct {
        const char *name, *words[4];
    } samples[] = {
        { "anthropic/basic_response.txt",
          { "'text':'Hello there!'", "'finish_reason':'stop'", "'prompt_tokens':11",
            "'output_text'" } },
        { "anthropic/compaction_response.txt",
          { "'text':'Hello there!'", "'finish_reason':'stop'", "'prompt_tokens':30", NULL } },
        { "anthropic/fallback_response.txt",
          { "'text':'Hello there!'", "'finish_reason':'stop'", "'completion_tokens':8", NULL } },
        { "anthropic/fallback_credit_response.txt",
          { "'text':'Hello there!'", "'prompt_tokens':25", NULL, NULL } },
        { "anthropic/refusal_response.txt",
          { "'finish_reason':'content_filter'", "'incomplete_details':{'reason':'content_filter'}",
            NULL, NULL } },
        { "anthropic/tool_use_response.txt",
          { "'id':'toolu_01NRLabsLyVHZPKxbKvkfSMn'", "'finish_reason':'tool_calls'",
            "'arguments':'{\\'location\\': \\'Paris\\'}'", "'prompt_tokens':377" } },
        { "anthropic/incomplete_partial_json_response.txt",
          { "'name':'make_file'", "'finish_reason':'length'",
            "'incomplete_details':{'reason':'max_output_tokens'}", NULL } },
    };
    struct buf sample = BUF_INIT, out = BUF_INIT, all = BUF_INIT, word = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(samples) && read_sample(samples[i].name, &sample); i++) {
        carry(CHAT, MESSAGES,
              "{'model':'m','stream':true,'stream_options':{'include_usage':true},'messages':[]}",
              buf_str(&sample), &all);
        carry(RESPONSES, MESSAGES, "{'model':'m','stream':true,'input':'x'}", buf_str(&sample),
              &out);
        buf_add_str(&all, buf_str(&out));
        for (size_t j = 0; j < 4 && samples[i].words[j]; j++) {
            quote(samples[i].words[j], &word);
            if (!strstr(all.data, word.data))
                test_fail(__FILE__, __LINE__, "%s: %s is not in %s", samples[i].name, word.data,
                          all.data);
        }
    }
    buf_release(&sample);
    buf_release(&out);
    buf_release(&all);
    buf_release(&word);
}

/* The chunks of the documents stand each in a line, without what surrounds them in a stream. */
TEST(streams_of_openai_for_clients_of_anthropic)
{
    static const char *const samples[] = { "openai/chat_completions_streaming.txt",
                                           "openai/schema_CreateChatCompletionStreamResponse.txt" };
    struct buf sample = BUF_INIT, stream = BUF_INIT, out = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(samples) && read_sample(samples[i], &sample); i++) {
        buf_truncate(&stream, 0);
        for (size_t at = 0; at < sample.len;) {
            size_t to = str_index(buf_str(&sample), '\n', at);
            if (sample.data[at] == '{')
                buf_addf(&stream, "data: %.*s\n\n", (int)(to - at), sample.data + at);
            at = to + 1;
        }
        carry(MESSAGES, CHAT, "{'model':'m','stream':true,'messages':[]}", buf_str(&stream), &out);
        CHECK(strstr(out.data, "{\"type\":\"text_delta\",\"text\":\"Hello\"}"));
        CHECK(strstr(out.data, "\"stop_reason\":\"end_turn\""));
        CHECK(strstr(out.data, "event: message_stop\n"));
    }
    buf_release(&sample);
    buf_release(&stream);
    buf_release(&out);
}

/* Our events have what those of the documents have, by name. */
TEST(events_of_responses_are_those_of_the_documents)
{
    static const char answer[] = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},"
                                 "\"finish_reason\":\"stop\"}]}\n\n";
    struct buf sample = BUF_INIT, out = BUF_INIT;
    if (!read_sample("openai/responses_streaming.txt", &sample))
        return;
    carry(RESPONSES, CHAT, "{'model':'m','stream':true,'input':'x'}", str_from(answer), &out);
    for (size_t at = 0; at < out.len;) {
        size_t to = str_index(buf_str(&out), '\n', at);
        struct str line = str_make(out.data + at, to - at);
        char name[128];
        at = to + 1;
        if (!str_starts(line, STR("event: ")))
            continue;
        snprintf(name, sizeof(name), "%.*s\n", STR_ARG(line));
        if (!strstr(sample.data, name))
            test_fail(__FILE__, __LINE__, "no %s", name);
    }
    CHECK(strstr(out.data, "event: response.completed\n"));
    buf_release(&sample);
    buf_release(&out);
}
