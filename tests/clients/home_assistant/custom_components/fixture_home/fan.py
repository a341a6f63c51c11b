"""Fans."""

from homeassistant.components.fan import FanEntity, FanEntityFeature

from .entity import Fixture, adds


class Fan(Fixture, FanEntity):
    @staticmethod
    def features(number):
        return FanEntityFeature(number) | FanEntityFeature.TURN_ON | FanEntityFeature.TURN_OFF

    def begin(self, state, attributes):
        self._attr_percentage = attributes.get("percentage", 100 if state == "on" else 0)
        self._attr_oscillating = attributes.get("oscillating", False)

    async def async_turn_on(self, percentage=None, preset_mode=None, **_):
        self.now(percentage=percentage or 100)

    async def async_turn_off(self, **_):
        self.now(percentage=0)

    async def async_set_percentage(self, percentage):
        self.now(percentage=percentage)

    async def async_oscillate(self, oscillating):
        self.now(oscillating=oscillating)


async_setup_entry = adds("fan", Fan)
