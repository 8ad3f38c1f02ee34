/*
 * secret_account: the log-in that a tool keeps for itself, as a secret.
 *
 * Theory of operation. Who logs in with an account has no key: the tool has a token
 * in a file of its own, and renews it. The file is read at the moment of use and
 * nowhere else; nothing is ever renewed here, since two who renew the same log-in
 * take it from each other. A token whose time is over is refused with the word that
 * renews it.
 *
 * The file is parsed where it was read to, in locked pages, with a pool in locked
 * pages: nothing of it is in ordinary memory.
 *
 * Threats: a file that something else has written (bounded, and checked as any
 * secret's file); a token that is none for a header (the door refuses it).
 */
#include "authority/secret_internal.h"
#include "base/clock.h"
#include "base/locked.h"

#define SOON_MS       60000 /* what ends within this has ended: the call has to arrive */
#define CLAIMS_MAX    8192  /* bytes of a token's claims */
#define PATH_SIZE     4096
#define ID_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* What a file says, as views into it. */
struct login {
    struct str token, account;
    int64_t expires_ms; /* 0: it does not say */
};

static bool read_claude(yyjson_val *root, struct login *ret);
static bool read_codex(yyjson_val *root, struct login *ret);

static const struct account {
    const char *name, *tool;
    const char *variable; /* that moves its folder */
    const char *folder, *file;
    const char *renew; /* what a person types */
    enum secret_scheme scheme;
    bool (*read)(yyjson_val *root, struct login *ret);
} accounts[] = {
    { "claude-code", "Claude Code", "CLAUDE_CONFIG_DIR", ".claude", ".credentials.json",
      "run `claude`, and there /login", SECRET_CLAUDE_ACCOUNT, read_claude },
    { "codex", "Codex", "CODEX_HOME", ".codex", "auth.json", "run `codex login`",
      SECRET_CHATGPT_ACCOUNT, read_codex },
};

static const struct account *find(const yyjson_val *value)
{
    const char *name = yyjson_get_str((yyjson_val *)value);
    for (size_t i = 0; i < ARRAY_LEN(accounts) && name; i++)
        if (strcmp(accounts[i].name, name) == 0)
            return &accounts[i];
    return NULL;
}

bool secret_account_is_known(const yyjson_val *value)
{
    return find(value) != NULL;
}

/* --- JSON in locked pages ------------------------------------------------------------------ */

struct locked_json {
    char *memory;
    size_t size;
    yyjson_doc *doc;
};

/* False where it is none, or no memory can be locked. */
static bool locked_json_read(struct str text, struct locked_json *ret)
{
    const yyjson_read_flag flags = YYJSON_READ_INSITU;
    size_t pool = yyjson_read_max_memory_usage(text.len, flags);
    size_t copy = (text.len + YYJSON_PADDING_SIZE + 15) / 16 * 16;
    yyjson_alc alc;
    ret->size = copy + pool;
    ret->memory = locked_alloc(ret->size);
    if (!ret->memory)
        return false;
    memcpy(ret->memory, text.ptr, text.len);
    if (!yyjson_alc_pool_init(&alc, ret->memory + copy, pool))
        return false;
    ret->doc = yyjson_read_opts(ret->memory, text.len, flags, &alc, NULL);
    return ret->doc != NULL;
}

static void locked_json_release(struct locked_json *json)
{
    locked_free(json->memory, json->size); /* the document lies in it */
}

static struct str text_in(yyjson_val *object, const char *name)
{
    yyjson_val *value = yyjson_obj_get(object, name);
    const char *text = yyjson_get_str(value);
    return text ? str_make(text, yyjson_get_len(value)) : STR("");
}

/* --- Claude Code --------------------------------------------------------------------------- */

/* {"claudeAiOauth": {"accessToken": …, "refreshToken": …, "expiresAt": milliseconds, …}} */
static bool read_claude(yyjson_val *root, struct login *ret)
{
    yyjson_val *login = yyjson_obj_get(root, "claudeAiOauth");
    yyjson_val *expires = yyjson_obj_get(login, "expiresAt");
    double ms = yyjson_get_num(expires);
    ret->token = text_in(login, "accessToken");
    ret->expires_ms = ms > 0 && ms < 9e15 ? (int64_t)ms : 0;
    return ret->token.len > 0;
}

/* --- Codex --------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* base64url, as tokens have it; how many bytes, or -1. */
static ssize_t decode(struct str text, char *ret, size_t size)
{
    uint32_t bits = 0;
    size_t len = 0, held = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0 || len == size)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            ret[len++] = (char)(bits >> held);
        }
    }
    return (ssize_t)len;
}

/* When a token says that it ends: its second part has `exp` in seconds; 0: it does not say. */
static int64_t end_of(struct str token)
{
    size_t first = str_index(token, '.', 0);
    size_t second = first < token.len ? str_index(token, '.', first + 1) : token.len;
    struct locked_json claims = { 0 };
    int64_t end = 0;
    char *bytes = second < token.len ? locked_alloc(CLAIMS_MAX) : NULL;
    if (!bytes)
        return 0;
    ssize_t len = decode(str_make(token.ptr + first + 1, second - first - 1), bytes, CLAIMS_MAX);
    if (len > 0 && locked_json_read(str_make(bytes, (size_t)len), &claims)) {
        double seconds = yyjson_get_num(yyjson_obj_get(yyjson_doc_get_root(claims.doc), "exp"));
        end = seconds > 0 && seconds < 9e12 ? (int64_t)seconds * 1000 : 0;
    }
    locked_json_release(&claims);
    locked_free(bytes, CLAIMS_MAX);
    return end;
}

/* {"OPENAI_API_KEY": null, "tokens": {"access_token": …, "account_id": …, …}}, or the key alone */
static bool read_codex(yyjson_val *root, struct login *ret)
{
    yyjson_val *tokens = yyjson_obj_get(root, "tokens");
    ret->token = text_in(tokens, "access_token");
    if (!ret->token.len) {
        ret->token = text_in(root, "OPENAI_API_KEY");
        return ret->token.len > 0;
    }
    ret->account = text_in(tokens, "account_id");
    ret->expires_ms = end_of(ret->token);
    return true;
}

/* --- the file ------------------------------------------------------------------------------ */

/* An identity is shown in a header, and said in no message. */
static bool is_account(struct str account)
{
    for (size_t i = 0; i < account.len; i++)
        if (!account.ptr[i] || !strchr(ID_CHARACTERS, account.ptr[i]))
            return false;
    return account.len < SECRET_ACCOUNT_SIZE;
}

static int make(const struct account *account, const struct login *login, const char *path,
                int64_t now_ms, struct secret **ret, struct err *err)
{
    if (!login->token.len || !is_account(login->account))
        return err_set(err, ERR_DOCUMENT, SECRET_STEP,
                       "%s has no log-in of %s that could be used; log in anew with the tool "
                       "itself: %s",
                       path, account->tool, account->renew);
    if (login->expires_ms && login->expires_ms <= now_ms + SOON_MS)
        return err_set(err, ERR_DENIED, SECRET_STEP,
                       "the log-in of %s has expired; renew it with the tool itself: %s",
                       account->tool, account->renew);
    struct secret *secret = secret_new(login->token.len + 1, err);
    if (!secret)
        return -ENOMEM;
    memcpy(secret->bytes, login->token.ptr, login->token.len);
    secret->len = login->token.len;
    secret->scheme = login->account.len || account->scheme == SECRET_CLAUDE_ACCOUNT
                         ? account->scheme
                         : SECRET_KEY;
    snprintf(secret->account, sizeof(secret->account), "%.*s", STR_ARG(login->account));
    *ret = secret;
    return 0;
}

int secret_account_read(const yyjson_val *value, const char *path, struct str text, int64_t now_ms,
                        struct secret **ret, struct err *err)
{
    const struct account *account = find(value);
    struct locked_json json = { 0 };
    struct login login = { .token = STR(""), .account = STR("") };
    if (locked_json_read(text, &json))
        (void)account->read(yyjson_doc_get_root(json.doc), &login);
    int r = make(account, &login, path, now_ms, ret, err);
    locked_json_release(&json);
    return r;
}

int secret_account_resolve(const yyjson_val *value, struct secret **ret, struct err *err)
{
    const struct account *account = find(value);
    _cleanup_(cleanup_secret) struct secret *file = NULL;
    char path[PATH_SIZE];
    struct err why = { 0 };
    if (!account)
        return err_set(err, ERR_DOCUMENT, SECRET_STEP, "account is claude-code or codex");
    const char *moved = getenv(account->variable), *home = getenv("HOME");
    bool is_moved = moved && moved[0] == '/';
    int len = snprintf(path, sizeof(path), "%s%s%s/%s",
                       is_moved ? moved
                       : home   ? home
                                : "",
                       is_moved ? "" : "/", is_moved ? "" : account->folder, account->file);
    if (len >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, SECRET_STEP, "the path of its file is too long");
    int r = secret_read_file(path, &file, &why);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, SECRET_STEP,
                       "%s is not logged in here (there is no %s); with the tool itself: %s",
                       account->tool, path, account->renew);
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    return secret_account_read(value, path, secret_value(file), clock_now_ms(), ret, err);
}
