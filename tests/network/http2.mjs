// An HTTPS server that speaks HTTP/2 and HTTP/1.1: http2.mjs KEY CERT PORT-FILE
import { createSecureServer } from "node:http2";
import { readFileSync, renameSync, writeFileSync } from "node:fs";

const [key, cert, portFile] = process.argv.slice(2);
const server = createSecureServer(
  { key: readFileSync(key), cert: readFileSync(cert), allowHTTP1: true },
  (request, response) => response.end(`the page by HTTP/${request.httpVersion}\n`),
);
server.listen(0, "127.0.0.1", () => {
  writeFileSync(`${portFile}.new`, `http2=${server.address().port}\n`);
  renameSync(`${portFile}.new`, portFile);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
