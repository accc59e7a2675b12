"""What can be looked up: devices, offers, billing rules, models, energy constants; all shipped as dated data files.

Owns reading and naming of `data/`; what follows from the facts (time, memory, money) belongs to other rooms.
Each name is imported when first used: asking for a device does not load offers. The whole tables are the functions
`catalog.devices.devices()`, `catalog.offers.offers()` and `catalog.models.models()`, named like their modules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.catalog.configs import from_config, read_config
    from headway.catalog.devices import Ambiguous, find_device, matching_devices
    from headway.catalog.energy import EnergyConstant, GridIntensity, energy_constants, grid_intensity
    from headway.catalog.models import find_model
    from headway.catalog.offers import age_days, billing_rule, find_instance, find_offers, provider_name

_HOME = {
    "configs": ("from_config", "read_config"),
    "devices": ("Ambiguous", "find_device", "matching_devices"),
    "energy": ("EnergyConstant", "GridIntensity", "energy_constants", "grid_intensity"),
    "models": ("find_model",),
    "offers": ("age_days", "billing_rule", "find_instance", "find_offers", "provider_name"),
}

__all__ = [
    "Ambiguous",
    "EnergyConstant",
    "GridIntensity",
    "age_days",
    "billing_rule",
    "energy_constants",
    "find_device",
    "find_instance",
    "find_model",
    "find_offers",
    "from_config",
    "grid_intensity",
    "matching_devices",
    "provider_name",
    "read_config",
]


def __getattr__(name: str) -> object:
    """Import the module that owns a name when the name is first asked for."""
    for home, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"headway.catalog.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
