#!/usr/bin/env python3
"""How fast a log becomes storms, beside `sort | uniq -c` and `wc -l`, and how right the templates are.

Repeated: one message whose numbers change in every line, with a syslog header. Same: one line again
and again. Mixed: lines of many messages. Users: one message with a word in it that changes. Journal:
JSON as journalctl writes it. New: every line is another message; nothing repeats. Junk: random
bytes. Contestants take turns in every round; figures are medians, in GB/s of processor time of one
core, and of the clock. `sort | uniq -c` counts equal lines and knows no templates: it is what one
would use otherwise. Accuracy needs AM_TEST_DATA with loghub; beside it the best published figures.
"""

import csv
import os
import pathlib
import random
import resource
import statistics
import subprocess
import time

ROUNDS = 5
BYTES = 100_000_000

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("AM_PROGRAM", ROOT / "build" / "agent-machine"))
DATA = ROOT / "build" / "bench"
SYSTEMS = ("HDFS", "Hadoop", "Zookeeper", "BGL", "HPC", "Linux", "Apache", "OpenSSH")


def clock(i):
    return f"Jun 14 {i // 3600000 % 24:02d}:{i // 60000 % 60:02d}:{i // 1000 % 60:02d}"


def words(count):
    return " ".join("".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9)))
                    for _ in range(count))


MESSAGES = [words(random.Random(i).randint(4, 10)) for i in range(200)]
LINES = {
    "repeated": lambda i: f"{clock(i)} combo sshd(pam_unix)[{i % 32768}]: session opened; logname= "
                          f"uid=0 euid=0 tty=NODEVssh ruser= rhost=218.188.2.{i % 256}\n",
    "same": lambda i: "kernel: some driver: the same line again, without any number in it\n",
    "mixed": lambda i: f"{clock(i)} host app{i % 9}[{i % 999}]: {MESSAGES[i * i % 200]} {i}\n",
    "users": lambda i: f"{clock(i)} host sshd[{i % 999}]: user {words(1)} left port {i % 60000}\n",
    "journal": lambda i: '{"__REALTIME_TIMESTAMP":"%d","_PID":"%d","PRIORITY":"6","SYSLOG_IDENTIFIER"'
                         ':"sshd","MESSAGE":"session %d opened for root"}\n'
                         % (1795165200000000 + i * 1000, i % 999, i),
    "new": lambda i: f"{clock(i)} host app[{i % 999}]: {words(10)}\n",
}


def write(name):
    path = DATA / f"storm-{name}.log"
    if path.exists():
        return path
    random.seed(1)
    with path.open("wb") as file:
        if name == "junk":
            file.write(random.randbytes(BYTES))
            return path
        size = i = 0
        while size < BYTES:
            line = LINES[name](i).encode()
            file.write(line)
            size += len(line)
            i += 1
    return path


def seconds(*command, path):
    """Of the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with path.open("rb") as file:
        subprocess.run(command, stdin=file, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (time.monotonic() - start,
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def speed():
    contestants = {
        "storm": [PROGRAM, "storm"],
        "wc -l": ["wc", "-l"],
        "sort | uniq -c": ["sh", "-c", "LC_ALL=C sort | uniq -c"],
    }
    print(f"{'GB/s':10}", *(f"{name + ' (cpu)':>22}" for name in contestants))
    for name in [*LINES, "junk"]:
        path = write(name)
        rounds = {contestant: [] for contestant in contestants}
        for _ in range(ROUNDS):
            for contestant, command in contestants.items():
                if contestant.startswith("sort") and rounds[contestant]:
                    continue  # a hundred times slower: once is enough
                rounds[contestant].append(seconds(*command, path=path))
        figures = []
        for taken in rounds.values():
            wall, cpu = (path.stat().st_size / 1e9 / statistics.median(t) for t in zip(*taken))
            figures.append(f"{wall:.3f} ({cpu:.3f})")
        print(f"{name:10}", *(f"{figure:>22}" for figure in figures))


def accuracy(data):
    published = {}
    with open(data / "published_GA_2k.tsv") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            published[row["parser"]] = row
    peers = [name for name in published if name.startswith(("Drain (", "Brain ("))]
    ours = []
    print(f"\n{'accuracy':10} {'storm':>8}", *(f"{peer.split()[0]:>8}" for peer in peers))
    for system in SYSTEMS:
        content, labels = DATA / "content", DATA / "labels"
        with open(data / system / f"{system}_2k.log_structured.csv", encoding="utf8",
                  errors="replace") as file:
            content.write_text("".join(row["Content"] + "\n" for row in csv.DictReader(file)))
        with labels.open("wb") as file:
            subprocess.run([PROGRAM, "storm", "--groups", content], stdout=file, check=True)
        scored = subprocess.run(["python3", data / "grouping_accuracy.py", system, labels],
                                capture_output=True, text=True, check=True).stdout.split()
        ours.append(float(scored[1]))
        print(f"{system:10} {ours[-1]:8.4f}",
              *(f"{float(published[peer][system]):8.4f}" for peer in peers))
    means = [statistics.mean(float(published[peer][system]) for system in SYSTEMS)
             for peer in peers]
    print(f"{'mean':10} {statistics.mean(ours):8.4f}", *(f"{mean:8.4f}" for mean in means))


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    speed()
    loghub = pathlib.Path(os.environ.get("AM_TEST_DATA", "")) / "loghub"
    if loghub.is_dir():
        accuracy(loghub)


if __name__ == "__main__":
    main()
