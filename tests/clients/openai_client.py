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

    done = client.completions.create(model=model, prompt="One, two, three,", max_tokens=8, temperature=0, n=2)
    assert len(done.choices) == 2 and done.choices[0].text
    tell("completions", repr(done.choices[0].text))

    events = list(client.responses.create(model=model, input=asked, stream=True, max_output_tokens=40))
    assert events[-1].type == "response.completed" and events[-1].response.output_text, events[-1]
    flat = [{**light()["function"], "type": "function"}]
    events = list(client.responses.create(model=model, input="It is dark in the attic.", tools=flat, tool_choice="required", stream=True))
    kinds = [event.type for event in events]
    assert "response.function_call_arguments.done" in kinds, kinds
    tell("responses", f"{len(kinds)} events, {events[-1].response.output[0].name}")

    for wrong, kind in [({"model": "gpt-9"}, openai.NotFoundError), ({"temperature": 99}, openai.BadRequestError)]:
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
    try:
        client.audio.speech.create(model="tts-1", voice="alloy", input="x", response_format="mp3")
        raise AssertionError("mp3")
    except openai.BadRequestError as error:
        tell("refused", error.message)
