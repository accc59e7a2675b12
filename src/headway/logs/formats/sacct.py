"""Slurm's accounting as `sacct` prints it: columns, `-P`/`--parsable2`, `-p`, and `--json`.

Owns the names of its fields (https://slurm.schedmd.com/sacct.html). A job is a run, a requeue of it an attempt, its
steps (`123.batch`, `123.0`) say how much memory it took.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs import rows
from headway.logs.tables import moment_s, table
from headway.logs.text import Problems, as_text, document, duration_s, finite, lines_of

NAME = "sacct"
_RULE: Final = re.compile(r"^[- ]*---[- ]*$")
_STATE: Final = re.compile(r"^[A-Z_]+")
_GPUS: Final = re.compile(r"gres/gpu(?::[\w.-]+)?=(\d{1,6})")
_SIZE: Final = re.compile(r"^(\d+(?:\.\d+)?)([KMGTP]?)[nc]?$")
_UNIT: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_NOT_OVER: Final = {"RUNNING", "PENDING", "COMPLETING", "SUSPENDED", "CONFIGURING", "R", "PD"}
_MOST_NAMED: Final = 5
NO_TIMES: Final = (
    "no times of any job, for sacct prints none unless asked:"
    " sacct --format=JobID,JobName,State,Submit,Start,End,ElapsedRaw,AllocTRES,MaxRSS"
)
_FIRST_LINES: Final = 20
"""Among which the header stands: the command itself may stand before it."""


def claims(path: Path, head: bytes) -> float:
    """How surely `path` is such an output."""
    if not head:
        return 0.0
    if any(map(_is_header, as_text(head).splitlines()[:_FIRST_LINES])):
        return 0.95
    return 0.9 if b'"jobs"' in head and b'"job_id"' in head and b'"time"' in head else 0.0


def _is_header(line: str) -> bool:
    columns = {name.strip().lower() for name in (*line.split(), *line.split("|"), *line.split(","))}
    return bool(columns & {"jobid", "jobidraw"} and columns & {"state", "elapsed", "exitcode", "start"})


def read(path: Path) -> RunLog:
    """The log of the job that ran longest. Raises UserError where there is none."""
    problems = Problems()
    jobs: dict[str, list[dict[str, str]]] = {}
    steps: dict[str, list[dict[str, str]]] = {}
    for said in _said(path, problems):
        job, is_step = _job(said.get("jobid", said.get("jobidraw", "")), jobs)
        if job and job[0].isdigit():
            (steps if is_step else jobs).setdefault(job, []).append(said)
    jobs = jobs or steps
    if not jobs:
        raise UserError("an output of sacct holds a job", where=Position(path.name))
    timed = any(_took_s(said) is not None or said.get("start") for told in jobs.values() for said in told)
    job = max(jobs, key=lambda one: sum(_took_s(said) or 0.0 for said in jobs[one]))  # the first of those without
    others = [one for one in jobs if one != job]
    if others:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        which = "which ran longest" if timed else "the first"
        problems.append(f"read: job {job}, {which}; also there: {', '.join(others[:_MOST_NAMED])}{more}")
    if not timed:
        problems.append(NO_TIMES)
    attempts = sorted(jobs[job], key=lambda said: moment_s(said.get("start", "")) or 0.0)
    return RunLog(
        format=NAME,
        name=path.name,
        observations=tuple(_observations(attempts, problems)),
        facts=_facts(job, attempts, steps.get(job, [])),
        problems=tuple(problems),
    )


def _job(name: str, jobs: Mapping[str, object]) -> tuple[str, bool]:
    """The job of an id, and whether it is of a step of it: `12_7.batch`, or `12_7+` where that was cut to its column.

    A cut id is of the last of `jobs`, in the order of the file, that begins with what is left of it.
    """
    job, dot, _ = name.partition(".")
    if not dot and name.endswith("+"):
        cut = next((one for one in reversed(list(jobs)) if one.startswith(name[:-1])), "")
        return cut or job, bool(cut)
    return job, bool(dot)


def _observations(attempts: list[dict[str, str]], problems: list[str]) -> Iterator[Observation]:
    """Each attempt's beginning, and its end where it has one."""
    zero_s: float | None = None
    latest_s = 0.0
    for attempt, said in enumerate(attempts):
        began_s, ended_s = moment_s(said.get("start", "")), moment_s(said.get("end", ""))
        elapsed_s = _elapsed_s(said)
        state = _state(said)
        if began_s is not None:
            zero_s = began_s if zero_s is None else zero_s
            latest_s = max(latest_s, began_s - zero_s)
        elif len(attempts) > 1:
            problems.append(f"attempt {attempt}: no start, taken to follow the one before")
        yield Observation(kind="begin", at_s=latest_s, attempt=attempt)
        if ended_s is not None and began_s is not None and elapsed_s is not None and ended_s - began_s < elapsed_s - 1:
            problems.append(
                f"attempt {attempt}: elapsed {elapsed_s:,.0f} s, but {ended_s - began_s:,.0f} s from start to end"
            )
        if state in _NOT_OVER:
            problems.append(f"attempt {attempt}: {state.lower()}, not over")
            continue
        if elapsed_s is None and ended_s is not None and began_s is not None:
            elapsed_s = max(0.0, ended_s - began_s)
        if elapsed_s is not None:
            latest_s += elapsed_s
            yield Observation(kind="end", at_s=latest_s, seconds=elapsed_s, attempt=attempt)


def _facts(job: str, attempts: list[dict[str, str]], steps: list[dict[str, str]]) -> dict[str, float | str]:
    last = attempts[-1]
    facts: dict[str, float | str] = {"job": job}
    # not its nodes: names of hosts are never recorded
    for name, key in (("jobname", "run_name"), ("partition", "partition"), ("exitcode", "exit_code")):
        if last.get(name):
            facts[key] = last[name]
    if state := _state(last):
        facts["state"] = state
    figures = {
        "elapsed_s": sum(_elapsed_s(said) or 0.0 for said in attempts) if any(map(_elapsed_s, attempts)) else None,
        "time_limit_s": duration_s(last.get("timelimit", "")),
        "max_memory_bytes": max((_bytes(said.get("maxrss", "")) or 0.0 for said in [*attempts, *steps]), default=0.0)
        or None,
        "cpu_cores": finite(last.get("alloccpus") or last.get("ncpus")),
        "nodes": finite(last.get("nnodes") or last.get("allocnodes")),
        "gpus": next((float(match[1]) for said in reversed(attempts) if (match := _gpus(said))), None),
    }
    submitted_s, began_s = moment_s(attempts[0].get("submit", "")), moment_s(attempts[0].get("start", ""))
    if submitted_s is not None and began_s is not None:
        figures["queue_wait_s"] = max(0.0, began_s - submitted_s)
    facts |= {name: value for name, value in figures.items() if value is not None}
    # sacct prints local time: as it stands, for who knows the zone
    return facts | ({"started": attempts[0]["start"]} if rows.started([rows.Row(at_s=began_s)]) else {})


def _gpus(said: Mapping[str, str]) -> re.Match[str] | None:
    return _GPUS.search(said.get("alloctres") or said.get("reqtres") or said.get("allocgres") or "")


def _state(said: Mapping[str, str]) -> str:
    """`CANCELLED` of `CANCELLED by 1000`, and of `CANCELLED+`, which is cut to its column."""
    match = _STATE.match(said.get("state", ""))
    return match.group() if match else ""


def _elapsed_s(said: Mapping[str, str]) -> float | None:
    return finite(said["elapsedraw"]) if said.get("elapsedraw") else duration_s(said.get("elapsed", ""))


def _took_s(said: Mapping[str, str]) -> float | None:
    """How long a job ran, also where that has to be reckoned from its beginning and end."""
    if (elapsed_s := _elapsed_s(said)) is not None:
        return elapsed_s
    began_s, ended_s = moment_s(said.get("start", "")), moment_s(said.get("end", ""))
    return max(0.0, ended_s - began_s) if began_s is not None and ended_s is not None else None


def _bytes(text: str) -> float | None:
    """`1234K`, `1.5G`: powers of 1024."""
    match = _SIZE.match(text)
    return float(match[1]) * 1024.0 ** _UNIT[match[2]] if match and finite(match[1]) is not None else None


def _said(path: Path, problems: list[str]) -> Iterator[dict[str, str]]:
    """The fields of each line, by their names in small letters."""
    lines = (line for _, line in lines_of(path, []) if line.strip())
    first = list(itertools.islice(lines, _FIRST_LINES))
    if first and first[0].lstrip().startswith("{"):
        yield from _of_json(path, problems)
    elif any(map(_RULE.match, first)):
        yield from _of_columns(path, problems)
    else:
        headed = any(map(_is_header, first))
        for _, cells in table(path, problems, _is_header) if headed else table(path, problems):
            yield {name.lower(): cell for name, cell in cells.items() if name}


def _of_columns(path: Path, problems: list[str]) -> Iterator[dict[str, str]]:
    """Lines under a rule of dashes, which says where each column stands; names and values are set to its right end."""
    header, spans = "", list[tuple[int, int]]()
    for _, line in lines_of(path, problems):
        if _RULE.match(line):
            spans = [match.span() for match in re.finditer(r"-+", line)]
            names = header.lower().split()
            if len(names) != len(spans):
                names = [header[start:end].strip().lower() for start, end in spans]
            continue
        if not spans or line.split() == header.split():
            header = line
            continue
        cells = [line[start:end].strip() for start, end in spans]
        yield {name: cell for name, cell in zip(names, cells, strict=True) if name and cell}


def _of_json(path: Path, problems: list[str]) -> Iterator[dict[str, str]]:
    """The jobs of `sacct --json`; its fields moved between versions, so that each is looked for where it may be."""
    found = document(path, problems)
    jobs = found.get("jobs") if isinstance(found, dict) else None
    for job in jobs if isinstance(jobs, list) else []:
        if not isinstance(job, dict):
            continue
        time = job.get("time")
        time = time if isinstance(time, dict) else {}
        state = job.get("state")
        state = state.get("current") if isinstance(state, dict) else state
        told: dict[str, Any] = {
            "jobid": job.get("job_id"),
            "jobname": job.get("name"),
            "partition": job.get("partition"),
            "state": state[0] if isinstance(state, list) and state else state,
            "elapsedraw": time.get("elapsed"),
            "alloctres": _tres(job.get("tres")),
        }
        for name, key in (("start", "start"), ("end", "end"), ("submit", "submission")):
            at_s = finite(time.get(key))
            told[name] = rows.started([rows.Row(at_s=at_s)]).get("started") if at_s else None
        yield {name: str(value) for name, value in told.items() if isinstance(value, str | int | float) and value != ""}


def _tres(said: object) -> str:
    """`gres/gpu=4` of the list of a job's trackable resources."""
    allocated = said.get("allocated") if isinstance(said, dict) else None
    items = [item for item in allocated if isinstance(item, dict)] if isinstance(allocated, list) else []
    named = ((f"{item.get('type')}/{item.get('name')}", item.get("count")) for item in items if item.get("name"))
    return ",".join(f"{name}={count}" for name, count in named)
