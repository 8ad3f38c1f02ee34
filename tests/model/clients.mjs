// What people's own programs use: the packages openai, @anthropic-ai/sdk and ollama, against a door
// whose provider is provider.py. Prints a line for each thing that worked: `ok NAME`.
import assert from "node:assert";

import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";

const door = process.argv[2];
const openai = new OpenAI({ apiKey: "of-the-client", baseURL: `${door}/v1` });
const anthropic = new Anthropic({ apiKey: "of-the-client", baseURL: door });
const ollama = new Ollama({ host: door });
const messages = [{ role: "user", content: "Say hello." }];

async function text(stream, part) {
  let all = "";
  for await (const piece of stream) all += part(piece) ?? "";
  return all;
}

async function fails(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("it did not fail");
}

const tries = {
  async "openai: chat"() {
    const answer = await openai.chat.completions.create({ model: "plain", messages });
    assert.equal(answer.choices[0].message.content, "Hello there");
    assert.equal(answer.usage.total_tokens, 17);
  },
  async "openai: chat as a stream"() {
    const stream = await openai.chat.completions.create({ model: "plain", messages, stream: true });
    assert.equal(await text(stream, (piece) => {
      assert.ok(!("usage" in piece));
      return piece.choices[0].delta.content;
    }), "Hello there");
  },
  async "openai: responses as a stream"() {
    const stream = await openai.responses.create({ model: "plain", input: "Hi", stream: true });
    assert.equal(await text(stream, (piece) => piece.delta), "Hello there");
  },
  async "openai: embeddings"() {
    const answer = await openai.embeddings.create(
      { model: "plain", input: "x", encoding_format: "float" });
    assert.equal(answer.data[0].embedding.length, 2);
  },
  async "openai: models"() {
    const names = [];
    for await (const model of openai.models.list()) names.push(model.id);
    assert.ok(names.includes("plain") && names.includes("alias"));
  },
  async "openai: a stream that is cut"() {
    const stream = await openai.chat.completions.create({ model: "cut", messages, stream: true });
    const error = await fails(text(stream, () => ""));
    assert.match(error.message, /ended before its end/);
  },
  async "openai: a model that nobody has"() {
    const error = await fails(openai.chat.completions.create({ model: "nobody", messages }));
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "not-found");
  },
  async "openai: a client that leaves"() {
    const stop = new AbortController();
    const stream = await openai.chat.completions.create(
      { model: "slow", messages, stream: true }, { signal: stop.signal });
    for await (const _ of stream) stop.abort();
  },
  async "openai: what the budget does not cover"() {
    const error = await fails(openai.chat.completions.create(
      { model: "plain", messages, max_completion_tokens: 90000000 }));
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.code, "budget-exhausted");
    assert.equal(error.error.dimension, "tokens");
  },
  async "anthropic: messages"() {
    const answer = await anthropic.messages.create({ model: "plain", max_tokens: 50, messages });
    assert.equal(answer.content[0].text, "Hello there");
    assert.equal(answer.usage.output_tokens, 6);
  },
  async "anthropic: messages as a stream"() {
    const stream = anthropic.messages.stream({ model: "plain", max_tokens: 50, messages });
    assert.equal(await stream.finalText(), "Hello there");
  },
  async "anthropic: counting tokens"() {
    const answer = await anthropic.messages.countTokens({ model: "plain", messages });
    assert.equal(answer.input_tokens, 12);
  },
  async "anthropic: models"() {
    const names = [];
    for await (const model of anthropic.models.list()) names.push(model.display_name);
    assert.ok(names.includes("plain"));
  },
  async "anthropic: a stream that is cut"() {
    const stream = anthropic.messages.stream({ model: "cut", max_tokens: 50, messages });
    const error = await fails(stream.finalText());
    assert.match(error.message, /ended before its end/);
  },
  async "anthropic: what the budget does not cover"() {
    const error = await fails(anthropic.messages.create(
      { model: "plain", max_tokens: 90000000, messages }, { timeout: 20000 }));
    assert.ok(error instanceof Anthropic.RateLimitError);
    assert.equal(error.error.error.code, "budget-exhausted");
  },
  async "ollama: chat"() {
    const answer = await ollama.chat({ model: "plain", messages });
    assert.equal(answer.message.content, "Hello there");
    assert.equal(answer.eval_count, 6);
  },
  async "ollama: chat as a stream"() {
    const stream = await ollama.chat({ model: "plain", messages, stream: true });
    assert.equal(await text(stream, (piece) => piece.done ? "" : piece.message.content),
      "Hello there");
  },
  async "ollama: embeddings and models"() {
    const answer = await ollama.embed({ model: "plain", input: "x" });
    assert.equal(answer.embeddings[0].length, 2);
    assert.ok((await ollama.list()).models.some((model) => model.name === "plain"));
    assert.ok((await ollama.show({ model: "plain" })).details);
  },
  async "ollama: a stream that is cut"() {
    const stream = await ollama.generate({ model: "cut", prompt: "Hi", stream: true });
    const error = await fails(text(stream, () => ""));
    assert.match(error.message, /ended before its end/);
  },
  async "ollama: pulling is not for a run"() {
    const error = await fails(ollama.pull({ model: "plain" }));
    assert.match(error.message, /not changed through the door/);
  },
};

for (const [name, attempt] of Object.entries(tries)) {
  try {
    await attempt();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.stack}`);
  }
}
console.log("all tried");
