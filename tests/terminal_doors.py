"""What the doors leave to a person, at the terminal of a run. terminal_doors.py PROGRAM PORT

A layer leaves asked.test to a person; a server on PORT of this machine answers "the page". Silent if
all is well.
"""
import json
import os
import select
import subprocess
import sys

from terminals import at_terminal, end, unread, until

PROGRAM, PORT = sys.argv[1:]
PROMPT = b"answer [no] "
URL = f"http://asked.test:{PORT}/"


def start(script):
    return at_terminal(PROGRAM, 40, 80, "run", "--discard", "--", "sh", "-c", script)


def finish(pid, master):
    shown = until(master, None)
    os.close(master)
    return end(pid), shown


def pending():
    lines = subprocess.check_output([PROGRAM, "op", "pending", "--json"]).splitlines()
    return json.loads(lines[-1])


# The question is in words; what wants the host waits for the answer, and goes on with it. Nothing
# that is typed reaches the command meanwhile, and what it prints is not shown.
pid, master = start(f"""trap 'echo drawn anew' WINCH
(while :; do echo tick; sleep 0.02; done) & ticks=$!
curl -sS -m 60 {URL}; kill $ticks; read line; echo "got=$line" """)
shown = until(master, PROMPT)
words = b" ".join(shown.split())
for part in (b"May urn:srcos:user:", b"connect to asked.test", b"layer user",
             b"this-run Yes, for this run: Every program in this run may connect to asked.test, at "
             b"any port, for an hour.",
             b"this-flow Yes, this one connection: One connection of this run may connect to "
             b"asked.test, within 10 minutes.", b"no No: It stays denied."):
    assert part in words, (part, shown)
assert b"tick" not in shown[shown.index(b"agent-machine asks"):], shown
assert pending()["resource"]["name"] == "asked.test"  # takes its time, while nothing is shown
assert unread.get(master, b"") == b"" and not select.select([master], [], [], 0)[0], "it is frozen"
os.write(master, b"perhaps\n")
until(master, b"one of the answers above [no] ")
os.write(master, b"this-run\n")
shown = until(master, b"the page")
os.write(master, b"typed\n")
shown += until(master, b"got=typed")
assert b"tick" in shown and b"drawn anew" in shown, shown
status, rest = finish(pid, master)
assert status == 0, (status, rest)

# An answer that denies, no answer at all, and the key that interrupts: the run goes on without.
for answer in (b"no\n", b"\n", b"\x03", b"\x04"):
    pid, master = start(f"curl -sS -m 60 {URL} || echo without; curl -sS -m 60 {URL} || echo again")
    until(master, PROMPT)
    os.write(master, answer)
    status, shown = finish(pid, master)
    assert status == 0 and b"without" in shown and b"again" in shown, (answer, status, shown)
    assert PROMPT not in shown, "it is asked once"
    assert b"the page" not in shown, shown

# One connection is one: the next is asked about.
pid, master = start(f"curl -sS -m 60 {URL}; echo; curl -sS -m 60 {URL} || echo without")
until(master, PROMPT)
os.write(master, b"this-flow\n")
shown = until(master, PROMPT)  # the first page, if it was shown before the terminal was held
os.write(master, b"no\n")
status, rest = finish(pid, master)
assert status == 0 and b"without" in rest, (status, rest)
assert (shown + rest).count(b"the page") == 1, (shown, rest)

# Two things are asked one after the other.
pid, master = start(f"curl -sS -m 60 {URL} & curl -sS -m 60 http://too.asked.test:{PORT}/; wait")
shown = b""
for _ in range(2):
    shown += until(master, PROMPT)
    os.write(master, b"this-run\n")
status, rest = finish(pid, master)
assert status == 0 and (shown + rest).count(b"the page") == 2, (status, shown, rest)
assert b"denied:" not in rest, rest

# An answer that is given elsewhere takes the question away.
pid, master = start(f"curl -sS -m 60 {URL}; read line; echo got=$line")
until(master, PROMPT)
subprocess.run([PROGRAM, "op", "decide", pending()["id"], "this-run"], check=True,
               stdout=subprocess.DEVNULL)
until(master, b"the page")
os.write(master, b"typed\n")
status, shown = finish(pid, master)
assert status == 0 and b"got=typed" in shown, (status, shown)

# What ends the run ends the question.
pid, master = start(f"curl -sS -m 60 {URL}; echo after")
until(master, PROMPT)
operation = pending()["operationRef"]
subprocess.run([PROGRAM, "op", "cancel", operation], check=True, stdout=subprocess.DEVNULL)
status, shown = finish(pid, master)
assert status == 130 and b"the page" not in shown, (status, shown)

# Where what is typed goes elsewhere, nobody is asked.
pid, master = at_terminal("/bin/sh", 40, 80, "-c",
                          f"'{PROGRAM}' run -- curl -sS -m 60 {URL} </dev/null; echo =$?=")
status, shown = finish(pid, master)
assert b"=6=" in shown and PROMPT not in shown, shown
