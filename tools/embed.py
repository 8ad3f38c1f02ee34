#!/usr/bin/env python3
"""Writes the schemas as one C file, for the binary to carry.

usage: embed.py SCHEMAS_FOLDER OUTPUT DEPFILE

The declarations are in src/contract/catalogue.h. The depfile names the folder too, so that a
schema that comes or goes is noticed.
"""

import json
import pathlib
import sys

from catalogue import SchemaError, load_schemas

PIECE_BYTES = 88  # of text on one line of the C file
PLAIN = {byte: chr(byte) for byte in range(0x20, 0x7F)}
PLAIN.update({ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"})


def literal(text, indent):
    """A C string literal, in as many pieces as it takes."""
    data = text.encode("utf-8")
    pieces = [data[i:i + PIECE_BYTES] for i in range(0, len(data), PIECE_BYTES)] or [b""]
    lines = ("".join(PLAIN.get(byte, f"\\{byte:03o}") for byte in piece) for piece in pieces)
    return "\n".join(f'{indent}"{line}"' for line in lines)


def entry(schema):
    text = json.dumps(schema.document, ensure_ascii=False, separators=(",", ":"))
    return "\n".join([
        "    {",
        f'        .type = "{schema.type}",',
        f'        .urn_prefix = "{schema.urn_prefix}",',
        f"        .description =\n{literal(schema.description, ' ' * 12)},",
        f"        .text =\n{literal(text, ' ' * 12)},",
        f"        .len = {len(text.encode('utf-8'))},",
        "    },",
    ])


def main(folder, output, depfile):
    try:
        schemas = load_schemas(folder)
    except SchemaError as error:
        sys.exit(str(error))
    lines = [
        "/* Made by tools/embed.py from schemas/. */",
        '#include "contract/catalogue.h"',
        "",
        "const struct embedded_schema embedded_schemas[] = {",
        *(entry(schema) for schema in schemas),
        "};",
        f"const size_t embedded_schemas_count = {len(schemas)};",
    ]
    pathlib.Path(output).write_text("\n".join(lines) + "\n", encoding="utf-8")
    inputs = [str(folder)] + [str(pathlib.Path(folder) / schema.file) for schema in schemas]
    escaped = (name.replace(" ", "\\ ") for name in inputs)
    pathlib.Path(depfile).write_text(f"{output}: {' '.join(escaped)}\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
