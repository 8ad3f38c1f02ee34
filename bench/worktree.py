#!/usr/bin/env python3
"""What a change set costs: to be listed and shown, beside git; to be applied, beside rsync.

usage: bench/worktree.py [FILES...]

For each number of files (10, 10,000 and 100,000 unless given) a repository of that many small files
is made, and a run that changes all of them. `worktree status` and `worktree diff` stand beside `git
status` and `git diff` of the same changes in a copy; `worktree apply` beside `rsync -a` of the changed
files, and of one large file. Two runs of `true` in a repository of nothing and in the largest show
what its size costs a start. Everything is kept below a folder that goes at the end.

AM_PROGRAM names the program; else it is build/agent-machine.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AM_PROGRAM", str(TREE / "build/agent-machine"))
COUNTS = (10, 10_000, 100_000)
FILES_PER_FOLDER = 100
LARGE_BYTES = 256 << 20
STARTS = 20
CHANGE = "for f in d*/*; do echo changed >>$f; done"


def environment(home):
    names = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"),
             "XDG_CONFIG_HOME": str(home / "config"), "GIT_CONFIG_GLOBAL": "/dev/null"}
    names |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "gc.auto", "GIT_CONFIG_VALUE_0": "0"}
    for who in ("AUTHOR", "COMMITTER"):
        names |= {f"GIT_{who}_NAME": "bench", f"GIT_{who}_EMAIL": "bench@example"}
    return {**os.environ, **names}


def call(arguments, folder, env):
    subprocess.run(arguments, cwd=folder, env=env, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def timed(arguments, folder, env, times=1):
    """The least time in seconds."""
    best = None
    for _ in range(times):
        begin = time.monotonic()
        call(arguments, folder, env)
        taken = time.monotonic() - begin
        best = taken if best is None else min(best, taken)
    return best


def make_repository(folder, count, env):
    folder.mkdir(parents=True)
    call(["git", "init", "-q", "."], folder, env)
    for number in range(count):
        if number % FILES_PER_FOLDER == 0:
            inner = folder / f"d{number // FILES_PER_FOLDER:05}"
            inner.mkdir()
        (inner / f"f{number % FILES_PER_FOLDER:02}").write_text(
            "".join(f"line {line} of file {number}\n" for line in range(20)))
    call(["git", "add", "-A"], folder, env)
    call(["git", "commit", "-qm", "first"], folder, env)


def row(name, ours, theirs, peer):
    print(f"  {name:<28} {ours * 1000:>10.1f} {theirs * 1000:>10.1f}  {ours / theirs:>6.2f}x  {peer}",
          flush=True)


def run(folder, env, script):
    call([PROGRAM, "run", "--", "sh", "-c", script], folder, env)


def measure(work, count, env):
    ours, theirs, target = work / f"home/ours-{count}", work / f"theirs-{count}", work / "target"
    make_repository(ours, count, env)
    shutil.copytree(ours, theirs)
    call(["git", "status"], theirs, env) # its index knows the copies
    run(ours, env, CHANGE)
    call(["sh", "-c", CHANGE], theirs, env)
    shutil.copytree(ours, target)
    times = 5 if count <= 1000 else 1
    print(f"{count} files changed" + " " * 14 + "   ours ms   their ms   ratio")
    row("worktree status", timed([PROGRAM, "worktree", "status"], ours, env, times),
        timed(["git", "status", "--porcelain"], theirs, env, times), "git status")
    row("worktree diff", timed([PROGRAM, "worktree", "diff"], ours, env, times),
        timed(["git", "diff"], theirs, env, times), "git diff")
    row("worktree apply", timed([PROGRAM, "worktree", "apply"], ours, env),
        timed(["rsync", "-a", "--exclude=.git", f"{theirs}/", f"{target}/"], work, env), "rsync -a")
    for folder in (theirs, target):
        shutil.rmtree(folder)
    return ours


def measure_large(work, env):
    ours, target = work / "home/large", work / "large-target"
    make_repository(ours, 1, env)
    target.mkdir()
    run(ours, env, f"head -c {LARGE_BYTES} /dev/urandom >large")
    upper = next((work / "home/state/agent-machine/runs").glob("*/0/upper/large"))
    taken = timed(["rsync", "-a", str(upper), f"{target}/"], work, env)
    print(f"one file of {LARGE_BYTES >> 20} MiB")
    row("worktree apply", timed([PROGRAM, "worktree", "apply", "large"], ours, env), taken, "rsync -a")


def main(counts):
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        work = pathlib.Path(name)
        env = environment(work / "home")
        empty = work / "home/empty"
        (work / "home").mkdir()
        make_repository(empty, 1, env)
        last = None
        for count in counts:
            last = measure(work, count, env)
        measure_large(work, env)
        if last:
            print(f"a start of true in a repository of 1 file and of {counts[-1]}")
            call([PROGRAM, "run", "true"], last, env) # what is hidden is looked for once
            row("run true", timed([PROGRAM, "run", "true"], last, env, STARTS),
                timed([PROGRAM, "run", "true"], empty, env, STARTS), "of 1 file")


main([int(count) for count in sys.argv[1:]] or COUNTS)
