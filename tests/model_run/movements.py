#!/usr/bin/env python3
"""Follows the tokens of one budget through a ledger's events.

usage: movements.py LEDGER.jsonl BUDGET CEILING

Fails where at any moment more is set aside and used than the ceiling, but for what was used beyond
it in one settlement; prints what was used at the end.
"""

import json
import sys

held, used, most = {}, 0, 0  # by operation
for line in open(sys.argv[1], encoding="utf-8"):
    event = json.loads(line)
    of = event.get("operationRef")
    before = sum(held.values())
    for movement in event.get("usage", []):
        if movement["budgetRef"] != sys.argv[2] or movement["dimension"] != "tokens":
            continue
        if movement["movement"] == "reserve":
            held[of] = held.get(of, 0) + movement["amount"]
        elif movement["movement"] == "settle":
            used += movement["amount"]
            held[of] = max(0, held.get(of, 0) - movement["amount"])
        elif movement["movement"] == "release":
            held[of] -= movement["amount"]
    reserved = sum(held.values())
    most = max(most, reserved)
    if reserved > before and reserved + used > int(sys.argv[3]):
        sys.exit(f"{reserved} set aside and {used} used, in {event['id']}")
reserved = sum(held.values())
print(f"most {most}, left {reserved}, used {used}")
sys.exit(reserved != 0)
