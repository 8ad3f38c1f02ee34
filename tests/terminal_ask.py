"""A run that has to ask, at a terminal. terminal_ask.py PROGRAM DELEGATION

A layer leaves the shell to a person, in the folder where it is started; DELEGATION is one under which
nobody is granted the shell. Silent if all is well.
"""
import json
import os
import subprocess
import sys

from terminals import at_terminal, end, until

PROGRAM, DELEGATION = sys.argv[1:]
PROMPT = b"answer [no] "
RUN = ("run", "shell", "--", "-c", "echo ran; read line; echo got $line")


def ask(*arguments):
    pid, master = at_terminal(PROGRAM, 24, 80, *arguments)
    return pid, master, until(master, PROMPT)


def finish(pid, master):
    shown = until(master, None)
    os.close(master)
    return end(pid), shown


# The question is drawn: who asks for what, by which layer, and what each answer means.
pid, master, shown = ask(*RUN)
words = b" ".join(shown.split())
for part in (b"May urn:srcos:user:", b"A person lets a shell in.", b"layer user",
             b"this-run Yes, for this operation", b"It stays denied"):
    assert part in words, (part, shown)
assert all(len(line) <= 80 for line in shown.split(b"\r\n")), shown
os.write(master, b"maybe\n")
until(master, b"one of the answers above [no] ")
os.write(master, b"this-r\n")
shown = until(master, b"ran\r\n")
os.write(master, b"typed\n")  # the terminal is the command's now
shown += until(master, b"got typed\r\n")
status, rest = finish(pid, master)
assert status == 0, (status, shown, rest)

# Nothing typed, and the end of the input, are a no.
for answer in (b"\n", b"\x04", b"no\n"):
    pid, master, shown = ask(*RUN)
    os.write(master, answer)
    status, shown = finish(pid, master)
    assert status == 125 and b"has denied it" in shown and b"\nran\r" not in shown, (answer, shown)

# An answer that is given elsewhere serves too.
pid, master, shown = ask(*RUN)
pending = json.loads(subprocess.check_output([PROGRAM, "op", "pending", "--json"]).splitlines()[-1])
subprocess.run([PROGRAM, "op", "decide", pending["id"], "once"], check=True,
               stdout=subprocess.DEVNULL)
until(master, b"ran\r\n")
os.write(master, b"\n")
status, shown = finish(pid, master)
assert status == 0, shown

# In the background nobody is asked.
pid, master = at_terminal("/bin/sh", 24, 80, "-c",
                          f"set -m; '{PROGRAM}' run shell -- -c 'echo ran' & wait $!; echo =$?=")
status, shown = finish(pid, master)
assert b"=125=" in shown and b"a person has to answer" in shown and PROMPT not in shown, shown

# What is interrupted leaves nothing that runs, and no answer.
pid, master, shown = ask(*RUN)
os.write(master, b"\x03")
status, shown = finish(pid, master)
assert status == -2, (status, shown)
subprocess.run([PROGRAM, "recover"], check=True, stdout=subprocess.DEVNULL)

# A tool that nobody grants is offered.
os.unlink(os.path.join(os.environ["XDG_CONFIG_HOME"], "agent-machine/user/gates.yaml"))
UNGRANTED = ("run", "--delegation", DELEGATION, "shell", "--", "-c", "echo ran")
pid, master = at_terminal(PROGRAM, 24, 80, *UNGRANTED)
shown = until(master, b"grant it now, for 8 hours? [no] ")
assert b"Nobody grants the tool" in shown, shown
os.write(master, b"\n")
status, shown = finish(pid, master)
assert status == 125 and b"\nran\r" not in shown, shown
pid, master = at_terminal(PROGRAM, 24, 80, *UNGRANTED)
until(master, b"grant it now, for 8 hours? [no] ")
os.write(master, b"y\n")
status, shown = finish(pid, master)
assert status == 0 and b"\nran\r" in shown, (status, shown)
pid, master = at_terminal(PROGRAM, 24, 80, *UNGRANTED)
status, shown = finish(pid, master)
assert status == 0 and b"grant it now" not in shown, (status, shown)
