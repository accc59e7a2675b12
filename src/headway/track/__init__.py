"""A run in progress: the loop wrapper, callbacks of trainers, what is left, and why it became slower.

`headway.track(loader, ...)` calls this module (`loop.Tracked`), and `from headway.track.remaining import Remaining`
imports from it: the module is its own entry point, in whichever order the two are used. Starts no run and reads no
foreign log (`logs/`).
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A module that can be called like the function it is named after."""

    def __call__(self, *loader: Any, **given: Any) -> Any:
        """See `headway.track.loop.Tracked`."""
        from headway.track.loop import Tracked

        return Tracked(*loader, **given)


sys.modules[__name__].__class__ = _Callable
track = sys.modules[__name__]
"""This module, so that `headway.track` is the same thing before and after it was imported."""
