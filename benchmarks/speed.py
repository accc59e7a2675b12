"""How many step times are predicted in a second on one core: from the arrays of situations, and from situations.

Owns measuring and printing. What is predicted is `headway.predict.speed`; the situations are those of the published
rows. `python benchmarks/speed.py [--json]`
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before numpy is loaded

import numpy as np

from headway.catalog.speed import shipped_speed
from headway.predict.learning.record import from_record
from headway.predict.speed.basis import basis
from headway.predict.speed.predict import log_quantiles, predict_step
from headway.predict.speed.situation import features
from judging.sample import constants, situation
from rows import cases, load

SCHEMA = "headway.prediction-speed/1"
_MANY, _FEW, _REPEATS = 16384, 256, 7


def _seconds(work: Callable[[], object]) -> float:
    """The fastest of a few runs: what the machine's other users do not slow down."""
    taken = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def rates() -> dict[str, float]:
    """Predictions (p10, p50, p90) per second on one core.

    `arrays`: of the stack with most neighbours, basis rows and features given; `situations`: these made too, one by
    one, predicted together; `one by one`: `predict_step` with terms and advice.
    """
    speed, assumed = from_record(shipped_speed()), constants()
    name = max(speed.stacks, key=lambda one: speed.stacks[one].rows)
    stack = speed.stacks[name]
    given = [situation(case) for case in cases(load())[0] if case.source == name and case.seconds]
    few = given[:: max(1, len(given) // _FEW)][:_FEW]

    def together(rows: np.ndarray, coordinates: np.ndarray, devices: list[str]) -> object:
        return log_quantiles(speed, stack, stack.family, rows, coordinates, devices, "measured")

    def made() -> object:
        rows, coordinates = np.array([basis(one, assumed) for one in few]), np.array([features(one) for one in few])
        return together(rows, coordinates, [one.device for one in few])

    times = _MANY // len(few)
    rows = np.tile([basis(one, assumed) for one in few], (times, 1))
    coordinates, devices = np.tile([features(one) for one in few], (times, 1)), [one.device for one in few] * times
    return {
        "neighbours": float(stack.rows),
        "arrays": len(rows) / _seconds(lambda: together(rows, coordinates, devices)),
        "situations": len(few) / _seconds(made),
        "one by one": len(few) / _seconds(lambda: [predict_step(one, speed, assumed) for one in few]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help=f"print {SCHEMA}")
    found = rates()
    if parser.parse_args().json:
        print(json.dumps({"schema": SCHEMA, "predictions_per_s": found}, indent=1))
        return
    print(f"predictions per second on one core, of a stack with {found.pop('neighbours'):.0f} measured neighbours")
    for name, value in found.items():
        print(f"  {name:<12}{value:>12,.0f}")


if __name__ == "__main__":
    main()
