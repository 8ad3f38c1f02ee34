"""What the Model Door leaves to a person, at the terminal of a run. terminal_models.py PROGRAM [budget]

`./ask` calls a bound model and prints its answer and the status. Silent if all is well.
"""
import json
import os
import subprocess
import sys

from terminals import at_terminal, end, until

PROGRAM = sys.argv[1]
PROMPT = b"answer [no] "


def start(script, *options):
    return at_terminal(PROGRAM, 40, 80, "run", "--discard", *options, "--", "sh", "-c", script)


def finish(pid, master):
    shown = until(master, None)
    os.close(master)
    return end(pid), shown


def pending():
    lines = subprocess.check_output([PROGRAM, "op", "pending", "--json"]).splitlines()
    return json.loads(lines[-1])


def budget():
    # One call is paid; the next waits until a person gives more, and goes on with it.
    pid, master = start("for i in 1 2 3; do ./ask; done", "--budget", "modelCalls=1")
    shown = until(master, PROMPT)
    assert b'"ok"' in shown, shown
    words = b" ".join(shown.split())
    assert b"The run has used its 1 modelCalls. Give it 1 more?" in words, shown
    os.write(master, b"top-up\n")
    shown = until(master, PROMPT)
    assert b'"ok"' in shown, shown
    os.write(master, b"no\n")
    status, shown = finish(pid, master)
    assert status == 0 and b" 429" in shown and PROMPT not in shown, (status, shown)
    # An answer that is given elsewhere serves as well.
    pid, master = start("./ask; ./ask", "--budget", "modelCalls=1")
    until(master, PROMPT)
    subprocess.run([PROGRAM, "op", "decide", pending()["id"], "top-up"], check=True,
                   stdout=subprocess.DEVNULL)
    status, shown = finish(pid, master)
    assert status == 0 and shown.count(b" 200") == 1, (status, shown)


def models():
    # The call waits for the answer, and goes on with it; the next one asks nobody.
    pid, master = start("./ask; ./ask")
    shown = until(master, PROMPT)
    words = b" ".join(shown.split())
    for part in (b"use the model provider urn:srcos:model-profile:llama32-1b", b"layer user",
                 b"A person lets models answer.", b"no No: It stays denied."):
        assert part in words, (part, shown)
    os.write(master, b"this-run\n")
    status, shown = finish(pid, master)
    assert status == 0 and shown.count(b" 200") == 2 and PROMPT not in shown, (status, shown)
    # An answer that denies is final for the run.
    pid, master = start("./ask; ./ask")
    until(master, PROMPT)
    os.write(master, b"no\n")
    status, shown = finish(pid, master)
    assert status == 0 and shown.count(b" 403") == 2 and PROMPT not in shown, (status, shown)
    # One that is given elsewhere takes the question away.
    pid, master = start("./ask")
    until(master, PROMPT)
    subprocess.run([PROGRAM, "op", "decide", pending()["id"], "this-run"], check=True,
                   stdout=subprocess.DEVNULL)
    status, shown = finish(pid, master)
    assert status == 0 and b" 200" in shown, (status, shown)
    # What ends the run ends the wait.
    pid, master = start("./ask")
    until(master, PROMPT)
    subprocess.run([PROGRAM, "op", "cancel", pending()["operationRef"]], check=True,
                   stdout=subprocess.DEVNULL)
    status, shown = finish(pid, master)
    assert status == 130, (status, shown)


budget() if "budget" in sys.argv else models()
