// The clients of OpenAI, Anthropic and Ollama inside a run, asking a model by the name that is given:
// each streams, calls two tools at once, gives their results, and reads the answer with the
// package's own accumulation, which throws where events do not fit each other.
import assert from "node:assert";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { Ollama } from "ollama";

const [model, speaksOllama] = process.argv.slice(2);
const host = "http://127.0.0.1:11434";
const openai = new OpenAI({ baseURL: `${host}/v1`, apiKey: "of-the-client", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: host, apiKey: "of-the-client", maxRetries: 0 });
const ollama = new Ollama({ host });
const parameters = { type: "object", properties: { file_path: { type: "string" } } };
const prompt = "Fix the spelling.";
const path = (call) => call.file_path.split("/").at(-1);

const tries = {
  async "openai: chat"() {
    const tools = [{ type: "function", function: { name: "Read", parameters } }];
    const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: prompt }];
    const ask = () => openai.chat.completions.stream(
      { model, messages, tools, stream_options: { include_usage: true } }).finalChatCompletion();
    const first = await ask();
    const { message, finish_reason } = first.choices[0];
    assert.equal(finish_reason, "tool_calls");
    assert.equal(message.content, "I read it.");
    assert.deepEqual(message.tool_calls.map((call) => path(JSON.parse(call.function.arguments))),
      ["notes.txt", "other.txt"]);
    assert.equal(first.usage.completion_tokens, 9);
    messages.push(message, ...message.tool_calls.map((call) => (
      { role: "tool", tool_call_id: call.id, content: "read" })), { role: "user", content: "And?" });
    messages.push({ role: "assistant", content: null, tool_calls: [{ id: "last", type: "function",
      function: { name: "Read", arguments: "{}" } }] },
      { role: "tool", tool_call_id: "last", content: "read" });
    assert.equal((await ask()).choices[0].message.content, "All done.");
  },
  async "openai: responses"() {
    const tools = [{ type: "function", name: "Read", parameters, strict: false }];
    const input = [{ role: "user", content: prompt }];
    const ask = () => openai.responses.stream({ model, input, tools, instructions: "Be brief." })
      .finalResponse();
    const first = await ask();
    const calls = first.output.filter((item) => item.type === "function_call");
    assert.equal(first.output_text, "I read it.");
    assert.deepEqual(calls.map((call) => path(JSON.parse(call.arguments))),
      ["notes.txt", "other.txt"]);
    assert.equal(first.usage.output_tokens, 9);
    for (const call of [...calls, { ...calls[0], id: undefined, call_id: "last" }])
      input.push(...(calls.includes(call) ? [] : [call]),
        { type: "function_call_output", call_id: call.call_id, output: "read" });
    input.splice(1, 0, ...first.output.filter((item) => item.type === "message"), ...calls);
    assert.equal((await ask()).output_text, "All done.");
  },
  async "anthropic: messages"() {
    const tools = [{ name: "Read", input_schema: parameters }];
    const messages = [{ role: "user", content: prompt }];
    const ask = () => anthropic.messages.stream(
      { model, max_tokens: 99, system: "Be brief.", messages, tools }).finalMessage();
    const first = await ask();
    const calls = first.content.filter((block) => block.type === "tool_use");
    assert.equal(first.stop_reason, "tool_use");
    assert.equal(first.content[0].text, "I read it.");
    assert.deepEqual(calls.map((call) => path(call.input)), ["notes.txt", "other.txt"]);
    assert.equal(first.usage.output_tokens, 9);
    const more = [{ type: "tool_use", id: "last", name: "Read", input: {} }];
    messages.push({ role: "assistant", content: first.content }, { role: "user",
      content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "read" })) },
      { role: "assistant", content: more }, { role: "user",
      content: [{ type: "tool_result", tool_use_id: "last", content: "read", is_error: true }] });
    const last = await ask();
    assert.equal(last.content[0].text, "All done.");
    assert.equal(last.stop_reason, "end_turn");
  },
  async "anthropic: counting tokens"() {
    const { input_tokens } = await anthropic.messages.countTokens(
      { model, messages: [{ role: "user", content: prompt }] });
    assert.ok(input_tokens > 0);
  },
  async "anthropic: what cannot be carried over"() {
    const error = await anthropic.messages.create({ model, max_tokens: 9, top_k: 3,
      messages: [{ role: "user", content: prompt }] }).catch((error) => error);
    assert.ok(error instanceof Anthropic.BadRequestError);
    assert.equal(error.error.error.code, "unsupported");
    assert.match(error.message, /`top_k` of the request cannot be carried over/);
  },
  async "ollama: chat"() {
    const tools = [{ type: "function", function: { name: "Read", parameters } }];
    const stream = await ollama.chat({ model, stream: true, tools,
      messages: [{ role: "user", content: prompt }] });
    let text = "", calls = [], last;
    for await (last of stream) {
      text += last.message.content;
      calls.push(...(last.message.tool_calls ?? []));
    }
    assert.equal(text, "I read it.");
    assert.deepEqual(calls.map((call) => path(call.function.arguments)),
      ["notes.txt", "other.txt"]);
    assert.equal(last.eval_count, 9);
  },
};

for (const [name, attempt] of Object.entries(tries)) {
  if (speaksOllama === "natively" && !/openai|messages$/.test(name)) continue;
  try {
    await attempt();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.stack}`);
  }
}
console.log("all tried");
