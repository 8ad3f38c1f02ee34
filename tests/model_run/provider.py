#!/usr/bin/env python3
"""A model provider for tests: speaks OpenAI, counts what it is asked, and ends with its input.

usage: provider.py FOLDER

FOLDER/port is its port, and FOLDER/log has a line for each call: the path, the credential that came
with it, and the model. Every answer says "ok" and costs 7 tokens in and 3 out; of the model `greedy`
5,003 in and 3 out.
"""

import http.server
import json
import pathlib
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

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        line = f"{self.path} {self.headers.get('Authorization', '-')} {body['model']}\n"
        with LOCK, open(FOLDER / "log", "a", encoding="utf-8") as log:
            log.write(line)
        usage = ANSWER["usage"] | ({"prompt_tokens": 5003, "total_tokens": 5006}
                                   if body["model"] == "greedy" else {})
        answer = json.dumps(ANSWER | {"usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
(FOLDER / "port.new").write_text(f"{server.server_address[1]}\n", encoding="utf-8")
(FOLDER / "port.new").rename(FOLDER / "port")
sys.stdin.read()
