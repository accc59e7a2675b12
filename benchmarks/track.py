"""What `headway.track` costs per step: the time between asking for a batch and having it, with steps of 10 ms.

`python benchmarks/track.py [--steps N] [--json]`. Everything is in it: clocks, events written and flushed, samples of
the machine, the line, the search for slowdowns. The bar is 0.5 % of a step of 10 ms: 50 microseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator

import headway

STEP_S = 0.010
BAR_S = 50e-6


def costs(steps: int, folder: str) -> list[float]:
    """Seconds that each step waited for its batch, of a loader that takes none to give it."""
    batches: Iterator[list[int]] = iter(headway.track([[0]] * steps, tokens=len, price=1.0, run_dir=folder))
    found = []
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return found
        found.append(time.perf_counter() - asked)
        time.sleep(STEP_S)


def main() -> int:
    """Print the mean, the median and the largest; 1 where the mean is above the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = costs(asked.steps, folder)[1:]
    mean_s = statistics.fmean(found)
    said = {
        "steps": len(found),
        "mean_s": mean_s,
        "median_s": statistics.median(found),
        "p99_s": sorted(found)[round(0.99 * (len(found) - 1))],
        "largest_s": max(found),
        "share_of_step": mean_s / STEP_S,
        "bar_s": BAR_S,
        "met": mean_s <= BAR_S,
    }
    print(json.dumps(said) if asked.json else "\n".join(f"{name:<14} {value:.3g}" for name, value in said.items()))
    return 0 if said["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
