#include <stdlib.h>
#include <sys/stat.h>

#include "authority/secret_internal.h"
#include "base/json.h"
#include "base/test.h"

#define REFERENCE "secret://user/login"
#define TOKEN     "sk-ant-oat01-of-the-test"
#define NOW       INT64_C(1790000000000)
/* {"exp":1790003600,"sub":"ada"}, and the same an hour before NOW */
#define LASTING "eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTAwMDM2MDAsInN1YiI6ImFkYSJ9.c2ln"
#define OVER    "eyJhbGciOiJub25lIn0.eyJleHAiOjE3ODk5OTY0MDAsInN1YiI6ImFkYSJ9.c2ln"

static int read_login(const char *tool, const char *file, struct secret **ret, struct err *err)
{
    char json[64];
    yyjson_doc *doc = NULL;
    snprintf(json, sizeof(json), "\"%s\"", tool);
    CHECK_INT(json_read(str_from(json), &json_limits_default, &doc, NULL), 0);
    int r = secret_account_read(yyjson_doc_get_root(doc), "/home/ada/the-file", str_from(file), NOW,
                                ret, err);
    yyjson_doc_free(doc);
    return r;
}

TEST(the_token_of_claude_code_is_a_bearer_token)
{
    struct secret *secret = NULL;
    struct err err = { 0 };
    CHECK_INT(read_login("claude-code",
                         "{\"claudeAiOauth\":{\"accessToken\":\"" TOKEN "\",\"refreshToken\":\"r\","
                         "\"expiresAt\":1790003600000,\"scopes\":[\"user:inference\"]}}",
                         &secret, &err),
              0);
    CHECK(str_equal(secret_value(secret), STR(TOKEN)));
    CHECK_INT(secret_scheme(secret), SECRET_CLAUDE_ACCOUNT);
    secret_free(secret);
}

TEST(the_log_in_of_codex_is_shown_beside_its_account)
{
    struct secret *secret = NULL;
    struct err err = { 0 };
    CHECK_INT(read_login("codex",
                         "{\"OPENAI_API_KEY\":null,\"tokens\":{\"id_token\":\"i\",\"access_token\":"
                         "\"" LASTING "\",\"refresh_token\":\"r\",\"account_id\":\"acc-1\"}}",
                         &secret, &err),
              0);
    CHECK(str_equal(secret_value(secret), STR(LASTING)));
    CHECK_INT(secret_scheme(secret), SECRET_CHATGPT_ACCOUNT);
    CHECK(str_equal(secret_account(secret), STR("acc-1")));
    secret_free(secret);
}

TEST(a_key_that_codex_keeps_is_a_key)
{
    struct secret *secret = NULL;
    struct err err = { 0 };
    CHECK_INT(read_login("codex", "{\"OPENAI_API_KEY\":\"sk-key\"}", &secret, &err), 0);
    CHECK(str_equal(secret_value(secret), STR("sk-key")));
    CHECK_INT(secret_scheme(secret), SECRET_KEY);
    secret_free(secret);
}

TEST(what_has_expired_is_renewed_with_the_tool_itself)
{
    static const struct {
        const char *tool, *file, *renew;
    } cases[] = {
        { "claude-code",
          "{\"claudeAiOauth\":{\"accessToken\":\"" TOKEN "\",\"expiresAt\":1790000030000}}",
          "the log-in of Claude Code has expired; renew it with the tool itself: run `claude`" },
        { "codex", "{\"tokens\":{\"access_token\":\"" OVER "\",\"account_id\":\"a\"}}",
          "the log-in of Codex has expired; renew it with the tool itself: run `codex login`" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct secret *secret = NULL;
        struct err err = { 0 };
        CHECK(read_login(cases[i].tool, cases[i].file, &secret, &err) < 0);
        CHECK_INT(err.code, ERR_DENIED);
        CHECK(strstr(err.cause, cases[i].renew));
        CHECK(!strstr(err.cause, TOKEN) && !strstr(err.cause, OVER));
    }
}

TEST(what_is_no_log_in_is_none)
{
    static const struct {
        const char *tool, *file;
    } cases[] = {
        { "claude-code", "" },
        { "claude-code", "[]" },
        { "claude-code", "{\"claudeAiOauth\":{\"accessToken\":7}}" },
        { "claude-code", "{\"claudeAiOauth\":{\"accessToken\":\"\"}}" },
        { "claude-code", "{\"claudeAiOauth\":" },
        { "codex", "{\"tokens\":{}}" },
        { "codex", "{\"tokens\":{\"access_token\":\"t\",\"account_id\":\"a\\r\\nX: y\"}}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct secret *secret = NULL;
        struct err err = { 0 };
        if (read_login(cases[i].tool, cases[i].file, &secret, &err) == 0)
            test_fail(__FILE__, __LINE__, "%s", cases[i].file);
        CHECK_INT(err.code, ERR_DOCUMENT);
        CHECK(strstr(err.cause, "log in anew with the tool itself"));
    }
}

/* --- by the map ------------------------------------------------------------------------------ */

static int resolve(const char *source, struct secret **ret, struct err *err)
{
    char map[256];
    yyjson_doc *doc = NULL;
    snprintf(map, sizeof(map), "{\"" REFERENCE "\":%s}", source);
    CHECK_INT(json_read(str_from(map), &json_limits_default, &doc, NULL), 0);
    int r = secret_resolve(yyjson_doc_get_root(doc), STR(REFERENCE), ret, err);
    yyjson_doc_free(doc);
    return r;
}

TEST(the_file_is_read_where_the_tool_has_it)
{
    char folder[] = "/tmp/secret-account-XXXXXX", path[96];
    const char *text = "{\"OPENAI_API_KEY\":\"sk-key\"}";
    struct secret *secret = NULL;
    struct err err = { 0 };
    CHECK(mkdtemp(folder) != NULL);
    setenv("CODEX_HOME", folder, 1);
    CHECK(resolve("{\"account\":\"codex\"}", &secret, &err) < 0);
    CHECK_INT(err.code, ERR_NOT_FOUND);
    CHECK(strstr(err.cause, "Codex is not logged in here"));
    snprintf(path, sizeof(path), "%s/auth.json", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(write(fd, text, strlen(text)) > 0);
    CHECK_INT(resolve("{\"account\":\"codex\"}", &secret, &err), 0);
    CHECK(str_equal(secret_value(secret), STR("sk-key")));
    secret_free(secret);
    CHECK_INT(fchmod(fd, 0644), 0);
    CHECK(resolve("{\"account\":\"codex\"}", &secret, &err) < 0);
    CHECK_INT(err.code, ERR_DENIED);
    CHECK(strstr(err.cause, "chmod 600"));
    close(fd);
    unlink(path);
    rmdir(folder);
    CHECK(resolve("{\"account\":\"vim\"}", &secret, &err) < 0);
    CHECK_INT(err.code, ERR_DOCUMENT);
}
