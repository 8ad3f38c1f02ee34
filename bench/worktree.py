#!/usr/bin/env python3
"""What a change set costs: to be listed and shown, beside git; to be applied, beside rsync.

usage: bench/worktree.py [FILES...]

For each number of files (10, 10,000 and 100,000 unless given) a repository of that many small files
is made, and a run that changes all of them. `worktree status` and `worktree diff` stand beside `git
status` and `git diff` of the same changes in a copy; `worktree apply` beside `rsync -a` of the changed
files, and of one large file, and beside the same when it is made durable (`sync -f`), as an apply is.
A run of `true` in a tree of a million files stands beside one of nothing; builds inside and outside
are in bench/run.py. Everything is kept below a folder (TMPDIR) that goes at the end.

An ext4 without a journal looks for a minute at each inode that was freed lately before it gives it
away, which counts for whoever makes files next. So as root all of it lies on an ext4 of its own, in a
file below that folder, where a loop device can be had; the first line says which it is.

AM_PROGRAM names the program; else it is build/agent-machine.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AM_PROGRAM", str(TREE / "build/agent-machine"))
COUNTS = (10, 10_000, 100_000)
FILES_PER_FOLDER = 100
LARGE_BYTES = 256 << 20
DISK_BYTES = 12 << 30 # of holes, mostly
DISK_FILES = 2_000_000
SETTLE_SECONDS = 2
STARTS = 20
MILLION = 1_000_000
CHANGE = "for f in d*/*; do echo changed >>$f; done"


def environment(home):
    names = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"),
             "XDG_CONFIG_HOME": str(home / "config"), "GIT_CONFIG_GLOBAL": "/dev/null"}
    names |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "gc.auto", "GIT_CONFIG_VALUE_0": "0"}
    for who in ("AUTHOR", "COMMITTER"):
        names |= {f"GIT_{who}_NAME": "bench", f"GIT_{who}_EMAIL": "bench@example"}
    return {**os.environ, **names}


def mount_disk(folder):
    """An ext4 with a journal for the folder, where that can be; whether it is there."""
    image, disk = folder.with_suffix(".image"), str(folder)
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    made = os.geteuid() == 0 and all(
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        for command in (["mkfs.ext4", "-q", "-N", str(DISK_FILES), str(image)],
                        ["mount", "-o", "loop", str(image), disk]))
    if not made:
        image.unlink()
    return made


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


def text_of(number):
    return "".join(f"line {line} of file {number}\n" for line in range(20))


def make_repository(folder, count, env):
    """One commit of that many files, in a pack, as a clone has it."""
    folder.mkdir(parents=True)
    call(["git", "init", "-q", "-b", "main", "."], folder, env)
    importing = subprocess.Popen(["git", "fast-import", "--quiet"], cwd=folder, env=env,
                                 stdin=subprocess.PIPE, text=True)
    importing.stdin.write("commit refs/heads/main\ncommitter b <b@example> 0 +0000\ndata 5\nfirst\n")
    for number in range(count):
        name = f"d{number // FILES_PER_FOLDER:05}/f{number % FILES_PER_FOLDER:02}"
        text = text_of(number)
        importing.stdin.write(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
    importing.stdin.close()
    if importing.wait():
        raise subprocess.CalledProcessError(importing.returncode, "git fast-import")
    call(["git", "reset", "-q", "--hard"], folder, env)


def row(name, ours, theirs, peer, rate=""):
    print(f"  {name:<28} {ours * 1000:>10.1f} {theirs * 1000:>10.1f}  {ours / theirs:>6.2f}x  {peer}{rate}",
          flush=True)


def timed_rsync(source, target, work, env, *options):
    """In seconds, and what it takes until that is durable."""
    begin = time.monotonic()
    call(["rsync", "-a", *options, source, f"{target}/"], work, env)
    taken = time.monotonic() - begin
    call(["sync", "-f", str(target)], work, env)
    return taken, time.monotonic() - begin


def settle(folder):
    """Nothing waits to be written."""
    subprocess.run(["sync", "-f", str(folder)], check=True)
    time.sleep(SETTLE_SECONDS)


def run(folder, env, script):
    call([PROGRAM, "run", "--", "sh", "-c", script], folder, env)


def measure(work, count, env):
    ours, theirs, target = work / f"home/ours-{count}", work / f"theirs-{count}", work / "target"
    make_repository(ours, count, env)
    call(["cp", "-a", str(ours), str(theirs)], work, env)
    call(["git", "status"], theirs, env) # its index knows the copies
    run(ours, env, CHANGE)
    call(["sh", "-c", CHANGE], theirs, env)
    call(["cp", "-a", str(ours), str(target)], work, env)
    times = 5 if count <= 1000 else 1
    print(f"{count} files changed" + " " * 14 + "   ours ms   their ms   ratio")
    row("worktree status", timed([PROGRAM, "worktree", "status"], ours, env, times),
        timed(["git", "status", "--porcelain"], theirs, env, times), "git status")
    row("worktree diff", timed([PROGRAM, "worktree", "diff"], ours, env, times),
        timed(["git", "diff"], theirs, env, times), "git diff")
    settle(work)
    taken = timed([PROGRAM, "worktree", "apply"], ours, env)
    settle(work)
    rsync, durable = timed_rsync(f"{theirs}/", target, work, env, "--exclude=.git")
    row("worktree apply", taken, rsync, "rsync -a", f", {count / taken:.0f} files/s")
    row("worktree apply", taken, durable, "rsync -a; sync -f")
    call(["rm", "-rf", str(theirs), str(target), str(ours)], work, env)


def measure_large(work, env):
    ours, target = work / "home/large", work / "large-target"
    make_repository(ours, 1, env)
    target.mkdir()
    run(ours, env, f"head -c {LARGE_BYTES} /dev/urandom >large")
    upper = next((work / "home/state/agent-machine/runs").glob("*/0/upper/large"))
    settle(work)
    rsync, durable = timed_rsync(str(upper), target, work, env)
    settle(work)
    taken = timed([PROGRAM, "worktree", "apply", "--include-held", "large"], ours, env)
    print(f"one file of {LARGE_BYTES >> 20} MiB")
    row("worktree apply", taken, rsync, "rsync -a", f", {LARGE_BYTES / taken / 1e6:.0f} MB/s")
    row("worktree apply", taken, durable, "rsync -a; sync -f")


def measure_start(work, empty, env):
    folder = work / "home/million"
    for number in range(MILLION // FILES_PER_FOLDER):
        inner = folder / f"d{number // 100:03}/e{number % 100:02}"
        inner.mkdir(parents=True)
        for file in range(FILES_PER_FOLDER):
            os.close(os.open(inner / f"f{file:02}", os.O_CREAT | os.O_WRONLY, 0o644))
    call(["git", "init", "-q", "."], folder, env)
    print(f"a start of true in a tree of {MILLION} files, and of 1")
    first = timed([PROGRAM, "run", "true"], folder, env)
    nothing = timed([PROGRAM, "run", "true"], empty, env, STARTS)
    row("run true, the first", first, nothing, "of 1 file")
    row("run true", timed([PROGRAM, "run", "true"], folder, env, STARTS), nothing, "of 1 file")


def measure_all(work, counts):
    env = environment(work / "home")
    empty = work / "home/empty"
    (work / "home").mkdir()
    make_repository(empty, 1, env)
    for count in counts:
        measure(work, count, env)
    measure_large(work, env)
    measure_start(work, empty, env)


def main(counts):
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        work = pathlib.Path(name) / "work"
        work.mkdir()
        own = mount_disk(work)
        print("on an ext4 of its own" if own else f"below {work}", flush=True)
        try:
            measure_all(work, counts)
        finally:
            if own:
                subprocess.run(["umount", "-l", str(work)], check=True)
            else:
                subprocess.run(["rm", "-rf", str(work)], check=True)

main([int(count) for count in sys.argv[1:]] or COUNTS)
