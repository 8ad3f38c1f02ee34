/*
 * firewall_text: see the header.
 *
 * What a document's author chose (an id, a reason, a label) comes into a text
 * through these functions alone. They know no format's quoting: they let
 * through only bytes that no format gives a meaning within a comment or a
 * quoted string.
 */
#include "doors/network/firewall_text.h"

#include "base/digest.h"

#define STEP             "plan a firewall"
#define HASH_SHOWN       8
#define NAME_PART_MAX    40
#define LABEL_PART_MAX   63
#define LABEL_PREFIX_MAX 253
#define ESCAPED_BYTES    3

const struct comment_style *firewall_comment_style(enum firewall_target target)
{
    static const struct comment_style hashes = { "", "# ", "\n" };
    /*
     * JSON has no comments; LuLu makes nothing of a program with an empty list of rules. Programs
     * are paths, so that none has such a name.
     */
    static const struct comment_style empty_lists = { "{\n", "  \"# ", "\": [],\n" };
    return target == FIREWALL_LULU ? &empty_lists : &hashes;
}

void firewall_add_safe(struct buf *buf, struct str text, size_t limit)
{
    size_t written = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_plain = c >= ' ' && c < 0x7f && !strchr("\"\\%", c);
        written += is_plain ? 1 : ESCAPED_BYTES;
        if (written > limit)
            return;
        if (is_plain)
            buf_add_char(buf, (char)c);
        else
            buf_addf(buf, "%%%02X", c);
    }
}

int firewall_name(struct str id, char fill, char ret[FIREWALL_NAME_MAX], struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    size_t start = id.len, len = 0;
    while (start && id.ptr[start - 1] != ':')
        start--;
    struct str local = str_from_offset(id, start);
    bool is_whole = local.len && local.len <= NAME_PART_MAX;
    for (size_t i = 0; i < local.len && len < NAME_PART_MAX; i++) {
        char c = local.ptr[i];
        bool is_kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        is_whole = is_whole && (is_kept || (c == '-' && len && ret[len - 1] != fill));
        if (is_kept || (len && ret[len - 1] != fill))
            ret[len++] = is_kept ? c : fill;
    }
    if (len && ret[len - 1] == fill) {
        len--;
        is_whole = false;
    }
    ret[len] = '\0';
    if (is_whole)
        return 0;
    int r = digest_text(id, digest, err);
    if (r == 0)
        snprintf(ret + len, FIREWALL_NAME_MAX - len, "%s%.*s", len ? (char[]){ fill, '\0' } : "",
                 HASH_SHOWN, digest + strlen("sha256:"));
    return r;
}

/* --- labels -------------------------------------------------------------------------------- */

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_label_part(struct str text, size_t limit)
{
    if (!text.len || text.len > limit || !is_alphanumeric(text.ptr[0]) ||
        !is_alphanumeric(text.ptr[text.len - 1]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_alphanumeric(text.ptr[i]) && !memchr("-_.", text.ptr[i], 3))
            return false;
    }
    return true;
}

static bool is_label_key(struct str key)
{
    size_t slash = str_index(key, '/', 0);
    if (slash == key.len)
        return is_label_part(key, LABEL_PART_MAX);
    return is_label_part(str_make(key.ptr, slash), LABEL_PREFIX_MAX) &&
           is_label_part(str_from_offset(key, slash + 1), LABEL_PART_MAX);
}

int labels_read(struct str text, struct labels *ret, struct err *err)
{
    struct labels labels = { 0 };
    for (size_t at = 0; at <= text.len;) {
        size_t end = str_index(text, ',', at);
        struct str pair = str_make(text.ptr + at, end - at);
        size_t equals = str_index(pair, '=', 0);
        struct str key = str_make(pair.ptr, equals), value = str_from_offset(pair, equals + 1);
        if (equals == pair.len || !is_label_key(key) ||
            (value.len && !is_label_part(value, LABEL_PART_MAX)) || labels.count == LABELS_MAX)
            return err_set(err, ERR_USAGE, STEP,
                           "`%.*s` is no list of labels such as app=agent-machine,team=compass",
                           STR_ARG(text));
        labels.of[labels.count].key = key;
        labels.of[labels.count++].value = value;
        at = end + 1;
    }
    *ret = labels;
    return 0;
}

void labels_add(struct buf *buf, const struct labels *labels, int indent)
{
    for (size_t i = 0; i < labels->count; i++)
        buf_addf(buf, "%*s\"%.*s\": \"%.*s\"\n", indent, "", STR_ARG(labels->of[i].key),
                 STR_ARG(labels->of[i].value));
}

bool kubernetes_name_is(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')
            return false;
    }
    return is_label_part(text, LABEL_PART_MAX) && !memchr(text.ptr, '_', text.len) &&
           !memchr(text.ptr, '.', text.len);
}
