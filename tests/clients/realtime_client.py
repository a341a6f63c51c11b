"""OpenAI's Realtime client (Python): a spoken question, a tool of the client's, an interruption."""

import asyncio
import base64
import json
import pathlib
import wave

import numpy
from openai import AsyncOpenAI

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE = 24_000


def recording(name):
    with wave.open(str(ROOT / "assets/speech" / name)) as file:
        rate, samples = file.getframerate(), numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)
    at = numpy.arange(0, len(samples) - 1, rate / RATE)
    return numpy.interp(at, numpy.arange(len(samples)), samples).astype(numpy.int16).tobytes()


async def say(connection, name, pace=1.0):
    """As a microphone sends it: 40 ms at a time."""
    sound = recording(name)
    step = RATE * 2 // 25
    for start in range(0, len(sound), step):
        await connection.input_audio_buffer.append(audio=base64.b64encode(sound[start:start + step]).decode())
        await asyncio.sleep(0.04 * pace)


async def until(connection, kind, limit=90):
    events = []
    async with asyncio.timeout(limit):
        async for event in connection:
            events.append(event)
            assert event.type != "error", event
            if event.type == kind:
                return events
    raise AssertionError(f"{kind} did not come")


def of(events, kind):
    return [event for event in events if event.type == kind]


async def talk(url, tell):
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", websocket_base_url=f"{url}/v1".replace("http", "ws"))
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await until(connection, "session.created")
        await connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
        await until(connection, "session.updated")
        saying = asyncio.create_task(say(connection, "1-temperature.wav"))
        events = await until(connection, "response.done")
        await saying
        heard = of(events, "conversation.item.input_audio_transcription.completed")[0].transcript
        answer = of(events, "response.output_audio_transcript.done")[0].transcript
        sound = b"".join(base64.b64decode(event.delta) for event in of(events, "response.output_audio.delta"))
        tell("spoken", f"{heard!r} -> {answer!r}, {len(sound) / 2 / RATE:.1f} s")
        assert "temperature" in heard.lower() and len(sound) > RATE // 2
        # Typed, and interrupted by speech while it is still being heard.
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What time is it?"}]})
        await connection.response.create()
        events = await until(connection, "response.done")
        assert of(events, "response.output_audio_transcript.done")[0].transcript
        saying = asyncio.create_task(say(connection, "2-light.wav"))
        events = await until(connection, "response.done")
        await saying
        assert events[0].type == "input_audio_buffer.speech_started", events[0]
        tell("interrupted", of(events, "response.output_audio_transcript.done")[0].transcript)


async def call(url, tell):
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", websocket_base_url=f"{url}/v1".replace("http", "ws"))
    weather = {"type": "function", "name": "get_weather", "description": "Tells the weather of a city.",
               "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "tools": [weather], "instructions": "Use the tools to answer."})
        text = {"type": "input_text", "text": "Look up the weather in Paris."}
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": [text]})
        await connection.response.create()
        events = await until(connection, "response.done")
        calls = of(events, "response.function_call_arguments.done")
        if not calls:
            return tell("tool", f"the model called none: {of(events, 'response.output_audio_transcript.done')[0].transcript!r}")
        assert json.loads(calls[0].arguments), calls
        output = {"type": "function_call_output", "call_id": calls[0].call_id, "output": json.dumps({"weather": "sunny", "celsius": 21})}
        await connection.conversation.item.create(item=output)
        await connection.response.create()
        events = await until(connection, "response.done")
        tell("tool", f"{calls[0].arguments} -> {of(events, 'response.output_audio_transcript.done')[0].transcript!r}")


def check(url, tell):
    asyncio.run(talk(url, tell))


def check_tools(url, tell):
    asyncio.run(call(url, tell))
