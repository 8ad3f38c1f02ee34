/* policy_ask: see the header. */
#include "cmd/policy_ask.h"

#include "authority/engine.h"

const char *const policy_words[POLICY_WORD_COUNT] = {
    [GATE_TOOL_GRANT] = "tool",         [GATE_MODEL_PROVIDER_USE] = "model",
    [GATE_NETWORK_PROFILE] = "network", [GATE_CONTAINER_EXECUTION] = "image",
    [GATE_ARTIFACT_ACCESS] = "path",
};

/* The types of which the last part of a URN stands for the whole; NULL: it is none. */
static const char *const urn_types[POLICY_WORD_COUNT] = {
    [GATE_TOOL_GRANT] = "agent-tool-surface",
    [GATE_MODEL_PROVIDER_USE] = "external-model-provider-profile",
    [GATE_NETWORK_PROFILE] = "network-access-profile",
};

/* --- hosts ---------------------------------------------------------------------------------- */

int policy_asked_host(const char *text, struct policy_asked *ret, struct err *err)
{
    struct str all = str_from(text);
    ret->of_gate = false;
    size_t colon = str_index(all, ':', 0);
    bool in_brackets = str_starts(all, STR("["));
    if (in_brackets)
        colon = str_index(all, ']', 0) + 1;
    else if (str_index(all, ':', colon + 1) < all.len)
        colon = all.len;
    ret->destination.host = str_make(all.ptr, colon < all.len ? colon : all.len);
    if (colon >= all.len)
        return 0;
    char *end = NULL;
    const char *digits = text + colon + 1;
    unsigned long port = strtoul(digits, &end, 10);
    if (digits[0] < '0' || digits[0] > '9' || *end || !port || port > UINT16_MAX ||
        text[colon] != ':')
        return err_set(err, ERR_USAGE, "read a destination", "`%s` has no port from 1 to 65535",
                       text);
    ret->destination.port = (uint16_t)port;
    return 0;
}

int policy_asked_protocol(const char *text, struct policy_asked *ret, struct err *err)
{
    static const char *const words[] = { "tcp", "udp", "icmp", "http", "https", "grpc" };
    if (vocabulary_index(words, ARRAY_LEN(words), str_from(text)) < 0)
        return err_set(err, ERR_USAGE, "read a destination",
                       "`%s` is none of tcp, udp, icmp, http, https, grpc", text);
    ret->destination.protocol = str_from(text);
    return 0;
}

/* --- other things --------------------------------------------------------------------------- */

/* What is there is called as the file system calls it; else it is told from the current folder. */
static int write_path(const char *value, char ret[GATE_NAME_MAX + 1])
{
    _cleanup_(cleanup_free) char *real = value[0] == '/' ? NULL : realpath(value, NULL);
    _cleanup_(cleanup_free) char *folder = value[0] == '/' || real ? NULL : getcwd(NULL, 0);
    return snprintf(ret, GATE_NAME_MAX + 1, "%s%s%s", folder ? folder : "", folder ? "/" : "",
                    real ? real : value);
}

int policy_asked_thing(enum gate gate, struct str value, struct policy_asked *ret, struct err *err)
{
    char text[GATE_NAME_MAX + 1];
    bool is_whole = !urn_types[gate] || str_starts(value, STR("urn:")) ||
                    (gate == GATE_NETWORK_PROFILE && str_equal(value, STR(GATE_NO_NETWORK)));
    int len = 0;
    if (!value.len || value.len > GATE_NAME_MAX || memchr(value.ptr, '\0', value.len))
        return err_set(err, ERR_USAGE, "read what is asked about",
                       "a %s is a text of 1 to %d bytes", policy_words[gate], GATE_NAME_MAX);
    ret->of_gate = true;
    ret->gate = gate;
    snprintf(text, sizeof(text), "%.*s", STR_ARG(value));
    if (gate == GATE_ARTIFACT_ACCESS && !str_starts(value, STR("urn:")))
        len = write_path(text, ret->name);
    else
        len = snprintf(ret->name, sizeof(ret->name), "%s%s%s%s",
                       is_whole ? "" : "urn:srcos:", is_whole ? "" : urn_types[gate],
                       is_whole ? "" : ":", text);
    return len > GATE_NAME_MAX
               ? err_set(err, ERR_LIMIT, "read what is asked about", "the name is too long")
               : 0;
}

const char *policy_asked_word(const struct policy_asked *asked)
{
    return asked->of_gate ? policy_words[asked->gate] : "host";
}

struct str policy_asked_name(const struct policy_asked *asked)
{
    return asked->of_gate ? str_from(asked->name) : asked->destination.host;
}

/* --- asking --------------------------------------------------------------------------------- */

bool policy_asked_target(const struct policy_asked *asked, struct target *ret)
{
    struct str host = asked->destination.host;
    struct host_name name = { 0 };
    *ret = (struct target){ .port = asked->destination.port };
    if (str_starts(host, STR("[")) && str_ends(host, STR("]")) && host.len > 2)
        host = str_make(host.ptr + 1, host.len - 2);
    if (str_index(host, '/', 0) == host.len && address_range_read(host, &ret->address))
        return true;
    if (host_name_read(host, &name, NULL) <= 0)
        return false;
    if (!address_read_odd(&name, &ret->address))
        memcpy(ret->name, name.text, sizeof(ret->name));
    return true;
}

static int ask_host(const struct loaded_policy *loaded, const struct policy_asked *asked,
                    struct verdict *ret, struct err *err)
{
    const char *resolved = asked->resolved;
    struct address_range address;
    struct permit permit = { 0 };
    struct target target;
    if (resolved && (strchr(resolved, '/') || !address_range_read(str_from(resolved), &address)))
        return err_set(err, ERR_USAGE, "read a destination", "`%s` is no address", resolved);
    int r = resolved
                ? policy_decide_address(loaded->policy, &asked->destination, &address, ret, err)
                : policy_decide(loaded->policy, &asked->destination, ret, err);
    if (r == 0 && policy_asked_target(asked, &target))
        routes_apply(loaded->routes, &target, ret, &permit);
    return r;
}

/* A folder that is only tried out runs nothing, and so no engine. */
static int ask_gate(const struct loaded_policy *loaded, const struct policy_request *request,
                    const struct policy_asked *asked, struct verdict *ret, struct err *err)
{
    struct gate_thing thing = { .gate = asked->gate,
                                .name = str_from(asked->name),
                                .profile = str_from(request->profile ? request->profile : "") };
    struct engine_request engine = { .thing = &thing,
                                     .subject =
                                         str_from(request->subject ? request->subject : "") };
    struct engine_record record;
    int r = policy_decide_gate_here(loaded->policy, &thing, ret, err);
    return r < 0 || request->folder
               ? r
               : policy_ask_engines(loaded->policy, &engine, ret, &record, err);
}

int policy_ask(const struct loaded_policy *loaded, const struct policy_request *request,
               const struct policy_asked *asked, struct verdict *ret, struct err *err)
{
    return asked->of_gate ? ask_gate(loaded, request, asked, ret, err)
                          : ask_host(loaded, asked, ret, err);
}
