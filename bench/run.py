#!/usr/bin/env python3
"""What the governed launch costs, beside bwrap, crun, firejail, podman and srt.

Launch: /bin/true, from the start of the sandbox's program to its end. Contestants take turns in
rounds, in an order that moves on by one each round; a slow one takes part in every fifth. A ratio
is the median of ratios within a round, so that what burdens a round burdens both sides of it.
Memory: proportional (PSS), of every process that the sandbox keeps alive beside a `sleep`. Stops:
where a launch's time goes, as `run --trace` has it. Builds: inside the staged overlay, whose
changes are kept, and outside, in turns, each in a fresh copy; by the clock, and by the processor's
time, which other work on the machine disturbs less. Nothing is deleted between them, nor for a
while before: an ext4 without a journal gives nobody an inode that was freed in the last 35 s, and
who makes files looks past each of them. As root all that concerns a launch is measured
as root and as an ordinary user, and builds as that user.

Goals are printed beside the figures; they are meant for a machine that does nothing else.
"""

import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from run_builds import builds
from run_peers import (OURS, ORDINARY, PROGRAM, ROOT, Covered, Identity, able, adopt, apart,
                       contestants, descendants, end_descendants, reason, runtimes_kept)

ROUNDS = 100
SLOW_EVERY = 5
SLOW_MS = 20
BUILD_ROUNDS = 5
TRACES = 50
SLEEP = ("sleep", "3600")
STEADY_SECONDS = 0.05
DELETED_SECONDS = 36
APPEAR_SECONDS = 60
QUIET_LOAD = 2

GOALS = {"bwrap": 0.85, "podman": 1 / 25, "srt": 1 / 80}  # ours to theirs, at most
GOAL_MB = 10
GOAL_BUILD = 1.05

DATA = ROOT / "build" / "bench"


def load():
    return f"load {os.getloadavg()[0]:.1f}"


def goal_text(value, goal):
    return f"<= {goal:g}: {'reached' if value <= goal else 'missed'}" if goal else ""


def left_out_lines(left_out):
    for name, reason in sorted(left_out.items()):
        print(f"left out: {name}: {reason[:100]}")


# ---- launch ------------------------------------------------------------------------------------

def timed(command, errors="/dev/null"):
    """Milliseconds from the start of a program to its end, which must be a good one."""
    streams = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
               (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
               (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    begin = time.perf_counter_ns()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=streams)
    status = os.waitpid(child, 0)[1]
    taken = time.perf_counter_ns() - begin
    if status:
        raise RuntimeError(f"{command[0]} failed once: wait status {status}")
    return taken / 1e6


def launch(contestant, covered):
    command = contestant.command("/bin/true")
    with covered.around(contestant):
        return timed(command)


def launches(runners, covered):
    """For each contestant the milliseconds of every round, None where it took no part."""
    taken = {runner.name: [] for runner in runners}
    slow = {runner.name for runner in runners if launch(runner, covered) > SLOW_MS}
    for number in range(ROUNDS):
        at = number % len(runners)
        for runner in runners[at:] + runners[:at]:
            rests = runner.name in slow - {OURS} and number % SLOW_EVERY
            taken[runner.name].append(None if rests else launch(runner, covered))
    return taken


def print_launches(taken):
    print(f"{'launch of /bin/true':<22}{'min ms':>9}{'median ms':>11}{'ours / it':>11}  goal")
    for name, rounds in taken.items():
        known = [ms for ms in rounds if ms is not None]
        line = f"{name:<22}{min(known):>9.2f}{statistics.median(known):>11.2f}"
        if name != OURS:
            ratio = statistics.median(ours / ms for ours, ms in zip(taken[OURS], rounds)
                                      if ms is not None)
            line += f"{ratio:>11.4f}  {goal_text(ratio, GOALS.get(name))}"
        print(line)


# ---- memory ------------------------------------------------------------------------------------

def is_sleep(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return (os.path.basename(words[0]).decode(), *map(bytes.decode, words[1:-1])) == SLEEP
    except (OSError, UnicodeDecodeError):
        return False


def pss_kb(pids):
    """Their sum, and how many could not be read."""
    total = unreadable = 0
    for pid in pids:
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except PermissionError:
            unreadable += 1
        except (OSError, StopIteration):
            pass  # it has just ended
    return total, unreadable


def memory(runner, identity, covered):
    """MB of what stays alive beside `sleep`, the number of processes, and of those unreadable."""
    with covered.around(runner):
        started = subprocess.Popen(runner.command(*SLEEP), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   **identity.as_child())
    limit = time.monotonic() + APPEAR_SECONDS
    sleeps, before = [], None
    try:
        while time.monotonic() < limit:
            pids = descendants(os.getpid())
            sleeps = [pid for pid in pids if is_sleep(pid)]
            others = sorted(set(pids) - set(sleeps))
            if sleeps and (others, pss_kb(others)) == before:
                break
            before = (others, pss_kb(others)) if sleeps else None
            time.sleep(STEADY_SECONDS)
        else:
            return None
        return before[1][0] / 1024, len(others), before[1][1]
    finally:
        for pid in sleeps[-1:]:
            os.kill(pid, 9)
        try:
            started.wait(10 if sleeps else 0)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        end_descendants()


def print_memory(runners, identity, covered):
    print(f"\n{'memory beside sleep':<22}{'PSS MB':>9}{'processes':>11}  goal")
    for runner in runners:
        if runner.name == "nothing":
            continue
        taken = memory(runner, identity, covered)
        if not taken:
            print(f"{runner.name:<22}  its sleep did not appear")
            continue
        goal = goal_text(taken[0], GOAL_MB if runner.name == OURS else None)
        unread = f"  and {taken[2]} that cannot be read" if taken[2] else ""
        print(f"{runner.name:<22}{taken[0]:>9.1f}{taken[1]:>11}  {goal}{unread}")


# ---- stops -------------------------------------------------------------------------------------

def traces(folder):
    """Of each launch, its stops with their time, and the whole of it."""
    taken, told = [], folder / "trace"
    for _ in range(TRACES):
        whole = timed([str(PROGRAM), "run", "--trace", "--", "/bin/true"], told)
        rows = [line.split(None, 3) for line in told.read_text().splitlines()]
        rows = [(row[2], row[3], float(row[0])) for row in rows if len(row) == 4 and row[1] == "ms"]
        taken.append((rows, whole))
    return taken


def print_traces(taken):
    print(f"\n{'where a launch goes':<27}{'at ms':>8}{'takes':>8}{'min':>8}")
    previous = [0.0] * len(taken)
    for number, (stop, what, _) in enumerate(taken[0][0]):
        at = [rows[number][2] for rows, _ in taken]
        steps = [now - before for now, before in zip(at, previous)]
        print(f"{stop:<27}{statistics.median(at):>8.2f}{statistics.median(steps):>8.2f}"
              f"{min(steps):>8.2f}  {what}")
        previous = at
    rest = [whole - last for (_, whole), last in zip(taken, previous)]
    print(f"{'(the process itself)':<27}{'':>8}{statistics.median(rest):>8.2f}{min(rest):>8.2f}  "
          "started, loaded, ended")


# ---- builds ------------------------------------------------------------------------------------

def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def built(identity, project, command, prefix, place):
    """Seconds by the clock and by the processor of one build, which stays where it is."""
    folder = identity.home / "src" / place
    shutil.copytree(project, folder, symlinks=True)
    identity.own(folder)
    os.sync()
    used, begin = processor_seconds(), time.perf_counter()
    done = subprocess.run([*prefix, *command], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, start_new_session=True,  # a share of the processor of its own
                          **{**identity.as_child(), "cwd": folder})
    taken = time.perf_counter() - begin, processor_seconds() - used
    if done.returncode:
        raise RuntimeError(reason(done))
    return taken


def in_turns(identity, project, command):
    """Of the builds outside and inside, (seconds by the clock, by the processor) of each round."""
    sides = {"outside": ([], []), "inside": ([PROGRAM, "run", "--"], [])}
    for number in range(BUILD_ROUNDS):
        for side in sorted(sides, reverse=number % 2 == 0):
            prefix, taken = sides[side]
            taken.append(built(identity, project, command, prefix, f"{project.name}-{number}-{side}"))
    return sides["outside"][1], sides["inside"][1]


def print_builds(identity):
    found, left_out = builds(DATA)
    print(f"\n{'build':<24}{'outside s':>10}{'inside s':>10}{'ratio':>8}{'of minima':>11}"
          f"{'of processor':>14}  goal")
    for name, project, command in found:
        try:
            outside, inside = in_turns(identity, project, command)
        except RuntimeError as error:
            left_out[name] = str(error)
            continue
        clock, processor = (statistics.median(ours[unit] / theirs[unit]
                                              for ours, theirs in zip(inside, outside))
                            for unit in (0, 1))
        seconds = [[taken[0] for taken in side] for side in (outside, inside)]
        print(f"{name:<24}{statistics.median(seconds[0]):>10.2f}"
              f"{statistics.median(seconds[1]):>10.2f}{clock:>8.3f}"
              f"{min(seconds[1]) / min(seconds[0]):>11.3f}{processor:>14.3f}  "
              f"{goal_text(clock, GOAL_BUILD)}")
    left_out_lines(left_out)


# ---- all of it ---------------------------------------------------------------------------------

def measure(identity, covered):
    """True where ours could run as this identity."""
    found, left_out = contestants(identity)
    runners = able(identity, covered, found, left_out)
    end_descendants()
    print(f"\n==== as {identity.name}; {load()} ====\n")
    if runners and runners[0].name == OURS:
        os.environ.update(identity.environment)
        print_launches(apart(identity, covered, lambda: launches(runners, covered)))
        print_memory(runners, identity, covered)
        print_traces(apart(identity, covered, lambda: traces(identity.runtime)))
    left_out_lines(left_out)
    return OURS not in left_out


def measure_all():
    scratch = pathlib.Path(tempfile.mkdtemp(dir=DATA)).resolve()
    scratch.chmod(0o755)
    covered = Covered()
    identities = []
    try:
        if os.getloadavg()[0] >= QUIET_LOAD:
            print(f"{load()}: the machine is busy, and figures are worth little")
        for name in (None, ORDINARY) if os.getuid() == 0 else (None,):
            identities.append(Identity(scratch, name))
        able_ones = [identity for identity in identities if measure(identity, covered)]
        if not able_ones:
            sys.exit(f"{PROGRAM} runs nothing here")
        time.sleep(DELETED_SECONDS)
        print(f"\n==== builds as {able_ones[-1].name}; {load()} ====")
        print_builds(able_ones[-1])
    finally:
        end_descendants()
        for identity in identities:
            identity.close()
        shutil.rmtree(scratch)


def main():
    adopt()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    DATA.mkdir(parents=True, exist_ok=True)
    with runtimes_kept():
        measure_all()


if __name__ == "__main__":
    main()
