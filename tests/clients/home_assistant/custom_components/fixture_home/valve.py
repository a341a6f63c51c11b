"""Valves."""

from homeassistant.components.valve import ValveEntity, ValveEntityFeature

from .entity import Fixture, adds


class Valve(Fixture, ValveEntity):
    _attr_reports_position = True
    features = staticmethod(ValveEntityFeature)

    def begin(self, state, attributes):
        usual = 100 if state == "open" else 0
        position = attributes.get("current_position", usual)
        self._attr_current_valve_position = usual if state == "open" and position == 0 else position

    async def async_set_valve_position(self, position):
        self.now(current_valve_position=position)


async_setup_entry = adds("valve", Valve)
