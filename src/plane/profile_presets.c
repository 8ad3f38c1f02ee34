/*
 * profile_presets: seven kinds of profile and the hosts that most work needs.
 *
 * A profile is written from its row, its URN and nothing else, so that the
 * digest in a command and the document that its effect stores cannot differ.
 * What a person adds later is the person's; these begin with little.
 */
#include "plane/profile_presets.h"

#include "base/json.h"
#include "plane/work.h"

#define HOME          "[\"~\"]"
#define SOURCES       "[\"~/src\"]"
#define NO_MODELS     "[]"
#define LOCAL_MODELS  "[\"urn:srcos:model-profile:llama32-1b\"]"
#define HOSTED_MODELS "[\"urn:srcos:external-model-provider-profile:byom-openai-compatible\"]"
#define OWN_MODELS    "[\"urn:srcos:external-model-provider-profile:user-owned-ollama\"]"

const struct profile_kind profile_kinds[PROFILE_KIND_COUNT] = {
    {
        .name = "personal",
        .summary = "one's own computer",
        .description = "A computer of one's own: the repository is staged, and a model is "
                       "reachable once its user names one.",
        .paths = HOME,
        .providers = NO_MODELS,
        .prompt_egress = "ask",
        .model_download = "ask",
    },
    {
        .name = "corporate-firewall",
        .summary = "behind a company's firewall",
        .description = "A computer behind a company's firewall, whose layer decides before the "
                       "user's own list does.",
        .paths = SOURCES,
        .providers = HOSTED_MODELS,
        .prompt_egress = "allow-with-policy",
        .model_download = "deny",
    },
    {
        .name = "multi-corporate-firewall",
        .summary = "between several companies",
        .description = "Work for several companies on one computer: each firewall is asked, and "
                       "prompts stay.",
        .paths = SOURCES,
        .providers = LOCAL_MODELS,
        .prompt_egress = "deny",
        .model_download = "deny",
    },
    {
        .name = "local-model-provider",
        .summary = "models of this machine only",
        .description = "Agents work with models that run on this machine, and with no others.",
        .paths = SOURCES,
        .providers = LOCAL_MODELS,
        .prompt_egress = "deny",
        .model_download = "ask",
    },
    {
        .name = "hosted-model-provider",
        .summary = "models of a provider",
        .description = "Agents work with the models of a provider; the layers decide which "
                       "prompts go there.",
        .paths = SOURCES,
        .providers = HOSTED_MODELS,
        .prompt_egress = "allow-with-policy",
        .model_download = "deny",
    },
    {
        .name = "airgapped-local-only",
        .summary = "nothing leaves the machine",
        .description = "Nothing leaves this machine; a local model answers all the same.",
        .paths = SOURCES,
        .providers = LOCAL_MODELS,
        .prompt_egress = "deny",
        .model_download = "deny",
        .offline = true,
    },
    {
        .name = "user-owned-model",
        .summary = "a model that the user runs",
        .description = "Agents work with a model that the user runs, here or elsewhere.",
        .paths = SOURCES,
        .providers = OWN_MODELS,
        .prompt_egress = "ask",
        .model_download = "ask",
    },
};

const struct profile_preset profile_presets[PROFILE_PRESET_COUNT] = {
    { "git-forges",
      "Git forges, and where they keep large files and archives.",
      { "github.com", "codeload.github.com", "objects.githubusercontent.com",
        "raw.githubusercontent.com", "gitlab.com", "codeberg.org", "bitbucket.org", "git.sr.ht" } },
    { "npm", "Packages for Node.", { "registry.npmjs.org", "registry.yarnpkg.com" } },
    { "pip", "Packages for Python.", { "pypi.org", "files.pythonhosted.org" } },
    { "apt",
      "Packages of Debian and Ubuntu.",
      { "deb.debian.org", "security.debian.org", "archive.ubuntu.com", "security.ubuntu.com",
        "ports.ubuntu.com" } },
};

const struct profile_kind *profile_kind_find(struct str name)
{
    for (size_t i = 0; i < PROFILE_KIND_COUNT; i++)
        if (str_equal(name, str_from(profile_kinds[i].name)))
            return &profile_kinds[i];
    return NULL;
}

int profile_preset_find(struct str name)
{
    for (int i = 0; i < PROFILE_PRESET_COUNT; i++)
        if (str_equal(name, str_from(profile_presets[i].name)))
            return i;
    return -1;
}

void profile_network_urn(struct str urn, char ret[PLANE_URN_MAX])
{
    urn_make("network-access-profile", urn_local(urn), ret);
}

void profile_write(struct buf *ret, const struct profile_kind *kind, struct str urn)
{
    char network[PLANE_URN_MAX];
    profile_network_urn(urn, network);
    buf_add_text(ret, "{\"id\":");
    json_add_string(ret, urn);
    buf_add_text(ret, ",\"type\":\"AgentMachineProfile\",\"specVersion\":\"1.0.0\",\"name\":");
    json_add_string(ret, urn_local(urn));
    buf_addf(ret, ",\"description\":\"%s\",\"profileKind\":\"%s\"", kind->description, kind->name);
    buf_add_text(ret, ",\"hostPlane\":{\"adapter\":\"linux-native\",\"minimumIsolationTier\":"
                      "\"namespaces\"},\"machinePlane\":{\"provider\":\"none\"},"
                      "\"containerPlane\":{\"runtime\":\"none\",\"rootFilesystem\":{\"kind\":"
                      "\"host-view\"},\"userMapping\":\"keep-id\",\"seccompProfile\":\"default\","
                      "\"capabilities\":[],\"limits\":{\"processes\":4096,\"openFiles\":65536,"
                      "\"outputBytes\":67108864}}");
    buf_addf(ret,
             ",\"worktreePlane\":{\"defaultDecision\":\"deny\",\"allowedPaths\":%s,"
             "\"mountRefs\":[],\"repository\":{\"semantics\":\"staged\","
             "\"secretsProhibited\":true}}",
             kind->paths);
    buf_addf(ret,
             ",\"userPlane\":{\"delegation\":{\"source\":\"per-run\"},\"consent\":{"
             "\"promptEgress\":\"%s\",\"trainingUse\":\"deny\",\"crossDeviceHandoff\":\"deny\","
             "\"modelDownload\":\"%s\"},\"secrets\":{\"hostSecretsMounted\":false,"
             "\"referencesOnly\":true,\"secretRefs\":[]}}",
             kind->prompt_egress, kind->model_download);
    buf_addf(ret,
             ",\"agentPlane\":{\"toolSurfaceRefs\":[\"urn:srcos:agent-tool-surface:codex\","
             "\"urn:srcos:agent-tool-surface:claude-code\","
             "\"urn:srcos:agent-tool-surface:openclaw\","
             "\"urn:srcos:agent-tool-surface:local-shell\"],\"modelProviderRefs\":%s",
             kind->providers);
    buf_add_text(ret, ",\"networkAccessProfileRef\":");
    json_add_string(ret, str_from(network));
    buf_addf(ret,
             ",\"budget\":{\"modelCalls\":500,\"tokens\":2000000,\"connectorCalls\":%d,"
             "\"cpuSeconds\":14400,\"gpuSeconds\":0,\"localDiskBytes\":10737418240,"
             "\"sandboxMemoryBytes\":8589934592,\"wallClockSeconds\":28800,"
             "\"agentConcurrency\":4}},\"evidence\":{\"emitLaunchFingerprint\":true,"
             "\"emitRunReceipt\":true,\"promptHashOnly\":true,\"retainOutput\":true}}",
             kind->offline ? 0 : 200);
}

static void add_entry(struct buf *ret, const struct profile_preset *preset)
{
    buf_addf(ret,
             "{\"profileId\":\"%s\",\"profileClass\":\"user-firewall\",\"priority\":50,"
             "\"defaultEgress\":\"allow-listed\",\"allowDomains\":[",
             preset->name);
    for (size_t i = 0; i < PROFILE_HOSTS_MAX && preset->hosts[i]; i++)
        buf_addf(ret, "%s\"%s\"", i ? "," : "", preset->hosts[i]);
    buf_addf(ret, "],\"denyDomains\":[],\"allowCidrs\":[],\"denyCidrs\":[],\"notes\":\"%s\"}",
             preset->description);
}

void profile_write_network(struct buf *ret, const struct profile_kind *kind, struct str urn,
                           unsigned presets)
{
    char network[PLANE_URN_MAX];
    bool none = kind->offline || !(presets & PROFILE_PRESETS_ALL);
    const char *separator = "";
    profile_network_urn(urn, network);
    buf_add_text(ret, "{\"id\":");
    json_add_string(ret, str_from(network));
    buf_add_text(ret, ",\"type\":\"NetworkAccessProfile\",\"specVersion\":\"1.0.0\",\"name\":");
    json_add_string(ret, urn_local(urn));
    buf_add_text(ret, ",\"scope\":\"user\",\"defaultDecision\":\"deny\",\"profiles\":[");
    if (none)
        buf_add_text(ret, "{\"profileId\":\"nothing-leaves\",\"profileClass\":\"offline\","
                          "\"priority\":0,\"defaultEgress\":\"deny\",\"allowDomains\":[],"
                          "\"denyDomains\":[\"*\"],\"allowCidrs\":[],\"denyCidrs\":["
                          "\"0.0.0.0/0\",\"::/0\"]}");
    for (unsigned i = 0; i < PROFILE_PRESET_COUNT && !none; i++) {
        if (!(presets & (1u << i)))
            continue;
        buf_add_text(ret, separator);
        add_entry(ret, &profile_presets[i]);
        separator = ",";
    }
    buf_add_text(ret,
                 "],\"evidence\":{\"emitNetworkDecision\":true,\"redactDestinationPath\":true}}");
}
