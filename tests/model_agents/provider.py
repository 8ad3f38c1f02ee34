#!/usr/bin/env python3
"""A scripted model for agents: reads a file, edits it and says that it is done; ends with its input.

usage: provider.py FOLDER

FOLDER/port is its port, and FOLDER/log has a line of JSON for each call. It speaks OpenAI's chat and
responses and Anthropic's messages, always as a stream where that is asked for. Where it stands in
its task it knows by the results of tools in the prompt, as a model does. A model name that has
"slow" in it says a word, and then nothing until the client is gone.
"""

import http.server
import json
import pathlib
import sys
import threading
import time

FOLDER = pathlib.Path(sys.argv[1])
LOCK = threading.Lock()
INPUT_TOKENS, OUTPUT_TOKENS = 40, 9


def log(**what):
    with LOCK, open(FOLDER / "log", "a", encoding="utf-8") as out:
        print(json.dumps(what), file=out)


# ---- the task, whatever the protocol ----

def step(done, tools, folder):
    """What the model does next: (text, [(tool, arguments)…])."""
    shell = next((name for name in ("exec_command", "shell", "shell_command") if name in tools), None)
    if not tools:
        return "Hello there", []
    if "Read" in tools:
        notes, other = f"{folder}/notes.txt", f"{folder}/other.txt"
        if done == 0:
            return "I read it.", [("Read", {"file_path": notes}), ("Read", {"file_path": other})]
        if done == 2:
            return "", [("Edit", {"file_path": notes, "old_string": "colour",
                                  "new_string": "color"})]
    elif shell:
        words = {"exec_command": lambda line: {"cmd": line},
                 "shell_command": lambda line: {"command": line},
                 "shell": lambda line: {"command": ["sh", "-c", line]}}[shell]
        if done == 0:
            return "I read it.", [(shell, words("cat notes.txt")), (shell, words("cat other.txt"))]
        if done == 2:
            return "", [(shell, words("sed -i s/colour/color/ notes.txt"))]
    return "All done.", []


def pieces(text):
    """As a model brings it: in parts that fall anywhere."""
    return [text[i:i + 7] for i in range(0, len(text), 7)]


# ---- reading prompts ----

def read_chat(body):
    done = sum(message["role"] == "tool" for message in body["messages"])
    return done, {tool["function"]["name"] for tool in body.get("tools") or []}


def read_messages(body):
    done = sum(block["type"] == "tool_result" for message in body["messages"]
               if isinstance(message["content"], list) for block in message["content"])
    return done, {tool["name"] for tool in body.get("tools") or []}


def read_responses(body):
    items = body["input"] if isinstance(body["input"], list) else []
    done = sum(item.get("type") in ("function_call_output", "custom_tool_call_output")
               for item in items)
    return done, {tool.get("name") for tool in body.get("tools") or []}


# ---- writing answers ----

def event(data, name=None):
    return ((f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n").encode()


def write_chat(model, text, calls):
    def chunk(delta, finish=None):
        return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                      "model": model,
                      "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(text):
        yield chunk({"content": piece})
    for index, (name, arguments) in enumerate(calls):
        yield chunk({"tool_calls": [{"index": index, "id": f"call_{time.monotonic_ns()}",
                                     "type": "function",
                                     "function": {"name": name, "arguments": ""}}]})
        for piece in pieces(json.dumps(arguments)):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, "tool_calls" if calls else "stop")
    yield event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                 "model": model, "choices": [],
                 "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS,
                           "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}})
    yield b"data: [DONE]\n\n"


def write_messages(model, text, calls):
    def typed(kind, **members):
        return event({"type": kind} | members, kind)
    yield typed("message_start", message={
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1}})
    blocks = [({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece}
                                              for piece in pieces(text)])] if text else []
    for name, arguments in calls:
        blocks.append(({"type": "tool_use", "id": f"toolu_{time.monotonic_ns()}", "name": name,
                        "input": {}},
                       [{"type": "input_json_delta", "partial_json": piece}
                        for piece in pieces(json.dumps(arguments))]))
    for index, (block, deltas) in enumerate(blocks):
        yield typed("content_block_start", index=index, content_block=block)
        for delta in deltas:
            yield typed("content_block_delta", index=index, delta=delta)
        yield typed("content_block_stop", index=index)
    yield typed("message_delta", delta={"stop_reason": "tool_use" if calls else "end_turn",
                                        "stop_sequence": None},
                usage={"output_tokens": OUTPUT_TOKENS})
    yield typed("message_stop")


def write_responses(model, text, calls):
    number = iter(range(1000))

    def typed(kind, **members):
        return event({"type": kind, "sequence_number": next(number)} | members, kind)
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": model,
                "status": "in_progress", "output": []}
    yield typed("response.created", response=response)
    items = [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
              "content": [{"type": "output_text", "text": text, "annotations": []}]}] if text else []
    for name, arguments in calls:
        items.append({"type": "function_call", "id": f"fc_{len(items)}", "status": "completed",
                      "call_id": f"call_{time.monotonic_ns()}", "name": name,
                      "arguments": json.dumps(arguments)})
    for index, item in enumerate(items):
        yield typed("response.output_item.added", output_index=index, item=item)
        if item["type"] == "message":
            for piece in pieces(text):
                yield typed("response.output_text.delta", item_id="msg_1", output_index=index,
                            content_index=0, delta=piece)
        yield typed("response.output_item.done", output_index=index, item=item)
    yield typed("response.completed", response=response | {
        "status": "completed", "output": items,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS,
                  "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
                  "input_tokens_details": {"cached_tokens": 0},
                  "output_tokens_details": {"reasoning_tokens": 0}}})


PLACES = {"/v1/chat/completions": (read_chat, write_chat),
          "/v1/messages": (read_messages, write_messages),
          "/v1/responses": (read_responses, write_responses)}


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send_piece(self, piece):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def answer(self, status, document):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def wait_until_gone(self, path):
        self.connection.settimeout(60)
        try:
            gone = self.connection.recv(1) == b""
        except OSError:
            gone = False
        self.close_connection = True
        log(path=path, gone=gone)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        log(path=path, key=self.headers.get("Authorization") or self.headers.get("x-api-key"),
            body=body)
        if path not in PLACES:
            self.answer(404, {"error": {"message": "no such place"}})
            return
        read, write = PLACES[path]
        folder = (FOLDER / "work").read_text(encoding="utf-8").strip()
        text, calls = step(*read(body), folder)
        if not body.get("stream"):
            self.answer(400, {"error": {"message": "this model streams alone"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, piece in enumerate(write(body["model"], text, calls)):
            self.send_piece(piece)
            if "slow" in body["model"] and number == 2:
                self.wait_until_gone(path)
                return
        self.wfile.write(b"0\r\n\r\n")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
(FOLDER / "port.new").write_text(f"{server.server_address[1]}\n", encoding="utf-8")
(FOLDER / "port.new").rename(FOLDER / "port")
sys.stdin.read()
