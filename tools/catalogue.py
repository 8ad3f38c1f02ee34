#!/usr/bin/env python3
"""Makes schemas/README.md, the catalogue of the contracts, from the schemas themselves.

usage: catalogue.py [--check] [SCHEMAS_FOLDER]

With --check nothing is written: the command fails when the catalogue is stale, when a schema
stands in no family, or when a family names a schema that is not there.
"""

import json
import pathlib
import re
import sys

FAMILIES = {
    "doors": (
        "What a run may reach, and through what.",
        "NetworkAccessProfile FirewallBindingProfile MeshBindingProfile ExternalModelProviderProfile"
        " NativeAssistantBridgeProfile",
    ),
    "machine": (
        "What a run is: its planes, its mounts, its tools, its fingerprint.",
        "AgentMachineProfile AgentWorkspaceMount AgentToolSurface AgentMachineFingerprint",
    ),
    "operations": (
        "What is asked, decided, done and recorded.",
        "WorkspaceOperation OperationTask OperationCommand OperationEvent OperationContract Delegation"
        " Budget PolicyDecision DecisionCard LocalAgentExecution ToolGrantRecord"
        " ContainerExecutionRecord ModelProviderBinding AgentMachineDiagnosticBundle OperationExport",
    ),
    "authority": (
        "What the machine really grants, and what it says when it does not.",
        "CapabilityContract CapabilityGrantState DiagnosticStormRecord NetworkTruthState"
        " RuntimeRegistryIntegrityRecord BootSessionPhaseState",
    ),
    "carry": (
        "References to local models and services: carried, never promoted.",
        "LocalModelProfile ServiceClient SignedServiceReference LaunchProfile CachePolicy"
        " FallbackReference ReleaseSetBinding BootReleaseSetBinding EvidenceCollector WorkstationHint",
    ),
}

HEAD = """# The contracts

JSON Schema, draft 2020-12, one file per document type. The file's name is the schema's `title` and
the document's `type` (`kind` in the carry family); `agent-machine contract validate FILE` picks the
schema by it. Accepted documents lie in `../examples/`, refused ones in `../examples/refused/`.

This page is made by `tools/catalogue.py` from the schemas: change them, not it.
"""


class SchemaError(Exception):
    pass


class Schema:
    """A schema of the catalogue, with what the catalogue says of it."""

    def __init__(self, path):
        try:
            self.document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SchemaError(f"{path}: {error}")
        self.file = path.name
        self.type = path.stem
        if self.document.get("title") != self.type:
            raise SchemaError(f"{path}: the title is not {self.type}")
        self.description = self.document.get("description", "")
        if not self.description:
            raise SchemaError(f"{path}: there is no description")
        self.urn_prefix = self._urn_prefix(path)

    def _urn_prefix(self, path):
        properties = self.document.get("properties", {})
        for name in ("id", "profileId"):
            pattern = properties.get(name, {}).get("pattern", "")
            found = re.match(r"\^(urn:srcos:[a-z0-9-]+:)", pattern)
            if found:
                return found.group(1)
        raise SchemaError(f"{path}: the pattern of id (profileId) does not begin with ^urn:srcos:…:")

    @property
    def line(self):
        """The description's first sentence, fit for a table."""
        sentence = re.split(r"(?<=[.!?])\s", self.description, maxsplit=1)[0]
        return " ".join(sentence.split()).replace("|", "\\|")


def load_schemas(folder):
    """All schemas of a folder, sorted by type."""
    return [Schema(path) for path in sorted(pathlib.Path(folder).glob("*.json"))]


def catalogue(schemas):
    """The page, and what is wrong with the set."""
    known = {schema.type: schema for schema in schemas}
    faults = []
    page = [HEAD]
    for family, (purpose, types) in FAMILIES.items():
        page.append(f"## {family}\n\n{purpose}\n")
        page.append("| file | type | URN prefix | what it says |\n| --- | --- | --- | --- |")
        for name in types.split():
            schema = known.pop(name, None)
            if schema is None:
                faults.append(f"{name} of the family {family} has no schema")
                continue
            page.append(f"| [{schema.file}]({schema.file}) | {schema.type} | `{schema.urn_prefix}` "
                        f"| {schema.line} |")
        page.append("")
    faults += [f"{name} stands in no family (FAMILIES in tools/catalogue.py)" for name in known]
    return "\n".join(page), faults


def main(arguments):
    check = arguments[:1] == ["--check"]
    rest = arguments[check:]
    if len(rest) > 1 or any(argument.startswith("-") for argument in rest):
        sys.exit(__doc__)
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(rest[0]) if rest else root / "schemas"
    try:
        page, faults = catalogue(load_schemas(folder))
    except SchemaError as error:
        sys.exit(str(error))
    readme = folder / "README.md"
    if not check:
        readme.write_text(page, encoding="utf-8")
    elif not readme.exists() or readme.read_text(encoding="utf-8") != page:
        faults.append(f"{readme} is stale: run tools/catalogue.py")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
