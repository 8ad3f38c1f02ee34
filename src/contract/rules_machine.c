/*
 * rules_machine: the checks of what is launched, where, and with what in view.
 *
 * Theory of operation. A mount, a profile and a tool surface say what an agent
 * will see; a fingerprint says what it did see. The checks ask whether any path
 * leads to the host's secrets (host_path.c has the table), whether variables
 * and hosts go around the doors, whether names mean one thing each, and, in a
 * set, whether documents keep to those that they refer to. What the set does
 * not have is not judged here: document.references-resolve speaks of that.
 *
 * Only texts are compared. A launch repeats the checks of paths on what it has
 * resolved, links and all.
 *
 * Limits: lists have at most 1,000 items by their schemas. A fingerprint asks
 * all documents of the set for executions that name it.
 */
#include "base/map.h"
#include "contract/destination.h"
#include "contract/host_path.h"
#include "contract/model_hosts.h"
#include "contract/rules_table.h"

#define STEP "lint"

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

/* --- paths ---------------------------------------------------------------------------------- */

static int check_path(struct lint *lint, const struct rule *rule,
                      const struct lint_document *document, const char *pointer, struct err *err)
{
    char secret[HOST_SECRET_SIZE];
    struct str path = text_of(at(document->root, pointer));
    struct buf spelled = BUF_INIT;
    int r = host_path_normalise(path, &spelled);
    if (r == 0 && host_path_touches_secret(buf_str(&spelled), secret))
        lint_find(lint, rule, document, pointer,
                  "%.*s is, holds or lies within %s, where secrets are; name a directory that "
                  "has none",
                  STR_ARG(path), secret);
    buf_release(&spelled);
    return r < 0 ? out_of_memory(err) : 0;
}

int check_mount_covers_host_secret(struct lint *lint, const struct rule *rule,
                                   const struct lint_document *document, struct err *err)
{
    static const char *const lists[] = { "/machinePlane/sharedPaths", "/installPaths" };
    int r = 0;
    if (member(document->root, "hostPath"))
        r = check_path(lint, rule, document, "/hostPath", err);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        size_t count = yyjson_arr_size(at(document->root, lists[i]));
        for (size_t j = 0; r == 0 && j < count; j++)
            r = check_path(lint, rule, document, pointer_to("%s/%zu", lists[i], j).text, err);
    }
    return r;
}

/* The document that a mount reference of a profile leads to; NULL where the set has it not. */
static const yyjson_val *mount_of(const struct lint *lint, const yyjson_val *reference)
{
    return lint_resolve_as(lint, reference, "AgentWorkspaceMount");
}

/* The home of whoever asks; without one, "~" stands for itself. */
static const char *home_here(void)
{
    const char *home = getenv("HOME");
    return home && home[0] == '/' ? home : "~";
}

/* Whether a path is within one of those of a list, which has a line end behind each. */
static bool is_within_any(struct str path, struct str list)
{
    for (size_t start = 0; start < list.len;) {
        size_t end = str_index(list, '\n', start);
        if (host_path_is_within(path, str_make(list.ptr + start, end - start)))
            return true;
        start = end + 1;
    }
    return false;
}

int check_mount_outside_allow_list(struct lint *lint, const struct rule *rule,
                                   const struct lint_document *document, struct err *err)
{
    const char *home = home_here();
    struct buf allowed = BUF_INIT, path = BUF_INIT;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(at(document->root, "/worktreePlane/allowedPaths"), index, count, item)
    {
        host_path_expand(text_of(item), home, &allowed);
        buf_add_char(&allowed, '\n');
    }
    yyjson_arr_foreach(at(document->root, "/worktreePlane/mountRefs"), index, count, item)
    {
        const yyjson_val *host_path = member(mount_of(lint, item), "hostPath");
        buf_reset(&path);
        host_path_expand(text_of(host_path), home, &path);
        if (host_path && !allowed.error && !path.error &&
            !is_within_any(buf_str(&path), buf_str(&allowed)))
            lint_find(lint, rule, document, pointer_to("/worktreePlane/mountRefs/%zu", index).text,
                      "this mount is of %.*s, which no path of allowedPaths holds; allow it there "
                      "or leave the mount out",
                      STR_ARG(text_of(host_path)));
    }
    int r = allowed.error || path.error ? out_of_memory(err) : 0;
    buf_release(&allowed);
    buf_release(&path);
    return r;
}

int check_agent_path_claimed_twice(struct lint *lint, const struct rule *rule,
                                   const struct lint_document *document, struct err *err)
{
    const yyjson_val *references = at(document->root, "/worktreePlane/mountRefs");
    struct map claims = MAP_INIT;
    size_t index, count;
    yyjson_val *reference;
    int r = 0;
    yyjson_arr_foreach((yyjson_val *)references, index, count, reference)
    {
        const yyjson_val *path = member(mount_of(lint, reference), "agentPath");
        uint32_t first;
        int put = path ? map_put(&claims, text_of(path), (uint32_t)index) : 0;
        if (put == -EEXIST && map_get(&claims, text_of(path), &first))
            lint_find(lint, rule, document, pointer_to("/worktreePlane/mountRefs/%zu", index).text,
                      "%.*s is at %.*s already; give one of the two another agentPath",
                      STR_ARG(text_of(yyjson_arr_get((yyjson_val *)references, first))),
                      STR_ARG(text_of(path)));
        else if (put < 0)
            r = put;
    }
    map_release(&claims);
    return r < 0 ? out_of_memory(err) : 0;
}

/* --- doors ---------------------------------------------------------------------------------- */

/* Whether a provider answers on this machine. 1, 0 or -errno. */
static int provider_is_local(const struct lint_document *provider, struct err *err)
{
    if (strcmp(provider->schema->type, "LocalModelProfile") == 0)
        return 1;
    return strcmp(provider->schema->type, "ExternalModelProviderProfile") == 0
               ? url_is_loopback(text_of(at(provider->root, "/endpoint/baseUrlRef")), err)
               : 0;
}

int check_local_profile_reaches_hosted_provider(struct lint *lint, const struct rule *rule,
                                                const struct lint_document *document,
                                                struct err *err)
{
    const yyjson_val *kind = member(document->root, "profileKind");
    size_t index, count;
    yyjson_val *reference;
    if (!text_is(kind, "airgapped-local-only") && !text_is(kind, "local-model-provider"))
        return 0;
    yyjson_arr_foreach(at(document->root, "/agentPlane/modelProviderRefs"), index, count, reference)
    {
        const struct lint_document *provider = lint_resolve(lint, text_of(reference));
        int r = provider ? provider_is_local(provider, err) : 1;
        if (r < 0)
            return r;
        if (r == 0)
            lint_find(lint, rule, document,
                      pointer_to("/agentPlane/modelProviderRefs/%zu", index).text,
                      "%.*s is beyond this machine; name local models, or change profileKind",
                      STR_ARG(text_of(reference)));
    }
    return 0;
}

/* The row of a model host that a pattern of hosts lets through. 1, 0 or an error. */
static int find_model_host(struct str pattern, const struct model_host **ret, struct err *err)
{
    struct host_name name;
    const struct model_host *found = NULL;
    enum destination_form form = destination_form_take(&pattern);
    int r = host_name_read(pattern, &name, err);
    if (r <= 0)
        return r;
    if (form != DESTINATION_BELOW)
        found = model_host_find(&name);
    if (!found && form != DESTINATION_ITSELF)
        found = model_host_find_below(&name);
    if (found)
        *ret = found;
    return found != NULL;
}

int check_surface_lists_model_host(struct lint *lint, const struct rule *rule,
                                   const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(member(document->root, "hosts"), index, count, item)
    {
        const struct model_host *found = NULL;
        struct str host = text_of(member(item, "host"));
        int r = find_model_host(host, &found, err);
        if (r < 0)
            return r;
        if (r == 1)
            lint_find(lint, rule, document, pointer_to("/hosts/%zu/host", index).text,
                      "%.*s leads to models of %s; leave it out and set modelProtocol, so that "
                      "the tool goes through the Model Door",
                      STR_ARG(host), found->provider);
    }
    return 0;
}

/* --- names ---------------------------------------------------------------------------------- */

#define STATE_DIRECTORY  "urn:srcos:state-directory:"
#define HOST_ENVIRONMENT "urn:srcos:host-environment:"

static bool is_name_byte(char c, bool first)
{
    bool is_digit = c >= '0' && c <= '9';
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && is_digit);
}

/* Takes from a text all up to and with its next "${NAME}"; false where there is none. */
static bool next_variable(struct str *text, struct str *ret)
{
    for (size_t i = str_index(*text, '$', 0); i < text->len; i = str_index(*text, '$', i + 1)) {
        size_t start = i + strlen("${"), end = start;
        if (!str_starts(str_from_offset(*text, i), STR("${")))
            continue;
        while (end < text->len && is_name_byte(text->ptr[end], end == start))
            end++;
        if (end == start || end == text->len || text->ptr[end] != '}')
            continue;
        *ret = str_make(text->ptr + start, end - start);
        *text = str_from_offset(*text, end + 1);
        return true;
    }
    return false;
}

/* Reports the first variable of each string of a list that the environment does not have. */
static void check_variables(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, const char *list_pointer)
{
    const yyjson_val *environment = member(document->root, "environment");
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(at(document->root, list_pointer), index, count, item)
    {
        struct str rest = text_of(item), name;
        bool defined = true;
        while (defined && next_variable(&rest, &name))
            defined = array_has_member(environment, "name", name);
        if (!defined)
            lint_find(lint, rule, document, pointer_to("%s/%zu", list_pointer, index).text,
                      "environment has no %.*s; add it there, or name one that it has",
                      STR_ARG(name));
    }
}

int check_surface_name_undefined(struct lint *lint, const struct rule *rule,
                                 const struct lint_document *document, struct err *err)
{
    static const char *const expanded[] = { "/command", "/versionCommand",
                                            "/ownSandbox/arguments" };
    const yyjson_val *environment = member(document->root, "environment");
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach((yyjson_val *)environment, index, count, item)
    {
        struct str value = text_of(member(item, "valueRef"));
        if (str_starts(value, STR(STATE_DIRECTORY)) &&
            !array_has_member(member(document->root, "stateDirectories"), "name",
                              str_from_offset(value, strlen(STATE_DIRECTORY))))
            lint_find(lint, rule, document, pointer_to("/environment/%zu/valueRef", index).text,
                      "stateDirectories has no %.*s; add it there, or name one that it has",
                      STR_ARG(str_from_offset(value, strlen(STATE_DIRECTORY))));
    }
    for (size_t i = 0; i < ARRAY_LEN(expanded); i++)
        check_variables(lint, rule, document, expanded[i]);
    yyjson_arr_foreach(at(document->root, "/ownSandbox/environmentNames"), index, count, item)
    {
        if (!array_has_member(environment, "name", text_of(item)))
            lint_find(lint, rule, document,
                      pointer_to("/ownSandbox/environmentNames/%zu", index).text,
                      "environment has no %.*s; set it there, so that the tool's own sandbox is "
                      "off",
                      STR_ARG(text_of(item)));
    }
    return 0;
}

int check_name_given_twice(struct lint *lint, const struct rule *rule,
                           const struct lint_document *document, struct err *err)
{
    static const struct {
        const char *list, *name;
    } lists[] = {
        { "/environment", "name" },
        { "/stateDirectories", "name" },
        { "/stateDirectories", "agentPath" },
        { "/capabilities", "capability" },
        { "/safeArguments", "argument" },
        { "/isolation/limits", "limit" },
        { "/mounts", "agentPath" },
        { "/policy/layers", "layer" },
        { "/probes", "probe" },
    };
    size_t mount_count = yyjson_arr_size(member(document->root, "mounts"));
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
        r = find_repeated(lint, rule, document, lists[i].list, lists[i].name, err);
    for (size_t i = 0; r == 0 && i < mount_count; i++)
        r = find_repeated(lint, rule, document, pointer_to("/mounts/%zu/maskedCounts", i).text,
                          "kind", err);
    return r;
}

/* Words of a variable's name, an underscore on either side, that speak of a secret or a socket. */
static const char *const secret_words[] = {
    "_TOKEN_",          "_SECRET_",
    "_SECRETS_",        "_PASSWORD_",
    "_PASSWD_",         "_PASSPHRASE_",
    "_CREDENTIAL_",     "_CREDENTIALS_",
    "_APIKEY_",         "_PAT_",
    "_COOKIE_",         "_API_KEY_",
    "_ACCESS_KEY_",     "_PRIVATE_KEY_",
    "_SECRET_KEY_",     "_AUTH_KEY_",
    "_SIGNING_KEY_",    "_ENCRYPTION_KEY_",
    "_SSH_AUTH_SOCK_",  "_SSH_AGENT_PID_",
    "_GPG_AGENT_INFO_", "_DBUS_SESSION_BUS_ADDRESS_",
    "_DOCKER_HOST_",    "_DBUS_SYSTEM_BUS_ADDRESS_",
    "_CONTAINER_HOST_", "_KRB5CCNAME_",
    "_XAUTHORITY_",     "_KUBECONFIG_",
    "_NETRC_",
};

bool variable_speaks_of_secret(struct str name)
{
    char words[512 + 3]; /* the schema bounds names, and references to them, to 512 */
    size_t len = 0;
    words[len++] = '_';
    for (size_t i = 0; i < name.len && len < sizeof(words) - 2; i++) {
        char c = name.ptr[i];
        words[len++] = (char)(c >= 'a' && c <= 'z' ? c & ~0x20 : c);
    }
    words[len++] = '_';
    words[len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(secret_words); i++) {
        if (strstr(words, secret_words[i]))
            return true;
    }
    return false;
}

int check_environment_carries_secret(struct lint *lint, const struct rule *rule,
                                     const struct lint_document *document, struct err *err)
{
    static const char advice[] =
        "a client that wants a key is given urn:srcos:model-door:placeholder-key, and the door "
        "adds the real one, which the provider's profile names by reference";
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach(member(document->root, "environment"), index, count, item)
    {
        struct str name = text_of(member(item, "name")), value = text_of(member(item, "value"));
        struct str source = text_of(member(item, "valueRef"));
        bool is_secret = variable_speaks_of_secret(name);
        if (str_starts(source, STR(HOST_ENVIRONMENT)) &&
            (is_secret || variable_speaks_of_secret(str_from_offset(source, strlen(HOST_ENVIRONMENT)))))
            lint_find(lint, rule, document, pointer_to("/environment/%zu/valueRef", index).text,
                      "%.*s would hand a secret or a socket of the host to the tool; %s",
                      STR_ARG(name), advice);
        if (is_secret && value.len)
            lint_find(lint, rule, document, pointer_to("/environment/%zu/value", index).text,
                      "%.*s holds a secret, by its name; %s", STR_ARG(name), advice);
    }
    return 0;
}

/* --- fingerprints --------------------------------------------------------------------------- */

/* Isolation tiers from the weakest on; one beyond the last for a text that names none. */
static size_t tier_rank(const yyjson_val *tier)
{
    static const char *const tiers[] = { "process", "namespaces", "container", "vm" };
    size_t rank = 0;
    while (rank < ARRAY_LEN(tiers) && !text_is(tier, tiers[rank]))
        rank++;
    return rank;
}

int check_fingerprint_below_profile(struct lint *lint, const struct rule *rule,
                                    const struct lint_document *document, struct err *err)
{
    const yyjson_val *profile =
        lint_resolve_as(lint, member(document->root, "profileRef"), "AgentMachineProfile");
    const yyjson_val *wanted = at(profile, "/hostPlane/minimumIsolationTier");
    (void)err;
    if (wanted && tier_rank(at(document->root, "/isolation/minimumTier")) < tier_rank(wanted))
        lint_find(lint, rule, document, "/isolation/minimumTier",
                  "the profile asks for %.*s at least; what was launched under less is not "
                  "covered by it",
                  STR_ARG(text_of(wanted)));
    return 0;
}

/* Reports where a fingerprint and an execution differ. */
static void compare_execution(struct lint *lint, const struct rule *rule,
                              const struct lint_document *document,
                              const struct lint_document *execution)
{
    static const struct {
        const char *here, *there;
    } same[] = {
        { "/isolation/tier", "isolationTier" }, { "/planDigest", "planDigest" },
        { "/policy/digest", "policyDigest" },   { "/profileRef", "profileRef" },
        { "/operationRef", "operationRef" },    { "/taskRef", "taskRef" },
    };
    const yyjson_val *reason = at(execution->root, "/exit/reason");
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct str there = text_of(member(execution->root, same[i].there));
        if (!str_equal(text_of(at(document->root, same[i].here)), there))
            lint_find(lint, rule, document, same[i].here,
                      "%s, which names this fingerprint, has %.*s in %s; one of the two was "
                      "altered or is not of this run",
                      execution->name, STR_ARG(there), same[i].there);
    }
    if (text_is(at(document->root, "/launch/outcome"), "stopped") && !text_is(reason, "refused"))
        lint_find(lint, rule, document, "/launch/outcome",
                  "the launch was stopped, and yet %s ended with the reason %.*s; one of the two "
                  "was altered or is not of this run",
                  execution->name, STR_ARG(text_of(reason)));
}

int check_fingerprint_contradicts_execution(struct lint *lint, const struct rule *rule,
                                            const struct lint_document *document, struct err *err)
{
    const struct embedded_schema *execution = catalogue_find(STR("LocalAgentExecution"));
    (void)err;
    for (size_t i = 0; i < lint_document_count(lint); i++) {
        const struct lint_document *other = lint_document_at(lint, i);
        if (other->schema == execution &&
            str_equal(text_of(member(other->root, "fingerprintRef")), document->id))
            compare_execution(lint, rule, document, other);
    }
    return 0;
}
