/* doctor: what this host gives, and what would mend it. */
#include "cmd/doctor.h"
#include "base/buf.h"
#include "base/json.h"
#include "cmd/tell.h"
#include "cmd/verb.h"
#include "machine/linux/host.h"

#define LINE_WIDTH 80
#define NAME_WIDTH 18
#define INDENT     2

static const struct option_row host_options[] = {
    { "json", 'j', NULL, "print tiers and facts as a JSON object" },
};

static const enum colour state_colours[] = {
    [HOST_GOOD] = COLOUR_GOOD,
    [HOST_LIMITED] = COLOUR_WARN,
    [HOST_MISSING] = COLOUR_BAD,
};

/* The strongest tier that the host gives, or NULL. */
static const char *best_tier(const struct host_fact *facts)
{
    for (size_t i = TIER_COUNT; i-- > 0;)
        if (host_gives(facts, (enum tier)i).is_given)
            return tier_names[i];
    return NULL;
}

static void add_text_member(struct buf *json, const char *name, const char *text)
{
    if (!text)
        return;
    buf_addf(json, ",\"%s\":", name);
    json_add_string(json, str_from(text));
}

static int print_json(const struct host_fact *facts)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    const char *best = best_tier(facts);
    buf_add_text(&json, "{\"tier\":");
    best ? json_add_string(&json, str_from(best)) : buf_add_text(&json, "null");
    buf_add_text(&json, ",\"tiers\":[");
    for (size_t i = 0; i < TIER_COUNT; i++) {
        struct host_answer answer = host_gives(facts, (enum tier)i);
        buf_addf(&json, "%s{\"tier\":\"%s\",\"given\":%s", i ? "," : "", tier_names[i],
                 answer.is_given ? "true" : "false");
        add_text_member(&json, "reason", answer.reason);
        add_text_member(&json, "remedy", answer.remedy);
        buf_add_char(&json, '}');
    }
    buf_add_text(&json, "],\"facts\":[");
    for (size_t i = 0; i < HOST_FACT_COUNT; i++) {
        const struct host_fact *fact = &facts[i];
        buf_addf(&json, "%s{\"fact\":\"%s\",\"state\":\"%s\"", i ? "," : "", host_fact_names[i],
                 host_state_names[fact->state]);
        add_text_member(&json, "evidence", fact->evidence);
        add_text_member(&json, "meaning", host_meaning((enum host_fact_id)i, fact->state));
        add_text_member(&json, "remedy", fact->remedy);
        buf_add_char(&json, '}');
    }
    buf_add_text(&json, "]}\n");
    fwrite(json.data, 1, json.len, stdout);
    return json.error;
}

/* Prints text from a column on, broken at blanks so that lines keep within LINE_WIDTH. */
static void print_wrapped(const char *text, size_t column)
{
    size_t room = LINE_WIDTH - column;
    while (strlen(text) > room) {
        size_t cut = room;
        while (cut > 0 && text[cut] != ' ')
            cut--;
        if (cut == 0)
            cut = strcspn(text, " ");
        printf("%.*s\n%*s", (int)cut, text, (int)column, "");
        text += cut + (text[cut] == ' ');
    }
    puts(text);
}

static void print_tier(const struct host_fact *facts, enum tier tier)
{
    struct host_answer answer = host_gives(facts, tier);
    printf("%*s%-*s%s%s%s", INDENT, "", NAME_WIDTH, tier_names[tier],
           tell_colour(stdout, answer.is_given ? COLOUR_GOOD : COLOUR_BAD),
           answer.is_given ? "yes" : "no", tell_colour_end(stdout));
    if (answer.is_given) {
        putchar('\n');
        return;
    }
    printf(": ");
    print_wrapped(answer.reason, INDENT + NAME_WIDTH + 4);
    if (answer.remedy) {
        printf("%*sTry: ", INDENT + NAME_WIDTH, "");
        print_wrapped(answer.remedy, INDENT + NAME_WIDTH + 5);
    }
}

static void print_fact(const struct host_fact *facts, enum host_fact_id id)
{
    const struct host_fact *fact = &facts[id];
    printf("%*s%-*s%s%-9s%s", INDENT, "", NAME_WIDTH, host_fact_names[id],
           tell_colour(stdout, state_colours[fact->state]), host_state_names[fact->state],
           tell_colour_end(stdout));
    print_wrapped(fact->evidence, INDENT + NAME_WIDTH + 9);
    if (fact->state == HOST_GOOD)
        return;
    printf("%*s", INDENT + NAME_WIDTH, "");
    print_wrapped(host_meaning(id, fact->state), INDENT + NAME_WIDTH);
    if (fact->remedy) {
        printf("%*sTry: ", INDENT + NAME_WIDTH, "");
        print_wrapped(fact->remedy, INDENT + NAME_WIDTH + 5);
    }
}

static int run_host(const struct invocation *invocation)
{
    struct host_fact facts[HOST_FACT_COUNT];
    host_examine(facts);
    int status = host_gives(facts, TIER_NAMESPACES).is_given ? EXIT_OK : EXIT_NEGATIVE;
    if (invocation->values[0])
        return print_json(facts) < 0 ? EXIT_NEGATIVE : status;
    const char *best = best_tier(facts);
    printf("This host gives the isolation tier: %s\n\n", best ? best : "none");
    for (size_t i = 0; i < TIER_COUNT; i++)
        print_tier(facts, (enum tier)i);
    putchar('\n');
    for (size_t i = 0; i < HOST_FACT_COUNT; i++)
        print_fact(facts, (enum host_fact_id)i);
    return status;
}

static const struct verb doctor_verbs[] = {
    {
        .name = "host",
        .summary = "Say which isolation this host gives, and why no more",
        .description =
            "Tries, in processes that end at once, what a sandbox is made of: namespaces, mounts, "
            "an overlay, Landlock, the system call filter, netfilter, control groups. Prints each "
            "tier with the reason why it is not given, each fact with what was seen, and for what "
            "is missing the one command that would mend it. Nothing is changed. The exit status "
            "is 0 where the tier `namespaces` is given, and 1 where it is not.",
        .options = host_options,
        .option_count = ARRAY_LEN(host_options),
        .run = run_host,
    },
    {
        .name = "network",
        .summary = "Say what is true of the network, layer by layer",
        .description =
            "Looks at the device, its radio, what it has joined, whether it was let in, its lease, "
            "the routes, the name servers, a captive portal, the internet, the mesh, VPNs and "
            "trusted peers, each by itself, and says the state in one sentence, what to do, and "
            "for "
            "each layer what was seen. What could not be seen is said to be unknown.\n\n"
            "Nothing is sent but what the `probes` of a layer's references.yaml allow: names that "
            "are asked of each name server, pages that are empty where nobody holds traffic back, "
            "and hosts that are dialled. A host that a MeshBindingProfile carries is one of the "
            "mesh, and a trusted peer where that mesh wants proof of both ends. Without probes no "
            "packet leaves this machine.\n\n"
            "With --watch it goes on, and tells what changes; it waits for what the kernel tells "
            "of links, addresses, routes, rules, neighbours and radios, and for files, and looks "
            "at nothing by the clock. A file of --save has addresses, names of networks and what "
            "came of probes, and no keys. The exit status is 0 where nothing fails, else 1.",
        .options = doctor_network_options,
        .option_count = ARRAY_LEN(doctor_network_options),
        .run = run_doctor_network,
    },
    {
        .name = "preflight",
        .operands = "[CONTRACT...]",
        .operand_kind = OPERAND_FILE,
        .operands_max = CONTRACTS_MAX,
        .summary = "Hold capability contracts against what this host gives",
        .description =
            "Looks at every capability that a CapabilityContract declares and every broker that it "
            "requires, and says for each whether it is granted, denied, locked, missing or broken, "
            "by whom, what becomes of the component without it, and what would mend it. Contracts "
            "are files, or URNs of those in the layers' folders; without one, all of these.\n\n"
            "A capability may name its object behind a colon: files.read, files.write, "
            "files.execute and device.open a path; socket.connect a socket; network.connect a host "
            "and port; bus.session, bus.system and service.lookup a name; portal.use a portal; "
            "unit.active a unit; package.installed a package; capability.hold a capability of the "
            "kernel. Without an object: secret.use, keyring.kernel, pasteboard.read, "
            "pasteboard.write, notification.show, netlink.read, radio.read, gpu.render, "
            "camera.use, vm.run, userns.create, cgroup.delegate.\n\n"
            "Nothing is changed or started by looking. The exit status is 0 where everything is "
            "there, 1 where the component starts with less, 77 where its contract says that it "
            "does not start then, or the phase forbids it.",
        .options = doctor_preflight_options,
        .option_count = ARRAY_LEN(doctor_preflight_options),
        .run = run_doctor_preflight,
    },
    {
        .name = "phase",
        .operands = "[CONTRACT...]",
        .operand_kind = OPERAND_FILE,
        .operands_max = CONTRACTS_MAX,
        .summary = "Say how far boot and session have come, and who has to wait",
        .description =
            "Finds the phase (sealed-boot, pre-login, post-login-locked, unlocked-user-session, "
            "degraded-session, recovery-session) from the boot, systemd, the session manager, the "
            "session's keyring and marks of a repair, and prints what each of them said; what "
            "could not be seen is said too. Nothing is started or changed by it.\n\n"
            "Components whose CapabilityContract asks for a later phase are named as waiting: "
            "those of the contracts given, or of all that lie in the layers' folders.\n\n"
            "With --wait it prints nothing until the phase is reached; it waits for the signals "
            "of the buses and for files, and looks at nothing by the clock. The exit status is 0 "
            "where ordinary work can start, or the phase waited for is reached, else 1.",
        .options = doctor_phase_options,
        .option_count = ARRAY_LEN(doctor_phase_options),
        .run = run_doctor_phase,
    },
    {
        .name = "registry",
        .operands = "[COMPONENT]",
        .operands_max = 1,
        .summary = "Say whether what is installed is what its registries say",
        .description =
            "Holds every package against its receipt and every file of it against its digest; and "
            "looks at what programs register themselves by: desktop entries and MIME types, D-Bus "
            "services, units of systemd, portals, browser extensions, native-messaging hosts, "
            "npm's "
            "global packages, this program's own documents with what they refer to of models and "
            "services, and "
            "its tool surfaces, whose programs "
            "are held against what the last launch knew of them. A component is valid, degraded, "
            "missing, invalid or quarantined, each with what is wrong and the command that mends "
            "it; without an argument only those that are not valid are told.\n\n"
            "COMPONENT is a package's name, a reference (deb:NAME, npm:NAME, surface:NAME) or the "
            "path of a file; a surface whose program is not here is told only by its name. "
            "DPKG_ROOT and DPKG_ADMINDIR are obeyed. What only root may read is said to be "
            "unknown to others. The exit status is 0 where everything is valid, else 1.",
        .options = doctor_registry_options,
        .option_count = ARRAY_LEN(doctor_registry_options),
        .run = run_doctor_registry,
    },
    {
        .name = "run",
        .operands = "OPERATION",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Say what an operation was given and what it was refused",
        .description =
            "Prints, for each thing that a gate or a door decided about in this operation, the "
            "capability, the decision, who decided by which rule, how often it was met, and what "
            "would change it. The exit status is 0 where everything was granted, else 1.",
        .options = doctor_run_options,
        .option_count = ARRAY_LEN(doctor_run_options),
        .run = run_doctor_run,
    },
    {
        .name = "why",
        .operands = "QUESTION...",
        .operands_min = 1,
        .operands_max = 1000,
        .summary = "Say why something was denied, when, how often, and what to do",
        .description =
            "Takes an operation, a host, a path, a tool, a capability or a line of a log, and says "
            "in at most a screen what was asked, who decided by which rule, when first and how "
            "often, what came after it in the same run, what would be answered now, and what to "
            "do. Of several decisions the latest that refused is told. What the ledger does not "
            "have is asked about as it is now.",
        .options = doctor_why_options,
        .option_count = ARRAY_LEN(doctor_why_options),
        .run = run_doctor_why,
    },
};

const struct verb verb_doctor = {
    .name = "doctor",
    .summary = "Say what works here, what does not, and what would mend it",
    .description = "Looks at the host, its boot and session, and says what works, what does not, "
                   "and what would mend it.",
    .verbs = doctor_verbs,
    .verb_count = ARRAY_LEN(doctor_verbs),
};
