#!/usr/bin/env python3
"""Makes an image in an OCI layout of local files: no network, no builder.

usage: make.py LAYOUT TAG [NAME=VALUE...] LAYER...

A LAYER is a folder, or a tar file. NAME is one of the config's (User, WorkingDir as text; Env,
Entrypoint, Cmd as JSON), `compress` (gzip, zstd, none), or, to make an image that lies, `diff`,
`blob` and `size`, which take the place of its last layer's digests and length.
Prints the digest of the manifest.
"""
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pack(folder):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, arcname=".")
    return out.getvalue()


def compressed(data, how):
    if how == "gzip":
        return gzip.compress(data, mtime=0), "+gzip"
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE,
                              check=True).stdout, "+zstd"
    return data, ""


def main(layout, tag, *words):
    settings = {}
    layers = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and "/" not in name:
            settings[name] = value
        else:
            layers.append(word)
    blobs = os.path.join(layout, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)

    def put(data):
        with open(os.path.join(blobs, digest(data)[7:]), "wb") as file:
            file.write(data)
        return {"digest": digest(data), "size": len(data)}

    descriptors, diffs = [], []
    for layer in layers:
        data = pack(layer) if os.path.isdir(layer) else open(layer, "rb").read()
        diffs.append(digest(data))
        data, suffix = compressed(data, settings.get("compress", "gzip"))
        descriptors.append({"mediaType": "application/vnd.oci.image.layer.v1.tar" + suffix, **put(data)})
    if "diff" in settings:
        diffs[-1] = settings["diff"]
    if "blob" in settings:
        descriptors[-1]["digest"] = settings["blob"]
    if "size" in settings:
        descriptors[-1]["size"] = int(settings["size"])
    config = {name: settings[name] for name in ("User", "WorkingDir") if name in settings}
    config |= {name: json.loads(settings[name]) for name in ("Env", "Entrypoint", "Cmd")
               if name in settings}
    machine = platform.machine()
    config = put(json.dumps({"architecture": settings.get("architecture", MACHINES.get(machine, machine)),
                             "os": "linux", "config": config,
                             "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": descriptors}).encode())
    path = os.path.join(layout, "index.json")
    index = json.load(open(path)) if os.path.exists(path) else {"schemaVersion": 2, "manifests": []}
    index["manifests"] = [entry for entry in index["manifests"]
                          if entry["annotations"]["org.opencontainers.image.ref.name"] != tag]
    index["manifests"].append({"mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest,
                               "annotations": {"org.opencontainers.image.ref.name": tag}})
    with open(path, "w") as file:
        json.dump(index, file)
    with open(os.path.join(layout, "oci-layout"), "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)
    print(manifest["digest"])


if __name__ == "__main__":
    main(*sys.argv[1:])
