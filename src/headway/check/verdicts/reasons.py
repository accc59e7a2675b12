"""Why a run took longer or shorter than promised, in one sentence: `evaluation +14 min (2.1× its evaluations)`.

Owns the words. The parts of the difference are `verdict.py`.
"""

from __future__ import annotations

from headway.check.verdicts.verdict import IN_STEPS, OUTSIDE, TermVerdict, Verdict
from headway.domain.units import format_duration, format_share

MOST = 3
LEAST_OF_PROMISE = 0.005
LEAST_OF_LARGEST = 0.1
"""Parts of the difference below these shares, of what was promised and of the largest part, are not named."""
_UNITS = {
    "step": "steps", "data_wait": "steps", "evaluation": "evaluations", "checkpoint": "saves", "final_save": "saves",
    "load": "loads", "tokenize": "passes", "compile": "compilations", "generation": "samples",
}  # fmt: skip


def why(verdict: Verdict) -> str:
    """The largest parts of the difference, each with its cause; at what progress, for a run that is not finished."""
    at = "" if verdict.complete else f"{'ended' if verdict.ended else 'seen'} at {format_share(verdict.progress)}: "
    parts = sorted(verdict.terms, key=lambda term: -abs(term.difference_s))[:MOST]
    largest = abs(parts[0].difference_s)
    least = max(LEAST_OF_PROMISE * verdict.promised.p50, LEAST_OF_LARGEST * largest)
    named = [reason(term) for term in parts if abs(term.difference_s) >= least]
    return at + ("; ".join(named) or "as promised")


def reason(term: TermVerdict) -> str:
    """What one term adds or takes, and whether by its number of units or by the time of each."""
    moved = f"{name_of(term)} {signed_duration(term.difference_s)}"
    if term.term == OUTSIDE:
        return f"{signed_duration(term.difference_s)} outside any term"
    if term.promised is None:
        return f"{moved} (nothing was promised)"
    if abs(term.count_s) >= abs(term.rate_s) and term.count_s:
        return f"{moved} ({_times((term.units or 0.0) / (term.promised_units or 1.0), _UNITS.get(term.term, 'units'))})"
    expected_s = term.promised.p50 + term.count_s
    if not term.rate_s or expected_s <= 0:
        return moved
    share = term.rate_s / expected_s
    if share >= 1:
        return f"{moved} ({1 + share:.1f}× as long each)"
    return f"{moved} ({_percent(share)} {'longer' if share > 0 else 'shorter'} each)"


def name_of(term: TermVerdict) -> str:
    """The term with what is not told apart from it; waiting and compilation belong to a step anyway."""
    others = [name for name in term.includes if name not in IN_STEPS]
    return " + ".join((term.term, *others)).replace("_", " ")


def signed_duration(seconds: float) -> str:
    """`+14 min`, `−3 s`."""
    return f"{'−' if seconds < 0 else '+'}{format_duration(abs(seconds))}"


def signed_share(share: float) -> str:
    """`+6 %`, `−0.4 %`."""
    digits = _percent(share)
    return digits if digits == "0 %" else f"{'−' if share < 0 else '+'}{digits}"


def _percent(share: float) -> str:
    """The size of a share; two digits are enough for an error."""
    size = abs(share) * 100
    digits = f"{size:,.0f}" if size >= 9.5 else f"{size:.1f}".removesuffix(".0")
    return f"{digits} %"


def _times(ratio: float, units: str) -> str:
    """`2.1× its evaluations`, `39 % fewer steps`."""
    if ratio >= 1.5:
        return f"{ratio:.1f}× its {units}"
    return f"{_percent(ratio - 1)} {'more' if ratio > 1 else 'fewer'} {units}"
