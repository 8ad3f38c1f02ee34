"""Files of a folder over HTTP and HTTPS on the host's loopback, as package registries and dumb git
servers serve them: files.py FOLDER KEY CERT PORT-FILE. Ends with its standard input."""
import functools
import http.server
import os
import ssl
import sys
import threading

folder, key, certificate, port_file = sys.argv[1:]


class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *arguments):
        pass


def serve(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                             functools.partial(Files, directory=folder))
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
with open(port_file + ".new", "w", encoding="utf-8") as file:
    file.write(f"files={serve()}\nfiles_tls={serve(tls)}\n")
os.rename(port_file + ".new", port_file)
sys.stdin.read()
