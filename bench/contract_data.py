"""The documents that bench/contract.py validates: many of each kind, the same on every machine."""

import json
import pathlib
import random

INSTANCES = {"features": 200, "manifest": 2000, "events": 5000}
CATALOGUE_INSTANCES = 1000
CATALOGUE_TYPES = (
    "NetworkAccessProfile",
    "AgentMachineProfile",
    "OperationEvent",
    "DiagnosticStormRecord",
)
WORDS = ("amber basin cedar delta ember fjord grove harbor inlet juniper kelp larch meadow nettle "
         "orchard prairie quarry ridge summit tundra upland valley willow yarrow zephyr").split()


def position(rng):
    return [round(rng.uniform(-180, 180), 6), round(rng.uniform(-90, 90), 6)]


def ring(rng):
    points = [position(rng) for _ in range(rng.randint(3, 40))]
    return points + points[:1]


def geometry(rng):
    kind = rng.choice(["Point", "LineString", "Polygon", "MultiPolygon"])
    if kind == "Point":
        coordinates = position(rng)
    elif kind == "LineString":
        coordinates = [position(rng) for _ in range(rng.randint(2, 40))]
    elif kind == "Polygon":
        coordinates = [ring(rng) for _ in range(rng.randint(1, 2))]
    else:
        coordinates = [[ring(rng)] for _ in range(rng.randint(1, 4))]
    return {"type": kind, "coordinates": coordinates}


def features(rng):
    return {
        "type": "FeatureCollection",
        "bbox": [-180, -90, 180, 90],
        "features": [
            {
                "type": "Feature",
                "id": number,
                "properties": {"name": rng.choice(WORDS), "population": rng.randrange(10**6)},
                "geometry": geometry(rng),
            }
            for number in range(rng.randint(1, 30))
        ],
    }


def name(rng):
    plain = "-".join(rng.sample(WORDS, rng.randint(1, 3)))
    return f"@{rng.choice(WORDS)}/{plain}" if rng.random() < 0.3 else plain


def version(rng):
    return ".".join(str(rng.randrange(20)) for _ in range(3))


def dependencies(rng, most):
    return {name(rng): f"^{version(rng)}" for _ in range(rng.randrange(most))}


def person(rng):
    who = rng.choice(WORDS)
    if rng.random() < 0.5:
        return f"{who} <{who}@example.org>"
    return {"name": who, "email": f"{who}@example.org", "url": f"https://{who}.example.org/"}


def manifest(rng):
    document = {
        "name": name(rng),
        "version": version(rng),
        "description": " ".join(rng.choices(WORDS, k=rng.randint(4, 12))),
        "keywords": rng.sample(WORDS, rng.randint(0, 10)),
        "license": rng.choice(["MIT", "ISC", "Apache-2.0"]),
        "author": person(rng),
        "main": "lib/index.js",
        "type": rng.choice(["commonjs", "module"]),
        "exports": {".": {"import": "./lib/index.mjs", "default": "./lib/index.js"}},
        "scripts": {word: f"run {word}" for word in rng.sample(WORDS, rng.randint(1, 8))},
        "dependencies": dependencies(rng, 20),
        "devDependencies": dependencies(rng, 30),
        "engines": {"node": ">=18"},
    }
    if rng.random() < 0.5:
        document["maintainers"] = [person(rng) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.7:
        document["repository"] = {"type": "git", "url": f"git+https://example.org/{name(rng)}.git"}
    return document


def payload(rng, kind):
    if kind == "login":
        return {"method": rng.choice(["password", "key", "token"]),
                "succeeded": rng.random() < 0.9, "attempts": rng.randint(1, 5)}
    if kind == "purchase":
        return {"currency": rng.choice(["EUR", "USD", "CHF"]), "lines": [
            {"article": f"AB-{rng.randrange(10**6)}", "quantity": rng.randint(1, 9),
             "price": round(rng.uniform(0.5, 500), 2)} for _ in range(rng.randint(1, 12))]}
    if kind == "page-view":
        return {"path": f"/{rng.choice(WORDS)}/{rng.choice(WORDS)}",
                "referrer": rng.choice([None, "https://example.org/"]),
                "durationMs": rng.randrange(60000)}
    if kind == "measurement":
        return {"name": rng.choice(WORDS), "unit": "ms",
                "values": [round(rng.gauss(20, 5), 3) for _ in range(rng.randint(1, 60))]}
    return {"code": rng.choice([400, 404, 500, 503]), "message": " ".join(rng.choices(WORDS, k=6)),
            "frames": [{"file": f"src/{rng.choice(WORDS)}.c", "line": rng.randint(1, 900),
                        "function": rng.choice(WORDS)} for _ in range(rng.randint(0, 15))]}


def events(rng):
    kind = rng.choice(["login", "purchase", "page-view", "measurement", "error"])
    digits = f"{rng.getrandbits(128):032x}"
    return {
        "id": "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]]),
        "time": f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T12:30:{rng.randint(0, 59):02}Z",
        "source": f"/{rng.choice(WORDS)}",
        "kind": kind,
        "actor": {"id": rng.randint(1, 10**6), "name": rng.choice(WORDS), "address": "192.0.2.7"},
        "tags": rng.sample(WORDS, rng.randint(0, 5)),
        "sequence": rng.randrange(10**9),
        "payload": payload(rng, kind),
    }


def catalogue(examples, number):
    """An accepted example under an identifier of its own."""
    document = dict(examples[number % len(examples)])
    document["id"] += f"-{number}"
    return document


def sets(root, folder):
    """Writes NAME.jsonl (and its first document as NAME.json) and yields name, schema and count."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = [(kind, root / "bench/schemas" / f"{kind}.json", globals()[kind], count)
              for kind, count in INSTANCES.items()]
    for kind in CATALOGUE_TYPES:
        examples = [document for document in map(json.loads, map(
            pathlib.Path.read_text, sorted((root / "examples").glob("*.json"))))
            if document.get("type") == kind]
        numbers = iter(range(CATALOGUE_INSTANCES))
        makers.append((kind, root / "schemas" / f"{kind}.json",
                       lambda _, examples=examples, numbers=numbers: catalogue(examples, next(numbers)),
                       CATALOGUE_INSTANCES))
    for kind, schema, make, count in makers:
        source = random.Random(kind)
        lines = [json.dumps(make(source), separators=(",", ":")) for _ in range(count)]
        (folder / f"{kind}.jsonl").write_text("\n".join(lines) + "\n")
        (folder / f"{kind}.json").write_text(lines[0] + "\n")
        yield kind, schema, count
