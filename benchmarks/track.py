"""What `headway.track` costs per step: the time between asking for a batch and having it, with steps of 10 ms, over
that of the same loop without it.

`python benchmarks/track.py [--steps N] [--json]`. Everything is in it: clocks, events written and flushed, samples of
the machine, the line, the search for slowdowns. The bar is 0.5 % of a step of 10 ms: 50 microseconds. `bare_s` is what
asking a plain generator takes after 10 ms in which the processor did something else.
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


def costs(batches: Iterator[list[int]]) -> list[float]:
    """Seconds that each step waited for its batch."""
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
        bare = costs(batch for batch in [[0]] * (asked.steps // 3))[1:]
        found = costs(iter(headway.track([[0]] * asked.steps, tokens=len, price=1.0, run_dir=folder)))[1:]
    mean_s, bare_s = statistics.fmean(found), statistics.fmean(bare)
    said = {
        "steps": len(found),
        "mean_s": mean_s,
        "median_s": statistics.median(found),
        "p99_s": sorted(found)[round(0.99 * (len(found) - 1))],
        "largest_s": max(found),
        "bare_s": bare_s,
        "overhead_s": mean_s - bare_s,
        "share_of_step": (mean_s - bare_s) / STEP_S,
        "bar_s": BAR_S,
        "met": mean_s - bare_s <= BAR_S,
    }
    print(json.dumps(said) if asked.json else "\n".join(f"{name:<14} {value:.3g}" for name, value in said.items()))
    return 0 if said["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
