#!/usr/bin/env python3
"""A model provider for tests: speaks OpenAI, counts what it is asked, and ends with its input.

usage: provider.py FOLDER [CERTIFICATE KEY [ADDRESS PORT]]

FOLDER/port is its port, FOLDER/log has a line for each call (the path, the credential that came with
it, and the model) and FOLDER/requests.jsonl all of it. Every answer says "ok" and costs 7 tokens in
and 3 out; of the models `greedy` and `north-70b` 5,003 in and 3 out. `redirect` leads to another name of this server.
"""

import http.server
import json
import pathlib
import ssl
import sys
import threading

FOLDER = pathlib.Path(sys.argv[1])
LOCK = threading.Lock()
ANSWER = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "tiny",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "ok"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def note(self, model, data):
        line = f"{self.path} {self.headers.get('Authorization', '-')} {model}\n"
        whole = {"method": self.command, "path": self.path, "headers": dict(self.headers),
                 "length": len(data), "body": data.decode()}
        with LOCK:
            with open(FOLDER / "log", "a", encoding="utf-8") as log:
                log.write(line)
            with open(FOLDER / "requests.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(whole) + "\n")

    def answer(self, status, answer, **headers):
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.note("-", b"")
        self.answer(200, {"object": "list", "data": []})

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        model = json.loads(data)["model"]
        self.note(model, data)
        if model == "redirect":
            self.answer(307, {}, Location=f"https://other.test:{PORT}/v1/chat/completions")
            return
        usage = ANSWER["usage"] | ({"prompt_tokens": 5003, "total_tokens": 5006}
                                   if model in ("greedy", "north-70b") else {})
        self.answer(200, ANSWER | {"usage": usage})

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, *_):
        pass  # a client that does not trust us


server = Server((sys.argv[4], int(sys.argv[5])) if len(sys.argv) > 4 else ("127.0.0.1", 0), Provider)
PORT = server.server_address[1]
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
(FOLDER / "port.new").write_text(f"{PORT}\n", encoding="utf-8")
(FOLDER / "port.new").rename(FOLDER / "port")
sys.stdin.read()
