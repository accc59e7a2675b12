"""The line that says how a run goes: shape of a progress bar, with p90 and money.

Owns its words and when a next one is due. Where it is printed is its caller's.
"""

from __future__ import annotations

from headway.domain.units import format_duration
from headway.track.remaining import Left

EIGHTHS = " ▏▎▍▌▋▊▉█"
BAR_CELLS = 8
FIRST_S = 10.0
LONGEST_S = 600.0


def clock(seconds: float) -> str:
    """`06:45`, `1:02:03`, as progress bars write it; days as hours."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def dollars(amount: float) -> str:
    """`$0.31`, `$1,204`."""
    return f"${amount:,.2f}" if amount < 1000 else f"${amount:,.0f}"


def _bar(share: float) -> str:
    eighths = round(min(1.0, max(0.0, share)) * BAR_CELLS * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[part] if part else "")).ljust(BAR_CELLS)


def status_line(left: Left, *, bar: bool = True, promise_p90_s: float | None = None) -> str:
    """`25%|██      | 807/3,232 [06:45<20:15 (p90 21:02), 502 ms/step, $0.31 of $1.24]`, as much as is known.

    `promise_p90_s`: seconds of the whole run that an estimate holds not to be exceeded; said where they will be.
    """
    done, total, unit = left.progress
    if total:
        share = done / total
        head = f"{share:.0%}|{_bar(share)}| " if bar else f"{share:.0%} "
        head += f"{done:,}/{total:,}{'' if unit == 'step' else f' {unit}s'}"
    else:
        head = f"{done:,} {unit}s"
    said = [f"{clock(left.elapsed_s)}<{_until(left)}", *_pace(left), *_money(left)]
    late = _late(left, promise_p90_s)
    return f"{head} [{', '.join(said)}]{late}"


def _until(left: Left) -> str:
    if left.p50_s is None or left.p90_s is None:
        return "?"
    without = f" + {' and '.join(left.unknown)}, not seen yet" if left.unknown else ""
    return f"{clock(left.p50_s)} (p90 {clock(left.p90_s)}){without}"


def _pace(left: Left) -> list[str]:
    each_s = sum(part.each_s or 0.0 for part in left.parts if part.term in ("step", "data_wait", "epoch"))
    return [f"{format_duration(each_s)}/{left.progress.unit}"] if each_s else []


def _money(left: Left) -> list[str]:
    if left.spent_usd is None:
        return []
    whole = "" if left.total_usd is None else f" of {dollars(left.total_usd)}"
    return [f"{dollars(left.spent_usd)}{whole}"]


def _late(left: Left, promise_p90_s: float | None) -> str:
    if promise_p90_s is None or left.p50_s is None:
        return ""
    over = left.elapsed_s + left.p50_s - promise_p90_s
    return f" {format_duration(over)} beyond the estimate's p90" if over > 0 else ""


class Due:
    """When a line is due: every second on a terminal, at growing intervals in a file."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._next_s = 1.0 if live else FIRST_S
        self._gap_s = FIRST_S

    def at(self, elapsed_s: float) -> bool:
        """Whether one is due now; asked in the order of time."""
        if elapsed_s < self._next_s:
            return False
        self._gap_s = min(LONGEST_S, self._gap_s if self._live else self._gap_s * 1.5)
        self._next_s = elapsed_s + (1.0 if self._live else self._gap_s)
        return True
