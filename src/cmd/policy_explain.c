/* policy explain: a verdict, and the way through the layers to it. */
#include "authority/engine.h"
#include "base/json.h"
#include "cmd/op.h"
#include "cmd/op_decide.h"
#include "cmd/policy_ask.h"
#include "cmd/tell.h"

#define TABLE_WIDTH 80
#define LABEL_WIDTH 10
#define LAYER_WIDTH 16
#define RULE_COLUMN 23

enum {
    EXPLAIN_HOST,
    EXPLAIN_TOOL,
    EXPLAIN_MODEL,
    EXPLAIN_NETWORK,
    EXPLAIN_PATH,
    EXPLAIN_IMAGE,
    EXPLAIN_PROFILE,
    EXPLAIN_PROTOCOL,
    EXPLAIN_RESOLVED,
    EXPLAIN_LAYERS,
    EXPLAIN_SURFACE,
    EXPLAIN_SUBJECT,
    EXPLAIN_ALLOW,
    EXPLAIN_DENY,
    EXPLAIN_JSON,
};

const struct option_row policy_explain_options[POLICY_EXPLAIN_OPTION_COUNT] = {
    [EXPLAIN_HOST] = { "host", 'H', "HOST[:PORT]", "the destination: a name or an address" },
    [EXPLAIN_TOOL] = { "tool", 't', "TOOL", "a tool surface or tool, by name or URN" },
    [EXPLAIN_MODEL] = { "model", 'm', "PROVIDER", "a model provider: hosted by name, any by URN" },
    [EXPLAIN_NETWORK] = { "network", 'n', "PROFILE", "a network profile, by name or URN" },
    [EXPLAIN_PATH] = { "path", 'P', "PATH", "a folder or file that is mounted" },
    [EXPLAIN_IMAGE] = { "image", 'i', "IMAGE", "a container image" },
    [EXPLAIN_PROFILE] = { "profile", 0, "PROFILE", "the machine profile that is run under" },
    [EXPLAIN_PROTOCOL] = { "protocol", 'p', "WORD", "tcp, udp, icmp, http, https or grpc" },
    [EXPLAIN_RESOLVED] = { "resolved", 'r', "ADDRESS", "an address that the name resolved to" },
    [EXPLAIN_LAYERS] = { "layers", 'l', "DIR", "a folder with one for each layer, for trying out" },
    [EXPLAIN_SURFACE] = { "surface", 0, "NAME", "the tool surface that is run" },
    [EXPLAIN_SUBJECT] = { "subject", 0, "URN", "who runs: the subject of firewall rules" },
    [EXPLAIN_ALLOW] = { "allow", 0, "HOST[:PORT]", "as if the run were given --allow" },
    [EXPLAIN_DENY] = { "deny", 0, "HOST[:PORT]", "as if the run were given --deny" },
    [EXPLAIN_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

static int exit_status(enum answer answer)
{
    return answer == ANSWER_ALLOW ? EXIT_OK
           : answer == ANSWER_ASK ? err_exit_status(ERR_PENDING)
                                  : err_exit_status(ERR_DENIED);
}

/* --- for people ----------------------------------------------------------------------------- */

static enum colour colour_of(enum answer answer)
{
    static const enum colour colours[ANSWER_COUNT] = { [ANSWER_NOTHING] = COLOUR_DIM,
                                                       [ANSWER_ALLOW] = COLOUR_GOOD,
                                                       [ANSWER_ASK] = COLOUR_WARN,
                                                       [ANSWER_DENY] = COLOUR_BAD };
    return colours[answer];
}

void policy_tell_str(struct str text)
{
    char copy[VERDICT_TEXT_SIZE];
    size_t len = text.len < sizeof(copy) - 1 ? text.len : sizeof(copy) - 1;
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    tell_text(stdout, copy);
}

/* A label, and text broken between words so that lines fit the table. */
static void tell_wrapped(const char *label, const char *text)
{
    struct str rest = str_from(text);
    size_t column = LABEL_WIDTH;
    printf("%-*s", LABEL_WIDTH, label);
    while (rest.len) {
        size_t len = str_index(rest, ' ', 0);
        if (column > LABEL_WIDTH && column + 1 + len > TABLE_WIDTH) {
            printf("\n%*s", LABEL_WIDTH, "");
            column = LABEL_WIDTH;
        } else if (column > LABEL_WIDTH) {
            fputc(' ', stdout);
            column++;
        }
        policy_tell_str(str_make(rest.ptr, len));
        column += len;
        rest = str_from_offset(rest, len + 1);
    }
    fputc('\n', stdout);
}

static void tell_layer(const struct layer_answer *answer, int layer)
{
    const char *separator = " ";
    printf("%-*s%s%-*s%s", LAYER_WIDTH, layer_names[layer],
           tell_colour(stdout, colour_of(answer->answer)),
           answer->answer ? RULE_COLUMN - LAYER_WIDTH : 0, answer_names[answer->answer],
           tell_colour_end(stdout));
    policy_tell_str(answer->rule);
    if (answer->document) {
        size_t width = strlen(answer->document) + 1 + strlen(answer->pointer);
        printf("\n%*s%s", RULE_COLUMN, "", tell_colour(stdout, COLOUR_DIM));
        tell_text(stdout, answer->document);
        if (RULE_COLUMN + width > TABLE_WIDTH)
            separator = "\n                       ";
        fputs(answer->pointer[0] ? separator : "", stdout);
        tell_text(stdout, answer->pointer);
        fputs(tell_colour_end(stdout), stdout);
    }
    fputc('\n', stdout);
}

static void tell_notes(const struct loaded_policy *loaded, const struct policy_request *request,
                       const struct policy_asked *asked, const struct verdict *verdict)
{
    size_t inert = 0;
    for (size_t i = 0; i < layers_count(loaded->layers); i++)
        inert += layers_at(loaded->layers, i).state == DOCUMENT_INERT;
    if (verdict->some_ports)
        tell_wrapped("note", "some rules are for certain ports: ask about HOST:PORT");
    if (verdict->tls)
        tell_wrapped("note", "as https alone: the server's name is read and must be this one");
    if (verdict->log_only)
        tell_wrapped("note", "a rule that only logs allows it: each use is recorded");
    if (verdict->observed)
        tell_wrapped("note", "a firewall that is only observed would have denied it");
    if (asked->of_gate && request->folder && policy_has_engine(loaded->policy, asked->gate))
        tell_wrapped("note", "a policy engine stands behind this gate, and was not asked");
    if (inert)
        tell_wrapped("note", "the repository's own documents are not trusted and say nothing: see "
                             "`agent-machine policy show`");
}

static void write_way(const struct way *way, bool is_name, struct buf *out)
{
    if (way->proxy)
        buf_addf(out, "through %.*s (%.*s, by the entry %.*s)%s", STR_ARG(way->proxy->url),
                 STR_ARG(way->reference), STR_ARG(way->entry),
                 is_name ? ", which resolves the name" : "");
    else if (way->left_out)
        buf_addf(out, "direct: %.*s leaves it out", STR_ARG(way->reference));
    else
        buf_addf(out, "by the host's own network, as the entry %.*s has it", STR_ARG(way->entry));
}

/* How it leaves, where a layer says something of it. */
static void tell_way(const struct loaded_policy *loaded, const struct policy_asked *asked)
{
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    struct address_range addresses[REFERENCES_ADDRESSES_MAX];
    struct target target;
    struct way way;
    if (!policy_asked_target(asked, &target))
        return;
    routes_find(loaded->routes, &target, &way);
    if (way.entry.len)
        write_way(&way, target.name[0], &out);
    size_t count =
        references_addresses(layers_references(loaded->layers), str_from(target.name), addresses);
    for (size_t i = 0; i < count && !way.proxy; i++) {
        char text[ADDRESS_RANGE_TEXT_SIZE];
        address_range_text(&addresses[i], text);
        buf_addf(&out, "%s%.*s",
                 i         ? ", "
                 : out.len ? "; at "
                           : "at ",
                 (int)strcspn(text, "/"), text);
    }
    if (count && !way.proxy)
        buf_add_text(&out, ", as references say");
    if (out.len)
        tell_wrapped("way", out.data);
}

static void tell_verdict(const struct loaded_policy *loaded, const struct policy_request *request,
                         const struct policy_asked *asked, const struct verdict *verdict)
{
    printf("%-*s%-*s%s\n", LAYER_WIDTH, "layer", RULE_COLUMN - LAYER_WIDTH, "answer",
           "rule, document");
    for (int layer = 0; layer < LAYER_COUNT; layer++)
        tell_layer(&verdict->layers[layer], layer);
    printf("\n%-*s%s%s%s\n", LABEL_WIDTH, "verdict",
           tell_colour(stdout, colour_of(verdict->answer)), answer_names[verdict->answer],
           tell_colour_end(stdout));
    tell_wrapped("why", verdict->reason);
    tell_wrapped("change", verdict->smallest_change);
    if (!asked->of_gate && verdict->answer != ANSWER_DENY)
        tell_way(loaded, asked);
    tell_notes(loaded, request, asked, verdict);
}

/* --- for programs --------------------------------------------------------------------------- */

void policy_add_member(struct buf *out, const char *name, struct str value)
{
    json_add_name(out, name);
    json_add_string(out, value);
}

static void add_flag(struct buf *out, const char *name, bool value)
{
    buf_addf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void add_document(struct buf *out, const char *document, struct str id, struct str rule,
                         const char *pointer)
{
    policy_add_member(out, "rule", rule);
    if (!document)
        return;
    policy_add_member(out, "document", str_from(document));
    policy_add_member(out, "documentId", id);
    policy_add_member(out, "pointer", str_from(pointer));
}

/* A `route` with the url of its proxy, or without; where the layers say nothing of one, nothing. */
static void add_way(struct buf *out, const struct loaded_policy *loaded,
                    const struct policy_asked *asked)
{
    struct target target;
    struct way way = { 0 };
    if (policy_asked_target(asked, &target))
        routes_find(loaded->routes, &target, &way);
    if (!way.entry.len)
        return;
    buf_add_text(out, ",\"route\":{");
    policy_add_member(out, "entry", way.entry);
    if (way.proxy)
        policy_add_member(out, "url", way.proxy->url);
    if (way.reference.len)
        policy_add_member(out, "reference", way.reference);
    policy_add_member(out, "document", str_from(way.document));
    policy_add_member(out, "pointer", str_from(way.pointer));
    add_flag(out, "leftOut", way.left_out);
    buf_add_char(out, '}');
}

static void print_json(const struct loaded_policy *loaded, const struct policy_asked *asked,
                       const struct verdict *verdict)
{
    struct buf out = BUF_INIT;
    buf_add_char(&out, '{');
    policy_add_member(&out, policy_asked_word(asked), policy_asked_name(asked));
    if (asked->destination.port)
        buf_addf(&out, ",\"port\":%u", asked->destination.port);
    policy_add_member(&out, "answer", str_from(answer_names[verdict->answer]));
    if (verdict->document)
        policy_add_member(&out, "layer", str_from(layer_names[verdict->layer]));
    add_document(&out, verdict->document, verdict->document_id, verdict->rule, verdict->pointer);
    add_flag(&out, "builtIn", verdict->built_in);
    add_flag(&out, "logOnly", verdict->log_only);
    add_flag(&out, "observed", verdict->observed);
    add_flag(&out, "tls", verdict->tls);
    add_flag(&out, "somePorts", verdict->some_ports);
    policy_add_member(&out, "reason", str_from(verdict->reason));
    policy_add_member(&out, "smallestChange", str_from(verdict->smallest_change));
    policy_add_member(&out, "policyDigest", str_from(policy_digest(loaded->policy)));
    if (!asked->of_gate && verdict->answer != ANSWER_DENY)
        add_way(&out, loaded, asked);
    buf_add_text(&out, ",\"layers\":[");
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        const struct layer_answer *answer = &verdict->layers[layer];
        buf_addf(&out, "%s{", layer ? "," : "");
        policy_add_member(&out, "layer", str_from(layer_names[layer]));
        policy_add_member(&out, "answer",
                          str_from(answer->answer ? answer_names[answer->answer] : "nothing"));
        if (answer->answer)
            add_document(&out, answer->document, answer->document_id, answer->rule,
                         answer->pointer);
        buf_add_char(&out, '}');
    }
    buf_add_text(&out, "]}");
    puts(out.data);
    buf_release(&out);
}

/* --- the verb ------------------------------------------------------------------------------- */

/* What is asked about: one thing, of one kind. */
static int read_asked(const char *const *values, struct policy_asked *ret, struct err *err)
{
    static const int options[POLICY_WORD_COUNT] = {
        [GATE_TOOL_GRANT] = EXPLAIN_TOOL,         [GATE_MODEL_PROVIDER_USE] = EXPLAIN_MODEL,
        [GATE_NETWORK_PROFILE] = EXPLAIN_NETWORK, [GATE_CONTAINER_EXECUTION] = EXPLAIN_IMAGE,
        [GATE_ARTIFACT_ACCESS] = EXPLAIN_PATH,
    };
    unsigned count = values[EXPLAIN_HOST] != NULL;
    int r = values[EXPLAIN_HOST] ? policy_asked_host(values[EXPLAIN_HOST], ret, err) : 0;
    for (int gate = 0; gate < POLICY_WORD_COUNT && r == 0; gate++) {
        const char *value = values[options[gate]];
        count += value != NULL;
        if (value)
            r = policy_asked_thing((enum gate)gate, str_from(value), ret, err);
    }
    if (r == 0 && count != 1)
        return err_set(err, ERR_USAGE, "read what is asked about",
                       "say one of --host, --tool, --model, --network, --path, --image");
    if (r == 0 && ret->of_gate && (values[EXPLAIN_PROTOCOL] || values[EXPLAIN_RESOLVED]))
        return err_set(err, ERR_USAGE, "read what is asked about",
                       "--protocol and --resolved are of a --host");
    if (r == 0 && values[EXPLAIN_PROTOCOL])
        r = policy_asked_protocol(values[EXPLAIN_PROTOCOL], ret, err);
    ret->resolved = values[EXPLAIN_RESOLVED];
    return r;
}

int policy_explain(const struct invocation *invocation, const struct policy_request *request,
                   const struct policy_asked *asked, bool as_json)
{
    struct loaded_policy loaded = { 0 };
    struct verdict verdict;
    struct err err = { 0 };
    int r = loaded_policy_open(request, &loaded, &err);
    if (r == 0)
        r = policy_ask(&loaded, request, asked, &verdict, &err);
    if (r == 0 && as_json)
        print_json(&loaded, asked, &verdict);
    else if (r == 0)
        tell_verdict(&loaded, request, asked, &verdict);
    if (r == 0 && !as_json && !request->folder && verdict.answer == ANSWER_ASK)
        op_print_leases_of(policy_asked_name(asked));
    loaded_policy_close(&loaded);
    return r < 0 ? tell_error(invocation, &err) : exit_status(verdict.answer);
}

int run_policy_explain(const struct invocation *invocation)
{
    const char *const *values = invocation->values;
    char profile[PLANE_URN_MAX];
    struct policy_request request = { .folder = values[EXPLAIN_LAYERS],
                                      .subject = values[EXPLAIN_SUBJECT],
                                      .surface = values[EXPLAIN_SURFACE],
                                      .allow = values[EXPLAIN_ALLOW],
                                      .deny = values[EXPLAIN_DENY] };
    struct policy_asked asked = { 0 };
    struct err err = { 0 };
    if (values[EXPLAIN_PROFILE]) {
        op_urn("agent-machine-profile", values[EXPLAIN_PROFILE], profile);
        request.profile = profile;
    }
    return read_asked(values, &asked, &err) < 0
               ? tell_error(invocation, &err)
               : policy_explain(invocation, &request, &asked, values[EXPLAIN_JSON]);
}
