/*
 * user_rules: see the header.
 *
 * Theory of operation. A rule is an allow for one subject and one destination.
 * Whether it helps is not guessed: the layers are compiled with the document as
 * it would be, and asked. So no rule is written that a higher layer denies, and
 * none that is not needed; what is proposed for a port that the host as a whole
 * was proposed for already is not needed.
 *
 * The document is replaced as a whole, by rename, and only where it still is
 * what was read.
 */
#include "cmd/user_rules.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "cmd/tell.h"
#include "contract/rules.h"

#define STEP_RULES     "propose rules"
#define DOCUMENT_BYTES ((size_t)1 << 20)
#define ID_DIGITS      12 /* of a digest, by which a rule is known; so in the format below */

/* --- the document -------------------------------------------------------------------------- */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_RULES, "there is not enough memory");
}

static int read_before(struct user_rules *rules, yyjson_doc **ret, struct err *err)
{
    char config[PLACE_SIZE];
    int r = place_config(config, sizeof(config), err);
    if (r < 0)
        return r;
    snprintf(rules->path, sizeof(rules->path), "%s/user/" USER_RULES_FILE, config);
    if (access(rules->path, F_OK) < 0)
        return 0;
    r = file_read(rules->path, &rules->before, err);
    if (r == 0)
        r = json_read(buf_str(&rules->before), &json_limits_default, ret, err);
    if (r == 0 && !text_is(member(yyjson_doc_get_root(*ret), "type"), "FirewallBindingProfile"))
        r = err_set(err, ERR_CONFLICT, STEP_RULES, "%s is another document", rules->path);
    return r;
}

static int name_rule(const struct user_rule *rule, char ret[ID_DIGITS + 1], struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    buf_addf(&text, "%.*s %.*s %llu", STR_ARG(rule->subject), STR_ARG(rule->destination),
             (unsigned long long)rule->port);
    int r = text.error ? no_memory(err) : digest_text(buf_str(&text), digest, err);
    if (r == 0)
        snprintf(ret, ID_DIGITS + 1, "%.12s", digest + strlen("sha256:"));
    return r;
}

static int add_rule(struct buf *json, const struct user_rule *rule, bool first, struct err *err)
{
    char id[ID_DIGITS + 1];
    int r = name_rule(rule, id, err);
    if (r < 0)
        return r;
    buf_addf(json,
             "%s{\"ruleId\":\"allowed-%s\",\"direction\":\"egress\",\"decision\":\"allow\","
             "\"subject\":",
             first ? "" : ",", id);
    json_add_string(json, rule->subject);
    json_add_text(json, "destination", rule->destination);
    if (rule->port)
        buf_addf(json, ",\"ports\":[%llu]", (unsigned long long)rule->port);
    if (rule->reason.len)
        json_add_text(json, "reason", rule->reason);
    buf_add_char(json, '}');
    return 0;
}

/* The document as it was, with the rules that help behind those that it has. */
static int write_document(const yyjson_val *before, const struct user_rule *rules, size_t count,
                          struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT_LIMIT(DOCUMENT_BYTES);
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    yyjson_val *kept = member(before, "rules");
    bool first = yyjson_arr_size(kept) == 0;
    int r = 0;
    buf_add_text(&json, "{\"id\":\"urn:srcos:firewall-binding-profile:allowed\","
                        "\"type\":\"FirewallBindingProfile\",\"specVersion\":\"1.0.0\","
                        "\"name\":\"allowed\",\"bindingClass\":\"linux-nftables\","
                        "\"mode\":\"enforce\",\"rules\":[");
    for (size_t i = 0; i < yyjson_arr_size(kept); i++) {
        buf_add_text(&json, i ? "," : "");
        json_add_value(&json, yyjson_arr_get(kept, i), 0);
    }
    for (size_t i = 0; i < count && r == 0; i++) {
        if (rules[i].use != USER_RULE_HELPS)
            continue;
        r = add_rule(&json, &rules[i], first, err);
        first = false;
    }
    buf_add_text(&json, "],\"evidence\":{\"emitDeniedConnectionReceipt\":true}}");
    if (r == 0)
        r = json.error ? err_set(err, ERR_LIMIT, STEP_RULES, "the document would be too long")
                       : json_read(buf_str(&json), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    buf_reset(ret);
    json_add_value(ret, yyjson_doc_get_root(doc), 2);
    return buf_add_char(ret, '\n') < 0 ? no_memory(err) : 0;
}

/* --- trying -------------------------------------------------------------------------------- */

/* What the layers say with a document beside theirs; it may be NULL. */
static int ask(const struct user_rule *rule, const struct buf *document, struct verdict *ret,
               struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf subject = BUF_INIT;
    struct loaded_policy loaded = { 0 };
    struct policy_request request = { 0 };
    struct policy_destination destination = { .host = rule->destination,
                                              .port = (uint16_t)rule->port,
                                              .protocol = STR("tcp") };
    buf_add_str(&subject, rule->subject);
    buf_add_char(&subject, '\0');
    int r = subject.error ? no_memory(err) : 0;
    if (r == 0 && document)
        r = json_read(buf_str(document), &json_limits_default, &doc, err);
    request.subject = subject.data;
    request.beside = yyjson_doc_get_root(doc);
    if (r == 0)
        r = loaded_policy_open(&request, &loaded, err);
    if (r == 0)
        r = policy_decide(loaded.policy, &destination, ret, err);
    if (r == 0) { /* the views go with the policy */
        ret->rule = ret->document_id = STR("");
        ret->document = NULL;
    }
    loaded_policy_close(&loaded);
    return r;
}

static int try_rule(struct user_rule *rules, size_t i, const yyjson_val *before,
                    struct user_rules *ret, struct err *err)
{
    struct user_rule *rule = &rules[i];
    struct verdict verdict;
    rule->use = USER_RULE_NEEDLESS;
    int r = write_document(before, rules, i, &ret->after, err);
    if (r == 0)
        r = ask(rule, &ret->after, &verdict, err);
    if (r < 0 || verdict.answer == ANSWER_ALLOW)
        return r;
    rule->use = USER_RULE_HELPS;
    r = write_document(before, rules, i + 1, &ret->after, err);
    if (r == 0)
        r = ask(rule, &ret->after, &verdict, err);
    if (r < 0 || verdict.answer == ANSWER_ALLOW)
        return r;
    rule->use = USER_RULE_IN_VAIN;
    snprintf(rule->why, sizeof(rule->why), "%s", verdict.smallest_change);
    return 0;
}

int user_rules_propose(struct user_rule *rules, size_t count, struct user_rules *ret,
                       struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct user_rules found = { .before = BUF_INIT_LIMIT(DOCUMENT_BYTES), .after = BUF_INIT };
    int r = read_before(&found, &doc, err);
    for (size_t i = 0; i < count && r == 0; i++) {
        r = try_rule(rules, i, yyjson_doc_get_root(doc), &found, err);
        found.count += r == 0 && rules[i].use == USER_RULE_HELPS;
    }
    if (r == 0)
        r = write_document(yyjson_doc_get_root(doc), rules, count, &found.after, err);
    if (r < 0)
        user_rules_release(&found);
    else
        *ret = found;
    return r;
}

void user_rules_release(struct user_rules *rules)
{
    buf_release(&rules->before);
    buf_release(&rules->after);
}

/* --- showing and writing ------------------------------------------------------------------- */

static struct str first_line(struct str text)
{
    return str_make(text.ptr, str_index(text, '\n', 0));
}

static struct str without_line(struct str text)
{
    return str_from_offset(text, str_index(text, '\n', 0) + 1);
}

static struct str last_line(struct str text)
{
    size_t end = text.len && text.ptr[text.len - 1] == '\n' ? text.len - 1 : text.len, start = end;
    while (start > 0 && text.ptr[start - 1] != '\n')
        start--;
    return str_make(text.ptr + start, end - start);
}

static void print_lines(FILE *stream, const char *sign, struct str text)
{
    for (; text.len; text = without_line(text)) {
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        buf_add_str(&line, first_line(text));
        buf_add_char(&line, '\0');
        fputs(sign, stream);
        tell_text(stream, line.data);
        fputc('\n', stream);
    }
}

/* What is the same at the beginning and at the end is left out: rules are only added. */
void user_rules_print_diff(const struct user_rules *rules, FILE *stream)
{
    struct str a = buf_str(&rules->before), b = buf_str(&rules->after);
    while (a.len && b.len && str_equal(first_line(a), first_line(b))) {
        a = without_line(a);
        b = without_line(b);
    }
    while (a.len && b.len && str_equal(last_line(a), last_line(b))) {
        a.len = (size_t)(last_line(a).ptr - a.ptr);
        b.len = (size_t)(last_line(b).ptr - b.ptr);
    }
    fputs(rules->before.len ? "--- " : "--- /dev/null, ", stream);
    fputs(rules->before.len ? "as it is\n+++ " : "there is none yet\n+++ ", stream);
    tell_text(stream, rules->path);
    fputc('\n', stream);
    print_lines(stream, "-", a);
    print_lines(stream, "+", b);
}

static int check_unchanged(const struct user_rules *rules, struct err *err)
{
    _cleanup_(buf_release) struct buf now = BUF_INIT_LIMIT(DOCUMENT_BYTES);
    int r = access(rules->path, F_OK) < 0 ? 0 : file_read(rules->path, &now, err);
    if (r == 0 && !str_equal(buf_str(&now), buf_str(&rules->before)))
        r = err_set(err, ERR_CONFLICT, STEP_RULES, "%s has changed meanwhile", rules->path);
    return r;
}

static int write_beside(const char *beside, const struct buf *text, struct err *err)
{
    _cleanup_(cleanup_close) int fd =
        open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, STEP_RULES, "%s", beside);
    bool whole = write(fd, text->data, text->len) == (ssize_t)text->len && fsync(fd) == 0;
    return whole ? 0 : err_set_errno(err, errno ? errno : EIO, STEP_RULES, "%s", beside);
}

int user_rules_apply(const struct user_rules *rules, struct err *err)
{
    char folder[sizeof(rules->path)], beside[sizeof(rules->path) + 32];
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(rules->path, '/') - rules->path),
             rules->path);
    snprintf(beside, sizeof(beside), "%s/.allowed.%d", folder, (int)getpid());
    int r = file_make_folder(folder, err);
    if (r == 0)
        r = check_unchanged(rules, err);
    if (r == 0)
        r = write_beside(beside, &rules->after, err);
    if (r == 0 && rename(beside, rules->path) < 0)
        r = err_set_errno(err, errno, STEP_RULES, "%s", rules->path);
    if (r < 0)
        (void)!unlink(beside);
    return r;
}
