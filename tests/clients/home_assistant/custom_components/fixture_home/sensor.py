"""Sensors."""

from homeassistant.components.sensor import SensorEntity

from .entity import Fixture, adds


class Sensor(Fixture, SensorEntity):
    def begin(self, state, attributes):
        self._attr_native_value = state


async_setup_entry = adds("sensor", Sensor)
