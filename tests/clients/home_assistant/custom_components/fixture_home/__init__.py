"""Entities of a home in the public `assist` format (`_fixtures.yaml`), for tests: they keep their state in memory and do what they are told at once."""

DOMAIN = "fixture_home"
PLATFORMS = ["binary_sensor", "cover", "fan", "light", "lock", "media_player", "sensor", "todo", "vacuum", "valve"]


async def async_setup_entry(hass, entry):
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass, entry):
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
