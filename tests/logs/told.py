"""What a file of some lines says, and the figures of it that tests look at."""

from __future__ import annotations

from headway.domain.observation import Observation, times_of
from headway.logs.lines.line_reader import LineReader


def told(*lines: str) -> tuple[LineReader, list[Observation]]:
    """What a file of these lines says."""
    reader = LineReader()
    said = reader.feed("\n".join(lines) + "\n")
    return reader, said + reader.close()


def steps(said: list[Observation]) -> list[int | None]:
    return [item.step for item in said if item.kind == "step"]


def times(said: list[Observation]) -> dict[str, tuple[float, float]]:
    return {term: (round(timed.seconds, 3), timed.units) for term, timed in times_of(said).items()}


def bar(n: int, total: int, elapsed_s: int, described: str = "", rate: str = "2.00it/s", after: str = "") -> str:
    clock = f"{elapsed_s // 60:02d}:{elapsed_s % 60:02d}"
    filled = "#" * (10 * n // total)
    return f"{described}{100 * n // total:3d}%|{filled:10}| {n}/{total} [{clock}<00:10, {rate}{after}]"
