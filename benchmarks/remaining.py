"""When will it end? Remaining time from the first 5, 20 and 50 % of real runs, beside linear extrapolation.

`python benchmarks/remaining.py` prints, per share of the run seen, the error of the predicted whole time and how often
the real end came before p90. Data: `data/run_times.csv` (see `data/README.md`). A prefix counts where it holds at least
two moments. Several of these runs change batch or sequence length on a schedule, which nothing in the times announces;
`steady` are those whose pace afterwards stays within 5 % of the pace before.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from headway.domain.observation import Observation
from headway.track.remaining import Course, Remaining

DATA = Path(__file__).parent / "data" / "run_times.csv"
SHARES = (0.05, 0.2, 0.5)
Moment = tuple[int, float]


def runs() -> dict[str, list[Moment]]:
    """(step, seconds since the start) of every run whose clock runs forwards."""
    found: dict[str, list[Moment]] = defaultdict(list)
    with DATA.open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            found[row["curve_id"]].append((int(float(row["step"])), float(row["seconds"])))
    return {name: moments for name, moments in found.items() if _forwards(moments)}


def _forwards(moments: list[Moment]) -> bool:
    return all(one[0] < two[0] and one[1] <= two[1] for one, two in pairwise(moments))


def predicted(seen: list[Moment], total: int) -> tuple[float, float]:
    """Whole seconds at p50 and p90, as `headway watch` would say after `seen`."""
    remaining = Remaining(Course(total_steps=total))
    remaining.feed(Observation(kind="begin", at_s=seen[0][1], step=seen[0][0]))
    for (before, began_s), (step, at_s) in pairwise(seen):
        remaining.feed(Observation(kind="step", at_s=at_s, seconds=at_s - began_s, step=step, steps=step - before))
    left = remaining.left()
    assert left.p50_s is not None
    assert left.p90_s is not None
    return left.elapsed_s + left.p50_s, left.elapsed_s + left.p90_s


def _steady(moments: list[Moment], seen: int) -> bool:
    """Whether the rest of the run goes at the pace of its last seen interval."""
    (step, at_s), (earlier, began_s) = moments[seen - 1], moments[seen - 2]
    pace = (at_s - began_s) / (step - earlier)
    rest = (moments[-1][1] - at_s) / (moments[-1][0] - step)
    return abs(rest / pace - 1.0) < 0.05


def _line(name: str, errors: list[float]) -> str:
    ranked = sorted(abs(error) for error in errors)
    median, high = (ranked[round(share * (len(ranked) - 1))] for share in (0.5, 0.9))
    mean = sum(ranked) / len(ranked)
    return f"    {name:<22} median {median:7.2%}   p90 {high:7.2%}   mean {mean:7.2%}"


def main() -> int:
    """Print the table."""
    found = runs()
    print(f"{len(found)} runs")
    for share in SHARES:
        for which in ("all", "steady"):
            ours, linear, kept = [], [], 0
            for moments in found.values():
                total, end_s = moments[-1]
                seen = [moment for moment in moments if moment[0] <= share * total]
                if len(seen) < 2 or (which == "steady" and not _steady(moments, len(seen))):
                    continue
                p50_s, p90_s = predicted(seen, total)
                ours.append(p50_s / end_s - 1.0)
                linear.append(seen[-1][1] / seen[-1][0] * total / end_s - 1.0)
                kept += end_s <= p90_s
            print(f"  {share:.0%} seen, {which} ({len(ours)} runs)")
            print(_line("headway", ours) + f"   end before p90: {kept / len(ours):.0%}")
            print(_line("linear extrapolation", linear))
    return 0


if __name__ == "__main__":
    sys.exit(main())
