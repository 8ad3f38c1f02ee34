#!/usr/bin/env python3
"""How fast a whole Debian is held against its receipts, beside `dpkg --verify`.

Both read every file that packages brought and compute its MD5; `doctor registry` also looks at what
programs register themselves by. They take turns; figures are medians. The first round of each reads
what is not in memory yet and is told apart.
"""

import os
import pathlib
import re
import resource
import statistics
import subprocess
import time

ROUNDS = 3

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("AM_PROGRAM", ROOT / "build" / "agent-machine"))
CONTESTANTS = {"doctor registry": [PROGRAM, "doctor", "registry"], "dpkg --verify": ["dpkg", "--verify"]}


def measure(command):
    """Seconds of the clock and of the processors, and the last line."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    passed, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return passed, used, ended.stdout.splitlines()[-1:]


def main():
    figures = {name: [] for name in CONTESTANTS}
    last = ""
    for _ in range(ROUNDS + 1):
        for name, command in CONTESTANTS.items():
            passed, used, line = measure(command)
            figures[name].append((passed, used))
            if name == "doctor registry" and line:
                last = line[0]
    size = re.search(r"(\d+) files, (\d+) MB", last)
    if not size:
        raise SystemExit("there are no packages of dpkg's here")
    print(f"{size[1]} files, {size[2]} MB, {os.cpu_count()} processors")
    print(f"{'':18}{'first s':>9}{'s':>9}{'processor s':>13}{'GB/s':>7}")
    for name, rounds in figures.items():
        passed = statistics.median(clock for clock, _ in rounds[1:])
        used = statistics.median(processor for _, processor in rounds[1:])
        rate = float(size[2]) / 1000 / passed
        print(f"{name:18}{rounds[0][0]:9.1f}{passed:9.1f}{used:13.1f}{rate:7.2f}")


if __name__ == "__main__":
    main()
