"""Settings for every test: hypothesis draws the same examples each time, and no example has a time limit."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("headway", derandomize=True, deadline=None)
settings.load_profile("headway")
