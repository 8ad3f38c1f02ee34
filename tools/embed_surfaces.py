#!/usr/bin/env python3
"""Writes the built-in tool surfaces as one C file, for the binary to carry.

usage: embed_surfaces.py FOLDER OUTPUT DEPFILE

The declarations are in src/machine/surface.h. The depfile names the folder too, so that a document
that comes or goes is noticed.
"""

import json
import pathlib
import sys

from embed import literal


def entry(document):
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return "\n".join([
        "    {",
        f'        .name = "{document["name"]}",',
        f'        .id = "{document["id"]}",',
        f"        .text =\n{literal(text, ' ' * 12)},",
        f"        .len = {len(text.encode('utf-8'))},",
        "    },",
    ])


def main(folder, output, depfile):
    files = sorted(pathlib.Path(folder).glob("*.json"))
    lines = [
        "/* Made by tools/embed_surfaces.py from src/machine/surfaces/. */",
        '#include "machine/surface.h"',
        "",
        "const struct embedded_surface embedded_surfaces[] = {",
        *(entry(json.loads(file.read_text(encoding="utf-8"))) for file in files),
        "};",
        f"const size_t embedded_surfaces_count = {len(files)};",
    ]
    pathlib.Path(output).write_text("\n".join(lines) + "\n", encoding="utf-8")
    escaped = (str(name).replace(" ", "\\ ") for name in [folder, *files])
    pathlib.Path(depfile).write_text(f"{output}: {' '.join(escaped)}\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
