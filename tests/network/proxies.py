"""Two companies' proxies on the host's loopback, which resolve every name to it.

    proxies.py FOLDER

Writes FOLDER/proxies (NAME=PORT lines for a shell) when both listen, and to FOLDER/carried a line
"NAME WHAT:PORT" for each connection that one carries; ends with its standard input.

    north   HTTP CONNECT; wants `Basic bm9ydGg6d29yZA==` (north:word)
    east    SOCKS 5; wants nothing
"""
import os
import socket
import socketserver
import struct
import sys
import threading

folder = sys.argv[1]
lock = threading.Lock()
WANTED = "proxy-authorization: basic bm9ydgg6d29yza=="


def note(text):
    with lock, open(os.path.join(folder, "carried"), "a", encoding="utf-8") as log:
        log.write(text + "\n")


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def carry(client, port):
    with socket.create_connection(("127.0.0.1", port)) as server:
        other = threading.Thread(target=pump, args=(server, client))
        other.start()
        pump(client, server)
        other.join()


class North(socketserver.BaseRequestHandler):
    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(1)
            if not data:
                return
            head += data
        lines = head.decode().split("\r\n")
        what = lines[0].split()[1]
        if WANTED not in [line.lower() for line in lines]:
            note("north refused")
            self.request.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return
        note("north " + what)
        self.request.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
        carry(self.request, int(what.rsplit(":", 1)[1]))


class East(socketserver.BaseRequestHandler):
    def take(self, count):
        data = b""
        while len(data) < count:
            data += self.request.recv(count - len(data))
        return data

    def handle(self):
        self.take(self.take(2)[1])
        self.request.sendall(b"\5\0")
        kind = self.take(4)[3]
        host = self.take(self.take(1)[0]).decode() if kind == 3 else self.take(4).hex()
        port = struct.unpack("!H", self.take(2))[0]
        note(f"east {host}:{port}")
        self.request.sendall(b"\5\0\0\1\0\0\0\0\0\0")
        carry(self.request, port)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


servers = {"north": Server(("127.0.0.1", 0), North), "east": Server(("127.0.0.1", 0), East)}
for server in servers.values():
    threading.Thread(target=server.serve_forever, daemon=True).start()
with open(os.path.join(folder, "proxies.part"), "w", encoding="utf-8") as ports:
    for name, server in servers.items():
        ports.write(f"{name}={server.server_address[1]}\n")
os.rename(os.path.join(folder, "proxies.part"), os.path.join(folder, "proxies"))
sys.stdin.read()
