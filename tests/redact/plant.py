"""What tests/diagnostics.sh plants, and the search for it afterwards.

plant.py OUT                        makes what is planted, of a seed, as JSON
plant.py --file PLANTED             prints a file that holds all secrets in every form
plant.py --search PLANTED [--but-prompts] FOLDER FILE…
                                    fails where any of it is in the bytes: as it is, in base64 at
                                    every offset, percent-encoded, in hexadecimal, whatever the case
plant.py --tamper BUNDLE OUT        the same bundle with one file changed
plant.py --link|--path|--device|--bomb OUT
                                    bundles that are meant to harm
"""

import base64
import io
import json
import pathlib
import random
import subprocess
import sys
import tarfile
import urllib.parse

import samples


def make(out):
    rng = random.Random(7)
    planted = {"token": samples.with_crc(rng, "ghp_"), "password": "tr0ub4dor&3-horse",
               "literal": "gerbil-" + samples.body(rng, samples.ALNUM.lower(), 14),
               "otherLiteral": "otter-" + samples.body(rng, samples.ALNUM.lower(), 12),
               "prompt": "Please summarise the merger plans of Northwind for the board meeting"}
    rows = [(text, secret) for _, text, secret in samples.positives(1, seed=9)]
    planted["secrets"] = [secret for _, secret in rows] + [planted["token"], planted["password"]]
    planted["text"] = "\n".join([text for text, _ in rows] + [f"DB_PASSWORD={planted['password']}",
                                                             planted["token"]])
    pathlib.Path(out).write_text(json.dumps(planted))


def forms(text):
    """Every spelling that is searched for: the core that does not depend on neighbours."""
    raw = text.encode()
    yield "as it is", raw
    yield "percent", urllib.parse.quote(text, safe="").encode()
    yield "hexadecimal", raw.hex().encode()
    yield "json", json.dumps(text)[1:-1].encode()
    for offset in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            core = encode(b"\0" * offset + raw).rstrip(b"=")
            yield f"{name}+{offset}", core[2 if offset else 0:-2]


def search(planted, places, with_prompts):
    texts = {}
    for secret in planted["secrets"] + [planted["literal"], planted["otherLiteral"]]:
        for line in secret.split("\n"):
            if len(line) >= 8 and "PRIVATE KEY" not in line:
                texts[line] = True
    if with_prompts:
        texts[planted["prompt"]] = texts["merger plans"] = True
    places = [path for place in map(pathlib.Path, places)
              for path in (sorted(place.rglob("*")) if place.is_dir() else [place])]
    found, count = [], 0
    for path in places:
        data = path.read_bytes() if path.is_file() else b""
        data += str(path).encode()
        for text in texts:
            for form, needle in forms(text):
                count += 1
                if needle in data or needle.lower() in data.lower():
                    found.append(f"{path}: {text[:60]!r} {form}")
    print(f"searched for {len(texts)} texts in {len(list(forms('x' * 9)))} forms in {len(places)} files")
    print("\n".join(found))
    sys.exit(1 if found or not count else 0)


def print_file(planted):
    print("a harmless line\n" + planted["text"])
    for literal in (planted["literal"], planted["otherLiteral"]):
        print("a harmless line")
        for before in ("", "x", "xy"):
            encoded = base64.b64encode(f"{before}{literal} and more".encode()).decode()
            print(f"blob {encoded} end")
        print(f"as it is {literal}; in a path /home/x/{literal}/y; {literal.encode().hex()}")
        print("https://example.com/?q=" + urllib.parse.quote(literal))
    for secret in (planted["token"], "password=" + planted["password"]):
        print("blob " + base64.b64encode(f"user ada {secret} and more".encode()).decode())
        print("https://example.com/?q=" + urllib.parse.quote(secret, safe=""))
    print(json.dumps({"note": planted["literal"], "list": [planted["token"], 1], "ok": True}))


def pack(members, out):
    """A bundle of hand-made tar members: (TarInfo, bytes)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    pathlib.Path(out).write_bytes(zstd(data.getvalue()))


def zstd(data, *arguments):
    return subprocess.run(["zstd", "-qc", *arguments], input=data, capture_output=True, check=True).stdout


def tamper(bundle, out):
    packed = pathlib.Path(bundle).read_bytes()
    data = zstd(packed, "-d")
    first = 512 + (int(data[124:135], 8) + 511) // 512 * 512
    changed = data[first:].replace(b'"system": "Linux"', b'"system": "Minix"')
    pathlib.Path(out).write_bytes(zstd(data[:first]) + zstd(changed))


def hostile(kind, out):
    manifest = (tarfile.TarInfo("manifest.json"), b"{}")
    info = tarfile.TarInfo("link")
    if kind == "link":
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    elif kind == "path":
        info.name = "../../link"
    elif kind == "device":
        info.type = tarfile.CHRTYPE
    content = b"\0" * (600 << 20) if kind == "bomb" else b""
    pack([manifest, (info, content)], out)


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--search":
        planted = json.loads(pathlib.Path(arguments[1]).read_text())
        with_prompts = "--but-prompts" not in arguments
        search(planted, [a for a in arguments[2:] if a != "--but-prompts"], with_prompts)
    elif arguments[0] == "--file":
        print_file(json.loads(pathlib.Path(arguments[1]).read_text()))
    elif arguments[0] == "--tamper":
        tamper(*arguments[1:])
    elif arguments[0].startswith("--"):
        hostile(arguments[0][2:], arguments[1])
    else:
        make(arguments[0])


if __name__ == "__main__":
    main()
