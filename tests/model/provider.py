#!/usr/bin/env python3
"""A scripted model provider: speaks OpenAI, Anthropic and Ollama; what it does is the model's name.

provider.py LOG [CERTIFICATE KEY]: listens on a port of loopback, prints it, and writes a line of
JSON to LOG for each request and for each client that went away.

  plain      answers, with usage, as a stream where that is asked for
  no-usage   the same without usage
  long       a stream of many events
  cut        ends in the midst of its answer
  slow       streams until the client goes away
  hold       says nothing until the client goes away
  echo       answers with what it was sent
  refuse     429, with Retry-After
  busy       503 twice, for a moment, then as plain
  rest       503, for five seconds, and waits to be left
  greedy     answers, and says that it took 100,000 tokens
  key        401, and shows the key that it got
  redirect   307 to another place
  older      knows OpenAI's chat alone: 404 at any other place
  aged       knows Ollama's own places alone
  absent     404 at every place
"""

import http.server
import json
import socket
import ssl
import sys
import threading

LOG = open(sys.argv[1], "a", buffering=1, encoding="utf-8")
LOCK = threading.Lock()
BUSY = [2]


def log(**what):
    with LOCK:
        LOG.write(json.dumps(what) + "\n")


def document(path, model, usage):
    """An answer as one document."""
    if path.startswith("/v1/messages/count_tokens"):
        return {"input_tokens": 12}
    if path.startswith("/v1/messages"):
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
                  "content": [{"type": "text", "text": "Hello there"}], "stop_reason": "end_turn",
                  "stop_sequence": None}
        if usage:
            answer["usage"] = {"input_tokens": 11, "output_tokens": 6}
        return answer
    if path.startswith("/api/"):
        answer = {"model": model, "created_at": "2026-11-20T09:00:00Z", "done": True,
                  "done_reason": "stop"}
        if path.startswith("/api/embed"):
            answer = {"model": model, "embeddings": [[0.1, -0.2]]}
            return answer | ({"prompt_eval_count": 8} if usage else {})
        if path.startswith("/api/show"):
            return {"details": {"family": "scripted"}, "capabilities": ["completion"]}
        if path.startswith("/api/generate"):
            answer["response"] = "Hello there"
        else:
            answer["message"] = {"role": "assistant", "content": "Hello there"}
        return answer | ({"prompt_eval_count": 11, "eval_count": 6} if usage else {})
    if "responses" in path:
        answer = {"id": "resp_1", "object": "response", "status": "completed", "model": model,
                  "output": [{"type": "message", "id": "m", "role": "assistant", "content": [
                      {"type": "output_text", "text": "Hello there", "annotations": []}]}]}
        return answer | ({"usage": {"input_tokens": 11, "output_tokens": 6,
                                    "total_tokens": 17}} if usage else {})
    if "embeddings" in path:
        return {"object": "list", "model": model,
                "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
                "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
              "choices": [{"index": 0, "finish_reason": "stop", "text": "Hello there",
                           "message": {"role": "assistant", "content": "Hello there"}}]}
    return answer | ({"usage": {"prompt_tokens": 11, "completion_tokens": 6,
                                "total_tokens": 17}} if usage else {})


def event(data, name=None):
    return ((f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n").encode()


def events(path, body, usage, count):
    """An answer as the pieces of a stream."""
    model = body["model"]
    words = ["Hello", " there"] * (count // 2)
    if path.startswith("/v1/messages"):
        start = {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
                 "content": [], "stop_reason": None, "stop_sequence": None}
        if usage:
            start["usage"] = {"input_tokens": 11, "output_tokens": 1}
        yield event({"type": "message_start", "message": start}, "message_start")
        yield event({"type": "content_block_start", "index": 0,
                     "content_block": {"type": "text", "text": ""}}, "content_block_start")
        for word in words:
            yield event({"type": "content_block_delta", "index": 0,
                         "delta": {"type": "text_delta", "text": word}}, "content_block_delta")
        yield event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
        yield event(end | ({"usage": {"output_tokens": 6}} if usage else {}), "message_delta")
        yield event({"type": "message_stop"}, "message_stop")
    elif path.startswith("/api/"):
        for word in words:
            part = {"response": word} if "generate" in path else {"message": {"role": "assistant",
                                                                              "content": word}}
            yield (json.dumps({"model": model, "created_at": "2026-11-20T09:00:00Z",
                               "done": False} | part) + "\n").encode()
        yield (json.dumps(document(path, model, usage)) + "\n").encode()
    elif "responses" in path:
        yield event({"type": "response.created", "sequence_number": 0,
                     "response": {"id": "resp_1", "status": "in_progress", "output": []}},
                    "response.created")
        for number, word in enumerate(words):
            yield event({"type": "response.output_text.delta", "sequence_number": number + 1,
                         "item_id": "m", "output_index": 0, "content_index": 0, "delta": word},
                        "response.output_text.delta")
        yield event({"type": "response.completed", "sequence_number": 99,
                     "response": document(path, model, usage)}, "response.completed")
    else:
        asked = (body.get("stream_options") or {}).get("include_usage")
        null = {"usage": None} if asked else {}
        for word in words:
            yield event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                         "model": model, "choices": [{"index": 0, "delta": {"content": word},
                                                      "finish_reason": None}]} | null)
        yield event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                     "model": model, "choices": [{"index": 0, "delta": {},
                                                  "finish_reason": "stop"}]} | null)
        if asked and usage:
            yield event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                         "model": model, "choices": [],
                         "usage": {"prompt_tokens": 11, "completion_tokens": 6,
                                   "total_tokens": 17}})
        yield b"data: [DONE]\n\n"


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send_document(self, status, answer, **headers):
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Set-Cookie", "session=of-the-provider")
        self.send_header("X-Request-Id", "req-1")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self):
        lines = self.path.startswith("/api/")
        self.send_response(200)
        self.send_header("Content-Type",
                         "application/x-ndjson" if lines else "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_piece(self, piece):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def cut(self, body, streams):
        if streams:
            self.begin_stream()
            pieces = list(events(self.path, body, True, 4))
            for piece in pieces[:3]:
                self.send_piece(piece)
            self.send_piece(pieces[3][:10])
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"half":')
            self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def wait_for_the_end(self):
        """Until the client is gone, and says so."""
        self.connection.settimeout(30)
        try:
            gone = self.connection.recv(1) == b""
        except OSError:
            gone = True
        self.close_connection = True
        log(gone=gone, path=self.path)

    def slow(self, body):
        self.begin_stream()
        for piece in events(self.path, body, True, 2):
            self.send_piece(piece)
            break
        self.wait_for_the_end()

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(data)
        model = body["model"]
        streams = body.get("stream", self.path in ("/api/chat", "/api/generate"))
        log(path=self.path, headers=dict(self.headers), body=data.decode(),
            port=self.client_address[1])
        if model == "echo":
            self.send_document(200, {"path": self.path, "headers": dict(self.headers),
                                     "body": data.decode()})
        elif model == "refuse":
            self.send_document(429, {"error": {"message": "slow down"}}, Retry_After="7")
        elif model == "busy" and BUSY[0]:
            BUSY[0] -= 1
            self.send_document(503, {"error": {"message": "not now"}}, Retry_After_Ms="30")
        elif model == "rest":
            self.send_document(503, {"error": {"message": "not now"}}, Retry_After="5")
            self.wait_for_the_end()
        elif model == "greedy":
            self.send_document(200, document(self.path, model, True)
                               | {"usage": {"prompt_tokens": 100000, "completion_tokens": 6}})
        elif model == "key":
            self.send_document(401, {"error": {"message": "wrong key: " +
                                               str(self.headers.get("Authorization"))}})
        elif model == "redirect":
            self.send_document(307, {}, Location="http://127.0.0.1:1/elsewhere")
        elif model == "absent" or (model == "older" and self.path != "/v1/chat/completions") or (
                model == "aged" and not self.path.startswith("/api/")):
            self.send_document(404, {"error": {"message": "not found"}})
        elif model == "cut":
            self.cut(body, streams)
        elif model == "hold":
            self.wait_for_the_end()
        elif model == "slow":
            self.slow(body)
        elif streams:
            self.begin_stream()
            for piece in events(self.path, body, model != "no-usage",
                                20000 if model == "long" else 2):
                self.send_piece(piece)
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_document(200, document(self.path, model, model != "no-usage"))


def main():
    http.server.ThreadingHTTPServer.request_queue_size = 256
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
