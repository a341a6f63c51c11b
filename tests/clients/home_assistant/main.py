"""A spoken command through a real Home Assistant, whose ears, voice and mind are `nearfield run`: main.py NEARFIELD-URL WYOMING-PORT MODEL FOLDER"""

import asyncio
import pathlib
import shutil
import sys
import tempfile
import time
import wave

import integrations
from hass import Hass

HERE = pathlib.Path(__file__).resolve().parent
PORT = 18123


def tell(what, said):
    print(f"{what:28} {said}", flush=True)


def config_folder(port):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="home-assistant-"))
    (folder / "configuration.yaml").write_text((HERE / "configuration.yaml").read_text().replace("PORT", str(port)))
    shutil.copytree(HERE / "custom_components", folder / "custom_components")
    return folder


def pcm_of(file):
    with wave.open(str(file)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2), sound.getparams()
        return sound.readframes(sound.getnframes())


async def spoken(hass, name, agent, speech, file, entity, due):
    """One command that is spoken: what was heard, what changed, and the answer's sound."""
    await hass.post("/api/services/light/turn_" + ("off" if due == "on" else "on"), {"entity_id": entity})
    pipeline = await integrations.pipeline(hass, name, agent, speech)
    begun = time.monotonic()
    events = await hass.speak_to(pipeline, pcm_of(file))
    by_type = {event["type"]: event for event in events}
    assert "error" not in by_type, by_type["error"]
    heard = by_type["stt-end"]["data"]["stt_output"]["text"]
    said = by_type["intent-end"]["data"]["intent_output"]["response"]["speech"].get("plain", {}).get("speech", "")
    sound = await hass.get(by_type["tts-end"]["data"]["tts_output"]["url"])
    state = (await hass.state(entity))["state"]
    at = {kind: f"{event['at'] - begun:.2f} s" for kind, event in by_type.items() if kind in ("stt-end", "intent-end")}
    tell(name, f"heard {heard!r} ({at['stt-end']}), said {said!r} ({at['intent-end']}), {len(sound)} bytes of sound, {entity} is {state}")
    return heard, said, sound, state


async def second_turns(hass, agent):
    """When the second turn of a conversation, and the first of another, begin to be answered."""
    _, _, conversation = await integrations.converse(hass, agent, "Turn on the ceiling lights.")
    for name, text, to in (("again", "Turn off the ceiling lights.", conversation), ("another conversation", "Turn on the bed light.", None)):
        begun = time.monotonic()
        said, kind, _ = await integrations.converse(hass, agent, text, to)
        tell(f"ollama, {name}", f"{kind} {said[:80]!r} after {time.monotonic() - begun:.2f} s")


async def main():
    url, wyoming_port, model, sound = sys.argv[1:5]
    folder = config_folder(PORT)
    begun = time.monotonic()
    async with Hass(folder, PORT, {"OPENAI_BASE_URL": f"{url}/v1"}) as hass:
        tell("started", f"Home Assistant {(await hass.get('/api/config'))['version']} after {time.monotonic() - begun:.0f} s")
        speech = await integrations.wyoming(hass, "127.0.0.1", int(wyoming_port))
        tell("wyoming", sorted(speech.values()))
        agents = {"ollama": await integrations.ollama(hass, url, model), "openai": await integrations.openai(hass)}
        tell("agents", agents)
        failures = []
        for name, agent in agents.items():
            heard, said, sound_bytes, state = await spoken(hass, name, agent, speech, sound, "light.bed_light", "on")
            if "bed light" not in heard.lower():
                failures.append(f"{name}: heard {heard!r}")
            if len(sound_bytes) < 2000:
                failures.append(f"{name}: {len(sound_bytes)} bytes of sound")
            if state != "on":
                failures.append(f"{name}: the light is {state}")
        await second_turns(hass, agents["ollama"])
        said, kind, _ = await integrations.converse(hass, speech["conversation"], "Turn on the kitchen light.")
        tell("wyoming, handled", f"{kind} {said!r}")
        if kind != "action_done":
            failures.append(f"wyoming: {kind}")
        for line in hass.log():
            tell("log", line[:300])
    shutil.rmtree(folder)
    assert not failures, failures
    print("the spoken command was heard, done and answered")


if __name__ == "__main__":
    asyncio.run(main())
