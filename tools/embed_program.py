#!/usr/bin/env python3
"""Carries a program within another: embed_program.py PROGRAM OUTPUT NAME

The output is C that has the program's bytes between NAME and NAME_end.
"""
import os
import sys

program, output, name = sys.argv[1:]
path = os.path.abspath(program).replace("\\", "\\\\").replace('"', '\\"')
with open(output, "w", encoding="utf-8") as out:
    out.write(f"""__asm__(
    ".section .rodata\\n"
    ".balign 16\\n"
    ".global {name}, {name}_end\\n"
    ".type {name}, @object\\n"
    "{name}:\\n"
    ".incbin \\"{path}\\"\\n"
    ".size {name}, . - {name}\\n"
    "{name}_end:\\n"
    ".byte 0\\n"
    ".previous\\n");
""")
