"""Settings for every test: hypothesis draws the same examples each time, and no example has a time limit."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ["HEADWAY_STORE"] = "none"  # what a test keeps or reads, it says itself

settings.register_profile("headway", derandomize=True, deadline=None)
settings.load_profile("headway")
