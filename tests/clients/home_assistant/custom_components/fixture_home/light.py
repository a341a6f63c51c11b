"""Lights."""

from homeassistant.components.light import ColorMode, LightEntity

from .entity import Fixture, adds


class Light(Fixture, LightEntity):
    def begin(self, state, attributes):
        modes = {ColorMode(mode) for mode in attributes.get("supported_color_modes", ["onoff"])}
        self._attr_supported_color_modes, self._attr_color_mode = modes, sorted(modes)[0]
        self._attr_brightness = attributes.get("brightness")
        self._attr_is_on = state in ("on", True)

    async def async_turn_on(self, **said):
        self.now(is_on=True, brightness=said.get("brightness", self._attr_brightness))

    async def async_turn_off(self, **_):
        self.now(is_on=False)


async_setup_entry = adds("light", Light)
