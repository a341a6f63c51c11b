"""The Python package `wyoming`, as Home Assistant uses it: info, speech in both directions, commands to the home."""

import asyncio
import time

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.handle import Handled, NotHandled
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped


async def sound_of(client, events):
    for event in events:
        await client.write_event(event.event())
    rate, chunks = 0, []
    while True:
        event = await client.read_event()
        if AudioStart.is_type(event.type):
            rate = AudioStart.from_event(event).rate
        elif AudioChunk.is_type(event.type):
            chunks.append(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            return rate, chunks


async def all_of(host, port, tell):
    async with AsyncTcpClient(host, port) as client:
        begun = time.monotonic()
        await client.write_event(Describe().event())
        info = Info.from_event(await client.read_event())
        assert info.asr[0].models[0].languages and info.tts[0].voices[0].languages and info.handle[0].models, info
        tell("info", f"{info.asr[0].models[0].name}, {info.tts[0].voices[0].name}, after {(time.monotonic() - begun) * 1000:.0f} ms")
        text = "Turn on the kitchen light."
        rate, chunks = await sound_of(client, [Synthesize(text=text)])
        assert rate and chunks
        pieces = [SynthesizeStart(), SynthesizeChunk(text="Turn on "), SynthesizeChunk(text="the kitchen light."), Synthesize(text=text),
                  SynthesizeStop()]
        _, streamed = await sound_of(client, pieces)
        assert SynthesizeStopped.is_type((await client.read_event()).type)
        tell("synthesize", f"{sum(c.samples for c in chunks)} samples at {rate} Hz, streamed {sum(c.samples for c in streamed)}")
        begun = time.monotonic()
        await client.write_event(Transcribe(language="en").event())
        await client.write_event(AudioStart(rate=rate, width=2, channels=1).event())
        for chunk in chunks:
            await client.write_event(chunk.event())
        await client.write_event(AudioStop().event())
        heard = Transcript.from_event(await client.read_event())
        assert "kitchen" in heard.text.lower(), heard
        tell("transcribe", f"{heard.text!r} after {time.monotonic() - begun:.2f} s")
        await client.write_event(Transcript(text=heard.text, context={"conversation_id": "one"}).event())
        event = await client.read_event()
        assert Handled.is_type(event.type) or NotHandled.is_type(event.type), event
        tell("handle", f"{event.type}: {event.data['text']!r}")


def check(address, tell):
    host, port = address.rsplit(":", 1)
    asyncio.run(all_of(host, int(port), tell))
