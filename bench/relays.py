"""What measures of relays share: programs that serve, clients that take turns, memory and limits."""

import contextlib
import json
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import time

from run_peers import ROOT, remove

DATA = ROOT / "build" / "bench"
TRIAL_SECONDS = 60
READY_SECONDS = 20
DESCRIPTORS = 20000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def started(command, port, **options):
    """A program that listens at a port, for as long as it is needed."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        until = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} does not listen")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait()


class Contestant:
    """How a client's words become a command, and which processes are the relay."""

    def __init__(self, name, command_of, relay=None, options=None):
        self.name, self.command_of = name, command_of
        self.relay, self.options = relay, options or {}

    def start(self, verb, *numbers, **streams):
        return subprocess.Popen([str(word) for word in self.command_of(verb, *numbers)],
                                **self.options, **streams)

    def measure(self, verb, *numbers):
        client = self.start(verb, *numbers, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
        try:
            out, errors = client.communicate(timeout=TRIAL_SECONDS + int(numbers[0]))
        except subprocess.TimeoutExpired:
            client.kill()
            client.communicate()
            raise RuntimeError("it took too long") from None
        if client.returncode:
            raise RuntimeError((errors.strip().splitlines() or ["it failed"])[-1])
        return json.loads(out)


def descendants(pid):
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def held_kib(pid, but=None):
    """PSS of a process and those it started, but for those of one program."""
    total = 0
    for one in descendants(pid):
        with contextlib.suppress(OSError):
            if but and os.readlink(f"/proc/{one}/exe").endswith(but):
                continue
            rollup = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf8")
            total += next(int(line.split()[1]) for line in rollup.splitlines()
                          if line.startswith("Pss:"))
    return total


def take_rounds(rounds, found, left_out, verb, *numbers):
    """Results of each contestant, by round; one that fails in a round is left out of the measure."""
    results = {one.name: [] for one in found}
    for _ in range(rounds):
        for one in found:
            if one.name not in results:
                continue
            try:
                results[one.name].append(one.measure(verb, *numbers))
            except (RuntimeError, ValueError) as error:
                left_out[" ".join(str(word) for word in (one.name, verb, *numbers))] = str(error)
                del results[one.name]
    return results


def in_a_folder(measure_all):
    """With descriptors enough, a folder of its own, and whatever it starts ended."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    DATA.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(dir=DATA))
    try:
        with contextlib.ExitStack() as stack:
            measure_all(folder, stack)
    finally:
        remove(folder)
