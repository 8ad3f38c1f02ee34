#include "doors/model/usage.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/test.h"

static struct model_usage read_text(enum model_protocol protocol, enum endpoint_kind kind,
                                    enum answer_form form, struct str text, size_t step)
{
    struct usage_reader reader;
    usage_reader_init(&reader, protocol, kind, form);
    for (size_t at = 0; at < text.len; at += step)
        usage_reader_feed(&reader,
                          str_make(text.ptr + at, text.len - at < step ? text.len - at : step));
    return usage_reader_result(&reader);
}

struct expected {
    enum model_protocol protocol;
    enum endpoint_kind kind;
    enum answer_form form;
    const char *text;
    bool is_final;
    uint64_t input, output;
};

static void check(const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t step = 1; step < 64; step += 9) {
            struct model_usage usage = read_text(cases[i].protocol, cases[i].kind, cases[i].form,
                                                 str_from(cases[i].text), step);
            if (usage.input != cases[i].input || usage.output != cases[i].output ||
                usage.is_final != cases[i].is_final)
                test_fail(__FILE__, __LINE__, "%s: %llu, %llu, %d", cases[i].text,
                          (unsigned long long)usage.input, (unsigned long long)usage.output,
                          usage.is_final);
        }
}

TEST(whole_answers)
{
    static const struct expected cases[] = {
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_DOCUMENT,
          "{\"choices\":[{\"usage\":{\"prompt_tokens\":1}}],\"usage\":{\"prompt_tokens\":9,"
          "\"completion_tokens\":12,\"total_tokens\":21,"
          "\"prompt_tokens_details\":{\"cached_tokens\":0}}}",
          true, 9, 12 },
        { MODEL_OPENAI, ENDPOINT_EMBEDDING, ANSWER_DOCUMENT,
          "{\"data\":[{\"embedding\":[0.1,-2e-3]}],\"usage\":{\"prompt_tokens\":8,"
          "\"total_tokens\":8}}",
          true, 8, 0 },
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_DOCUMENT, "{\"choices\":[]}", false, 0, 0 },
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_DOCUMENT, "{\"usage\":{\"prompt_tokens\":9", false, 0,
          0 },
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_DOCUMENT, "<html>usage</html>", false, 0, 0 },
        { MODEL_ANTHROPIC, ENDPOINT_MESSAGES, ANSWER_DOCUMENT,
          "{\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":100,"
          "\"cache_read_input_tokens\":2000,\"output_tokens\":7}}",
          true, 2105, 7 },
        { MODEL_OLLAMA, ENDPOINT_CHAT, ANSWER_DOCUMENT,
          "{\"done\":true,\"prompt_eval_count\":26,\"eval_count\":259}", true, 26, 259 },
        { MODEL_OLLAMA, ENDPOINT_CHAT, ANSWER_DOCUMENT, "{\"done\":true,\"eval_count\":259}", false,
          0, 259 },
    };
    check(cases, ARRAY_LEN(cases));
}

TEST(streams)
{
    static const struct expected cases[] = {
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_EVENTS,
          ": hello\n\ndata: {\"choices\":[{}],\"usage\":null}\n\n"
          "data:{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\r\n\r\n"
          "data: [DONE]\n\n",
          true, 3, 4 },
        /* data over two lines; an event that is no JSON is passed over */
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_EVENTS,
          "data: oh\n\ndata: {\"usage\":{\"prompt_tokens\":3,\r"
          "data: \"completion_tokens\":4}}\r\rid: 1\n",
          true, 3, 4 },
        { MODEL_OPENAI, ENDPOINT_RESPONSES, ANSWER_EVENTS,
          "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":"
          "{\"usage\":{\"input_tokens\":37,\"output_tokens\":11}}}\n\n",
          true, 37, 11 },
        { MODEL_ANTHROPIC, ENDPOINT_MESSAGES, ANSWER_EVENTS,
          "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":11,"
          "\"output_tokens\":1}}}\n\nevent: message_delta\n"
          "data: {\"usage\":{\"output_tokens\":6}}\n\n",
          true, 11, 6 },
        /* cut before its end */
        { MODEL_ANTHROPIC, ENDPOINT_MESSAGES, ANSWER_EVENTS,
          "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":11,"
          "\"output_tokens\":1}}}\n\n",
          false, 11, 1 },
        { MODEL_OLLAMA, ENDPOINT_CHAT, ANSWER_LINES,
          "{\"message\":{\"content\":\"prompt_eval_count\"},\"done\":false}\n"
          "{\"done\":true,\"prompt_eval_count\":5,\"eval_count\":2}\n",
          true, 5, 2 },
        { MODEL_OLLAMA, ENDPOINT_CHAT, ANSWER_LINES, "{\"done\":false}\n{\"error\":\"x\"}\n", false,
          0, 0 },
    };
    check(cases, ARRAY_LEN(cases));
}

TEST(hostile_figures_are_none)
{
    static const struct expected cases[] = {
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_DOCUMENT,
          "{\"usage\":{\"prompt_tokens\":18446744073709551615,\"completion_tokens\":-4}}", false, 0,
          0 },
        { MODEL_OPENAI, ENDPOINT_CHAT, ANSWER_DOCUMENT,
          "{\"usage\":{\"prompt_tokens\":\"9\",\"completion_tokens\":4.5}}", false, 0, 0 },
    };
    check(cases, ARRAY_LEN(cases));
}

TEST(forms_are_told_by_their_type)
{
    CHECK_INT(answer_form_of(STR("text/event-stream; charset=utf-8")), ANSWER_EVENTS);
    CHECK_INT(answer_form_of(STR("Text/Event-Stream")), ANSWER_EVENTS);
    CHECK_INT(answer_form_of(STR("application/x-ndjson")), ANSWER_LINES);
    CHECK_INT(answer_form_of(STR("application/json")), ANSWER_DOCUMENT);
    CHECK_INT(answer_form_of(STR("")), ANSWER_DOCUMENT);
}

/* What the providers' own documents show. */
TEST(samples)
{
    static const struct {
        const char *path;
        enum model_protocol protocol;
        enum answer_form form;
        bool is_final;
        uint64_t input, output;
    } samples[] = {
        { "anthropic/basic_response.txt", MODEL_ANTHROPIC, ANSWER_EVENTS, true, 11, 6 },
        { "anthropic/compaction_response.txt", MODEL_ANTHROPIC, ANSWER_EVENTS, true, 30, 8 },
        { "anthropic/fallback_response.txt", MODEL_ANTHROPIC, ANSWER_EVENTS, true, 25, 8 },
        { "anthropic/refusal_response.txt", MODEL_ANTHROPIC, ANSWER_EVENTS, true, 20, 0 },
        { "ollama/02_api_response.txt", MODEL_OLLAMA, ANSWER_DOCUMENT, true, 26, 259 },
        { "ollama/27_errors_errors_that_occur_while_streaming.txt", MODEL_OLLAMA, ANSWER_LINES,
          false, 0, 0 },
        { "ollama/30_usage_example_response.txt", MODEL_OLLAMA, ANSWER_DOCUMENT, true, 11, 18 },
        { "openai/responses_streaming.txt", MODEL_OPENAI, ANSWER_EVENTS, true, 37, 11 },
    };
    const char *data = getenv("AM_TEST_DATA");
    if (!data) {
        test_skip("AM_TEST_DATA names no folder with samples");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct buf text = BUF_INIT;
        char path[4096];
        struct err err = { 0 };
        snprintf(path, sizeof(path), "%s/model-api/%s", data, samples[i].path);
        if (file_read(path, &text, &err) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", path, err.cause);
        /* The last event of a sample may lack its empty line. */
        buf_add_text(&text, "\n\n");
        struct model_usage usage =
            read_text(samples[i].protocol, ENDPOINT_CHAT, samples[i].form, buf_str(&text), 1000);
        if (usage.is_final != samples[i].is_final || usage.input != samples[i].input ||
            usage.output != samples[i].output)
            test_fail(__FILE__, __LINE__, "%s: %llu, %llu", samples[i].path,
                      (unsigned long long)usage.input, (unsigned long long)usage.output);
        buf_release(&text);
    }
}
