"""Covers."""

from homeassistant.components.cover import CoverEntity, CoverEntityFeature

from .entity import Fixture, adds


class Cover(Fixture, CoverEntity):
    features = staticmethod(CoverEntityFeature)

    def begin(self, state, attributes):
        self._attr_is_closed = state in ("closed", False, None)
        has_position = CoverEntityFeature.SET_POSITION in self._attr_supported_features
        self._attr_current_cover_position = attributes.get("current_position", 0 if self._attr_is_closed else 100) if has_position else None

    def _to(self, position):
        has_position = self._attr_current_cover_position is not None
        self.now(is_closed=position == 0, current_cover_position=position if has_position else None)

    async def async_open_cover(self, **_):
        self._to(100)

    async def async_close_cover(self, **_):
        self._to(0)

    async def async_set_cover_position(self, position, **_):
        self._to(position)


async_setup_entry = adds("cover", Cover)
