#!/usr/bin/env python3
"""What the ledger makes durable in a second, beside plain SQLite on the same file system.

Appends: events acknowledged a second, by 1, 8 and 64 writer processes, each commit synced before
it is acknowledged. SQLite gets the same rows, one transaction each, each process with its own
handle, in the same mode. Reservations: turns a second of reserving in two accounts above one
another, or settling there. Verification: the bytes of the events against sha256sum of the same
bytes. Contestants take turns in every round, and the figures are medians over the rounds.
"""

import json
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROUNDS = 5
SECONDS = 2
WRITERS = (1, 8, 64)
VERIFIED_SECONDS = 6

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
DATA = BUILD / "bench"
BENCH = BUILD / "ledger_bench"


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True,
                          text=True).stdout


def rate(what, writers, seconds=SECONDS):
    """In a second; on a fresh ledger."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=DATA))
    try:
        result = json.loads(output(BENCH, what, folder / "state", writers, seconds))
        return result["done"] / result["seconds"]
    finally:
        shutil.rmtree(folder)


def medians(contestants, writers):
    rounds = {what: [] for what in contestants}
    for _ in range(ROUNDS):
        for what in contestants:
            rounds[what].append(rate(what, writers))
    return [statistics.median(rounds[what]) for what in contestants]


def verification():
    """GB/s of `ledger verify` and of sha256sum."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=DATA))
    try:
        output(BENCH, "append", folder / "state", 64, VERIFIED_SECONDS)
        events = folder / "events.jsonl"
        with events.open("wb") as file:
            subprocess.run([BUILD / "agent-machine", "ledger", "export", "--state",
                            folder / "state"], check=True, stdout=file)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            result = json.loads(output(BENCH, "verify", folder / "state"))
            ours.append(result["bytes"] / result["seconds"] / 1e9)
            begin = time.perf_counter()
            output("sha256sum", events)
            theirs.append(events.stat().st_size / (time.perf_counter() - begin) / 1e9)
        return result["events"], statistics.median(ours), statistics.median(theirs)
    finally:
        shutil.rmtree(folder)


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    system = output("stat", "-f", "-c", "%T", DATA).strip()
    print(f"on {system}; write-ahead log, synchronous = FULL: synced before each acknowledgement\n")
    print(f"{'writers':>8}{'appends/s':>12}{'SQLite/s':>12}{'ratio':>8}{'reservations/s':>17}")
    for writers in WRITERS:
        ours, theirs, reserved = medians(("append", "sqlite", "reserve"), writers)
        print(f"{writers:>8}{ours:>12,.0f}{theirs:>12,.0f}{ours / theirs:>7.1f}x{reserved:>17,.0f}")
    events, ours, theirs = verification()
    print(f"\nverification of {events:,} events: {ours:.2f} GB/s of events, every digest, the chain "
          f"and the tree\nsha256sum of the same bytes: {theirs:.2f} GB/s")


if __name__ == "__main__":
    main()
