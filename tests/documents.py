#!/usr/bin/env python3
"""Checks every document that was collected: what was stored, and what was printed.

usage: tests/documents.py PROGRAM FOLDER

FOLDER/ledgers/*/ledger.db are ledgers that tests left; FOLDER/printed/* is JSON or JSON Lines that
the program printed. A document is any object whose `type` or `kind` is one of the catalogue's and
which has what else every document has; it may stand inside something else. Those of one ledger or
of one output are held together against schemas and rules, as `contract lint` does it. References
need not resolve: what they lead to may lie elsewhere.

Prints a line for each fault, and last what was counted. Exit status 1 where there was a fault.
"""

import base64
import collections
import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTRACTS = sorted((ROOT / "examples").glob("operation-contract.*.json"))  # the rules compare with them
# The plane's notes to itself.
OWN = {"Supervision", "SupervisionEnded", "DecisionOpen", "DecisionClosed", "DecisionQuestion", "DecisionLease",
       "ModelBound"}
RECEIPTS = {"RunReceipt", "FirewallReceipt"}  # no contracts: the verbs that read them say what they must hold
ELSEWHERE = "document.references-resolve"


def catalogue():
    types = {path.stem for path in (ROOT / "schemas").glob("*.json")}
    return types or sys.exit("there are no schemas")


TYPES = catalogue()
faults = 0
counts = collections.Counter()


def fault(where, what):
    global faults
    faults += 1
    print(f"{where}: {what}")


def kind_of(value):
    """The catalogue's type that an object says it has; None where it says none."""
    for name, further in (("type", ("specVersion", "id")), ("kind", ("schemaVersion",))):
        word = value.get(name)
        if isinstance(word, str) and word in TYPES and any(more in value for more in further):
            return word
    return None


def documents_in(value):
    """Every document in a value, however deep it stands."""
    found, left = [], [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            kind = kind_of(value)
            if kind:
                counts[kind] += 1
                found.append(value)
            value = list(value.values())
        if isinstance(value, list):
            left.extend(reversed(value))
    return found


def payload(envelope):
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


def of_ledger(path):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for (text,) in database.execute("SELECT json FROM event ORDER BY sequence"):
        yield json.loads(text)
    for kind, text in database.execute("SELECT type, json FROM document ORDER BY number"):
        if kind == "DelegationEnvelope":
            yield payload(text)
        elif kind in TYPES:
            yield json.loads(text)
        elif kind not in OWN | RECEIPTS:
            fault(path, f"{kind} is no type of the catalogue")
    database.close()


def of_printed(path):
    text = path.read_text(encoding="utf-8")
    try:
        return [json.loads(text)]
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        fault(path, f"neither JSON nor JSON Lines: {error}")
        return []


def lint(program, title, documents):
    """Writes the documents down, each in a file, and asks the program."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, document in enumerate(documents):
            names.append(f"{folder}/{number:06}.json")
            pathlib.Path(names[-1]).write_text(json.dumps(document), encoding="utf-8")
        command = [program, "contract", "lint", "--json", folder, *map(str, CONTRACTS)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode not in (0, 65):
            fault(title, answer.stderr.strip() or f"exit status {answer.returncode}")
        for line in answer.stdout.splitlines():
            finding = json.loads(line)
            if finding.get("rule") == ELSEWHERE:
                continue
            name = finding.get("file", "")
            document = documents[int(pathlib.Path(name).stem)] if name in names else {}
            fault(f"{title}: {document.get('id', name)}", line.replace(name, "document"))


def main(program, folder):
    ledgers = sorted(pathlib.Path(folder).glob("ledgers/*/ledger.db"))
    files = sorted(pathlib.Path(folder).glob("printed/*"))
    for path in ledgers:
        lint(program, path.parent.name, documents_in(list(of_ledger(path))))
    for path in files:
        documents = documents_in(of_printed(path))
        if documents:
            lint(program, path.name, documents)
    print(f"{sum(counts.values())} documents of {len(counts)} types, {len(ledgers)} ledgers, "
          f"{len(files)} outputs, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
