"""The requests of a folder in the public `assist` format through Home Assistant's conversation agents: sentences.py NEARFIELD-URL WYOMING-PORT MODEL FOLDER [AGENT ...]"""

import asyncio
import collections
import copy
import json
import pathlib
import shutil
import sys
import time

import integrations
import yaml
from hass import Hass
from main import PORT, config_folder, tell

DERIVED = {"is_closed", "is_opening", "is_closing"}
LIMIT_S = 120


def tests_of(folder):
    """Homes with their tests: (file, home, test, sentence)."""
    for fixtures in sorted(pathlib.Path(folder).glob("**/_fixtures.yaml")):
        home = yaml.safe_load(fixtures.read_text())
        for file in sorted(fixtures.parent.glob("*.yaml")):
            if file != fixtures:
                for test in yaml.safe_load(file.read_text())["tests"]:
                    for sentence in test["sentences"]:
                        yield file, home, test, sentence


def set_up(home, test):
    home = copy.deepcopy(home)
    for entity_id, given in (test.get("setup") or {}).items():
        entity = next(it for it in home["entities"] if it["id"] == entity_id)
        if "state" in given:
            entity["state"] = given["state"]
        entity.setdefault("attributes", {}).update(given.get("attributes") or {})
    return home


async def states(hass, home):
    return {it["id"]: await hass.state(it["id"]) for it in home["entities"]}


def same(a, b):
    try:
        return float(a) == float(b)
    except (TypeError, ValueError):
        return a == b


def faults(test, before, after, said):
    """By the rules of `nearfield eval assist`."""
    found, expected = [], test.get("expect_changes") or {}
    for entity_id, was in before.items():
        now, due = after[entity_id], expected.get(entity_id, {})
        ignored = DERIVED | set((test.get("ignore_changes") or {}).get(entity_id, []))
        state = due.get("state", was["state"])
        if now["state"] != str(state) and "state" not in ignored:
            found.append(f"{entity_id} is {now['state']!r} instead of {state!r}")
        wanted = due.get("attributes") or {}
        changed = {key for key in {*was["attributes"], *now["attributes"]} if was["attributes"].get(key) != now["attributes"].get(key)}
        for key in ({*wanted, *changed}) - ignored:
            is_now, is_due = now["attributes"].get(key), wanted.get(key, was["attributes"].get(key))
            # What follows from the state, as colour and brightness of a light that goes on, counts only where it is named.
            if key not in wanted and (now["state"] != was["state"] or isinstance(is_now, list)):
                continue
            if not same(is_now, is_due) and not (is_now is None and is_due in (0, None)):
                found.append(f"{entity_id}: {key} is {is_now!r} instead of {is_due!r}")
    if expected and "Sorry" in said:
        found.append("the reply says sorry")
    words = test.get("expect_response")
    words = [words] if isinstance(words, str) else words
    if words and not any(word.lower() in said.lower() for word in words):
        found.append(f"the reply has none of {words}")
    return found


async def put_in(hass, home):
    """Replaces the home, its areas too, and exposes all of it."""
    for entry in await hass.get("/api/config/config_entries/entry?domain=fixture_home"):
        await hass.delete(f"/api/config/config_entries/entry/{entry['entry_id']}")
    for area in await hass.ask("config/area_registry/list"):
        await hass.ask("config/area_registry/delete", area_id=area["area_id"])
    areas = {area["id"]: (await hass.ask("config/area_registry/create", name=area["name"]))["area_id"] for area in home["areas"]}
    await hass.flow("fixture_home", {"home": json.dumps(home)})
    # A device that was there before comes back with the area that it had, which is gone.
    known = {device["id"]: areas.get(device.get("area")) for device in home.get("devices", [])}
    for device in await hass.ask("config/device_registry/list"):
        ours = [one for domain, one in device["identifiers"] if domain == "fixture_home"]
        if ours:
            await hass.ask("config/device_registry/update", device_id=device["id"], area_id=known[ours[0]])
    ids = [it["id"] for it in home["entities"]]
    await hass.ask("homeassistant/expose_entity", assistants=["conversation"], entity_ids=ids, should_expose=True)


async def main():
    url, wyoming_port, model, folder, *chosen = sys.argv[1:]
    configuration = config_folder(PORT)
    text = (configuration / "configuration.yaml").read_text()
    (configuration / "configuration.yaml").write_text(text.replace("demo:\n", ""))
    right, rows, seconds = collections.Counter(), collections.Counter(), collections.Counter()
    async with Hass(configuration, PORT, {"OPENAI_BASE_URL": f"{url}/v1"}) as hass:
        speech = await integrations.wyoming(hass, "127.0.0.1", int(wyoming_port))
        agents = {"wyoming": speech["conversation"], "ollama": await integrations.ollama(hass, url, model), "openai": await integrations.openai(hass),
                  "home-assistant": "conversation.home_assistant"}
        for file, home, test, sentence in tests_of(folder):
            for name in chosen or ["ollama"]:
                home_now = set_up(home, test)
                await put_in(hass, home_now)
                before, begun = await states(hass, home_now), time.monotonic()
                said, kind, _ = await asyncio.wait_for(integrations.converse(hass, agents[name], sentence), LIMIT_S)
                seconds[name] += time.monotonic() - begun
                await asyncio.sleep(0.05)
                found = faults(test, before, await states(hass, home_now), said)
                rows[name] += 1
                right[name] += not found
                print(json.dumps({"agent": name, "file": file.parent.name, "sentence": sentence, "reply": said, "kind": kind, "faults": found}), flush=True)
        for line in collections.Counter(line[24:200] for line in hass.log()).most_common(10):
            tell("log", line)
    shutil.rmtree(configuration)
    for name in rows:
        tell(name, f"{right[name]} of {rows[name]} = {100 * right[name] / rows[name]:.1f} %, {seconds[name] / rows[name]:.2f} s each")


if __name__ == "__main__":
    asyncio.run(main())
