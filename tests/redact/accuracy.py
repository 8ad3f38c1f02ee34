#!/usr/bin/env python3
"""How much of what the scanner should mask it masks, and what else: accuracy.py PROGRAM [COUNT]

Prints a table by format and exits with 1 where recall or precision falls below what README says.
"""

import collections
import subprocess
import sys

import samples

RECALL_LEAST = 0.99
PRECISION_LEAST = 0.99
SEPARATOR = "\n=====\n"


def redact(program, texts):
    text = SEPARATOR.join(texts) + "\n"
    done = subprocess.run([program, "redact"], input=text.encode(), capture_output=True, check=True)
    return done.stdout.decode().removesuffix("\n").split(SEPARATOR)


def measure(mask, count):
    """mask(texts) → texts. Returns (found, all) by format, and (masked, all) by look-alike."""
    recall = collections.defaultdict(lambda: [0, 0])
    wrong = collections.defaultdict(lambda: [0, 0])
    rows = list(samples.positives(count))
    for (name, _, secret), out in zip(rows, mask([text for _, text, _ in rows]), strict=True):
        recall[name][0] += secret not in out and "[redacted:" in out
        recall[name][1] += 1
    rows = list(samples.negatives(count))
    for (name, text), out in zip(rows, mask([text for _, text in rows]), strict=True):
        wrong[name][0] += out != text
        wrong[name][1] += 1
    return recall, wrong


def total(table):
    return sum(row[0] for row in table.values()), sum(row[1] for row in table.values())


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    recall, wrong = measure(lambda texts: redact(sys.argv[1], texts), count)
    for title, table in (("found", recall), ("masked though no secret", wrong)):
        print(title)
        for name, (hits, tried) in table.items():
            print(f"  {name:28} {hits:6} of {tried}")
    found, planted = total(recall)
    false, harmless = total(wrong)
    print(f"recall {found / planted:.4f}: {found} of {planted} in {len(recall)} formats")
    print(f"precision {found / (found + false):.4f}: {false} of {harmless} look-alikes in "
          f"{len(wrong)} classes were masked")
    good = found >= RECALL_LEAST * planted and found >= PRECISION_LEAST * (found + false)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
