#!/usr/bin/env python3
"""The scanner beside secretlint and `grep -E`: how much is found, what else is, and how fast.

Accuracy is over the sample table of tests/redact/samples.py: credentials by their documented shape
and what only looks like them. secretlint has its recommended rules; grep has the formats of the
table as extended regular expressions, which know no surroundings, checksums or entropy. Speed is
in GB/s of processor time, the medians of rounds in which contestants take turns: log lines without a
secret, the sources of this tree, and log lines of which every hundredth holds one. A bundle scans
for more (what is encoded, names, words), packs what it made, and records it: its row is what each
further byte of a file costs, beside the peers' rows of the same text.
"""

import json
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "redact"))

import accuracy  # noqa: E402
import samples  # noqa: E402

ROUNDS = 5
SAMPLES = 200
BYTES = 400_000_000
BYTES_BUNDLE = 6_000_000  # of each file: no larger one may be in a bundle
FILES_BUNDLE = 8
BYTES_GREP = 20_000_000
BYTES_SECRETLINT = 4_000_000
PROGRAM = pathlib.Path(os.environ.get("AM_PROGRAM", ROOT / "build" / "agent-machine"))
PEERS = pathlib.Path(os.environ.get("AM_PEERS", ROOT / "build" / "peers"))
DATA = ROOT / "build" / "bench"
SECRETLINT = PEERS / "node_modules" / ".bin" / "secretlint"
SECRETLINT_RULES = {"rules": [{"id": "@secretlint/secretlint-rule-preset-recommend"}]}
A = "[0-9A-Za-z]"
T = "[0-9A-Za-z_-]"
EXPRESSIONS = rf"""
gh[pousr]_{A}{{36}}
github_pat_{A}{{22}}_{A}{{59}}
gl(pat|dt|rt)-{T}{{20}}
npm_{A}{{36}}
pypi-Ag{T}{{50,}}
cio{A}{{32}}
rubygems_[0-9a-f]{{48}}
dckr_pat_{T}{{20,}}
A[KS]IA[A-Z2-7]{{16}}
aws_secret_access_key *= *[0-9A-Za-z/+]{{40}}
AIza{T}{{35}}
GOCSPX-{T}{{28}}
AccountKey=[0-9A-Za-z+/]{{86}}==
[0-9A-Za-z_~.-]{{3}}[0-9]Q~[0-9A-Za-z_~.-]{{31,34}}
dop_v1_[0-9a-f]{{64}}
dapi[0-9a-f]{{32}}
sk-proj-{T}{{40,}}
sk-ant-[a-z0-9]+-{T}{{32,}}
hf_{A}{{34}}
gsk_{A}{{48,}}
xox[bp]-[0-9]+-[0-9]+-{A}{{24}}
hooks\.slack\.com/services/T[0-9A-Z]+/B[0-9A-Z]+/{A}+
[0-9]{{8,10}}:AA{T}{{33}}
/webhooks/[0-9]{{17,20}}/{T}{{60,}}
(sk|rk)_(live|test)_{A}{{24}}
sq0atp-{T}{{22}}
shpat_[0-9a-fA-F]{{32}}
SK[0-9a-f]{{32}}
SG\.{T}{{22}}\.{T}{{43}}
key-[0-9a-f]{{32}}
glsa_{A}{{32}}_[0-9A-Fa-f]{{8}}
NRAK-[0-9A-Z]{{27}}
hvs\.{T}{{24,}}
{A}{{14}}\.atlasv1\.[0-9A-Za-z_=-]{{60,}}
lin_api_{A}{{40}}
AGE-SECRET-KEY-1[0-9A-Z]{{58}}
eyJ{T}+\.eyJ{T}+\.{T}+
-----BEGIN [A-Z ]*PRIVATE KEY-----
[Aa]uthorization: (Bearer|Basic) [0-9A-Za-z._~+/=-]+
://[^ /?#@:]*:[^ /@]+@
[Pp]assword=[^ ;]{{4,}}
[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]"?[=:] *"?[^ ",;]{{4,}}
[Aa][Pp][Ii]_?[Kk][Ee][Yy]"? ?[=:] ?["']?[0-9A-Za-z]{{16,}}
[Cc]lient_?[Ss]ecret[=:>] ?["']?[0-9A-Za-z]{{16,}}
"""


# --- accuracy ----------------------------------------------------------------------------------


def spans_masked(find):
    """From a function text → spans to one that accuracy.measure takes."""
    def mask(texts):
        spans, out, at = sorted(find(accuracy.SEPARATOR.join(texts))), [], 0
        for text in texts:
            end = at + len(text)
            while spans and spans[0][1] <= at:
                spans.pop(0)
            hit = bool(spans) and spans[0][0] < end
            out.append("[redacted:x]" if hit else text)
            at = end + len(accuracy.SEPARATOR)
        return out
    return mask


def find_by_secretlint(text):
    path, found = DATA / "redact-samples.txt", DATA / "redact-found.json"
    path.write_text(text)
    subprocess.run([SECRETLINT, "--secretlintrc", "secretlintrc.json", "--format", "json", "--output",
                    found, path], capture_output=True, check=False, cwd=DATA)
    results = json.loads(found.read_text())
    return [tuple(message["range"]) for result in results for message in result["messages"]]


def find_by_grep(text):
    path = DATA / "redact-samples.txt"
    path.write_text(text)
    done = subprocess.run(["grep", "-aobE", "-f", DATA / "redact.ere", path], capture_output=True,
                          check=False, env={**os.environ, "LC_ALL": "C"})
    spans = []
    for line in done.stdout.decode().splitlines():
        offset, found = line.split(":", 1)
        spans.append((int(offset), int(offset) + len(found)))
    return spans


def report_accuracy():
    print(f"{'':14}  recall  precision  formats found  look-alikes masked")
    for name, mask in (("agent-machine", lambda texts: accuracy.redact(PROGRAM, texts)),
                       ("secretlint", spans_masked(find_by_secretlint)),
                       ("grep -E", spans_masked(find_by_grep))):
        recall, wrong = accuracy.measure(mask, SAMPLES)
        (found, planted), (false, harmless) = accuracy.total(recall), accuracy.total(wrong)
        formats = sum(hits > 0.9 * tried for hits, tried in recall.values())
        print(f"{name:14}  {found / planted:6.3f}  {found / (found + false):9.3f}  "
              f"{formats:6} of {len(recall)}  {false:8} of {harmless}", flush=True)


# --- speed -------------------------------------------------------------------------------------


def log_line(rng, i):
    return (f"2026-11-20T09:{i // 60 % 60:02d}:{i % 60:02d}Z host app[{i % 999}]: level=info "
            f"path=/v1/{'/'.join(rng.choice(samples.LOREM) for _ in range(3))} "
            f"id={rng.getrandbits(64):016x} took {i % 977} ms\n")


def write_inputs():
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / "redact.ere").write_text(EXPRESSIONS.strip() + "\n")
    (DATA / "secretlintrc.json").write_text(json.dumps(SECRETLINT_RULES))
    rng = random.Random(3)
    logs = "".join(log_line(rng, i) for i in range(20000))
    tokens = [text + "\n" for _, text, _ in samples.positives(4, seed=4)]
    mixed = "".join(line + (rng.choice(tokens) if i % 100 == 0 else "")
                    for i, line in enumerate(logs.splitlines(keepends=True)))
    code = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.[ch]")))
    inputs = {"log lines": logs, "program code": code, "log with secrets": mixed}
    paths = {}
    for name, text in inputs.items():
        for size in (BYTES, BYTES_GREP, BYTES_SECRETLINT, BYTES_BUNDLE):
            path = DATA / f"redact-{name.replace(' ', '-')}-{size}"
            with path.open("wb") as file:
                data = text.encode()
                for _ in range(size // len(data) + 1):
                    file.write(data)
                file.truncate(size)
            paths[name, size] = path
    return list(inputs), paths


def timed(command, size):
    return size / processor_seconds(command) / 1e9


def processor_seconds(command, **environment):
    with open("/dev/zero", "wb") as nowhere:  # where output is /dev/null, grep stops at its first line
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=nowhere, stderr=subprocess.DEVNULL, check=False, cwd=DATA,
                       env={**os.environ, "LC_ALL": "C", **environment})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def bundled(path, home):
    """What a bundle takes for files that are all others, beyond what it takes without any."""
    environment = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"),
                   "XDG_CONFIG_HOME": str(home / "config")}
    command = [PROGRAM, "diagnostics", "export", "--max-size", "200000000", "--output"]
    copies = []
    for i in range(FILES_BUNDLE):
        copy = home / f"{i}.log"
        copy.write_bytes(f"{home} {i} {random.random()}\n".encode() + path.read_bytes())
        copies += ["--file", str(copy)]
    made = home / "bundle"
    without = processor_seconds([*command, made], **environment)
    made.unlink()
    seconds = processor_seconds([*command, made, *copies], **environment) - without
    made.unlink()
    return FILES_BUNDLE * path.stat().st_size / seconds / 1e9


def report_bundle(names, paths):
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        subprocess.run([PROGRAM, "init"], stdout=subprocess.DEVNULL, check=True,
                       env={**os.environ, "HOME": folder, "XDG_STATE_HOME": str(home / "state"),
                            "XDG_CONFIG_HOME": str(home / "config")})
        print(f"\n{'GB/s':18}{'a bundle':>15}")
        for name in names:
            figures = [bundled(paths[name, BYTES_BUNDLE], home) for _ in range(ROUNDS)]
            print(f"{name:18}{statistics.median(figures):15.4f}", flush=True)


def report_speed():
    names, paths = write_inputs()
    contestants = {
        "agent-machine": (BYTES, lambda p: [PROGRAM, "redact", p]),
        "secretlint": (BYTES_SECRETLINT, lambda p: [
            SECRETLINT, "--secretlintrc", "secretlintrc.json", "--format", "mask-result", p]),
        "grep -E": (BYTES_GREP, lambda p: ["grep", "-aoE", "-f", DATA / "redact.ere", p]),
    }
    print(f"\n{'GB/s':18}" + "".join(f"{name:>15}" for name in contestants))
    for name in names:
        figures = {contestant: [] for contestant in contestants}
        for _ in range(ROUNDS):
            for contestant, (size, command) in contestants.items():
                figures[contestant].append(timed(command(paths[name, size]), size))
        print(f"{name:18}" + "".join(f"{statistics.median(figures[c]):15.4f}" for c in contestants),
              flush=True)
    report_bundle(names, paths)
    for path in paths.values():
        path.unlink()


if __name__ == "__main__":
    write_inputs()
    report_accuracy()
    report_speed()
