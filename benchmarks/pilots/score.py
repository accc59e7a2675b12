"""How far predictions were from what happened: error, share within 5 %, coverage of intervals, beside progress bars.

Owns the figures of a set of rows; making rows is `pilots/run.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from pilots.bars import SHARES
from pilots.jobs import LONG_PILOT_S

WITHIN = 0.05
ALIKE_FROM = 3
"""The pass from which trainings are made as in the one before: the second was the first to keep its memory."""

Row = Mapping[str, Any]
"""One job: `job`, `pass`, `long`, `steps`, `predicted_s` {p10, p50, p90}, `actual_s`, `bars_s` and `tracked_s` by share
of the run, `peak_bytes` of probe and run where both looked alike."""


def errors(rows: Iterable[Row]) -> list[float]:
    """Relative error of each prediction made by the probe, before the run began."""
    return [row["predicted_s"]["p50"] / row["actual_s"] - 1 for row in rows]


def covered(rows: Sequence[Row]) -> float:
    """Share of rows whose time lies between p10 and p90."""
    held = [row["predicted_s"]["p10"] <= row["actual_s"] <= row["predicted_s"]["p90"] for row in rows]
    return sum(held) / len(held)


def late_errors(rows: Iterable[Row], key: str, share: float) -> list[float]:
    """Relative error of a total said while the run went on, where one was said."""
    said = ((row[key].get(f"{share:g}"), row["actual_s"]) for row in rows)
    return [total / actual - 1 for total, actual in said if total is not None]


def job_errors(rows: Iterable[Row]) -> list[float]:
    """Relative error of each job's promises of all passes together: what of it is the probe's, and not that hour's."""
    promised: dict[str, float] = {}
    taken: dict[str, float] = {}
    for row in rows:
        promised[row["job"]] = promised.get(row["job"], 0.0) + row["predicted_s"]["p50"]
        taken[row["job"]] = taken.get(row["job"], 0.0) + row["actual_s"]
    return [promised[job] / taken[job] - 1 for job in promised]


def repeated_errors(rows: Iterable[Row]) -> list[float]:
    """Relative error of each run's total by the pace of the same job's run of the pass before, hours earlier.

    Such a promise has seen five minutes of the very same training: what it misses is the machine's.
    """
    paces = {(row["job"], row["pass"]): row["actual_s"] / row["steps"] for row in rows}
    return [
        paces[job, number - 1] / pace - 1
        for (job, number), pace in paces.items()
        if number >= ALIKE_FROM and (job, number - 1) in paces
    ]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of one group of jobs; errors are absolute, shares are of jobs."""
    found = [abs(error) for error in errors(rows)]
    late = {
        f"{key.removesuffix('_s')}_at_{share:.0%}": _figures([abs(one) for one in late_errors(rows, key, share)])
        for key in ("bars_s", "tracked_s")
        for share in SHARES
    }
    wander = [row["wander"] for row in rows if "wander" in row]
    together, repeated = ([abs(one) for one in of(rows)] for of in (job_errors, repeated_errors))
    return {
        "jobs": len(rows), "passes_together": _figures(together), "probe": _figures(found),
        "repeat": _figures(repeated), "coverage": covered(rows), "peak": _peaks(rows),
        "wander": float(np.sqrt(np.mean(np.square(wander)))) if wander else None, **late,
    }  # fmt: skip


def _peaks(rows: Sequence[Row]) -> dict[str, float]:
    """The most memory of the run over that of the probe: p10, median and p90 of the jobs."""
    held = [row["peak_bytes"] for row in rows if "peak_bytes" in row]
    ratios = [peak["run"] / peak["probe"] for peak in held]
    return dict(zip(("p10", "median", "p90"), map(float, np.quantile(ratios, (0.1, 0.5, 0.9))), strict=True))


def _figures(found: Sequence[float]) -> dict[str, float | int] | None:
    if not found:
        return None
    within = sum(error <= WITHIN for error in found)
    return {"median": median(found), "worst": max(found), "within_5_percent": within, "of": len(found)}


def table(groups: Mapping[str, Mapping[str, Any]], machine: Mapping[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{machine.get('host', '')}, {machine.get('cores', '?')} cores", ""]
    for name, found in groups.items():
        lines.append(f"{name}: {found['jobs']} jobs; p10-p90 of the probe's promise held in {found['coverage']:.0%}")
        ends = ", ".join(f"{end} {ratio:.3f}" for end, ratio in found["peak"].items())
        lines.append(f"  memory of the run over that of the probe: {ends}")
        if found["wander"] is not None:
            lines.append(
                f"  pace of a window as long as a probe from that of the rest of its run: {found['wander']:.1%}"
            )
        for said, figures in found.items():
            if isinstance(figures, Mapping) and "worst" in figures:
                within = f"{figures['within_5_percent']} of {figures['of']} within 5 %"
                lines.append(f"  {said:<16} median {figures['median']:6.1%}  worst {figures['worst']:6.1%}  {within}")
    return "\n".join(lines)


def markdown(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of the README."""
    lines = [
        "| jobs | promised by the probe: median, worst | within 5 % | p10–p90 held | a progress bar at 5, 20, 50 % "
        "of the run | `headway.track` at the same |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in groups.items():
        probe, cells = found["probe"], [_medians(found, "bars"), _medians(found, "tracked")]
        lines.append(
            f"| {found['jobs']} {name} | **{probe['median']:.1%}**, {probe['worst']:.1%} | "
            f"{probe['within_5_percent']} of {probe['of']} | {found['coverage']:.0%} | {' | '.join(cells)} |"
        )
    long = next(found for found in groups.values() if found["wander"] is not None)
    together, repeat = long["passes_together"], long["repeat"]
    lines += [
        "",
        f"All passes together, the promises of a long job are {together['median']:.1%} off (median; the worst "
        f"{together['worst']:.1%}), within 5% in {together['within_5_percent']} of {together['of']}: "
        "the probe leans to",
        f"neither side. One run is another matter: within it the pace of {LONG_PILOT_S:.0f} s is {long['wander']:.1%} "
        "(rms) from that of all that follows, so much no probe of this",
        "length can know of such a machine, two virtual cores on a shared host. What the same job took in the pass "
        "before, hours earlier,",
        *([f"is within 5% of a run in {repeat['within_5_percent']} of {repeat['of']}."] if repeat else []),
    ]
    return "\n".join(lines).replace("%", " %").replace("  %", " %") + "\n"


def _medians(found: Mapping[str, Any], who: str) -> str:
    """Median errors at the three moments; a dash where nothing was said yet."""
    said = [found[f"{who}_at_{share:.0%}"] for share in SHARES]
    return ", ".join("–" if figures is None else f"{figures['median']:.1%}" for figures in said)
