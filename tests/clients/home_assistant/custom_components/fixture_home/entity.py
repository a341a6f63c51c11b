"""What the platforms have in common."""

import importlib

from . import DOMAIN


def value_of(domain, word):
    """The value of `cover.CoverDeviceClass.GARAGE`, and of words that are none such themselves."""
    if not isinstance(word, str) or not word.startswith(f"{domain}.") or word.count(".") != 2:
        return word
    _, kind, name = word.split(".")
    return getattr(getattr(importlib.import_module(f"homeassistant.components.{domain}"), kind), name)


def adds(domain, kind):
    """`async_setup_entry` of a platform."""

    async def async_setup_entry(hass, entry, async_add_entities):
        home = entry.data["home"]
        devices = {device["id"]: device for device in home.get("devices", [])}
        own = [it for it in home["entities"] if it["id"].startswith(f"{domain}.")]
        async_add_entities([kind(domain, it, devices.get(it.get("device"))) for it in own])

    return async_setup_entry


class Fixture:
    """An entity as it stands in the file; platforms read the rest in `begin`."""

    _attr_should_poll = False

    def __init__(self, domain, given, device):
        self.entity_id, self._attr_unique_id, self._attr_name = given["id"], given["id"], given["name"]
        if device:
            self._attr_device_info = {"identifiers": {(DOMAIN, device["id"])}, "name": device["name"]}
        attributes = dict(given.get("attributes") or {})
        features = attributes.pop("supported_features", None)
        if features is not None:
            self._attr_supported_features = self.features(sum(int(value_of(domain, it)) for it in features))
        for name in ("device_class", "state_class", "native_unit_of_measurement"):
            if name in attributes:
                setattr(self, f"_attr_{name}", value_of(domain, attributes.pop(name)))
        self.begin(given.get("state"), attributes)

    @staticmethod
    def features(number):
        return number

    def now(self, **attributes):
        """Sets attributes and tells."""
        for name, value in attributes.items():
            setattr(self, f"_attr_{name}", value)
        self.async_write_ha_state()
