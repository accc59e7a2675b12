"""How fast the command line answers: its start, the 72-run plan, and plans of 10,000 and 100,000 experiments.

Prints the median of several runs after a warm-up, the peak memory, and the bar each figure has to meet:
`python benchmarks/cli.py [--runs N] [--json]`. Wall times are of whole processes, from start to exit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLAN = ROOT / "examples" / "qwen2-taxonomy" / "plan.yaml"
HEADWAY = [sys.executable, "-m", "headway"]

# 10 datasets x 5 step counts x 20 seeds x 10 ranks x 10 learning rates = 100,000 experiments.
DATASETS, STEPS, SEEDS, RANKS, RATES = (
    range(10),
    ["1k", "2k", "5k", "10k", "20k"],
    range(20),
    range(1, 11),
    range(1, 11),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured command, and what it may take; a bar of None: nothing to meet."""

    name: str
    wall_s: float
    fastest_s: float
    runs: int
    bar_s: float | None
    peak_bytes: int
    bar_bytes: int | None
    exit_code: int
    expected_code: int = 0

    @property
    def met(self) -> bool | None:
        """Whether every bar is met, in a command that ends as it should; None where there is no bar."""
        if self.bar_s is None:
            return None
        small = self.bar_bytes is None or self.peak_bytes <= self.bar_bytes
        return self.exit_code == self.expected_code and self.wall_s <= self.bar_s and small


def large_plan(rates: range = RATES) -> str:
    """10,000 experiments for each learning rate, every axis of a different kind: data, steps, seed, adapter, rate."""
    datasets = "".join(f"  d{i}: {{rows: {10_000 * (i + 1)}, length: {100 + 20 * i}}}\n" for i in DATASETS)
    return (
        "headway: 1\nname: large\nmodel: Qwen/Qwen2-0.5B\nadapter: {method: lora, rank: 4, alpha: 8}\n"
        f"micro_batch: 8\nmax_length: 512\ndatasets:\n{datasets}"
        "matrix:\n"
        f"  data: [{', '.join(f'd{i}' for i in DATASETS)}]\n"
        f"  steps: [{', '.join(STEPS)}]\n"
        f"  seed: [{', '.join(map(str, SEEDS))}]\n"
        f"  adapter.rank: [{', '.join(map(str, RANKS))}]\n"
        f"  learning_rate: [{', '.join(f'{i}e-5' for i in rates)}]\n"
        "run: {machine: {gpu: RTX 4090, gpus: 1, price: $0.59/h}}\n"
    )


def large_check() -> str:
    """A plan of 10,000 experiments with rates, claims and a question, so that no rule has nothing to do."""
    return large_plan(range(1, 2)) + (
        "stated: {step: 200 ms, load: 20 s}\n"
        "claims: {experiments: 10000, gpu_hours: 4279, cost: $2524}\n"
        "tasks: {held-out: {data: d0, metrics: [perplexity]}}\nevaluate: held-out\n"
        "questions: {ranks: {ask: Which rank is enough?, answered_by: all, along: adapter.rank}}\n"
        "options: {short: {drop: '*-20k-*', claims: {saves: 50%}}}\n"
    )


def once(command: list[str]) -> tuple[float, int, int]:
    """Wall time in seconds, peak resident memory in bytes and exit code of one run; output is thrown away."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    # Linux reports kibibytes, macOS bytes (getrusage(2) of each).
    return wall_s, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), child.returncode


def measure(
    name: str,
    command: list[str],
    *,
    runs: int,
    bar_s: float | None,
    bar_bytes: int | None = None,
    warm_up: bool = True,
    expected_code: int = 0,
) -> Figure:
    """The median of `runs` runs of a command; a command that fails is not run again."""
    results = [once(command)] if warm_up else []
    if not results or results[0][2] == expected_code:
        results = [once(command) for _ in range(runs)]
    return Figure(
        name=name,
        wall_s=statistics.median(wall_s for wall_s, _, _ in results),
        fastest_s=min(wall_s for wall_s, _, _ in results),
        runs=len(results),
        bar_s=bar_s,
        peak_bytes=max(peak for _, peak, _ in results),
        bar_bytes=bar_bytes,
        exit_code=max(code for _, _, code in results),
        expected_code=expected_code,
    )


def figures(runs: int) -> list[Figure]:
    """All measurements; the bar of the version is 100 ms above what Python itself takes."""
    empty = measure("python -c pass", [sys.executable, "-c", "pass"], runs=runs, bar_s=None)
    version = measure("headway --version", [*HEADWAY, "--version"], runs=runs, bar_s=empty.wall_s + 0.1)
    plan = measure("headway estimate, 72-run plan", [*HEADWAY, "estimate", str(PLAN)], runs=runs, bar_s=0.7)
    # the plan has mistakes, as its document does: check finds them and exits with 1
    check = measure("headway check, 72-run plan", [*HEADWAY, "check", str(PLAN)], runs=runs, bar_s=1.0, expected_code=1)
    return [empty, version, plan, check, *large_figures()]


def large_figures() -> list[Figure]:
    """One run each of the plans of 10,000 and 100,000 experiments."""
    with tempfile.TemporaryDirectory() as folder:
        checked, estimated = Path(folder) / "check.yaml", Path(folder) / "plan.yaml"
        checked.write_text(large_check(), encoding="utf-8")
        estimated.write_text(large_plan(), encoding="utf-8")
        check = measure(
            "headway check, 10,000 experiments",
            [*HEADWAY, "check", str(checked)],
            runs=1,
            bar_s=10.0,
            warm_up=False,
            expected_code=1,
        )
        large = measure(
            "headway estimate --json, 100,000 experiments",
            [*HEADWAY, "estimate", str(estimated), "--json"],
            runs=1,
            bar_s=15.0,
            bar_bytes=10**9,
            warm_up=False,
        )
    return [check, large]


def row(figure: Figure) -> str:
    """A line of the table: what was measured, the bar, and whether it is met."""
    bar = "" if figure.bar_s is None else f"{figure.bar_s:.3f} s"
    if figure.bar_bytes is not None:
        bar += f", {figure.bar_bytes / 1e6:.0f} MB"
    verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
    if figure.exit_code != figure.expected_code:
        verdict = f"FAILED with exit code {figure.exit_code}"
    return (
        f"{figure.name:<46}{figure.wall_s:>8.3f} s{figure.fastest_s:>8.3f} s{figure.peak_bytes / 1e6:>7.0f} MB"
        f"{figure.runs:>6}   {bar:<20}{verdict}"
    )


def main() -> None:
    """Measure and print; exits with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="runs per command after the warm-up (the large plan: one)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    results = figures(options.runs)
    if options.json:
        print(
            json.dumps(
                {"schema": "headway.bench/1", "figures": [asdict(f) | {"met": f.met} for f in results]}, indent=1
            )
        )
    else:
        print(f"{'command':<46}{'median':>10}{'fastest':>10}{'peak':>10}{'runs':>6}   {'bar':<20}")
        print("\n".join(row(figure) for figure in results))
    sys.exit(any(figure.met is False for figure in results))


if __name__ == "__main__":
    main()
