#include "base/buf.h"
#include "base/test.h"
#include "doctor/story.h"

static int add_word(void *context, struct str word)
{
    buf_addf(context, "%.*s\n", STR_ARG(word));
    return 0;
}

TEST(story_words_of_a_line_are_what_they_name)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        { "curl: (6) Could not resolve host: gist.example.com",
          "curl\nCould\nnot\nresolve\nhost\ngist.example.com\n" },
        { "GET https://ada@api.example.com:443/v1?x=1 denied",
          "GET\napi.example.com:443\ndenied\n" },
        { "open(\"/etc/shadow\") = -1, path=/srv/x.", "open\n/etc/shadow\n-1\n/srv/x\n" },
        { "", "" },
        { " : = ()", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(buf_release) struct buf words = BUF_INIT;
        CHECK_INT(story_each_word(str_from(rows[i].line), add_word, &words), 0);
        CHECK_TEXT(words.data, rows[i].words);
    }
}

TEST(story_gates_have_a_capability_each)
{
    const char *operation;
    CHECK_TEXT(story_capability(STR("networkProfile"), STR("host"), &operation), "network.connect");
    CHECK_TEXT(operation, "connect");
    CHECK_TEXT(story_capability(STR("artifactAccess"), STR("path"), &operation), "files.mount");
    CHECK_TEXT(story_capability(STR("artifactAccess"), STR("artifact"), &operation),
               "artifact.use");
}
