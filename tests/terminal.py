"""A run at a terminal: interrupted; left and joined again. terminal.py PROGRAM [TERMINAL]

TERMINAL is how the name of the run's terminal begins: the first of the sandbox's own where none is
given. Silent if all is well.
"""
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios

PROGRAM = sys.argv[1]
TERMINAL = (sys.argv[2] if len(sys.argv) > 2 else "/dev/pts/0\r\n").encode()
COMMAND = 'stty size; while read -r line; do echo "<$line>"; stty size; done; exit 3'
LEAVE = b"\x1d"


def at_terminal(rows, columns, *arguments):
    """Starts the program with a terminal of its own as the controlling one."""
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execv(PROGRAM, [PROGRAM, *arguments])
    return pid, master


unread = {}  # by terminal: what came behind what was waited for


def until(master, text):
    """What the terminal shows up to a text and with it; to its end for None."""
    shown = unread.pop(master, b"")
    while text is None or text not in shown:
        if not select.select([master], [], [], 20)[0]:
            sys.exit(f"nothing more after {shown!r}; expected {text!r}")
        try:
            got = os.read(master, 4096)
        except OSError:
            got = b""
        if not got and text is None:
            return shown
        if not got:
            sys.exit(f"it ended after {shown!r}; expected {text!r}")
        shown += got
    after = shown.index(text) + len(text)
    unread[master] = shown[after:]
    return shown[:after]


def end(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


pid, master = at_terminal(33, 77, "run", "--", "sh", "-c", "tty; stty size; echo ready; read line")
shown = until(master, b"ready\r\n")
assert TERMINAL in shown and b"33 77\r\n" in shown, shown
os.write(master, b"\x03")
until(master, None)
assert end(pid) == 130
os.close(master)

pid, master = at_terminal(30, 100, "run", "-d", "--", "sh", "-c", COMMAND)
shown = until(master, None)
assert end(pid) == 0, shown
os.close(master)  # the terminal ends, and the run does not
run = shown.decode().split()[-1]

log = subprocess.Popen([PROGRAM, "logs", "-f", run], stdout=subprocess.PIPE)
assert log.stdout.readline().strip() == b"30 100"
log.kill()
log.wait()
log.stdout.close()

pid, master = at_terminal(33, 111, "attach", run)
os.write(master, b"\n")  # once it is attached; before that, the terminal echoes it itself
until(master, b"33 111")
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
os.write(master, b"resized\n")
until(master, b"<resized>\r\n")
while b"44 122" not in until(master, b"\r\n"):  # the size goes its own way, beside the keys
    os.write(master, b"again\n")
os.write(master, LEAVE)
until(master, None)
assert end(pid) == 0

os.close(master)
pid, master = at_terminal(24, 80, "attach", run)
os.write(master, b"\n")
until(master, b"24 80")
os.write(master, b"\x04")
until(master, None)
assert end(pid) == 3
