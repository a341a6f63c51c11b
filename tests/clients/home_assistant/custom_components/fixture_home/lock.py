"""Locks."""

from homeassistant.components.lock import LockEntity

from .entity import Fixture, adds


class Lock(Fixture, LockEntity):
    def begin(self, state, attributes):
        self._attr_is_locked = state == "locked"

    async def async_lock(self, **_):
        self.now(is_locked=True)

    async def async_unlock(self, **_):
        self.now(is_locked=False)


async_setup_entry = adds("lock", Lock)
