#!/usr/bin/env python3
"""What a connection through the Network Door costs, beside other relays and a direct connection.

Client and server are network_bench's; a request and an answer are 64 bytes. Bulk: bytes that one
connection brings. New connections: made, used once and closed by the server; and the same for a
minute. Requests: on 32 connections that stay. Latency: one request at a time, and what is added to
a direct one. Memory: what the relay's processes hold of it (PSS) per thousand connections that are
idle; what the kernel holds is not in it.

Ours is a governed run, with a rule and a name for the server; its client knows of no proxy. HAProxy
relays TCP, tinyproxy and srt are asked by CONNECT; srt's client is inside of its sandbox. They take
turns in rounds, and a ratio is the median of ratios within a round.

Goals are printed beside the figures; they are meant for a machine that does nothing else.
"""

import json
import os
import shutil
import statistics
import subprocess

from relays import Contestant, free_port, held_kib, in_a_folder, started, take_rounds
from run_peers import PROGRAM, ROOT, SRT

ROUNDS = 5
SECONDS = 2
MINUTE = 60
CLIENTS = 32
CONNECTING = 16
IDLE = 1000

BENCH = ROOT / "build" / "network_bench"
NAME = "bench.test"
DIRECT, OURS, HAPROXY, TINYPROXY = "direct", "agent-machine", "HAProxy", "tinyproxy"

LAYER = {
    "id": "urn:srcos:network-access-profile:bench", "type": "NetworkAccessProfile",
    "specVersion": "1.0.0", "name": "bench", "scope": "user", "defaultDecision": "deny",
    "profiles": [{"profileId": "servers", "profileClass": "user-firewall", "priority": 10,
                  "defaultEgress": "allow-listed", "allowDomains": [NAME], "denyDomains": [],
                  "allowCidrs": ["127.0.0.1/32"], "denyCidrs": []}],
    "evidence": {"emitNetworkDecision": True}}
HAPROXY_TEXT = """global
  maxconn 8000
defaults
  mode tcp
  timeout connect 10s
  timeout client 300s
  timeout server 300s
listen bench
  bind 127.0.0.1:{port}
  server bench 127.0.0.1:{server}
"""
TINYPROXY_TEXT = """Port {port}
Listen 127.0.0.1
Timeout 300
MaxClients 4000
LogLevel Critical
ConnectPort {server}
"""
SRT_SETTINGS = {"network": {"allowedDomains": ["localhost"], "deniedDomains": []},
                "filesystem": {"denyRead": [], "allowWrite": ["."], "denyWrite": []}}
# What srt gives its programs in the environment, as network_bench wants it.
SRT_CLIENT = ('export PROXY_AUTHORIZATION="Basic $(printf %s "$CLOUDSDK_PROXY_USERNAME:'
              '$CLOUDSDK_PROXY_PASSWORD" | base64 -w0)"; exec ./network_bench {words}')


def relay_kib(contestant, client):
    """PSS of the relay's processes; of a sandbox, of all but the client in it."""
    return held_kib(contestant.relay.pid if contestant.relay else client.pid, but="network_bench")


def idle_kib(contestant):
    """What IDLE connections add to what one alone takes."""
    held = []
    for count in (1, IDLE + 1):
        client = contestant.start("hold", count, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        try:
            if not client.stdout.readline():
                raise RuntimeError("not that many connections")
            held.append(relay_kib(contestant, client))
        finally:
            client.communicate()
    return (held[1] - held[0]) * 1000 / IDLE


# ---- contestants --------------------------------------------------------------------------------

def ours(folder, server):
    home, project = folder / "home", folder / "home/src/project"
    layer = home / ".config/agent-machine/user"
    for place in (project, layer):
        place.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", project], check=True)
    shutil.copy(BENCH, project)
    (layer / "bench.json").write_text(json.dumps(LAYER))
    (layer / "references.yaml").write_text(f"names:\n  {NAME}: 127.0.0.1\n")
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    return Contestant(
        OURS, lambda verb, *numbers: [PROGRAM, "run", "--", "./network_bench", verb, NAME, server,
                                      *numbers],
        options={"cwd": project, "env": environment})


def srt(folder, server):
    settings = folder / "srt.json"
    settings.write_text(json.dumps(SRT_SETTINGS))
    work = folder / "srt"
    work.mkdir()
    shutil.copy(BENCH, work)

    def command_of(verb, *numbers):
        words = " ".join(str(word) for word in (verb, "localhost", server, "localhost", 3128,
                                                *numbers))
        return [SRT, "--settings", settings, "-c", SRT_CLIENT.format(words=words)]
    return Contestant("srt", command_of, options={"cwd": work})


def contestants(folder, server, stack, left_out):
    to = ("127.0.0.1", server)
    found = [Contestant(DIRECT, lambda verb, *numbers: [BENCH, verb, *to, *numbers]),
             ours(folder, server)]
    for name, text, options in ((HAPROXY, HAPROXY_TEXT, ["-db", "-f"]),
                                (TINYPROXY, TINYPROXY_TEXT, ["-d", "-c"])):
        program, port = shutil.which(name.lower(), path=os.environ["PATH"] + ":/usr/sbin"), free_port()
        if not program:
            left_out[name] = "it is not installed"
            continue
        configuration = folder / name
        configuration.write_text(text.format(port=port, server=server))
        try:
            relay = stack.enter_context(started([program, *options, configuration], port))
        except RuntimeError as error:
            left_out[name] = str(error)
            continue
        way = ("127.0.0.1", port) if name == HAPROXY else (*to, "127.0.0.1", port)
        found.append(Contestant(
            name, lambda verb, *numbers, way=way: [BENCH, verb, *way, *numbers], relay))
    if SRT.exists():
        found.append(srt(folder, server))
    else:
        left_out["srt"] = "it is not installed"
    return [one for one in found if able(one, left_out)]


def able(contestant, left_out):
    try:
        contestant.measure("ask", 1, 1)
    except (RuntimeError, OSError, ValueError) as error:
        left_out[contestant.name] = str(error)
        return False
    return True


# ---- measures -----------------------------------------------------------------------------------

def rate(result):
    return result.get("bytes", result.get("done")) / result["seconds"]


def ratio(results, name, other):
    return statistics.median(rate(ours) / rate(theirs)
                             for ours, theirs in zip(results[name], results[other]))


def print_rates(title, results, unit, scale, goal=None):
    print(f"\n{title}")
    for name, taken in results.items():
        middle = statistics.median(rate(one) for one in taken) / scale
        line = f"  {name:14} {middle:10.2f} {unit}"
        if HAPROXY in results:
            line += f"   {ratio(results, name, HAPROXY):6.2f} x HAProxy"
        if name == OURS and goal and HAPROXY in results:
            reached = ratio(results, name, HAPROXY) >= goal
            line += f"   goal {goal:g}: {'reached' if reached else 'missed'}"
        print(line)


def print_latency(results):
    print("\nLatency of a request, one at a time (microseconds)")
    direct = {quantile: statistics.median(one[quantile] for one in results[DIRECT])
              for quantile in ("p50_us", "p99_us")}
    for name, taken in results.items():
        middle = {quantile: statistics.median(one[quantile] for one in taken)
                  for quantile in direct}
        added = "" if name == DIRECT else "   added {:7.1f} {:8.1f}".format(
            *(middle[quantile] - direct[quantile] for quantile in direct))
        print(f"  {name:14} p50 {middle['p50_us']:7.1f}   p99 {middle['p99_us']:8.1f}{added}")


def print_memory(found, left_out):
    print(f"\nMemory of the relay per thousand idle connections (KiB, {IDLE} of them)")
    for one in found:
        if one.name == DIRECT:
            continue
        try:
            print(f"  {one.name:14} {idle_kib(one):10.0f}")
        except RuntimeError as error:
            left_out[f"{one.name} (memory)"] = str(error)


def measure_all(folder, stack):
    left_out = {}
    server = free_port()
    stack.enter_context(started([BENCH, "serve", server], server))
    found = contestants(folder, server, stack, left_out)
    print(f"{ROUNDS} rounds of {SECONDS} s each; load {os.getloadavg()[0]:.1f}")
    print_rates("Bulk", take_rounds(ROUNDS, found, left_out, "bulk", SECONDS), "GB/s", 1e9, 1.8)
    print_rates("New connections",
                take_rounds(ROUNDS, found, left_out, "connect", SECONDS, CONNECTING), "a second", 1, 1)
    print_rates("Requests on connections that stay",
                take_rounds(ROUNDS, found, left_out, "ask", SECONDS, CLIENTS), "a second", 1, 1)
    print_latency(take_rounds(ROUNDS, found, left_out, "ask", SECONDS, 1))
    steady = [one for one in found if one.name in (OURS, HAPROXY)]
    print_rates("New connections, for a minute",
                take_rounds(1, steady, left_out, "connect", MINUTE, CONNECTING),
                "a second", 1)
    print_memory(found, left_out)
    for name, why in sorted(left_out.items()):
        print(f"left out: {name}: {why[:100]}")


if __name__ == "__main__":
    in_a_folder(measure_all)
