"""`python -m headway.worker.bench`: a probe of a task on this machine, from its JSON on standard input.

Owns the program: what it is asked, the JSON lines that it prints, its exit code. What is measured:
`probing/probe.py`.

Lines on standard output, each an object with `event`: `machine` (what it is), `sample` (`term`, `seconds` of one unit,
and its size; a step's `size` is `planned`, `shorter` or `fewer`, its `cpu_s` what a CPU's processors worked on it; an
evaluation says `rows` of `of_rows`; `scaled` was worked out, not done), `disk`, `device` (a GPU's clock and
temperature), `longest` (whether the longest rows fit), and last `done`: `stopped` in words, `warm_up`, `run` (mean
sizes of the run's steps), `error`, `drift`, `others_share` (of the host's processors, of other programs),
`evaluation_peak_bytes`, `evaluation_fits` (false: memory ran out in one), `remarks`.
Exit code 0 measured, 1 error, 2 not a task, 4 out of memory, 130 interrupted; `done` comes in all cases but 1 and 2.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import Any

from headway.domain.errors import UsageError, UserError
from headway.worker.task import Task, read_task
from headway.worker.trace import ERROR, OK, USAGE
from headway.worker.train import INTERRUPTED, OUT_OF_MEMORY, Stop, prepare

BEGAN = time.perf_counter()
SCHEMA = "headway.bench/1"


class Lines:
    """Prints events, and on a terminal how far the probe is, once a second."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._watched = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = 0.0
        self._steps: list[float] = []

    def say(self, event: str, **facts: Any) -> None:
        """One line of JSON; what is not known or infinite is null."""
        known = {
            name: None if isinstance(one, float) and not math.isfinite(one) else one for name, one in facts.items()
        }
        line = json.dumps({"event": event, **known}, ensure_ascii=False)
        sys.stdout.write(line + "\n")  # in one call: an interruption leaves no half a line
        sys.stdout.flush()
        if self._watched:
            self._show(event, facts)

    def _show(self, event: str, facts: dict[str, Any]) -> None:
        if facts.get("term") == "step":
            self._steps.append(facts["seconds"])
        now = time.perf_counter() - BEGAN
        if event == "done":
            print("\r\033[K", end="", file=sys.stderr, flush=True)  # noqa: T201
        elif now - self._shown >= 1:
            self._shown = now
            mean = f", {1e3 * sum(self._steps) / len(self._steps):.3g} ms each" if self._steps else ""
            words = f"measuring: {now:.0f} of {self._budget_s:.0f} s, steps: {len(self._steps)}{mean}"
            print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)  # noqa: T201


def bench(task: Task) -> int:
    """Probe `task` and say everything; the exit code. Raises UserError for a task that cannot run here."""
    lines = Lines(task.budget_s)
    probe = None
    try:
        session, import_s = prepare(task)
        from headway.worker.machine.facts import machine
        from headway.worker.probing.probe import OutOfMemoryHere, Probe
        from headway.worker.probing.stopping import Budget
        from headway.worker.training.session import is_out_of_memory

        lines.say("machine", schema=SCHEMA, weights=session.weights, **machine(session.device))
        probe = Probe(task, session, Budget(began=BEGAN, seconds=task.budget_s), lines.say)
        try:
            stopped, code = probe.measure(import_s), OK
        except OutOfMemoryHere as error:
            stopped, code = str(error), OUT_OF_MEMORY
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            stopped, code = "out of memory, in what a step as planned left room for", OUT_OF_MEMORY
    except KeyboardInterrupt:
        stopped, code = "interrupted", INTERRUPTED
    lines.say("done", stopped=stopped, **(probe.facts() if probe else {}))
    return code


def main() -> int:
    """Probe the task on standard input; on standard error what is wrong."""
    Stop().listen()
    try:
        return bench(read_task(sys.stdin.read()))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # nobody reads
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except UserError as error:
        return _refuse(f"{error}", USAGE if isinstance(error, UsageError) else ERROR)
    except Exception as error:  # a library's own, on a model that nobody thought of
        return _refuse(f"the probe stopped: {type(error).__name__}: {' '.join(str(error).split())[:300]}", ERROR)


def _refuse(words: str, code: int) -> int:
    print(f"error: {words}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    raise SystemExit(main())
