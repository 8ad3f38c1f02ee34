/*
 * policy suggest: the smallest set of rules that lets through what a run was denied.
 *
 * Denials of hosts and addresses are read from the operation's record, each
 * destination once; whether a rule of the user's would help is tried
 * (user_rules.c). What no rule of the user's can lift is listed with what would.
 */
#include "cmd/op_record.h"
#include "cmd/policy.h"
#include "cmd/tell.h"
#include "cmd/user_rules.h"
#include "contract/rules.h"

enum { SUGGEST_APPLY, SUGGEST_JSON };

const struct option_row policy_suggest_options[POLICY_SUGGEST_OPTION_COUNT] = {
    [SUGGEST_APPLY] = { "apply", 'a', NULL, "write the rules into the user's layer" },
    [SUGGEST_JSON] = { "json", 'j', NULL, "print the document that would be written" },
};

struct suggesting {
    struct user_rule rules[USER_RULES_MAX];
    const yyjson_val *others[USER_RULES_MAX]; /* decisions about what is no destination */
    size_t count, other_count;
};

static bool is_listed(const struct suggesting *suggesting, struct str destination, uint64_t port)
{
    for (size_t i = 0; i < suggesting->count; i++)
        if (str_equal(suggesting->rules[i].destination, destination) &&
            suggesting->rules[i].port == port)
            return true;
    return false;
}

/* A verdict of a lower kind than allow, about something that a later one has not allowed. */
static void take_decision(struct suggesting *suggesting, const yyjson_val *decision)
{
    const yyjson_val *resource = member(decision, "resource");
    struct str name = text_of(member(resource, "name"));
    bool reaches =
        text_is(member(resource, "kind"), "host") || text_is(member(resource, "kind"), "address");
    uint64_t port = count_of(member(resource, "port"));
    if (text_is(member(decision, "verdict"), "allow"))
        return;
    if (!reaches || !name.len) {
        if (suggesting->other_count < USER_RULES_MAX)
            suggesting->others[suggesting->other_count++] = decision;
        return;
    }
    if (suggesting->count == USER_RULES_MAX || is_listed(suggesting, name, port))
        return;
    suggesting->rules[suggesting->count++] = (struct user_rule){
        .subject = text_of(member(decision, "subjectRef")), .destination = name, .port = port
    };
}

/* A host as a whole before its ports, which it then has already. */
static int by_port(const void *a, const void *b)
{
    const struct user_rule *left = a, *right = b;
    int order = (left->port != 0) - (right->port != 0);
    size_t most = left->destination.len < right->destination.len ? left->destination.len
                                                                 : right->destination.len;
    order = order ? order : memcmp(left->destination.ptr, right->destination.ptr, most);
    return order ? order : (left->port > right->port) - (left->port < right->port);
}

static void gather(const struct operation_record *record, struct suggesting *suggesting)
{
    for (size_t i = 0; i < record->document_count; i++) {
        const struct record_document *document = &record->documents[i];
        if (str_equal(document->type, STR("PolicyDecision")) &&
            str_equal(text_of(member(document->root, "operationRef")), record->operations[0]))
            take_decision(suggesting, document->root);
    }
    qsort(suggesting->rules, suggesting->count, sizeof(suggesting->rules[0]), by_port);
}

static void print_line(const struct buf *line)
{
    op_print_wrapped("", 2, buf_str(line));
}

static void print_left_out(const struct suggesting *suggesting)
{
    for (size_t i = 0; i < suggesting->count; i++) {
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        if (suggesting->rules[i].use != USER_RULE_IN_VAIN)
            continue;
        buf_addf(&line, "not by a rule of yours: %.*s; %s",
                 STR_ARG(suggesting->rules[i].destination), suggesting->rules[i].why);
        print_line(&line);
    }
    for (size_t i = 0; i < suggesting->other_count; i++) {
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        buf_addf(&line, "not by a rule about a host: %.*s; %.*s",
                 STR_ARG(text_of(at(suggesting->others[i], "/resource/name"))),
                 STR_ARG(text_of(at(suggesting->others[i], "/smallestChange/summary"))));
        print_line(&line);
    }
}

static int suggest(const struct invocation *invocation, struct suggesting *suggesting,
                   struct err *err)
{
    _cleanup_(cleanup_user_rules) struct user_rules rules = { .before = BUF_INIT,
                                                              .after = BUF_INIT };
    int r = user_rules_propose(suggesting->rules, suggesting->count, &rules, err);
    if (r < 0)
        return r;
    if (invocation->values[SUGGEST_JSON])
        fwrite(rules.after.data, 1, rules.after.len, stdout);
    else if (rules.count)
        user_rules_print_diff(&rules, stdout);
    if (!invocation->values[SUGGEST_JSON])
        print_left_out(suggesting);
    if (!rules.count && !invocation->values[SUGGEST_JSON])
        printf("no rule of yours would let more through\n");
    if (rules.count && invocation->values[SUGGEST_APPLY])
        r = user_rules_apply(&rules, err);
    else if (rules.count && !invocation->values[SUGGEST_JSON])
        printf("nothing was written: --apply does that\n");
    return r < 0 ? r : rules.count ? 1 : 0;
}

int run_policy_suggest(const struct invocation *invocation)
{
    _cleanup_(cleanup_record) struct operation_record record = { 0 };
    struct suggesting *suggesting = calloc(1, sizeof(*suggesting));
    struct err err = { 0 };
    int r = suggesting ? op_record_read(invocation->operands[0], &record, &err)
                       : err_set(&err, ERR_MEMORY, "suggest", "there is not enough memory");
    if (r == 0) {
        gather(&record, suggesting);
        r = suggest(invocation, suggesting, &err);
    }
    free(suggesting);
    return r < 0 ? tell_error(invocation, &err) : r ? EXIT_OK : EXIT_NEGATIVE;
}
