// A server of OpenAI's chat around llama.cpp (npm's node-llama-cpp, by its prebuilt library).
//
// usage: node llama_server.mjs MODEL.gguf FOLDER
//
// FOLDER/port is its port; GET /v1/models names the model `tiny`. Tokens are counted by llama.cpp. It
// ends with its input.
import {writeFileSync, renameSync} from "node:fs";
import {createServer} from "node:http";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [, , path, folder] = process.argv;
const where = createRequire(`${process.cwd()}/here.js`).resolve("node-llama-cpp");
const {getLlama, LlamaCompletion} = await import(pathToFileURL(where));
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: path});
const context = await model.createContext({contextSize: 256});
const completion = new LlamaCompletion({contextSequence: context.getSequence()});
let last = Promise.resolve(); // one sequence: one after another

function chunk(delta, finish = null, more = {}) {
    return `data: ${JSON.stringify({id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "tiny",
        choices: [{index: 0, delta, finish_reason: finish}], ...more})}\n\n`;
}

async function answer(body, response) {
    const prompt = body.messages.map((message) => message.content).join("\n");
    const input = model.tokenize(prompt).length;
    let output = 0;
    if (body.stream) response.writeHead(200, {"Content-Type": "text/event-stream"});
    const text = await completion.generateCompletion(prompt, {
        maxTokens: body.max_tokens ?? 16, temperature: 0,
        onToken: (tokens) => {
            output += tokens.length;
            if (body.stream) response.write(chunk({content: model.detokenize(tokens)}));
        },
    });
    const usage = {prompt_tokens: input, completion_tokens: output, total_tokens: input + output};
    if (body.stream) {
        response.write(chunk({}, "stop"));
        if (body.stream_options?.include_usage) response.write(chunk({}, null, {choices: [], usage}));
        response.end("data: [DONE]\n\n");
        return;
    }
    response.writeHead(200, {"Content-Type": "application/json"});
    response.end(JSON.stringify({id: "chatcmpl-1", object: "chat.completion", created: 1, model: "tiny", usage,
        choices: [{index: 0, finish_reason: "stop", message: {role: "assistant", content: text}}]}));
}

const server = createServer(async (request, response) => {
    let data = "";
    for await (const piece of request) data += piece;
    if (request.method === "GET") {
        response.end(JSON.stringify({object: "list", data: [{id: "tiny", object: "model"}]}));
        return;
    }
    last = last.then(() => answer(JSON.parse(data), response)).catch((error) => {
        response.destroy(error);
    });
});
server.listen(0, "127.0.0.1", () => {
    writeFileSync(`${folder}/port.new`, `${server.address().port}\n`);
    renameSync(`${folder}/port.new`, `${folder}/port`);
});
process.stdin.on("end", () => process.exit(0)).resume();
