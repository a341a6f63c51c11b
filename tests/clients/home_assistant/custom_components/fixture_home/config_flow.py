"""Takes a home as JSON."""

import json

import voluptuous as vol
from homeassistant.config_entries import ConfigFlow

from . import DOMAIN


class FixtureHomeFlow(ConfigFlow, domain=DOMAIN):
    """One step: the home."""

    VERSION = 1

    async def async_step_user(self, user_input=None):
        if user_input is None:
            return self.async_show_form(step_id="user", data_schema=vol.Schema({vol.Required("home"): str}))
        return self.async_create_entry(title="Fixture home", data={"home": json.loads(user_input["home"])})
