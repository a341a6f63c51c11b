"""Ollama's Python client, and what Home Assistant's integration sends with it."""

import json
import time

import ollama
from home_prompt import system, tools


def check(url, tell):
    client = ollama.Client(host=url)
    model = client.list().models[0].model
    shown = client.show(model)
    assert "tools" in shown.capabilities and client.ps().models[0].model == model, shown
    asked = [{"role": "user", "content": "Say hello in one short sentence."}]
    client.chat(model=model, messages=asked, options={"num_predict": 4})
    whole = client.chat(model=model, messages=asked, options={"temperature": 0.0, "num_predict": 40.0})
    parts = list(client.chat(model=model, messages=asked, options={"temperature": 0.0, "num_predict": 40.0}, stream=True))
    text = "".join(part.message.content for part in parts)
    assert text == whole.message.content and parts[-1].done and parts[-1].eval_count > 0, parts
    tell("chat", repr(text))
    made = client.generate(model=model, prompt="Say hello.", options={"num_predict": 20})
    assert made.response and made.done_reason in ("stop", "length"), made
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    held = client.chat(model=model, messages=[{"role": "user", "content": "A number, as JSON."}], format=schema)
    assert isinstance(json.loads(held.message.content)["n"], int), held
    tell("format", held.message.content)
    for keep_alive in (-1, "5m", "-1.0s", 0):
        client.generate(model=model, keep_alive=keep_alive)
    try:
        client.chat(model="nothing-9b", messages=asked)
        raise AssertionError("an unknown model was found")
    except ollama.ResponseError as error:
        assert error.status_code == 404, error
        tell("refused", error.error)

    def home(messages):
        begun, first, said, calls = time.monotonic(), None, "", []
        for part in client.chat(model=model, messages=messages, tools=tools(), stream=True, keep_alive="-1.0s",
                                options={"num_ctx": 8192.0, "temperature": 0.0, "num_predict": 60}):
            if (part.message.content or part.message.tool_calls) and first is None:
                first = time.monotonic() - begun
            said += part.message.content or ""
            calls += part.message.tool_calls or []
        names = [f"{call.function.name}({dict(call.function.arguments)})" for call in calls]
        tell("home", f"{part.prompt_eval_count} tokens, first after {first * 1000:.0f} ms: {said[:60]!r} {names}")
        return said, calls

    messages = [{"role": "system", "content": system()}, {"role": "user", "content": "Turn on the kitchen light."}]
    said, calls = home(messages)
    if calls:
        # As Home Assistant sends it: a turn with calls has no content, a result has no name.
        messages.append({"role": "assistant", "tool_calls": [{"function": {"name": c.function.name, "arguments": c.function.arguments}} for c in calls]})
        messages.append({"role": "tool", "content": json.dumps({"success": True})})
    else:
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "And the office light."}]
    home(messages)
    home(messages[:2])
