#!/usr/bin/env python3
"""Writes the metaschemas of draft 2020-12 as one C file, for the binary to carry.

usage: embed_metaschemas.py OUTPUT FILE...

The declarations are in src/contract/metaschema.h.
"""

import json
import pathlib
import sys

from embed import literal


def entry(path):
    document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    text = json.dumps(document, separators=(",", ":"))
    return f'    {{\n        .uri = "{document["$id"]}",\n        .text =\n' \
           f'{literal(text, " " * 12)},\n        .len = {len(text)},\n    }},'


def main(output, *files):
    lines = [
        "/* Made by tools/embed_metaschemas.py from src/contract/draft2020-12/. */",
        '#include "contract/metaschema.h"',
        "",
        "const struct embedded_metaschema embedded_metaschemas[] = {",
        *(entry(path) for path in files),
        "};",
        f"const size_t embedded_metaschemas_count = {len(files)};",
    ]
    pathlib.Path(output).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
