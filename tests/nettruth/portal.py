# Answers to whoever asks for a page, as the file of modes says at that moment; prints a line when
# it listens. A mode is empty (204), portal (a redirect), page (a page of its own), sign-in (511).
import http.server
import sys

modes = sys.argv[2]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mode = open(modes).read().strip()
        page = b"" if mode in ("empty", "portal") else b"<html>sign in</html>"
        self.send_response({"empty": 204, "portal": 302, "page": 200, "sign-in": 511}[mode])
        if mode == "portal":
            self.send_header("Location", "http://10.77.0.1/sign-in")
        if mode != "empty":
            self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *words):
        pass


address, port = sys.argv[1].split(":")
server = http.server.HTTPServer((address, int(port)), Answer)
print("up", flush=True)
server.serve_forever()
