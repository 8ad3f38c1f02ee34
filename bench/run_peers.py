"""Who is measured beside agent-machine, and how each is set up: one command line per contestant.

All show the command the host's /usr, read-only, and give it no network but loopback; srt has its
own ideas, and is called as it comes. crun and podman get a root of their own with /usr in it; they
are told to leave cgroups alone, and podman keeps its storage in the bench's folder, so that nothing
of them is left behind: no image, no cgroup, no NAT table. crun refuses to start where a v2 tree of
cgroups lies beside v1's (hybrid): as root, both then run in a mount namespace in which that tree is
covered. Whoever cannot run here is left out, with its own words as the reason.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("AM_PROGRAM", ROOT / "build" / "agent-machine"))
SRT = ROOT / "build/peers/node_modules/.bin/srt"
HYBRID = pathlib.Path("/sys/fs/cgroup/unified")
RUNTIMES = ("/run/crun", "/run/firejail")
OURS = "agent-machine"
ORDINARY = "nobody"
TRIAL_SECONDS = 60
ENDING_SECONDS = 10
CLONE_NEWNS = 0x00020000
PR_SET_CHILD_SUBREAPER = 36

LIBC = ctypes.CDLL(None, use_errno=True)


def remove(folder):
    """With what an overlay leaves: a folder that its own owner may not look into."""
    if folder.exists():
        subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
        shutil.rmtree(folder)


@contextlib.contextmanager
def runtimes_kept():
    """What peers make below /run, and mount there, goes again, if root is there to remove it."""
    new = [name for name in RUNTIMES if os.getuid() == 0 and not os.path.exists(name)]
    try:
        yield
    finally:
        mounted = [line.split()[1] for line in open("/proc/self/mounts", encoding="utf8")]
        for place in reversed(mounted):
            if place.startswith(tuple(name + "/" for name in new)):
                subprocess.run(["umount", place], check=True)
        for name in new:
            shutil.rmtree(name, ignore_errors=True)


class Identity:
    """A user of the machine with a home below the scratch folder, and a repository in it."""

    def __init__(self, scratch, name):
        known = pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
        self.name, self.uid, self.gid = known.pw_name, known.pw_uid, known.pw_gid
        self.foreign = self.uid != os.getuid()
        self.home = scratch / self.name
        self.project = self.home / "src/project"
        self.project.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", self.project], check=True)
        self.runtime = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))  # podman wants it short
        self.own(self.runtime)
        self.environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                            "USER": self.name, "XDG_RUNTIME_DIR": str(self.runtime)}

    def own(self, folder):
        """Gives what was made in a folder to the identity."""
        if self.foreign:
            subprocess.run(["chown", "-R", f"{self.uid}:{self.gid}", folder], check=True)

    def close(self):
        """podman leaves its storage mounted upon itself."""
        subprocess.run(["umount", "-l", self.home / "podman/overlay"], check=False,
                       stderr=subprocess.DEVNULL)
        remove(self.home)
        remove(self.runtime)

    def as_child(self):
        """What subprocess needs to start a program as this identity."""
        rights = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.foreign else {}
        return {"env": self.environment, "cwd": self.project, **rights}

    def become(self):
        if self.foreign:
            os.setgroups([])
            os.setgid(self.gid)
            os.setuid(self.uid)
        os.chdir(self.project)


class Covered:
    """A mount namespace without the v2 tree of a hybrid machine; only root can make one."""

    def __init__(self):
        self.inside = self.outside = None
        if os.getuid() != 0 or not HYBRID.is_dir():
            return
        maker = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {HYBRID} && echo && cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if maker.stdout.readline():
            self.inside = os.open(f"/proc/{maker.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            self.outside = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        maker.communicate()

    def enter(self, namespace=None):
        here = os.getcwd()
        if LIBC.setns(namespace or self.inside, CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.chdir(here)

    @contextlib.contextmanager
    def around(self, contestant):
        """Costs the contestant nothing: the process that starts it is in there already."""
        if not contestant.covered or self.inside is None:
            yield
            return
        self.enter()
        try:
            yield
        finally:
            self.enter(self.outside)


class Contestant:
    def __init__(self, name, prefix, covered=False, command_of=None):
        self.name, self.prefix, self.covered = name, prefix, covered
        self.command_of = command_of or (lambda words: [*prefix, *words])

    def command(self, *words):
        return [str(word) for word in self.command_of(words)]


def bundle(identity, root, crun):
    """crun reads its command from a file: a bundle for each command."""
    def write(words):
        folder = identity.home / "bundles" / "-".join(words).replace("/", "_")
        if (folder / "config.json").exists():
            return folder
        folder.mkdir(parents=True)
        rootless = ["--rootless"] if identity.uid else []
        subprocess.run([crun, "spec", *rootless], cwd=folder, check=True)
        config = json.loads((folder / "config.json").read_text())
        config["root"]["path"] = str(root)
        config["process"].update(terminal=False, args=list(words))
        config["process"].pop("rlimits", None)
        config["linux"].pop("resources", None)
        if rootless:
            for kind, number in (("uidMappings", identity.uid), ("gidMappings", identity.gid)):
                config["linux"][kind] = [{"containerID": 0, "hostID": number, "size": 1}]
        config["mounts"] = [mount for mount in config["mounts"]
                            if mount["destination"] != "/sys/fs/cgroup"]
        config["mounts"].append({"destination": "/usr", "type": "none", "source": "/usr",
                                 "options": ["rbind", "ro"]})
        (folder / "config.json").write_text(json.dumps(config))
        identity.own(folder.parent)
        return folder

    def command_of(words):
        return [crun, "--cgroup-manager=disabled", "--root", identity.home / "crun",
                "run", "--bundle", write(words), "bench"]
    return command_of


def make_root(folder):
    for name in ("proc", "dev", "sys", "usr", "tmp", "run", "etc"):
        (folder / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if pathlib.Path("/", name).exists():
            (folder / name).symlink_to(f"usr/{name}")
    return folder


def contestants(identity):
    """Those that are installed, ours first, and those that are not, with the reason."""
    root = make_root(identity.home / "root")
    identity.own(identity.home)
    known = {name: shutil.which(name) for name in ("true", "bwrap", "crun", "podman", "firejail")}
    lines = {
        "nothing": ("true", []),
        "bwrap": ("bwrap", ["--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/",
                            "/", "--proc", "/proc", "--dev", "/dev"]),
        "crun": ("crun", []),
        "firejail": ("firejail", ["--quiet", "--net=none"]),
        "podman": ("podman", ["--root", identity.home / "podman", "--runroot",
                              identity.runtime / "podman", "--tmpdir", identity.runtime / "tmp",
                              "--log-level=error", "run", "--rm", "--network=none",
                              "--cgroups=disabled", "--ulimit", "nofile=1024:1024", "--ulimit",
                              "nproc=1024:1024", "--volume", "/usr:/usr:ro", "--rootfs", root]),
    }
    found, left_out = [Contestant(OURS, [PROGRAM, "run", "--"])], {}
    for name, (program, options) in lines.items():
        if not known[program]:
            left_out[name] = "it is not installed"
        elif name == "crun":
            found.append(Contestant(name, [], True, bundle(identity, root, known[program])))
        else:
            prefix = [known[program], *options] if name != "nothing" else []
            found.append(Contestant(name, prefix, name == "podman"))
    if SRT.exists():
        found.append(Contestant("srt", [SRT]))
    else:
        left_out["srt"] = "it is not installed"
    return found, left_out


def able(identity, covered, found, left_out):
    """Those that can run /bin/true here; the others get their reason."""
    runs = []
    for contestant in found:
        try:
            with covered.around(contestant):
                tried = subprocess.run(contestant.command("/bin/true"), capture_output=True,
                                       stdin=subprocess.DEVNULL, text=True, timeout=TRIAL_SECONDS,
                                       **identity.as_child())
            if tried.returncode == 0:
                runs.append(contestant)
            else:
                left_out[contestant.name] = reason(tried)
        except (OSError, subprocess.SubprocessError) as error:
            left_out[contestant.name] = str(error)
    return runs


def reason(ended):
    """The line of what a program said that speaks of an error, or its last one."""
    lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
    return next((line for line in lines if line.lower().startswith("error")), lines[-1])


# ---- processes ---------------------------------------------------------------------------------

def adopt():
    """What a contestant leaves behind becomes a child of this process, and can be ended."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(ancestor):
    children = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, at = [], [ancestor]
    while at:
        below = children.get(at.pop(), [])
        found += below
        at += below
    return found


def end_descendants():
    """What is still there after its contestant has gone is given a moment, and ended."""
    limit = time.monotonic() + ENDING_SECONDS
    while descendants(os.getpid()):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        late = time.monotonic() > limit
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        if late and time.monotonic() > limit + ENDING_SECONDS:
            return
        time.sleep(0.01)


def apart(identity, covered, work):
    """Calls work in a process of its own that is this identity, and returns what that returns."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            adopt()
            if identity.foreign and covered.inside is not None:
                covered.enter()  # for good: as this identity it could not do so later
                covered.inside = None
            identity.become()
            with open(writer, "w") as file:
                json.dump(work(), file)
            end_descendants()
            status = 0
        except BaseException:  # it ends here: told, and not passed on
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    end_descendants()
    if not text:
        raise RuntimeError(f"the measurement as {identity.name} failed")
    return json.loads(text)
