"""Probe, promise, run: how far the total that a minute's probe promises is from what the whole run takes.

    benchmarks/pilot.py run --raw FOLDER [--long | --short | --names NAME...]   (with torch; an hour and a half)
    benchmarks/pilot.py collect --raw FOLDER...                         -> benchmarks/data/pilots.json, a pass each
    benchmarks/pilot.py [--json]                                        the figures of benchmarks/data/pilots.json

Beside each promise stands what an ordinary progress bar (tqdm) and `headway.track` say at 5, 20 and 50 % of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from pilots.collect import collected
from pilots.jobs import JOBS, LONG, SHORT
from pilots.score import markdown as as_markdown
from pilots.score import summary, table

DATA = Path(__file__).parent / "data" / "pilots.json"


def main() -> None:
    asked = _arguments()
    if asked.command == "run":
        _run(asked)
    elif asked.command == "collect":
        DATA.write_text(json.dumps(collected(asked.raw), indent=1) + "\n", encoding="utf-8")
        print(f"{DATA.name}: {len(json.loads(DATA.read_text(encoding='utf-8'))['rows'])} jobs")
    else:
        _show(as_json=asked.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=("run", "collect", "show"), default="show")
    parser.add_argument("--names", nargs="+", default=[], metavar="NAME", help="jobs to run; none: all")
    parser.add_argument("--raw", type=Path, nargs="+", help="folder with one folder per job; of several passes several")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.command != "show" and asked.raw is None:
        parser.error("--raw FOLDER is needed")
    if asked.command == "run" and len(asked.raw) > 1:
        parser.error("one pass is run at a time")
    if unknown := [name for name in asked.names if name not in JOBS]:
        parser.error(f"no such job: {', '.join(unknown)}; there is {', '.join(JOBS)}")
    return asked


def _run(asked: argparse.Namespace) -> None:
    """The jobs that have no folder yet, one after the other."""
    from pilots.run import run  # the verbs, and a process with torch for each probe and run

    os.environ["HEADWAY_STORE"] = ""  # beside each plan
    groups = [*(LONG if asked.long else ()), *(SHORT if asked.short else ())]
    chosen = [JOBS[name] for name in asked.names] or groups or list(JOBS.values())
    for job in chosen:
        (raw,) = asked.raw
        if not (raw / job.name).exists():
            run(job, raw / job.name, lambda words: print(words, file=sys.stderr, flush=True))


def figures() -> tuple[dict[str, Any], dict[str, Any]]:
    """The machine, and the figures of each group of jobs."""
    if not DATA.exists():
        raise SystemExit(f"there is no {DATA.name} yet: run the jobs, then collect (--help)")
    said: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
    rows = said["rows"]
    long, short = [row for row in rows if row["long"]], [row for row in rows if not row["long"]]
    groups = {"of five minutes": long, "of three quarters of a minute": short, "in all": rows}
    return said["machine"], {name: summary(group) for name, group in groups.items() if group}


def markdown() -> str:
    """The table of the README."""
    return as_markdown(figures()[1])


def _show(*, as_json: bool) -> None:
    machine, found = figures()
    print(json.dumps({"machine": machine, **found}, indent=1) if as_json else table(found, machine))


if __name__ == "__main__":
    main()
