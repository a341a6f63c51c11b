"""Vacuums."""

from homeassistant.components.vacuum import StateVacuumEntity, VacuumActivity, VacuumEntityFeature

from .entity import Fixture, adds


class Vacuum(Fixture, StateVacuumEntity):
    features = staticmethod(VacuumEntityFeature)

    def begin(self, state, attributes):
        self._attr_activity = VacuumActivity(state) if state in list(VacuumActivity) else VacuumActivity.IDLE

    async def async_start(self):
        self.now(activity=VacuumActivity.CLEANING)

    async def async_pause(self):
        self.now(activity=VacuumActivity.PAUSED)

    async def async_stop(self, **_):
        self.now(activity=VacuumActivity.IDLE)

    async def async_return_to_base(self, **_):
        self.now(activity=VacuumActivity.RETURNING)


async_setup_entry = adds("vacuum", Vacuum)
