"""A prompt like the one that Home Assistant's Assist sends of its demo home: 27 tools and some 3,800 tokens."""

AREAS = ["Kitchen", "Living Room", "Bedroom", "Hallway", "Office", "Bathroom", "Garage", "Garden"]
DOMAINS = ["light", "fan", "cover", "climate", "media_player", "switch", "lock", "sensor"]


def text(name):
    return {"type": "string", "description": f"The {name} to act on"}


def tool(name, description, more=None, required=()):
    properties = {"name": text("name"), "area": text("area"),
                  "domain": {"type": "array", "items": {"type": "string", "enum": DOMAINS}}}
    properties.update(more or {})
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def number(low, high):
    return {"type": "integer", "minimum": low, "maximum": high}


def tools():
    percent = number(0, 100)
    return [
        tool("HassTurnOn", "Turns on/opens/presses a device or entity. For locks, this performs a 'lock' action."),
        tool("HassTurnOff", "Turns off/closes a device or entity. For locks, this performs an 'unlock' action."),
        tool("HassLightSet", "Sets the brightness percentage or color of a light", {"brightness": percent, "color": text("color")}),
        tool("HassSetPosition", "Sets the position of a device or entity", {"position": percent}, ["position"]),
        tool("HassClimateSetTemperature", "Sets the target temperature", {"temperature": {"type": "number"}}, ["temperature"]),
        tool("HassFanSetSpeed", "Sets a fan's speed by percentage", {"percentage": percent}, ["percentage"]),
        tool("HassMediaPause", "Pauses a media player"), tool("HassMediaUnpause", "Resumes a media player"),
        tool("HassMediaNext", "Skips a media player to the next item"),
        tool("HassMediaPrevious", "Replays the previous item for a media player"),
        tool("HassSetVolume", "Sets the volume percentage of a media player", {"volume_level": percent}, ["volume_level"]),
        tool("HassSetVolumeRelative", "Increases or decreases the volume", {"volume_step": {"enum": ["up", "down"]}}),
        tool("HassMediaPlayerMute", "Mutes a media player"), tool("HassMediaPlayerUnmute", "Unmutes a media player"),
        tool("HassMediaSearchAndPlay", "Searches for media and plays the first result", {"search_query": text("query")}),
        tool("HassListAddItem", "Add item to a todo list", {"item": text("item")}, ["item"]),
        tool("HassListCompleteItem", "Complete item on a todo list", {"item": text("item")}, ["item"]),
        tool("HassVacuumStart", "Starts a vacuum"), tool("HassVacuumReturnToBase", "Returns a vacuum to base"),
        tool("HassHumidifierSetpoint", "Set humidity level", {"humidity": percent}, ["humidity"]),
        tool("HassHumidifierMode", "Set humidifier mode", {"mode": text("mode")}, ["mode"]),
        tool("HassBroadcast", "Broadcast a message through the home", {"message": text("message")}, ["message"]),
        tool("HassCancelAllTimers", "Cancels all timers"), tool("HassLawnMowerStartMowing", "Starts a lawn mower"),
        tool("todo_get_items", "Query a to-do list to find out what items are on it", {"todo_list": text("list")}),
        tool("GetDateTime", "Provides the current date and time."),
        tool("GetLiveContext", "Provides real-time information about the CURRENT state of devices, sensors or areas."),
    ]


def system():
    lines = ["You are a voice assistant for Home Assistant.", "Answer questions about the world truthfully.",
             "Answer in plain text. Keep it simple and to the point.",
             "When controlling Home Assistant always call the intent tools. Use HassTurnOn to lock and HassTurnOff to unlock a lock.",
             "Static Context: An overview of the areas and the devices in this smart home:"]
    for area in AREAS:
        for domain in ("light", "climate"):
            lines.append(f"- names: {area} {domain.title()}\n  domain: {domain}\n  areas: {area}")
    return "\n".join(lines)
