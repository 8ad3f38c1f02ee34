"""What the tests at a terminal share."""
import fcntl
import os
import pty
import select
import struct
import sys
import termios


def at_terminal(program, rows, columns, *arguments):
    """Starts a program with a terminal of its own as the controlling one."""
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execv(program, [program, *arguments])
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
