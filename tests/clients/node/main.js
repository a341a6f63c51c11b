// OpenAI's client for Node and Vercel's `ai`, against a running server: node main.js URL
import assert from "node:assert/strict";
import OpenAI from "openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, jsonSchema, streamText, tool } from "ai";
import { z } from "zod";

const url = process.argv[2];
const tell = (what, said) => console.log(`${"node".padEnd(9)} ${what.padEnd(15)} ${said}`);

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const model = (await client.models.list()).data[0].id;
const asked = [{ role: "user", content: "Say hello in one short sentence." }];
await client.chat.completions.create({ model, messages: asked, max_tokens: 4 });
const whole = await client.chat.completions.create({ model, messages: asked, max_tokens: 40, temperature: 0, logprobs: true, top_logprobs: 2 });
assert.ok(whole.choices[0].message.content && whole.choices[0].logprobs.content.length > 0);
let text = "";
let usage;
const stream = await client.chat.completions.create({ model, messages: asked, max_tokens: 40, temperature: 0, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, whole.choices[0].message.content);
assert.ok(usage.completion_tokens > 0);
tell("openai", JSON.stringify(text));
await assert.rejects(client.chat.completions.create({ model: "gpt-9", messages: asked }), (error) => error.status === 404);
const sound = Buffer.from(await (await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Turn on the kitchen light.", response_format: "flac" })).arrayBuffer());
assert.equal(sound.subarray(0, 4).toString(), "fLaC");
const heard = await client.audio.transcriptions.create({ model: "whisper-1", file: await OpenAI.toFile(sound, "said.flac") });
assert.match(heard.text.toLowerCase(), /kitchen/);
tell("sound", JSON.stringify(heard.text));

const nearfield = createOpenAICompatible({ name: "nearfield", baseURL: `${url}/v1`, supportsStructuredOutputs: true });
const said = await generateText({ model: nearfield(model), prompt: asked[0].content, maxOutputTokens: 40, temperature: 0 });
assert.ok(said.text && said.usage.outputTokens > 0);
const pieces = [];
for await (const piece of streamText({ model: nearfield(model), prompt: asked[0].content, maxOutputTokens: 40, temperature: 0 }).textStream) pieces.push(piece);
assert.equal(pieces.join(""), said.text);
const light = tool({ description: "Turns a light on.", inputSchema: z.object({ room: z.enum(["hall", "attic"]) }) });
const called = await generateText({ model: nearfield(model), prompt: "It is dark in the attic.", tools: { turn_on: light }, toolChoice: "required", maxOutputTokens: 80 });
assert.equal(called.toolCalls[0].toolName, "turn_on");
const schema = jsonSchema({ type: "object", properties: { people: { type: "integer", minimum: 0, maximum: 99000000 } }, required: ["people"], additionalProperties: false });
const held = await generateObject({ model: nearfield(model), prompt: "How many people live in Paris? As JSON.", schema, maxOutputTokens: 80 });
assert.equal(typeof held.object.people, "number");
tell("ai", `${JSON.stringify(said.text)}, ${JSON.stringify(called.toolCalls[0].input)}, ${JSON.stringify(held.object)}`);
