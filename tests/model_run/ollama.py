#!/usr/bin/env python3
"""Servers of models for tests, at their usual ports: Ollama, llama.cpp's and LM Studio's.

usage: ollama.py FOLDER

Ollama begins without a model. A pull of llama3.2:1b stops at 40 % until FOLDER/go is there, and goes
on from there the next time; one of llama3.2:3b fails; one of `unverified` ends without verifying.
FOLDER/log has a line for each request; it ends with its input.
"""

import http.server
import json
import pathlib
import select
import sys
import threading

FOLDER = pathlib.Path(sys.argv[1])
DIGEST = "ba" * 32
TOTAL = 1_000_000
LOCK = threading.Lock()
state = {"models": [], "partial": {}}


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def note(self):
        with LOCK, open(FOLDER / "log", "a", encoding="utf-8") as log:
            log.write(f"{self.server.server_address[1]} {self.command} {self.path}\n")

    def answer(self, answer):
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.note()
        port = self.server.server_address[1]
        if port == 11434:
            self.answer({"models": [{"name": name, "size": TOTAL, "digest": DIGEST}
                                    for name in state["models"]]})
        else:
            self.answer({"object": "list", "data": [{"id": "tiny.gguf" if port == 8080 else "qwen"}]})

    def say(self, **line):
        data = (json.dumps(line) + "\n").encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def layer(self, model, completed):
        state["partial"][model] = completed
        self.say(status="pulling ba", digest="sha256:" + DIGEST, total=TOTAL, completed=completed)

    def pull(self, model):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.say(status="pulling manifest")
        if model == "llama3.2:3b":
            self.say(error="pull model manifest: file does not exist")
        else:
            had = state["partial"].get(model, 0)
            self.layer(model, had)
            self.layer(model, max(had, TOTAL * 4 // 10))
            while not (FOLDER / "go").exists():
                if select.select([self.connection], [], [], 0.02)[0]:
                    self.close_connection = True
                    (FOLDER / "left").touch()
                    return
            self.layer(model, TOTAL)
            if model != "unverified":
                self.say(status="verifying sha256 digest")
            state["models"].append(model)
            self.say(status="success")
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        self.note()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/pull":
            self.pull(body["model"])
        else:
            self.answer({"model": body["model"], "created_at": "2026-11-21T09:00:00Z",
                         "message": {"role": "assistant", "content": "ok"}, "done": True,
                         "prompt_eval_count": 7, "eval_count": 3})

    def log_message(self, *_):
        pass


for listener in 11434, 8080, 1234:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", listener), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
(FOLDER / "ready").touch()
sys.stdin.read()
