/*
 * bundle_text: words stay home.
 *
 * Theory of operation. A prompt has no shape by which a scanner could know it:
 * it is words. So of ledger documents a bundle keeps what the contracts make of
 * closed vocabularies and identifiers, which is what a diagnosis goes by, and
 * leaves out what a person, an agent or a command may have written. The rule is
 * by name and by shape, both: a name that is meant for words loses its text
 * whatever that is, and a text of several words is left out wherever it stands.
 * Names of members are words of the contracts, and are treated alike.
 */
#include "doctor/bundle_text.h"

#include "base/json.h"

#define STEP            "leave words out"
#define TOKEN_BYTES_MAX 512

/* Members whose texts people or programs write. */
static const char *const word_members[] = {
    "argument",       "arguments",
    "argv",           "body",
    "caption",        "cause",
    "comment",        "content",
    "description",    "displayName",
    "error",          "explanation",
    "idempotencyKey", "input",
    "instructions",   "label",
    "message",        "messages",
    "note",           "notes",
    "output",         "prompt",
    "prompts",        "question",
    "reason",         "remediation",
    "response",       "summary",
    "text",           "texts",
    "title",          "warning",
    "warnings",       "workingDirectory",
    "statement",      "consequence",
    "rationale",      "purpose",
};

static bool is_word_member(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(word_members); i++)
        if (str_equal(name, str_from(word_members[i])))
            return true;
    return false;
}

static bool is_token(struct str text)
{
    if (text.len > TOKEN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' ||
            text.ptr[i] == 0x7f) /* and what is beyond ASCII: char is signed */
            return false;
    return true;
}

struct stripping {
    yyjson_mut_doc *doc;
    uint64_t count;
};

static yyjson_mut_val *copy(struct stripping *stripping, const yyjson_val *value, bool is_words);

static yyjson_mut_val *copy_string(struct stripping *stripping, struct str text, bool is_words)
{
    if (text.len == 0 || (!is_words && is_token(text)))
        return yyjson_mut_strncpy(stripping->doc, text.ptr, text.len);
    stripping->count++;
    return yyjson_mut_str(stripping->doc, BUNDLE_WORDS_MASK);
}

static yyjson_mut_val *copy_object(struct stripping *stripping, const yyjson_val *object,
                                   bool is_words)
{
    yyjson_mut_val *result = yyjson_mut_obj(stripping->doc);
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach((yyjson_val *)object, index, count, key, value)
    {
        struct str name = json_str(key);
        yyjson_mut_val *copied = copy(stripping, value, is_words || is_word_member(name));
        if (!copied || !yyjson_mut_obj_add(result, copy_string(stripping, name, false), copied))
            return NULL;
    }
    return result;
}

/* Depth is bounded by json_read. */
static yyjson_mut_val *copy(struct stripping *stripping, const yyjson_val *value, bool is_words)
{
    if (yyjson_is_str((yyjson_val *)value))
        return copy_string(stripping, json_str(value), is_words);
    if (yyjson_is_obj((yyjson_val *)value))
        return copy_object(stripping, value, is_words);
    if (!yyjson_is_arr((yyjson_val *)value))
        return yyjson_val_mut_copy(stripping->doc, (yyjson_val *)value);
    yyjson_mut_val *result = yyjson_mut_arr(stripping->doc);
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)value, index, count, item)
    {
        yyjson_mut_val *copied = copy(stripping, item, is_words);
        if (!copied || !yyjson_mut_arr_append(result, copied))
            return NULL;
    }
    return result;
}

int bundle_without_words(const yyjson_val *value, yyjson_doc **ret, uint64_t *count,
                         struct err *err)
{
    struct stripping stripping = { .doc = yyjson_mut_doc_new(NULL) };
    yyjson_mut_val *root = stripping.doc ? copy(&stripping, value, false) : NULL;
    yyjson_doc *doc = NULL;
    if (root) {
        yyjson_mut_doc_set_root(stripping.doc, root);
        doc = yyjson_mut_doc_imut_copy(stripping.doc, NULL);
    }
    yyjson_mut_doc_free(stripping.doc);
    if (!doc)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    *ret = doc;
    *count += stripping.count;
    return 0;
}

bool bundle_is_plain_variable(struct str name)
{
    static const char *const plain[] = {
        "COLORTERM",
        "DBUS_SESSION_BUS_ADDRESS",
        "DESKTOP_SESSION",
        "DISPLAY",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "NO_COLOR",
        "PATH",
        "SHELL",
        "TERM",
        "TZ",
        "WAYLAND_DISPLAY",
        "XDG_CONFIG_HOME",
        "XDG_CURRENT_DESKTOP",
        "XDG_RUNTIME_DIR",
        "XDG_SESSION_CLASS",
        "XDG_SESSION_TYPE",
        "XDG_STATE_HOME",
    };
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (str_equal(name, str_from(plain[i])))
            return true;
    return false;
}
