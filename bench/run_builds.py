"""What is built inside and outside of the staged overlay: a C project, and `npm ci` offline.

The C project is generated, always the same: many files, each with system headers and functions that
give an optimiser something to do. Its compiler writes no temporary files (-pipe): /tmp is memory
inside, and may be a disk outside. The npm project comes once from the registry, with the cache that
`npm ci --offline` then reads; both stay under build/.
"""

import shutil
import subprocess

C_FILES = 40
C_FUNCTIONS = 12
C_CASES = 8
NPM_PROJECT = """{
  "name": "sample", "version": "1.0.0", "private": true,
  "dependencies": { "ajv": "8.17.1", "express": "4.21.2", "lodash-es": "4.17.21" }
}
"""
NPM_CACHE = ".cache/npm"


def c_function(file, number):
    cases = "".join(f"        case {case}: value = value * {case * 7 + number + 3}u + data[(i + "
                    f"{case}) % count]; break;\n" for case in range(C_CASES))
    return f"""
unsigned part{file}_{number}(const unsigned *data, size_t count, char *text, size_t size)
{{
    unsigned value = {file * 31 + number}u;
    for (size_t i = 0; i < count; i++) {{
        switch (data[i] % {C_CASES}u) {{
{cases}        }}
        if (value & 1u)
            value ^= (unsigned)strlen(text) + (unsigned)i;
    }}
    snprintf(text, size, "part {file} {number}: %u", value);
    return value;
}}
"""


def make_c(folder):
    if (folder / "Makefile").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "src").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", folder], check=True)
    headers = "".join(f"#include <{name}.h>\n" for name in
                      ("errno", "math", "pthread", "stdio", "stdlib", "string", "unistd"))
    signature = "(const unsigned *data, size_t count, char *text, size_t size)"
    names = [f"part{file}_{number}" for file in range(C_FILES) for number in range(C_FUNCTIONS)]
    (folder / "src/parts.h").write_text(
        headers + "".join(f"unsigned {name}{signature};\n" for name in names))
    for file in range(C_FILES):
        (folder / f"src/part{file}.c").write_text('#include "parts.h"\n' + "".join(
            c_function(file, number) for number in range(C_FUNCTIONS)))
    calls = "".join(f"    sum += {name}(data, 64, text, sizeof(text));\n" for name in names)
    (folder / "src/main.c").write_text(
        '#include "parts.h"\n\nint main(void)\n{\n    unsigned data[64] = { 1, 2, 3 }, sum = 0;\n'
        f'    char text[64] = "";\n{calls}    printf("%u\\n", sum);\n    return 0;\n}}\n')
    (folder / "Makefile").write_text(
        "objects = $(patsubst %.c,%.o,$(wildcard src/*.c))\n"
        "program: $(objects)\n\tcc -o $@ $(objects)\n"
        "%.o: %.c src/parts.h\n\tcc -O2 -pipe -c -o $@ $<\n")
    return folder


def make_npm(folder):
    """Asks the registry for what it lacks; raises what npm says."""
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / "package.json").write_text(NPM_PROJECT)
    subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                    "--no-update-notifier", "--loglevel=error", "--cache", folder / NPM_CACHE],
                   cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / "node_modules")
    (folder / "complete").touch()
    return folder


def npm_ci():
    """The cache is kept by the registry's address: the one that npm is set to."""
    registry = subprocess.run(["npm", "config", "get", "registry"], check=True, text=True,
                              capture_output=True).stdout.strip()
    return ["npm", "ci", "--offline", "--ignore-scripts", "--no-audit", "--no-fund",
            "--no-update-notifier", "--loglevel=error", "--cache", NPM_CACHE,
            f"--registry={registry}"]


def builds(data):
    """Name, project and command of each; and what is left out, with the reason."""
    found, left_out = [], {}
    if shutil.which("make") and shutil.which("cc"):
        found.append((f"make -j2, {C_FILES + 1} C files", make_c(data / "c-project"),
                      ["make", "-s", "-j2"]))
    else:
        left_out["make"] = "there is no make or no cc"
    try:
        found.append(("npm ci", make_npm(data / "npm-project"), npm_ci()))
    except (OSError, subprocess.SubprocessError) as error:
        left_out["npm ci"] = str(error)
    return found, left_out
