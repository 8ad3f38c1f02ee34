#!/usr/bin/env python3
"""Runs the commands that a document shows, and holds what they do against what it shows.

usage: tests/readme.py DOCUMENT STATUSES

In fenced blocks a line that begins with "$ " is a command; it goes on behind a backslash at its end,
and to the end of a here-document. What follows up to the next command is what it prints, standard
output first; "…" stands for anything. White space, the home folder, digests, keys, names made of
random digits, times and the size of a ledger may be others. A command ends with status 0 unless STATUSES, lines of a
status and a command, gives it another one. What begins with ./dev builds, and is not run here.

All run in the current folder, one after another. Prints a line for each; exit status 1 if one is not
as shown.
"""

import os
import pathlib
import re
import subprocess
import sys

TIME_LIMIT_S = 60
LEFT_OUT = ("./dev ",)
ANYTHING = "…"
HERE_DOCUMENT = re.compile(r"<<-?'?(\w+)'?$|<<-?'?(\w+)'?\s")
VARYING = [
    (re.compile(r"ed25519:[A-Za-z0-9+/=]+"), "ed25519:KEY"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b[0-9a-f]{11}-[0-9a-f]{16}\b"), "NAME"),
    (re.compile(r"\b[0-9a-f]{16,64}\b"), "NAME"),
    (re.compile(r"\b\d+ events, [\d.]+ MB"), "EVENTS"),
]


def blocks(text):
    inside, block = False, []
    for line in text.splitlines():
        if line.startswith("```"):
            if inside:
                yield block
            inside, block = not inside, []
        elif inside:
            block.append(line)


def commands(block):
    """Pairs of a command and the lines that it is shown to print."""
    lines = iter(block)
    found = []
    for line in lines:
        if not line.startswith("$ "):
            if found:
                found[-1][1].append(line)
            continue
        command = line[2:]
        while command.endswith("\\"):
            command += "\n" + next(lines, "")
        here = HERE_DOCUMENT.search(command)
        end = here and (here.group(1) or here.group(2))
        while here and command.rsplit("\n", 1)[-1] != end:
            command += "\n" + next(lines, end)
        found.append((command, []))
    return found


def words(text):
    text = text.replace(os.environ["HOME"], "~")
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return " ".join(text.split())


def is_as_shown(shown, printed):
    pattern = ".*".join(re.escape(words(part)) for part in "\n".join(shown).split(ANYTHING))
    return re.fullmatch(pattern.replace(".*", r"\s*.*\s*"), words(printed), re.DOTALL) is not None


def main(document, statuses):
    text = pathlib.Path(document).read_text(encoding="utf-8")
    expected = {}
    for line in pathlib.Path(statuses).read_text(encoding="utf-8").splitlines():
        status, _, command = line.partition(" ")
        expected[command] = int(status)
    shown_commands = [pair for block in blocks(text) for pair in commands(block)]
    faults = 0
    for command, shown in shown_commands:
        title = command.splitlines()[0]
        if command.startswith(LEFT_OUT):
            print(f"left out  {title}")
            continue
        ended = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=TIME_LIMIT_S, check=False)
        wanted = expected.pop(command, 0)
        if ended.returncode == wanted and is_as_shown(shown, ended.stdout + ended.stderr):
            print(f"as shown  {title}")
            continue
        faults += 1
        print(f"OTHERWISE {title}\nexit status {ended.returncode}, expected {wanted}; it printed:")
        print(ended.stdout + ended.stderr)
    for command in expected:
        faults += 1
        print(f"OTHERWISE {command}\nis not in {document}")
    return 1 if faults or not shown_commands else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
