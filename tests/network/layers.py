"""What every kind of layer lets a run reach: cases, each a run that tries some hosts.

    layers.py PROGRAM SERVERS CONFIG

SERVERS is the folder of servers.py, CONFIG the folder of the user's configuration. Prints a line for
each case: `ok NAME`, or `wrong NAME: what was expected, and what came of it`. Cases with layers of
the system's run in a view of /etc of their own, which takes root; for others they are left out, and
said so.
"""
import json
import os
import shutil
import subprocess
import sys

program, servers, config = sys.argv[1:]
ports = dict(line.split("=") for line in open(os.path.join(servers, "ports")).read().split())
HTTP = ports["http"]
user_layer = os.path.join(config, "agent-machine", "user")
LOOPBACK = ["127.0.0.1/32"]

PROBE = f"""
import socket, sys
for host in sys.argv[1:]:
    try:
        with socket.create_connection((host, {HTTP}), 20) as sock:
            sock.settimeout(20)
            sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            got = b""
            while data := sock.recv(1000):
                got += data
            print(host, "reached" if b"the page" in got else "lost")
    except OSError:
        print(host, "denied")
"""

VIEW = """mount -t tmpfs -o mode=755 none /etc && mkdir -p /etc/agent-machine && cp -r "$1"/. \
/etc/agent-machine/ && chmod -R go-w /etc/agent-machine && shift && exec "$@" """


def entry(kind, egress, allow=(), deny=(), ranges=LOOPBACK, **more):
    return {"profileId": "entry", "profileClass": kind, "priority": 10, "defaultEgress": egress,
            "allowDomains": list(allow), "denyDomains": list(deny), "allowCidrs": list(ranges),
            "denyCidrs": [], **more}


def network(name, scope, *entries, default="deny"):
    for number, one in enumerate(entries):
        one["profileId"] = f"{name}-{number}"
    return {"id": f"urn:srcos:network-access-profile:{name}", "type": "NetworkAccessProfile",
            "specVersion": "1.0.0", "name": name, "scope": scope, "defaultDecision": default,
            "profiles": list(entries), "evidence": {"emitNetworkDecision": True}}


def firewall(name, mode, *rules, conflict=None):
    document = {"id": f"urn:srcos:firewall-binding-profile:{name}", "type": "FirewallBindingProfile",
                "specVersion": "1.0.0", "name": name, "bindingClass": "linux-nftables",
                "mode": mode, "evidence": {},
                "rules": [{"ruleId": f"{name}-{number}", "direction": "egress", "subject": "*",
                           "decision": decision, "destination": destination}
                          for number, (decision, destination) in enumerate(rules)]}
    if conflict:
        document["conflictPolicy"] = conflict
    return document


def mesh(name, mode, allowed=(), denied=()):
    return {"id": f"urn:srcos:mesh-binding-profile:{name}", "type": "MeshBindingProfile",
            "specVersion": "1.0.0", "name": name, "meshClass": "none", "scope": "workspace",
            "traffic": {"egressMode": mode, "allowedHosts": list(allowed),
                        "deniedHosts": list(denied)},
            "identity": {}, "evidence": {}}


USER = network("mine", "user", entry("user-firewall", "allow-listed", ["free.test", "both.test"]))
LOCAL = firewall("loopback", "enforce", ("allow", "127.0.0.1/32"))
ANY = network("company", "enterprise", entry("corporate-firewall", "allow-any"))


def corporation(name, host, proxy, deny=()):
    """Its proxy answers for what it lists, and says nothing of what others do."""
    return network(name, "enterprise",
                   entry("proxy", "allow-listed", [host], deny, proxyRef=f"urn:srcos:proxy:{proxy}"),
                   default="allow-with-policy")


# A document of the user's with the id of the profile's own network profile takes its place.
# name, profile kind, documents by layer, what comes of each host; options of run
CASES = [
    ("personal: what is listed, and nothing else", "personal", {"user": [USER]},
     {"free.test": "reached", "other.test": "denied"}),
    ("airgapped: nothing, but a local server that policy names", "airgapped-local-only",
     {"user": [network("local", "user", entry("user-firewall", "allow-listed", ["local.test"]))]},
     {"local.test": "reached", "other.test": "denied", "github.com": "denied"}),
    ("corporate: an enterprise deny stands against the user's allow", "corporate-firewall",
     {"enterprise": [network("company", "enterprise",
                             entry("corporate-firewall", "allow-any", deny=["both.test"]))],
      "user": [USER]},
     {"both.test": "denied", "free.test": "reached"}),
    ("corporate: a user is stricter than the enterprise", "corporate-firewall",
     {"enterprise": [ANY],
      "user": [network("corporate-firewall", "user",
                       entry("user-firewall", "allow-any", deny=["both.test"]))]},
     {"both.test": "denied", "free.test": "reached"}),
    ("corporate: a user's list holds where the enterprise allows all", "corporate-firewall",
     {"enterprise": [ANY], "user": [USER]}, {"other.test": "denied", "free.test": "reached"}),
    ("an allow-list that restates its default", "personal",
     {"user": [network("mine", "user",
                       entry("user-firewall", "allow-listed", ["free.test"], ["*"]))]},
     {"free.test": "reached", "other.test": "denied"}),
    ("two corporations, with a proxy and a denial each", "multi-corporate-firewall",
     {"enterprise": [corporation("one", "a.corp.test", "one", ["bad.test"]),
                     corporation("two", "b.corp.test", "two", ["worse.test"])],
      "user": [network("multi-corporate-firewall", "user", entry("user-firewall", "allow-any"))]},
     {"a.corp.test": "reached", "b.corp.test": "reached", "bad.test": "denied",
      "worse.test": "denied"}),
    ("models of this machine: no hosted provider by any rule", "local-model-provider",
     {"user": [network("local-model-provider", "user", entry("user-firewall", "allow-any"))]},
     {"api.openai.com": "denied", "api.anthropic.com": "denied", "free.test": "reached"}),
    ("models of a provider: its hosts are the Model Door's", "hosted-model-provider",
     {"user": [network("mine", "user",
                       entry("user-firewall", "allow-listed", ["api.openai.com", "free.test"]))]},
     {"api.openai.com": "denied", "free.test": "reached"}),
    ("a model that the user runs: nothing beside the list", "user-owned-model", {"user": [USER]},
     {"free.test": "reached", "other.test": "denied"}),
]
for egress, listed, other in (("deny", "reached", "denied"), ("allow-listed", "reached", "denied"),
                              ("allow-with-prompt", "reached", "denied"),
                              ("allow-any", "reached", "reached")):
    CASES.append((f"defaultEgress {egress}", "personal",
                  {"user": [network("personal", "user",
                                    entry("user-firewall", egress, ["free.test"]))]},
                  {"free.test": listed, "other.test": other}))
for mode, outcome in (("enforce", "denied"), ("observe", "reached"), ("plan", "reached"),
                      ("import-only", "reached")):
    CASES.append((f"firewall mode {mode}", "personal",
                  {"user": [USER, firewall("deny", mode, ("deny", "both.test"))]},
                  {"both.test": outcome, "free.test": "reached"}))
CASES.append(("a firewall's log-only allows", "personal",
              {"user": [LOCAL, firewall("log", "enforce", ("log-only", "other.test"))]},
              {"other.test": "reached"}))
for egress, allowed, other in (("direct-allowlist", "reached", "denied"), ("deny", "denied", "denied")):
    CASES.append((f"mesh egress {egress}", "personal",
                  {"user": [LOCAL, mesh("mesh", egress, ["free.test"] if egress != "deny" else [],
                                        ["both.test"])]},
                  {"free.test": allowed, "both.test": "denied", "other.test": other}))
for conflict, device_denies, enterprise_denies in (
        ("most-restrictive-wins", "denied", "denied"), ("enterprise-wins", "denied", "denied"),
        ("user-wins", "reached", "denied"), ("deny-on-conflict", "denied", "denied")):
    CASES.append((f"conflictPolicy {conflict}", "personal",
                  {"enterprise": [firewall("rules", "enforce", ("deny", "both.test"),
                                           conflict=conflict)],
                   "device": [firewall("device", "enforce", ("deny", "free.test"))],
                   "user": [USER]},
                  {"free.test": device_denies, "both.test": enterprise_denies}))
CASES.append(("an enterprise document that cannot be read denies everything", "personal",
              {"enterprise": ["{ this is no JSON"], "user": [USER]}, None))


def put(folder, documents):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for number, document in enumerate(documents):
        with open(os.path.join(folder, f"{number}.json"), "w", encoding="utf-8") as file:
            file.write(document if isinstance(document, str) else json.dumps(document))


REFERENCES = {
    "names": {"*.test": "127.0.0.1", "github.com": "127.0.0.1", "api.openai.com": "127.0.0.1",
              "api.anthropic.com": "127.0.0.1"},
    "proxies": {f"urn:srcos:proxy:{name}": {"url": f"http://127.0.0.1:{ports['proxy']}"}
                for name in ("one", "two")},
}


def run_case(profile, layers, hosts):
    system = os.path.join(servers, "system")
    put(user_layer, layers.get("user", []))
    with open(os.path.join(user_layer, "references.json"), "w", encoding="utf-8") as file:
        json.dump(REFERENCES, file)
    shutil.rmtree(system, ignore_errors=True)
    command = [program, "run", "--discard", "--profile", profile, "--", "python3", "-c", PROBE,
               *hosts]
    if "enterprise" in layers or "device" in layers:
        for layer in ("enterprise", "device"):
            put(os.path.join(system, layer), layers.get(layer, []))
        command = ["unshare", "--mount", "sh", "-c", VIEW, "sh", system, *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


subprocess.run([program, "init"], capture_output=True, check=True)
for kind in dict.fromkeys(case[1] for case in CASES):
    subprocess.run([program, "profile", "create", "--kind", kind, "--name", kind],
                   capture_output=True, check=kind != "personal")
for name, profile, layers, hosts in CASES:
    if os.getuid() and ("enterprise" in layers or "device" in layers):
        print("left out", name)
        continue
    done = run_case(profile, layers, hosts or ["free.test"])
    outcome = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    if hosts is None:
        right = done.returncode == 125 and "denied" in done.stderr
    else:
        right = outcome == hosts
    print("ok" if right else "wrong", name if right else
          f"{name}: expected {hosts}, got {outcome}; {done.stderr.strip()[-600:]}".replace("\n", " "))
