#!/usr/bin/env python3
"""What a launch in an image costs, beside `crun run` and `podman run` of the same files.

busybox's `true`, from the start of the program to its end; the three take turns in rounds, in an
order that moves on by one each round, and a ratio is the median of the ratios within a round. crun
and podman get what they need on a host with hybrid control groups: a private mount namespace in
which the second hierarchy is covered. The image is unpacked, and Podman's copy imported, before.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AM_PROGRAM", str(ROOT / "build" / "agent-machine"))
ROUNDS = int(os.environ.get("AM_BENCH_ROUNDS", "20"))
COVER = "mount -t tmpfs none /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\""
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]


def quiet(words, **more):
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, **more)


def make_root(folder):
    (folder / "bin").mkdir(parents=True)
    (folder / "etc").mkdir()
    shutil.copy(shutil.which("busybox"), folder / "bin" / "busybox")
    for name in ("sh", "true"):
        (folder / "bin" / name).symlink_to("busybox")


def ours(folder, environment):
    pin = subprocess.run([sys.executable, "-B", ROOT / "tests" / "image" / "make.py", folder / "oci",
                          "latest", folder / "root"], stdout=subprocess.PIPE, text=True,
                         check=True).stdout.strip()
    words = [PROGRAM, "run", "--discard", "--image", f"oci:{folder}/oci@{pin}", "--", "true"]
    return lambda: quiet(words, cwd=folder / "home" / "src", env=environment)


def crun(folder):
    bundle = folder / "bundle"
    bundle.mkdir()
    quiet(["crun", "spec"], cwd=bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["args"], config["process"]["terminal"] = ["true"], False
    config["root"] = {"path": str(folder / "root"), "readonly": True}
    (bundle / "config.json").write_text(json.dumps(config))
    return lambda: quiet(["unshare", "-m", "sh", "-c", COVER, "sh", "crun", "--cgroup-manager=disabled",
                          "run", "--bundle", bundle, "am-bench"])


def podman(folder):
    if not shutil.which("podman"):
        return None
    quiet(["tar", "-C", folder / "root", "-cf", folder / "root.tar", "."])
    quiet(["podman", "import", folder / "root.tar", "localhost/am-bench:1"])
    return lambda: quiet(["unshare", "-m", "sh", "-c", COVER, "sh", "podman", "run", "--rm",
                          "--network", "none", *LIMITS, "localhost/am-bench:1", "/bin/true"])


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        (folder / "home" / "src").mkdir(parents=True)
        make_root(folder / "root")
        environment = {**os.environ, "HOME": str(folder / "home"),
                       "XDG_STATE_HOME": str(folder / "home" / "state"),
                       "XDG_CONFIG_HOME": str(folder / "home" / "config")}
        runs = {"agent-machine": ours(folder, environment), "crun": crun(folder),
                "podman": podman(folder)}
        for name, run in list(runs.items()):
            ended = run() if run else None
            if not ended or ended.returncode:
                print(f"left out: {name}: {ended.stderr.decode()[:200] if ended else 'not installed'}")
                del runs[name]
        times = {name: [] for name in runs}
        order = list(runs)
        for _ in range(ROUNDS):
            for name in order:
                begin = time.monotonic()
                runs[name]()
                times[name].append((time.monotonic() - begin) * 1000)
            order = order[1:] + order[:1]
        if "podman" in runs:
            quiet(["podman", "rmi", "-f", "localhost/am-bench:1"])
    print(f"a launch of true in an image, {ROUNDS} rounds (load {os.getloadavg()[0]:.1f}):")
    for name, taken in times.items():
        line = f"  {name:14} {statistics.median(taken):8.1f} ms"
        if name != "agent-machine" and "agent-machine" in times:
            ratio = statistics.median(a / b for a, b in zip(times["agent-machine"], taken))
            line += f"   ours takes {ratio:.2f} of it"
        print(line)


if __name__ == "__main__":
    main()
