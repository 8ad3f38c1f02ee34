#!/usr/bin/env python3
"""Validation of the same documents by this engine, by Blaze and by ajv, side by side.

Warm: nanoseconds for one instance, without reading and without compiling; each instance is
validated many times in a row, which is what Blaze's own benchmark does. Cold: milliseconds for a
process that starts, compiles a schema and validates one document. Engines take turns in every
round, and the figures are medians over the rounds. Formats annotate, as the draft has it.
"""

import json
import math
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

from contract_data import sets

ROUNDS = 5
REPEATS = 100
COLD_RUNS = 20
ENGINES = ("agent-machine", "blaze", "ajv")

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PEERS = BUILD / "peers" / "node_modules"
DATA = BUILD / "bench"
MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}
BLAZE = (PEERS / "@sourcemeta/jsonschema/build/github-releases"
         / f"jsonschema-linux-{MACHINES.get(platform.machine(), platform.machine())}")
AJV = ["node", ROOT / "bench/contract_ajv.js"]


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True,
                          text=True).stdout


def warm_blaze(schema, instances):
    """Its lines are "FILE[LINE]: PASS mean +- deviation us (timer)"; the timer is subtracted."""
    lines = output(BLAZE, "validate", schema, instances, "--fast", "--benchmark", "--loop",
                   REPEATS).splitlines()
    fields = [line.split() for line in lines if " us (" in line]
    return {"instances": len(fields), "valid": sum(field[1] == "PASS" for field in fields),
            "ns": statistics.fmean(float(field[2]) for field in fields) * 1000}


WARM = {
    "agent-machine": lambda schema, instances: json.loads(
        output(BUILD / "contract_bench", schema, instances, REPEATS)),
    "blaze": warm_blaze,
    "ajv": lambda schema, instances: json.loads(output(*AJV, schema, instances, REPEATS)),
}
COLD = {
    "agent-machine": lambda schema, instance: [
        BUILD / "agent-machine", "contract", "validate", "--schema", schema, instance],
    "blaze": lambda schema, instance: [BLAZE, "validate", schema, instance, "--fast"],
    "ajv": lambda schema, instance: [*AJV, schema, instance],
}


def warm(name, schema, count):
    rounds = {engine: [] for engine in ENGINES}
    for _ in range(ROUNDS):
        for engine in ENGINES:
            result = WARM[engine](schema, DATA / f"{name}.jsonl")
            if (result["instances"], result["valid"]) != (count, count):
                sys.exit(f"{engine} finds {result['valid']} of {result['instances']} instances of "
                         f"{name} valid, and {count} of {count} are")
            rounds[engine].append(result["ns"])
    return [statistics.median(rounds[engine]) for engine in ENGINES]


def cold(name, schema):
    commands = [COLD[engine](schema, DATA / f"{name}.json") for engine in ENGINES]
    commands = [[str(word) for word in command] for command in commands]
    if shutil.which("hyperfine"):
        report = DATA / "hyperfine.json"
        output("hyperfine", "-N", "--warmup", "3", "--runs", COLD_RUNS, "--export-json", report,
               *(" ".join(command) for command in commands))
        return [result["median"] * 1000 for result in json.loads(report.read_text())["results"]]
    taken = [[] for _ in commands]
    for _ in range(COLD_RUNS):
        for command, times in zip(commands, taken):
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append((time.perf_counter() - begin) * 1000)
    return [statistics.median(times) for times in taken]


def table(title, rows):
    """Ratios say how many times longer a peer takes."""
    print(f"\n{title}\n")
    print(f"{'':<32}{ENGINES[0]:>14}{ENGINES[1]:>10}{'ratio':>8}{ENGINES[2]:>10}{'ratio':>8}")
    ratios = ([], [])
    for name, (ours, *peers) in rows:
        line = f"{name:<32}{ours:>14.2f}"
        for peer, known in zip(peers, ratios):
            known.append(peer / ours)
            line += f"{peer:>10.2f}{peer / ours:>7.2f}x"
        print(line)
    means = [math.exp(statistics.fmean(map(math.log, known))) for known in ratios]
    print(f"{'geometric mean':<32}{'':>14}{'':>10}{means[0]:>7.2f}x{'':>10}{means[1]:>7.2f}x")


def main():
    known = list(sets(ROOT, DATA))
    print(f"peers: @sourcemeta/jsonschema {output(BLAZE, 'version').strip()}, ajv "
          f"{json.loads((PEERS / 'ajv/package.json').read_text())['version']} on node "
          f"{output('node', '--version').strip()}")
    table("warm: nanoseconds for one instance",
          [(f"{name} ({count})", warm(name, schema, count)) for name, schema, count in known])
    table("cold: milliseconds for a process that validates one document",
          [(name, cold(name, schema)) for name, schema, _ in known])


if __name__ == "__main__":
    main()
