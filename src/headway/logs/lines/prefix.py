"""What stands before the message in a line of a console log: the moment, and the rank that speaks.

Owns prefixes of launchers (torchrun, srun, mpirun, accelerate, Ray) and of loggers (logging, glog, NeMo, syslog).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from headway.logs.tables import zone_s

LOOKED_AT: Final = 160
"""Characters of a line in which its moment stands."""
RANKS: Final = (
    re.compile(r"^\s*\[(?:rank|default|worker|gpu)\s*_?(\d{1,5})\]:?\s?", re.IGNORECASE),
    re.compile(r"^\s*\[1,(\d{1,5})\]<std(?:out|err)>:\s?"),
    re.compile(r"^\s*(\d{1,5}): (?=.)(?!\S{1,30}, \S{1,30} avg\b)"),  # Darknet counts its steps as srun its ranks
)
RANK_INSIDE = re.compile(r"\[Rank:? ?(\d{1,5})(?: ?\|[^\]]{0,40})?\]|\brank[=: ](\d{1,5})\b", re.IGNORECASE)
ISO = re.compile(
    r"(?<!\d)(\d{4})[-/](\d\d)[-/](\d\d)[T _-](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(Z|[+-]\d\d:?\d\d| ?[AP]M\b)?"
)
AMERICAN = re.compile(r"(?<!\d)(\d\d)/(\d\d)/(\d{4})[ ,]{1,2}(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?( ?[AP]M\b)?")
SHORT = re.compile(r"(?:^\s{0,4}[IWEF]|[\[(])(\d\d)/?(\d\d) (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?")
SYSLOG = re.compile(
    r"^(?:\w{3} )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)"
)
CLOCK = re.compile(r"^\s{0,4}\[?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?:\]|\s|-)")
MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
SOME_YEAR: Final = 2024
"""Of moments without one: differences matter alone; a leap year has every day."""


def rank_of(line: str) -> tuple[int | None, str]:
    """The rank that a launcher put before a line, and the line without that."""
    for form in RANKS:
        if match := form.match(line):
            return int(match[1]), line[match.end() :]
    match = RANK_INSIDE.search(line[:LOOKED_AT])
    return (int(match[1] or match[2]), line) if match else (None, line)


def moment_in(line: str) -> float | None:
    """Seconds of the moment at the start of a line, on any day's zero; None where there is none."""
    head = line[:LOOKED_AT]
    if ":" not in head:
        return None
    if match := ISO.search(head):
        year, month, day, hour, minute, second, part, zone_or_half = match.groups()
        return _seconds(int(year), int(month), int(day), int(hour), int(minute), int(second), part, zone_or_half)
    if match := AMERICAN.search(head):
        month, day, year, hour, minute, second, part, half = match.groups()
        return _seconds(int(year), int(month), int(day), int(hour), int(minute), int(second), part, half)
    if match := SHORT.search(head):
        month, day, hour, minute, second, part = match.groups()
        return _seconds(SOME_YEAR, int(month), int(day), int(hour), int(minute), int(second), part)
    if match := SYSLOG.match(head):
        name, day, hour, minute, second = match.groups()
        return _seconds(SOME_YEAR, MONTHS.index(name) + 1, int(day), int(hour), int(minute), int(second), None)
    if match := CLOCK.match(head):
        hour, minute, second, part = match.groups()
        return _seconds(SOME_YEAR, 1, 1, int(hour), int(minute), int(second), part)
    return None


def _seconds(
    year: int,
    month: int,
    day: int,
    hour: int,
    minute: int,
    second: int,
    part: str | None,
    zone_or_half: str | None = None,
) -> float | None:
    zone = zone_or_half
    if zone_or_half is not None and zone_or_half.endswith("M"):
        # Of a clock with two halves of a day, where 12 comes before 1.
        hour, zone = hour % 12 + (12 if "P" in zone_or_half else 0), None
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() + (float(f"0.{part}") if part else 0.0) - zone_s(zone)
