"""A run at a terminal: interrupted; left and joined again. terminal.py PROGRAM [TERMINAL]

TERMINAL is how the name of the run's terminal begins: the first of the sandbox's own where none is
given. Silent if all is well.
"""
import fcntl
import os
import struct
import subprocess
import sys
import termios

from terminals import at_terminal, end, until

PROGRAM = sys.argv[1]
TERMINAL = (sys.argv[2] if len(sys.argv) > 2 else "/dev/pts/0\r\n").encode()
COMMAND = 'stty size; while read -r line; do echo "<$line>"; stty size; done; exit 3'
LEAVE = b"\x1d"

pid, master = at_terminal(PROGRAM, 33, 77, "run", "--", "sh", "-c", "tty; stty size; echo ready; read line")
shown = until(master, b"ready\r\n")
assert TERMINAL in shown and b"33 77\r\n" in shown, shown
os.write(master, b"\x03")
until(master, None)
assert end(pid) == 130
os.close(master)

pid, master = at_terminal(PROGRAM, 30, 100, "run", "-d", "--", "sh", "-c", COMMAND)
shown = until(master, None)
assert end(pid) == 0, shown
os.close(master)  # the terminal ends, and the run does not
run = shown.decode().split()[-1]

log = subprocess.Popen([PROGRAM, "logs", "-f", run], stdout=subprocess.PIPE)
assert log.stdout.readline().strip() == b"30 100"
log.kill()
log.wait()
log.stdout.close()

pid, master = at_terminal(PROGRAM, 33, 111, "attach", run)
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
pid, master = at_terminal(PROGRAM, 24, 80, "attach", run)
os.write(master, b"\n")
until(master, b"24 80")
os.write(master, b"\x04")
until(master, None)
assert end(pid) == 3
