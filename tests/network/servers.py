"""Servers on the host's loopback for runs to reach, or not to reach.

    servers.py FOLDER

Writes FOLDER/ports (NAME=PORT lines for a shell) when all of them listen, and to FOLDER/log a line
for each connection that is made to one, before anything else is done with it; ends with its
standard input. What they serve:

    http    a fixed page, whatever is asked for; kept alive; /big is 8 MiB of zeros
    https   the same over TLS, by FOLDER/key.pem and FOLDER/cert.pem where they are there
    echo    whatever is sent, until the client has ended; then "bye"
    first   a greeting before the client has said anything
    silent  nothing: a connection that stays
    proxy   an HTTP proxy by CONNECT, for whom every name is this machine; FOLDER/proxied has a line
            for each connection: where to, and by which authorization
    challenge   the same, with a Digest challenge before
"""
import http.server
import os
import resource
import socket
import socketserver
import ssl
import sys
import threading

folder = sys.argv[1]
lock = threading.Lock()
PAGE = b"the page\n"
BIG = bytes(8 << 20)


def note(name):
    with lock, open(os.path.join(folder, "log"), "a", encoding="utf-8") as log:
        log.write(name + "\n")


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = BIG if self.path.endswith("/big") else PAGE
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format, *arguments):
        pass


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
        self.request.sendall(b"bye")


class First(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"220 hello\r\n")
        self.request.recv(1024)


class Proxy(socketserver.BaseRequestHandler):
    challenge = None

    def handle(self):
        target, shown = self.asked()
        if self.challenge and shown == "nothing":
            self.request.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n"
                                 b"Proxy-Authenticate: " + self.challenge + b"\r\n\r\n")
            target, shown = self.asked()
        with lock, open(os.path.join(folder, "proxied"), "a", encoding="utf-8") as log:
            log.write(f"proxy {target} {shown}\n")
        with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as server:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=self.pass_on, args=(self.request, server), daemon=True).start()
            self.pass_on(server, self.request)

    def asked(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(1)
        lines = head.decode().split("\r\n")
        return lines[0].split()[1], next((line.partition(": ")[2] for line in lines
                                         if line.lower().startswith("proxy-authorization:")), "nothing")

    @staticmethod
    def pass_on(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Challenge(Proxy):
    challenge = b'Digest realm="company", nonce="a-number-used-once", qop="auth"'


class Silent(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(65536):
            pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024
    context = None

    def process_request(self, request, client_address):
        note(self.name)
        super().process_request(request, client_address)

    def finish_request(self, request, client_address):
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def serve(name, handler, context=None):
    server = Server(("127.0.0.1", 0), handler)
    server.name, server.context = name, context
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{name}={server.server_address[1]}\n"


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
open(os.path.join(folder, "log"), "w", encoding="utf-8").close()
ports = serve("proxy", Proxy) + serve("challenge", Challenge) + serve("http", Pages) + serve("echo", Echo) + serve("first", First) + serve("silent", Silent)
if os.path.exists(os.path.join(folder, "cert.pem")):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
    ports += serve("https", Pages, tls)
with open(os.path.join(folder, "ports.new"), "w", encoding="utf-8") as file:
    file.write(ports)
os.rename(os.path.join(folder, "ports.new"), os.path.join(folder, "ports"))
sys.stdin.read()
