"""Media players."""

from homeassistant.components.media_player import MediaPlayerEntity, MediaPlayerEntityFeature, MediaPlayerState

from .entity import Fixture, adds


class Player(Fixture, MediaPlayerEntity):
    features = staticmethod(MediaPlayerEntityFeature)

    def begin(self, state, attributes):
        self._attr_state = MediaPlayerState(state)
        self._attr_media_track, self._attr_volume_level = attributes.get("media_track", 1), attributes.get("volume_level", 1.0)

    async def async_turn_on(self):
        self.now(state=MediaPlayerState.PLAYING)

    async def async_turn_off(self):
        self.now(state=MediaPlayerState.OFF)

    async def async_media_play(self):
        self.now(state=MediaPlayerState.PLAYING)

    async def async_media_pause(self):
        self.now(state=MediaPlayerState.PAUSED)

    async def async_media_stop(self):
        self.now(state=MediaPlayerState.IDLE)

    async def async_media_next_track(self):
        self.now(media_track=self._attr_media_track + 1)

    async def async_media_previous_track(self):
        self.now(media_track=max(1, self._attr_media_track - 1))

    async def async_set_volume_level(self, volume):
        self.now(volume_level=volume)

    async def async_mute_volume(self, mute):
        # The set has no attribute for it: what is muted has the volume 0.
        self.now(volume_level=0.0 if mute else 1.0)


async_setup_entry = adds("media_player", Player)
