"""headway: how long training takes, what it costs, whether it fits.

Owns the version and the public names, which load on first use: `import headway` itself imports nothing heavier
than the standard library's `importlib`. What the names do is written in `headway.app`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "load": "headway.app.load",
    "track": "headway.track",
    "TrainerCallback": "headway.track.trainer",
    "LightningCallback": "headway.track.lightning",
}

__all__ = ["__version__", "load", "track"]  # what needs no other package: `from headway import *` works everywhere


def __getattr__(name: str) -> Any:
    """A public name from the room that defines it.

    Raises `AttributeError` for any other name, as an attribute of a module does.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, those that are not loaded yet included, and nothing that this file merely uses."""
    return sorted({*__all__, *_HOMES})
