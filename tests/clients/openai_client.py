"""OpenAI's own Python client: chat, streams, tools, schemas, completions, responses, sound, errors."""

import json
import time

import openai
from home_prompt import system, tools


def light():
    return {"type": "function", "function": {"name": "turn_on", "description": "Turns a light on.", "parameters": {
        "type": "object", "properties": {"room": {"type": "string", "enum": ["hall", "attic"]}}, "required": ["room"]}}}


def check(url, tell):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    model = client.models.list().data[0].id
    asked = [{"role": "user", "content": "Say hello in one short sentence."}]
    # A prompt that is read at once and one whose last token alone is read differ in the last bits, and so may their answers.
    client.chat.completions.create(model=model, messages=asked, max_tokens=4)
    whole = client.chat.completions.create(model=model, messages=asked, max_tokens=40, temperature=0)
    assert whole.choices[0].message.content and whole.usage.completion_tokens > 0, whole
    stream = client.chat.completions.create(model=model, messages=asked, max_tokens=40, temperature=0, stream=True,
                                            stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content and chunks[-1].usage.prompt_tokens_details.cached_tokens > 0, chunks
    tell("chat", f"{text!r}, whole and streamed")

    forced = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "It is dark in the attic."}],
                                            tools=[light()], tool_choice="required", max_tokens=100)
    call = forced.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments)["room"] in ("hall", "attic"), forced
    told = client.chat.completions.create(model=model, tools=[light()], max_tokens=40, messages=[
        {"role": "user", "content": "It is dark in the attic."}, forced.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": '{"ok": true}'}])
    tell("tools", f"{call.function.name}({call.function.arguments}), then {told.choices[0].message.content!r}")

    schema = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
              "required": ["city", "people"], "additionalProperties": False}
    held = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Describe Paris as JSON."}], max_tokens=100,
                                          response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}})
    assert set(json.loads(held.choices[0].message.content)) == {"city", "people"}, held
    tell("schema", held.choices[0].message.content)

    chat = lambda **more: client.chat.completions.create(model=model, **{"messages": asked, "max_tokens": 24, **more})
    logged = chat(temperature=0, logprobs=True, top_logprobs=3).choices[0]
    assert "".join(token.token for token in logged.logprobs.content).strip() == logged.message.content.strip(), logged
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in logged.logprobs.content)
    parts = [chunk.choices[0].logprobs for chunk in chat(temperature=0, logprobs=True, stream=True) if chunk.choices]
    assert sum(len(part.content) for part in parts if part) == len(logged.logprobs.content)
    several = chat(n=3, temperature=1.0, seed=5)
    again = chat(n=3, temperature=1.0, seed=5)
    texts = [choice.message.content for choice in several.choices]
    assert texts == [choice.message.content for choice in again.choices] and len(set(texts)) > 1, texts
    word = logged.logprobs.content[0].token
    stopped = chat(temperature=0, stop=[word]).choices[0]
    assert word not in stopped.message.content and stopped.finish_reason == "stop", stopped
    short = chat(max_tokens=None, max_completion_tokens=1)
    assert short.usage.completion_tokens == 1 and short.choices[0].finish_reason == "length", short
    tell("options", f"logprobs, n={len(texts)}, seed, stop, max_completion_tokens")

    dark = [{"role": "user", "content": "It is dark in the attic and in the hall."}]
    other = {"type": "function", "function": {"name": "lock", "parameters": {"type": "object", "properties": {}}}}
    none = chat(messages=dark, tools=[light()], tool_choice="none").choices[0].message
    named = chat(messages=dark, tools=[other, light()], tool_choice={"type": "function", "function": {"name": "turn_on"}}, max_tokens=80)
    single = chat(messages=dark, tools=[light()], tool_choice="required", parallel_tool_calls=False, max_tokens=120).choices[0].message
    assert not none.tool_calls and named.choices[0].message.tool_calls[0].function.name == "turn_on" and len(single.tool_calls) == 1
    chat(messages=dark, tools=[light()], tool_choice="auto")
    tell("tool_choice", f"none, auto, required, named: {named.choices[0].message.tool_calls[0].function.arguments}")

    done = client.completions.create(model=model, prompt="One, two, three,", max_tokens=8, temperature=0, n=2)
    assert len(done.choices) == 2 and done.choices[0].text
    logged = client.completions.create(model=model, prompt="One, two,", max_tokens=5, temperature=0, logprobs=2).choices[0]
    assert "".join(logged.logprobs.tokens) == logged.text and len(logged.logprobs.text_offset) == len(logged.logprobs.tokens), logged
    first = client.completions.create(model=model, prompt="One, two,", max_tokens=5, temperature=0, echo=True).choices[0].text
    assert first == "One, two," + logged.text, first
    tell("completions", f"{done.choices[0].text!r}, logprobs, echo, n")

    events = list(client.responses.create(model=model, input=asked, stream=True, max_output_tokens=40))
    assert events[-1].type == "response.completed" and events[-1].response.output_text, events[-1]
    flat = [{**light()["function"], "type": "function"}]
    events = list(client.responses.create(model=model, input="It is dark in the attic.", tools=flat, tool_choice="required", stream=True))
    kinds = [event.type for event in events]
    assert "response.function_call_arguments.done" in kinds, kinds
    tell("responses", f"{len(kinds)} events, {events[-1].response.output[0].name}")

    for wrong, kind in [({"model": "gpt-9"}, openai.NotFoundError), ({"temperature": 99}, openai.BadRequestError),
                        ({"logit_bias": {"999999999": 1}}, openai.BadRequestError)]:
        try:
            client.chat.completions.create(**{"model": model, "messages": asked, **wrong})
            raise AssertionError(wrong)
        except kind as error:
            tell("refused", error.message)

    home = [{"role": "system", "content": system()}, {"role": "user", "content": "Which room is the garage light in?"}]
    for question in ("Turn on the kitchen light.", "And the one in the office?"):
        begun, first, said, calls = time.monotonic(), None, "", []
        for chunk in client.chat.completions.create(model=model, messages=home, tools=tools(), max_tokens=60, temperature=0,
                                                    stream=True, stream_options={"include_usage": True}):
            delta = chunk.choices[0].delta if chunk.choices else None
            if delta and (delta.content or delta.tool_calls) and first is None:
                first = time.monotonic() - begun
            if delta:
                said += delta.content or ""
                calls += [call.function.name for call in delta.tool_calls or []]
            usage = chunk.usage
        cached = usage.prompt_tokens_details.cached_tokens
        tell("home", f"{usage.prompt_tokens} tokens, {cached} cached, first after {first * 1000:.0f} ms: {said[:60]!r} {calls}")
        home += [{"role": "assistant", "content": said or "Done."}, {"role": "user", "content": question}]


def check_sound(url, tell):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    sound = client.audio.speech.create(model="tts-1", voice="alloy", input="Turn on the kitchen light.", response_format="wav").content
    assert sound[:4] == b"RIFF" and len(sound) > 20_000, sound[:40]
    pcm = client.audio.speech.create(model="tts-1", voice="alloy", input="Turn on the kitchen light.", response_format="pcm").content
    tell("speech", f"{len(sound)} bytes of wav, {len(pcm)} of pcm")
    heard = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound))
    assert "kitchen" in heard.text.lower(), heard
    long = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound), response_format="verbose_json",
                                              timestamp_granularities=["word"])
    srt = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound), response_format="srt")
    assert long.duration > 0.5 and "-->" in srt, (long, srt)
    tell("transcriptions", f"{heard.text!r}, {len(long.words or [])} words with times")
    for format, mark in [("flac", b"fLaC"), ("opus", b"OggS"), ("mp3", b"\xff"), ("aac", b"\xff")]:
        with client.audio.speech.with_streaming_response.create(model="gpt-4o-mini-tts", voice="nova", input="Turn on the kitchen light.",
                                                                response_format=format) as response:
            said = b"".join(response.iter_bytes())
        again = client.audio.transcriptions.create(model="whisper-1", file=(f"a.{format}", said))
        assert said.startswith(mark) and "kitchen" in again.text.lower(), (format, said[:8], again)
        tell(format, f"{len(said)} bytes, heard as {again.text!r}")
    for format in ("text", "vtt"):
        assert "kitchen" in str(client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound), response_format=format)).lower()
