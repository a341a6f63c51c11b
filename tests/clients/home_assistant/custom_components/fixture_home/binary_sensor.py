"""Binary sensors."""

from homeassistant.components.binary_sensor import BinarySensorEntity

from .entity import Fixture, adds


class Binary(Fixture, BinarySensorEntity):
    def begin(self, state, attributes):
        self._attr_is_on = state in ("on", True)


async_setup_entry = adds("binary_sensor", Binary)
