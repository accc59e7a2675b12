"""What `nvidia-smi` logs of GPUs: `dmon` tables, and `--query-gpu=… --format=csv`.

Owns the names and units of their columns (nvidia-smi's manual, and its help on `--query-gpu`). Each line becomes a
sample of one GPU, whose number is the rank.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.tables import cells_of, moment_s, table
from headway.logs.text import Problems, as_text, finite, lines_of

NAME = "nvidia_smi"
_DMON: Final = {
    "pwr": ("power_w", 1.0),
    "gtemp": ("temperature_c", 1.0),
    "temp": ("temperature_c", 1.0),
    "mtemp": ("memory_temperature_c", 1.0),
    "sm": ("utilisation", 0.01),
    "mem": ("memory_utilisation", 0.01),
    "mclk": ("memory_clock_hz", 1e6),
    "pclk": ("clock_hz", 1e6),
    "fb": ("memory_bytes", 1 << 20),
}
"""Columns of dmon: name and what one of its units is; its MB are 2**20 bytes, as `--query-gpu` says in MiB."""
QUERY: Final = {
    "utilization.gpu": ("utilisation", 0.01),
    "utilization.memory": ("memory_utilisation", 0.01),
    "memory.used": ("memory_bytes", 1 << 20),
    "memory.total": ("memory_total_bytes", 1 << 20),
    "temperature.gpu": ("temperature_c", 1.0),
    "temperature.memory": ("memory_temperature_c", 1.0),
    "power.draw": ("power_w", 1.0),
    "power.draw.instant": ("power_w", 1.0),
    "power.draw.average": ("power_w", 1.0),
    "power.limit": ("power_limit_w", 1.0),
    "enforced.power.limit": ("power_limit_w", 1.0),
    "clocks.current.sm": ("clock_hz", 1e6),
    "clocks.sm": ("clock_hz", 1e6),
    "clocks.current.graphics": ("clock_hz", 1e6),
    "clocks.gr": ("clock_hz", 1e6),
    "clocks.current.memory": ("memory_clock_hz", 1e6),
    "clocks.mem": ("memory_clock_hz", 1e6),
}
"""Columns of `--query-gpu`: name and what one of its units is."""
_DMON_HEAD: Final = re.compile(
    r"^#[ \t]*(?:Date[ \t]+)?(?:Time[ \t]+)?gpu(?![^\n]{0,200}\bpid\b)(?:[ \t]+[a-z]\w*)+[ \t\r]*$", re.MULTILINE
)
"""Not of pmon, whose lines are processes."""
_FIGURE: Final = re.compile(r"^(-?\d+(?:\.\d+)?)\s*(?:%|MiB|W|MHz|C)?$")
_DAY_S: Final = 86_400.0
_MOST_ODD: Final = 5
_AT_ONCE_S: Final = 0.03
"""Rows of all GPUs are written so close together, and no closer are two looks."""
_MOST_GPUS: Final = 16
"""Of one machine (HGX-2)."""
_FIRST_LINES: Final = 40
"""Among which the header stands: what nvidia-smi prints without arguments may stand before it."""


def claims(path: Path, head: bytes) -> float:
    """How surely `path` is such a log."""
    if not head:
        return 0.0
    if _DMON_HEAD.search(as_text(head)[:2000]):
        return 0.95
    lines = [line for line in as_text(head).splitlines() if line.strip()]
    at = next((at for at, line in enumerate(lines[:_FIRST_LINES]) if _is_header(line)), None)
    if at is None:
        return 0.0
    # A console may show such a table of a few lines before its training.
    columns, below = len(cells_of(lines[at])), lines[at + 1 :]
    return 0.95 if 2 * sum(len(cells_of(line)) == columns for line in below) >= len(below) else 0.0


def _is_header(line: str) -> bool:
    """Whether a line names columns of `--query-gpu`; the command itself, which may stand above them, does too."""
    return "--query" not in line and not {_column(name) for name in cells_of(line)}.isdisjoint(QUERY)


def read(path: Path) -> RunLog:
    """The samples of a log. Raises UserError where it holds none."""
    problems = Problems()
    facts: dict[str, float | str] = {}
    dmon = next((True for _, line in lines_of(path, []) if _DMON_HEAD.match(line)), False)
    found = list(_dmon(path, problems) if dmon else _query(path, problems, facts))
    if not found:
        raise UserError("a log of nvidia-smi holds samples", where=Position(path.name))
    gpus = {item.rank for item in found}
    facts["gpus"] = float(len(gpus))
    moments = [item.at_s for item in found if item.at_s is not None]
    if not moments:
        problems.append("no times: log them with dmon -o DT, or --query-gpu=timestamp,…")
    zero_s = min(moments, default=0.0)
    return RunLog(
        format=NAME,
        name=path.name,
        observations=tuple(_since(item, zero_s) for item in found),
        facts=facts,
        problems=tuple(problems),
    )


def _since(item: Observation, zero_s: float) -> Observation:
    at_s = None if item.at_s is None else item.at_s - zero_s
    return Observation(kind="device", at_s=at_s, values=item.values, rank=item.rank)


def _dmon(path: Path, problems: list[str]) -> Iterator[Observation]:
    """The lines of dmon under the last header before them; `-` is what the GPU does not say."""
    columns: list[str] = []
    clock = _Clock(problems)
    odd = 0
    for number, line in lines_of(path, problems):
        if _DMON_HEAD.match(line):
            columns = line.lower().lstrip("# ").split()
        if line.startswith("#") or not line.strip() or not columns:
            continue
        cells = line.split()
        if len(cells) != len(columns) or not cells[columns.index("gpu")].isdecimal():
            odd += 1
            if odd <= _MOST_ODD:
                problems.append(f"line {number}: {len(cells)} cells under {len(columns)} columns, left out")
            continue
        said = dict(zip(columns, cells, strict=True))
        values = _values(said, _DMON)
        yield Observation(
            kind="device", at_s=clock.read(said.get("date"), said.get("time")), values=values, rank=_gpu(said["gpu"])
        )
    if odd > _MOST_ODD:
        problems.append(f"{odd - _MOST_ODD} more lines with another number of cells than the header were left out")


def _query(path: Path, problems: list[str], facts: dict[str, float | str]) -> Iterator[Observation]:
    """The rows of `--query-gpu`; a GPU without an index is known by its UUID or bus, in the order of their coming, and
    without these by its place among the rows of one moment.
    """
    known: dict[str, int] = {}
    found: list[tuple[float | None, dict[str, float], int | None]] = []
    for _, cells in table(path, problems, _is_header):
        said = {_column(name): cell for name, cell in cells.items()}
        values = _values(said, QUERY)
        if not values:
            continue
        if said.get("name") or said.get("gpu_name"):
            facts.setdefault("device", said.get("name") or said["gpu_name"])
        if said.get("driver_version"):
            facts.setdefault("driver", said["driver_version"])
        index = said.get("index", "")
        label = next((said[key] for key in ("uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id") if said.get(key)), "")
        rank = _gpu(index) if index.isdecimal() else known.setdefault(label, len(known)) if label else None
        found.append((_moment_s(said.get("timestamp", "")), values, rank))
    places = _places([at_s for at_s, _, _ in found])
    for (at_s, values, rank), place in zip(found, places, strict=True):
        yield Observation(kind="device", at_s=at_s, values=values, rank=place if rank is None else rank)


def _moment_s(text: str) -> float | None:
    """A moment as nvidia-smi writes it, or as the seconds since 1970 that a script put in its place."""
    found = moment_s(text)
    return finite(text) if found is None else found


def _places(moments: list[float | None]) -> list[int]:
    """The place of each row among those that were written at once: the number of its GPU.

    How many there are is told by the size of most groups; one that no machine has is of a GPU that was looked at fast.
    """
    places: list[int] = []
    last_s: float | None = None
    for at_s in moments:
        together = at_s is not None and last_s is not None and 0 <= at_s - last_s < _AT_ONCE_S
        places.append(places[-1] + 1 if together else 0)
        last_s = at_s
    sizes = Counter(place + 1 for place, after in itertools.pairwise([*places, 0]) if not after)
    (size, times), *_ = sizes.most_common(1) or [(1, 0)]
    gpus = size if size <= _MOST_GPUS and 2 * times >= sizes.total() else 1
    return [place % gpus for place in places]


def _values(said: dict[str, str], names: dict[str, tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, cell in said.items():
        match = _FIGURE.match(cell)
        if column in names and match is not None and (value := finite(match[1])) is not None:
            label, unit = names[column]
            found.setdefault(label, value * unit)
    return found


def _gpu(text: str) -> int:
    return int(text[:9])


def _column(name: str) -> str:
    """`utilization.gpu` of `utilization.gpu [%]`."""
    return name.partition(" [")[0].strip().lower()


class _Clock:
    """Moments of dmon: a date and a time, or a time that begins anew each midnight."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems
        self._days = 0
        self._last_s = 0.0

    def read(self, date: str | None, time: str | None) -> float | None:
        """Seconds on a clock that runs on over midnight; None without a time."""
        if time is None:
            return None
        if date is not None:
            return moment_s(f"{date} {time}")
        found = moment_s(f"19700101 {time}")
        if found is None:
            return None
        if found + self._days * _DAY_S < self._last_s - _DAY_S / 2:
            self._days += 1
        self._last_s = found + self._days * _DAY_S
        return self._last_s
