#!/usr/bin/env python3
"""What a call costs by the Model Door, beside proxies and a gateway in front of the same provider.

Provider and client are model_bench's: OpenAI's chat, answered at once. Latency: one call at a time, as
a whole, and what is added to a direct one. Calls: on 32 connections that stay. Streams: at once, again
and again, each of 200 events that the provider writes one by one; a figure are events of all of them.
Memory: what the processes hold (PSS), idle and with 512 streams that go on. Start: from its beginning
until it takes connections.

Ours is `model serve` with a key, a budget, its ledger and its record of each call; nginx and HAProxy
pass bytes on, without any of that; Portkey's gateway is asked for a provider of OpenAI's kind at an
address of one's own. They take turns in rounds, and what is added is the median of differences within
a round.

Goals are printed beside the figures; they are meant for a machine that does nothing else.
"""

import json
import os
import shutil
import statistics
import subprocess
import time

from relays import Contestant, free_port, held_kib, in_a_folder, started, take_rounds
from run_peers import PROGRAM, ROOT

ROUNDS = int(os.environ.get("AM_BENCH_ROUNDS", "5"))
SECONDS = 2
CLIENTS = 32
STREAMS = (1, 64, 512)
P50_GOAL_US, P99_GOAL_US = 100, 400

BENCH = ROOT / "build" / "model_bench"
PORTKEY = ROOT / "build/peers/node_modules/@portkey-ai/gateway/build/start-server.js"
DIRECT, OURS, NGINX, HAPROXY, GATEWAY = "direct", "agent-machine", "nginx", "HAProxy", "Portkey"

BUDGET = {"modelCalls": 1 << 40, "tokens": 1 << 50, "wallClockSeconds": 7200, "cpuSeconds": 7200}
LOCAL = ROOT / "examples" / "local-model-profile.llama32-1b.json"
NGINX_TEXT = """daemon off; worker_processes 2; error_log /dev/null; pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000;
  upstream provider {{ server 127.0.0.1:{server}; keepalive 600; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://provider;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""
HAPROXY_TEXT = """global
  maxconn 8000
defaults
  mode http
  timeout connect 10s
  timeout client 300s
  timeout server 300s
frontend bench
  bind 127.0.0.1:{port}
  default_backend provider
backend provider
  http-reuse always
  server provider 127.0.0.1:{server}
"""


# ---- contestants --------------------------------------------------------------------------------

class Server:
    """Who stands between: how it is started, and the headers by which it is asked."""

    def __init__(self, name, command, port, headers=(), environment=None):
        self.name, self.command, self.port = name, command, port
        self.headers, self.environment = headers, environment

    def contestant(self, process):
        return Contestant(self.name, lambda verb, *numbers: [
            BENCH, verb, "127.0.0.1", self.port, *numbers, *self.headers], process)


def ours(folder, server):
    home = folder / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

    def call(*words, **options):
        return subprocess.run([PROGRAM, *words], env=environment, cwd=home, check=True, text=True,
                              capture_output=True, **options).stdout
    call("init")
    profile = json.loads(call("profile", "show", "personal", "--json"))
    profile["agentPlane"]["budget"] |= BUDGET
    (folder / "profile.json").write_text(json.dumps(profile), encoding="utf8")
    call("profile", "edit", "personal", "--from", folder / "profile.json")
    local = json.loads(LOCAL.read_text(encoding="utf8"))
    local["runtime"] |= {"kind": "openai-compatible", "endpoint": f"http://127.0.0.1:{server}/v1"}
    (folder / "local.json").write_text(json.dumps(local), encoding="utf8")
    call("model", "bind", folder / "local.json", "--model", "bench")
    token, port = folder / "token", free_port()
    token.write_text("am-of-the-bench-0123456789\n", encoding="utf8")
    token.chmod(0o600)
    return Server(OURS, [PROGRAM, "model", "serve", "--port", port, "--token-file", token], port,
                  [f"Authorization: Bearer {token.read_text(encoding='utf8').strip()}"], environment)


def peers(folder, server, left_out):
    path = os.environ["PATH"] + ":/usr/sbin"
    for name, text, options in ((NGINX, NGINX_TEXT, ["-c"]), (HAPROXY, HAPROXY_TEXT, ["-db", "-f"])):
        program, port = shutil.which(name.lower(), path=path), free_port()
        if not program:
            left_out[name] = "it is not installed"
            continue
        configuration = folder / name
        configuration.write_text(text.format(port=port, server=server, folder=folder),
                                 encoding="utf8")
        yield Server(name, [program, *options, configuration], port)
    if PORTKEY.exists():
        port = free_port()
        yield Server(GATEWAY, ["node", PORTKEY, f"--port={port}", "--headless"], port,
                     ["x-portkey-provider: openai", "Authorization: Bearer none",
                      f"x-portkey-custom-host: http://127.0.0.1:{server}/v1"])
    else:
        left_out[GATEWAY] = "it is not installed"


def begin(servers, stack, left_out, starts):
    """Those that serve, as contestants."""
    for server in servers:
        options = {"env": server.environment} if server.environment else {}
        begun = time.monotonic()
        try:
            process = stack.enter_context(started(server.command, server.port, **options))
            starts[server.name] = (time.monotonic() - begun) * 1000
            one = server.contestant(process)
            one.measure("ask", 1, 1)
            yield server, one
        except (RuntimeError, OSError, ValueError) as error:
            left_out[server.name] = str(error)


# ---- measures -----------------------------------------------------------------------------------

def print_latency(results):
    print("\nLatency of a call, one at a time (microseconds)")
    for name, taken in results.items():
        middle = [statistics.median(one[quantile] for one in taken)
                  for quantile in ("p50_us", "p99_us")]
        line = f"  {name:14} p50 {middle[0]:8.1f}   p99 {middle[1]:8.1f}"
        if name != DIRECT:
            added = [statistics.median(one[quantile] - direct[quantile]
                                       for one, direct in zip(taken, results[DIRECT]))
                     for quantile in ("p50_us", "p99_us")]
            line += f"   added {added[0]:8.1f} {added[1]:8.1f}"
            if name == OURS:
                reached = ["reached" if figure <= goal else "missed" for figure, goal in
                           zip(added, (P50_GOAL_US, P99_GOAL_US))]
                line += f"   goals {P50_GOAL_US} and {P99_GOAL_US}: {reached[0]}, {reached[1]}"
        print(line)


def print_rates(title, results, member):
    print(f"\n{title}")
    for name, taken in results.items():
        middle = statistics.median(one[member] / one["seconds"] for one in taken)
        print(f"  {name:14} {middle:12.0f} a second")


def print_memory(pairs, left_out):
    print("\nMemory (KiB), idle and with 512 streams that go on")
    for _, one in pairs:
        idle = held_kib(one.relay.pid)
        client = one.start("hold", STREAMS[-1], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        try:
            if not client.stdout.readline():
                raise RuntimeError((client.stderr.read() or b"it failed").decode()[:100])
            print(f"  {one.name:14} {idle:10d} {held_kib(one.relay.pid):10d}")
        except RuntimeError as error:
            left_out[f"{one.name} (memory)"] = str(error)
        finally:
            client.communicate()


def measure_all(folder, stack):
    left_out, starts = {}, {}
    server = free_port()
    stack.enter_context(started([BENCH, "serve", server], server))
    pairs = list(begin([ours(folder, server), *peers(folder, server, left_out)], stack, left_out,
                       starts))
    found = [Contestant(DIRECT, lambda verb, *numbers: [BENCH, verb, "127.0.0.1", server, *numbers])]
    found += [one for _, one in pairs]
    print(f"{ROUNDS} rounds of {SECONDS} s each; load {os.getloadavg()[0]:.1f}")
    print("\nStart (ms)")
    for name, took in starts.items():
        print(f"  {name:14} {took:10.0f}")
    print_memory(pairs, left_out)
    print_latency(take_rounds(ROUNDS, found, left_out, "ask", SECONDS, 1))
    print_rates("Calls on connections that stay",
                take_rounds(ROUNDS, found, left_out, "ask", SECONDS, CLIENTS), "done")
    for streams in STREAMS:
        print_rates(f"Streamed events, {streams} at once",
                    take_rounds(ROUNDS, found, left_out, "stream", SECONDS, streams), "events")
    for name, why in sorted(left_out.items()):
        print(f"left out: {name}: {why[:200]}")


if __name__ == "__main__":
    in_a_folder(measure_all)
