"""Nearfield set up in Home Assistant as its page does it: by the config flows of `ollama`, `openai_conversation` and `wyoming`."""

ASSIST = "assist"


async def ollama(hass, url, model, prompt=None):
    """The conversation agent of the Ollama integration, with control of the home."""
    entry = (await hass.flow("ollama", {"url": url}))["result"]["entry_id"]
    options = {"name": "Nearfield", "model": model, "llm_hass_api": [ASSIST], "num_ctx": 8192, "max_history": 20, "keep_alive": -1, "think": False}
    if prompt is not None:
        options["prompt"] = prompt
    await hass.flow([entry, "conversation"], options, path="/api/config/config_entries/subentries/flow")
    return (await hass.entities("ollama", "conversation"))["conversation"]


async def openai(hass):
    """The one of the OpenAI integration, which makes it itself and asks for `gpt-4o-mini`."""
    await hass.flow("openai_conversation", {"api_key": "none"})
    return (await hass.entities("openai_conversation", "conversation"))["conversation"]


async def wyoming(hass, host, port):
    """Speech to text, text to speech and the agent for the home of Nearfield's own file, by domain."""
    await hass.flow("wyoming", {"host": host, "port": port})
    return await hass.entities("wyoming", "stt", "tts", "conversation")


async def pipeline(hass, name, agent, speech, prefers_local=False):
    """An Assist pipeline; gives back its id."""
    voices = await hass.ask("tts/engine/voices", engine_id=speech["tts"], language="en")
    fields = {"name": name, "language": "en", "conversation_engine": agent, "conversation_language": "en", "stt_engine": speech["stt"],
              "stt_language": "en", "tts_engine": speech["tts"], "tts_language": "en", "tts_voice": (voices["voices"] or [{"voice_id": None}])[0]["voice_id"],
              "wake_word_entity": None, "wake_word_id": None, "prefer_local_intents": prefers_local}
    return (await hass.ask("assist_pipeline/pipeline/create", **fields))["id"]


async def converse(hass, agent, text, conversation=None):
    """What the agent answers to a text."""
    result = await hass.ask("conversation/process", text=text, agent_id=agent, language="en", conversation_id=conversation)
    response = result["response"]
    return response["speech"].get("plain", {}).get("speech", ""), response["response_type"], result["conversation_id"]
